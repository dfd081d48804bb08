package wiki

import (
	"cmp"
	"context"

	"prunella"
)

// Remove deletes the page e.Path, whose Hash is e.Base, and commits that when
// the wiki is kept in git; the history keeps the text. e.Text is not used.
//
// NotFound: there is no such page. Conflict: it was changed since it was read.
// Invalid and Unavailable as Save.
func (w *Wiki) Remove(ctx context.Context, e Edit) (Saved, error) {
	name, err := w.clean("remove page", e.Path)
	if err != nil {
		return Saved{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	unlock, err := w.hold(ctx)
	if err != nil {
		return Saved{}, err
	}
	defer unlock()
	if err := w.apply(w.touch(ctx, []string{name})); err != nil {
		return Saved{}, err
	}
	p := w.known[name]
	switch {
	case p == nil:
		return Saved{}, &prunella.Error{Kind: prunella.NotFound, Op: "remove page", Where: name, Reason: "there is no such page"}
	case p.Hash != e.Base:
		return Saved{}, &prunella.Error{Kind: prunella.Conflict, Op: "remove page", Where: name, Reason: "somebody else changed the page since you opened it", Remedy: "read it as it is now, then decide again"}
	}
	if err := w.remove(name, e.Base); err != nil {
		return Saved{}, err
	}
	if err := w.apply(w.touch(context.WithoutCancel(ctx), []string{name})); err != nil {
		return Saved{}, err
	}
	s := Saved{Page: p}
	s.Commit, s.Uncommitted = w.commit(ctx, []string{name}, e.Author, cmp.Or(e.Reason, "Remove "+name))
	return s, nil
}
