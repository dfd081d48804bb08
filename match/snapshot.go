package match

import (
	"encoding/json"

	"prunella"
)

// snapshotVersion changes when an older snapshot cannot be read any more.
const snapshotVersion = 1

type snapshot struct {
	Version int    `json:"version"`
	State   *state `json:"state"`
}

// Snapshot returns everything the Detector knows, as JSON. A Detector restored
// from it behaves as this one would have.
func (d *Detector) Snapshot() ([]byte, error) {
	b, err := json.Marshal(snapshot{Version: snapshotVersion, State: &d.state})
	if err != nil {
		return nil, prunella.Errorf(prunella.Internal, "write the detector's snapshot: %w", err)
	}
	return b, nil
}

// Restore replaces what the Detector knows. An error is Invalid, and leaves it
// as it was; a new Detector is then the way on.
func (d *Detector) Restore(b []byte) error {
	fresh := NewDetector(d.cfg)
	in := snapshot{State: &fresh.state}
	if err := json.Unmarshal(b, &in); err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "restore the detector", Err: err, Remedy: "start without the snapshot; baselines are learned anew"}
	}
	if in.Version != snapshotVersion {
		return &prunella.Error{Kind: prunella.Invalid, Op: "restore the detector", Reason: "the snapshot is of another version",
			Remedy: "start without the snapshot; baselines are learned anew"}
	}
	fresh.Miner.index()
	d.state = fresh.state
	return nil
}
