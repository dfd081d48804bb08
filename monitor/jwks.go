package monitor

import (
	"context"
	"slices"
	"strings"
	"time"

	"prunella"
)

// JWKS watches the key set one issuer publishes.
type JWKS struct {
	issuer string
	world  World
	views  Recorder
	mem    memory[keysSeen]
	probe  probeEdge
}

// keysSeen is a key set as it was seen, with its keys of the past.
type keysSeen struct {
	URL  string               `json:"url,omitempty"`
	Keys []prunella.PublicKey `json:"keys"` // Published false: left the set
}

const keepRemoved = 20 // keys of the past that are remembered

// NewJWKS watches an issuer of the inventory, by name.
func NewJWKS(issuer string, w World, r Recorder, s State) *JWKS {
	m := &JWKS{issuer: issuer, world: w, views: r}
	m.mem.state, m.mem.name = s, m.Name()
	return m
}

// Name is "jwks/" and the issuer.
func (m *JWKS) Name() string { return "jwks/" + m.issuer }

// RunOnce fetches the set, records its view, and returns the changes since the
// last accepted one.
func (m *JWKS) RunOnce(ctx context.Context, now time.Time) ([]prunella.Signal, error) {
	last, err := m.mem.last(ctx)
	if err != nil {
		return nil, err
	}
	ks, err := m.world.KeySet(ctx, m.issuer)
	if err != nil && ks.Issuer == "" {
		return nil, err
	}
	if err != nil {
		// The board keeps showing the keys that were last seen, with the error.
		ks.Keys = last.View.Keys
		return m.probe.say(m.signal(now, outcomeOf(err), ks.Error)), m.views.PutKeySet(ctx, ks)
	}
	view, changes := m.compare(last, ks, now)
	m.mem.offer(view, now, len(changes) > 0)
	ks.Keys = view.Keys
	return append(m.probe.say(m.signal(now, "ok", "")), changes...), m.views.PutKeySet(ctx, ks)
}

// Accepted makes the set of the last run the one to compare with.
func (m *JWKS) Accepted(ctx context.Context) error {
	m.probe.accepted()
	return m.mem.accepted(ctx)
}

func (m *JWKS) signal(now time.Time, outcome, text string) prunella.Signal {
	return probeSignal(m.Name(), "jwks", m.issuer, now, outcome, text)
}

// compare merges the fetched set into what is known and lists the differences.
func (m *JWKS) compare(last kept[keysSeen], ks prunella.KeySet, now time.Time) (keysSeen, []prunella.Signal) {
	first := last.Seen.IsZero()
	var changes []prunella.Signal
	change := func(name string, k prunella.PublicKey, before, after string) {
		if first {
			return
		}
		at := now
		if k.State == "next" && name == prunella.ChangeKeyAdded || k.State == "removed" && name == prunella.ChangeKeyRemoved {
			at = believable(k.Since, last.Seen, now)
		}
		changes = append(changes, changeSignal(m.Name(), name, m.issuer, at, now, last.Seen, last.Version, map[string]string{
			prunella.AttrKid: k.Kid, prunella.AttrIssuer: m.issuer, AttrBefore: before, AttrAfter: after}))
	}
	was, is := kids(last.View.Keys), kids(ks.Keys)
	keys := slices.Clone(ks.Keys)
	for n := range keys {
		k := &keys[n]
		old := slices.IndexFunc(last.View.Keys, func(o prunella.PublicKey) bool { return o.Kid == k.Kid })
		known := old >= 0
		if known {
			o := last.View.Keys[old]
			if !o.FirstSeen.IsZero() {
				k.FirstSeen = o.FirstSeen
			}
			if !k.Published {
				k.LastSeen = o.LastSeen
			}
			k.LastSigned = o.LastSigned
		}
		if k.Kid == ks.Signer {
			k.LastSigned = now.UTC()
		}
		wasPublished := known && last.View.Keys[old].Published
		switch {
		case k.Published && !wasPublished:
			change(prunella.ChangeKeyAdded, *k, was, is)
		case k.Published && k.Thumbprint != last.View.Keys[old].Thumbprint:
			change(prunella.ChangeKeyMaterial, *k, last.View.Keys[old].Thumbprint, k.Thumbprint)
		case !k.Published && wasPublished:
			change(prunella.ChangeKeyRemoved, *k, was, is)
		}
	}
	gone, anew := 0, another(last.View, ks)
	for _, o := range slices.Backward(last.View.Keys) {
		if slices.ContainsFunc(ks.Keys, func(k prunella.PublicKey) bool { return k.Kid == o.Kid }) {
			continue
		}
		if o.Published {
			o.Published = false
			if o.State != "" && o.State != "revoked" {
				o.State = "removed" // as far as the set tells; the key API, where there is one, knows better
			}
			change(prunella.ChangeKeyRemoved, o, was, is)
		}
		if gone++; gone <= keepRemoved && !anew {
			keys = append(keys, o)
		}
	}
	return keysSeen{ks.URL, keys}, changes
}

// another says whether a name of the inventory was given to another issuer since
// it was looked at last: its set is elsewhere and has no key of before. The
// keys of the former one are none of its past.
func another(last keysSeen, ks prunella.KeySet) bool {
	if last.URL == "" || last.URL == ks.URL {
		return false
	}
	return !slices.ContainsFunc(ks.Keys, func(k prunella.PublicKey) bool {
		return slices.ContainsFunc(last.Keys, func(o prunella.PublicKey) bool { return o.Kid == k.Kid })
	})
}

func kids(keys []prunella.PublicKey) string {
	var out []string
	for _, k := range keys {
		if k.Published {
			out = append(out, k.Kid)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// Token watches which key freshly issued tokens are signed with.
type Token struct {
	issuer string
	world  World
	mem    memory[string] // signer kid
	probe  probeEdge
}

// NewToken watches an issuer of the inventory, by name.
func NewToken(issuer string, w World, s State) *Token {
	m := &Token{issuer: issuer, world: w}
	m.mem.state, m.mem.name = s, m.Name()
	return m
}

// Name is "token/" and the issuer.
func (m *Token) Name() string { return "token/" + m.issuer }

// RunOnce has a token issued and returns a change when its key is another than
// the last accepted one.
func (m *Token) RunOnce(ctx context.Context, now time.Time) ([]prunella.Signal, error) {
	last, err := m.mem.last(ctx)
	if err != nil {
		return nil, err
	}
	kid, _, err := m.world.Token(ctx, m.issuer)
	if err != nil {
		return m.probe.say(probeSignal(m.Name(), "token", m.issuer, now, outcomeOf(err), err.Error())), nil
	}
	ok := probeSignal(m.Name(), "token", m.issuer, now, "ok", "")
	ok.Attributes[prunella.AttrKid] = kid
	out := m.probe.say(ok)
	changed := !last.Seen.IsZero() && kid != last.View
	if changed {
		at := believable(m.activated(ctx, kid), last.Seen, now)
		out = append(out, changeSignal(m.Name(), prunella.ChangeSigner, m.issuer, at, now, last.Seen, last.Version, map[string]string{
			prunella.AttrKid: kid, prunella.AttrIssuer: m.issuer, AttrBefore: last.View, AttrAfter: kid}))
	}
	m.mem.offer(kid, now, changed)
	return out, nil
}

// Accepted makes the signer of the last run the one to compare with.
func (m *Token) Accepted(ctx context.Context) error {
	m.probe.accepted()
	return m.mem.accepted(ctx)
}

// activated is when the key API says that the key became the signer, or zero.
func (m *Token) activated(ctx context.Context, kid string) time.Time {
	ks, err := m.world.KeySet(ctx, m.issuer)
	if err != nil {
		return time.Time{} // then the change has the time it was seen
	}
	for _, k := range ks.Keys {
		if k.Kid == kid && k.State == "active" {
			return k.Since
		}
	}
	return time.Time{}
}

// outcomeOf tells an answer that is wrong from no answer.
func outcomeOf(err error) string {
	switch prunella.KindOf(err) {
	case prunella.Invalid, prunella.TooLarge:
		return "invalid"
	case prunella.Unauthorized:
		return "refused"
	}
	return "unreachable"
}
