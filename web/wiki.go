package web

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// wikiPage is a page that is no skill: a person, a company, or whatever else
// the team writes down.
type wikiPage struct {
	P     client.WikiPage
	Prose template.HTML
	Trail []crumb
	Edit  string
	Saved string
	Owned []client.WikiHit // what a person owns
}

// crumb is a step of the way to a page.
type crumb struct{ Name, URL string }

// wikiNamed shows the page of a name in a folder: /people/sam.
func (s *server) wikiNamed(folder string) func(*http.Request, time.Time) (view, error) {
	return func(r *http.Request, _ time.Time) (view, error) {
		return s.showWiki(r, folder+"/"+r.PathValue("name")+".md")
	}
}

// wikiAny shows a page by its path: /wiki/page/runbooks/prod/redis.md.
func (s *server) wikiAny(r *http.Request, _ time.Time) (view, error) {
	return s.showWiki(r, r.PathValue("path"))
}

func (s *server) showWiki(r *http.Request, file string) (view, error) {
	page, err := s.backend.WikiPage(r.Context(), file)
	if err != nil {
		return view{}, err
	}
	p := wikiPage{P: page, Edit: editURL(page.Path), Saved: savedWord(r), Trail: trail(page.Path)}
	if p.Prose, err = s.prose(page.Path, page.Body); err != nil {
		return view{}, err
	}
	if page.Kind == "person" {
		owned, err := s.backend.WikiSearch(r.Context(), client.WikiQuery{Owner: "@" + page.Name, Limit: 50})
		if err != nil {
			return view{}, err
		}
		p.Owned = owned.Hits
	}
	return view{Template: "wiki_page", Title: page.Title, Nav: "wiki", Topics: "wiki:" + page.Path, Body: p}, nil
}

func (s *server) prose(file, body string) (template.HTML, error) {
	return markdown(body, func(inside string) client.WikiLink { return s.backend.WikiLink(file, inside) })
}

func trail(file string) []crumb {
	out := []crumb{{"Wiki", "/wiki"}}
	folder := path.Dir(file)
	switch {
	case folder == "people" || folder == "companies" || folder == "skills":
		out = append(out, crumb{upper(folder), "/" + folder})
	case folder == "drafts":
		out = append(out, crumb{"Drafts", "/skills#Drafts"})
	case folder != ".":
		out = append(out, crumb{Name: folder})
	}
	return out
}

// wikiSearchPage answers: where does it stand?
type wikiSearchPage struct {
	Query   string
	Kind    string
	Result  client.WikiResult
	Kinds   []string
	Folders []wikiFolder // without a query: what there is
	Check   client.WikiCheck
}

type wikiFolder struct {
	Title string
	URL   string
	Hits  []client.WikiHit
	More  bool
	Teach string // of an empty folder: what belongs there
	Add   string // address for a new page, "" when pages cannot be written
}

var wikiKinds = []string{"skill", "person", "company", "draft", "page"}

func (s *server) wiki(r *http.Request, _ time.Time) (view, error) {
	q := r.URL.Query()
	p := wikiSearchPage{Query: strings.TrimSpace(q.Get("q")), Kind: q.Get("kind"), Kinds: wikiKinds}
	var err error
	if p.Query != "" || p.Kind != "" {
		p.Result, err = s.backend.WikiSearch(r.Context(), client.WikiQuery{Text: p.Query, Kind: p.Kind, Limit: 50})
	} else {
		for _, f := range []struct{ kind, folder string }{{"skill", "skills"}, {"company", "companies"}, {"person", "people"}, {"page", ""}} {
			var folder wikiFolder
			if folder, err = s.folder(r, f.kind, f.folder, 12); err != nil {
				break
			}
			p.Folders = append(p.Folders, folder)
		}
	}
	if err != nil {
		return view{}, err
	}
	return view{Template: "wiki", Title: "Wiki", Nav: "wiki", Topics: "wiki", Body: p}, nil
}

var folderTeach = map[string]string{
	"skills":    "Runbooks, one file for each failure you know how to heal.",
	"companies": "A page for each company or tenant: its services, environments, who owns what, its status pages.",
	"people":    "A page for each person who is called: what they own and how they are reached.",
}

func (s *server) folder(r *http.Request, kind, folder string, limit int) (wikiFolder, error) {
	found, err := s.backend.WikiSearch(r.Context(), client.WikiQuery{Kind: kind, Limit: limit})
	f := wikiFolder{Title: cmp.Or(upper(folder), "Other pages"), URL: "/wiki?kind=page", Hits: found.Hits, More: found.More, Teach: folderTeach[folder]}
	if folder != "" {
		f.URL = "/" + folder
	}
	return f, err
}

// wikiFolderPage lists a folder: /people, /companies.
func (s *server) wikiFolder(kind, folder string) func(*http.Request, time.Time) (view, error) {
	return func(r *http.Request, _ time.Time) (view, error) {
		f, err := s.folder(r, kind, folder, 200)
		if err != nil {
			return view{}, err
		}
		f.Add = "/wiki/edit?" + url.Values{"path": {folder + "/"}}.Encode()
		return view{Template: "wiki_folder", Title: f.Title, Nav: "wiki", Topics: "wiki", Body: f}, nil
	}
}

// wikiCheck answers: what in the wiki wants mending?
func (s *server) wikiCheck(r *http.Request, _ time.Time) (view, error) {
	c, err := s.backend.WikiCheck(r.Context())
	return view{Template: "wiki_check", Title: "Wiki check", Nav: "wiki", Topics: "wiki", Body: c}, err
}

// wikiHistoryPage shows the versions of a page, and the difference of two.
type wikiHistoryPage struct {
	Path     string
	Back     client.WikiPage
	Versions []client.WikiVersion
	From, To string // commits compared; "" is the page as it is now
	Hunks    []hunk
	Compared bool
}

// hunk is a changed part of a text with the lines around it.
type hunk struct {
	Lines []client.WikiLine
	Left  int // unchanged lines left out before it
}

// around is how many unchanged lines stand beside changed ones.
const around = 3

// hunks leaves out what did not change, but for the lines around.
func hunks(lines []client.WikiLine) []hunk {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.Op != "=" {
			for j := max(0, i-around); j <= min(len(lines)-1, i+around); j++ {
				near[j] = true
			}
		}
	}
	var out []hunk
	left := 0
	for i, l := range lines {
		switch {
		case !near[i]:
			left++
		case i == 0 || !near[i-1]:
			out = append(out, hunk{Left: left, Lines: []client.WikiLine{l}})
			left = 0
		default:
			h := &out[len(out)-1]
			h.Lines = append(h.Lines, l)
		}
	}
	return out
}

func (s *server) wikiHistory(r *http.Request, _ time.Time) (view, error) {
	q := r.URL.Query()
	page, err := s.backend.WikiPage(r.Context(), q.Get("path"))
	if err != nil {
		return view{}, err
	}
	p := wikiHistoryPage{Path: page.Path, Back: page, From: q.Get("from"), To: q.Get("to")}
	if p.Versions, err = s.backend.WikiHistory(r.Context(), page.Path); err != nil {
		return view{}, err
	}
	if p.From == "" && p.To == "" && len(p.Versions) > 1 { // what the last change did
		p.From, p.To = p.Versions[1].Commit, p.Versions[0].Commit
	}
	if p.From != "" || p.To != "" {
		lines, err := s.backend.WikiDiff(r.Context(), page.Path, p.From, p.To)
		if err != nil {
			return view{}, err
		}
		p.Hunks, p.Compared = hunks(lines), true
	}
	return view{Template: "wiki_history", Title: "History of " + page.Title, Nav: "wiki", Topics: "wiki:" + page.Path, Body: p}, nil
}

// runbook leads from the address that alerts carry to the skill it names.
func (s *server) runbook(w http.ResponseWriter, r *http.Request) {
	name, err := s.backend.Runbook(r.Context(), r.PathValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/skills/"+url.PathEscape(string(name)), http.StatusFound)
}

// runbookOf is the skill that an alert's runbook_url names, when the address is
// one of this server.
func (s *server) runbookOf(r *http.Request, address string) (prunella.SkillName, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host != r.Host && !s.backend.Own(address) {
		return "", false
	}
	for _, prefix := range []string{"/runbooks/", "/skills/"} {
		if rest, ok := strings.CutPrefix(u.Path, prefix); ok {
			name, err := s.backend.Runbook(r.Context(), rest)
			return name, err == nil
		}
	}
	return "", false
}

// The API.

func (s *server) apiWikiSearch(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := wholeNumber(r, "limit", 20)
	if err != nil {
		return nil, err
	}
	return s.backend.WikiSearch(r.Context(), client.WikiQuery{Text: q.Get("q"), Kind: q.Get("kind"), Category: q.Get("category"), Owner: q.Get("owner"), Freshness: q.Get("freshness"), Limit: min(limit, 200)})
}

func (s *server) apiWikiPage(r *http.Request) (any, error) {
	return s.backend.WikiPage(r.Context(), r.URL.Query().Get("path"))
}

func (s *server) apiWikiCheck(r *http.Request) (any, error) {
	return s.backend.WikiCheck(r.Context())
}

func (s *server) apiMatchSkills(r *http.Request) (any, error) {
	var in client.SkillText
	if err := readJSON(r, maxText, &in); err != nil {
		return nil, err
	}
	return s.backend.MatchSkills(r.Context(), in.Text)
}

// maxText bounds a text to match, in bytes of JSON.
const maxText = 1 << 20
