package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"prunella"
	"prunella/action"
	"prunella/skill"
)

type skillNewCmd struct {
	library
	Name  string `arg:"" help:"Name of the skill: a-z, 0-9 and single -." placeholder:"NAME"`
	Title string `help:"Its title; default: made of the name." placeholder:"TEXT"`
	Owner string `help:"Who keeps it right." placeholder:"@NAME" default:"@nobody-yet"`
	Out   string `help:"Where to write it; default: skills/NAME.skill.md in --wiki, else NAME.skill.md here." short:"o" placeholder:"FILE"`
}

func (cmd skillNewCmd) Run(c *console) error {
	name := strings.TrimSuffix(strings.TrimSuffix(cmd.Name, ".md"), ".skill")
	if !skill.ValidName(name) {
		return usage("%q cannot be the name of a skill; use 1 to 64 of a-z, 0-9 and single -, such as disk-fills-up", cmd.Name)
	}
	file := cmd.Out
	if file == "" {
		file = name + skill.Suffix
		if cmd.Wiki != "" {
			file = filepath.Join(cmd.Wiki, "skills", file)
		}
	}
	text := skill.Template(name, cmd.Title, cmd.Owner)
	if err := writeNew(file, []byte(text)); err != nil {
		return err
	}
	d, err := skill.Parse(file, []byte(text))
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "wrote %s. What is next:\n", file)
	for _, p := range skill.Lint(d, action.Catalog()) {
		fmt.Fprintf(c.out, "  line %d: %s; %s\n", p.Line, p.Text, p.Remedy)
	}
	fmt.Fprintf(c.out, "Look again with: prunella skill lint %s\n", file)
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(file string, b []byte) error {
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			_, err = f.Write(b)
			err = errors.Join(err, f.Close())
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return &prunella.Error{Kind: prunella.Invalid, Op: "write", Where: file, Reason: "there is a file already", Remedy: "give another name, or --out FILE"}
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "write", Where: file, Err: err}
	}
	return nil
}
