package diagnose

import (
	"slices"
	"time"

	"prunella"
	"prunella/said"
)

const (
	changeWindow = time.Hour        // a change older than this is not held to be the trigger
	changeLate   = 60 * time.Second // a polled key set shows a change up to this long after it happened
	deployLate   = 20 * time.Second // a release list carries the true time, give or take the rollout
)

// age says how suspect a change is that came so long before the onset.
type age struct {
	upTo time.Duration
	near float64
}

// Keys break tokens at once; releases break things by warming up, by traffic,
// by a slow rollout, and stay suspect for longer.
var (
	keyAges    = []age{{-5 * time.Second, 0.6}, {15 * time.Second, 1}, {time.Minute, 0.85}, {5 * time.Minute, 0.6}, {15 * time.Minute, 0.35}, {changeWindow, 0.2}}
	deployAges = []age{{5 * time.Minute, 1}, {15 * time.Minute, 0.8}, {30 * time.Minute, 0.6}, {changeWindow, 0.4}}
)

// near says how well a change lines up with the onset, from 0 to 1.
func (v *view) near(c prunella.Change) float64 { return v.aged(c, keyAges) }

// nearDeploy is near for releases.
func (v *view) nearDeploy(c prunella.Change) float64 { return v.aged(c, deployAges) }

func (v *view) aged(c prunella.Change, ages []age) float64 {
	if v.s.Incident.Onset.IsZero() || c.At.IsZero() {
		return 0
	}
	late := changeLate
	if c.Name == prunella.ChangeDeploy {
		late = deployLate
	}
	before := v.s.Incident.Onset.Sub(c.At)
	if before < -late {
		return 0
	}
	for _, a := range ages {
		if before <= a.upTo {
			return a.near
		}
	}
	return 0
}

// best returns the change that passes keep and lines up best; of several within
// 15 s of each other, the one that says most about the cause.
func (v *view) best(keep func(prunella.Change) bool) *prunella.Change {
	var picked *prunella.Change
	distance := func(c prunella.Change) time.Duration { return v.s.Incident.Onset.Sub(c.At).Abs() }
	for _, c := range v.changes {
		if v.near(c) == 0 || !keep(c) {
			continue
		}
		if picked == nil {
			picked = &c
			continue
		}
		gap := distance(c) - distance(*picked)
		if gap < -15*time.Second || gap < 15*time.Second && telling(c) > telling(*picked) {
			picked = &c
		}
	}
	if picked == nil {
		return nil
	}
	c := *picked
	if c.Name == prunella.ChangeSigner && c.Before == "" {
		c.Before = v.previousKey(c)
	}
	return &c
}

func telling(c prunella.Change) int {
	return 10 - slices.Index([]string{
		prunella.ChangeKeyMaterial, prunella.ChangeSigner, prunella.ChangeKeyRemoved, prunella.ChangeKeyAdded,
		prunella.ChangeDeploy, prunella.ChangeConfig,
	}, c.Name)
}

// previousKey guesses the signer before a change that does not name it: the
// key that the services without the new one still trust, or one removed then.
func (v *view) previousKey(c prunella.Change) string {
	best, most := "", 0
	for _, kid := range sorted(v.grid.kids) {
		if n := len(v.grid.trusts[kid]); kid != c.Kid && n > most {
			best, most = kid, n
		}
	}
	if best != "" {
		return best
	}
	for _, o := range v.changes {
		if o.Name == prunella.ChangeKeyRemoved && o.Kid != c.Kid && o.At.Sub(c.At).Abs() < 5*time.Minute {
			return o.Kid
		}
	}
	if old := v.facts.KidsWith(RoleOld); len(old) == 1 && old[0] != c.Kid {
		return old[0]
	}
	return ""
}

func isRotation(c prunella.Change) bool {
	return c.Name == prunella.ChangeSigner || c.Name == prunella.ChangeKeyAdded
}

func isRemoval(c prunella.Change) bool { return c.Name == prunella.ChangeKeyRemoved }

func (v *view) observeChanges() []observation {
	var out []observation
	tell := func(row string, c *prunella.Change, strength float64, what string) {
		source := readChanges
		if c.Name == prunella.ChangeDeploy {
			source = readReleases
		}
		o := v.seen(row, source, strength, "%s %s.", what, v.when(*c))
		o.at = c.At
		if c.Signal != "" {
			o.signals = []prunella.SignalID{c.Signal}
		}
		out = append(out, o)
	}
	rotated, removed, material := v.best(isRotation), v.best(isRemoval), v.materialChanged()
	if rotated != nil {
		tell("rotation-at-onset", rotated, v.near(*rotated), v.told(*rotated))
	}
	if removed != nil {
		tell("removal-at-onset", removed, v.near(*removed), v.told(*removed))
	}
	if material != nil {
		tell("material-changed", material, max(0.5, v.near(*material)), v.told(*material))
	}
	if rotated == nil && removed == nil && material == nil && v.keys.ok {
		out = append(out, v.seen("no-key-change", readChanges, 1, "No key of %s changed within the hour before the onset.", first(v.issuer(), "the issuer")))
	}
	if c := v.suspectDeploy(); c != nil {
		tell("deploy-before-onset", c, v.nearDeploy(*c), v.told(*c))
		switch explained := v.explainedBy([]string{c.Service}); {
		case c.Service == "" || len(v.failing) == 0 || v.isIssuer(c.Service):
		case len(explained) == len(v.failing):
			tell("deploy-confined", c, 1, "Only "+names3(v.failing)+" "+verb(len(v.failing), "fails", "fail")+", and "+c.Service+" was released")
		default:
			rest := slices.DeleteFunc(slices.Clone(v.failing), func(s string) bool { return slices.Contains(explained, s) })
			tell("deploy-elsewhere", c, share(len(rest), len(v.failing)), names3(rest)+" "+verb(len(rest), "fails", "fail")+" too, without a release and without calling "+c.Service+"; it was released")
		}
	} else if v.releases.ok {
		out = append(out, v.seen("no-deploy", readReleases, 1, "No failing service was released within the hour before the onset."))
	}
	if c := v.best(func(c prunella.Change) bool { return c.Name == prunella.ChangeConfig && v.concerns(c) }); c != nil {
		tell("config-before-onset", c, v.near(*c), v.told(*c))
	}
	return out
}

// suspectDeploy returns the release that lines up best among those of failing
// services, of services that they call, and of the issuer.
func (v *view) suspectDeploy() *prunella.Change {
	return v.best(func(c prunella.Change) bool { return c.Name == prunella.ChangeDeploy && v.concerns(c) })
}

// concerns says whether a change touched something that could make the failing
// services fail.
func (v *view) concerns(c prunella.Change) bool {
	if c.Service == "" || len(v.failing) == 0 || isKeyChange(c) || v.isIssuer(c.Service) {
		return true
	}
	return len(v.explainedBy([]string{c.Service})) > 0
}

// acquitted says whether a change of keys is known not to be the reason: every
// verifier that fails accepts the signer, or refuses it for a claim, and no
// refused token carries a removed key. Undoing it would heal nothing.
func (v *view) acquitted(c prunella.Change) bool {
	if !isKeyChange(c) || !v.grid.ok || c.Name == prunella.ChangeKeyMaterial {
		return false
	}
	if isRemoval(c) && (slices.Contains(v.kids, c.Kid) || len(v.grid.rejects[c.Kid]) > 0) {
		return false
	}
	r := v.refused()
	return len(v.lacking())+len(r.signature)+len(r.vague)+len(r.fetch) == 0 && len(intersect(v.failing, v.grid.unknown)) == 0
}

func (v *view) isIssuer(service string) bool {
	if slices.ContainsFunc(v.s.Inventory.Issuers, func(i prunella.Issuer) bool { return i.Name == service }) {
		return true
	}
	return service != "" && service == v.facts.Issuer
}

// explainedBy returns the failing services that are among those given or call
// one of them, directly or through others.
func (v *view) explainedBy(services []string) []string {
	reach := map[string]bool{}
	for _, s := range services {
		reach[s] = true
	}
	edges := v.s.Inventory.Edges()
	for grown := true; grown; {
		grown = false
		for _, e := range edges {
			if reach[e.To] && !reach[e.From] {
				reach[e.From], grown = true, true
			}
		}
	}
	var out []string
	for _, s := range v.failing {
		if reach[s] {
			out = append(out, s)
		}
	}
	return out
}

// changeFor returns the change that a person would want undone for a fault.
func (v *view) changeFor(f prunella.Fault) *prunella.Change {
	if !ComesOfChange(f) {
		return nil
	}
	var c *prunella.Change
	switch f {
	case stale, partial:
		c = v.best(isRotation)
		if c == nil {
			c = v.best(isKeyChange)
		}
	case removal:
		c = v.best(isRemoval)
		if c == nil {
			c = v.best(isKeyChange)
		}
	case sameKid:
		c = v.materialChanged()
		if c == nil {
			c = v.best(isKeyChange)
		}
	case deploy:
		c = v.suspectDeploy()
	case audience, issuer, jwksDown:
		c = v.best(func(c prunella.Change) bool { return !isKeyChange(c) && v.concerns(c) })
	default:
		c = v.best(func(c prunella.Change) bool { return v.concerns(c) && !v.acquitted(c) })
	}
	if c == nil && !v.measured() && isKeyFault(f) {
		c = v.toldChange(f)
	}
	return c
}

// ComesOfChange reports whether undoing a change can help against a fault. It
// does not against forgers, floods, clocks and somebody else's outage.
func ComesOfChange(f prunella.Fault) bool {
	return f != forged && f != flood && f != skew && f != vendor
}

func isKeyFault(f prunella.Fault) bool {
	return f == stale || f == partial || f == removal || f == sameKid || f == unknown
}

// toldChange makes the change that texts tell of. Its time is zero when they do
// not say when.
func (v *view) toldChange(f prunella.Fault) *prunella.Change {
	classes := v.facts.Classes()
	rotated, removed := classes[said.Rotated] > 0, classes[said.KeyRemoved] > 0
	c := prunella.Change{Name: prunella.ChangeSigner, Service: v.issuer(), Kid: v.newKid(), Before: v.oldKid()}
	if removed && (f == removal || f == unknown && !rotated) {
		c = prunella.Change{Name: prunella.ChangeKeyRemoved, Service: c.Service, Kid: c.Before}
		if gone := v.facts.KidsWith(RoleRemoved); len(gone) > 0 {
			c.Kid = gone[0]
		} else if c.Kid == "" {
			c.Kid = first(v.facts.KidsWith(RoleFailing)...)
		}
	} else if !rotated && len(v.facts.KidsWith(RoleNew)) == 0 {
		return nil
	}
	if v.facts.Ago > 0 && !v.s.Incident.Onset.IsZero() {
		c.At = v.s.Incident.Onset.Add(-v.facts.Ago)
	}
	return &c
}

// newKid is the key that the texts say signs now.
func (v *view) newKid() string {
	for _, r := range []Role{RoleActive, RoleNew, RoleFailing} {
		if kids := v.facts.KidsWith(r); len(kids) > 0 {
			return latest(v.facts, kids)
		}
	}
	return ""
}

// oldKid is the key that the texts say signed before.
func (v *view) oldKid() string {
	for _, r := range []Role{RoleOld, RoleRemoved} {
		for _, kid := range v.facts.KidsWith(r) {
			if kid != v.newKid() {
				return kid
			}
		}
	}
	return ""
}

// latest returns the kid whose name holds the latest date, or the most named.
func latest(f Facts, kids []string) string {
	best := KidFact{}
	for _, k := range f.Kids {
		if !slices.Contains(kids, k.Kid) {
			continue
		}
		if best.Kid == "" || k.Named.After(best.Named) || k.Named.Equal(best.Named) && k.Texts > best.Texts {
			best = k
		}
	}
	return best.Kid
}
