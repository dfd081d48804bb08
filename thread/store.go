package thread

import (
	"context"
	"iter"

	"prunella"
)

// Store keeps imported messages in threads.db. Whatever is put into it is
// redacted first; there is no way around that. It is safe for concurrent use.
type Store struct{}

// Put is what Store.Put did.
type Put struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`   // edited, reacted to, pinned since
	Unchanged int `json:"unchanged"` // were there already
}

// OpenStore opens threads.db in the data folder, creating both.
func OpenStore(ctx context.Context, data string) (*Store, error) {
	return nil, prunella.Errorf(prunella.Invalid, "open threads in %s: not built yet", data)
}

// Close closes the database.
func (s *Store) Close() error { return nil }

// Put redacts and stores messages; one with a known (channel, ts) replaces the
// stored one unless that was edited later. All or nothing.
func (s *Store) Put(ctx context.Context, messages []Message) (Put, error) { return Put{}, nil }

// Delete takes a message out, as when its author deleted it. One that is not
// there is no error.
func (s *Store) Delete(ctx context.Context, channel, ts string) error { return nil }

// PutDirectory adds people and channels, or updates them.
func (s *Store) PutDirectory(ctx context.Context, dir *Directory) error { return nil }

// Directory returns the people and channels that are known.
func (s *Store) Directory(ctx context.Context) (*Directory, error) { return &Directory{}, nil }

// Messages reads what is stored: channel by channel, within a channel by ts.
// channel "" means all of them.
func (s *Store) Messages(ctx context.Context, channel string) iter.Seq2[Message, error] {
	return func(func(Message, error) bool) {}
}
