package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"prunella"
	"prunella/action"
	"prunella/condition"
	"prunella/diagnose"
)

// parallelReads bounds how many reads of one diagnosis run side by side.
const parallelReads = 6

// reads makes each distinct read of a diagnosis once, however many checks ask for it.
type reads struct {
	e   *Engine
	inc prunella.Incident

	mu   sync.Mutex
	done map[string]*oneRead
	room chan struct{}
}

type oneRead struct {
	once sync.Once
	read diagnose.Read
}

func (e *Engine) newReads(inc prunella.Incident) *reads {
	return &reads{e: e, inc: inc, done: map[string]*oneRead{}, room: make(chan struct{}, parallelReads)}
}

func (r *reads) get(ctx context.Context, name string, with map[string]any, timeout time.Duration) diagnose.Read {
	b, err := json.Marshal(with)
	if err != nil {
		return diagnose.Read{Err: err.Error()}
	}
	key := name + " " + string(b)
	if len(with) == 0 {
		key = name + " {}"
	}
	r.mu.Lock()
	one := r.done[key]
	if one == nil {
		one = &oneRead{}
		r.done[key] = one
	}
	r.mu.Unlock()
	one.once.Do(func() {
		r.room <- struct{}{}
		defer func() { <-r.room }()
		start := time.Now()
		var result map[string]any
		err := guarded("read", r.e.metrics, r.e.log, func() (err error) {
			result, err = r.e.read(ctx, r.inc, name, with, timeout)
			return err
		})
		one.read = diagnose.Read{Result: result, At: time.Now(), Took: time.Since(start)}
		if err != nil {
			one.read.Err = err.Error()
		}
	})
	return one.read
}

func (e *Engine) read(ctx context.Context, inc prunella.Incident, name string, with map[string]any, timeout time.Duration) (map[string]any, error) {
	if timeout == 0 {
		timeout = e.cfg.ReadTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	services := make([]string, 0, len(inc.Impact))
	for _, i := range inc.Impact {
		services = append(services, i.Service)
	}
	return e.world.Read(ctx, name, with, action.Incident{Onset: inc.Onset, Services: services, Now: time.Now()})
}

// gather reads the world for a diagnosis: what every diagnosis wants, and the
// checks of the skills that could fit.
func (e *Engine) gather(ctx context.Context, inc prunella.Incident, skills []prunella.Skill) (map[string]diagnose.Read, map[prunella.SkillName][]diagnose.CheckResult) {
	r := e.newReads(inc)
	var wg sync.WaitGroup
	var mu sync.Mutex
	standard := map[string]diagnose.Read{}
	checks := map[prunella.SkillName][]diagnose.CheckResult{}
	if !inc.Live { // there is nothing to read
		return standard, checks
	}
	for _, name := range diagnose.Standard() {
		wg.Go(func() {
			got := r.get(ctx, name, nil, 0)
			mu.Lock()
			standard[name] = got
			mu.Unlock()
		})
	}
	for _, s := range skills {
		results := make([]diagnose.CheckResult, len(s.Checks))
		checks[s.Name] = results
		for i, rule := range s.Checks {
			wg.Go(func() {
				read := r.get(ctx, rule.Read, rule.With, rule.Timeout)
				if err := guarded("check", e.metrics, e.log, func() error { results[i] = e.check(rule, read, inc); return nil }); err != nil {
					results[i] = diagnose.CheckResult{Rule: rule, Read: read, Err: err.Error()}
				}
			})
		}
	}
	wg.Wait()
	return standard, checks
}

// check evaluates what a read means for the skill that asked.
func (e *Engine) check(rule prunella.CheckRule, read diagnose.Read, inc prunella.Incident) diagnose.CheckResult {
	out := diagnose.CheckResult{Rule: rule, Read: read, Err: read.Err}
	if read.Err != "" {
		return out
	}
	vars := map[string]any{"result": read.Result, "incident": incidentVars(inc), "cause": causeVars(inc)}
	ask := func(expr string) *bool {
		if expr == "" {
			return nil
		}
		p, err := condition.Compile(expr, condition.Check)
		if err != nil {
			out.Err = err.Error()
			return nil
		}
		holds, err := p.Eval(vars)
		if err != nil {
			out.Err = fmt.Sprintf("%s: %v", expr, err)
			return nil
		}
		return &holds
	}
	out.For, out.Against = ask(rule.For), ask(rule.Against)
	return out
}
