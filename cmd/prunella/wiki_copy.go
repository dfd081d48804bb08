package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"prunella"
	"prunella/wiki"
)

type wikiCopyCmd struct {
	Dir string `arg:"" help:"Folder to make." placeholder:"DIR"`
}

func (cmd wikiCopyCmd) Run(c *console) error {
	entries, err := os.ReadDir(cmd.Dir)
	switch {
	case err == nil && len(entries) > 0:
		return &prunella.Error{Kind: prunella.Conflict, Op: "copy the wiki", Where: cmd.Dir, Reason: "the folder is not empty", Remedy: "name one that does not exist yet"}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return &prunella.Error{Kind: prunella.Invalid, Op: "copy the wiki", Where: cmd.Dir, Err: err}
	}
	if err := os.CopyFS(cmd.Dir, wiki.FS()); err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "copy the wiki", Where: cmd.Dir, Err: err, Remedy: "name a folder that you may write"}
	}
	fmt.Fprintf(c.out, "The pages are in %s. Keep them in git, and name the folder in the configuration file:\n\n    wiki: %s\n", cmd.Dir, cmd.Dir)
	return nil
}
