package importer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"prunella/skill"
)

// facts are what a page says about itself.
type facts struct {
	name     string // from the path that it shows
	title    string // from the front matter of another tool
	category string
	trigger  string
	owners   []string
	sources  []string
	values   map[string]string // every other, by its key under metadata
	order    []string          // keys of values that the format does not know
}

// labels are the words before a value, and the key that the value gets.
var labels = labelsOf(map[string]string{
	"trigger":            "trigger|triggers|trigger on|triggered by|trigger condition|trigger conditions|when to use|use when",
	"version":            "version|runbook version|page version|doc version|document version|skill version",
	"claimed-confidence": "confidence|claimed confidence|confidence level|confidence score",
	"last-verified":      "last verified|last verified on|verified|verified on|last tested|last validated|last proven|last-verified",
	"owners":             "owner|owners|owner(s)|owned by|maintainer|maintainers|maintainer(s)|maintained by|runbook owner|service owner|page owner",
	"extracted-from":     "extracted from|extracted|source thread|source threads|source thread(s)|source conversation|source conversations|derived from|learned from|provenance|distilled from",
	"category":           "category|categories",
	"last-updated":       "last updated|updated|last modified|last-updated|last change|last edited",
	"last-reviewed":      "last reviewed|last review|last review date|reviewed|reviewed on|last-reviewed",
	"authors":            "author|authors|author(s)|written by|created by",
	"severity":           "severity|severities|default severity|priority",
	"service":            "service|services|service(s)|service / system|system|component|components",
	"team":               "team|owning team|team(s)|teams",
	"alert":              "alert|alerts|alert name|alert names|alert name(s)",
	"status":             "status|state",
	"tags":               "tags|labels|keywords",
	"environment":        "environment|environments|env",
	"runbook-id":         "runbook id|id|document id|doc id",
	"on-call":            "on-call|on call|oncall|on-call rotation|on-call team|pager",
	"channel":            "channel|slack channel|slack|incident channel",
	"review-cycle":       "review cycle|review cadence|review",
	"created":            "created|created on|date created|date",
	"time-to-resolve":    "estimated time|time to resolve|estimated duration|duration|eta|time estimate",
	"reviewers":          "reviewer|reviewers|approver|approvers|approved by",
	"tenant":             "tenant|company|customer",
	"pattern":            "pattern",
})

func labelsOf(words map[string]string) map[string]string {
	out := map[string]string{}
	for key, list := range words {
		for _, label := range strings.Split(list, "|") {
			out[label] = key
		}
	}
	return out
}

// typed are the keys whose value can be told without a separator.
var typed = map[string]*regexp.Regexp{
	"version":            regexp.MustCompile(`^v?\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`),
	"claimed-confidence": regexp.MustCompile(`^(\d{1,3}([.,]\d+)?\s*(%|percent|/\s*100)|0?[.,]\d+)( .*)?$`),
	"last-verified":      regexp.MustCompile(`\d`),
	"last-updated":       regexp.MustCompile(`\d`),
	"last-reviewed":      regexp.MustCompile(`\d`),
	"owners":             regexp.MustCompile(`^(@|\[\[people/)`),
	"extracted-from":     regexp.MustCompile(`#[\p{L}]|\d{4}-\d\d-\d\d`),
}

// labelKey is the key of a line that is a label and nothing else.
func labelKey(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(strings.TrimRight(strings.TrimSpace(text), ":")), " "))
	return labels[text]
}

type pair struct{ key, value string }

var (
	quoted    = regexp.MustCompile(`^(?:\s*>)+\s?`)
	bullet    = regexp.MustCompile(`^\s*(?:[-*+•◦▪‣]|\d{1,2}[.)])\s+`)
	separated = regexp.MustCompile(`^(?:\*\*|__|_|\*)?([\p{L}][\p{L}\p{N} ()/&'_.-]{0,40}?)(?:\*\*|__|_|\*)?\s*(?::|=|\s[–—]\s)\s*(?:\*\*|__)?\s*(\S.*)$`)
	pieces    = regexp.MustCompile(`\s+[·•|]\s+|\s*;\s+|\t+`)
	cells     = regexp.MustCompile(`\s*\|+\s*`)
	fieldList = regexp.MustCompile(`^:([A-Za-z][\w ()-]{0,40}):\s+(\S.*)$`) // of reStructuredText and AsciiDoc
	gluedWord = regexp.MustCompile(`Version|Claimed confidence|Confidence|Last verified|Last tested|Last reviewed|Last updated|Owners?|Maintainers?|Extracted from|Trigger|Category|Severity|Status|Team|Service`)
)

// unmarked is a line without bullet, emphasis and white space around it.
func unmarked(line string) string {
	text := strings.TrimSpace(bullet.ReplaceAllString(quoted.ReplaceAllString(line, ""), ""))
	for _, mark := range []string{"**", "__", "*", "_"} {
		if strings.HasPrefix(text, mark) && strings.HasSuffix(text, mark) && len(text) > 2*len(mark) && strings.Count(text, mark) == 2 {
			text = strings.TrimSpace(text[len(mark) : len(text)-len(mark)])
		}
	}
	return strings.TrimSpace(strings.TrimRight(text, "\\"))
}

// longest line, in bytes, that is looked at for facts.
const longest = 2000

// pairs reads the known labels with their values that a line consists of.
func pairs(line string) []pair {
	if len(line) > longest {
		return nil
	}
	text := unmarked(line)
	if row := strings.TrimSpace(line); strings.HasPrefix(row, "|") {
		fields := cells.Split(strings.Trim(row, "| \t"), -1)
		if len(fields) == 2 && labelKey(unmarked(fields[0])) != "" && fields[1] != "" {
			return []pair{{labelKey(unmarked(fields[0])), unmarked(fields[1])}}
		}
		return nil
	}
	if parts := pieces.Split(text, -1); len(parts) > 1 {
		var out []pair
		for _, part := range parts {
			if one, ok := onePair(part); ok {
				out = append(out, one)
			}
		}
		if len(out) == len(parts) {
			return out
		}
		if strings.Contains(text, "\t") && len(parts) == 2 && labelKey(parts[0]) != "" {
			return []pair{{labelKey(parts[0]), parts[1]}}
		}
	}
	if several := run(text); len(several) > 1 {
		return several
	}
	if one, ok := onePair(text); ok {
		return []pair{one}
	}
	return glued(text)
}

// labelled finds the known labels of a line, each with its colon.
var labelled = func() *regexp.Regexp {
	all := slices.Sorted(maps.Keys(labels))
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	for i, label := range all {
		all[i] = regexp.QuoteMeta(label)
	}
	return regexp.MustCompile(`(?i)(?:^|\s)(` + strings.Join(all, "|") + `):\s+`)
}()

// run takes a line apart in which one fact follows another: "Version: 1.0 Owner:
// @dana". Nil when it does not begin with one, or has only one.
func run(text string) []pair {
	plain := unstressed.Replace(text)
	at := labelled.FindAllStringSubmatchIndex(plain, -1)
	if len(at) < 2 || at[0][0] != 0 {
		return nil
	}
	for i, m := range at {
		if !unicode.IsUpper(rune(plain[m[2]])) {
			return nil
		}
		at[i] = []int{m[0], m[2], m[3], m[1]}
	}
	return apart(plain, at)
}

// apart takes a line apart that is all labels and values: where one begins (with
// what is before its label), the label, its end, and where its value begins. Nil
// when a value is missing.
func apart(text string, at [][]int) []pair {
	var out []pair
	for i, m := range at {
		stop := len(text)
		if i+1 < len(at) {
			stop = at[i+1][0]
		}
		value := strings.TrimSpace(text[m[3]:stop])
		if value == "" {
			return nil
		}
		out = append(out, pair{labelKey(text[m[1]:m[2]]), value})
	}
	return out
}

var unstressed = strings.NewReplacer("**", "", "__", "")

func onePair(text string) (pair, bool) {
	text = strings.TrimSpace(text)
	if field := fieldList.FindStringSubmatch(text); field != nil {
		text = field[1] + ": " + field[2]
	}
	if m := separated.FindStringSubmatch(text); m != nil {
		if key := labelKey(m[1]); key != "" {
			return pair{key, strings.TrimSpace(strings.TrimRight(strings.TrimPrefix(m[2], "**"), "\\"))}, true
		}
	}
	words := strings.Fields(unstressed.Replace(text))
	for n := min(3, len(words)-1); n > 0; n-- {
		key := labelKey(strings.Join(words[:n], " "))
		value := strings.Join(words[n:], " ")
		if shape := typed[key]; shape != nil && shape.MatchString(value) && (key != "last-verified" && key != "last-updated" && key != "last-reviewed" || skill.ReadDate(value) != "") {
			return pair{key, value}, true
		}
		if key == "trigger" && n == 1 && words[0] == "Trigger" && len(words) > 3 && !strings.HasPrefix(value, "on ") {
			return pair{key, value}, true
		}
	}
	return pair{}, false
}

// glued takes a line apart whose labels and values lost what was between them:
// "Versionv1.0.0Confidence88%".
func glued(text string) []pair {
	if text == "" || len(text) > longest || !unicode.IsUpper(rune(text[0])) {
		return nil
	}
	at := gluedWord.FindAllStringIndex(text, -1)
	if len(at) < 2 || at[0][0] != 0 {
		return nil
	}
	for i, m := range at {
		at[i] = []int{m[0], m[0], m[1], m[1]}
	}
	return apart(text, at)
}

// front takes a value from the front matter of another tool.
func (f *facts) front(key, value string) {
	value = strings.TrimSpace(value)
	plain := strings.NewReplacer("-", " ", "_", " ").Replace(camel.ReplaceAllString(key, "$1 $2"))
	switch {
	case value == "":
	case key == "title":
		f.title = value
	case (key == "name" || key == "slug") && skill.ValidName(value):
		f.name = value
	case key == "description" || key == "summary":
		f.put("trigger", value)
	case labelKey(plain) != "":
		f.put(labelKey(plain), value)
	case labelKey(strings.TrimPrefix(plain, "metadata ")) != "":
		f.put(labelKey(strings.TrimPrefix(plain, "metadata ")), value)
	}
}

// nextSource is where one source ends and the next, a channel or an address, begins.
var nextSource = regexp.MustCompile(`\s*(?:[,;]|\band\b|&)\s+(#[\p{L}]|https?://)`)

var number3 = regexp.MustCompile(`^(v?)(\d+)(?:\.(\d+))?(?:\.(\d+))?(.*)$`)

// put sets a fact; what was said first stays.
func (f *facts) put(key, value string) {
	value = strings.TrimSpace(value)
	switch key {
	case "":
		return
	case "trigger":
		if f.trigger == "" {
			f.trigger = value
		}
		return
	case "category":
		if f.category == "" {
			f.category = strings.ToLower(value)
		}
		return
	case "owners":
		for _, o := range owners(value) {
			if !slices.Contains(f.owners, o) {
				f.owners = append(f.owners, o)
			}
		}
		return
	case "extracted-from":
		for _, source := range strings.Split(nextSource.ReplaceAllString(value, "\n$1"), "\n") {
			f.sources = append(f.sources, strings.ReplaceAll(skill.ReadSource(source).Text, ";", ","))
		}
		return
	}
	if f.values == nil {
		f.values = map[string]string{}
	}
	if f.values[key] != "" {
		return
	}
	f.values[key] = value
	if !slices.Contains([]string{"version", "claimed-confidence", "last-verified"}, key) {
		f.order = append(f.order, key)
	}
	if c, ok := skill.ReadConfidence(value); key == "claimed-confidence" && ok && !strings.Contains(value, "%") {
		f.values[key] = strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", 100*c), "0"), ".") + "%"
	}
}

// version is the page's as SemVer; a page without one begins at 0.1.0.
func (f *facts) version() string {
	m := number3.FindStringSubmatch(f.values["version"])
	if m == nil {
		return "0.1.0"
	}
	for i := 3; i < 5; i++ {
		if m[i] == "" {
			m[i] = "0"
		}
	}
	if v := m[1] + m[2] + "." + m[3] + "." + m[4] + m[5]; skill.ValidVersion(v) {
		return v
	}
	return m[1] + m[2] + "." + m[3] + "." + m[4]
}

func (f *facts) lastVerified() string {
	if day := skill.ReadDate(f.values["last-verified"]); day != "" {
		return day
	}
	return f.values["last-verified"]
}

var (
	ownerSplit = regexp.MustCompile(`\s*[,;/]\s*|\s+(?:and|&)\s+|\s+(?:@)`)
	ownerLink  = regexp.MustCompile(`\[\[(?:people/)?([^\]|#]+)[^\]]*\]\]`)
	ownerNote  = regexp.MustCompile(`\s*\([^)]*\)`)
	mdText     = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
)

// owners takes a list of names apart; who has an @ keeps it, and a link to a
// person becomes one.
func owners(value string) []string {
	value = ownerLink.ReplaceAllString(strings.ReplaceAll(value, "`", ""), "@$1")
	value = ownerNote.ReplaceAllString(mdText.ReplaceAllString(value, "$1"), "")
	value = strings.ReplaceAll(value, " @", " , @")
	var out []string
	for _, o := range ownerSplit.Split(value, -1) {
		if o = strings.Trim(strings.TrimSpace(o), "*_, "); o != "" {
			out = append(out, o)
		}
	}
	return out
}

// fromSections fills what only the sections tell: the trigger of a page that
// has no line for it.
func (f *facts) fromSections(d *skill.Document) {
	for _, s := range d.Sections {
		switch name := strings.ToLower(s.Name); name {
		case "metadata", "document information", "about this runbook", "page information", "runbook info", "info", "details", "overview", "summary":
			for _, line := range strings.Split(d.Text(s.Body), "\n") {
				if strings.HasPrefix(name, "over") || name == "summary" {
					if !strings.Contains(line, "**") && !strings.HasPrefix(strings.TrimSpace(line), "|") {
						continue
					}
				}
				for _, one := range pairs(line) {
					f.put(one.key, one.value)
				}
			}
		}
	}
	for _, want := range []string{"trigger", "triggers", "when to use", "when to use this", "when to use this runbook", "trigger conditions", "meaning", "alert", "overview", "summary", "description"} {
		if f.trigger != "" {
			return
		}
		for _, s := range d.Sections {
			if strings.EqualFold(s.Name, want) {
				f.put("trigger", firstSentence(d.Items(s.Body)))
			}
		}
	}
}

func firstSentence(items []skill.Item) string {
	for _, i := range items {
		if strings.HasPrefix(i.Text, "<") || strings.HasPrefix(i.Text, "{{") || i.Marker == "|" || len(strings.Fields(i.Text)) < 3 {
			continue
		}
		if r := []rune(i.Text); len(r) > 600 {
			return string(r[:599]) + "…"
		}
		return i.Text
	}
	return ""
}
