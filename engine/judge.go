package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"prunella"
	"prunella/heal"
)

// freshBuckets is how many buckets may pass without a count of requests before a
// service counts as silent: one is filling, one waits to be complete, and one or
// two are on their way.
const freshBuckets = 4

// verify watches the world after the last change and reaches a verdict. Each
// call looks once; the window begins anew after every bad observation, and the
// moment it began is kept in the incident, so a restart does not shorten it.
func (e *Engine) verify(ctx context.Context, inc prunella.Incident, fence int64, now time.Time) (bool, error) {
	run, ok, err := e.current(ctx, inc.ID, prunella.RunDone, prunella.RunUndoing)
	if err != nil {
		return false, err
	}
	if ok && run.State == prunella.RunUndoing { // a crash fell into the undo
		return true, e.undo(ctx, inc, run, fence, run.Reason)
	}
	if !ok {
		return false, e.escalate(ctx, inc, nil, prunella.Reason{Name: "run-missing", Text: "the incident is verifying but has no finished run"}, nil)
	}
	since := inc.QuietSince
	if since.IsZero() {
		since = run.Ended
	}
	hold := e.cfg.scaled(e.cfg.Hold)
	v := heal.Verification{Since: since, Now: now, Hold: hold, MinSamples: e.cfg.MinSamples, Fresh: max(hold/2, freshBuckets*e.cfg.Bucket),
		Deadline: now.Add(e.cfg.scaled(e.cfg.Hold+e.cfg.VerifyBudget) - e.waited(run.Ended, now))}
	if v.Services, err = e.health(ctx, inc, since, now); err != nil {
		return false, err
	}
	verdict, why := heal.Verify(v)
	if verdict == "" {
		quiet := since
		for _, h := range v.Services {
			if bad, _ := h.Bad(); bad {
				quiet = now
			}
		}
		return false, e.stay(ctx, inc, func(i *prunella.Incident) {
			i.StateReason, i.QuietSince = why, quiet
			i.DueAt = now.Add(max(e.cfg.scaled(2*time.Second), 150*time.Millisecond))
		})
	}
	e.metrics.Verdicts.WithLabelValues(string(verdict)).Inc()
	judged := &RunUpdate{run.ID, fence, func(r *prunella.Run) error { r.Verdict, r.Reason = verdict, why; return nil }}
	switch verdict {
	case prunella.Healed:
		_, err = e.move(ctx, inc, prunella.Resolved, why, Change{
			Apply:     func(i *prunella.Incident) error { i.Verdict, i.VerdictReason = verdict, why; return nil },
			UpdateRun: judged,
			Outcomes:  outcomes(run, 1, now),
			Events:    []prunella.Event{{Incident: inc.ID, At: now, Kind: "verdict", Text: "healed: " + why.Text, Reason: why}},
			Notifications: []prunella.Notification{e.notification(inc, "resolved", "@oncall", "Healed: "+inc.Title,
				fmt.Sprintf("%s\n\n%s", why.Text, summary(inc)), why)},
		})
		return false, err
	case prunella.NotHealed:
		return true, e.undo(ctx, inc, run, fence, why)
	}
	run.Verdict = verdict
	return false, e.escalateWith(ctx, inc, &run, why, Change{UpdateRun: judged})
}

// health is what every service said since a moment: the hit ones from their own
// metrics and our canaries, the other verifiers of the issuer from canaries.
func (e *Engine) health(ctx context.Context, inc prunella.Incident, since, now time.Time) ([]heal.Health, error) {
	byName := map[string]*heal.Health{}
	for _, i := range inc.Impact {
		byName[i.Service] = &heal.Health{Service: i.Service, Hit: true, Baseline: i.Baseline}
	}
	issuer := ""
	if len(inc.Causes) > 0 {
		issuer = e.issuerOf(inc.Causes[0])
	}
	for _, s := range e.cfg.Inventory.Services {
		if s.URL == "" || s.Canary == "" {
			continue
		}
		h := byName[s.Name]
		if h == nil {
			if i, ok := e.cfg.Inventory.IssuerOf(s.Name); !ok || i.Name != issuer {
				continue
			}
			h = &heal.Health{Service: s.Name}
			byName[s.Name] = h
		}
		h.Probed = true
	}
	var out []heal.Health
	for name, h := range byName {
		sums := map[string]*int{SeriesRequests: &h.Requests, SeriesUnauthorized: &h.Failed, SeriesForbidden: &h.Failed, SeriesErrors: &h.Failed,
			SeriesCanaryOK: &h.CanaryOK, SeriesCanaryRefused: &h.CanaryRefused, SeriesCanaryUnknown: &h.CanaryUnknown}
		for series, into := range sums {
			points, err := e.store.Series(ctx, series, name, since, now)
			if err != nil {
				return nil, err
			}
			total := 0.0
			for _, p := range points {
				if p.At.Before(since) {
					continue
				}
				total += p.Value
				switch end := p.At.Add(e.cfg.Bucket); {
				case p.Value == 0:
				case series == SeriesRequests && end.After(h.Counted):
					h.Counted = end
				case series == SeriesCanaryOK && p.At.After(h.Answered):
					h.Answered = p.At
				case series == SeriesCanaryUnknown && p.At.After(h.Unanswered):
					h.Unanswered = p.At
				}
			}
			if !strings.HasPrefix(series, "canary.") {
				total *= e.cfg.Bucket.Seconds()
			}
			*into += int(total + 0.5)
		}
		out = append(out, *h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Service < out[j].Service })
	return out, nil
}

// Names of stored series. A point's At is the beginning of its bucket. Requests
// and errors are per second over Config.Bucket; canaries are counts.
const (
	SeriesRequests      = "requests"
	SeriesUnauthorized  = "errors.401"
	SeriesForbidden     = "errors.403"
	SeriesErrors        = "errors.5xx"
	SeriesBaseline      = "baseline.401"
	SeriesCanaryOK      = "canary.ok"
	SeriesCanaryRefused = "canary.refused"
	SeriesCanaryUnknown = "canary.unknown"
)

// Series lists every stored series by name.
func Series() []string {
	return []string{SeriesRequests, SeriesUnauthorized, SeriesForbidden, SeriesErrors, SeriesBaseline, SeriesCanaryOK, SeriesCanaryRefused, SeriesCanaryUnknown}
}

// await waits for the person who was asked; silence is a denial.
func (e *Engine) await(ctx context.Context, inc prunella.Incident, fence int64, now time.Time) (bool, error) {
	run, ok, err := e.current(ctx, inc.ID, prunella.RunProposed)
	if err != nil {
		return false, err
	}
	approvals, err := e.store.Approvals(ctx, inc.ID)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(approvals, func(a prunella.Approval) bool { return ok && a.Run == run.ID })
	if at < 0 {
		return false, e.escalate(ctx, inc, nil, prunella.Reason{Name: "approval-missing", Text: "nobody was asked; the plan is below"}, nil)
	}
	a := approvals[at]
	if a.Decision == "" && !now.Before(a.Expires) {
		if a, err = e.store.ExpireApproval(ctx, a.ID, a.Hash, now); err != nil {
			return false, err
		}
	}
	if joined := unplanned(inc, run); len(joined) > 0 && (a.Decision == "" || a.Decision == "approved") {
		return e.renew(ctx, inc, run, joined, fence, now)
	}
	switch {
	case a.Decision == "":
		if err := e.stay(ctx, inc, func(i *prunella.Incident) {
			if len(unplanned(*i, run)) == 0 { // else it grew since it was read
				i.DueAt = a.Expires
			}
		}); err != nil {
			return false, err
		}
		// An answer given since the question was read has just been put off.
		if approvals, err = e.store.Approvals(ctx, inc.ID); err != nil || approvals[at].Decision == "" {
			return false, err
		}
		return true, e.due(ctx, inc, time.Time{})
	case a.Decision == "approved" && a.Hash == run.Hash:
		why := prunella.Reason{Name: "approved", Text: fmt.Sprintf("%s approved exactly this plan", a.By), Operands: map[string]string{"by": a.By, "hash": a.Hash, "note": a.Note}}
		_, err := e.move(ctx, inc, prunella.Healing, why, Change{
			Admit: alone(run),
			Apply: func(i *prunella.Incident) error {
				if len(unplanned(*i, run)) > 0 {
					return errGrew
				}
				i.Attempts++
				return nil
			},
			UpdateRun: &RunUpdate{run.ID, fence, func(r *prunella.Run) error { e.start(r, now); return nil }},
		})
		if errors.Is(err, errGrew) {
			return true, nil
		}
		if errors.Is(err, errBusy) {
			return false, e.later(ctx, inc, busy(err), nil)
		}
		return err == nil, err
	}
	why := prunella.Reason{Name: "approval-" + a.Decision, Text: fmt.Sprintf("the plan was %s (%s)", a.Decision, strings.TrimSpace(a.By+" "+a.Note)), Operands: map[string]string{"by": a.By}}
	return false, e.escalateWith(ctx, inc, &run, why, Change{
		UpdateRun: &RunUpdate{run.ID, fence, func(r *prunella.Run) error {
			r.State, r.Reason, r.Ended = prunella.RunRefused, why, now
			return nil
		}},
	})
}

// start sets a run going; its time budget begins now.
func (e *Engine) start(r *prunella.Run, now time.Time) {
	r.State, r.Started = prunella.RunRunning, now
	budget := 10 * time.Minute // of the generic remedy
	if s, ok := e.skill(r.Skill); ok && s.Budgets.Resolution > 0 {
		budget = s.Budgets.Resolution
	}
	r.Deadline = now.Add(budget)
}

// outcomes is what a run says about its skill, as that was when the run was
// planned: it may have been edited since.
func outcomes(run prunella.Run, x float64, now time.Time) []prunella.Outcome {
	if run.Skill == "" {
		return nil
	}
	return []prunella.Outcome{{Skill: run.Skill, Version: run.Version, Hash: run.Pinned, At: now, Kind: "run", X: x, Ref: string(run.ID)}}
}

func (e *Engine) skill(name prunella.SkillName) (prunella.Skill, bool) {
	for _, s := range e.cfg.Skills() {
		if s.Name == name {
			return s, true
		}
	}
	return prunella.Skill{}, false
}
