package skill_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/skill"
	"prunella/wiki"
)

func TestShippedSkillsAreClean(t *testing.T) {
	skills, problems, err := skill.LoadDir(wiki.FS(), "skills")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Severity != skill.SeverityNote {
			t.Error(p)
		}
	}
	acting := map[prunella.Fault]bool{}
	for _, s := range skills {
		if len(s.Actions) > 0 {
			acting[s.Fault] = true
			continue
		}
		if s.Pattern != "" || len(s.Signals) > 0 {
			t.Errorf("%s cannot heal, and would take incidents from the skills that can", s.Name)
		}
	}
	if diff := cmp.Diff(map[prunella.Fault]bool{prunella.FaultStaleCache: true, prunella.FaultPartialKeys: true}, acting); diff != "" {
		t.Error(diff)
	}
}

func TestLinksOfShippedPagesResolve(t *testing.T) {
	pages := wiki.FS()
	exists := func(page string) bool {
		_, err := fs.Stat(pages, page+".md")
		return err == nil
	}
	err := fs.WalkDir(pages, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := fs.ReadFile(pages, file)
		if err != nil {
			return err
		}
		d, err := skill.Parse(file, b)
		if err != nil {
			return err
		}
		for _, p := range skill.LintLinks(d, exists) {
			t.Error(p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each acting skill names the other and a bad deploy as what it could be
// confused with.
func TestShippedSkillsNameTheirAlternates(t *testing.T) {
	skills, _, err := skill.LoadDir(wiki.FS(), "skills")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range skills {
		for _, other := range skills {
			if len(s.Actions) == 0 || s.Name == other.Name || path.Base(s.Path) == path.Base(other.Path) {
				continue
			}
			if len(other.Actions) > 0 && !strings.Contains(strings.Join(s.Alternates, ","), string(other.Name)) {
				t.Errorf("%s does not name %s", s.Name, other.Name)
			}
		}
		if len(s.Actions) > 0 && !strings.Contains(strings.Join(s.Alternates, ","), string(prunella.FaultBadDeploy)) {
			t.Errorf("%s does not name a bad deploy", s.Name)
		}
	}
}

// Texts as libraries, services and people write them, and the rules of the two
// acting skills that hold: + for the skill, - against it.
func TestTextRules(t *testing.T) {
	skills, _, err := skill.LoadDir(wiki.FS(), "skills")
	if err != nil {
		t.Fatal(err)
	}
	const missing = "stale+key-not-found partial+key-not-found"
	for text, want := range map[string]string{
		`the given key ID was not found in the JWK Set: kid "abc"`:                                        missing,
		`could not find kid in JWK Set`:                                                                   missing,
		`failed to find key with key ID "abc" in key set`:                                                 missing,
		`JWKSNoMatchingKey: no applicable key found in the JSON Web Key Set`:                              missing,
		`SigningKeyNotFoundError: Unable to find a signing key that matches 'abc'`:                        missing,
		`Signed JWT rejected: Another algorithm expected, or no matching key(s) found`:                    missing,
		`IDX10501: Signature validation failed. Unable to match key: kid: 'abc'`:                          missing + " stale+signature-fails partial+signature-fails",
		`IDX10503: Signature validation failed. Keys tried: 'x'`:                                          missing + " stale+signature-fails partial+signature-fails",
		`PyJWKClientError: Unable to find a signing key that matches: "abc"`:                              missing,
		`oidc: failed to verify id token signature`:                                                       missing,
		`token has KID  Mismatch`:                                                                         missing,
		`could not verify message using any of the signatures or keys`:                                    "stale+signature-fails partial+signature-fails",
		`rejected bearer token: no verification key for kid=abc in static key file /etc/keys.pem`:         missing + " stale-keys-held-locally partial+keys-held-locally",
		`401: token names key id abc, which is not in the local keystore`:                                 missing + " stale-keys-held-locally partial+keys-held-locally",
		`token signed with unknown key kid=abc (cached key set is 3h old, ttl 24h)`:                       missing + " stale+stale-copy partial-copy-kept-too-long",
		`JWKS cache holds 1 key, fetched 5h ago, next refresh in 19h`:                                     "stale+stale-copy partial-copy-kept-too-long",
		`webhook delivery of key abc to user failed: connection refused`:                                  "stale-delivery-failed partial+delivery-failed",
		`key distribution webhook failed for 4 of 7 downstream services`:                                  "stale-delivery-failed partial+delivery-failed partial+some-of-many-services",
		`could not push the new signing key to order: ECONNREFUSED`:                                       "partial+delivery-failed",
		`previous key k-1 was removed from the published set`:                                             "partial+key-taken-away",
		`fetching JWKS from http://auth/.well-known/jwks.json: dial tcp 127.0.0.1:80: connection refused`: "stale+keys-fetched-over-http stale-key-set-unreachable",
		`token is expired by 3m`:                                                                          "stale-token-out-of-time partial-token-out-of-time",
		`token has invalid claims: token is not valid yet`:                                                "stale-token-out-of-time partial-token-out-of-time",
		`token has invalid audience`:                                                                      "stale-wrong-audience-or-issuer partial-wrong-audience-or-issuer",
		`expected audience "orders", got ["users"]`:                                                       "stale-wrong-audience-or-issuer partial-wrong-audience-or-issuer",
		`token signature is invalid: crypto/rsa: verification error`:                                      "stale+signature-fails partial+signature-fails",
		`GET /orders 500: nil pointer dereference`:                                                        "",
		`no rows in result set`:                                                                           "",
		`started v1.2.3, listening on :8080`:                                                              "",
		`401: missing authorization header`:                                                               "",
		`license key accepted`:                                                                            "",
		`primary key constraint violated`:                                                                 "",
	} {
		var got []string
		for _, s := range skills {
			short, _, _ := strings.Cut(string(s.Fault), "-")
			for _, r := range s.Signals {
				if !holds(r, text) {
					continue
				}
				sign := "+"
				if r.Against {
					sign = "-"
				}
				got = append(got, short+sign+r.ID)
			}
		}
		if !sameWords(strings.Join(got, " "), want) {
			t.Errorf("%s\n got %s\nwant %s", text, strings.Join(got, " "), want)
		}
	}
}

func holds(r prunella.SignalRule, text string) bool {
	folded := strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, phrase := range r.Any {
		if strings.Contains(folded, strings.ToLower(phrase)) {
			return true
		}
	}
	return r.Regex != "" && regexp.MustCompile(r.Regex).MatchString(text)
}

func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
