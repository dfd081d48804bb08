package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"prunella"
)

// WikiQuery selects pages. Without Text it lists what the other fields leave,
// by title.
type WikiQuery struct {
	Text      string // words, identifiers, "phrases in quotes"; the last word may be half typed
	Kind      string // skill | person | company | draft | page
	Category  string
	Owner     string // with or without @
	Freshness string // fresh | due | stale | never
	Limit     int    // 0 for the server's default, 20; 200 at most
}

// WikiResult is GET /api/v1/wiki/search, best first.
type WikiResult struct {
	Hits  []WikiHit `json:"hits"`
	Loose bool      `json:"loose"` // no page has every word; these have some
	More  bool      `json:"more"`  // there are more than the limit
}

// WikiHit is a page that a search found.
type WikiHit struct {
	Path      string      `json:"path"` // of the file in the wiki: "people/sam.md"
	URL       string      `json:"url"`  // of its page on this server, with the anchor of Heading
	Name      string      `json:"name"`
	Kind      string      `json:"kind"`
	Title     string      `json:"title"`
	Marked    []WikiPiece `json:"marked"` // Title
	Category  string      `json:"category,omitempty"`
	Owners    []string    `json:"owners,omitempty"`
	Freshness string      `json:"freshness"`
	Verified  time.Time   `json:"verified,omitzero"`
	Heading   string      `json:"heading,omitempty"` // that the excerpt stands under
	Line      int         `json:"line,omitempty"`    // of the file, where the excerpt begins
	Excerpt   []WikiPiece `json:"excerpt,omitempty"`
}

// WikiPiece is a run of text that matched, or did not.
type WikiPiece struct {
	Text string `json:"text"`
	Mark bool   `json:"mark,omitempty"`
}

// WikiPage is GET /api/v1/wiki/page?path=people/sam. Path may be given without
// ending, or as a name that only one page has.
type WikiPage struct {
	Path        string         `json:"path"`
	URL         string         `json:"url"`
	Name        string         `json:"name"`
	Kind        string         `json:"kind"` // skill | person | company | draft | page
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	Category    string         `json:"category,omitempty"`
	Owners      []string       `json:"owners,omitempty"`
	Meta        []WikiFact     `json:"meta,omitempty"` // front matter; metadata without its prefix
	Freshness   string         `json:"freshness"`
	Verified    time.Time      `json:"verified,omitzero"`
	Modified    time.Time      `json:"modified,omitzero"`
	Hash        string         `json:"hash"` // SHA-256 of the file, hex
	Text        string         `json:"text"` // the whole file
	Body        string         `json:"-"`    // Text without front matter
	Links       []WikiLink     `json:"links"`
	Backlinks   []WikiBacklink `json:"backlinks"`
	Sources     []SourceThread `json:"sources,omitempty"`  // where a skill or draft was learned
	Problems    []SkillProblem `json:"problems,omitempty"` // of the file; a skill's are those of lint
	Editable    bool           `json:"editable"`           // the server keeps its wiki in a folder
}

// WikiFact is one line of front matter.
type WikiFact struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// WikiLink is where a [[link]] leads.
type WikiLink struct {
	Target string `json:"target"`           // as written
	Text   string `json:"text"`             // to show
	URL    string `json:"url,omitempty"`    // on this server; "" when it is broken
	Broken string `json:"broken,omitempty"` // why, as a sentence
	Line   int    `json:"line,omitempty"`
}

// WikiBacklink is a link on another page that leads here.
type WikiBacklink struct {
	Path  string `json:"path"`
	URL   string `json:"url"`
	Title string `json:"title"`
	Line  int    `json:"line"`
}

// SourceThread is a conversation that a skill was learned from.
type SourceThread struct {
	Text    string   `json:"text"`
	Channel string   `json:"channel,omitempty"` // "#incidents"
	Date    string   `json:"date,omitempty"`
	People  []string `json:"people,omitempty"`
	URL     string   `json:"url,omitempty"` // permalink
}

// WikiVersion is a page at one commit.
type WikiVersion struct {
	Commit string    `json:"commit"`
	Author string    `json:"author"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Path   string    `json:"path"` // of the page then
}

// WikiLine is one line of a comparison.
type WikiLine struct {
	Op   string `json:"op"` // "=" in both, "-" only before, "+" only after
	Text string `json:"text"`
	Old  int    `json:"old,omitempty"` // line number before, 0 for an added one
	New  int    `json:"new,omitempty"`
}

// WikiEdit is a page as somebody wants it to be.
type WikiEdit struct {
	Path   string
	Base   string // Hash of the page that was edited; "" for a new page
	Text   string
	By     string
	Reason string
}

// WikiSaved is what became of an edit. With a Conflict nothing was written.
type WikiSaved struct {
	URL         string
	Commit      string // its hash in git; "" when it was not committed
	Uncommitted string // why not, as a sentence; "" when it was, or when pages are not kept in git
	Conflict    *WikiConflict
}

// WikiConflict is an edit of a page that changed or went since it was read.
type WikiConflict struct {
	Theirs string     // the text that is there
	Hash   string     // of Theirs, to save upon
	Gone   bool       // the page was removed or renamed
	Merged string     // both edits, when they touch different lines
	Clean  bool       // Merged holds both
	Diff   []WikiLine // from Theirs to what was to be saved
}

// WikiCheck is GET /api/v1/wiki/check: what a look over the whole wiki found.
type WikiCheck struct {
	Pages      int             `json:"pages"`
	Links      int             `json:"links"`
	Broken     []WikiBroken    `json:"broken"`
	Orphans    []WikiRef       `json:"orphans"` // no other page links to them
	Stale      []WikiStale     `json:"stale"`
	Duplicates []WikiDuplicate `json:"duplicates"`
	Problems   []SkillProblem  `json:"problems"` // of files, and lint errors of skills
}

// WikiRef names a page.
type WikiRef struct {
	Path  string `json:"path"`
	URL   string `json:"url"`
	Title string `json:"title"`
}

// WikiBroken is a link that leads nowhere.
type WikiBroken struct {
	From   WikiRef `json:"from"`
	Target string  `json:"target"`
	Line   int     `json:"line"`
	Rule   string  `json:"rule"` // broken-link | ambiguous-link | broken-heading
	Reason string  `json:"reason"`
	Remedy string  `json:"remedy,omitempty"`
}

// WikiStale is a page that nobody has looked after for long.
type WikiStale struct {
	Page   WikiRef `json:"page"`
	Reason string  `json:"reason"`
	Days   int     `json:"days"`
}

// WikiDuplicate is what pages have in common and should not.
type WikiDuplicate struct {
	Rule   string    `json:"rule"` // same-path | same-name | same-title
	Name   string    `json:"name"`
	Pages  []WikiRef `json:"pages"`
	Reason string    `json:"reason"`
}

// DraftView is a skill to be, or a change to one, that waits for a person.
type DraftView struct {
	Page    WikiPage
	Version string     // of the draft
	Of      string     // name of the skill that it would change; "" for a new one
	Was     string     // version of that skill now
	Base    string     // its hash
	Diff    []WikiLine // from that skill to the draft
	Blocked string     // why it cannot be accepted as it is, as a sentence
}

// SkillText is the body of POST /api/v1/skills/match: what an incident says,
// one log line or sentence a line.
type SkillText struct {
	Text string `json:"text"`
}

// SkillMatches answers it.
type SkillMatches struct {
	Recognized prunella.SkillName `json:"recognized,omitempty"` // the one that the engine would choose by these texts alone
	Pattern    string             `json:"pattern"`              // its pattern, or UNKNOWN
	Reason     string             `json:"reason"`
	Matches    []SkillMatch       `json:"matches"` // best first
}

// SkillMatch is a skill that may be about a text.
type SkillMatch struct {
	Name    prunella.SkillName `json:"name"`
	Title   string             `json:"title"`
	URL     string             `json:"url"`
	Score   float64            `json:"score"`             // 0–1, by its signal rules; 0 when only words match
	Because []string           `json:"because,omitempty"` // rules that hold
	Excerpt string             `json:"excerpt,omitempty"` // a line of it that shares words with the text
}

// WikiSearch finds pages of the wiki.
func (c *Client) WikiSearch(ctx context.Context, q WikiQuery) (WikiResult, error) {
	v := url.Values{}
	setText(v, "q", q.Text)
	setText(v, "kind", q.Kind)
	setText(v, "category", q.Category)
	setText(v, "owner", q.Owner)
	setText(v, "freshness", q.Freshness)
	setInt(v, "limit", q.Limit)
	return get[WikiResult](ctx, c, "/api/v1/wiki/search", v)
}

// WikiPage returns one page with its text, links and backlinks; NotFound when
// there is none, or several have that name.
func (c *Client) WikiPage(ctx context.Context, path string) (WikiPage, error) {
	return get[WikiPage](ctx, c, "/api/v1/wiki/page", url.Values{"path": {path}})
}

// WikiCheck looks over the whole wiki.
func (c *Client) WikiCheck(ctx context.Context) (WikiCheck, error) {
	return get[WikiCheck](ctx, c, "/api/v1/wiki/check", nil)
}

// MatchSkills says which skills may be about what an incident says.
func (c *Client) MatchSkills(ctx context.Context, text string) (SkillMatches, error) {
	var out SkillMatches
	err := c.do(ctx, http.MethodPost, "/api/v1/skills/match", nil, SkillText{Text: text}, &out)
	return out, err
}
