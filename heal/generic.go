package heal

import (
	"fmt"
	"time"

	"prunella"
)

// genericRules is the remedy for a failure that no skill heals: undo the change
// that preceded it, or, where key material was replaced for good, let those who
// hold the old copy fetch it anew. It is empty when no change preceded the
// failure, so that nothing is tried without a reason.
func genericRules(in Input) []prunella.ActionRule {
	c := in.Cause.Change
	if c == nil {
		return nil
	}
	switch c.Name {
	case prunella.ChangeKeyRemoved:
		rules := []prunella.ActionRule{{
			Title: "publish the removed key " + c.Kid + " again", Do: "keys.publish",
			With:   map[string]any{"issuer": in.Keys.Issuer, "kid": c.Kid},
			Effect: prunella.Reversible, Attempts: 2, Timeout: 10 * time.Second, OnFailure: "undo",
			Verify: published(in.Keys.Issuer, c.Kid),
			Undo:   &prunella.UndoRule{Do: "keys.retire", With: map[string]any{"issuer": in.Keys.Issuer, "kid": c.Kid}},
		}}
		if len(in.Keys.Refusing) > 0 { // they hold a copy of the set from when the key was gone
			rules = append(rules, refetch("keys.refusing", "the published key", nil))
			rules = append(rules, proof(in.Keys.Issuer, c.Kid))
		}
		return rules
	case prunella.ChangeSigner, prunella.ChangeKeyAdded:
		back := in.Keys.Previous
		if back == "" || back == in.Keys.Signer {
			return nil
		}
		rules := []prunella.ActionRule{{
			Title: "make the previous key " + back + " the signer again", Do: "keys.activate",
			With:   map[string]any{"issuer": in.Keys.Issuer, "kid": back},
			Effect: prunella.Reversible, Attempts: 2, Timeout: 10 * time.Second, OnFailure: "undo",
			Verify: &prunella.VerifyRule{Read: "jwks.current", With: map[string]any{"issuer": in.Keys.Issuer},
				Until: fmt.Sprintf("result.signer == %q && %q in result.kids", back, back), Within: 30 * time.Second},
			Undo: &prunella.UndoRule{Do: "keys.activate", With: map[string]any{"issuer": in.Keys.Issuer, "kid": "${before.signer}"}},
		}}
		if c.Name == prunella.ChangeSigner && in.Keys.Signer != "" {
			// Tokens that the new key signed meanwhile live on; whoever never got
			// the key can be given it without harm, now that it does not sign.
			rules = append(rules, prunella.ActionRule{
				Title: "deliver " + in.Keys.Signer + " to ${item.name}, for the tokens it signed meanwhile", Do: "keys.redeliver", ForEach: "keys.undelivered",
				With:   map[string]any{"issuer": in.Keys.Issuer, "kid": in.Keys.Signer, "service": "${item.name}"},
				Effect: prunella.Reversible, Attempts: 6, Timeout: 10 * time.Second, OnFailure: "continue",
				Undo: &prunella.UndoRule{Do: "none-needed", With: map[string]any{"because": "a verifier that knows one more published key refuses nothing it accepted before"}},
			})
		}
		if len(in.Keys.Verifiers) > 0 {
			rules = append(rules, proof(in.Keys.Issuer, back))
		}
		return rules
	case prunella.ChangeKeyMaterial:
		return []prunella.ActionRule{refetch("keys.lacking", "the changed key", &prunella.VerifyRule{Read: "trust.grid",
			With: map[string]any{"issuer": in.Keys.Issuer}, Until: "'${item.name}' in result.trusting", Within: time.Minute})}
	case prunella.ChangeDeploy:
		for _, s := range in.Services {
			if s.Name == c.Service && s.Deployment != "" {
				return []prunella.ActionRule{{
					Title: fmt.Sprintf("roll %s back from %s", s.Name, c.Version), Do: "kubernetes.rollout-undo",
					With:   map[string]any{"deployment": s.Deployment},
					Effect: prunella.Reversible, Attempts: 1, Timeout: 2 * time.Minute, OnFailure: "escalate",
					Verify: &prunella.VerifyRule{Read: "kubernetes.rollout", With: map[string]any{"deployment": s.Deployment},
						Until: "result.complete", Within: 2 * time.Minute},
				}}
			}
		}
	}
	return nil
}

// refetch restarts services one at a time; a fresh process has no copy of the key set.
func refetch(services, what string, verify *prunella.VerifyRule) prunella.ActionRule {
	return prunella.ActionRule{
		Title: "restart ${item.name}, so that it fetches " + what, Do: "kubernetes.rollout-restart", ForEach: services,
		When: "item.deployment != ''", With: map[string]any{"deployment": "${item.deployment}"},
		Effect: prunella.Reversible, Attempts: 1, Timeout: 2 * time.Minute, OnFailure: "escalate", Verify: verify,
		Undo: &prunella.UndoRule{Do: "none-needed", With: map[string]any{"because": "a restarted process runs the same image with the same configuration"}},
	}
}

func proof(issuer, kid string) prunella.ActionRule {
	return prunella.ActionRule{
		Title: "prove that every verifier accepts " + kid, Do: "canary.prove",
		With:   map[string]any{"issuer": issuer, "kid": kid, "services": "${keys.verifiers.name}"},
		Effect: prunella.Reads, Attempts: 5, Timeout: 10 * time.Second, OnFailure: "undo",
	}
}

func published(issuer, kid string) *prunella.VerifyRule {
	return &prunella.VerifyRule{Read: "jwks.current", With: map[string]any{"issuer": issuer},
		Until: fmt.Sprintf("%q in result.kids", kid), Within: 30 * time.Second}
}
