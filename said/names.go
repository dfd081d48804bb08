package said

import "strings"

// words that stand before "service" without being its name. They came from
// reading what texts of the corpus, the catalogue of scenarios and the sample
// logs were taken to name: articles and counts, where a service stands
// (downstream, internal), how it fares (degraded, stale), what it does with a
// token (validating), and the ends of other sentences (is, from, because).
var noNames = set(`a an the this that these those each every any all both one two three four five six seven eight nine ten no several some many most few various multiple single
	another other same entire whole first second third last next per and or of to in on from by for with at as when while if because which rest only not
	is are was were will would our their its remaining named listed new old
	downstream upstream internal external dependent consuming target receiving protected resource relying backend back-end public web micro http kubernetes third-party self
	customer customer-facing production critical authenticated affected impacted customer-impacting failing broken healthy degraded unavailable unknown out out-of-date stale
	missed skipped full validating verifying reports key 503`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// NoName reports whether a word in lower case that stands before "service"
// names none: "the service", "every downstream service".
func NoName(word string) bool { return noNames[word] }

// issuers are what services that issue tokens are called: what they do, and
// the products that do it.
var issuers = lazy(`(?i)^(?:auth[nz]?|oauth2?|authentication|identity|idp|iam|sso|login|tokens?|sts|security-token|issuer|keycloak|hydra|dex|auth0|okta|cognito|zitadel)(?:[-_](?:service|server|svc|api|provider))?$`)

// IssuerName reports whether a service's name is that of one that issues tokens.
func IssuerName(name string) bool { return issuers().MatchString(name) }
