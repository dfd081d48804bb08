package diagnose_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"prunella"
	"prunella/diagnose"
)

// A world of one issuer and seven services, and small changes to it. The names
// are not those of any shipped scenario.
const (
	newKid = "m9Qe-new"
	oldKid = "Zr41-old"
)

var (
	onset = time.Date(2026, 5, 4, 9, 30, 0, 0, time.UTC)
	seven = []string{"accounts", "basket", "courier", "edge", "ledger", "prices", "stock"}
)

type world struct{ diagnose.Snapshot }

// quiet is a live world in which every read answers and nothing is wrong.
func quiet() *world {
	w := &world{}
	w.Now = onset.Add(30 * time.Second)
	w.Incident = prunella.Incident{ID: "inc-1", Onset: onset, Live: true}
	for _, s := range seven {
		svc := prunella.Service{Name: s, Canary: "/me", Issuer: "idp"}
		if s == "edge" {
			svc.Calls = []string{"basket", "prices"}
		}
		w.Inventory.Services = append(w.Inventory.Services, svc)
	}
	w.Inventory.Issuers = []prunella.Issuer{{Name: "idp", Admin: &prunella.Admin{Kind: "keys"}}}
	w.Reads = map[string]diagnose.Read{}
	w.jwks(newKid, newKid, oldKid)
	w.grid(newKid, nil)
	w.read("keys.changes", map[string]any{"known": true, "count": 0.0, "changes": []any{}})
	w.read("releases.recent", map[string]any{"known": true, "count": 0.0, "releases": []any{}})
	w.read("vendor.status", map[string]any{"known": true, "indicator": "none", "description": "All systems operational", "down": false})
	w.read("deliveries.failed", map[string]any{"known": true, "failed": []any{}, "delivered": []any{}})
	w.clock("", 0)
	w.read("requests.errors", map[string]any{"known": true})
	return w
}

func (w *world) read(name string, result map[string]any) *world {
	w.Reads[name] = diagnose.Read{Result: result, At: w.Now}
	return w
}

func (w *world) fails(name, why string) *world {
	w.Reads[name] = diagnose.Read{Err: why, At: w.Now}
	return w
}

func (w *world) jwks(signer string, kids ...string) *world {
	named := map[string]any{}
	for _, k := range kids {
		named[k] = false
	}
	return w.read("jwks.current", map[string]any{"reachable": true, "signer": signer, "kids": anys(kids), "kid_is_thumbprint": named})
}

// grid says who refuses the signer and why; all others accept it, and the
// refusing ones accept the older key.
func (w *world) grid(signer string, refuse map[string]string, older ...string) *world {
	lacking, trusting, reasons := []any{}, []any{}, map[string]any{}
	for _, s := range seven {
		if why, no := refuse[s]; no {
			lacking = append(lacking, s)
			reasons[s] = why
		} else {
			trusting = append(trusting, s)
		}
	}
	byKid := map[string]any{signer: map[string]any{"trusts": trusting, "rejects": lacking, "unknown": []any{}}}
	kids := []string{signer}
	for _, o := range older {
		byKid[o] = map[string]any{"trusts": lacking, "rejects": []any{}, "unknown": trusting}
		kids = append(kids, o)
	}
	return w.read("trust.grid", map[string]any{"signer": signer, "kids": anys(kids), "by_kid": byKid, "lacking": lacking,
		"trusting": trusting, "unknown": []any{}, "reasons": reasons, "probed": float64(len(seven))})
}

func (w *world) failing(services ...string) *world {
	w.Incident.Impact = nil
	for _, s := range services {
		w.Incident.Impact = append(w.Incident.Impact, prunella.Impact{Service: s, Share: 0.8, Failed: 90, Total: 110})
	}
	return w
}

func (w *world) change(name, kid, before string, ahead time.Duration) *world {
	r := w.Reads["keys.changes"].Result
	changes, _ := r["changes"].([]any)
	at := onset.Add(-ahead)
	changes = append(changes, map[string]any{"name": name, "kid": kid, "before": before, "at": at.Format(time.RFC3339), "before_onset_s": ahead.Seconds()})
	w.read("keys.changes", map[string]any{"known": true, "count": float64(len(changes)), "changes": changes})
	w.Changes = append(w.Changes, prunella.Change{Name: name, Service: "idp", Kid: kid, Before: before, At: at, Signal: prunella.SignalID("sig-" + name + kid)})
	return w
}

func (w *world) rotated(ahead time.Duration) *world {
	return w.change(prunella.ChangeSigner, newKid, oldKid, ahead)
}

func (w *world) released(service, tag string, ahead time.Duration) *world {
	r := w.Reads["releases.recent"].Result
	releases, _ := r["releases"].([]any)
	releases = append(releases, map[string]any{"tag": tag, "service": service, "author": "nia", "published_at": onset.Add(-ahead).Format(time.RFC3339)})
	return w.read("releases.recent", map[string]any{"known": true, "count": float64(len(releases)), "releases": releases})
}

func (w *world) clock(service string, off float64) *world {
	offsets := map[string]any{}
	for _, s := range seven {
		offsets[s] = 0.2
	}
	if service != "" {
		offsets[service] = off
	}
	return w.read("clock.offsets", map[string]any{"known": true, "offsets_s": offsets})
}

func (w *world) deliveries(failed, delivered []string, why string) *world {
	errors := map[string]any{}
	for _, s := range failed {
		errors[s] = why
	}
	return w.read("deliveries.failed", map[string]any{"known": true, "failed": anys(failed), "delivered": anys(delivered), "errors": errors})
}

// says adds a text that each of the services logs.
func (w *world) says(text string, count int, services ...string) *world {
	for _, s := range services {
		w.Texts = append(w.Texts, diagnose.TextGroup{Example: text, Count: count, Services: []string{s}, Monitor: "otlp/" + s})
	}
	return w
}

// both joins two sets of refusals.
func both(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func refuse(why string, services ...string) map[string]string {
	out := map[string]string{}
	for _, s := range services {
		out[s] = why
	}
	return out
}

func anys(in []string) []any {
	out := []any{}
	for _, s := range in {
		out = append(out, s)
	}
	return out
}

// messages is an incident of texts alone, one monitor each.
func messages(texts ...string) *world {
	w := &world{}
	w.Incident = prunella.Incident{ID: "inc-2", Onset: onset}
	w.Now = onset.Add(time.Minute)
	for i, t := range texts {
		w.Texts = append(w.Texts, diagnose.TextGroup{Example: t, Count: 1, Monitor: "monitor-" + string(rune('a'+i)), At: onset})
	}
	return w
}

// top diagnoses and checks what holds for every answer.
func top(t *testing.T, s diagnose.Snapshot) (prunella.Cause, []prunella.Cause) {
	t.Helper()
	causes := diagnose.Diagnose(s)
	if len(causes) == 0 {
		t.Fatal("no causes")
	}
	sum := 0.0
	for _, c := range causes {
		sum += c.Confidence
		if c.Summary == "" || c.Advice == "" || !slices.IsSorted(c.Services) {
			t.Errorf("%s: incomplete or unsorted: %+v", c.Fault, c)
		}
		for _, e := range c.For {
			if e.Weight < 0 || e.Text == "" || e.Source == "" {
				t.Errorf("%s: evidence for it: %+v", c.Fault, e)
			}
		}
	}
	if sum > 1.01 {
		t.Errorf("confidences add up to %.3f", sum)
	}
	return causes[0], causes
}

func shuffled(s diagnose.Snapshot, r *rand.Rand) diagnose.Snapshot {
	mix := func(n int, swap func(i, j int)) { r.Shuffle(n, swap) }
	s.Texts, s.Changes, s.Skills = slices.Clone(s.Texts), slices.Clone(s.Changes), slices.Clone(s.Skills)
	mix(len(s.Texts), func(i, j int) { s.Texts[i], s.Texts[j] = s.Texts[j], s.Texts[i] })
	mix(len(s.Changes), func(i, j int) { s.Changes[i], s.Changes[j] = s.Changes[j], s.Changes[i] })
	mix(len(s.Skills), func(i, j int) { s.Skills[i], s.Skills[j] = s.Skills[j], s.Skills[i] })
	s.Incident.Tokens = slices.Clone(s.Incident.Tokens)
	mix(len(s.Incident.Tokens), func(i, j int) {
		s.Incident.Tokens[i], s.Incident.Tokens[j] = s.Incident.Tokens[j], s.Incident.Tokens[i]
	})
	return s
}
