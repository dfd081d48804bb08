package signer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"prunella/rotation"
)

// Dir is a vault in a folder: one file of mode 0600 for each key.
type Dir struct{ path string }

var _ Vault = Dir{}

// OpenDir makes the folder when it is missing. A folder that others may enter is
// refused.
func OpenDir(path string) (Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return Dir{}, invalid("the key folder: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Dir{}, invalid("the key folder: %v", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Dir{}, invalid("the key folder %s is for more than its owner: run chmod 700 %s", path, path)
	}
	return Dir{path}, nil
}

func (d Dir) file(name string) string { return filepath.Join(d.path, name+".box") }

// Put implements Vault. The box is on disk under another name before it gets
// its own, by a link that never overwrites.
func (d Dir) Put(_ context.Context, name string, b []byte) error {
	f, err := os.CreateTemp(d.path, ".new-*")
	if err != nil {
		return unavailable(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return unavailable(err)
	}
	if err := os.Link(f.Name(), d.file(name)); errors.Is(err, fs.ErrExist) {
		return &rotation.Error{Kind: rotation.Conflict, Detail: "signer: the vault has a box of this name"}
	} else if err != nil {
		return unavailable(err)
	}
	return d.sync()
}

// Get implements Vault.
func (d Dir) Get(_ context.Context, name string) ([]byte, error) {
	b, err := os.ReadFile(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(rotation.KeyID(name))
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return b, nil
}

// Delete implements Vault.
func (d Dir) Delete(_ context.Context, name string) error {
	if err := os.Remove(d.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable(err)
	}
	return d.sync()
}

// sync makes what happened to names survive a power loss.
func (d Dir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return unavailable(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error {
	return &rotation.Error{Kind: rotation.Unavailable, Detail: "signer: the vault cannot be used", Cause: err}
}
