package monitor

import (
	"context"
	"time"

	"prunella"
)

// Releases watches the declared lists of releases.
type Releases struct {
	world World
	mem   memory[map[string]time.Time] // service NUL version -> published
}

const keepReleases = 90 * 24 * time.Hour // a release is remembered for this long

// NewReleases watches every list of the inventory.
func NewReleases(w World, s State) *Releases {
	m := &Releases{world: w}
	m.mem.state, m.mem.name = s, m.Name()
	return m
}

// Name is "releases".
func (m *Releases) Name() string { return "releases" }

// RunOnce reads the lists and returns a deploy change for each release that was
// not in them before. A list that cannot be read is an error beside the changes
// of the others, and forgets nothing.
func (m *Releases) RunOnce(ctx context.Context, now time.Time) ([]prunella.Signal, error) {
	last, err := m.mem.last(ctx)
	if err != nil {
		return nil, err
	}
	list, failure := m.world.Releases(ctx)
	if failure != nil && last.Seen.IsZero() {
		return nil, failure // half a first look would make the rest look new later
	}
	seen := map[string]time.Time{}
	for k, at := range last.View {
		if now.Sub(at) < keepReleases {
			seen[k] = at
		}
	}
	var out []prunella.Signal
	for _, r := range list {
		key := r.Service + "\x00" + r.Version
		if _, known := seen[key]; known || now.Sub(r.At) >= keepReleases {
			continue
		}
		seen[key] = r.At
		if last.Seen.IsZero() {
			continue
		}
		at := r.At
		if at.After(now) {
			at = now
		}
		out = append(out, changeSignal(m.Name(), prunella.ChangeDeploy, r.Service, at, now, last.Seen, 0, map[string]string{
			prunella.AttrVersion: r.Version, AttrBefore: r.Before, AttrAfter: r.Version, AttrAuthor: r.Author}))
	}
	m.mem.offer(seen, now, len(out) > 0)
	return out, failure
}

// Accepted makes the lists of the last run the ones to compare with.
func (m *Releases) Accepted(ctx context.Context) error { return m.mem.accepted(ctx) }
