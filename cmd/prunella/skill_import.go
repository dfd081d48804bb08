package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"prunella"
	"prunella/skill"
	"prunella/skill/importer"
)

type skillImportCmd struct {
	File string `arg:"" help:"The page; - reads standard input." placeholder:"FILE"`
	Out  string `help:"Write the skill there instead of standard output; what stood there is kept as FILE.before." short:"o" placeholder:"FILE"`
	JSON bool   `help:"Print what was found as JSON, and the skill only to --out." name:"json"`
}

func (cmd skillImportCmd) Run(c *console) error {
	page, err := cmd.read()
	if err != nil {
		return err
	}
	name := cmd.File
	if name == "-" {
		name = "page.md"
	}
	r, err := importer.Import(name, page)
	if err != nil {
		return err
	}
	if cmd.Out != "" {
		if err := replaceFile(cmd.Out, r.File); err != nil {
			return err
		}
	}
	if cmd.JSON {
		return printJSON(c.out, r.Report)
	}
	if cmd.Out == "" {
		if _, err := c.out.Write(r.File); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, "%s: %s %s, %d sections, %d + %d steps, %d code blocks\n", cmd.Out, r.Report.Name, r.Report.Version, len(r.Report.Sections),
			len(r.Report.Steps.Diagnosis), len(r.Report.Steps.Resolution), len(r.Report.CodeBlocks))
	}
	for _, u := range r.Report.Unplaced {
		fmt.Fprintf(c.err, "%s:%d: kept, but not placed: %s (%s)\n", cmd.File, u.Line, firstLine(u.Text), u.Reason)
	}
	for _, b := range r.Report.CodeBlocks {
		if b.Flagged {
			fmt.Fprintf(c.err, "line %d of the skill: look at this block: %s\n", b.Line, b.Reason)
		}
	}
	return nil
}

func (cmd skillImportCmd) read() ([]byte, error) {
	if cmd.File != "-" {
		return readPage(cmd.File, largest(cmd.File))
	}
	b, err := io.ReadAll(io.LimitReader(os.Stdin, importer.MaxSaved+1))
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read standard input", Err: err}
	}
	return b, nil
}

// largest is how many bytes a page may have: by its beginning, which has pictures
// beside the text, and which has two bytes a letter.
func largest(file string) int64 {
	f, err := os.Open(file)
	if err != nil {
		return skill.MaxSize
	}
	defer f.Close()
	head := make([]byte, 8<<10)
	n, err := io.ReadFull(f, head)
	switch {
	case err != nil: // all of it was read
	case importer.Saved(head[:n]):
		return importer.MaxSaved
	case bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")):
		return 2 * skill.MaxSize
	}
	return skill.MaxSize
}

func firstLine(s string) string {
	if i := bytes.IndexByte([]byte(s), '\n'); i >= 0 {
		return s[:i] + " …"
	}
	return s
}

// replaceFile writes a file whole. What stood there and differs is kept beside it.
func replaceFile(file string, b []byte) error {
	if old, err := os.ReadFile(file); err == nil && len(old) > 0 && !bytes.Equal(old, b) {
		if err := writeSkill(file+".before", old); err != nil {
			return err
		}
	}
	return writeSkill(file, b)
}

// writeSkill puts a file in place at once, so that a reader sees the old bytes
// or the new ones. Its permissions stay.
func writeSkill(file string, b []byte) error {
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = writeAside(file, b)
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "write", Where: file, Err: err, Remedy: "name a file that can be written"}
	}
	return nil
}

func writeAside(file string, b []byte) error {
	mode := os.FileMode(0o644)
	if st, err := os.Stat(file); err == nil {
		if !st.Mode().IsRegular() {
			return os.WriteFile(file, b, mode)
		}
		mode = st.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".prunella-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it was renamed
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
