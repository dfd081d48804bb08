package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"prunella/rotation"
)

// Memory is what a watch remembers of one issuer between looks and between
// processes. It holds no token. The zero value has seen nothing.
type Memory struct {
	Seen     time.Time            `json:"seen,omitzero"` // the last look that reached the issuer
	Outcome  string               `json:"outcome"`       // ok | invalid | unreachable
	Signer   string               `json:"signer,omitempty"`
	Since    time.Time            `json:"signer_since,omitzero"` // the earliest sign that it signs
	Floor    time.Time            `json:"other_until,omitzero"`  // the last look at which another key did
	Keys     map[string]SeenKey   `json:"keys,omitempty"`
	Trust    map[string]Outcome   `json:"trust,omitempty"` // by verifier, for the signer
	Verdicts map[string]string    `json:"verdicts,omitempty"`
	Problems map[string]string    `json:"problems,omitempty"` // errors that stand: evidence by rule and subject
	Changes  int                  `json:"changes"`            // how many were told: makes each one's identity
	Signed   map[string]time.Time `json:"signed,omitempty"`   // published keys that were seen to sign, and when last
}

// SeenKey is a key that was in the set.
type SeenKey struct {
	Thumbprint string    `json:"thumbprint"`
	First      time.Time `json:"first"` // zero when it was there from the start
}

// Change is one difference between two looks.
type Change struct {
	What     What      `json:"what"`
	At       time.Time `json:"at"`
	Issuer   string    `json:"issuer"`
	Key      string    `json:"kid,omitempty"`
	Verifier string    `json:"verifier,omitempty"`
	Before   string    `json:"before,omitempty"`
	After    string    `json:"after,omitempty"`
	Text     string    `json:"text"`
	Number   int       `json:"number"` // of the issuer's changes, from 1
}

// What changed.
type What string

// The changes.
const (
	KeyAdded        What = "key-added"
	KeyRemoved      What = "key-removed"
	MaterialChanged What = "material-changed"
	SignerChanged   What = "signer-changed"
	VerdictChanged  What = "verdict-changed" // about removing a key
	TrustChanged    What = "trust-changed"   // a verifier's, in the signer
	OutcomeChanged  What = "outcome-changed" // of looking at the issuer
	ProblemFound    What = "problem-found"   // an error; After is its rule
	ProblemGone     What = "problem-gone"    // Before is its rule
	PublishedLate   What = "published-late"  // a key signs that was published for less long than copies live
)

// Watch looks at one issuer again and again. Look is for one goroutine.
type Watch struct {
	Config Config
	Memory Memory

	tokens map[string]token // the last of each key, to show while they live
}

// Look audits once and returns what changed since the last look, with the
// report. The first look has nothing to compare with and tells nothing but errors.
// The error is Invalid when the configuration is
// wrong; an issuer that does not answer is a change.
func (w *Watch) Look(ctx context.Context) (Report, []Change, error) {
	cfg := w.Config
	m := &w.Memory
	for _, t := range w.tokens {
		cfg.Tokens = append(slices.Clone(cfg.Tokens), t.raw)
	}
	past := *m
	cfg.past = &past
	cfg.Old = append(slices.Clone(cfg.Old), slices.Collect(maps.Keys(m.Signed))...)
	r, err := Run(ctx, cfg)
	if err != nil && (!errors.Is(err, rotation.Unavailable) || ctx.Err() != nil) {
		return r, nil, err
	}
	d := diff{m: m, r: &r}
	d.outcome(err)
	if err != nil {
		return r, d.list, nil
	}
	first := m.Seen.IsZero()
	d.keys(first)
	d.signer()
	d.trust(first)
	d.verdicts(first)
	d.problems()
	m.Seen = r.At
	w.keep(r)
	return r, d.list, nil
}

// keep remembers the tokens that live, also of keys that left the set: while they
// do, the key left too early.
func (w *Watch) keep(r Report) {
	if w.tokens == nil {
		w.tokens = map[string]token{}
	}
	for _, t := range r.tokens {
		if old, ok := w.tokens[t.kid]; !ok || t.exp.After(old.exp) {
			w.tokens[t.kid] = t
		}
	}
	maps.DeleteFunc(w.tokens, func(_ string, t token) bool { return !t.live(r.At) })
}

// diff compares a report with what is remembered, and remembers it.
type diff struct {
	m    *Memory
	r    *Report
	list []Change
}

func (d *diff) tell(c Change, format string, args ...any) {
	d.m.Changes++
	c.Number, c.At, c.Issuer, c.Text = d.m.Changes, d.r.At, d.r.Issuer, fmt.Sprintf(format, args...)
	d.list = append(d.list, c)
}

func (d *diff) outcome(err error) {
	now, text := "ok", "the key set can be used again"
	switch {
	case err != nil:
		now, text = "unreachable", err.Error()
	case !d.r.Usable:
		now, text = "invalid", "a strict verifier refuses what the issuer publishes"
		for _, f := range d.r.Findings {
			if f.Severity == Error {
				text = f.Rule + ": " + f.Evidence
				break
			}
		}
	}
	before := d.m.Outcome
	d.m.Outcome = now
	if before != now && (before != "" || now != "ok") {
		d.tell(Change{What: OutcomeChanged, Before: before, After: now}, "%s", text)
	}
}

func (d *diff) keys(first bool) {
	if d.m.Keys == nil {
		d.m.Keys = map[string]SeenKey{}
	}
	before := strings.Join(slices.Sorted(maps.Keys(d.m.Keys)), ",")
	here := map[string]bool{}
	for _, k := range d.r.Keys {
		here[k.ID] = true
	}
	after := strings.Join(slices.Sorted(maps.Keys(here)), ",")
	for _, k := range d.r.Keys {
		old, known := d.m.Keys[k.ID]
		switch {
		case !known && first:
			d.m.Keys[k.ID] = SeenKey{Thumbprint: k.Thumbprint}
		case !known:
			d.m.Keys[k.ID] = SeenKey{k.Thumbprint, d.r.At}
			d.tell(Change{What: KeyAdded, Key: k.ID, Before: before, After: after}, "key %s appeared in the set", k.ID)
		case old.Thumbprint != k.Thumbprint:
			d.m.Keys[k.ID] = SeenKey{k.Thumbprint, d.r.At}
			d.tell(Change{What: MaterialChanged, Key: k.ID, Before: old.Thumbprint, After: k.Thumbprint}, "key %s is another key now: its thumbprint was %s and is %s", k.ID, orNone(old.Thumbprint), orNone(k.Thumbprint))
		}
	}
	for _, kid := range slices.Sorted(maps.Keys(d.m.Keys)) {
		if !here[kid] {
			delete(d.m.Keys, kid)
			delete(d.m.Signed, kid)
			d.tell(Change{What: KeyRemoved, Key: kid, Before: before, After: after}, "key %s left the set", kid)
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (d *diff) signer() {
	now := d.r.Signer
	if now == "" {
		return
	}
	if d.m.Signed == nil {
		d.m.Signed = map[string]time.Time{}
	}
	before := d.m.Signer
	if before != "" && before != now {
		d.m.Floor = d.m.Seen
		d.tell(Change{What: SignerChanged, Key: now, Before: before, After: now}, "key %s signs now; before it was %s", now, before)
		age := time.Duration(d.r.Cache.MaxAge) * time.Second
		k, published := d.m.Keys[now]
		_, again := d.m.Signed[now]
		if lead := d.r.At.Sub(k.First); published && !again && !k.First.IsZero() && age > 0 && lead < age {
			d.tell(Change{What: PublishedLate, Key: now, Before: lead.Round(time.Second).String(), After: age.String()},
				"key %s signs %s after it was published, and a copy of the set may be used for %s: who obeys max-age may refuse its tokens until then", now, lead.Round(time.Second), age)
		}
	}
	d.m.Signer, d.m.Since = now, d.r.Since
	d.m.Signed[now] = d.r.At
}

func (d *diff) trust(first bool) {
	if d.m.Trust == nil {
		d.m.Trust = map[string]Outcome{}
	}
	for _, v := range d.r.Verifiers {
		t, asked := v.of(d.r.Signer)
		if !asked {
			continue
		}
		before, known := d.m.Trust[v.Name]
		d.m.Trust[v.Name] = t.Outcome
		if before != t.Outcome && (known || t.Outcome == Rejects || !first && t.Outcome != Accepts) {
			d.tell(Change{What: TrustChanged, Key: t.Key, Verifier: v.Name, Before: string(before), After: string(t.Outcome)},
				"%s %s a token of %s, the signer: %s", v.Name, map[Outcome]string{Accepts: "accepts", Rejects: "refuses", Unknown: "did not show whether it trusts"}[t.Outcome], t.Key, t.Detail)
		}
	}
}

func (d *diff) verdicts(first bool) {
	next := map[string]string{}
	for _, v := range d.r.Removal {
		said := v.Answer + " " + strings.Join(v.Breaks, ",") // not the sentence, which has times in it
		next[v.Key] = said
		if before, known := d.m.Verdicts[v.Key]; !first && before != said && (known || v.Answer == "yes" || len(v.Breaks) > 0) {
			d.tell(Change{What: VerdictChanged, Key: v.Key, Before: before, After: said}, "may %s be removed? %s", v.Key, v.Text)
		}
	}
	d.m.Verdicts = next
}

// elsewhere are the rules whose findings are told as changes of another kind.
var elsewhere = []string{"set-refused", "verifier-rejects-signer", "same-kid-new-material"}

func (d *diff) problems() {
	next := map[string]string{}
	for _, f := range d.r.Findings {
		name := f.Rule + " " + f.Subject
		if _, said := next[name]; f.Severity != Error || said || slices.Contains(elsewhere, f.Rule) {
			continue
		}
		next[name] = f.Evidence
		if _, known := d.m.Problems[name]; !known {
			d.tell(Change{What: ProblemFound, Key: f.Subject, After: f.Rule}, "%s: %s: %s", f.Rule, f.Subject, f.Evidence)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.m.Problems)) {
		if rule, subject, _ := strings.Cut(name, " "); next[name] == "" {
			d.tell(Change{What: ProblemGone, Key: subject, Before: rule}, "%s: %s: no more", rule, subject)
		}
	}
	d.m.Problems = next
}
