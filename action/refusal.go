package action

import "regexp"

// Words by which verifiers name what they refuse a token for, gathered from
// golang-jwt, go-oidc, jwx, jose and jwks-rsa. Key and signature words are looked for
// first: a text such as "no key found … token expires …" is about the key.
var (
	keyWords = regexp.MustCompile(`(?i)signature|unverifiable|verification error|(unknown|no matching|missing|no such|wrong|unrecogni[sz]ed|stale|old) (public |signing )?(key|kid)` +
		`|(key|kid|jwk)\b.{0,60}(not found|not known|unknown|mismatch|not in|missing)|(find|locate|get|resolve|match).{0,40}\b(key|kid|jwk)|keystore|key ?set|could not verify message`)
	claimWords = []struct {
		claim string
		words *regexp.Regexp
	}{
		{"nbf", regexp.MustCompile(`(?i)not (yet )?valid yet|not yet valid|not before|\bnbf\b|not active`)},
		{"iat", regexp.MustCompile(`(?i)\biat\b|issued (in the future|at)|used before issued`)},
		{"exp", regexp.MustCompile(`(?i)expired|\bexp\b|expiration|expiry`)},
		{"aud", regexp.MustCompile(`(?i)audience|\baud\b`)},
		{"iss", regexp.MustCompile(`(?i)\bissuer\b|\biss\b|different provider`)},
		{"scope", regexp.MustCompile(`(?i)insufficient.scope|\bscope\b|permission`)},
	}
)

// RefusedClaim returns the claim that a service's refusal names (exp, nbf, iat,
// aud, iss, or scope for what the caller may do), or "" when the refusal is
// about key or signature, or says nothing.
func RefusedClaim(reason string) string {
	if keyWords.MatchString(reason) {
		return ""
	}
	for _, c := range claimWords {
		if c.words.MatchString(reason) {
			return c.claim
		}
	}
	return ""
}
