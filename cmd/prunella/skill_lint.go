package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"prunella"
	"prunella/action"
	"prunella/skill"
	"prunella/skill/export"
)

type skillLintCmd struct {
	library
	Path        string `arg:"" optional:"" help:"A skill file or a folder; default: the skills of the wiki." placeholder:"FILE|DIR"`
	AgentSkills string `help:"Check a folder of agent skills against the published rules instead." placeholder:"DIR" type:"path" name:"agent-skills"`
	JSON        bool   `help:"Print JSON." name:"json"`
}

// lintReport is what lint found.
type lintReport struct {
	Files    int             `json:"files"`
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Problems []skill.Problem `json:"problems"` // file, line, column, rule, text, remedy, severity
	Autonomy []autonomyView  `json:"autonomy"` // for each skill, what stands between it and acting alone
}

type autonomyView struct {
	Name       string          `json:"name"`
	File       string          `json:"file"`
	Unattended bool            `json:"unattended"` // nothing in the file does
	Blocked    []skill.Problem `json:"blocked_by"`
}

func (cmd skillLintCmd) Run(c *console) error {
	r := lintReport{Problems: []skill.Problem{}, Autonomy: []autonomyView{}}
	var err error
	if cmd.AgentSkills != "" {
		err = r.agentSkills(cmd.AgentSkills)
	} else {
		err = cmd.lint(&r)
	}
	if err != nil {
		return err
	}
	r.Errors = len(skill.Errors(r.Problems))
	for _, p := range r.Problems {
		if p.Severity == skill.SeverityWarning {
			r.Warnings++
		}
	}
	if cmd.JSON {
		if err := printJSON(c.out, r); err != nil {
			return err
		}
	} else {
		c.lint(r)
	}
	if r.Errors > 0 {
		return errFailed
	}
	return nil
}

func (r *lintReport) agentSkills(dir string) error {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return &prunella.Error{Kind: prunella.NotFound, Op: "lint", Where: dir, Reason: "there is no such folder"}
	}
	problems, err := export.ValidateAgentSkills(os.DirFS(dir))
	if err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "lint", Where: dir, Err: err}
	}
	seen := map[string]bool{}
	for _, p := range problems {
		p.File = filepath.Join(dir, filepath.FromSlash(p.File))
		r.Problems = append(r.Problems, p)
		seen[p.File] = true
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(file string, _ fs.DirEntry, err error) error {
		if path.Base(file) == "SKILL.md" {
			r.Files++
		}
		return err
	})
	return err
}

func (cmd skillLintCmd) lint(r *lintReport) error {
	if cmd.Path != "" {
		st, err := os.Stat(cmd.Path)
		if err != nil {
			return &prunella.Error{Kind: prunella.NotFound, Op: "lint", Where: cmd.Path, Reason: "there is no such file or folder"}
		}
		if !st.IsDir() {
			return r.file(cmd.Path)
		}
		cmd.Wiki = cmd.Path
	}
	fsys, files, err := cmd.files()
	if err != nil {
		return err
	}
	taken := map[string]string{}
	for _, file := range files {
		b, err := fs.ReadFile(fsys, file)
		if err != nil {
			return &prunella.Error{Kind: prunella.Invalid, Op: "read", Where: file, Err: err}
		}
		shown := cmd.shown(file)
		d := r.add(shown, b)
		if d == nil {
			continue
		}
		exists := func(page string) bool { _, ok := cmd.text(page); return ok }
		if strings.HasPrefix(file, "skills/") {
			r.Problems = append(r.Problems, skill.LintLinks(d, exists)...)
		}
		name, _ := d.Meta("name")
		if other := taken[name]; other != "" {
			r.Problems = append(r.Problems, skill.Problem{File: shown, Line: d.MetaLine("name"), Column: 1, Rule: "duplicate-name", Severity: skill.SeverityError,
				Text: fmt.Sprintf("the name %s is taken by %s", name, other), Remedy: "rename one of the two files and its name"})
		}
		taken[name] = shown
	}
	return nil
}

// file lints one file. On its own, outside a folder of skills, it may have any
// file name.
func (r *lintReport) file(file string) error {
	b, err := readPage(file, skill.MaxSize)
	if err != nil {
		return err
	}
	r.add(file, b)
	abs, err := filepath.Abs(file)
	if err != nil || filepath.Base(filepath.Dir(abs)) == "skills" {
		return nil
	}
	for i := range r.Problems {
		if r.Problems[i].Rule == "name-differs" {
			r.Problems[i].Severity = skill.SeverityWarning
		}
	}
	for i := range r.Autonomy {
		r.Autonomy[i].Blocked = skill.Autonomy(r.Problems)
		r.Autonomy[i].Unattended = len(r.Autonomy[i].Blocked) == 0
	}
	return nil
}

// add lints a file's bytes and returns the document, nil when it cannot be read.
func (r *lintReport) add(file string, b []byte) *skill.Document {
	r.Files++
	d, err := skill.Parse(file, b)
	if err != nil {
		r.Problems = append(r.Problems, skill.ProblemOf(file, err))
		return nil
	}
	problems := skill.Lint(d, action.Catalog())
	r.Problems = append(r.Problems, problems...)
	name, _ := d.Meta("name")
	a := autonomyView{Name: name, File: file, Blocked: skill.Autonomy(problems)}
	if a.Blocked == nil {
		a.Blocked = []skill.Problem{}
	}
	a.Unattended = len(a.Blocked) == 0
	r.Autonomy = append(r.Autonomy, a)
	return d
}

func (c *console) lint(r lintReport) {
	style := map[string]string{skill.SeverityError: red, skill.SeverityWarning: yellow, skill.SeverityNote: dim}
	for _, p := range r.Problems {
		fmt.Fprintf(c.out, "%s:%d:%d: %s: %s [%s]\n", p.File, p.Line, p.Column, c.paint(style[p.Severity], p.Severity), p.Text, p.Rule)
		if p.Remedy != "" {
			fmt.Fprintf(c.out, "    %s\n", p.Remedy)
		}
	}
	for _, a := range r.Autonomy {
		if a.Unattended {
			fmt.Fprintf(c.out, "%s: nothing in the file stands between it and acting alone; trust and the policy come on top\n", a.Name)
			continue
		}
		fmt.Fprintf(c.out, "%s cannot act alone yet:\n", orDash(a.Name))
		for _, p := range a.Blocked {
			fmt.Fprintf(c.out, "  - line %d: %s; %s\n", p.Line, p.Text, p.Remedy)
		}
	}
	fmt.Fprintf(c.out, "%d files, %d errors, %d warnings\n", r.Files, r.Errors, r.Warnings)
}
