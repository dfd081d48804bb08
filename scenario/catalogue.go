package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"prunella"
)

// Catalogue is a set of scenario files, by name.
type Catalogue []File

// Load reads <category>/<name>.yaml below a file system's root. The error names
// every problem of every file; the catalogue holds the files that are right.
func Load(fsys fs.FS) (Catalogue, error) {
	paths, err := fs.Glob(fsys, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list scenarios: %w", err)
	}
	var out Catalogue
	var problems []error
	for _, p := range paths {
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			problems = append(problems, fmt.Errorf("read %s: %w", p, err))
			continue
		}
		f, err := Parse(p, b)
		if err == nil {
			err = f.inPlace()
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out, errors.Join(problems...)
}

// inPlace holds the file's name and folder against its content.
func (f File) inPlace() error {
	if want := path.Join(f.Category, f.Name+".yaml"); want != f.Path {
		return &prunella.Error{Kind: prunella.Invalid, Where: f.Path + ":1", Reason: "the file is not where its category and name say",
			Remedy: "move it to " + want + ", or change category and name"}
	}
	return nil
}

// Find returns the scenario of that name, or NotFound with the nearest one.
func (c Catalogue) Find(name string) (File, error) {
	var names []string
	for _, f := range c {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	remedy := "prunella scenario list shows them all"
	if near := nearest(name, names); near != "" {
		remedy = "did you mean " + near + "?"
	}
	return File{}, &prunella.Error{Kind: prunella.NotFound, Reason: fmt.Sprintf("there is no scenario %q", name), Remedy: remedy}
}

// ReadFile parses a scenario from disk; it may stand anywhere.
func ReadFile(path string) (File, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}, &prunella.Error{Kind: prunella.NotFound, Where: path, Reason: "there is no such file", Remedy: "check the path"}
	case err != nil:
		return File{}, &prunella.Error{Kind: prunella.Invalid, Where: path, Reason: "the file cannot be read", Err: err}
	}
	return Parse(path, b)
}
