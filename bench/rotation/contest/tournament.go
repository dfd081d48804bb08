package contest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/peers"
	"prunella/bench/rotation/protocol"
)

// Result is what one contestant did in one row.
type Result struct {
	Row        string `json:"row"`
	Contestant string `json:"contestant"`
	Tally
	Notes  []string `json:"notes,omitempty"`
	Broken []string `json:"broken,omitempty"` // what must hold and did not, besides the tokens
	Holds  bool     `json:"holds"`
	Absent string   `json:"absent,omitempty"` // why there is no result
}

// Options of a run.
type Options struct {
	Fast     bool
	Only     func(row, contestant string) bool
	Progress func(string)
}

// Contestants at a time.
const (
	usualAtOnce = 2
	fastAtOnce  = 4
)

// Run plays every row with every contestant.
func Run(ctx context.Context, stable *peers.Stable, o Options) ([]Result, error) {
	hub, err := issuer.NewHub("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer hub.Close()
	type turn struct {
		row Row
		who peers.Contestant
	}
	var turns []turn
	for _, row := range Rows() {
		for _, c := range peers.All() {
			if o.Only(row.ID, c.Name) {
				turns = append(turns, turn{row, c})
			}
		}
	}
	atOnce := usualAtOnce
	if o.Fast {
		atOnce = fastAtOnce
	}
	keys := &issuer.Keys{}
	all := make([]Result, len(turns))
	places := make(chan struct{}, atOnce)
	var done sync.WaitGroup
	for n, t := range turns {
		places <- struct{}{}
		done.Go(func() {
			defer func() { <-places }()
			start := time.Now()
			r, err := play(ctx, stable, hub, keys, t.row, t.who, o.Fast)
			if err != nil {
				r.Absent = err.Error()
			}
			o.Progress(fmt.Sprintf("%-15s %-9s %s (%.1f s)", t.row.ID, t.who.Name, verdict(r), time.Since(start).Seconds()))
			all[n] = r
		})
	}
	done.Wait()
	return all, ctx.Err()
}

func verdict(r Result) string {
	switch {
	case r.Absent != "":
		return "no result: " + r.Absent
	case r.Holds:
		return "holds"
	}
	return fmt.Sprintf("%d wrongly refused, %d wrongly accepted %v", r.WronglyRefused, r.WronglyAccepted, r.Broken)
}

func play(ctx context.Context, stable *peers.Stable, hub *issuer.Hub, keys *issuer.Keys, row Row, c peers.Contestant, fast bool) (Result, error) {
	r := Result{Row: row.ID, Contestant: c.Name}
	if c.Make == nil && stable.Absent != "" {
		return r, errors.New(stable.Absent)
	}
	process, err := stable.Start(ctx, c)
	if err != nil {
		return r, err
	}
	defer process.Stop()
	w := &world{ctx: ctx, who: process, keys: keys, virtual: true, fast: fast, clock: protocol.Epoch}
	w.iss = hub.New(row.ID+"-"+c.Name, w.now)
	f := &findings{memory: process.PeakMemory}
	if err := row.tell(w, f); err != nil {
		return r, err
	}
	w.tally.Fetches = max(0, len(w.iss.Fetches(time.Time{}))-1)
	r.Tally, r.Notes, r.Broken = w.tally, f.notes, f.broken
	r.Holds = r.WronglyRefused == 0 && r.WronglyAccepted == 0 && len(r.Broken) == 0
	return r, nil
}
