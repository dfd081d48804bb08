package heal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"prunella"
	"prunella/condition"
)

// Input is what a plan is made from.
type Input struct {
	Run      prunella.RunID
	Incident prunella.Incident
	Cause    prunella.Cause
	Skill    *prunella.Skill // nil: the generic remedy
	Keys     Keys
	Services []prunella.Service
	Catalog  map[string]prunella.Spec // known actions; a plan naming another one is refused
	Now      time.Time
}

// Keys is what diagnosis learned about the issuer's keys, for rendering steps.
type Keys struct {
	Issuer        string
	Signer        string             // kid of freshly issued tokens
	Previous      string             // kid that signed before, "" when not known
	Failing       string             // kid that verifiers refuse
	Lacking       []prunella.Service // verifiers that refuse the signer's key
	Refusing      []prunella.Service // verifiers that refuse the failing key
	Undelivered   []prunella.Service // of those, the ones that delivery of the key failed for
	Verifiers     []prunella.Service // every verifier that can be proven
	TokenLifetime time.Duration
	// PreviousLastIssued is when the previous key stopped signing. Tokens signed
	// by it live for TokenLifetime plus Skew longer; before that, removing the
	// key would break valid tokens.
	PreviousLastIssued time.Time
	PreviousUnseen     bool // no verifier reported the previous kid in use
}

// Skew is the clock difference allowed for when a key's removal is timed.
const Skew = 2 * time.Minute

// PreviousSafeAt is the first moment at which no valid token of the previous
// key can exist; zero when that is not known.
func (k Keys) PreviousSafeAt() time.Time {
	if k.PreviousLastIssued.IsZero() || k.TokenLifetime == 0 {
		return time.Time{}
	}
	return k.PreviousLastIssued.Add(k.TokenLifetime + Skew)
}

// Plan renders the steps. The run it returns is in state proposed.
func Plan(in Input) (prunella.Run, error) {
	run := prunella.Run{ID: in.Run, Incident: in.Incident.ID, State: prunella.RunProposed, Created: in.Now}
	rules := genericRules(in)
	if in.Skill != nil {
		run.Skill, run.Version, run.Pinned, run.Title = in.Skill.Name, in.Skill.Version, in.Skill.Hash, in.Skill.Title
		rules = in.Skill.Actions
	} else {
		run.Title = "Undo the change that preceded the failure"
		if c := in.Cause.Change; c != nil && c.Name == prunella.ChangeKeyMaterial {
			run.Title = "Let the verifiers fetch the changed key"
		}
	}
	for _, i := range in.Incident.Impact {
		run.Services = append(run.Services, i.Service)
	}
	vars := variables(in)
	for _, rule := range rules {
		steps, err := render(in, rule, vars)
		if err != nil {
			return prunella.Run{}, err
		}
		run.Steps = append(run.Steps, steps...)
	}
	for i := range run.Steps {
		run.Steps[i].Index = i
		run.Steps[i].Key = fmt.Sprintf("%s-%d", in.Run, i)
	}
	run.Hash = Hash(run.Pinned, run.Steps)
	return run, nil
}

// Mutates says whether a run would change the world at all.
func Mutates(run prunella.Run) bool {
	for _, s := range run.Steps {
		if s.Effect != prunella.Reads && s.State != prunella.StepSkipped {
			return true
		}
	}
	return false
}

// Hash identifies exactly what would be done: the skill's bytes and each step's
// action, parameters, verification and undo. Two plans with equal hashes do the same.
func Hash(skillHash string, steps []prunella.Step) string {
	type exact struct {
		Action string
		Params map[string]any
		Verify *prunella.VerifyRule
		Undo   *prunella.UndoRule
		State  prunella.StepState
	}
	rows := make([]exact, 0, len(steps))
	for _, s := range steps {
		rows = append(rows, exact{s.Action, s.Params, s.Verify, s.Undo, s.State})
	}
	b, err := json.Marshal(struct {
		Skill string
		Steps []exact
	}{skillHash, rows})
	if err != nil { // parameters come from YAML and JSON, which always marshal
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func render(in Input, rule prunella.ActionRule, vars map[string]any) ([]prunella.Step, error) {
	where := ""
	if in.Skill != nil {
		where = fmt.Sprintf("%s:%d", in.Skill.Path, rule.Line)
	}
	spec, known := in.Catalog[rule.Do]
	if !known {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "plan", Where: where,
			Reason: fmt.Sprintf("action %q is not known", rule.Do), Remedy: "run prunella skill lint on the file"}
	}
	items := []any{nil}
	if rule.ForEach != "" {
		v, err := reference(rule.ForEach, vars)
		if err != nil {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "plan", Where: where, Err: err}
		}
		list, ok := v.([]any)
		if !ok {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "plan", Where: where,
				Reason: fmt.Sprintf("for_each %q is not a list", rule.ForEach)}
		}
		items = list
	}
	var out []prunella.Step
	for _, item := range items {
		local := make(map[string]any, len(vars)+1)
		for k, v := range vars {
			local[k] = v
		}
		if item == nil {
			item = map[string]any{}
		}
		local["item"] = item
		step, err := renderOne(rule, spec, local, in.Now)
		if err != nil {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "plan", Where: where, Err: err}
		}
		out = append(out, step)
	}
	return out, nil
}

func renderOne(rule prunella.ActionRule, spec prunella.Spec, vars map[string]any, now time.Time) (prunella.Step, error) {
	effect := worse(rule.Effect, spec.Effect) // a skill cannot declare an action harmless
	step := prunella.Step{
		Action: rule.Do, Effect: effect, State: prunella.StepPlanned,
		Attempts: max(rule.Attempts, 1), Timeout: rule.Timeout, OnFailure: rule.OnFailure,
	}
	if rule.When != "" {
		p, err := condition.Compile(rule.When, condition.Plan)
		if err != nil {
			return step, err
		}
		ok, err := p.Eval(vars)
		if err != nil {
			return step, fmt.Errorf("when %q: %w", rule.When, err)
		}
		if !ok {
			step.State = prunella.StepSkipped
			step.Reason = prunella.Reason{Name: "condition-not-met", Text: "skipped: " + rule.When + " does not hold",
				Operands: operands(p.Variables(), vars)}
			step.Ended = now
		}
	}
	params, err := renderMap(rule.With, vars)
	if err != nil {
		return step, err
	}
	step.Params = params
	for _, p := range spec.Params {
		if p.Required && step.State != prunella.StepSkipped && empty(params[p.Name]) {
			return step, fmt.Errorf("%s needs %q, and this incident does not tell it", rule.Do, p.Name)
		}
	}
	if rule.Verify != nil {
		v := *rule.Verify
		if v.With, err = renderMap(v.With, vars); err != nil {
			return step, err
		}
		if v.Until, err = renderText(v.Until, vars); err != nil {
			return step, err
		}
		step.Verify = &v
	}
	if rule.Undo != nil {
		u := *rule.Undo
		if u.With, err = renderMap(u.With, vars); err != nil {
			return step, err
		}
		step.Undo = &u
	}
	title := rule.Title
	if title == "" {
		title = rule.Do
	}
	if step.Name, err = renderText(title, vars); err != nil {
		return step, err
	}
	step.Target = target(step)
	return step, nil
}

// worse returns the effect that is harder to take back.
func worse(a, b prunella.Effect) prunella.Effect {
	order := map[prunella.Effect]int{"": 0, prunella.Reads: 1, prunella.Reversible: 2, prunella.Irreversible: 3}
	if order[a] > order[b] {
		return a
	}
	return b
}

// target is what the per-target bound counts: the most specific object a step names.
func target(s prunella.Step) string {
	for _, k := range []string{"deployment", "service", "configmap", "kid", "issuer"} {
		if v, ok := s.Params[k].(string); ok && v != "" {
			return k + "/" + v
		}
	}
	return s.Action
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

func operands(names []string, vars map[string]any) map[string]string {
	sort.Strings(names)
	out := map[string]string{}
	for _, n := range names {
		if v, err := reference(n, vars); err == nil {
			b, err := json.Marshal(v)
			if err == nil && len(b) < 400 {
				out[n] = string(b)
			}
		}
	}
	return out
}
