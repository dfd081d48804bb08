// Package keyset verifies JWTs against the keys of their issuers and keeps
// doing so through any rotation of these keys: announced or not, repeated,
// in the middle of a flood of junk tokens, or while the issuer is down.
//
//	set, err := keyset.New(ctx, keyset.Config{Issuer: "https://id.example.com", Audience: []string{"orders"}})
//	claims, err := set.Verify(ctx, token)
//
// A Set needs an issuer's URL, or the path of a key set on disk, and is then
// safe at its defaults. Set.Verify is all that most callers need;
// Set.Middleware does it for net/http, Set.Keyfunc for golang-jwt, and the
// package keysetgrpc below this one for gRPC. Every refusal is an *Error that
// names its Check.
//
// Not here: signing, rotating keys (the other half of the problem), opaque
// tokens, encrypted tokens (JWE), symmetric keys. A shared secret is not
// public, and a verifier that can be talked into HMAC is one that has been.
//
// # What is promised about fetching
//
// A token whose kid is not in the set is either junk or the first sign of a
// rotation. Before a fetch nobody can tell, since all that it says is unsigned
// yet. A verifier that fetches for each is an amplifier; one that limits
// fetches is deaf just when a flood has used the limit up. This is how both are
// avoided, and where that ends.
//
//   - A token that would be refused whatever its key (iss, aud, exp, typ, alg, a
//     signature of a length that no key makes) is no reason to fetch. What is left
//     is made to look right on purpose.
//   - There are two slots, and each pays for one fetch a minute that finds
//     nothing. A fetch that finds what it was asked for is free, because only
//     the issuer can make that happen: any number of rotations in a minute are
//     known at their first token.
//   - The open slot takes any such token. The evidence slot takes only a kid
//     that stands out: one seen twice (each time that turns out wrong, twice as
//     often), or one that comes after a silence: of five seconds before there is a
//     flood, then of a tenth of a second, eight times the usual distance between
//     new unknown kids and twice the longest in five minutes, at least; of ten
//     seconds while old ones go on coming. It waits a moment more, a quarter of a
//     second at most, and has lost when others stand out as it does: the flood
//     repeats its kids, or it or this process was only held up. So a flood spends
//     the first slot and is refused the second, in bursts, at random and from a
//     list, too.
//   - A kid that the issuer was asked for in vain is asked for again after ten
//     seconds, and then each minute. A client that sticks to an old key leaves the
//     evidence slot to others.
//   - A fetch that fails teaches nothing: the open slot is back after 20 seconds.
//   - Every other token of unknown kid is refused at once. No request ever
//     waits for a limiter; one may wait for fetches that are under way, two
//     seconds at most in all, and all share them.
//   - Refreshes on schedule and hints (signed ones, and the answer to an
//     acknowledgement) have budgets of their own, which no token can touch. Any fetch brings the whole set.
//
// So, while the issuer answers: junk causes at most 2 fetches a minute, and it
// holds a refresh neither back nor up. A rotation is known at its first token
// when there is no flood or after a silence as above, and at its second token
// while one goes on. While the issuer does not answer junk causes at most
// 4, and a rotation that came meanwhile is known 20 seconds after the end.
// What remains: somebody who can state every claim and knows this text can spend
// the evidence slot too, by repeating one kid or pausing. He then delays a rotation
// that was neither published ahead nor announced by a hint, by a minute at most,
// since the slots are filled again each minute and whoever spends one fetches
// the new key for all. A kid that has just appeared and has no key does the same,
// unmeant, for the rest of its first minute.
//
// A signature that a known kid did not make, or an algorithm that its key is not
// for, may mean that the kid has new material. It may take the open slot, and the
// token is judged again; the evidence slot, when the key has verified nothing in
// two seconds. So may the signature of a token without a kid, when the set has one
// key.
//
// # What is promised about old keys
//
// Cache-Control is honoured between a minute and Config.MaxAge, and the set is
// fetched at 75 to 90 % of it, at another moment in every process, with
// If-None-Match. A key that its issuer removed is refused after MaxAge at the
// latest. When a fetch fails, or brings a document that the policy refuses, the
// last good set stays in use, tries go on (after a second, then doubling to a
// minute, a quarter of one while there is no set to use), and after
// Config.MaxStale every token is refused as Unavailable. A set that became empty
// counts as failed, so removing the only key takes MaxStale. Keys are told apart by their thumbprints (RFC 7638), not kids.
//
// A process that was suspended, by its machine or with it, finds out at its next
// token that a fetch is long overdue, and fetches before it judges the token.
//
// # What is refused in a set
//
// All of it: anything over 256 KiB, 64 keys or 16 levels; a member stated
// twice; secret or symmetric key material; one kid for two keys. A single key:
// not for signatures; RSA under 2048 or over 8192 bits, with a small factor, of
// the ROCA generator, or with an exponent that is even, 1 or over 31 bits; EC
// points off the curve; Ed25519 points of small order; an alg that is not
// allowed or does not fit. Each key has one algorithm, and a token must use it.
// URLs must be https (http on loopback only); redirects stay on the host.
//
// # Metrics
//
//	keyset_verifications_total{issuer,result}           ok, or the check that refused
//	keyset_fetches_total{issuer,reason,outcome}         scheduled|hint|unknown-key|signature; changed|unchanged|failed
//	keyset_unknown_keys_total{issuer,decision}          fetched|joined|deferred|implausible
//	keyset_keys{issuer}
//	keyset_confirmed_timestamp_seconds{issuer}
//	keyset_usable_until_timestamp_seconds{issuer}
//	keyset_lease_until_timestamp_seconds
package keyset
