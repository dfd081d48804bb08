package diagnose

import (
	"time"

	"prunella"
)

// Names of the reads that every live diagnosis wants, whatever skills exist.
const (
	readJWKS       = "jwks.current"
	readGrid       = "trust.grid"
	readChanges    = "keys.changes"
	readReleases   = "releases.recent"
	readVendor     = "vendor.status"
	readDeliveries = "deliveries.failed"
	readClocks     = "clock.offsets"
	readErrors     = "requests.errors"
	readLogs       = "logs.search" // used when a skill's check made it, never asked for
)

// Standard returns the names of the reads that every live diagnosis wants, in
// the order in which they are worth making when time runs out.
func Standard() []string {
	return []string{
		readJWKS, readGrid, readChanges, readReleases,
		readDeliveries, readClocks, readVendor, readErrors,
	}
}

// Snapshot is everything a diagnosis may look at. It is plain data: the same
// Snapshot gives the same Causes, whatever the order of its slices.
type Snapshot struct {
	Incident  prunella.Incident
	Match     prunella.Match // which known pattern it looks like
	Skills    []prunella.Skill
	Changes   []prunella.Change // near the onset, any kind
	Texts     []TextGroup
	Facts     Facts // of Texts; left zero, Diagnose extracts them itself
	Inventory prunella.Inventory
	Reads     map[string]Read // by read name; a name that is absent was not read
	Checks    map[prunella.SkillName][]CheckResult
	Now       time.Time
}

// TextGroup is a set of equal-looking texts: log lines of one template, or one
// message of a monitor.
type TextGroup struct {
	Template string // variable parts masked, may be empty
	Example  string // one of them, verbatim
	Count    int    // how many; 0 is read as 1
	Services []string
	Monitor  string
	Kids     []string // kids that the group's signals carry as attributes
	Signals  []prunella.SignalID
	At       time.Time
}

// Read is one look at the world. Err is set when it failed: then Result is not
// evidence of anything.
type Read struct {
	Result map[string]any
	Err    string
	At     time.Time
	Took   time.Duration
}

// CheckResult is one check of a skill with its conditions already evaluated.
// For and Against are nil when they could not be evaluated or do not exist.
type CheckResult struct {
	Rule         prunella.CheckRule
	Read         Read
	For, Against *bool
	Err          string
}
