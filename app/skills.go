package app

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"prunella"
	"prunella/skill"
	"prunella/wiki"
)

// skillSet holds the installed skills and the pages they come from. It does not
// change after it was loaded.
type skillSet struct {
	skills []prunella.Skill
	pages  map[prunella.SkillName]page
}

type page struct {
	markdown  string
	claimed   float64
	extracted []string
	problems  []skill.Problem
	links     string // whole text, for backlinks
}

// loadSkills reads the skills of a folder, or the shipped ones. A file that
// cannot be used is an error: a skill that is silently missing at 3 a.m. is
// worse than a server that says at noon why it does not start.
func loadSkills(folder string, exclude []string, catalog []prunella.Spec) (*skillSet, error) {
	pages, dir := wiki.FS(), "skills"
	if folder != "" {
		if st, err := os.Stat(folder); err != nil || !st.IsDir() {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: folder, Reason: "there is no such folder", Remedy: "set skills: to a folder that holds *.skill.md files"}
		}
		pages, dir = os.DirFS(folder), "."
	}
	skills, problems, err := skill.LoadDir(pages, dir, catalog...)
	if err != nil {
		return nil, err
	}
	if bad := skill.Errors(problems); len(bad) > 0 {
		p := bad[0]
		file := p.File
		if folder != "" {
			file = filepath.Join(folder, p.File)
		}
		more := ""
		if len(bad) > 1 {
			more = fmt.Sprintf("; %d more errors", len(bad)-1)
		}
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: fmt.Sprintf("%s:%d", file, p.Line), Reason: p.Text + more, Remedy: p.Remedy}
	}
	set := &skillSet{pages: map[prunella.SkillName]page{}}
	for _, s := range skills {
		if slices.Contains(exclude, string(s.Name)) {
			continue
		}
		b, err := fs.ReadFile(pages, s.Path)
		if err != nil {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: s.Path, Err: err}
		}
		d, err := skill.Parse(s.Path, b)
		if err != nil {
			return nil, err
		}
		pg := page{markdown: body(string(b)), links: string(b)}
		for _, p := range problems {
			if p.File == s.Path {
				pg.problems = append(pg.problems, p)
			}
		}
		if v, ok := d.Meta("claimed-confidence"); ok {
			if f, err := strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64); err == nil {
				pg.claimed = f / 100
			}
		}
		if v, ok := d.Meta("extracted-from"); ok {
			pg.extracted = strings.Split(v, ";")
		}
		set.skills = append(set.skills, s)
		set.pages[s.Name] = pg
	}
	for _, name := range exclude {
		if !slices.ContainsFunc(skills, func(s prunella.Skill) bool { return string(s.Name) == name }) {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: "skills_exclude", Reason: fmt.Sprintf("there is no skill %q", name)}
		}
	}
	return set, nil
}

func (s *skillSet) list() []prunella.Skill {
	return slices.Clone(s.skills)
}

func (s *skillSet) page(name prunella.SkillName) page {
	return s.pages[name]
}

// backlinks are the skills that link to one.
func (s *skillSet) backlinks(name prunella.SkillName) []string {
	var out []string
	for other, p := range s.pages {
		if other != name && strings.Contains(p.links, "[[skills/"+string(name)+".skill") {
			out = append(out, string(other))
		}
	}
	slices.Sort(out)
	return out
}

// body is a page without its front matter.
func body(text string) string {
	rest, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return text
	}
	if _, after, ok := strings.Cut(rest, "\n---\n"); ok {
		return strings.TrimLeft(after, "\n")
	}
	return text
}
