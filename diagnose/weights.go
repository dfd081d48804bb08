package diagnose

import "prunella"

// short names keep the table below readable
const (
	stale    = prunella.FaultStaleCache
	partial  = prunella.FaultPartialKeys
	removal  = prunella.FaultEarlyRemoval
	jwksDown = prunella.FaultJWKSDown
	sameKid  = prunella.FaultSameKid
	skew     = prunella.FaultClockSkew
	audience = prunella.FaultWrongAudience
	issuer   = prunella.FaultWrongIssuer
	forged   = prunella.FaultForged
	flood    = prunella.FaultKidFlood
	deploy   = prunella.FaultBadDeploy
	vendor   = prunella.FaultVendorDown
	unknown  = prunella.FaultUnknown
)

// priors are the log odds of each fault against "unknown" (0) before anything
// is seen. All lie between −2.4 and −3.6, so that two or three observations of
// middling strength are needed before a fault is likelier than "unknown", and
// none can win by its prior. Their order is how often public reports of sudden
// authentication failures end with that cause: releases first, then caches,
// then keys that did not arrive, then the rest.
var priors = map[prunella.Fault]float64{
	deploy:   -2.4,
	stale:    -2.6,
	partial:  -2.9,
	jwksDown: -3.0,
	removal:  -3.2,
	skew:     -3.2,
	audience: -3.2,
	issuer:   -3.4,
	vendor:   -3.4,
	sameKid:  -3.6,
	forged:   -3.6,
	flood:    -3.6,
}

// otherPrior is the prior of a fault that only a skill names.
const otherPrior = -3.0

// unknownScore is the log odds of "unknown" against itself: the zero of the scale.
const unknownScore = 0.0

const (
	ceilingLive  = 0.97 // nothing is ever certain
	ceilingTexts = 0.80 // nothing was measured: every word may be mistaken
	floor        = 0.35 // below it no fault is named as the first cause
	least        = 1.5  // log odds of evidence that the first cause must have gained
	shown        = 0.02 // hypotheses less likely than this are ruled out
	ruledOut     = 3    // … and so many of them are listed, with what spoke against them
)

// losses lower the ceiling when a standard read says nothing: what could not be
// looked at might have spoken against the winner. The trust grid and the key
// set tell the most faults apart, so they cost the most.
var losses = map[string]float64{
	readGrid:       0.15,
	readJWKS:       0.10,
	readChanges:    0.06,
	readReleases:   0.06,
	readClocks:     0.03,
	readDeliveries: 0.02,
	readVendor:     0.02,
	readErrors:     0.01,
}

const (
	checkMost = 2.0 // one skill check moves its fault by at most this
	checksFor = 2.0 // all checks of a skill that speak for it, together: they look at what the standard reads measured
	checksCon = 3.0 // all that speak against it
	matchMost = 0.8 // a recognized pattern, at confidence 1: a look-alike, not a measurement
)

// row is what one kind of observation says about each fault, in natural-log
// odds at full strength. A fault that is not named is not moved.
type row struct {
	why    string
	weight map[prunella.Fault]float64
}

type odds = map[prunella.Fault]float64

// table holds every weight of this package. About 1 is a hint, 2 is strong, 3
// and more is close to a definition of the fault.
var table = map[string]row{
	// who trusts which key, measured with canary tokens against the live key set
	"published-key-lacked": {"the set publishes the signer, yet verifiers refuse it: both faults look so, others hardly",
		odds{stale: 2.5, partial: 2.5, removal: -1.5, deploy: -1, skew: -2, audience: -2, issuer: -2, flood: -2, forged: -2, sameKid: -0.5, vendor: -1, jwksDown: -1}},
	"key-lacked-set-unseen": {"verifiers refuse the signer, but the published set could not be looked at",
		odds{stale: 1.5, partial: 1.5, deploy: -0.5, skew: -1.5, audience: -1.5, issuer: -1.5, flood: -1.5, forged: -1.5}},
	"older-key-trusted": {"a verifier that accepts an older key and refuses the signer has a key problem and nothing else",
		odds{stale: 1.5, partial: 1.5, skew: -2, audience: -2, issuer: -2, deploy: -1.5, forged: -1}},
	"every-key-rejected": {"a verifier that refuses every key has no problem with one key",
		odds{stale: -2, partial: -2, removal: -0.5, skew: 0.5, audience: 0.5, issuer: 0.5, deploy: 1}},
	"signer-unpublished": {"tokens are signed with a key that was never seen in the published set",
		odds{partial: 3, removal: 1.5, stale: -2, forged: -1, flood: -1}},
	"signer-withdrawn": {"the key that signs was taken from the published set",
		odds{removal: 4, partial: 1, stale: -2, forged: -1, flood: -1}},
	"used-key-withdrawn": {"refused tokens carry a key that the issuer had and no longer publishes",
		odds{removal: 3.5, stale: -1, partial: -1, flood: -2, forged: -1, deploy: -1}},
	"canaries-pass": {"fresh, honest tokens are accepted by the services that fail: no verifier lacks the signer",
		odds{stale: -3, partial: -3.5, sameKid: -3, forged: 1.5, flood: 1, audience: 0.5, issuer: 0.5, jwksDown: -0.5, vendor: -0.5}},
	"canary-bad-signature": {"a verifier that knows the kid refuses an honest signature: it holds other material for it",
		odds{sameKid: 3, forged: -2, stale: 0.3, flood: -1, skew: -1, audience: -1}},
	"canary-time-refused": {"an honest fresh token is refused for its times",
		odds{skew: 2.5, stale: -1.5, partial: -1.5, forged: -1.5, flood: -1.5}},
	"canary-audience-refused": {"an honest token for this service is refused for its audience",
		odds{audience: 3.5, deploy: 0.5, stale: -1.5, partial: -1.5, forged: -1.5, flood: -1.5}},
	"canary-issuer-refused": {"an honest token is refused for its issuer",
		odds{issuer: 3.5, deploy: 0.5, stale: -1.5, partial: -1.5, forged: -1.5, flood: -1.5}},
	"canary-fetch-refused": {"verifiers say that they cannot get the key set",
		odds{jwksDown: 1.5, vendor: 0.5, partial: -0.5}},
	"canary-server-error": {"an honest token meets a server error",
		odds{deploy: 1, stale: -1, partial: -1}},

	// the published set
	"jwks-unreachable":   {"nobody can fetch the set from where we stand", odds{jwksDown: 4, vendor: 2.5}},
	"jwks-reachable":     {"the set is served", odds{jwksDown: -3, vendor: -1}},
	"known-kid-refused":  {"tokens of a published, trusted key are refused for their signature", odds{forged: 1.5, sameKid: 1.5, stale: -1, partial: -1, flood: -1.5}},
	"foreign-kid":        {"refused tokens carry a kid that the issuer never had", odds{forged: 1, issuer: 1, flood: 0.5, stale: -1, partial: -1, removal: -1}},
	"many-foreign-kids":  {"many different kids that the issuer never had: somebody invents them", odds{flood: 4.5, forged: 0.5, stale: -1.5, partial: -1.5, removal: -1.5, sameKid: -1}},
	"material-changed":   {"the same kid was seen with another thumbprint", odds{sameKid: 4.5, stale: -1, partial: -1, removal: -1, forged: -1, deploy: -1}},
	"failing-kid-is-new": {"the refused tokens carry the key that came last", odds{stale: 0.8, partial: 0.8, removal: -1.5, deploy: -0.5}},
	"failing-kid-is-old": {"the refused tokens carry the key that went", odds{removal: 1.5, stale: -1, partial: -1, deploy: -0.5}},
	"odd-kid-name":       {"the signer's kid is not its thumbprint while all others are: a kid that may be used again", odds{sameKid: 1.5}},

	// what changed
	"rotation-at-onset":   {"the signing key changed just before", odds{stale: 1.5, partial: 1.5, removal: 0.3, deploy: -1, skew: -0.5, audience: -0.5, issuer: -0.5, forged: -0.5, flood: -0.5}},
	"removal-at-onset":    {"a key left the published set just before", odds{removal: 1.5, stale: 0.3, deploy: -0.5, skew: -0.5, forged: -0.5, flood: -0.5}},
	"no-key-change":       {"the keys did not change", odds{stale: -1.5, partial: -2, removal: -2.5, sameKid: -1.5, forged: 0.7, flood: 0.5, skew: 0.4, audience: 0.4, issuer: 0.4}},
	"deploy-before-onset": {"a failing service was released just before", odds{deploy: 2.5}},
	"deploy-confined":     {"only the released service and its callers fail", odds{deploy: 2, stale: -0.5, partial: -0.5}},
	"deploy-elsewhere":    {"services fail that were not released and do not call what was", odds{deploy: -2.5}},
	"no-deploy":           {"nothing was released within the hour", odds{deploy: -4}},
	"config-before-onset": {"configuration of a failing service changed just before", odds{audience: 0.7, issuer: 0.7, deploy: 0.5}},

	// deliveries of keys
	"delivery-failed-to-lacking": {"the services without the key are those that its delivery did not reach", odds{partial: 3, stale: -1.5}},
	"delivery-failed-elsewhere":  {"a delivery failed, but not to a service that fails", odds{partial: 0.5}},
	"deliveries-complete":        {"every delivery is recorded as arrived", odds{partial: -2, stale: 1.5}},
	"fetched-not-delivered":      {"the services without the key get none delivered: they fetch and cache", odds{stale: 1, partial: -1}},
	"no-push":                    {"the issuer has no push of keys: verifiers fetch", odds{stale: 0.7, partial: -1}},

	// clocks and the vendor
	"clock-off":       {"a failing service's clock is wrong", odds{skew: 4, stale: -0.5, partial: -0.5, forged: -0.5}},
	"clock-off-other": {"a clock is wrong, but not where it fails", odds{skew: 0.7}},
	"clocks-agree":    {"the clocks of the failing services are right", odds{skew: -3.5}},
	"vendor-major":    {"the vendor reports a major incident", odds{vendor: 4.5, jwksDown: -2.5}},
	"issuer-down":     {"the issuer does not answer, the vendor reports nothing", odds{vendor: 0.7, jwksDown: 0.7}},
	"vendor-healthy":  {"the vendor reports that all is well", odds{vendor: -3}},

	// what texts say; strength is their share among all that complain
	"text-unknown-kid":      {"verifiers say that they do not know the key", odds{stale: 1.2, partial: 1.2, removal: 0.8, flood: 0.5, issuer: 0.2, audience: -1, skew: -1}},
	"text-bad-signature":    {"verifiers say that the signature is wrong", odds{sameKid: 1.5, forged: 1.5, stale: 0.3, partial: 0.3, audience: -1, skew: -1}},
	"text-expired":          {"tokens are called expired, which a few always are", odds{skew: 1.2, stale: -0.7, partial: -0.7, sameKid: -0.7, forged: -0.7}},
	"text-not-yet-valid":    {"tokens come from the future, which only clocks explain", odds{skew: 4, stale: -1, partial: -1, forged: -0.7}},
	"text-clock":            {"clocks are named", odds{skew: 2.5}},
	"text-audience":         {"the audience is refused by name", odds{audience: 4.2, stale: -1, partial: -1, skew: -0.5, forged: -0.5}},
	"text-issuer":           {"the issuer is refused by name", odds{issuer: 4.2, stale: -1, partial: -1, skew: -0.5}},
	"text-fetch-failed":     {"verifiers cannot fetch the key set", odds{jwksDown: 3.8, vendor: 1.5, stale: 0.2}},
	"text-delivery-failed":  {"a key was not delivered", odds{partial: 3, stale: -1.5, removal: -2}},
	"text-key-removed":      {"a key is said to be removed", odds{removal: 3.4, partial: 0.5, stale: 0.2}},
	"text-rotated":          {"keys are said to have been rotated", odds{stale: 0.8, partial: 0.8, removal: 0.8, deploy: -0.5}},
	"text-static-keys":      {"a verifier has a fixed key file: it fetches nothing", odds{partial: 1.5, stale: -1.2}},
	"text-stale-cache":      {"a cached set is named, which would still hold a key that was taken away", odds{stale: 2, partial: -0.5, removal: -1.2}},
	"text-some-services":    {"only N of M services are hit: a property of the service, not of the token", odds{partial: 0.7, stale: 0.4, forged: -0.5, vendor: -0.5}},
	"text-material-changed": {"the same kid is said to have other material", odds{sameKid: 4.5, forged: -1}},
	"text-tampered":         {"tokens are called forged", odds{forged: 3}},
	"text-kid-flood":        {"many invented kids are told of, which also explains a key set that is asked too often", odds{flood: 4.5, stale: -1, partial: -0.5, jwksDown: -1.5, removal: -1}},
	"text-vendor":           {"the vendor is said to be down", odds{vendor: 4.2}},
	"text-deploy":           {"a release is told of", odds{deploy: 2.2}},
	"text-server-error":     {"server errors beside refused tokens", odds{deploy: 1, stale: -0.3, partial: -0.3}},

	// what texts rule out
	"denied-deploy":   {"no release, say the texts", odds{deploy: -3}},
	"denied-times":    {"token times are fine, say the texts", odds{skew: -1.5}},
	"denied-clock":    {"clocks are right, say the texts", odds{skew: -2.5}},
	"denied-audience": {"the audience is right, say the texts", odds{audience: -2.5}},
	"denied-issuer":   {"the issuer is right, say the texts", odds{issuer: -2.5}},
	"denied-fetch":    {"the key set is served, say the texts", odds{jwksDown: -2}},
	"denied-rotation": {"no key was changed, say the texts", odds{stale: -1.5, partial: -2, removal: -2, sameKid: -1}},
	"denied-removal":  {"the old key is still published, say the texts", odds{removal: -2.5}},
	"denied-vendor":   {"the vendor is well, say the texts", odds{vendor: -2.5}},
}
