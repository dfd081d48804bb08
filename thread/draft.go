package thread

import (
	"time"
)

// Draft is a skill file to be, or a change to one.
type Draft struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Category    string         `json:"category"`
	Version     string         `json:"version"`
	Owners      []string       `json:"owners"`
	Of          string         `json:"of,omitempty"` // name of the skill that this would change
	From        []Extraction   `json:"-"`            // newest first
	Sections    []DraftSection `json:"sections"`
	Changes     []string       `json:"changes,omitempty"` // what is proposed to change in Of, one sentence each
}

// DraftSection is a section of the file in order.
type DraftSection struct {
	Name  string      `json:"name"` // "Symptoms"
	Lines []DraftLine `json:"lines"`
}

// DraftLine is one item or paragraph, with where it comes from. A Code line
// stands in a fence.
type DraftLine struct {
	Text    string   `json:"text"`
	Kind    string   `json:"kind"` // item | step | text | code
	Lang    string   `json:"lang,omitempty"`
	Sources []Source `json:"sources,omitempty"`
}

// Drafts makes one draft for each failure: of all conversations about it, or as
// a change to the skill that it was seen with before.
func Drafts(extractions []Extraction, known []Known) []Draft { return nil }

// Markdown renders the draft as a skill file.
func (d Draft) Markdown() []byte { return nil }

// WriteDraft writes DIR/drafts/NAME.skill.md and returns its path. A draft that
// is there and was not made from the same conversations is never overwritten:
// Conflict.
func WriteDraft(wiki string, d Draft) (path string, err error) { return "", nil }

// Accepted is what Accept did.
type Accepted struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Version string `json:"version"`
	By      string `json:"by"`
	Change  bool   `json:"change"` // an existing skill was changed
}

// Accept makes the draft a skill: it is moved to DIR/skills, or the change it
// proposes is applied, with the person's name in it. NotFound without such a
// draft, Conflict when a skill of that name exists or has changed since.
func Accept(wiki, name, who string, now time.Time) (Accepted, error) { return Accepted{}, nil }
