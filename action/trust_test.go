package action_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/action"
)

func TestTrustGridTellsWhoLacksTheSignersKey(t *testing.T) {
	i := newIssuer(t, "old", "new")
	has, lacks, late := newVerifier(t, i, "old", "new"), newVerifier(t, i, "old"), newVerifier(t, i, "old", "new")
	late.skew = 3 * time.Hour
	gone := newVerifier(t, i)
	gone.Close()
	w := world(t, inventory(i, map[string]*verifier{"gateway": has, "user": lacks, "search": late, "order": gone}), nil, action.Options{})
	res, err := w.Read(t.Context(), "trust.grid", nil, action.Incident{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"known": true, "signer": "new", "kids": []any{"new", "old"}, "lacking": []any{"user"}, "trusting": []any{"gateway"}, "unknown": []any{"order"}, "probed": 8.0}
	for k, v := range want {
		if d := cmp.Diff(v, res[k]); d != "" {
			t.Errorf("%s: %s", k, d)
		}
	}
	otherwise := res["refusing_otherwise"].(map[string]any)
	if len(otherwise) != 1 || !strings.Contains(otherwise["search"].(string), "expired") {
		t.Errorf("refusing_otherwise = %v, want search with its expiry", otherwise)
	}
	if reason := res["reasons"].(map[string]any)["user"].(string); !strings.Contains(reason, "key not found: kid 'new'") {
		t.Errorf("reason of user = %q", reason)
	}
	old := res["by_kid"].(map[string]any)["old"].(map[string]any)
	if d := cmp.Diff([]string{"gateway", "user"}, texts(old["trusts"])); d != "" {
		t.Errorf("old is trusted by: %s", d)
	}
}

func TestTrustGridDoesNotShowUnpublishedKidsToHealthyVerifiers(t *testing.T) {
	i := newIssuer(t, "old", "new")
	i.keys[0].State, i.keys[0].Published, i.keys[0].Removed = "removed", time.Time{}, time.Now()
	i.add(t, "hidden", "next").Published = time.Time{}
	has, lacks := newVerifier(t, i, "new"), newVerifier(t, i, "old")
	w := world(t, inventory(i, map[string]*verifier{"gateway": has, "user": lacks}), nil, action.Options{})
	res, err := w.Read(t.Context(), "trust.grid", nil, action.Incident{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"new"}, has.seen); d != "" {
		t.Errorf("the healthy verifier was shown: %s", d)
	}
	if d := cmp.Diff([]string{"new", "old"}, lacks.seen); d != "" {
		t.Errorf("the lacking verifier was shown: %s", d)
	}
	old := res["by_kid"].(map[string]any)["old"].(map[string]any)
	if d := cmp.Diff([]string{"user"}, texts(old["trusts"])); d != "" {
		t.Errorf("old is trusted by: %s", d)
	}
	if d := cmp.Diff([]string{"gateway"}, texts(old["unknown"])); d != "" {
		t.Errorf("old is unknown for: %s", d)
	}
	if _, _, err := w.Trust(t.Context(), "auth"); err != nil || slices.Contains(has.seen, "old") {
		t.Errorf("the periodic probe showed %v, %v", has.seen, err)
	}
}

func TestKeysThatDoNotSignAreAskedAboutSeldom(t *testing.T) {
	i := newIssuer(t, "old", "new")
	v := newVerifier(t, i, "new")
	now := time.Now()
	w := world(t, inventory(i, map[string]*verifier{"user": v}), nil, action.Options{Now: func() time.Time { return now }})
	for range 5 {
		if _, cells, err := w.Trust(t.Context(), "auth"); err != nil || len(cells) != 2 || cells[1].Trust != prunella.Rejects {
			t.Fatalf("cells %v, %v", cells, err)
		}
		now = now.Add(5 * time.Second)
	}
	count := func(kid string) (n int) {
		for _, s := range v.seen {
			if s == kid {
				n++
			}
		}
		return n
	}
	if count("new") != 5 || count("old") != 1 {
		t.Errorf("tried new %d times and old %d times, want 5 and 1", count("new"), count("old"))
	}
	now = now.Add(time.Minute)
	if _, _, err := w.Trust(t.Context(), "auth"); err != nil || count("old") != 2 {
		t.Errorf("after a minute old was tried %d times, %v; want 2", count("old"), err)
	}
	if _, err := w.Do(t.Context(), "keys.publish", "s", map[string]any{"issuer": "auth", "kid": "old"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Trust(t.Context(), "auth"); err != nil || count("old") != 3 {
		t.Errorf("after our own change old was tried %d times, %v; want 3", count("old"), err)
	}
}

// A key API's canary tokens have the right claims by construction; what clients
// get may not.
func TestTheSignerIsProbedWithTokensAsClientsGetThem(t *testing.T) {
	i := newIssuer(t, "new")
	i.wrongAudience = "https://legacy"
	w := world(t, inventory(i, map[string]*verifier{"user": newVerifier(t, i, "new")}), nil, action.Options{})
	res, err := w.Read(t.Context(), "trust.grid", nil, action.Incident{})
	if err != nil || len(texts(res["trusting"])) != 0 || len(texts(res["lacking"])) != 0 {
		t.Errorf("grid %v, %v", res, err)
	}
	if why, _ := res["refusing_otherwise"].(map[string]any)["user"].(string); !strings.Contains(why, "audience") {
		t.Errorf("user refuses because %q", why)
	}
}

func TestTrustGridWithoutATokenIsUnknown(t *testing.T) {
	i := newIssuer(t, "new")
	inv := inventory(i, map[string]*verifier{"user": newVerifier(t, i, "new")})
	inv.Issuers[0].ClientSecret, inv.Issuers[0].Admin = "a-wrong-client-secret", nil
	w := world(t, inv, nil, action.Options{})
	res, err := w.Read(t.Context(), "trust.grid", nil, action.Incident{})
	if err != nil || res["known"] != false || len(texts(res["trusting"])) != 0 || res["error"] == "" {
		t.Errorf("grid %v, %v", res, err)
	}
	if _, _, err := w.Token(t.Context(), "auth"); err == nil || strings.Contains(err.Error(), "a-wrong-client-secret") || !strings.Contains(err.Error(), "[secret]") {
		t.Errorf("token error %v; the issuer's text holds the secret, which must not be seen", err)
	}
}

func TestSignerWithoutKeyAPIIsProbedWithItsOwnTokens(t *testing.T) {
	i := newIssuer(t, "old", "new")
	inv := inventory(i, map[string]*verifier{"user": newVerifier(t, i, "new")})
	inv.Issuers[0].Admin = nil
	w := world(t, inv, nil, action.Options{})
	signer, cells, err := w.Trust(t.Context(), "auth")
	if err != nil || signer != "new" || len(cells) != 1 || cells[0].Trust != prunella.Trusts || cells[0].Status != 200 || cells[0].LastTrusted.IsZero() {
		t.Errorf("signer %q, cells %+v, %v", signer, cells, err)
	}
}

func TestRefusedClaim(t *testing.T) {
	for _, c := range []struct{ text, claim string }{
		// golang-jwt with keyfunc
		{"token is unverifiable: error while executing keyfunc: could not read JWK from storage: key not found", ""},
		{"token signature is invalid: crypto/rsa: verification error", ""},
		{"token has invalid claims: token is expired", "exp"},
		{"token has invalid claims: token is not valid yet", "nbf"},
		{"token has invalid claims: token used before issued", "iat"},
		{"token has invalid claims: token has invalid audience", "aud"},
		{"token has invalid claims: token has invalid issuer", "iss"},
		// go-oidc
		{"oidc: token is expired (Token Expiry: 2026-01-01 00:00:00 +0000 UTC)", "exp"},
		{`oidc: expected audience "orders" got ["api"]`, "aud"},
		{`oidc: id token issued by a different provider, expected "https://a" got "https://b"`, "iss"},
		{"failed to verify signature: failed to verify id token signature", ""},
		{"oidc: current time 2026-01-01 before the nbf (not before) time: 2026-01-02", "nbf"},
		// jwx
		{`"exp" not satisfied: token is expired`, "exp"},
		{`"aud" not satisfied`, "aud"},
		{`could not verify message using any of the signatures or keys`, ""},
		{`failed to find key with key ID "abc" in key set`, ""},
		// jose, jwks-rsa and texts by hand
		{"no applicable key found in the JSON Web Key Set", ""},
		{"Unable to find a signing key that matches 'abc'", ""},
		{"jwt audience invalid. expected: api", "aud"},
		{"invalid signature: key ID k1 not found in local keystore", ""},
		{"insufficient_scope", "scope"},
		{"unauthorized", ""},
		{"", ""},
	} {
		if got := action.RefusedClaim(c.text); got != c.claim {
			t.Errorf("%q is about %q, got %q", c.text, c.claim, got)
		}
	}
}

func TestClockOffsets(t *testing.T) {
	i := newIssuer(t, "k")
	fast := newVerifier(t, i, "k")
	fast.skew = -90 * time.Second
	w := world(t, inventory(i, map[string]*verifier{"user": fast, "order": newVerifier(t, i, "k")}), nil, action.Options{})
	res, err := w.Read(t.Context(), "clock.offsets", nil, action.Incident{})
	if err != nil {
		t.Fatal(err)
	}
	offsets := res["offsets_s"].(map[string]any)
	if o := offsets["user"].(float64); o < -91.5 || o > -88.5 {
		t.Errorf("user is %v s off, want -90 ± 1", o)
	}
	for _, name := range []string{"order", "auth"} {
		if o := offsets[name].(float64); o < -1.5 || o > 1.5 {
			t.Errorf("%s is %v s off, want 0 ± 1", name, o)
		}
	}
	if res["worst"] != "user" || res["max_s"].(float64) < 88 {
		t.Errorf("worst %v by %v", res["worst"], res["max_s"])
	}
	if len(fast.seen) != 0 {
		t.Error("asking for the time used a token")
	}
}

func TestCanaryProve(t *testing.T) {
	i := newIssuer(t, "old", "new")
	w := world(t, inventory(i, map[string]*verifier{"gateway": newVerifier(t, i, "old", "new"), "user": newVerifier(t, i, "old")}), nil, action.Options{})
	do := func(kid string, services ...string) (string, error) {
		return w.Do(t.Context(), "canary.prove", "s1", map[string]any{"issuer": "auth", "kid": kid, "services": services})
	}
	if out, err := do("old"); err != nil || out != "key old is accepted by gateway, user" {
		t.Errorf("old: %q, %v", out, err)
	}
	_, err := do("new")
	if err == nil || !strings.Contains(err.Error(), "1 of 2 services: user rejects it (") || errors.Is(err, action.ErrLost) {
		t.Errorf("new: %v", err)
	}
	if _, err := do("new", "gateway"); err != nil {
		t.Errorf("new on gateway: %v", err)
	}
	if _, err := do("new", "nobody"); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("an unknown service: %v", err)
	}
	i.add(t, "later", "next").Published = time.Time{}
	if _, err := do("later"); prunella.KindOf(err) != prunella.Conflict || !strings.Contains(err.Error(), "publish it first") {
		t.Errorf("an unpublished key: %v", err)
	}
}
