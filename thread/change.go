package thread

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella/skill"
)

// change proposes what conversations (newest first) would add to a skill. It
// is false when the skill names all of them already.
func change(k Known, list []Extraction) (Draft, bool) {
	list = slices.DeleteFunc(slices.Clone(list), k.tells)
	if len(list) == 0 {
		return Draft{}, false
	}
	d := Draft{Name: k.Name, Title: k.Title, Of: &k, From: list, Owners: list[0].Owners}
	have := mask(k.Text)
	steps := false
	for _, x := range list {
		day := x.Started.Format(time.DateOnly)
		var differ DraftSection
		for _, i := range x.Worked {
			a := x.Tried[i]
			var missing []Command
			for _, c := range a.Commands {
				if !strings.Contains(have, mask(c.Text)) {
					missing = append(missing, c)
				}
			}
			if len(missing) == 0 && (len(a.Commands) > 0 || saysAlready(k.Text, a.Text)) {
				continue
			}
			steps = true
			differ.Lines = append(differ.Lines, DraftLine{Text: fmt.Sprintf("%s (worked on %s, and is not among the steps above)", upperFirst(a.Text), day), Kind: LineStep, Sources: a.Sources[:1]})
			for _, c := range missing {
				differ.Lines = append(differ.Lines, DraftLine{Text: c.Text, Kind: LineCode, Lang: c.Lang})
			}
			d.Changes = append(d.Changes, "Resolution: another step worked on "+day+": "+a.Text)
		}
		d.add("Resolution", differ.Lines...)
		for _, s := range x.Symptoms {
			if figure.MatchString(s.Text) && !saysAlready(k.Text, s.Text) {
				d.add("Symptoms", item(s))
				d.Changes = append(d.Changes, "Symptoms: also seen on "+day+": "+s.Text)
			}
		}
		for _, f := range followUps([]Extraction{x}).Lines {
			if !saysAlready(k.Text, f.Text) {
				d.add("Prevention follow-ups", f)
				d.Changes = append(d.Changes, "Prevention follow-ups: "+f.Text)
			}
		}
		d.add("Why this keeps happening", DraftLine{Text: fmt.Sprintf("It happened again on **%s** (occurrence %d).", day, x.Occurrence), Kind: LineText, Sources: x.Messages[:1]})
		d.Changes = append(d.Changes, "Source: the conversation of "+day+" in #"+x.Channel)
	}
	d.add("Source", d.source().Lines...)
	d.Version = raised(k.Version, steps) + "-draft"
	return d, true
}

// raised is the next version: another minor one for other steps, else another
// patch. What has no version yet gets its first.
func raised(version string, minor bool) string {
	level := skill.Patch
	if minor {
		level = skill.Minor
	}
	next, err := skill.Bump(version, level)
	if err != nil {
		return "1.0.0"
	}
	return next
}

func (d *Draft) add(section string, lines ...DraftLine) {
	if len(lines) == 0 {
		return
	}
	if i := slices.IndexFunc(d.Sections, func(s DraftSection) bool { return s.Name == section }); i >= 0 {
		d.Sections[i].Lines = append(d.Sections[i].Lines, lines...)
		return
	}
	d.Sections = append(d.Sections, DraftSection{Name: section, Lines: lines})
}

// saysAlready reports whether most words of a sentence stand in one line of a text.
func saysAlready(text, sentence string) bool {
	w := contentWords(mask(sentence))
	if len(w) == 0 {
		return true
	}
	for l := range strings.SplitSeq(text, "\n") {
		if shared(w, contentWords(mask(l)))*10 >= len(w)*7 {
			return true
		}
	}
	return false
}

// changed is the changed skill: the text as it is, with what is added at the
// end of each section, and the front matter's version, provenance and state.
func (d Draft) changed() []byte {
	doc, err := skill.Parse("", []byte(d.Of.Text))
	if err != nil {
		return []byte(d.Of.Text)
	}
	text := d.Of.Text
	var tail strings.Builder
	type insert struct {
		at   int
		text string
	}
	var list []insert
	for _, s := range d.Sections {
		found, ok := doc.Section(s.Name)
		if !ok {
			fmt.Fprintf(&tail, "\n## %s\n\n%s", s.Name, s.markdown(1))
			continue
		}
		body := doc.Text(found.Body)
		end := found.Body.Start + len(strings.TrimRight(body, " \t\r\n"))
		list = append(list, insert{end, "\n" + s.after(body, len(doc.StepsOf(s.Name)))})
	}
	slices.SortStableFunc(list, func(a, b insert) int { return b.at - a.at })
	for _, i := range list {
		text = text[:i.at] + strings.TrimRight(i.text, "\n") + text[i.at:]
	}
	if tail.Len() > 0 {
		text = strings.TrimRight(text, "\n") + "\n" + tail.String()
	}
	out, err := skill.Parse("", []byte(text))
	if err != nil {
		return []byte(d.Of.Text)
	}
	from := d.provenance()
	if have, ok := doc.Meta("extracted-from"); ok && have != "" {
		from = have + "; " + from
	}
	keys := d.conversations()
	if have, ok := doc.Meta("conversations"); ok && have != "" {
		keys = have + ", " + keys
	}
	for _, p := range []skill.Pair{{Key: "version", Value: d.Version}, {Key: "extracted-from", Value: from}, {Key: "conversations", Value: keys}, {Key: "state", Value: "draft"}, {Key: "changes", Value: doc.Hash()}} {
		if err := out.SetMeta(p.Key, p.Value); err != nil {
			return []byte(d.Of.Text)
		}
	}
	return out.Bytes()
}

// after renders lines to stand behind a section's body: steps go on counting,
// items continue a list that ends it.
func (s DraftSection) after(body string, steps int) string {
	text := s.markdown(steps + 1)
	lines := strings.Split(strings.TrimRight(body, " \t\r\n"), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if len(s.Lines) > 0 && s.Lines[0].Kind == LineItem && (strings.HasPrefix(last, "- ") || strings.HasPrefix(last, "* ")) {
		return text
	}
	return "\n" + text
}
