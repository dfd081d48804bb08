// Package rotation rotates the signing keys of a JWT issuer and breaks no
// verifier by it: a key signs only when everybody who must accept its tokens has
// shown that he does, and leaves only when nobody needs it. Where no safe order
// exists it stops and names who blocks.
//
//	store, err := sqlstore.Open(ctx, "keys.db") // or postgres://…
//	keys, err := signer.NewSealed(store.Vault(), secret, 0)
//	r, err := rotation.New(ctx, rotation.Config{
//		Issuer: "https://id.example.com", Store: store, Signer: keys,
//		Verifiers: []rotation.Verifier{{Name: "orders", Class: rotation.Answering, Secrets: []string{s}}},
//	})
//	go r.Run(ctx)
//	mux.Handle("/", r.Handler(rotation.BearerTokens(operators)))
//	token, err := r.Token(ctx, "at+jwt", map[string]any{"sub": "ada", "aud": "orders"})
//
// Package keyset is the other half: its Config.Acknowledge and Set.Hints speak to
// this. Package rotation/agent speaks for a service that reads its keys from a
// file. A verifier that can do neither is declared Timed or Manual.
//
// Not here: issuing tokens to somebody (OAuth), the verifiers' side, private keys
// (package rotation/signer), SQL (package rotation/sqlstore).
//
// # How it decides
//
// Everything that is decided is a Ring: keys, each in a State, and when the next
// one is due. Decide is a pure function of a Snapshot (ring, policy, what
// verifiers told, what probes met) and the time; it returns the one Step that is
// due. Ring.Apply takes it, through the one Transition function. The gates
// CanPublish, CanPromote, MustReturn, CanRemove and CanRevoke are pure too and
// return a Reason: a code, the operands, and who is in the way. A person's Order
// goes through the same gates; an override needs a reason and is recorded with
// the names of those it may break.
//
// A step is committed with its line of the audit trail and the hints it causes in
// one transaction, by compare-and-swap on the ring's version, so of several nodes
// one promotes. Only the signer acts outside of it: a key is named in the ring
// before it is made, and destroyed after it is removed, and both can be done
// again. A node that could not read the ring for half of Policy.Stale signs and
// publishes nothing; the gates add Stale wherever old copies matter.
//
// # What counts as shown
//
// Held: the thumbprint (RFC 7638, not the kid) is in an acknowledgement sent
// after every copy of the document had the key. Proven: the same cache verified a
// token that the key signed. Before its promotion a key signs only canaries, so
// last_seen of the thumbprint is proof; so is an instance that was shown a canary
// at its Probe URL and let it in, while it refused a request without a token.
// Silence is not absence: an instance blocks until its lease and Policy.Grace are
// over, and one that stays in service without acknowledging until a person
// forgets it. keyset's instances are not ready without their lease, so they can
// be counted out.
//
// A canary is signed by a published key, so a verifier must not mistake it for an
// access token: its typ is "canary+jwt" where the verifier checks it by itself.
// One that is shown to a service as an ordinary JWT has sub "canary", the claim
// "canary", no scope, and two minutes to live. Grant the subject nothing.
//
// # Metrics
//
//	rotation_tokens_total
//	rotation_steps_total{action}
//	rotation_acknowledgements_total{verifier,result}    ok, or the kind of error
//	rotation_deliveries_total{state}
//	rotation_probes_total{outcome}
//	rotation_keys{state}
//	rotation_blockers{gate}
//	rotation_live_instances{verifier}
//	rotation_due_timestamp_seconds, rotation_signer_timestamp_seconds
//	rotation_read_timestamp_seconds, rotation_halted
package rotation
