package export

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"prunella"
	"prunella/skill"
)

// File is one file of an exported skill.
type File struct {
	Path string // below .agents/skills/<name>, with /
	Text []byte
	Run  bool // it is a script
}

// AgentSkill turns a skill into the files of an Agent Skill: SKILL.md with the
// front matter that the standard allows and the page; references/BLOCKS.md with
// the blocks that Prunella runs, when there are any; references/PAGES.md with
// the pages that the skill links to, when text finds them; scripts/ with the
// shell code of its steps. Links to files beside the page become text. text gives the text of a wiki page, false when there
// is none. The error is Invalid: the skill's name or description break the
// standard.
func AgentSkill(d *skill.Document, text func(page string) (string, bool)) ([]File, error) {
	s, _ := d.Skill()
	if !skill.ValidName(string(s.Name)) {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "export", Where: d.Path, Reason: fmt.Sprintf("%q cannot be the name of an agent skill", s.Name), Remedy: "use 1 to 64 of a-z, 0-9 and single -"}
	}
	if n := len([]rune(strings.TrimSpace(s.Description))); n == 0 || n > 1024 {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "export", Where: d.Path, Reason: fmt.Sprintf("the description has %d characters", n), Remedy: "write description: with 1 to 1024 characters that say when to use the skill"}
	}
	body, blocks := withoutOurs(d)
	body = unlinked(body)
	files := []File{}
	var links []string
	if blocks != "" {
		files = append(files, File{Path: "references/BLOCKS.md", Text: []byte(blocks)})
		links = append(links, "- [What Prunella runs](references/BLOCKS.md): signals, checks, actions and escalations of this skill, as YAML")
	}
	if pages := linked(d, text); pages != "" {
		files = append(files, File{Path: "references/PAGES.md", Text: []byte(pages)})
		links = append(links, "- [Linked pages](references/PAGES.md): people and services that the text names")
	}
	for i, script := range scripts(d) {
		name := fmt.Sprintf("scripts/%02d-%s.sh", i+1, script.name)
		files = append(files, File{Path: name, Text: []byte(script.text), Run: true})
		links = append(links, fmt.Sprintf("- [%s](%s): commands of %s, to be read before they are run", path.Base(name), name, script.section))
	}
	if len(links) > 0 {
		body = strings.TrimRight(body, "\r\n") + "\n\n## Files\n\n" + strings.Join(links, "\n") + "\n"
	}
	md := File{Path: "SKILL.md", Text: []byte(head(d, s) + "\n" + strings.TrimLeft(body, "\r\n"))}
	return append([]File{md}, files...), nil
}

// unlinked turns links to files beside the page, which stay behind, into text:
// "[Queues] (../queues.md)".
func unlinked(body string) string {
	lines := strings.Split(body, "\n")
	for i, code := range inCode(lines) {
		if !code {
			lines[i] = fileLink.ReplaceAllStringFunc(lines[i], func(link string) string {
				if isFile(fileLink.FindStringSubmatch(link)[1]) {
					return "] " + link[1:]
				}
				return link
			})
		}
	}
	return strings.Join(lines, "\n")
}

// head is the front matter: what the standard has at the top level, and every
// other value as a text under metadata.
func head(d *skill.Document, s prunella.Skill) string {
	var pairs []skill.Pair
	for _, key := range d.MetaKeys() {
		switch key {
		case "name", "description", "page-head", "page-facts", "page-title":
			continue
		}
		if v, _ := d.Meta(key); v != "" {
			pairs = append(pairs, skill.Pair{Key: key, Value: v})
		}
	}
	return skill.FrontMatter(string(s.Name), s.Description, append(pairs, skill.Pair{Key: "prunella-hash", Value: s.Hash}))
}

var ours = []string{"signal", "check", "action", "escalate"}

// withoutOurs is the text without the blocks that Prunella runs, and a page of
// those blocks.
func withoutOurs(d *skill.Document) (body, blocks string) {
	var b, moved strings.Builder
	part := d.Body()
	at := part.Start
	for _, block := range d.Blocks {
		if !slices.Contains(ours, block.Language) {
			continue
		}
		span := d.BlockSpan(block)
		b.WriteString(d.Text(skill.Span{Start: at, Stop: span.Start}))
		at = span.Stop
		fmt.Fprintf(&moved, "\n## %s: %s\n\n```yaml\n%s```\n", block.Section, block.Language, withNewline(block.Code))
	}
	b.WriteString(d.Text(skill.Span{Start: at, Stop: part.Stop}))
	if moved.Len() == 0 {
		return b.String(), ""
	}
	return blankLines.ReplaceAllString(b.String(), "\n\n"), "# What Prunella runs\n\nThe blocks of the skill file, in order. They need Prunella; a person follows the steps in SKILL.md instead.\n" + moved.String()
}

var blankLines = regexp.MustCompile(`\n\n\n+`)

func withNewline(s string) string {
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}

// linked are the texts of the wiki pages that a skill links to, other skills
// left out: each of them is an agent skill of its own.
func linked(d *skill.Document, text func(string) (string, bool)) string {
	var b strings.Builder
	for _, link := range d.Links() {
		link, _, _ = strings.Cut(link, "#")
		if strings.HasPrefix(link, "skills/") || !strings.Contains(link, "/") || strings.Contains(link, "://") {
			continue
		}
		if page, ok := text(link); ok {
			fmt.Fprintf(&b, "\n<!-- %s -->\n\n%s", link, withNewline(page))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "Pages of the wiki that the skill links to.\n" + b.String()
}

type script struct{ name, section, text string }

var (
	shells      = []string{"bash", "sh", "shell", "zsh", "console"}
	placeholder = regexp.MustCompile(`<[A-Za-z][\w -]*>`)
	promptSign  = regexp.MustCompile(`(?m)^[ \t]*\$ `)
	notInName   = regexp.MustCompile(`[^a-z0-9]+`)
)

// scripts are the blocks of shell code of the steps. What has to be filled in,
// written <like this>, becomes an environment variable that must be set, so that
// nothing is spliced into shell text.
func scripts(d *skill.Document) []script {
	var out []script
	for _, b := range d.Blocks {
		if !slices.Contains(shells, b.Language) || strings.TrimSpace(b.Code) == "" {
			continue
		}
		code := strings.ReplaceAll(b.Code, "\r\n", "\n")
		if promptSign.MatchString(code) { // a session: keep what was typed
			var typed []string
			for _, line := range strings.Split(code, "\n") {
				if promptSign.MatchString(line) {
					typed = append(typed, promptSign.ReplaceAllString(line, ""))
				}
			}
			code = strings.Join(typed, "\n")
		}
		var needed []string
		code = placeholder.ReplaceAllStringFunc(code, func(p string) string {
			name := strings.ToUpper(strings.Trim(notInName.ReplaceAllString(strings.ToLower(p), "_"), "_"))
			if !slices.Contains(needed, name) {
				needed = append(needed, name)
			}
			return "${" + name + "}"
		})
		text := "#!/usr/bin/env bash\n# " + titleLine(d.Title) + "\n# Section: " + titleLine(b.Section) + "\nset -euo pipefail\n"
		for _, name := range needed {
			text += fmt.Sprintf(": \"${%s:?set %s first}\"\n", name, name)
		}
		section := strings.Trim(notInName.ReplaceAllString(strings.ToLower(b.Section), "-"), "-")
		if section == "" {
			section = "step"
		}
		out = append(out, script{name: section, section: b.Section, text: text + "\n" + withNewline(code)})
	}
	return out
}

func titleLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// WriteAgentSkill writes the files of a skill below dir/.agents/skills/<name>,
// replacing what an earlier export left there, and validates what it wrote.
func WriteAgentSkill(dir, name string, files []File) error {
	root := filepath.Join(dir, ".agents", "skills", name)
	fail := func(err error) error {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "export", Where: root, Err: err, Remedy: "give another folder"}
	}
	for _, old := range []string{"references", "scripts"} {
		if err := os.RemoveAll(filepath.Join(root, old)); err != nil {
			return fail(err)
		}
	}
	for _, f := range files {
		file, mode := filepath.Join(root, filepath.FromSlash(f.Path)), fs.FileMode(0o644)
		if f.Run {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fail(err)
		}
		if err := os.WriteFile(file, f.Text, mode); err != nil {
			return fail(err)
		}
	}
	if problems := skill.Errors(ValidateAgentSkill(os.DirFS(filepath.Dir(root)), name)); len(problems) > 0 {
		return &prunella.Error{Kind: prunella.Internal, Op: "export", Where: root, Reason: "what was written breaks the standard: " + problems[0].String()}
	}
	return nil
}
