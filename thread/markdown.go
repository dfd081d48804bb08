package thread

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"prunella/skill"
	"prunella/thread/pattern"
)

// provenance is the value of extracted-from.
func (d Draft) provenance() string {
	var out []string
	for _, x := range d.From {
		var people []string
		for _, p := range x.People {
			people = append(people, strings.TrimPrefix(p, "@"))
		}
		out = append(out, "#"+x.Channel+" · "+x.Started.Format(time.DateOnly)+" · "+strings.Join(people, ", "))
	}
	if day := d.lacking(); day != "" {
		out = append(out, "#"+d.From[len(d.From)-1].Channel+" · "+day+" (referenced)")
	}
	return strings.Join(out, "; ")
}

func (d Draft) conversations() string {
	var keys []string
	for _, x := range d.From {
		keys = append(keys, x.Key())
	}
	return strings.Join(keys, ", ")
}

// Markdown renders the draft as a skill file. A change is rendered as the whole
// changed file.
func (d Draft) Markdown() []byte {
	if d.Of != nil {
		return d.changed()
	}
	pairs := []skill.Pair{{Key: "category", Value: d.Category}, {Key: "trigger", Value: d.Title}, {Key: "version", Value: d.Version},
		{Key: "owners", Value: strings.Join(d.Owners, ", ")}, {Key: "extracted-from", Value: d.provenance()}, {Key: "state", Value: "draft"}, {Key: "conversations", Value: d.conversations()}}
	if slices.ContainsFunc(d.Sections, func(s DraftSection) bool {
		return slices.ContainsFunc(s.Lines, func(l DraftLine) bool { return l.Lang == "signal" })
	}) {
		pairs = append(pairs, skill.Pair{Key: "pattern", Value: path.Join(d.Category, d.Name)})
	}
	var b strings.Builder
	b.WriteString(skill.FrontMatter(d.Name, d.Description, pairs))
	fmt.Fprintf(&b, "\n# %s\n", plain(d.Title))
	for _, s := range d.Sections {
		heading := s.Name
		if s.Budget > 0 {
			heading += fmt.Sprintf(" (%d min)", int(s.Budget.Minutes()))
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s", heading, s.markdown(1))
	}
	return []byte(b.String())
}

// markdown renders the lines, numbering steps from first.
func (s DraftSection) markdown(first int) string {
	var b strings.Builder
	last := ""
	for _, l := range s.Lines {
		text := plain(l.Text) + cite(l.Sources)
		switch l.Kind {
		case LineCode:
			indent := ""
			if last == LineStep {
				indent = "   "
			}
			b.WriteString("\n" + fenceOf(l.Text, l.Lang, indent) + "\n")
			continue // a further fence stands below the same step
		case LineStep:
			fmt.Fprintf(&b, "%d. %s\n", first, text)
			first++
		case LineItem:
			if last == LineStep || last == LineText {
				b.WriteString("\n")
			}
			b.WriteString("- " + text + "\n")
		default:
			if last != "" {
				b.WriteString("\n")
			}
			b.WriteString(text + "\n")
			if last == "" {
				last = LineText
			}
		}
		last = l.Kind
	}
	return strings.ReplaceAll(b.String(), "\n\n\n", "\n\n")
}

var fenceRun = pattern.MustCompile("`{3,}")

func fenceOf(code, lang, indent string) string {
	marks := "```"
	for _, run := range fenceRun.FindAllString(code, -1) {
		if len(run) >= len(marks) {
			marks = run + "`"
		}
	}
	lines := []string{marks + lang}
	lines = append(lines, strings.Split(code, "\n")...)
	lines = append(lines, marks)
	for i, l := range lines {
		if l != "" {
			lines[i] = indent + l
		}
	}
	return strings.Join(lines, "\n")
}

// plain keeps a sentence from being read as a heading, a link or HTML.
func plain(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = strings.ReplaceAll(s, "```", "'''")
	if !strings.HasPrefix(s, "[[people/") {
		s = strings.ReplaceAll(s, "[[", "[ [")
	}
	if strings.HasPrefix(s, "#") {
		s = "\\" + s
	}
	return s
}

// cite links the sources of a line: who, and when.
func cite(list []Source) string {
	if len(list) == 0 {
		return ""
	}
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("[%s %s](%s)", strings.NewReplacer("[", "(", "]", ")").Replace(s.Author), Time(s.TS).Format("15:04"), s.Permalink))
	}
	return " (" + strings.Join(out, ", ") + ")"
}
