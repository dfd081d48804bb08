package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"prunella"
	"prunella/action"
	"prunella/condition"
	"prunella/heal"
)

// heal executes the steps of the incident's running run, one at a time, each
// with its intent committed before its effect.
func (e *Engine) heal(ctx context.Context, inc prunella.Incident, fence int64, now time.Time) (bool, error) {
	run, ok, err := e.current(ctx, inc.ID, prunella.RunRunning, prunella.RunUndoing)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, e.escalate(ctx, inc, nil, prunella.Reason{Name: "run-missing", Text: "the incident is healing but has no run"}, nil)
	}
	if run.State == prunella.RunUndoing { // a crash fell into the undo
		return true, e.undo(ctx, inc, run, fence, run.Reason)
	}
	for i := range run.Steps {
		s := run.Steps[i]
		if s.State == prunella.StepDone || s.State == prunella.StepSkipped {
			continue
		}
		if s.State == prunella.StepFailed && s.OnFailure == "continue" {
			continue
		}
		if mine, err := e.mine(ctx, inc, fence); err != nil || !mine {
			return false, err
		}
		if !run.Deadline.IsZero() && time.Now().After(run.Deadline) {
			if s.State == prunella.StepIntended { // a crash cut it off
				if err := e.mark(ctx, inc, &run, i, fence, prunella.StepUnknown, "", "the process ended before the result was known", prunella.Reason{Name: "result-lost"}); err != nil {
					return false, err
				}
			}
			return true, e.fail(ctx, inc, run, fence, s, prunella.Reason{Name: "budget-spent",
				Text: fmt.Sprintf("the time for the resolution ran out before “%s”", s.Name)}, "escalate")
		}
		why, good, err := e.step(ctx, inc, &run, i, fence)
		if err != nil {
			return false, err
		}
		if good {
			continue
		}
		if run.Steps[i].OnFailure == "continue" && run.Steps[i].State == prunella.StepFailed {
			continue
		}
		onFailure := run.Steps[i].OnFailure
		if run.Steps[i].State == prunella.StepUnknown {
			onFailure = "escalate" // what happened is not known: nothing more is changed before a person looked
		}
		if mine, err := e.mine(ctx, inc, fence); err != nil || !mine { // nothing is undone under a person's hands
			return false, err
		}
		return true, e.fail(ctx, inc, run, fence, run.Steps[i], why, onFailure)
	}
	ended := time.Now()
	_, err = e.move(ctx, inc, prunella.Verifying, prunella.Reason{Name: "steps-done", Text: "every step is done; now the world must show it"},
		Change{
			Apply: func(i *prunella.Incident) error { i.QuietSince = ended; return nil },
			UpdateRun: &RunUpdate{run.ID, fence, func(r *prunella.Run) error {
				r.State, r.Ended = prunella.RunDone, ended
				return nil
			}},
		})
	return err == nil, err
}

// mine says whether the incident is still where the engine left it. When a
// person took it, its run ends here.
func (e *Engine) mine(ctx context.Context, inc prunella.Incident, fence int64) (bool, error) {
	held, err := e.store.Incident(ctx, inc.ID)
	if err != nil || held.State == inc.State {
		return err == nil, err
	}
	return false, e.abandon(ctx, inc.ID, fence, TakenByPerson)
}

// TakenByPerson is why a run ends whose incident a person took.
var TakenByPerson = prunella.Reason{Name: prunella.TakenByPerson, Text: "a person took the incident; the remaining steps are not run"}

// abandon ends what is still running of an incident that a person holds now:
// what was done stays, and nothing more is done.
func (e *Engine) abandon(ctx context.Context, id prunella.IncidentID, fence int64, why prunella.Reason) error {
	runs, err := e.store.Runs(ctx, id)
	if err != nil {
		return err
	}
	for _, r := range runs {
		now := time.Now()
		if !End(&r, why, now) {
			continue
		}
		if _, err := e.store.UpdateRun(ctx, r.ID, fence, func(r *prunella.Run) error {
			End(r, why, now)
			return nil
		}, prunella.Event{Incident: id, At: now, Kind: "step", Text: r.Title + ": " + why.Text, Reason: why}); err != nil {
			return err
		}
	}
	return nil
}

// End ends a run that is under way or waits for its verdict: what came of it is
// not known. Other runs stay as they are, and it answers false.
func End(r *prunella.Run, why prunella.Reason, now time.Time) bool {
	switch {
	case r.State == prunella.RunRunning || r.State == prunella.RunUndoing:
		r.State, r.Ended = prunella.RunFailed, now
	case r.State != prunella.RunDone || r.Verdict != "":
		return false
	}
	for i := range r.Steps {
		if s := &r.Steps[i]; s.State == prunella.StepIntended {
			s.State, s.Error = prunella.StepUnknown, "its run ended before the result was known"
		}
	}
	r.Reason, r.Verdict = why, prunella.UnknownVerdict
	return true
}

// step brings one step to done, failed or unknown. After a crash it first looks
// whether an intended step happened; it never repeats one blindly.
func (e *Engine) step(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64) (prunella.Reason, bool, error) {
	for {
		s := run.Steps[i]
		if s.State == prunella.StepIntended || s.State == prunella.StepUnknown {
			if s.Effect == prunella.Reads { // reading twice changes nothing
				updated, err := e.store.UpdateRun(ctx, run.ID, fence, func(r *prunella.Run) error {
					r.Steps[i].State = prunella.StepFailed
					r.Steps[i].Attempt-- // the cut-off reading does not count
					r.Steps[i].Reason = prunella.Reason{Name: "read-again", Text: "the reading was cut off; it is done again"}
					return nil
				})
				if err != nil {
					return prunella.Reason{}, false, err
				}
				*run = updated
				continue
			}
			if s.State == prunella.StepIntended {
				if err := e.mark(ctx, inc, run, i, fence, prunella.StepUnknown, "", "the process ended before the result was known", prunella.Reason{Name: "result-lost"}); err != nil {
					return prunella.Reason{}, false, err
				}
			}
			settled, err := e.observe(ctx, inc, run, i, fence)
			if err != nil {
				return prunella.Reason{}, false, err
			}
			if !settled {
				return prunella.Reason{Name: "step-unknown", Text: fmt.Sprintf("whether “%s” happened cannot be told from the world", s.Name)}, false, nil
			}
			if run.Steps[i].State == prunella.StepDone {
				return e.proven(ctx, inc, run, i, fence)
			}
			continue
		}
		if s.State == prunella.StepDone {
			return e.proven(ctx, inc, run, i, fence)
		}
		if s.State == prunella.StepFailed && s.Attempt >= s.Attempts {
			return prunella.Reason{Name: "step-failed", Text: fmt.Sprintf("“%s” failed: %s", s.Name, s.Error)}, false, nil
		}
		if err := e.attempt(ctx, inc, run, i, fence); err != nil {
			return prunella.Reason{}, false, err
		}
	}
}

// attempt commits the intent, does it, and commits the result.
func (e *Engine) attempt(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64) error {
	s := run.Steps[i]
	if s.Attempt > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Duration(s.Attempt)*500*time.Millisecond, 5*time.Second)):
		}
	}
	timeout := s.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	before := s.Before
	if (s.Attempt == 0 || s.Before == nil) && s.Effect != prunella.Reads {
		var err error
		if before, err = e.world.Before(limit, s.Action, s.Params); err != nil {
			return e.intendAndFail(ctx, inc, run, i, fence, fmt.Sprintf("the state before could not be read: %v", err))
		}
	}
	key := s.Key
	if s.Attempt > 0 { // an earlier attempt is known not to have happened
		key = fmt.Sprintf("%s-%d", s.Key, s.Attempt)
	}
	if err := e.intend(ctx, inc, run, i, fence, before); err != nil {
		return err
	}
	out, err := e.world.Do(limit, s.Action, key, s.Params)
	if ctx.Err() != nil {
		return ctx.Err() // stopped: the intent stands, the next process looks
	}
	switch {
	case err == nil:
		return e.mark(ctx, inc, run, i, fence, prunella.StepDone, out, "", prunella.Reason{Name: "answered", Text: "the target answered that it is done"})
	case errors.Is(err, action.ErrLost) && s.Effect != prunella.Reads:
		return e.mark(ctx, inc, run, i, fence, prunella.StepUnknown, out, err.Error(), prunella.Reason{Name: "answer-lost", Text: "the answer was lost"})
	default:
		return e.mark(ctx, inc, run, i, fence, prunella.StepFailed, out, err.Error(), prunella.Reason{Name: "refused", Text: err.Error()})
	}
}

func (e *Engine) intend(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64, before map[string]any) error {
	now := time.Now()
	updated, err := e.store.UpdateRun(ctx, run.ID, fence, func(r *prunella.Run) error {
		if r.State != prunella.RunRunning { // a person ended it meanwhile
			return prunella.Errorf(prunella.Conflict, "run %s is %s", r.ID, r.State)
		}
		s := &r.Steps[i]
		if err := prunella.StepTransition(s.State, prunella.StepIntended); err != nil {
			return err
		}
		s.State, s.Before, s.Error, s.Output = prunella.StepIntended, before, "", ""
		s.Attempt++
		if s.Started.IsZero() {
			s.Started = now
		}
		return nil
	})
	if err == nil {
		*run = updated
	}
	return err
}

func (e *Engine) intendAndFail(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64, text string) error {
	if err := e.intend(ctx, inc, run, i, fence, nil); err != nil {
		return err
	}
	return e.mark(ctx, inc, run, i, fence, prunella.StepFailed, "", text, prunella.Reason{Name: "before-unreadable", Text: text})
}

func (e *Engine) mark(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64, to prunella.StepState, out, errText string, why prunella.Reason) error {
	now := time.Now()
	name := run.Steps[i].Name
	text := fmt.Sprintf("%s: %s", name, to)
	if why.Name == "verified" {
		text = name + ": proven, " + why.Text
	}
	if errText != "" {
		text += ": " + errText
	}
	updated, err := e.store.UpdateRun(ctx, run.ID, fence, func(r *prunella.Run) error {
		s := &r.Steps[i]
		if s.State != to {
			if err := prunella.StepTransition(s.State, to); err != nil {
				return err
			}
		}
		if why.Name == "observed-not-done" && s.Reason.Name == "result-lost" {
			s.Attempt-- // the end of our own process is no failure of the step
		}
		s.State, s.Reason, s.Ended, s.Error = to, why, now, errText
		if out != "" {
			s.Output = out
		}
		return nil
	}, prunella.Event{Incident: inc.ID, At: now, Kind: "step", Text: text, Service: run.Steps[i].Target, Reason: why})
	if err != nil {
		return err
	}
	*run = updated
	e.metrics.Steps.WithLabelValues(run.Steps[i].Action, string(to)).Inc()
	e.log.Info("step", "incident", inc.ID, "run", run.ID, "step", name, "state", to, "err", errText)
	return nil
}

// observe settles an unknown step by looking at the world.
func (e *Engine) observe(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64) (bool, error) {
	s := run.Steps[i]
	limit, cancel := context.WithTimeout(ctx, max(e.cfg.ReadTimeout, s.Timeout)) // what is under way may come to its end
	defer cancel()
	happened, text, err := e.world.Happened(limit, s.Action, attempted(s), s.Params, s.Before)
	if err != nil {
		happened, text = action.Unclear, err.Error()
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	switch happened {
	case action.Yes:
		return true, e.mark(ctx, inc, run, i, fence, prunella.StepDone, text, "", prunella.Reason{Name: "observed-done", Text: "the world shows that it happened: " + text})
	case action.No:
		return true, e.mark(ctx, inc, run, i, fence, prunella.StepFailed, "", "the world shows that it did not happen: "+text, prunella.Reason{Name: "observed-not-done", Text: text})
	}
	return false, nil
}

// attempted is the key of a step's newest attempt.
func attempted(s prunella.Step) string {
	if s.Attempt > 1 {
		return fmt.Sprintf("%s-%d", s.Key, s.Attempt-1)
	}
	return s.Key
}

// touched says whether a step has changed the world, or may have: one that
// failed has when the world shows it, as a rollout that came to a halt does.
func (e *Engine) touched(ctx context.Context, s prunella.Step) bool {
	switch {
	case s.State == prunella.StepDone || s.State == prunella.StepUnknown:
		return true
	case s.State != prunella.StepFailed || s.Before == nil:
		return false
	}
	limit, cancel := context.WithTimeout(ctx, e.cfg.ReadTimeout)
	defer cancel()
	happened, _, err := e.world.Happened(limit, s.Action, attempted(s), s.Params, s.Before)
	return err == nil && happened == action.Yes
}

// proven checks a done step against its verify rule; without one, done is enough.
func (e *Engine) proven(ctx context.Context, inc prunella.Incident, run *prunella.Run, i int, fence int64) (prunella.Reason, bool, error) {
	s := run.Steps[i]
	if s.Verify == nil || s.Reason.Name == "verified" {
		return prunella.Reason{}, true, nil
	}
	why, ok, err := e.until(ctx, inc, *s.Verify)
	if err != nil {
		return why, false, err
	}
	if ok {
		return why, true, e.mark(ctx, inc, run, i, fence, prunella.StepDone, s.Output, "", why)
	}
	return prunella.Reason{Name: "step-not-verified", Text: fmt.Sprintf("“%s” was done, but %s", s.Name, why.Text)}, false, nil
}

// until polls a read until its condition has held, or its time is over.
func (e *Engine) until(ctx context.Context, inc prunella.Incident, v prunella.VerifyRule) (prunella.Reason, bool, error) {
	p, err := condition.Compile(v.Until, condition.Check)
	if err != nil {
		return prunella.Reason{Name: "condition-wrong", Text: err.Error()}, false, nil
	}
	end := time.Now().Add(v.Within)
	hold := e.cfg.scaled(v.Hold)
	var since time.Time
	last := "it was not read"
	for {
		result, err := e.read(ctx, inc, v.Read, v.With, 0)
		ok := false
		if err == nil {
			ok, err = p.Eval(map[string]any{"result": result, "incident": incidentVars(inc), "cause": causeVars(inc)})
		}
		if ctx.Err() != nil {
			return prunella.Reason{}, false, ctx.Err()
		}
		now := time.Now()
		switch {
		case err != nil:
			since, last = time.Time{}, err.Error()
		case !ok:
			since, last = time.Time{}, v.Until+" does not hold"
		default:
			if since.IsZero() {
				since = now
			}
			if now.Sub(since) >= hold {
				return prunella.Reason{Name: "verified", Text: v.Read + " shows it", Operands: map[string]string{"until": v.Until}}, true, nil
			}
		}
		if now.After(end) {
			return prunella.Reason{Name: "verify-timeout", Text: fmt.Sprintf("%s within %s", last, v.Within)}, false, nil
		}
		select {
		case <-ctx.Done():
			return prunella.Reason{}, false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// fail ends a run whose step failed: undo what was done, or leave it, and escalate.
func (e *Engine) fail(ctx context.Context, inc prunella.Incident, run prunella.Run, fence int64, s prunella.Step, why prunella.Reason, onFailure string) error {
	if onFailure == "undo" {
		return e.undo(ctx, inc, run, fence, why)
	}
	ended := time.Now()
	run.Verdict = prunella.UnknownVerdict
	return e.escalateWith(ctx, inc, &run, why, Change{
		Outcomes: outcomes(run, 0, ended),
		UpdateRun: &RunUpdate{run.ID, fence, func(r *prunella.Run) error {
			r.State, r.Reason, r.Ended, r.Verdict = prunella.RunFailed, why, ended, prunella.UnknownVerdict
			return nil
		}},
	})
}

// undo takes back every mutating step that was done or may have been, in
// reverse; one failing undo does not stop the rest.
func (e *Engine) undo(ctx context.Context, inc prunella.Incident, run prunella.Run, fence int64, why prunella.Reason) error {
	updated, err := e.store.UpdateRun(ctx, run.ID, fence, func(r *prunella.Run) error {
		if r.State == prunella.RunFailed || r.Verdict != "" { // a person ended it meanwhile
			return prunella.Errorf(prunella.Conflict, "run %s is %s", r.ID, r.State)
		}
		r.State, r.Reason = prunella.RunUndoing, why
		return nil
	}, prunella.Event{Incident: inc.ID, At: time.Now(), Kind: "step", Text: "undoing: " + why.Text, Reason: why})
	if err != nil {
		return err
	}
	run = updated
	failed, kept := 0, 0
	for i := len(run.Steps) - 1; i >= 0; i-- {
		s := run.Steps[i]
		if mine, err := e.mine(ctx, inc, fence); err != nil || !mine {
			return err
		}
		if s.Effect == prunella.Reads || !e.touched(ctx, s) {
			continue
		}
		if s.Undo == nil {
			kept++
			continue
		}
		if s.Undo.Do == "none-needed" {
			continue
		}
		params, err := heal.UndoParams(s)
		if err == nil {
			timeout := s.Timeout
			if timeout == 0 {
				timeout = time.Minute
			}
			limit, cancel := context.WithTimeout(ctx, timeout)
			// After a crash in the middle of an undo the world may already be back.
			if back, _, seen := e.world.Happened(limit, s.Undo.Do, s.Key+"-undo", params, s.Before); seen != nil || back != action.Yes {
				_, err = e.world.Do(limit, s.Undo.Do, s.Key+"-undo", params)
			}
			cancel()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			if err := e.mark(ctx, inc, &run, i, fence, s.State, s.Output, "undo failed: "+err.Error(), prunella.Reason{Name: "undo-failed", Text: err.Error()}); err != nil {
				return err
			}
			continue
		}
		if err := e.mark(ctx, inc, &run, i, fence, prunella.StepUndone, "", "", prunella.Reason{Name: "undone", Text: "taken back by " + s.Undo.Do}); err != nil {
			return err
		}
	}
	text := why.Text + "; what was done was taken back"
	switch {
	case failed > 0:
		text = fmt.Sprintf("%s; %d steps could not be taken back", why.Text, failed)
	case kept > 0:
		text = fmt.Sprintf("%s; %d steps have no way back and stand", why.Text, kept)
	}
	ended := time.Now()
	run.Verdict = prunella.NotHealed
	return e.escalateWith(ctx, inc, &run, prunella.Reason{Name: why.Name, Text: text, Operands: why.Operands}, Change{
		Outcomes: outcomes(run, 0, ended),
		UpdateRun: &RunUpdate{run.ID, fence, func(r *prunella.Run) error {
			r.State, r.Ended, r.Verdict = prunella.RunFailed, ended, prunella.NotHealed
			return nil
		}},
	})
}

// current is the newest run of an incident in one of the states.
func (e *Engine) current(ctx context.Context, id prunella.IncidentID, states ...prunella.RunState) (prunella.Run, bool, error) {
	runs, err := e.store.Runs(ctx, id)
	if err != nil {
		return prunella.Run{}, false, err
	}
	for i := len(runs) - 1; i >= 0; i-- {
		for _, s := range states {
			if runs[i].State == s {
				return runs[i], true, nil
			}
		}
	}
	return prunella.Run{}, false, nil
}
