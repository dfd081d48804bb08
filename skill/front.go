package skill

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pair is one entry of the front matter.
type Pair struct{ Key, Value string }

// FrontMatter writes the beginning of a skill file, both fences included: name
// and description, then the pairs under metadata in their order, without those
// that have no value; a pair whose key the standard has at the top level stands
// there. It is valid for the Agent Skills standard: block style, every value a
// text, no --- inside. Values may have several lines.
func FrontMatter(name, description string, metadata []Pair) string {
	var b strings.Builder
	b.WriteString("---\nname: " + written(name) + "\ndescription: " + written(description) + "\n")
	for _, p := range metadata {
		if p.Value != "" && slices.Contains(standard, p.Key) {
			b.WriteString(p.Key + ": " + written(p.Value) + "\n")
		}
	}
	open := false
	for _, p := range metadata {
		if p.Value == "" || slices.Contains(standard, p.Key) {
			continue
		}
		if !open {
			b.WriteString("metadata:\n")
			open = true
		}
		b.WriteString("  " + p.Key + ": " + written(p.Value) + "\n")
	}
	b.WriteString("---\n")
	return b.String()
}

const deep = "    " // the lines of a value under metadata

// written is a value as YAML: on one line, or its lines one below the other,
// as they are when YAML can hold them so.
func written(value string) string {
	if !strings.ContainsAny(value, "\n\t") && !strings.Contains(value, "---") {
		return quote(value, 0)
	}
	lines := strings.Split(value, "\n")
	if len(lines) > 1 && !strings.Contains(value, "---") && strings.TrimLeft(lines[0], " \t") == lines[0] && lines[0] != "" {
		literal := "|-"
		for _, line := range lines {
			literal += "\n"
			if line != "" {
				literal += deep + line
			}
		}
		var back struct{ M struct{ V string } }
		if yaml.Unmarshal([]byte("m:\n  v: "+literal+"\n"), &back) == nil && back.M.V == value {
			return literal
		}
	}
	for i, line := range lines {
		line = escape(line, true)
		if i > 0 && strings.HasPrefix(line, " ") {
			line = `\` + line
		}
		lines[i] = line
	}
	return `"` + strings.Join(lines, `\n\`+"\n"+deep) + `"`
}

// ValidName tells whether a text can be the name of a skill: 1 to 64 of a-z,
// 0-9 and single hyphens.
func ValidName(name string) bool { return idPattern.MatchString(name) && len(name) <= 64 }

// ValidVersion tells whether a text is a semantic version, a leading v allowed.
func ValidVersion(version string) bool { return versionPattern.MatchString(version) }

// ValidPattern tells whether a text names a pattern: area/failure.
func ValidPattern(pattern string) bool { return patternPattern.MatchString(pattern) }

// Body is the file without its front matter.
func (d *Document) Body() Span { return Span{d.front.stop, len(d.src)} }

// BlockSpan is where a fenced block stands, its fences included.
func (d *Document) BlockSpan(b Block) Span {
	s := Span{d.lines[b.Line-1], b.Content.Stop}
	for line := b.Line + 1; line <= len(d.lines); line++ {
		if d.lines[line-1] < b.Content.Stop {
			continue
		}
		if closing := strings.TrimLeft(string(d.src[d.lines[line-1]:d.lineEnd(line)]), "> \t"); strings.HasPrefix(closing, "```") || strings.HasPrefix(closing, "~~~") {
			s.Stop = d.lineEnd(line)
		}
		break
	}
	return s
}
