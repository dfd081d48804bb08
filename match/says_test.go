package match_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/match"
)

func says(f prunella.Finding) string {
	var out []string
	for _, t := range f.Tokens {
		if name, ok := strings.CutPrefix(t, "says:"); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// What a text blames is told by its words, whichever library wrote it; one text
// that calls a signature wrong blames nothing yet.
func TestMessageBlames(t *testing.T) {
	for text, want := range map[string]string{
		"jwt: unknown kid k-7 in token":                                                "key",
		"Unable to find a signing key that matches: 'k-7'":                             "key",
		"Jwks doesn't have key to match kid or alg from Jwt":                           "key",
		"Signed JWT rejected: Another algorithm expected, or no matching key(s) found": "key",
		"IDX10501: Signature validation failed. Unable to match key: kid: 'A9'":        "key",
		"Jwks remote fetch is failed":                                                  "key",
		"level=error code=401 kid=abc err=no_such_key":                                 "key",
		`{"level":"error","msg":"token rejected","reason":"UnknownKid"}`:               "key",
		"token has invalid claims: token is expired":                                   "time",
		"Signature has expired":                                                        "time",
		"jwt not active, nbf is 40 s ahead of our clock":                               "time",
		"IDX10222: Lifetime validation failed. The token is not yet valid":             "time",
		`{"level":"error","error":"TokenExpiredError"}`:                                "time",
		"IDX10214: Audience validation failed":                                         "audience",
		"jwt audience invalid. expected: orders":                                       "audience",
		"token rejected: unexpected \"iss\" claim value":                               "issuer",
		"token signature is invalid":                                                   "",
		"invalid signature: key id k-7 not found in local keystore":                    "key",
		"authentication error: ExpiredSignature":                                       "time",
		`response_code_details="jwt_authn_access_denied{Jwks_remote_fetch_is_failed}"`: "key",
		"jwks.go: x509: certificate has expired or is not yet valid":                   "",
		"unauthorized":                    "",
		"token refresh ok, cache expired": "",
	} {
		d := match.NewDetector(match.Default())
		step := d.Observe([]prunella.Signal{{ID: "1", Source: "desk", Service: "cart", Kind: prunella.KindAlert, Severity: prunella.High, Time: epoch, Body: text,
			Attributes: map[string]string{prunella.AttrStatus: "401"}}}, epoch.Add(time.Second))
		if len(step.Findings) != 1 || says(step.Findings[0]) != want {
			t.Errorf("%q blames %q, want %q", text, func() []string {
				var out []string
				for _, f := range step.Findings {
					out = append(out, says(f))
				}
				return out
			}(), want)
		}
	}
}

// The few tokens that are expired at any time blame nobody; what most texts
// since the onset say does.
func TestSpikeBlamesWhatMostTextsSay(t *testing.T) {
	w := newWorld(3, lab(), 20, seven...)
	for i := range 40 {
		w.now = w.now.Add(w.step)
		if i%4 == 0 {
			w.log("user", prunella.Warning, "refused: token is expired")
		}
		w.observe(append(w.export(), w.extra...))
		w.extra = nil
	}
	w.services["user"].share["401"] = 0.6
	w.services["order"].share["401"] = 0.6
	for i := range 20 {
		w.now = w.now.Add(w.step)
		if i%4 == 0 {
			w.log("user", prunella.Warning, "refused: token is expired")
		}
		for range 6 {
			w.log("user", prunella.Warning, "refused: no key found for kid key-2")
			w.log("order", prunella.Warning, "refused: token used before issued")
		}
		w.observe(append(w.export(), w.extra...))
		w.extra = nil
	}
	got := map[string]string{}
	for _, f := range w.findings {
		if f.Rule == prunella.RuleErrorRate {
			got[f.Service] = says(f)
		}
	}
	if got["user"] != "key" || got["order"] != "time" {
		t.Errorf("%v", got)
	}
}

// Two texts that blame what nobody blamed before are enough for the first
// finding of a spike; one that comes before any says that its texts may follow.
func TestBlameOfTheFirstFinding(t *testing.T) {
	for _, c := range []struct {
		name, before string   // said in quiet times
		texts        []string // said as the spike begins
		says, blame  string   // of the first finding
	}{
		{"nothing said", "", nil, "", "pending"},
		{"one text", "", []string{"token used before issued"}, "", "pending"},
		{"two texts", "", []string{"token used before issued", "token used before issued"}, "time", ""},
		{"what is always said", "token is expired", []string{"token is expired", "token is expired"}, "", "pending"},
		{"two opinions", "", []string{"token used before issued", "no key for kid k2"}, "", "pending"},
		{"a signature may be a key", "", []string{"token signature is invalid", "token signature is invalid"}, "", "pending"},
	} {
		w := newWorld(5, lab(), 20, "user")
		w.services["user"].share["401"] = 0.002
		for range 25 {
			if c.before != "" {
				w.log("user", prunella.Warning, c.before)
			}
			w.run(time.Second)
		}
		w.services["user"].share["401"] = 0.9
		for _, text := range c.texts {
			w.log("user", prunella.Warning, text)
		}
		w.run(10 * time.Second)
		f, ok := w.first(prunella.RuleErrorRate, "user")
		if !ok || says(f) != c.says || f.Attrs["blame"] != c.blame {
			t.Errorf("%s: the first finding says %q, blame %q, want %q, %q", c.name, says(f), f.Attrs["blame"], c.says, c.blame)
		}
		if last := w.findings[len(w.findings)-1]; last.Attrs["blame"] != "" {
			t.Errorf("%s: ten seconds later the blame is still %s", c.name, last.Attrs["blame"])
		}
	}
}

// In a storm of texts not every one is read; what they blame in turn is blamed
// all the same, and as often.
func TestAStormBlamesWhatItsTextsSay(t *testing.T) {
	w := newWorld(5, lab(), 20, "user")
	w.services["user"].share["401"] = 0.002
	w.run(25 * time.Second)
	w.services["user"].share["401"] = 0.9
	for second := range 10 {
		for n := range 300 {
			text := "request %08x denied, no key for kid k2"
			if n%3 == 0 {
				text = "request %08x denied, the token has expired"
			}
			w.log("user", prunella.Warning, fmt.Sprintf(text, 7919*(300*second+n)))
		}
		w.run(time.Second)
	}
	if last := w.findings[len(w.findings)-1]; says(last) != "key time" {
		t.Errorf("it says %q", says(last))
	}
}
