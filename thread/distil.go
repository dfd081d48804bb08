package thread

import (
	"context"
	"errors"
	"iter"

	"prunella"
)

// Drafted is a draft and what became of it.
type Drafted struct {
	Draft
	Path    string `json:"path,omitempty"`
	Problem string `json:"problem,omitempty"` // why it was not written: somebody edited the one that is there
}

// Distiller makes drafts of conversations and writes them to a wiki.
type Distiller struct {
	Wiki   string                                   // folder with skills/, people/ and drafts/
	Dry    bool                                     // write nothing
	Smooth func(ctx context.Context, d Draft) Draft // goes over each draft before it is written; nil: nothing does
}

// Run extracts the incidents of what was said and writes a draft of each, or of
// the change to the skill that it was seen with before. opt.Known is read from
// the wiki. A draft that somebody edited is kept, which is a Problem of it; what
// else could not be written is an error, beside all that was done.
func (w Distiller) Run(ctx context.Context, dir *Directory, messages iter.Seq2[Message, error], opt Options) (Result, []Drafted, error) {
	known, err := KnownSkills(w.Wiki)
	if err != nil {
		return Result{}, nil, err
	}
	opt.Known = known
	found, err := Extract(ctx, dir, messages, opt)
	if err != nil {
		return found, nil, err
	}
	out, failed := []Drafted{}, error(nil)
	for _, d := range Drafts(found.Extractions, known) {
		if w.Smooth != nil {
			d = w.Smooth(ctx, d)
		}
		one := Drafted{Draft: d}
		if !w.Dry {
			one.Path, err = WriteDraft(w.Wiki, d)
			switch {
			case prunella.KindOf(err) == prunella.Conflict:
				one.Problem = err.Error()
			case err != nil:
				failed = errors.Join(failed, err)
			}
		}
		out = append(out, one)
	}
	return found, out, failed
}
