package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"prunella"
	"prunella/client"
	"prunella/store"
)

// Drill is when skills are proven in a lab. It is off unless every is given:
// a drill starts processes of its own beside the server.
type Drill struct {
	Every prunella.Duration `yaml:"every"` // 168h is weekly; default off
	At    string            `yaml:"at"`    // time of day, local: "03:30"; default: when the server was first started with it
}

func (d Drill) validate() error {
	if d.Every != 0 && time.Duration(d.Every) < time.Minute {
		return prunella.Errorf(prunella.Invalid, "drill.every is %s; it is at least 1m, and 168h is weekly", time.Duration(d.Every))
	}
	if d.At == "" {
		return nil
	}
	if _, err := time.Parse("15:04", d.At); err != nil {
		return prunella.Errorf(prunella.Invalid, "drill.at is %q; write a time of day such as 03:30", d.At)
	}
	if time.Duration(d.Every) < 24*time.Hour { // it would not be kept
		return prunella.Errorf(prunella.Invalid, "drill.every is %s; with drill.at it is at least 24h, and 168h is weekly", time.Duration(d.Every))
	}
	return nil
}

// next is the first moment for a drill after from; the first ever does not wait
// a whole period for its time of day.
func (d Drill) next(from time.Time, first bool) time.Time {
	every := time.Duration(d.Every)
	at, err := time.Parse("15:04", d.At)
	if err != nil {
		return from.Add(every)
	}
	base := from
	if !first {
		base = from.Add(every).Add(-12 * time.Hour) // the time of day that is nearest to one period from now
	}
	out := time.Date(base.Year(), base.Month(), base.Day(), at.Hour(), at.Minute(), 0, 0, base.Location())
	for !out.After(base) || !out.After(from) {
		out = out.AddDate(0, 0, 1)
	}
	return out
}

// Prover runs the scenarios of a skill against this server's version of it and
// hands the reports in. NotFound: no scenario is about the skill. The engine and
// this package know nothing of a lab; the command that serves brings it.
type Prover func(ctx context.Context, url string, name prunella.SkillName) (client.DrilledSkill, error)

// ProveWith sets what drills are made with; before Start.
func (a *App) ProveWith(p Prover) { a.prover = p }

const (
	drillState = "drill"
	drillLook  = 5 * time.Second  // how often a drill looks whether it may go on
	drillLater = 10 * time.Minute // after an incident came in between
)

// drills proves the skills whenever it is time, until ctx ends. When the next
// time is survives a restart; several missed ones are made up for by one.
func (a *App) drills(ctx context.Context) {
	if a.cfg.Drill.Every == 0 || a.prover == nil {
		return
	}
	tick := time.NewTicker(min(drillLook, time.Duration(a.cfg.Drill.Every)/10))
	defer tick.Stop()
	for {
		if err := a.drillOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.log.Error("drill", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drillOnce makes a drill if it is time for one and nothing is wrong.
func (a *App) drillOnce(ctx context.Context, now time.Time) error {
	d, err := a.drilled(ctx)
	if err != nil {
		return err
	}
	if d.Next.IsZero() {
		d.Next = a.cfg.Drill.next(now, true)
		return a.keepDrill(ctx, d)
	}
	if now.Before(d.Next) {
		return nil
	}
	if open, err := a.openIncidents(ctx); err != nil || open > 0 {
		return err // it is made up for when all is well
	}
	d.Next = a.cfg.Drill.next(now, false) // before it begins: one that ends the server is not begun again and again
	if err := a.keepDrill(ctx, d); err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { // an incident has the machine for itself
		defer close(done)
		t := time.NewTicker(drillLook)
		defer t.Stop()
		for {
			select {
			case <-working.Done():
				return
			case <-t.C:
				if open, err := a.openIncidents(working); err == nil && open > 0 {
					cancel()
				}
			}
		}
	}()
	a.log.Info("drill begins", "component", "drill", "next", d.Next)
	last := client.DrillResult{Began: now.UTC(), Skills: []client.DrilledSkill{}}
	interrupted := false
	for _, s := range a.skills.list() {
		if interrupted = working.Err() != nil; interrupted {
			break
		}
		one, err := a.prover(working, a.URL(), s.Name)
		if interrupted = err != nil && working.Err() != nil; interrupted {
			break
		}
		if prunella.KindOf(err) == prunella.NotFound {
			continue
		}
		one.Name, one.Version = s.Name, s.Version
		if err != nil {
			one.Error = err.Error()
		}
		last.Skills = append(last.Skills, one)
	}
	cancel()
	<-done
	if ctx.Err() != nil {
		d.Next = now // the server stops; the next one makes it up
		return a.keepDrill(context.WithoutCancel(ctx), d)
	}
	if interrupted {
		d.Next = time.Now().Add(drillLater)
		a.log.Info("drill ended early: an incident opened", "component", "drill", "next", d.Next)
		return a.keepDrill(ctx, d)
	}
	last.Ended = time.Now().UTC()
	d.Last = &last
	if err := a.keepDrill(ctx, d); err != nil {
		return err
	}
	a.log.Info("drill made", "component", "drill", "skills", len(last.Skills), "bad", strings.Join(bad(last), "; "))
	return a.tellDrill(ctx, last)
}

// bad are the skills that did not hold.
func bad(r client.DrillResult) []string {
	var out []string
	for _, s := range r.Skills {
		switch {
		case s.Failed > 0:
			text := fmt.Sprintf("%s %s failed %d of %d scenarios", s.Name, s.Version, s.Failed, s.Failed+s.Passed)
			if len(s.Why) > 0 {
				text += " (" + strings.Join(s.Why, "; ") + ")"
			}
			out = append(out, text)
		case s.Error != "":
			out = append(out, fmt.Sprintf("%s %s could not be tried: %s", s.Name, s.Version, s.Error))
		}
	}
	return out
}

// tellDrill calls somebody when a skill did not hold.
func (a *App) tellDrill(ctx context.Context, r client.DrillResult) error {
	list := bad(r)
	a.hub.announce("status", "")
	if len(list) == 0 {
		return nil
	}
	why := prunella.Reason{Name: "drill-failed", Text: strings.Join(list, "; ")}
	return a.store.Commit(ctx, store.Batch{Notifications: []prunella.Notification{{ID: "drill/" + r.Began.Format(time.RFC3339Nano), To: "@oncall", Kind: "drill",
		Severity: prunella.Warning, Title: "A skill did not pass its drill", Text: why.Text + "\n\n" + a.publicURL() + "/reports", Reason: why,
		Created: r.Ended, NextTry: r.Ended}}})
}

func (a *App) openIncidents(ctx context.Context) (int, error) {
	open, err := a.store.Incidents(ctx, store.IncidentFilter{Open: true, Limit: 1})
	return len(open), err
}

// drilled is what is known of drills; empty before the first.
func (a *App) drilled(ctx context.Context) (d client.DrillStatus, err error) {
	b, err := never(a.store.LoadState(ctx, drillState))
	if err != nil || b == nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, errors.Join(errors.New("the stored state of drills is damaged"), err)
	}
	return d, nil
}

func (a *App) keepDrill(ctx context.Context, d client.DrillStatus) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return a.store.Commit(ctx, store.Batch{State: map[string][]byte{drillState: b}})
}
