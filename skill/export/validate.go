package export

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"prunella/skill"
)

// The limits of the Agent Skills specification (agentskills.io/specification).
const (
	maxName          = 64
	maxDescription   = 1024
	maxCompatibility = 500
	maxLines         = 500 // recommended for SKILL.md
)

var (
	fieldNames = []string{"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
	nameRule   = regexp.MustCompile(`^[a-z0-9-]+$`)
	fileLink   = regexp.MustCompile(`\]\(([^()\s#]+)(?:#[^)\s]*)?\)`)
)

// ValidateAgentSkill checks one skill of a folder against the published rules,
// read strictly: block style, no anchors or tags, texts only under metadata, no
// --- inside the front matter, since the reference reader ends it there. What
// the specification recommends is a warning.
func ValidateAgentSkill(fsys fs.FS, dir string) []skill.Problem {
	v := &validator{file: path.Join(dir, "SKILL.md"), line: 1}
	b, err := fs.ReadFile(fsys, v.file)
	if err != nil {
		v.add(skill.SeverityError, 1, "skill-md", "add it; the name is in capitals", "there is no SKILL.md")
		return v.problems
	}
	if !utf8.Valid(b) {
		v.add(skill.SeverityError, 1, "utf-8", "save it as UTF-8", "SKILL.md is not UTF-8 text")
		return v.problems
	}
	front, body, ok := v.split(string(b))
	if !ok {
		return v.problems
	}
	v.front(front, path.Base(dir))
	v.body(fsys, dir, body, bytes.Count(b, []byte("\n"))-strings.Count(body, "\n"))
	if n := bytes.Count(b, []byte("\n")) + 1; n > maxLines {
		v.add(skill.SeverityWarning, 1, "length", "move details to files below references/", "SKILL.md has %d lines, more than the recommended %d", n, maxLines)
	}
	return v.problems
}

// ValidateAgentSkills checks every skill of a folder: that of one skill, one of
// skills, or a project with .agents/skills.
func ValidateAgentSkills(fsys fs.FS) ([]skill.Problem, error) {
	var out []skill.Problem
	found := 0
	err := fs.WalkDir(fsys, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if path.Base(file) == "SKILL.md" {
			found++
			out = append(out, ValidateAgentSkill(fsys, path.Dir(file))...)
		}
		return nil
	})
	if err == nil && found == 0 {
		out = append(out, skill.Problem{File: "SKILL.md", Line: 1, Column: 1, Rule: "skill-md", Severity: skill.SeverityError,
			Text: "there is no SKILL.md anywhere below", Remedy: "prunella skill export --agent-skills DIR writes some"})
	}
	return out, err
}

type validator struct {
	file     string
	line     int
	problems []skill.Problem
}

func (v *validator) add(severity string, line int, rule, remedy, format string, args ...any) {
	v.problems = append(v.problems, skill.Problem{File: v.file, Line: max(line, 1), Column: 1, Rule: rule, Severity: severity, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// split finds the front matter as the reference reader does: between the first
// two ---, wherever they stand.
func (v *validator) split(text string) (front, body string, ok bool) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if !strings.HasPrefix(text, "---") {
		v.add(skill.SeverityError, 1, "front-matter", "begin the file with ---, name: …, description: …, ---", "SKILL.md does not begin with front matter")
		return "", "", false
	}
	parts := strings.SplitN(text, "---", 3)
	if len(parts) < 3 {
		v.add(skill.SeverityError, 1, "front-matter", "end it with ---", "the front matter is not closed")
		return "", "", false
	}
	if !strings.HasPrefix(parts[1], "\n") || !strings.HasSuffix(parts[1], "\n") || parts[2] != "" && parts[2][0] != '\n' {
		v.add(skill.SeverityError, 1+strings.Count(parts[1], "\n"), "front-matter-dashes", "write the dashes in another way", "--- stands inside the front matter, which ends there for other readers")
	}
	return parts[1], parts[2], true
}

func (v *validator) front(front, dir string) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(front), &root); err != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		v.add(skill.SeverityError, 2, "front-matter", "write name: value, one a line", "the front matter is not a YAML mapping")
		return
	}
	v.strict(root.Content[0])
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(root.Content[0].Content); i += 2 {
		key, value := root.Content[0].Content[i], root.Content[0].Content[i+1]
		if seen[key.Value] != nil {
			v.add(skill.SeverityError, key.Line, "duplicate-field", "keep one of them", "%s is written twice", key.Value)
		}
		seen[key.Value] = value
		if !slices.Contains(fieldNames, key.Value) {
			v.add(skill.SeverityError, key.Line, "unknown-field", "move it under metadata", "the standard has no field %s", key.Value)
		}
	}
	v.name(seen["name"], dir)
	if n, s := v.text(seen["description"]); n == 0 || strings.TrimSpace(s) == "" {
		v.add(skill.SeverityError, lineOf(seen["description"]), "description", "say what the skill does and when to use it", "there is no description")
	} else if n > maxDescription {
		v.add(skill.SeverityError, lineOf(seen["description"]), "description", "shorten it", "the description has %d characters, more than %d", n, maxDescription)
	}
	if c := seen["compatibility"]; c != nil {
		if n, _ := v.text(c); n == 0 || n > maxCompatibility {
			v.add(skill.SeverityError, c.Line, "compatibility", "write 1 to 500 characters, or take it away", "compatibility has %d characters", n)
		}
	}
	if l := seen["license"]; l != nil {
		if n, _ := v.text(l); n == 0 {
			v.add(skill.SeverityError, l.Line, "license", "name a license, or take it away", "license is not a text")
		}
	}
	v.metadata(seen["metadata"])
	v.tools(seen["allowed-tools"])
}

func (v *validator) name(n *yaml.Node, dir string) {
	length, name := v.text(n)
	line := lineOf(n)
	switch {
	case length == 0:
		v.add(skill.SeverityError, line, "name", "add name: with a-z, 0-9 and -", "there is no name")
		return
	case length > maxName:
		v.add(skill.SeverityError, line, "name", "shorten it", "the name has %d characters, more than %d", length, maxName)
	case !nameRule.MatchString(name):
		v.add(skill.SeverityError, line, "name", "use a-z, 0-9 and -", "%q has characters that a name cannot have", name)
	case strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") || strings.Contains(name, "--"):
		v.add(skill.SeverityError, line, "name", "use single - between words", "%q begins or ends with -, or has two of them", name)
	}
	if dir != name && dir != "." {
		v.add(skill.SeverityError, line, "name-differs", "rename the folder or the skill", "the name %s is not that of its folder, %s", name, dir)
	}
}

func (v *validator) metadata(n *yaml.Node) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		v.add(skill.SeverityError, n.Line, "metadata", "write key: \"text\" below it", "metadata is not a mapping")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if value := n.Content[i+1]; value.Kind != yaml.ScalarNode || value.Tag != "!!str" {
			v.add(skill.SeverityError, value.Line, "metadata", fmt.Sprintf("put the value of %s in quotes", n.Content[i].Value), "metadata %s is not a text", n.Content[i].Value)
		}
	}
}

func (v *validator) tools(n *yaml.Node) {
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		return
	}
	for _, c := range n.Content {
		if n.Kind != yaml.SequenceNode || c.Kind != yaml.ScalarNode || c.Tag != "!!str" {
			break
		}
		if c == n.Content[len(n.Content)-1] {
			return
		}
	}
	v.add(skill.SeverityError, n.Line, "allowed-tools", "write the tools with spaces between, or as a list", "allowed-tools is neither a text nor a list of texts")
}

// strict refuses what a strict reader of YAML does not take.
func (v *validator) strict(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		v.add(skill.SeverityError, n.Line, "yaml-alias", "write the value out", "anchors and aliases are not allowed")
	}
	if n.Style&yaml.FlowStyle != 0 {
		v.add(skill.SeverityError, n.Line, "flow-style", "write one a line", "braces and brackets are not allowed")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		v.add(skill.SeverityError, n.Line, "yaml-tag", "take the tag away", "tags are not allowed")
	}
	for _, c := range n.Content {
		v.strict(c)
	}
}

func (v *validator) text(n *yaml.Node) (int, string) {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		return 0, ""
	}
	return utf8.RuneCountInString(n.Value), n.Value
}

func lineOf(n *yaml.Node) int {
	if n == nil {
		return 1
	}
	return n.Line
}

// isFile tells a link to a file from an address and from a path of a site.
func isFile(target string) bool {
	return !strings.Contains(target, ":") && (!strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/.."))
}

var codeFence = regexp.MustCompile("^[ \\t>]*(`{3,}|~{3,})")

// inCode marks the lines of fenced blocks, fences included.
func inCode(lines []string) []bool {
	out, open := make([]bool, len(lines)), ""
	for i, line := range lines {
		m := codeFence.FindStringSubmatch(line)
		out[i] = open != "" || m != nil
		switch {
		case m == nil:
		case open == "":
			open = m[1]
		case strings.HasPrefix(m[1], open):
			open = ""
		}
	}
	return out
}

// body checks that the files which the text refers to are there, at most one
// folder deep, and inside the skill.
func (v *validator) body(fsys fs.FS, dir, body string, before int) {
	if strings.TrimSpace(body) == "" {
		v.add(skill.SeverityWarning, before+1, "body", "write what to do", "there are no instructions below the front matter")
	}
	lines := strings.Split(body, "\n")
	for i, code := range inCode(lines) {
		if code {
			continue
		}
		for _, m := range fileLink.FindAllStringSubmatch(lines[i], -1) {
			target := m[1]
			if !isFile(target) {
				continue
			}
			file := path.Join(dir, target)
			if clean := path.Clean(target); strings.HasPrefix(clean, "..") {
				v.add(skill.SeverityError, before+i+1, "file-outside", "keep files inside the skill's folder", "%s is outside the skill", target)
			} else if _, err := fs.Stat(fsys, file); err != nil {
				v.add(skill.SeverityError, before+i+1, "file-missing", "add the file, or correct the link", "there is no file %s", target)
			} else if strings.Count(clean, "/") > 1 {
				v.add(skill.SeverityWarning, before+i+1, "file-depth", "keep files one folder deep", "%s is more than one folder deep", target)
			}
		}
	}
}
