package match

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"prunella"
)

// probe is the run of results of one active check of one thing.
type probe struct {
	Last     time.Time `json:"last"`
	OK       time.Time `json:"ok"`        // last success
	Fails    int       `json:"fails"`     // in a row
	FailedAt time.Time `json:"failed_at"` // first of the row
	Active   bool      `json:"active"`
	Said     int64     `json:"said"`
}

// alert is one alert that fires.
type alert struct {
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"` // when it was last said to fire
	Said  int64     `json:"said"`
}

const (
	maxProbes  = 5000
	maxAlerts  = 5000
	maxChanges = 200
)

// probeSignal judges a probe result. Failing so many times in a row is a
// finding; so is a refused canary, at once, when the refusal matters: the token
// carries the key that the issuer signs with, or a key that this service took
// before while the signer is not known. A refusal of any other key breaks no
// request: that is how a healthy rotation looks.
func (d *Detector) probeSignal(s prunella.Signal, now time.Time, step *Step) {
	at := d.timeOf(s)
	outcome, kid, issuer := s.Attr(prunella.AttrOutcome), s.Attr(prunella.AttrKid), s.Attr(prunella.AttrIssuer)
	if s.Name == "token" && outcome == "ok" {
		d.signs(firstOf(issuer, s.Service), kid)
	}
	key := s.Name + "\x00" + s.Service + "\x00" + issuer + "\x00" + kid
	p := d.Probes[key]
	if p == nil {
		if len(d.Probes) >= maxProbes {
			return
		}
		p = &probe{Said: -1}
		d.Probes[key] = p
	}
	if at.Before(p.Last) {
		return
	}
	p.Last = at
	switch outcome {
	case "ok":
		if p.Active {
			step.Findings = append(step.Findings, p.over(s, now, "probe-ok", "is ok again"))
		}
		p.OK, p.Fails, p.Active = at, 0, false
		return
	case "", "unknown":
		return
	}
	if p.Fails == 0 {
		p.FailedAt = at
	}
	p.Fails++
	refused := outcome == "refused"
	matters, why := true, "failed "+strconv.Itoa(p.Fails)+" times in a row"
	if refused {
		matters, why = d.refusalMatters(p, kid, issuer)
	}
	if !matters {
		if p.Active {
			step.Findings = append(step.Findings, p.over(s, now, "probe-of-no-matter", "is refused for a key that the issuer does not sign with any more"))
		}
		p.Active = false
		return
	}
	step.Interesting = append(step.Interesting, s)
	if sv := d.service(s.Service, at); sv != nil && kid != "" {
		sv.Tokens.note("kid:"+kid, at)
	}
	if !refused && p.Fails < d.cfg.ProbeFails {
		return
	}
	p.Active = true
	if p.Said >= d.index(now) {
		return
	}
	p.Said = d.index(now)
	f := prunella.Finding{
		Rule: prunella.RuleProbe, Service: s.Service, Source: s.Source, Onset: p.FailedAt, Time: now, Severity: prunella.High,
		Value: float64(p.Fails), Tokens: append(TokensOf(s), d.hostTokens(s.Service)...), Signals: []prunella.Signal{s},
		Attrs: map[string]string{"probe": s.Name, "outcome": outcome},
		Reason: prunella.Reason{Name: "probe-" + outcome,
			Text:     fmt.Sprintf("probe %s of %s: %s; %s", s.Name, s.Service, firstOf(shorten(s.Body, 160), outcome), why),
			Operands: map[string]string{"probe": s.Name, "outcome": outcome, "fails": strconv.Itoa(p.Fails), "need": strconv.Itoa(d.cfg.ProbeFails)}},
	}
	if !p.OK.IsZero() {
		f.Reason.Operands["ok_before"] = p.OK.UTC().Format(time.RFC3339)
	}
	if refused {
		f.Status = firstOf(statusOf(s), "401")
		f.Tokens = append(append(f.Tokens, d.keyChangeTokens(f.Onset)...), surelySays(s.Body)...)
		f.Reason.Operands["kid"] = kid
	}
	step.Findings = append(step.Findings, f)
}

// over is the end of a failure that a probe found.
func (p *probe) over(s prunella.Signal, now time.Time, name, text string) prunella.Finding {
	return prunella.Finding{
		Rule: prunella.RuleRecovered, Service: s.Service, Source: s.Source, Onset: p.FailedAt, Time: now, Severity: prunella.Info,
		Attrs: map[string]string{"of": prunella.RuleProbe, "probe": s.Name}, Signals: []prunella.Signal{s},
		Reason: prunella.Reason{Name: name, Text: fmt.Sprintf("probe %s of %s %s", s.Name, s.Service, text),
			Operands: map[string]string{"probe": s.Name, "failed": strconv.Itoa(p.Fails)}},
	}
}

func (d *Detector) refusalMatters(p *probe, kid, issuer string) (bool, string) {
	signer := d.Signers[issuer]
	switch {
	case kid == "":
		return true, "the token was refused"
	case signer == kid:
		return true, "the issuer signs with this key"
	case signer == "" && !p.OK.IsZero():
		return true, "this service took the same key before"
	}
	return false, ""
}

// alertSignal takes an alert of another system. Info and low ones (a watchdog)
// are no failures.
func (d *Detector) alertSignal(s prunella.Signal, now time.Time, step *Step) {
	step.Interesting = append(step.Interesting, s)
	if s.Body != "" {
		t, merged := d.Miner.add(s.Body)
		d.renameTexts(t.ID, merged)
	}
	key := s.Fingerprint
	if key == "" {
		key = s.Source + "\x00" + s.Name + "\x00" + s.Service
	}
	a := d.Alerts[key]
	if s.Attr(prunella.AttrAlertStatus) == "resolved" {
		if a != nil {
			delete(d.Alerts, key)
			step.Findings = append(step.Findings, prunella.Finding{
				Rule: prunella.RuleRecovered, Service: s.Service, Source: s.Source, Onset: a.Since, Time: now, Severity: prunella.Info,
				Attrs: map[string]string{"of": prunella.RuleAlert, "alert": s.Name}, Signals: []prunella.Signal{s},
				Reason: prunella.Reason{Name: "alert-resolved", Text: fmt.Sprintf("alert %s is resolved", s.Name),
					Operands: map[string]string{"alert": s.Name}},
			})
		}
		return
	}
	statements := prunella.Statements(s.Body)
	if !errorish(s) && len(statements) == 0 {
		return
	}
	if a == nil {
		if len(d.Alerts) >= maxAlerts {
			d.dropOldestAlert()
		}
		a = &alert{Since: d.timeOf(s), Said: -1}
		d.Alerts[key] = a
	}
	a.Last = now
	if a.Said >= d.index(now) {
		return
	}
	a.Said = d.index(now)
	f := prunella.Finding{
		Rule: prunella.RuleAlert, Service: s.Service, Source: s.Source, Onset: a.Since, Time: now, Severity: s.Severity,
		Tokens: append(TokensOf(s), d.hostTokens(s.Service)...), Signals: []prunella.Signal{s}, Status: statusIn(s),
		Attrs: map[string]string{"alert": s.Name},
		Reason: prunella.Reason{Name: "alert", Text: fmt.Sprintf("alert %s fires: %s", firstOf(s.Name, s.Source), shorten(s.Body, 160)),
			Operands: map[string]string{"alert": s.Name, "severity": string(s.Severity)}},
	}
	if s.Body != "" {
		f.Template = d.Template(s.Body)
	}
	if f.Status == "401" || f.Status == "403" {
		f.Tokens = append(append(f.Tokens, d.keyChangeTokens(f.Onset)...), surelySays(s.Body)...)
	}
	for _, st := range statements {
		f.Share = max(f.Share, st.Share)
		f.Attrs["stated"] = st.Clause
	}
	step.Findings = append(step.Findings, f)
}

// dropOldestAlert makes room for an alert: what fires now is not to go unheard
// for those whose end was never told.
func (d *Detector) dropOldestAlert() {
	oldest := ""
	for key, a := range d.Alerts {
		if o := d.Alerts[oldest]; o == nil || a.Last.Before(o.Last) || a.Last.Equal(o.Last) && key < oldest {
			oldest = key
		}
	}
	delete(d.Alerts, oldest)
}

// change remembers what was changed in the world.
func (d *Detector) change(s prunella.Signal, step *Step) {
	step.Interesting = append(step.Interesting, s)
	c := ChangeOf(s)
	if c.Name == prunella.ChangeSigner {
		d.signs(c.Service, c.Kid)
	}
	same := func(o prunella.Change) bool {
		return o.Name == c.Name && o.Service == c.Service && o.Kid == c.Kid && o.Version == c.Version && o.At.Equal(c.At)
	}
	if slices.ContainsFunc(d.Changes, same) {
		return
	}
	d.Changes = append(d.Changes, c)
	if len(d.Changes) > maxChanges {
		d.Changes = slices.Delete(d.Changes, 0, 1)
	}
}

// signs remembers which key an issuer signs with, where the kid is known.
func (d *Detector) signs(issuer, kid string) {
	if _, known := d.Signers[issuer]; kid != "" && (known || len(d.Signers) < maxServices) {
		d.Signers[issuer] = kid
	}
}

// ChangeOf reads a change Signal.
func ChangeOf(s prunella.Signal) prunella.Change {
	return prunella.Change{
		Name: s.Name, Service: firstOf(s.Attr(prunella.AttrIssuer), s.Service), Kid: s.Attr(prunella.AttrKid),
		Before: s.Attr("before"), Version: s.Attr(prunella.AttrVersion), Author: s.Attr("author"), At: s.Time, Signal: s.ID,
	}
}

// RecentChanges returns the changes that may have caused something that began
// at onset, oldest first.
func (d *Detector) RecentChanges(onset time.Time) []prunella.Change {
	var out []prunella.Change
	for _, c := range d.Changes {
		if d.mayCause(c, onset) {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b prunella.Change) int { return a.At.Compare(b.At) })
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
