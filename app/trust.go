package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/client"
	"prunella/engine"
	"prunella/heal"
	"prunella/skill"
	"prunella/store"
)

func trustTerm(t skill.Term) client.TrustTerm {
	o := t.Outcome
	if o.Kind == "thread" { // of a [[link]] its words stay
		o.Ref = linkRE.ReplaceAllString(o.Ref, "$1$2")
	}
	return client.TrustTerm{At: o.At, Kind: o.Kind, Ref: o.Ref, X: o.X, Weight: t.Counts, Base: t.Weight, Capped: t.Capped, Carry: t.Carry, Decay: t.Decay,
		Version: o.Version, Hash: o.Hash, By: o.By, Note: o.Note}
}

// oneClick is the floor from which a yes to its plan needs no second thought
// (docs/decisions/0003-approval-floor.md).
const oneClick = 0.5

// gates says in the words of a person which freedoms a skill has, from what the
// policy answered for it.
func gates(v client.SkillView) []client.TrustGate {
	advise := client.TrustGate{Name: "advise", Passed: true, Note: "always: it is matched and shown"}
	approve := client.TrustGate{Name: "approve", Passed: true}
	alone := client.TrustGate{Name: "unattended", Passed: v.Policy.Allowed == prunella.AllowUnattended}
	if len(v.Policy.Gates) == 0 {
		advise.Passed, advise.Note = false, ""
		for _, g := range []*client.TrustGate{&advise, &approve, &alone} {
			g.Passed, g.Missing = false, []string{v.Policy.Reason.Text}
		}
		return []client.TrustGate{advise, approve, alone}
	}
	for _, g := range v.Policy.Gates {
		if g.Operands["passed"] == "true" {
			continue
		}
		text := g.Name + ": " + g.Text
		alone.Missing = append(alone.Missing, text)
		if heal.Forbids(g.Name) {
			approve.Passed = false
			approve.Missing = append(approve.Missing, text)
		}
	}
	switch {
	case approve.Passed && v.Trust.Floor < oneClick:
		approve.Note = fmt.Sprintf("a person is asked; the floor %.3f is below %.1f, so they should read the steps with care", v.Trust.Floor, oneClick)
	case approve.Passed:
		approve.Note = fmt.Sprintf("a person is asked; the floor %.3f is at least %.1f", v.Trust.Floor, oneClick)
	}
	return []client.TrustGate{advise, approve, alone}
}

// Vouch records what a person says of a skill in its present version. One
// person has one word on a version; a later one replaces it.
func (b backend) Vouch(ctx context.Context, name prunella.SkillName, w client.Word) (client.SkillView, error) {
	x, known := map[string]float64{"healed": 1, "partial": 0.5, "failed": 0}[w.Word]
	by, because := strings.TrimSpace(w.By), strings.TrimSpace(w.Because)
	switch {
	case !known:
		return client.SkillView{}, &prunella.Error{Kind: prunella.Invalid, Where: "word", Reason: fmt.Sprintf("%q is not a word about a skill", w.Word), Remedy: "say healed, partial or failed"}
	case by == "":
		return client.SkillView{}, &prunella.Error{Kind: prunella.Invalid, Where: "by", Reason: "a word counts only when it is known whose it is", Remedy: "say who you are"}
	case because == "":
		return client.SkillView{}, &prunella.Error{Kind: prunella.Invalid, Where: "because", Reason: "a word counts only with its reason", Remedy: "say what you saw"}
	}
	f, err := b.inUse(name)
	if err != nil {
		return client.SkillView{}, err
	}
	person := strings.ToLower(strings.TrimPrefix(by, "@"))
	err = b.store.AddOutcome(ctx, prunella.Outcome{Skill: name, Version: f.skill.Version, Hash: f.skill.Hash, At: time.Now().UTC(), Kind: "person", X: x,
		Ref: "person/" + person, By: by, Note: because})
	if err != nil {
		return client.SkillView{}, err
	}
	b.hub.announce("skills", string(name))
	return b.Skill(ctx, name)
}

// Propose puts a skill's plan before a person.
func (b backend) Propose(ctx context.Context, id prunella.IncidentID, p client.Proposal) (client.Proposed, error) {
	run, ask, err := b.engine.Propose(ctx, id, engine.Proposal{Skill: p.Skill, By: p.By, Because: p.Because})
	if err != nil {
		return client.Proposed{}, err
	}
	return client.Proposed{Run: run, Approval: ask, URL: b.publicURL() + "/incidents/" + string(id) + "#plan"}, nil
}

func (b backend) inUse(name prunella.SkillName) (installed, error) {
	f, ok := b.skills.find(name)
	switch {
	case !ok:
		return f, &prunella.Error{Kind: prunella.NotFound, Where: "skill " + string(name), Reason: "there is no such skill", Remedy: "see the list of skills"}
	case !f.usable():
		return f, &prunella.Error{Kind: prunella.Invalid, Where: f.path, Reason: "the skill's file has errors and no version of it is in use", Remedy: "mend what prunella skill lint names"}
	}
	return f, nil
}

// PutReport stores a scenario's report. One of a live world that passed or
// failed and names its skill is evidence about that skill; an ERROR proved
// nothing and counts nothing. Healed, but later than expected, counts as partial:
// that may be the machine as well as the skill.
func (b backend) PutReport(ctx context.Context, r prunella.Report) error {
	if err := b.store.PutReport(ctx, r); err != nil {
		return err
	}
	b.hub.announce("reports", r.ID)
	x, judged := map[prunella.Result]float64{prunella.Passed: 1, prunella.Failed: 0}[r.Status]
	live, note := len(r.Faults) > 0, r.Scenario
	if r.Status == prunella.Failed && r.Verdict == prunella.Healed && onlyLate(r.Checks) {
		x, note = 0.5, note+", later than expected"
	}
	if _, ok := b.skills.find(r.Skill); !ok || !judged || !live || r.SkillVersion == "" {
		return nil
	}
	at := r.Ended
	if now := time.Now(); at.IsZero() || at.After(now) {
		at = now
	}
	err := b.store.AddOutcome(ctx, prunella.Outcome{Skill: r.Skill, Version: r.SkillVersion, Hash: r.SkillHash, At: at.UTC(), Kind: "scenario", X: x, Ref: r.ID, Note: note})
	if err == nil {
		b.hub.announce("skills", string(r.Skill))
	}
	return err
}

// onlyLate says whether all that is wrong is how long it took.
func onlyLate(checks []prunella.ReportCheck) bool {
	return !slices.ContainsFunc(checks, func(c prunella.ReportCheck) bool {
		return c.Result != prunella.Passed && !strings.HasPrefix(c.Name, "within.")
	})
}

// Offline is the knowledge and the evidence of a server that does not run.
type Offline struct {
	backend
	close func()
}

// OpenOffline opens the data and the wiki that a configuration names. Conflict:
// a server is using the data.
func OpenOffline(ctx context.Context, cfg Config) (*Offline, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil)), hub: newHub()}
	var err error
	if a.store, err = store.Open(ctx, cfg.Data); err != nil {
		return nil, err
	}
	a.undo("store", a.store.Close)
	if err := a.openWiki(ctx); err != nil {
		a.cleanup()
		return nil, err
	}
	return &Offline{backend: backend{a}, close: func() { a.cleanup() }}, nil
}

// Close gives the data free.
func (o *Offline) Close() { o.close() }
