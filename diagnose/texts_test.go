package diagnose_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/diagnose"
	"prunella/said"
)

// an incident told by three monitors, in words of our own
var halfRotated = []string{
	"Rotation of the token signing key only half done — identity service now signs with kid 'sig-2026-q2b', JWKS refreshed, but the push webhook failed for 3 of 9 consumers, previous key sig-2025-q4a withdrawn from the published set 20 minutes ago",
	"billing-service: JWT verify: invalid signature: key id sig-2026-q2b not found in local keystore; static key file holds sig-2025-q4a only; ECONNREFUSED talking to the key distribution endpoint; 100% of authenticated requests rejected",
	"shipping service down for logged-in users: token signature verification failed, stale public key does not match current signing key",
}

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		name     string
		world    *world
		fault    prunella.Fault
		place    string
		services []string
		least    float64
	}{
		{"half rotated", messages(halfRotated...), prunella.FaultPartialKeys, "identity", []string{"billing", "shipping"}, 0.6},
		{"half rotated, other words", messages(
			"auth-server switched to new signing key es-77b1; pushing the public key to verifiers timed out for 2 out of 5 services",
			"catalog-api 401s: no matching key for kid es-77b1, keys are read from disk (keys.pem), last updated in January",
		), prunella.FaultPartialKeys, "auth", []string{"catalog-api"}, 0.5},
		{"premature removal alone", messages(
			"token service deleted the previous signing key (kid: r1-2025) from JWKS right after promoting r2-2026, live tokens still carry r1-2025",
			"report service: unknown kid r1-2025, rejecting sessions",
		), prunella.FaultEarlyRemoval, "token", []string{"report"}, 0.4},
		{"stale caches", messages(
			"Auth0 tenant rotated signing keys at 09:28",
			"orders-service: Unable to find a signing key that matches 'NkQ4'. jwks cache is 24h old",
			"quotes-service: kid mismatch, serving cached JWKS",
		), prunella.FaultStaleCache, "auth0", []string{"orders", "quotes"}, 0.5},
		{"certificate replaced, caches stay", messages(
			"identity provider signing certificate replaced (new kid 'A9F3', previous 'B1C2' revoked)",
			"5 out of 12 microservices still validating with cached JWKS",
			"invoice-service: IDX10501: Signature validation failed. Unable to match key: kid: 'A9F3'",
		), prunella.FaultStaleCache, "identity", []string{"invoice"}, 0.45},
		{"no longer published", messages(
			"Key server stopped publishing key q-2026-01 at 11:02 although tokens signed by it live until 12:02",
			"basket service: kid q-2026-01 not in JWKS",
		), prunella.FaultEarlyRemoval, "basket", []string{"basket"}, 0.4},
		{"clock skew", messages(
			"ledger-service: token used before issued",
			"host ledger-4: chronyd lost its sources, clock is 190 s behind",
			"no key rotation today, JWKS healthy",
		), prunella.FaultClockSkew, "ledger", []string{"ledger"}, 0.5},
		{"audience", messages(
			"mobile-bff service: jwt audience invalid. expected: https://api.example",
			"mobile-bff service returning 401 to every request, Audience doesn't match",
		), prunella.FaultWrongAudience, "mobile-bff", []string{"mobile-bff"}, 0.5},
		{"issuer", messages("tickets-service: IDX10205: Issuer validation failed. Issuer: 'https://old'. Did not match"), prunella.FaultWrongIssuer, "tickets", []string{"tickets"}, 0.4},
		{"jwks down", messages(
			"payout-service: failed to fetch JWKS from https://idp/jwks: connection refused",
			"refund-service: Couldn't retrieve remote JWK set: timeout",
		), prunella.FaultJWKSDown, "", []string{"payout", "refund"}, 0.4},
		{"deploy", messages(
			"quotes-service returned HTTP 500 for 40% of requests and 401 for the rest",
			"quotes v3.2.0 was deployed 3 minutes before the errors began",
		), prunella.FaultBadDeploy, "quotes", []string{"quotes"}, 0.4},
		{"forged", messages("edge-service: invalid signature on 300 tokens", "security: tokens look forged, payload tampered with"), prunella.FaultForged, "edge", []string{"edge"}, 0.4},
		{"same kid", messages("auth service re-used kid 'main' with new key material", "search-service: signature verification failed for kid=main"), prunella.FaultSameKid, "auth", []string{"search"}, 0.5},
		{"flood", messages("gateway-service: 900 distinct kids in rejected tokens, none known"), prunella.FaultKidFlood, "gateway", []string{"gateway"}, 0.4},
		{"vendor", messages("Okta major incident: status page shows outage", "portal-service: login calls time out"), prunella.FaultVendorDown, "okta", nil, 0.4},
		{"nothing said of why", messages("users complain", "dashboard is red"), prunella.FaultUnknown, "", nil, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, all := top(t, c.world.Snapshot)
			if got.Fault != c.fault || got.Confidence < c.least || got.Service != c.place || c.services != nil && !slices.Equal(got.Services, c.services) {
				t.Errorf("got %s %.2f at %q of %q, want %s at least %.2f at %q of %q", got.Fault, got.Confidence, got.Service, got.Services, c.fault, c.least, c.place, c.services)
			}
			if got.Confidence > 0.80 && got.Fault != prunella.FaultUnknown {
				t.Errorf("confidence %.2f though nothing was measured", got.Confidence)
			}
			if t.Failed() {
				for _, c := range all {
					t.Log(diagnose.Explain(c))
				}
				t.Logf("%+v", diagnose.ExtractFacts(c.world.Texts))
			}
		})
	}
}

func TestMessagesNameKeysChangeAndRemoval(t *testing.T) {
	got, _ := top(t, messages(halfRotated...).Snapshot)
	for _, want := range []string{"sig-2026-q2b", "sig-2025-q4a", "billing", "shipping", "prematurely", "3 of 9", "nothing was measured"} {
		if !strings.Contains(got.Summary, want) {
			t.Errorf("summary lacks %q: %s", want, got.Summary)
		}
	}
	want := prunella.Change{Name: prunella.ChangeSigner, Service: "identity", Kid: "sig-2026-q2b", Before: "sig-2025-q4a", At: onset.Add(-20 * time.Minute)}
	if got.Change == nil || *got.Change != want {
		t.Errorf("change %+v, want %+v", got.Change, want)
	}
	removal := slices.ContainsFunc(got.For, func(e prunella.Evidence) bool { return e.Name == "text-key-removed" })
	if !removal || !slices.Equal(got.Kids, []string{"sig-2026-q2b"}) {
		t.Errorf("removal as evidence: %v; kids %v", removal, got.Kids)
	}
	heard := ""
	for _, e := range got.For {
		heard += e.Text
	}
	for _, monitor := range []string{"monitor-a", "monitor-b", "monitor-c"} {
		if !strings.Contains(heard, monitor) {
			t.Errorf("%s is not heard in %s", monitor, heard)
		}
	}
}

func TestEachMonitorCounts(t *testing.T) {
	all, _ := top(t, messages(halfRotated...).Snapshot)
	for i := range halfRotated {
		fewer, _ := top(t, messages(slices.Delete(slices.Clone(halfRotated), i, i+1)...).Snapshot)
		if fewer.Fault == all.Fault && fewer.Confidence > all.Confidence {
			t.Errorf("without text %d it is surer: %.3f over %.3f", i, fewer.Confidence, all.Confidence)
		}
	}
}

func TestFacts(t *testing.T) {
	for _, c := range []struct {
		text    string
		known   []string
		kids    map[string][]diagnose.Role
		failing []string
		classes []said.Class
		denied  []said.Class
		counts  []diagnose.CountFact
		shares  []diagnose.ShareFact
	}{
		{text: `rotated from key k-2025-09 to k-2026-03, all fine`,
			kids: map[string][]diagnose.Role{"k-2025-09": {"old"}, "k-2026-03": {"new"}}, classes: []said.Class{"key-rotated"}},
		{text: `{"svc":"cart","msg":"jwt verify","error":"unknown kid","kid":"Zx81-p"}`, known: []string{"cart"},
			kids: map[string][]diagnose.Role{"Zx81-p": {"failing"}}, failing: []string{"cart"}, classes: []said.Class{"unknown-kid"}},
		{text: `kid mismatch`, classes: []said.Class{"unknown-kid"}},
		{text: `no recent deploy, last release 3 days ago; tokens are not expired`, denied: []said.Class{"deploy", "expired"}},
		{text: `user and order services reject tokens: key not found`, failing: []string{"order", "user"}, classes: []said.Class{"unknown-kid"}},
		{text: `order-svc and Order service: signature verification failed`, known: []string{"order-service"}, failing: []string{"order-service"}, classes: []said.Class{"bad-signature"}},
		{text: `12.5% of requests rejected by pricing-service with unknown key`, failing: []string{"pricing"}, classes: []said.Class{"unknown-kid"},
			shares: []diagnose.ShareFact{{Service: "pricing", Share: 0.125}}},
		{text: `key pushed to 3 of 8 services, delivery failed for five services`, classes: []said.Class{"delivery-failed"},
			counts: []diagnose.CountFact{{N: 3, M: 8}, {N: 5, Failing: true}}},
		{text: `unknown kid lPuTBqZoaQIRKnV7dG2pW1kJ0N3xRz5sYc8eAhDfMgU`, kids: map[string][]diagnose.Role{"lPuTBqZoaQIRKnV7dG2pW1kJ0N3xRz5sYc8eAhDfMgU": {"failing"}}, classes: []said.Class{"unknown-kid"}},
		{text: `users cannot search for orders`, known: []string{"user", "search", "order"}},
	} {
		f := diagnose.ExtractFacts([]diagnose.TextGroup{{Example: c.text}}, c.known...)
		kids := map[string][]diagnose.Role{}
		for _, k := range f.Kids {
			kids[k.Kid] = k.Roles
		}
		if len(kids)+len(c.kids) > 0 && !reflect.DeepEqual(kids, c.kids) {
			t.Errorf("%s\n kids %v, want %v", c.text, kids, c.kids)
		}
		if got := f.FailingServices(); !slices.Equal(got, c.failing) {
			t.Errorf("%s\n failing %v, want %v", c.text, got, c.failing)
		}
		if got := f.Texts[0].Classes; !slices.Equal(got, c.classes) {
			t.Errorf("%s\n classes %v, want %v", c.text, got, c.classes)
		}
		if got := f.Texts[0].Denied; !slices.Equal(got, c.denied) {
			t.Errorf("%s\n denied %v, want %v", c.text, got, c.denied)
		}
		if c.counts != nil && !slices.Equal(f.Counts, c.counts) {
			t.Errorf("%s\n counts %v, want %v", c.text, f.Counts, c.counts)
		}
		if c.shares != nil && !slices.Equal(f.Shares, c.shares) {
			t.Errorf("%s\n shares %v, want %v", c.text, f.Shares, c.shares)
		}
	}
}

func FuzzExtractFacts(f *testing.F) {
	for _, s := range halfRotated {
		f.Add(s, "billing", "kid-1")
	}
	f.Add("İ kid: \"\xff\" — of 7 of 4 services, 999% of requests 401", "ſervice", "")
	f.Fuzz(func(t *testing.T, text, service, kid string) {
		if len(text)+len(service)+len(kid) > 1500 {
			t.Skip("long texts are cut; they only slow the search down")
		}
		groups := []diagnose.TextGroup{
			{Example: text, Services: []string{service}, Kids: []string{kid}, Monitor: "a", Count: 2},
			{Template: service, Monitor: "b"},
		}
		one := diagnose.ExtractFacts(groups, service)
		slices.Reverse(groups)
		if two := diagnose.ExtractFacts(groups, service); !reflect.DeepEqual(one, two) {
			t.Fatalf("order matters:\n%+v\n%+v", one, two)
		}
		for _, s := range one.Shares {
			if s.Share <= 0 || s.Share > 1 {
				t.Fatalf("share %v", s)
			}
		}
		for _, c := range one.Counts {
			if c.N <= 0 || c.M != 0 && c.M < c.N {
				t.Fatalf("count %v", c)
			}
		}
		if causes := diagnose.Diagnose(diagnose.Snapshot{Facts: one}); len(causes) == 0 || causes[0].Summary == "" {
			t.Fatal("no cause")
		}
	})
}

// Whoever hands out keys is where a fault of keys lies, by its name or by what
// it tells, and does not suffer from it; a service keeps one name.
func TestWhoHandsOutKeys(t *testing.T) {
	group := func(service, text string) diagnose.TextGroup {
		return diagnose.TextGroup{Example: text, Services: []string{service}, Monitor: service + "-checks", Count: 1, At: onset}
	}
	for _, issuer := range []string{"sso", "passport"} {
		texts := []diagnose.TextGroup{
			group(issuer, "key push incomplete: promoted kid n-27b, 2/6 services did not acknowledge the new signing key, old key n-26a removed"),
			group("parcels", "parcels-api: no key found for kid n-27b, keys.pem on disk has the previous one"),
		}
		got, _ := top(t, diagnose.Snapshot{Incident: prunella.Incident{Onset: onset, Impact: []prunella.Impact{
			{Service: issuer, Stated: true, Since: onset}, {Service: "parcels", Stated: true, Since: onset}}}, Texts: texts})
		if got.Fault != prunella.FaultPartialKeys || got.Service != issuer || !slices.Equal(got.Services, []string{"parcels"}) {
			t.Errorf("%s at %s of %v", got.Fault, got.Service, got.Services)
		}
	}
}

// One fact outweighs another: a cached set still holds the key that was taken
// away, and an exception after a release is its doing.
func TestWhatOutweighs(t *testing.T) {
	for fault, texts := range map[prunella.Fault][]string{
		prunella.FaultStaleCache: {
			"lending-service: no matching key(s) found; JWK set cached for 12 hours",
			"the identity provider rotated its keys; kid v1-aa no longer in its published set"},
		prunella.FaultBadDeploy: {
			"rollout of profile 3.0.1 finished",
			"profile-service: 48% of requests fail right after deployment; TypeError: cannot read properties of undefined"},
	} {
		if got, _ := top(t, messages(texts...).Snapshot); got.Fault != fault {
			t.Errorf("want %s: %s", fault, diagnose.Explain(got))
		}
	}
}

// A count of kids is no kid; what nothing is known of is at least where it was told.
func TestCountedKidsAndUnexplained(t *testing.T) {
	f := diagnose.ExtractFacts([]diagnose.TextGroup{{Example: "made-up key ids: 12000 in five minutes"}})
	if len(f.Kids) != 0 || !slices.Contains(f.Texts[0].Classes, said.KidFlood) {
		t.Errorf("%+v", f)
	}
	got, _ := top(t, diagnose.Snapshot{Incident: prunella.Incident{Onset: onset, Impact: []prunella.Impact{{Service: "wal"}}},
		Texts: []diagnose.TextGroup{{Example: "No space left on device", Services: []string{"wal"}, Count: 1}}})
	if got.Fault != prunella.FaultUnknown || !slices.Equal(got.Services, []string{"wal"}) {
		t.Error(diagnose.Explain(got))
	}
}

func TestWordingsOfKeys(t *testing.T) {
	for _, c := range []struct {
		text    string
		yes, no []said.Class
	}{
		{"gateway: could not get public key for kid m1-a, jwks cached for 3600s", []said.Class{said.UnknownKid, said.StaleCache}, []said.Class{said.DeliveryFailed, said.FetchFailed}},
		{"six verifiers did not get the new key", []said.Class{said.DeliveryFailed}, nil},
		{"old kid rt-54 retired early", []said.Class{said.KeyRemoved}, nil},
		{"the new key signs, the old one was taken away at once", []said.Class{said.KeyRemoved}, nil},
		{"the old one was deleted from the disk", nil, []said.Class{said.KeyRemoved}},
		{"key zz-29-01 removed", []said.Class{said.KeyRemoved}, nil},
		{`jwx: failed to fetch "https://sso/keys": Get: dial tcp: lookup sso: no such host`, []said.Class{said.FetchFailed}, nil},
		{"no key in local keyset file", []said.Class{said.UnknownKid, said.StaticKeys}, nil},
	} {
		got := diagnose.ExtractFacts([]diagnose.TextGroup{{Example: c.text}}).Texts[0].Classes
		for _, want := range c.yes {
			if !slices.Contains(got, want) {
				t.Errorf("%q is %v, not %s", c.text, got, want)
			}
		}
		for _, wrong := range c.no {
			if slices.Contains(got, wrong) {
				t.Errorf("%q is %v, with %s", c.text, got, wrong)
			}
		}
	}
}

// What a verifier only has is the key before; an undo needs to know it.
func TestOnlyHeldKeyIsTheOldOne(t *testing.T) {
	got, _ := top(t, messages(
		"identity service switched to key kid: 'id-2030-05', the key webhook failed for three of five services",
		"payroll service: kid id-2030-05 not found in local keystore, holds id-2029-10 only",
	).Snapshot)
	if got.Change == nil || got.Change.Kid != "id-2030-05" || got.Change.Before != "id-2029-10" {
		t.Errorf("%+v", got.Change)
	}
}

// A flood explains that the key set is asked too often; a kid without a digit
// is named where there is no other.
func TestFloodAndReusedKid(t *testing.T) {
	got, _ := top(t, messages("edge: 12000 different kids seen in five minutes", "edge: too many requests to the JWKS endpoint, fetch failed").Snapshot)
	if got.Fault != prunella.FaultKidFlood {
		t.Error(diagnose.Explain(got))
	}
	got, _ = top(t, messages("signing key material replaced under the same kid 'prod'", "basket-service: verification error, 100% of requests 401").Snapshot)
	if got.Fault != prunella.FaultSameKid || !slices.Equal(got.Kids, []string{"prod"}) {
		t.Error(diagnose.Explain(got))
	}
}

// Where messages leave out what a remedy needs, the advice says what, and holds
// the remedy in conditional form when a change is known.
func TestAdviceSaysWhatIsMissing(t *testing.T) {
	got, _ := top(t, messages(
		"identity service promoted new signing key id-2030-05, delivery failed for 3 of 7 services",
		"payroll service: no key found for kid id-2030-05, 100% of requests rejected",
	).Snapshot)
	for _, want := range []string{"Messages do not say which key signed before id-2030-05", "If the failure began with id-2030-05"} {
		if got.Fault != prunella.FaultPartialKeys || !strings.Contains(got.Advice, want) {
			t.Errorf("%s: advice lacks %q: %s", got.Fault, want, got.Advice)
		}
	}
	got, _ = top(t, messages(halfRotated...).Snapshot)
	if strings.Contains(got.Advice, "do not say") {
		t.Errorf("nothing is missing, but: %s", got.Advice)
	}
}
