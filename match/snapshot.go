package match

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"prunella"
)

// snapshotVersion changes when an older snapshot cannot be read any more.
const snapshotVersion = 1

type snapshot struct {
	Version int           `json:"version"`
	Bucket  time.Duration `json:"bucket"` // counts of another width mean something else
	State   *state        `json:"state"`
}

// maxSnapshot bounds what Restore unpacks.
const maxSnapshot = 256 << 20

// Snapshot returns everything the Detector knows, as gzipped JSON. A Detector
// restored from it behaves as this one would have.
func (d *Detector) Snapshot() ([]byte, error) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is a valid one
	if err := json.NewEncoder(z).Encode(snapshot{Version: snapshotVersion, Bucket: d.cfg.Bucket, State: &d.state}); err != nil {
		return nil, prunella.Errorf(prunella.Internal, "write the detector's snapshot: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, prunella.Errorf(prunella.Internal, "write the detector's snapshot: %w", err)
	}
	return b.Bytes(), nil
}

// Restore replaces what the Detector knows. An error is Invalid (unreadable, of
// another version, or counted in other buckets), and leaves it as it was; a new
// Detector is then the way on.
func (d *Detector) Restore(b []byte) error {
	invalid := func(reason string, err error) error {
		return &prunella.Error{Kind: prunella.Invalid, Op: "restore the detector", Reason: reason, Err: err,
			Remedy: "start without the snapshot; baselines are learned anew"}
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return invalid("the snapshot cannot be read", err)
	}
	fresh := NewDetector(d.cfg)
	in := snapshot{State: &fresh.state}
	if err := json.NewDecoder(io.LimitReader(z, maxSnapshot)).Decode(&in); err != nil {
		return invalid("the snapshot cannot be read", err)
	}
	if in.Version != snapshotVersion || in.State == nil || fresh.Miner == nil {
		return invalid("the snapshot is of another version", nil)
	}
	if in.Bucket != d.cfg.Bucket {
		return invalid(fmt.Sprintf("the snapshot counts in buckets of %s, not %s", in.Bucket, d.cfg.Bucket), nil)
	}
	fresh.Miner.index()
	d.state = fresh.state
	return nil
}
