package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"prunella"
	"prunella/action"
	"prunella/skill"
	"prunella/wiki"
)

type skillCmd struct {
	List   skillListCmd   `cmd:"" help:"List the skills of a wiki."`
	Show   skillShowCmd   `cmd:"" help:"Show one skill: facts, steps, whom to call, what it may do alone."`
	Lint   skillLintCmd   `cmd:"" help:"Say what is wrong with skill files, and what stands between them and acting alone."`
	New    skillNewCmd    `cmd:"" help:"Write the beginning of a skill."`
	Import skillImportCmd `cmd:"" help:"Turn a page that was written elsewhere into a skill, without losing a word."`
	Export skillExportCmd `cmd:"" help:"Write skills for other tools: agent skills, CACAO playbooks, plain text."`
	Diff   skillDiffCmd   `cmd:"" help:"Compare two versions of a skill by what they mean, and line by line."`
	Trust  skillTrustCmd  `cmd:"" help:"Explain how far a skill is trusted and what it may do; record a person's word."`
	Prove  skillProveCmd  `cmd:"" help:"Run the scenarios that name a skill, and record what they show."`
	Bump   skillBumpCmd   `cmd:"" help:"Raise the version of a skill, or say which part of it should be raised."`
}

// library is where skills are found by name.
type library struct {
	Wiki string `help:"Folder of the wiki, with skills/ in it; default: the pages that ship with Prunella." type:"path" placeholder:"DIR" env:"PRUNELLA_WIKI"`
}

// pages are the wiki's files and the folder of the skills in it.
func (l library) pages() (fs.FS, string, error) {
	if l.Wiki == "" {
		return wiki.FS(), "skills", nil
	}
	if st, err := os.Stat(l.Wiki); err != nil || !st.IsDir() {
		return nil, "", &prunella.Error{Kind: prunella.NotFound, Op: "open the wiki", Where: l.Wiki, Reason: "there is no such folder", Remedy: "name a folder with --wiki DIR"}
	}
	if st, err := os.Stat(filepath.Join(l.Wiki, "skills")); err == nil && st.IsDir() {
		return os.DirFS(l.Wiki), "skills", nil
	}
	return os.DirFS(l.Wiki), ".", nil
}

// files lists the skill files, by their path in the wiki.
func (l library) files() (fs.FS, []string, error) {
	fsys, dir, err := l.pages()
	if err != nil {
		return nil, nil, err
	}
	var out []string
	err = fs.WalkDir(fsys, dir, func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(file, skill.Suffix) {
			out = append(out, file)
		}
		return err
	})
	if err != nil {
		return nil, nil, &prunella.Error{Kind: prunella.Invalid, Op: "read the wiki", Where: l.Wiki, Err: err}
	}
	return fsys, out, nil
}

// open reads a skill by its name in the wiki, or a file.
func (l library) open(nameOrFile string) (*skill.Document, error) {
	if isFile(nameOrFile) {
		return readSkill(nameOrFile)
	}
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(nameOrFile, "skills/"), ".md"), ".skill")
	fsys, files, err := l.files()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, file := range files {
		if path.Base(file) == name+skill.Suffix {
			b, err := fs.ReadFile(fsys, file)
			if err != nil {
				return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read", Where: file, Err: err}
			}
			return skill.Parse(l.shown(file), b)
		}
		all = append(all, strings.TrimSuffix(path.Base(file), skill.Suffix))
	}
	remedy := "prunella skill list shows them"
	if len(all) > 0 && len(all) <= 20 {
		remedy = "there are " + strings.Join(all, ", ")
	}
	return nil, &prunella.Error{Kind: prunella.NotFound, Op: "find the skill", Where: nameOrFile, Reason: "there is no skill or file of that name", Remedy: remedy}
}

// shown is the path of a wiki's file as a person would name it.
func (l library) shown(file string) string {
	if l.Wiki == "" {
		return "wiki/" + file
	}
	return filepath.Join(l.Wiki, filepath.FromSlash(file))
}

// text is a page of the wiki, for exports.
func (l library) text(page string) (string, bool) {
	fsys, _, err := l.pages()
	if err != nil || !fs.ValidPath(page) {
		return "", false
	}
	b, err := fs.ReadFile(fsys, page+".md")
	return string(b), err == nil
}

// isFile tells a file from a name.
func isFile(s string) bool {
	st, err := os.Stat(s)
	return err == nil && !st.IsDir() || strings.ContainsAny(s, `/\`) && strings.HasSuffix(s, ".md") && !strings.HasPrefix(s, "skills/")
}

// readPage reads a file that may be a skill, up to limit bytes.
func readPage(file string, limit int64) ([]byte, error) {
	st, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &prunella.Error{Kind: prunella.NotFound, Op: "read", Where: file, Reason: "there is no such file"}
	case err == nil && st.IsDir():
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read", Where: file, Reason: "it is a folder", Remedy: "name a file"}
	case err == nil && st.Size() > limit:
		return nil, &prunella.Error{Kind: prunella.TooLarge, Op: "read", Where: file,
			Reason: fmt.Sprintf("the page has %d bytes, more than %d", st.Size(), limit), Remedy: "a skill is one page; split it"}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read", Where: file, Err: err}
	}
	return b, nil
}

func readSkill(file string) (*skill.Document, error) {
	b, err := readPage(file, skill.MaxSize)
	if err != nil {
		return nil, err
	}
	return skill.Parse(file, b)
}

type skillListCmd struct {
	library
	JSON bool `help:"Print JSON." name:"json"`
}

// listedSkill is a line of the list.
type listedSkill struct {
	Name              string   `json:"name"`
	Title             string   `json:"title"`
	Version           string   `json:"version"`
	Category          string   `json:"category"`
	Pattern           string   `json:"pattern"`
	Owners            []string `json:"owners"`
	ClaimedConfidence *float64 `json:"claimed_confidence"`
	LastVerified      *string  `json:"last_verified"`
	Acts              bool     `json:"acts"`       // it has actions
	Unattended        bool     `json:"unattended"` // nothing in the file stands between it and acting alone
	Errors            int      `json:"errors"`     // with one, it cannot be used
	File              string   `json:"file"`
	Hash              string   `json:"hash"` // SHA-256 of the file
}

func (cmd skillListCmd) Run(c *console) error {
	fsys, files, err := cmd.files()
	if err != nil {
		return err
	}
	list := []listedSkill{}
	for _, file := range files {
		b, err := fs.ReadFile(fsys, file)
		if err != nil {
			return &prunella.Error{Kind: prunella.Invalid, Op: "read", Where: file, Err: err}
		}
		d, err := skill.Parse(cmd.shown(file), b)
		if err != nil {
			list = append(list, listedSkill{Name: strings.TrimSuffix(path.Base(file), skill.Suffix), Owners: []string{}, Errors: 1, File: cmd.shown(file)})
			continue
		}
		list = append(list, summarized(d))
	}
	return printList(c.out, cmd.JSON, list, "No skills. To write one: prunella skill new NAME", "NAME\tCATEGORY\tVERSION\tCLAIMED\tVERIFIED\tALONE\tOWNERS\tTITLE", listedSkill.row)
}

func (s listedSkill) row() []string {
	alone := "advises"
	switch {
	case s.Errors > 0:
		alone = fmt.Sprintf("%d errors", s.Errors)
	case s.Unattended:
		alone = "may act"
	case s.Acts:
		alone = "asks"
	}
	claimed, verified := "–", "–"
	if s.ClaimedConfidence != nil {
		claimed = fmt.Sprintf("%.0f %%", 100**s.ClaimedConfidence)
	}
	if s.LastVerified != nil {
		verified = *s.LastVerified
	}
	return []string{s.Name, orDash(s.Category), orDash(s.Version), claimed, verified, alone, orDash(strings.Join(s.Owners, ", ")), s.Title}
}

func summarized(d *skill.Document) listedSkill {
	s, _ := d.Skill()
	problems := skill.Lint(d, action.Catalog())
	l := listedSkill{Name: string(s.Name), Title: s.Title, Version: s.Version, Category: s.Category, Pattern: s.Pattern, Owners: s.Owners, Acts: len(s.Actions) > 0,
		Unattended: len(skill.Autonomy(problems)) == 0, Errors: len(skill.Errors(problems)), File: d.Path, Hash: s.Hash}
	if l.Owners == nil {
		l.Owners = []string{}
	}
	l.ClaimedConfidence, l.LastVerified = d.Claims()
	return l
}
