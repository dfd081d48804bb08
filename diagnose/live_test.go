package diagnose_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/diagnose"
)

const unknownKey = "key not found: kid \"" + newKid + "\""

var four = []string{"accounts", "courier", "ledger", "stock"}

type expectation struct {
	name   string
	world  *world
	fault  prunella.Fault
	place  string // Cause.Service
	least  float64
	change string // name of Cause.Change, "" for none, "any" for whatever
}

func partialWorld(missed []string) *world {
	var reached []string
	for _, s := range seven {
		if !slices.Contains(missed, s) {
			reached = append(reached, s)
		}
	}
	return quiet().rotated(4*time.Second).grid(newKid, refuse("signature key unknown", missed...), oldKid).
		failing(missed...).says(unknownKey, 40, missed...).deliveries(missed, reached, "dial tcp 127.0.0.1:7107: connect: connection refused")
}

func liveCases() []expectation {
	flooded := quiet().failing("edge")
	for i := range 12 {
		flooded.Texts = append(flooded.Texts, diagnose.TextGroup{Example: "no key found for kid x" + strings.Repeat("q", i) + "7", Count: 30,
			Services: []string{"edge"}, Monitor: "otlp/edge", Kids: []string{"zz" + strings.Repeat("a", i) + "9", "yy" + strings.Repeat("b", i) + "3"}})
	}
	return []expectation{
		{"partial, 4 of 7", partialWorld(four), prunella.FaultPartialKeys, "idp", 0.85, prunella.ChangeSigner},
		{"partial, 2 of 7", partialWorld(four[:2]), prunella.FaultPartialKeys, "idp", 0.85, prunella.ChangeSigner},
		{"partial, 1 of 7", partialWorld(four[:1]), prunella.FaultPartialKeys, "idp", 0.85, prunella.ChangeSigner},
		{"partial, 6 of 7", partialWorld(seven[:6]), prunella.FaultPartialKeys, "idp", 0.85, prunella.ChangeSigner},
		{"partial, old key removed too", partialWorld(four).change(prunella.ChangeKeyRemoved, oldKid, "", 3*time.Second).jwks(newKid, newKid), prunella.FaultPartialKeys, "idp", 0.8, prunella.ChangeSigner},
		{"partial, library says bad signature", partialWorld(four).grid(newKid, refuse("failed to verify signature", four...), oldKid).says("failed to verify signature: failed to verify id token signature", 60, four...), prunella.FaultPartialKeys, "idp", 0.8, prunella.ChangeSigner},
		{"partial, services give no reason", partialWorld(four).grid(newKid, refuse("", four...), oldKid), prunella.FaultPartialKeys, "idp", 0.8, prunella.ChangeSigner},
		{"partial, caller of a failing service fails too", partialWorld([]string{"basket"}).failing("basket", "edge"), prunella.FaultPartialKeys, "idp", 0.8, prunella.ChangeSigner},
		{"partial, change seen late by polling", partialWorld(four).read("keys.changes", map[string]any{"known": true, "changes": []any{map[string]any{"name": prunella.ChangeSigner, "kid": newKid, "before": oldKid, "before_onset_s": -6.0}}}), prunella.FaultPartialKeys, "idp", 0.8, prunella.ChangeSigner},

		{"stale caches, all fetch", quiet().rotated(6*time.Second).grid(newKid, refuse("no matching key", four...), oldKid).failing(four...).says(unknownKey, 50, four...).deliveries(nil, []string{"edge"}, ""), prunella.FaultStaleCache, "idp", 0.8, prunella.ChangeSigner},
		{"stale cache in one service", quiet().rotated(6*time.Second).grid(newKid, refuse("no matching key", "stock"), oldKid).failing("stock").says(unknownKey, 50, "stock"), prunella.FaultStaleCache, "stock", 0.6, prunella.ChangeSigner},
		{"stale caches, vendor without push", vendorIssuer(quiet().rotated(6*time.Second).grid(newKid, refuse("Unable to find a signing key that matches", four...), oldKid).failing(four...).says("Unable to find a signing key that matches '"+newKid+"'", 50, four...)), prunella.FaultStaleCache, "idp", 0.7, prunella.ChangeSigner},

		{"old key removed too early", quiet().jwks(newKid, newKid).rotated(10*time.Minute).change(prunella.ChangeKeyRemoved, oldKid, "", 5*time.Second).failing(seven...).says("kid "+oldKid+" not found in JWKS", 50, seven...), prunella.FaultEarlyRemoval, "idp", 0.8, prunella.ChangeKeyRemoved},
		{"signer withdrawn", quiet().jwks(newKid, oldKid).change(prunella.ChangeKeyRemoved, newKid, "", 20*time.Second).grid(newKid, refuse("no matching key", four...)).failing(four...).says(unknownKey, 50, four...), prunella.FaultEarlyRemoval, "idp", 0.7, prunella.ChangeKeyRemoved},
		{"signer never published", quiet().jwks(newKid, oldKid).rotated(3*time.Second).grid(newKid, refuse("no matching key", seven...), oldKid).failing(seven...).says(unknownKey, 50, seven...), prunella.FaultPartialKeys, "idp", 0.6, prunella.ChangeSigner},

		{"same kid, new material", quiet().jwks(newKid, newKid).change(prunella.ChangeKeyMaterial, newKid, "", 3*time.Second).grid(newKid, refuse("invalid signature", four...)).failing(four...).says("crypto/rsa: verification error", 50, four...), prunella.FaultSameKid, "idp", 0.85, prunella.ChangeKeyMaterial},
		{"same kid, change not seen but kid odd", oddKid(quiet()).grid("main", refuse("invalid signature", four...)).failing(four...).says("signature verification failed for kid=main", 50, four...), prunella.FaultSameKid, "idp", 0.4, "any"},

		{"JWKS endpoint down", quiet().read("jwks.current", map[string]any{"reachable": false, "error": "connection refused", "signer": newKid}).failing(four...).says("failed to fetch JWKS: connection refused", 30, four...).fails("trust.grid", "no token could be had"), prunella.FaultJWKSDown, "idp", 0.6, ""},
		{"vendor outage", quiet().read("jwks.current", map[string]any{"reachable": false, "error": "timeout"}).read("vendor.status", map[string]any{"known": true, "indicator": "critical", "description": "Login is down", "down": true}).failing(seven...).says("failed to fetch JWKS: i/o timeout", 30, seven...).fails("trust.grid", "no token could be had"), prunella.FaultVendorDown, "idp", 0.6, ""},

		{"clock of one service behind", quiet().clock("prices", -400).grid(newKid, refuse("token used before issued", "prices")).failing("prices").says("token used before issued", 50, "prices"), prunella.FaultClockSkew, "prices", 0.85, ""},
		{"clock ahead, tokens seem expired", quiet().clock("ledger", 4000).grid(newKid, refuse("token is expired", "ledger")).failing("ledger").says("token has invalid claims: token is expired", 50, "ledger"), prunella.FaultClockSkew, "ledger", 0.85, ""},
		{"clock skew beside a key change", quiet().rotated(5*time.Second).clock("prices", -400).grid(newKid, refuse("token is not valid yet", "prices")).failing("prices").says("token is not valid yet", 50, "prices"), prunella.FaultClockSkew, "prices", 0.8, ""},

		{"clock skew while others lack a key", quiet().rotated(5*time.Second).clock("prices", -400).deliveries(four, nil, "refused").grid(newKid, both(refuse("no matching key", four...), refuse("token is not valid yet", "prices")), oldKid).failing("prices").says("token is not valid yet", 50, "prices"), prunella.FaultClockSkew, "prices", 0.7, ""},
		{"others lack a key while one clock is off", quiet().rotated(5*time.Second).clock("tariffs", -400).deliveries(four, nil, "refused").grid(newKid, both(refuse("no matching key", four...), refuse("token is not valid yet", "tariffs")), oldKid).failing(four...).says(unknownKey, 50, four...), prunella.FaultPartialKeys, "idp", 0.6, prunella.ChangeSigner},

		{"wrong audience from clients", quiet().failing("basket").says("token has invalid audience", 50, "basket"), prunella.FaultWrongAudience, "basket", 0.8, ""},
		{"wrong audience by configuration", quiet().grid(newKid, refuse("jwt audience invalid. expected: x", "basket")).failing("basket").says("jwt audience invalid. expected: x", 50, "basket"), prunella.FaultWrongAudience, "basket", 0.85, ""},
		{"wrong issuer", quiet().failing("edge").says("id token issued by a different provider, expected \"a\" got \"b\"", 50, "edge"), prunella.FaultWrongIssuer, "edge", 0.75, ""},

		{"forged tokens", quiet().failing("edge").says("invalid signature for kid \""+newKid+"\"", 70, "edge"), prunella.FaultForged, "edge", 0.7, ""},
		{"forged tokens after a harmless rotation", quiet().rotated(20*time.Minute).failing("edge").says("invalid signature for kid \""+newKid+"\"", 70, "edge"), prunella.FaultForged, "edge", 0.5, ""},
		{"flood of random kids", flooded, prunella.FaultKidFlood, "edge", 0.8, ""},

		{"bad deploy", quiet().released("ledger", "v2.4.0", 2*time.Minute).failing("ledger").says("HTTP 500 internal server error", 40, "ledger").says("401 unauthorized", 40, "ledger"), prunella.FaultBadDeploy, "ledger", 0.8, prunella.ChangeDeploy},
		{"bad deploy, caller fails too", quiet().released("basket", "v2.4.0", 2*time.Minute).failing("basket", "edge").says("panic: nil pointer", 40, "basket"), prunella.FaultBadDeploy, "basket", 0.8, prunella.ChangeDeploy},
		{"bad deploy that refuses every key", quiet().released("ledger", "v2.4.0", time.Minute).grid(newKid, refuse("500 internal server error", "ledger")).failing("ledger").says("unhandled exception", 40, "ledger"), prunella.FaultBadDeploy, "ledger", 0.7, prunella.ChangeDeploy},
		{"bad deploy while keys rotated harmlessly", quiet().released("ledger", "v2.4.0", 3*time.Minute).rotated(4*time.Second).failing("ledger").says("HTTP 500 internal server error", 40, "ledger"), prunella.FaultBadDeploy, "ledger", 0.6, prunella.ChangeDeploy},
		{"deploy 40 min before a rotation that fits", partialWorld(four).released("courier", "v1.9", 40*time.Minute), prunella.FaultPartialKeys, "idp", 0.75, prunella.ChangeSigner},
		{"deploy of a healthy service", partialWorld(four).released("edge", "v1.9", 2*time.Minute), prunella.FaultPartialKeys, "idp", 0.8, prunella.ChangeSigner},

		{"nothing explains it", quiet().failing("stock").says("something odd happened", 50, "stock"), prunella.FaultUnknown, "stock", 0.3, ""},
		{"ordinary expiry, clocks right", quiet().failing("stock").says("token is expired", 50, "stock"), prunella.FaultUnknown, "stock", 0.3, ""},
		{"harmless rotation, nothing else", quiet().rotated(5*time.Second).failing("stock").says("something odd happened", 50, "stock"), prunella.FaultUnknown, "stock", 0.3, ""},
		{"config change, nothing else", withConfig(quiet().failing("stock").says("something odd happened", 50, "stock")), prunella.FaultUnknown, "stock", 0.2, prunella.ChangeConfig},
	}
}

func vendorIssuer(w *world) *world {
	w.Inventory.Issuers[0] = prunella.Issuer{Name: "idp", Vendor: "auth0", Admin: &prunella.Admin{Kind: "auth0"}}
	return w.read("deliveries.failed", map[string]any{"known": false})
}

func withConfig(w *world) *world {
	w.Changes = append(w.Changes, prunella.Change{Name: prunella.ChangeConfig, Service: "stock", At: onset.Add(-30 * time.Second), Author: "lee"})
	return w
}

func oddKid(w *world) *world {
	return w.read("jwks.current", map[string]any{"reachable": true, "signer": "main", "kids": []any{"main", "aaa", "bbb"},
		"kid_is_thumbprint": map[string]any{"main": false, "aaa": true, "bbb": true}}).fails("keys.changes", "no history")
}

func TestLive(t *testing.T) {
	for _, c := range liveCases() {
		t.Run(c.name, func(t *testing.T) {
			got, all := top(t, c.world.Snapshot)
			if got.Fault != c.fault || got.Confidence < c.least || got.Service != c.place {
				t.Errorf("got %s %.2f at %q, want %s at least %.2f at %q", got.Fault, got.Confidence, got.Service, c.fault, c.least, c.place)
			}
			name := ""
			if got.Change != nil {
				name = got.Change.Name
			}
			if c.change != "any" && name != c.change {
				t.Errorf("change is %q, want %q", name, c.change)
			}
			if t.Failed() {
				for _, c := range all {
					t.Log(diagnose.Explain(c))
				}
			}
		})
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	for _, c := range liveCases() {
		want := diagnose.Diagnose(c.world.Snapshot)
		for range 4 {
			if got := diagnose.Diagnose(shuffled(c.world.Snapshot, r)); !reflect.DeepEqual(want, got) {
				t.Fatalf("%s: another order gives another answer:\n%+v\n%+v", c.name, want, got)
			}
		}
	}
}

func TestSummaryNamesWhatAPersonNeeds(t *testing.T) {
	got, _ := top(t, partialWorld(four).Snapshot)
	for _, want := range append([]string{newKid, oldKid, "4 s before the onset", "09:29:56"}, four...) {
		if !strings.Contains(got.Summary, want) {
			t.Errorf("summary lacks %q: %s", want, got.Summary)
		}
	}
	if !slices.Equal(got.Services, four) || got.Kids[0] != newKid || got.Change.Before != oldKid {
		t.Errorf("services %v, kids %v, change %+v", got.Services, got.Kids, got.Change)
	}
}

func TestMissingReadsLowerTheCeiling(t *testing.T) {
	before, _ := top(t, partialWorld(four).Snapshot)
	for _, name := range diagnose.Standard() {
		w := partialWorld(four).fails(name, "deadline exceeded")
		got, _ := top(t, w.Snapshot)
		if got.Confidence >= before.Confidence {
			t.Errorf("without %s: %s %.3f, not below %.3f", name, got.Fault, got.Confidence, before.Confidence)
		}
		said := slices.ContainsFunc(got.Against, func(e prunella.Evidence) bool {
			return e.Weight == 0 && strings.Contains(e.Text, name) && strings.Contains(e.Text, "deadline exceeded")
		})
		if !said {
			t.Errorf("without %s: not said in %+v", name, got.Against)
		}
	}
	blind := partialWorld(four)
	for _, name := range diagnose.Standard() {
		blind.fails(name, "deadline exceeded")
	}
	blind.Texts, blind.Changes = nil, nil
	if got, _ := top(t, blind.Snapshot); got.Fault != prunella.FaultUnknown {
		t.Errorf("with nothing to go by it says %s", got.Fault)
	}
}

func TestNothingAtAll(t *testing.T) {
	got, all := top(t, diagnose.Snapshot{})
	if got.Fault != prunella.FaultUnknown || len(all) != 1 {
		t.Errorf("%+v", all)
	}
}
