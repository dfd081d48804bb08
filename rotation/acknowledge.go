package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella/keyset"
)

const (
	maxTold   = 256 << 10 // bytes of an acknowledgement
	maxHeld   = 256       // keys in one
	maxWho    = 128       // bytes of an instance's or a cache's name
	maxCounts = 64        // kids in refused
)

// Told is the body of an acknowledgement: what keyset sends, and what else a
// verifier may say. Refused kids that this issuer does not publish are passed over.
type Told struct {
	keyset.Acknowledgement
	// Stays says that the service goes on verifying when these messages stop, as
	// one does whose file an agent keeps.
	Stays bool `json:"stays,omitempty"`
	// Plain asks for canaries whose typ is "JWT", to be shown to a service by
	// whoever tells for it.
	Plain bool `json:"plain,omitempty"`
}

// Granted is the answer to an acknowledgement.
type Granted struct {
	LeaseUntil time.Time `json:"lease_until"` // on our clock
	// Canaries are tokens to verify with the cache that told, one for each key
	// that it holds and has not proven: verify one, and the key's last_seen in the
	// next acknowledgement is the proof. typ is "canary+jwt", aud the verifier's.
	Canaries []Canary `json:"canaries,omitempty"`
	// Refresh is the issuer, when the cache holds other keys than are published: it
	// should fetch the key set, as after a hint. So lost hints cost a third of a lease.
	Refresh string `json:"refresh,omitempty"`
}

// Canary is a token that grants nothing.
type Canary struct {
	Kid        KeyID      `json:"kid"`
	Thumbprint Thumbprint `json:"thumbprint"`
	Token      string     `json:"token"`
}

// Acknowledge takes an acknowledgement of a verifier: its body as it came, with
// its Standard Webhooks headers. The verifier's name is from the URL, and its
// secrets decide. It is NotFound for a verifier that is not declared,
// Unauthorized when not signed by it or older than five minutes, Conflict when
// a newer one of the same cache, or the same, was received before, TooLarge and
// Invalid when the body is not what it should be.
func (r *Rotator) Acknowledge(ctx context.Context, verifier string, header http.Header, body []byte) (Granted, error) {
	now := time.Now()
	v := r.byName[verifier]
	if v == nil || v.Class != Answering {
		return Granted{}, fault(NotFound, fmt.Sprintf("no answering verifier %.64q is declared", verifier), "declare it on every node, or correct the URL")
	}
	if len(body) > maxTold {
		return Granted{}, fault(TooLarge, fmt.Sprintf("the acknowledgement is larger than %d bytes", maxTold), "send less")
	}
	signed := slices.ContainsFunc(v.hooks, func(h *standardwebhooks.Webhook) bool { return h.Verify(body, header) == nil })
	if !signed {
		return Granted{}, fault(Unauthorized, "the acknowledgement is stale, or not signed by a secret of this verifier", "compare the secrets and the clocks")
	}
	told, err := readTold(body, r.policy, now)
	if err != nil {
		return Granted{}, err
	}
	ring, err := r.current(ctx, now)
	if err != nil {
		return Granted{}, err
	}
	next := r.instance(v, told, now)
	err = r.cfg.Store.Told(ctx, next.Who, func(old *Instance) (Instance, error) {
		if old != nil && !next.Sent.After(old.Sent) {
			return *old, fault(Conflict, "this cache has told something newer, or just this, before", "nothing is to be done; if it stays, its clock was set back: restart it")
		}
		next.Refusals = count(told.Refused, old, ring)
		return next, nil
	})
	if err != nil {
		return Granted{}, err
	}
	r.wake()
	granted := Granted{LeaseUntil: next.until().UTC()}
	if ring.differs(next.Held) {
		granted.Refresh = r.cfg.Issuer
	}
	if k, coming := ring.Coming(); coming && k.State.Waiting() && next.has(k) {
		s := Snapshot{Ring: ring, Policy: r.policy}
		if h, _ := next.holds(k.ID); !s.seen(h, k) {
			typ := CanaryType
			if told.Plain {
				typ = "JWT"
			}
			token, err := r.canary(ctx, k, v, typ, now)
			switch {
			case err == nil:
				r.mute.Store(false)
				granted.Canaries = []Canary{{k.ID, k.Thumbprint, token}}
			case errors.Is(err, NotFound): // another program holds the private key: nobody can prove it here
			case !r.mute.Swap(true): // a verifier whose lease this refused would go out of service for a fault of ours
				r.log.Error("no canary can be signed", "error", err)
			}
		}
	}
	return granted, nil
}

// differs says whether somebody who holds these keys has another document.
func (r Ring) differs(held []Held) bool {
	published := map[Thumbprint]bool{}
	for _, k := range r.Keys {
		if k.State.Published() {
			published[k.Thumbprint] = true
		}
	}
	return len(held) != len(published) || slices.ContainsFunc(held, func(h Held) bool { return !published[h.Thumbprint] })
}

// readTold reads and bounds the body.
func readTold(body []byte, p Policy, now time.Time) (Told, error) {
	var t Told
	if err := json.Unmarshal(body, &t); err != nil {
		return t, &Error{Kind: Invalid, Detail: "the acknowledgement is not readable", Cause: err, Remedy: "send what docs/keyset.md says under: The wire"}
	}
	lease := time.Duration(t.Lease) * time.Second
	wrong := ""
	switch {
	case !named(t.Instance) || !named(t.Cache):
		wrong = fmt.Sprintf("instance and cache are 1 to %d bytes of text", maxWho)
	case t.Lease < 1 || t.Lease > int(p.MaxLease/time.Second):
		wrong = fmt.Sprintf("a lease is 1 to %d seconds", int(p.MaxLease/time.Second))
	case t.Sent.Sub(now).Abs() > 5*time.Minute || t.Sent.IsZero():
		wrong = "sent is more than five minutes from now"
	case len(t.Keys) > maxHeld || len(t.Refused) > maxCounts:
		wrong = "too many keys"
	case slices.ContainsFunc(t.Keys, func(k keyset.Key) bool { return len(k.ID) > 2*maxWho || len(k.Thumbprint) > maxWho }):
		wrong = "a kid or a thumbprint is too long"
	case slices.ContainsFunc(t.Refused, func(k keyset.RefusedKid) bool { return k.Count < 0 }):
		wrong = "a count is negative"
	}
	if wrong != "" {
		return t, fault(Invalid, "the acknowledgement is refused: "+wrong, "correct the verifier; for a lease also max_lease in the policy, for the time the clocks")
	}
	t.Lease = int(lease / time.Second)
	return t, nil
}

func named(s string) bool {
	if s == "" || len(s) > maxWho || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// instance is what was told, on our clock.
func (r *Rotator) instance(v *declared, t Told, now time.Time) Instance {
	i := Instance{Who: Who{Verifier: v.Name, Instance: t.Instance, Cache: t.Cache}, Sent: t.Sent.UTC(), Received: now.UTC(),
		Lease: time.Duration(t.Lease) * time.Second, Stays: t.Stays, Held: []Held{}}
	for _, k := range t.Keys {
		if k.Issuer != r.cfg.Issuer && k.Issuer != "" {
			continue
		}
		h := Held{ID: KeyID(k.ID), Thumbprint: Thumbprint(k.Thumbprint)}
		if !k.LastSeen.IsZero() {
			h.Seen = now.Add(-max(0, t.Sent.Sub(k.LastSeen))).UTC()
		}
		i.Held = append(i.Held, h)
	}
	return i
}

// count keeps the counts of published kids, and what part of each is older than
// the key's promotion.
func count(told []keyset.RefusedKid, old *Instance, ring Ring) []Refusal {
	var list []Refusal
	for _, t := range told {
		id := KeyID(t.Kid)
		k, ok := ring.Key(id)
		if !ok || !k.State.Published() || slices.ContainsFunc(list, func(r Refusal) bool { return r.ID == id }) {
			continue
		}
		one := Refusal{ID: id, Count: t.Count}
		if old != nil {
			for _, o := range old.Refusals {
				if o.ID == id {
					one.Base = min(o.Base, t.Count)
					if k.Promoted.IsZero() || old.Received.Before(k.Promoted) {
						one.Base = min(o.Count, t.Count)
					}
				}
			}
		}
		if k.State != Active {
			one.Base = one.Count
		}
		list = append(list, one)
	}
	return list
}

// Acknowledgements serves Acknowledge as POST …/{verifier}: the last part of the
// path is the verifier's name.
func (r *Rotator) Acknowledgements() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem(w, http.StatusMethodNotAllowed, fault(Invalid, "an acknowledgement is a POST", "use POST"))
			return
		}
		body, err := readBody(w, req, maxTold)
		var granted Granted
		if err == nil {
			granted, err = r.Acknowledge(req.Context(), lastPart(req.URL.Path), req.Header, body)
		}
		name := lastPart(req.URL.Path)
		if r.byName[name] == nil {
			name = ""
		}
		r.metrics.told(name, err)
		if err != nil {
			problem(w, statusOf(err), err)
			return
		}
		answer(w, http.StatusOK, granted)
	})
}

func readBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fault(TooLarge, fmt.Sprintf("the body is larger than %d bytes", limit), "send less")
	}
	if err != nil {
		return nil, &Error{Kind: Invalid, Detail: "the body cannot be read", Cause: err, Remedy: "send it whole, again"}
	}
	return body, nil
}
