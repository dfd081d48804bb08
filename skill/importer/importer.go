package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/unicode/norm"

	"prunella"
	"prunella/skill"
)

// Result is an imported page.
type Result struct {
	File   []byte // the skill file
	Report Report
}

// Report says what was found in a page. Its JSON keys are a contract
// (docs/skills.md).
type Report struct {
	Title             string            `json:"title"`
	Name              string            `json:"name"`
	Version           string            `json:"version"`
	ClaimedConfidence *float64          `json:"claimed_confidence"` // 0 to 1, null when the page claims none
	LastVerified      *string           `json:"last_verified"`      // 2026-04-19, null when the page says none
	Owners            []string          `json:"owners"`
	Provenance        []skill.SourceRef `json:"provenance"`
	Sections          []string          `json:"sections"` // names without their time
	Steps             Steps             `json:"steps"`
	CodeBlocks        []CodeBlock       `json:"code_blocks"`
	Escalation        []skill.Contact   `json:"escalation"`
	FollowUps         []skill.FollowUp  `json:"follow_ups"`
	Links             []string          `json:"links"`
	Unplaced          []Unplaced        `json:"unplaced"`
}

// Steps are the texts of the steps, in order.
type Steps struct {
	Diagnosis  []string `json:"diagnosis"`
	Resolution []string `json:"resolution"`
}

// CodeBlock is a block of code in the skill file.
type CodeBlock struct {
	Language string `json:"language"` // "" when it cannot be told
	Text     string `json:"text"`
	Section  string `json:"section"`
	Line     int    `json:"line"`             // of its fence in the skill file
	Restored bool   `json:"restored"`         // its indentation was lost and is back
	Flagged  bool   `json:"flagged"`          // its indentation is lost
	Reason   string `json:"reason,omitempty"` // why it could not be restored
}

// Unplaced is a piece of the page that found no place of its own. It is in the
// file all the same.
type Unplaced struct {
	Line   int    `json:"line"` // of the page
	Text   string `json:"text"`
	Reason string `json:"reason"`
}

// Import reads a page: text in UTF-8 or, with its byte order mark, in UTF-16;
// HTML also in the encoding that it declares; a page Saved with its pictures.
// path names it in errors, and names the skill when the page does not. Errors are
// Invalid (text in no encoding that is known, or front matter that is not YAML)
// and TooLarge: over skill.MaxSize, and over MaxSaved with pictures.
func Import(path string, b []byte) (*Result, error) {
	b, err := source(path, b)
	if err != nil {
		return nil, err
	}
	if len(b) > skill.MaxSize {
		return nil, &prunella.Error{Kind: prunella.TooLarge, Op: "import", Where: path,
			Reason: fmt.Sprintf("the page is larger than %d bytes", skill.MaxSize), Remedy: "a skill is one page; split it"}
	}
	if !utf8.Valid(b) {
		_, err := skill.Parse(path, b) // names the place
		return nil, err
	}
	if err := skill.CheckDepth(path, b); err != nil {
		return nil, err
	}
	if d, ours := alreadySkill(path, b); ours {
		return &Result{File: d.Bytes(), Report: report(d, d.Title, nil, nil)}, nil
	}
	text, said := strings.TrimPrefix(string(b), "\uFEFF"), visible(string(b))
	html := isHTML(text)
	if html {
		if text, said, err = fromHTML(text); errors.Is(err, errLarge) {
			return nil, &prunella.Error{Kind: prunella.TooLarge, Op: "import", Where: path, Reason: errLarge.Reason, Remedy: errLarge.Remedy}
		} else if err != nil {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "import", Where: path, Remedy: "copy its text from the browser", Err: err}
		}
		if err := skill.CheckDepth(path, []byte(text)); err != nil {
			return nil, err
		}
	}
	text = strings.Map(printable, strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text))
	text = unseen.ReplaceAllString(text, "$1")
	p := &page{path: path}
	p.read(text)
	file, err := p.file()
	if err != nil {
		return nil, err
	}
	lost := missing(words(said), words(string(file)))
	if html { // a mark or its absence in the middle of a word makes two of one, or one of two
		together := strings.Join(words(string(file)), "")
		lost = slices.DeleteFunc(lost, func(word string) bool { return strings.Contains(together, word) })
	}
	if len(lost) > 0 {
		p.unplaced = append(p.unplaced, Unplaced{Line: 1, Text: strings.Join(lost, " "),
			Reason: "an error of the importer: these words were lost; the page is kept whole below its last section"})
		file = append(file, "\n## Imported page\n\n"+fenced(text)...)
	}
	if html { // lines are those of the page, not of its Markdown
		for i, u := range p.unplaced {
			p.unplaced[i].Line = lineOf(string(b), u.Text)
		}
	}
	d, err := skill.Parse(path, file)
	if err != nil {
		return nil, err
	}
	return &Result{File: file, Report: report(d, p.title, p.unplaced, p.restored)}, nil
}

// source is the page that a file holds, as UTF-8 when its encoding is known.
func source(path string, b []byte) ([]byte, error) {
	saved := Saved(b)
	var err error
	switch {
	case saved && len(b) > MaxSaved:
		return nil, &prunella.Error{Kind: prunella.TooLarge, Op: "import", Where: path,
			Reason: fmt.Sprintf("the saved page is larger than %d bytes", MaxSaved), Remedy: "save it as HTML, without its pictures"}
	case saved:
		b, err = savedPage(b)
	case len(b) <= 2*skill.MaxSize: // UTF-16 takes twice the bytes
		b, err = inUTF8(b, "")
	}
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "import", Where: path, Err: err, Remedy: "save it as UTF-8, or copy its text from the browser"}
	}
	return b, nil
}

// unseen are marks without width that copies have where a line or an item begins.
var unseen = regexp.MustCompile(`(?m)^([ \t]*(?:(?:[-*+•◦▪‣]|\d{1,3}[.)])[ \t]+)?)[\x{200b}-\x{200f}\x{2060}\x{2066}-\x{2069}]+`)

// printable replaces what is no text, such as NUL, by a space, and so the wide,
// narrow and unbreakable spaces of a copy.
func printable(r rune) rune {
	if r == '\n' || r == '\t' {
		return r
	}
	if unicode.Is(unicode.Zs, r) {
		return ' '
	}
	if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
		return ' '
	}
	return r
}

// alreadySkill tells a skill file, which is taken as it is.
func alreadySkill(path string, b []byte) (*skill.Document, bool) {
	d, err := skill.Parse(path, b)
	if err != nil {
		return nil, false
	}
	name, _ := d.Meta("name")
	_, described := d.Meta("description")
	_, versioned := d.Meta("version")
	return d, skill.ValidName(name) && described && versioned
}

func report(d *skill.Document, title string, unplaced []Unplaced, restored map[string]bool) Report {
	s, _ := d.Skill()
	r := Report{Title: title, Name: string(s.Name), Version: s.Version, Owners: s.Owners, Provenance: d.Provenance(),
		Sections: []string{}, Steps: Steps{Diagnosis: d.StepsOf(skill.Diagnosis), Resolution: d.StepsOf(skill.Resolution)},
		CodeBlocks: []CodeBlock{}, Escalation: d.Contacts(), FollowUps: d.FollowUps(), Links: d.Links(), Unplaced: unplaced}
	if r.Owners == nil {
		r.Owners = []string{}
	}
	if r.Unplaced == nil {
		r.Unplaced = []Unplaced{}
	}
	r.ClaimedConfidence, r.LastVerified = d.Claims()
	for _, section := range d.Sections {
		r.Sections = append(r.Sections, section.Name)
	}
	for _, b := range d.Blocks {
		c := CodeBlock{Language: b.Language, Text: b.Code, Section: b.Section, Line: b.Line}
		c.Restored = restored[strings.ReplaceAll(b.Code, "\r\n", "\n")]
		c.Reason = FlatYAML(b.Language, b.Code)
		c.Flagged = c.Reason != ""
		r.CodeBlocks = append(r.CodeBlocks, c)
	}
	return r
}

// lineOf is the line where a text begins in a page, as far as it stands there
// unbroken; 1 when it does not.
func lineOf(page, text string) int {
	for _, part := range append([]string{text}, words(text)...) {
		if at := strings.Index(page, part); at >= 0 && len(part) > 2 {
			return 1 + strings.Count(page[:at], "\n")
		}
	}
	return 1
}

// words are the runs of letters and digits of a text.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// missing are the words that occur more often in one list than in the other.
func missing(in, out []string) []string {
	count := map[string]int{}
	for _, w := range out {
		count[w]++
	}
	var lost []string
	for _, w := range in {
		if count[w]--; count[w] < 0 {
			lost = append(lost, w)
		}
	}
	return lost
}

func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + strings.TrimSuffix(text, "\n") + "\n" + fence + "\n"
}

var (
	camel    = regexp.MustCompile(`([\p{Ll}\d])(\p{Lu})`)
	acronym  = regexp.MustCompile(`(\p{Lu}+)(\p{Lu}\p{Ll}{2,})`)
	notSlug  = regexp.MustCompile(`[^a-z0-9]+`)
	apostrop = strings.NewReplacer("'", "", "’", "", "ß", "ss")
	accents  = runes.Remove(runes.In(unicode.Mn))
)

// slug makes a name of a title: "kube-pod-crash-looping" of "KubePodCrashLooping",
// "disque-sature" of "Disque saturé".
func slug(title string) string {
	if len(strings.Fields(title)) == 1 {
		title = camel.ReplaceAllString(acronym.ReplaceAllString(title, "$1-$2"), "$1-$2")
	}
	plain := accents.String(norm.NFKD.String(strings.ToLower(apostrop.Replace(title))))
	s := strings.Trim(notSlug.ReplaceAllString(plain, "-"), "-")
	if len(s) > 64 {
		s = s[:64]
		if at := strings.LastIndexByte(s, '-'); at > 20 {
			s = s[:at]
		}
	}
	return strings.Trim(s, "-")
}

// fileName is a path without folder and endings.
func fileName(path string) string {
	base := filepath.Base(path)
	for _, end := range []string{skill.Suffix, ".skill", filepath.Ext(base)} {
		if s := strings.TrimSuffix(base, end); s != base && s != "" {
			return strings.TrimSuffix(s, ".skill")
		}
	}
	return base
}
