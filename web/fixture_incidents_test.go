package web

import (
	"fmt"
	"time"

	"prunella"
	"prunella/client"
)

const planHash = "8f2b6c1de0a94b7c55d2f1a6e3908b7c4dd1e2f3a4b5c6d7e8f90a1b2c3d4e5f"

func why(name, text string) prunella.Reason { return prunella.Reason{Name: name, Text: text} }

// healing is the main story: a rotation whose new key missed four services.
func (w *world) healing() client.IncidentView {
	onset := w.ago(90 * time.Second)
	at := func(s int) time.Time { return onset.Add(time.Duration(s) * time.Second) }
	id := prunella.IncidentID("inc-01jq8x4m2k")
	change := &prunella.Change{Name: prunella.ChangeSigner, Service: "auth", Kid: newKid, Before: oldKid, At: at(-4), Signal: "sig-change"}
	inc := prunella.Incident{ID: id, Title: "401 errors in 4 services", State: prunella.Healing, StateReason: why("run-started", "The skill may run unattended: floor 76 %, reversible, fresh."),
		Severity: prunella.Critical, SeverityReason: why("share-and-breadth", "92 % of requests fail in 4 of 7 services, one of them highly critical, and rising."),
		Pattern: prunella.Match{Pattern: "auth/partial-key-distribution", Skill: "jwt-signing-key-partial-distribution", Confidence: 0.91, Reason: why("best-score", "6 of 7 rules hold, the next skill scores 0.31.")},
		Onset:   onset, DetectedAt: at(2), OpenedAt: at(2), UpdatedAt: w.start, DueAt: w.start.Add(6 * time.Second),
		StateAt: map[prunella.State]time.Time{prunella.Open: at(2), prunella.Diagnosing: at(3), prunella.Healing: at(14)},
		Impact: []prunella.Impact{
			{Service: "user", Share: 0.92, Baseline: 0.0008, Rate: 10.1, Failed: 702, Total: 871, Criticality: "high", Trend: "rising", Since: onset},
			{Service: "order", Share: 0.91, Baseline: 0.0011, Rate: 12.6, Failed: 844, Total: 1043, Criticality: "high", Trend: "rising", Since: at(1)},
			{Service: "search", Share: 0.92, Baseline: 0.0004, Rate: 7.2, Failed: 551, Total: 690, Criticality: "normal", Trend: "steady", Since: onset},
			{Service: "notification", Share: 0.88, Baseline: 0.0009, Rate: 12.0, Failed: 777, Total: 1010, Criticality: "low", Trend: "falling", Since: at(3)}},
		Monitors: []string{"canary", "jwks/auth", "otlp/notification", "otlp/order", "otlp/search", "otlp/user"}, Tokens: []string{"kid:" + newKid}, Signals: 36, Live: true, Attempts: 1,
		Cascade: prunella.Cascade{Escalating: true, Hit: []string{"notification", "order", "search", "user"},
			Next:   []prunella.NextHit{{Service: "payment", At: w.start.Add(8 * time.Minute), Reason: why("calls-hit-service", "order calls it with tokens that order can no longer verify.")}, {Service: "gateway", At: w.start.Add(12 * time.Minute), Reason: why("depends-on-hit", "it answers for user, order and search.")}},
			FullAt: w.start.Add(43 * time.Minute), FullReason: why("tokens-expire", "the last token of the old key expires then (lifetime 1 h)."),
			Forecast: []prunella.ShareAt{{At: w.start.Add(10 * time.Minute), Share: 0.94}, {At: w.start.Add(20 * time.Minute), Share: 0.96}, {At: w.start.Add(30 * time.Minute), Share: 0.98}, {At: w.start.Add(43 * time.Minute), Share: 1}},
			Reason:   why("share-rising", "Old tokens expire over an hour, and every new one carries the key that four services lack.")},
		Related: []prunella.Related{{ID: "inc-01jp0a7c9d", Title: "401 errors in 3 services", Reason: why("same-pattern", "the same pattern, 21 days ago; healed by the same skill")}},
	}
	inc.Causes = []prunella.Cause{
		{Service: "auth", Services: []string{"notification", "order", "search", "user"}, Fault: prunella.FaultPartialKeys, Kids: []string{newKid}, Confidence: 0.95, Skill: "jwt-signing-key-partial-distribution", Change: change,
			Summary: "The auth service began to sign with key-2026-03-29 four seconds before the first failure, and four of seven services never received that key. Their delivery endpoints refused the connection. Every new token fails there; tokens of the old key still pass until they expire.",
			For: []prunella.Evidence{
				{Name: "signer-changed-before-onset", Text: "The signer changed from key-2025-12-01 to key-2026-03-29 4 s before the onset.", Weight: 1.9, Source: "jwks/auth", Signals: []prunella.SignalID{"sig-change"}, At: at(-4)},
				{Name: "services-lack-signer", Text: "Canary tokens of the new key are refused by user, order, search and notification, and accepted by the other three.", Weight: 2.6, Source: "trust.grid", Signals: []prunella.SignalID{"sig-3", "sig-4"}, At: at(8)},
				{Name: "delivery-failed", Text: "Deliveries of the key to those four failed: connection refused.", Weight: 1.4, Source: "deliveries.failed", At: at(9)}},
			Against: []prunella.Evidence{{Name: "jwks-lists-key", Text: "The published set lists the new key, so a verifier that fetches it would recover.", Weight: -0.4, Source: "jwks.current", At: at(8)}}},
		{Service: "auth", Services: []string{"notification", "order", "search", "user"}, Fault: prunella.FaultStaleCache, Confidence: 0.21, Skill: "auth-jwks-rotation-spike", Summary: "Verifiers may hold an old copy of the key set.",
			For:     []prunella.Evidence{{Name: "kid-unknown-text", Text: "Log lines say that a key id was not found.", Weight: 0.8, Source: "logs.search"}},
			Against: []prunella.Evidence{{Name: "static-keystore", Text: "The four read keys from a local store; they keep no cache that could be stale.", Weight: -2.2, Source: "logs.search"}}},
		{Service: "order", Services: []string{"order"}, Fault: prunella.FaultBadDeploy, Confidence: 0.03, Summary: "A release of order may have broken it.",
			For:     []prunella.Evidence{{Name: "release-recent", Text: "order v2.14.1 was released 19 h ago.", Weight: 0.1, Source: "releases.recent"}},
			Against: []prunella.Evidence{{Name: "release-too-old", Text: "No release in the last 12 h; the onset took 2 s.", Weight: -3.1, Source: "releases.recent"}, {Name: "several-services", Text: "Four services failed at once, with separate releases.", Weight: -1.2, Source: "requests.errors"}}},
	}
	runStart := at(14)
	step := func(i int, name, action string, params map[string]any, state prunella.StepState, from, to int, output string) prunella.Step {
		s := prunella.Step{Index: i, Name: name, Action: action, Params: params, Effect: prunella.Reversible, State: state, Attempt: 1, Attempts: 2, Timeout: 30 * time.Second, Output: output, Key: fmt.Sprintf("run-1/%d", i)}
		if from >= 0 {
			s.Started = runStart.Add(time.Duration(from) * time.Second)
		}
		if to >= 0 {
			s.Ended = runStart.Add(time.Duration(to) * time.Second)
		}
		return s
	}
	steps := []prunella.Step{
		step(0, "make key-2025-12-01 the signer again", "keys.activate", map[string]any{"issuer": "auth", "kid": oldKid}, prunella.StepDone, 0, 1, "signer is key-2025-12-01, both keys are published"),
		step(1, "send key-2026-03-29 to user again", "keys.redeliver", map[string]any{"issuer": "auth", "kid": newKid, "service": "user"}, prunella.StepDone, 2, 9, "delivered at the second attempt"),
		step(2, "send key-2026-03-29 to order again", "keys.redeliver", map[string]any{"issuer": "auth", "kid": newKid, "service": "order"}, prunella.StepDone, 10, 12, "delivered"),
		step(3, "send key-2026-03-29 to search again", "keys.redeliver", map[string]any{"issuer": "auth", "kid": newKid, "service": "search"}, prunella.StepIntended, 70, -1, ""),
		step(4, "send key-2026-03-29 to notification again", "keys.redeliver", map[string]any{"issuer": "auth", "kid": newKid, "service": "notification"}, prunella.StepPlanned, -1, -1, ""),
		step(5, "prove key-2026-03-29 at every service", "canary.prove", map[string]any{"issuer": "auth", "kid": newKid, "services": []string{"gateway", "user", "order", "payment", "inventory", "notification", "search"}}, prunella.StepPlanned, -1, -1, ""),
		step(6, "make key-2026-03-29 the signer", "keys.activate", map[string]any{"issuer": "auth", "kid": newKid}, prunella.StepPlanned, -1, -1, ""),
	}
	steps[0].Undo = &prunella.UndoRule{Do: "keys.activate", With: map[string]any{"kid": newKid}}
	steps[0].Verify = &prunella.VerifyRule{Read: "jwks.current", Until: "result.signer == …", Within: 10 * time.Second}
	steps[5].Effect = prunella.Reads
	run := prunella.Run{ID: "run-1", Incident: id, Skill: "jwt-signing-key-partial-distribution", Version: "v1.2.0", Hash: planHash, Title: "Return the signer, finish distribution, prove, promote", State: prunella.RunRunning,
		Policy: prunella.Decision{Allowed: prunella.AllowUnattended, Reason: why("floor-and-freshness", "floor 76 % is over 75 %, fresh, every step reversible"), Gates: []prunella.Reason{why("floor", "floor 0.76 ≥ 0.75"), why("fresh", "verified 2 days ago"), why("reversible", "7 of 7 steps can be undone or only read")}},
		Steps:  steps, Created: runStart, Started: runStart, Deadline: runStart.Add(5 * time.Minute)}
	v := client.IncidentView{Incident: inc, Runs: []prunella.Run{run}, SignalsTotal: 36}
	v.Events = []prunella.Event{
		{Incident: id, At: at(-4), Kind: "change", Text: "auth signs with key-2026-03-29, before with key-2025-12-01", Service: "auth"},
		{Incident: id, At: onset, Kind: "signal", Text: "401 responses rise over five times what is normal", Service: "user", Reason: why("error-rate-spike", "0.31 of requests against 0.0008, for 2 s")},
		{Incident: id, At: at(2), Kind: "state", Text: "opened", Reason: why("new-cause", "no open incident shares a service, a key or a trace")},
		{Incident: id, At: at(3), Kind: "severity", Text: "critical", Reason: inc.SeverityReason},
		{Incident: id, At: at(9), Kind: "pattern", Text: "auth/partial-key-distribution", Reason: inc.Pattern.Reason},
		{Incident: id, At: at(13), Kind: "cause", Text: "partial key distribution in auth, 95 %", Service: "auth"},
		{Incident: id, At: at(15), Kind: "step", Text: "make key-2025-12-01 the signer again: done"},
		{Incident: id, At: at(23), Kind: "step", Text: "send key-2026-03-29 to user again: done"},
	}
	v.Notifications = []prunella.Notification{{ID: "n1", Incident: id, To: "webhook:oncall", Kind: "opened", Sent: at(4), Tries: 1}, {ID: "n2", Incident: id, To: "webhook:status", Kind: "opened", Tries: 3, LastErr: "the receiver answered 503"}}
	w.signals[id] = w.linked(onset)
	return v
}

// linked are 36 signals in a few wordings.
func (w *world) linked(onset time.Time) []prunella.Signal {
	texts := map[string]string{
		"user":         "invalid signature: key ID key-2026-03-29 not found in local keystore request=%d",
		"order":        "unauthorized: token signature verification failed request=%d",
		"search":       "unable to find a signing key that matches kid key-2026-03-29 attempt=%d",
		"notification": "jwt rejected: no key for kid key-2026-03-29 trace=%d",
	}
	var out []prunella.Signal
	for i := range 34 {
		s := []string{"user", "order", "search", "notification"}[i%4]
		out = append(out, prunella.Signal{ID: prunella.SignalID(fmt.Sprintf("sig-%d", i)), Source: "otlp/" + s, Service: s, Time: onset.Add(time.Duration(80-2*i) * time.Second), Kind: prunella.KindLog, Severity: prunella.High,
			Body: fmt.Sprintf(texts[s], 4000+i), Attributes: map[string]string{"kid": newKid, "host.name": s + "-7d9f"}})
	}
	return append(out,
		prunella.Signal{ID: "sig-alert", Source: "alertmanager", Service: "order", Time: onset.Add(5 * time.Second), Kind: prunella.KindAlert, Severity: prunella.Critical, Name: "HighUnauthorizedRate", Body: "401 rate of order over 5x baseline"},
		prunella.Signal{ID: "sig-change", Source: "jwks/auth", Service: "auth", Time: onset.Add(-4 * time.Second), Kind: prunella.KindChange, Severity: prunella.Info, Name: prunella.ChangeSigner, Body: "auth signs with key-2026-03-29, before with key-2025-12-01"})
}

// awaiting asks a person.
func (w *world) awaiting() client.IncidentView {
	onset := w.ago(6 * time.Minute)
	id := prunella.IncidentID("inc-01jq8wz03t")
	inc := prunella.Incident{ID: id, Title: "401 errors in payment", State: prunella.AwaitingApproval, StateReason: why("floor-too-low", "The skill's floor is 55 %, under the 75 % that acting alone needs."),
		Severity: prunella.Warning, SeverityReason: why("share-and-breadth", "12 % of requests fail in 1 of 7 services; steady."), Pattern: prunella.Match{Pattern: "auth/stale-jwks-cache", Skill: "auth-jwks-rotation-spike", Confidence: 0.83, Reason: why("best-score", "4 of 5 rules hold.")},
		Onset: onset, DetectedAt: onset.Add(3 * time.Second), OpenedAt: onset.Add(3 * time.Second), UpdatedAt: w.start,
		StateAt:  map[prunella.State]time.Time{prunella.Open: onset.Add(3 * time.Second), prunella.Diagnosing: onset.Add(4 * time.Second), prunella.AwaitingApproval: onset.Add(21 * time.Second)},
		Impact:   []prunella.Impact{{Service: "payment", Share: 0.12, Baseline: 0.001, Rate: 1.4, Failed: 391, Total: 3260, Criticality: "high", Trend: "steady", Since: onset}},
		Monitors: []string{"otlp/payment"}, Signals: 9, Live: true, Cascade: prunella.Cascade{Hit: []string{"payment"}, Reason: why("steady", "The share has not moved for 4 min.")},
		Causes: []prunella.Cause{{Service: "payment", Services: []string{"payment"}, Fault: prunella.FaultStaleCache, Confidence: 0.83, Skill: "auth-jwks-rotation-spike", Kids: []string{newKid},
			Summary: "payment caches the whole key set for a day and took its copy before the rotation. The published set holds the new key; only this cache lacks it.",
			For:     []prunella.Evidence{{Name: "cache-ttl", Text: "auth.jwks.cache_ttl_seconds is 86400 at payment.", Weight: 1.2, Source: "verifier.config"}, {Name: "set-has-kid", Text: "The published set lists the failing kid.", Weight: 1.1, Source: "jwks.current"}}}}}
	run := prunella.Run{ID: "run-2", Incident: id, Skill: "auth-jwks-rotation-spike", Version: "v1.0.1", Hash: planHash, Title: "Restart the verifiers that hold a stale set, then lower the TTL", State: prunella.RunProposed,
		Policy: prunella.Decision{Allowed: prunella.AllowApproval, Reason: why("floor", "the skill's measured floor, 55 %, is under 75 %")}, Created: onset.Add(21 * time.Second),
		Steps: []prunella.Step{
			{Index: 0, Name: "restart payment", Action: "kubernetes.rollout-restart", Params: map[string]any{"deployment": "payment"}, Effect: prunella.Reversible, State: prunella.StepPlanned, Undo: &prunella.UndoRule{Do: "none-needed"}},
			{Index: 1, Name: "let payment cache the key set for an hour", Action: "kubernetes.configmap-set", Params: map[string]any{"configmap": "payment", "key": "config.yaml", "path": "auth.jwks.cache_ttl_seconds", "value": 3600}, Effect: prunella.Reversible, State: prunella.StepPlanned, Undo: &prunella.UndoRule{Do: "kubernetes.configmap-set", With: map[string]any{"value": 86400}}},
			{Index: 2, Name: "prove payment with a canary token", Action: "canary.prove", Params: map[string]any{"issuer": "auth", "kid": newKid, "services": []string{"payment"}}, Effect: prunella.Reads, State: prunella.StepPlanned}}}
	w.signals[id] = w.linked(onset)[:9]
	return client.IncidentView{Incident: inc, Runs: []prunella.Run{run}, SignalsTotal: 9,
		Approvals: []prunella.Approval{{ID: "apr-7", Incident: id, Run: "run-2", Hash: planHash, Asked: onset.Add(21 * time.Second), Expires: w.start.Add(9 * time.Minute)}},
		Events:    []prunella.Event{{Incident: id, At: onset, Kind: "signal", Text: "401 responses rise", Service: "payment"}, {Incident: id, At: onset.Add(21 * time.Second), Kind: "approval", Text: "asked to restart payment and lower its TTL"}}}
}

// escalated is known from texts only.
func (w *world) escalated() client.IncidentView {
	onset := w.ago(52 * time.Minute)
	id := prunella.IncidentID("inc-01jq8sd11a")
	inc := prunella.Incident{ID: id, Title: "Tokens refused in billing-legacy", State: prunella.Escalated, StateReason: why("forged-tokens", "Forged tokens are never healed by trusting them; @sam holds it."), Severity: prunella.High, SeverityReason: why("stated", "A message states that 40 % of requests are refused."),
		Pattern: prunella.Match{Pattern: prunella.Unknown, Reason: why("below-threshold", "the best skill scores 0.22, under 0.5.")}, Onset: onset, DetectedAt: onset.Add(time.Second), OpenedAt: onset.Add(2 * time.Second), UpdatedAt: w.start,
		StateAt:  map[prunella.State]time.Time{prunella.Open: onset.Add(2 * time.Second), prunella.Diagnosing: onset.Add(3 * time.Second), prunella.Escalated: onset.Add(18 * time.Second)},
		Impact:   []prunella.Impact{{Service: "billing-legacy", Share: 0.4, Stated: true, Since: onset}},
		Monitors: []string{"messages/billing"}, Signals: 1,
		Causes: []prunella.Cause{{Service: "billing-legacy", Fault: prunella.FaultForged, Confidence: 0.71, Summary: "Tokens name a known key and their signature is somebody else's.", Advice: "Find out who sends them and block the sender; touch no key.",
			For: []prunella.Evidence{{Name: "known-kid-bad-signature", Text: "The kid is published and unchanged, and the signature does not verify.", Weight: 1.6, Source: "messages/billing"}}}}}
	w.signals[id] = []prunella.Signal{{ID: "sig-m1", Source: "messages/billing", Service: "billing-legacy", Time: onset, Kind: prunella.KindLog, Severity: prunella.High, Body: "signature mismatch for kid key-2025-12-01, 40% of requests refused"}}
	return client.IncidentView{Incident: inc, SignalsTotal: 1, Events: []prunella.Event{{Incident: id, At: onset.Add(18 * time.Second), Kind: "escalation", Text: "paged @sam", Reason: inc.StateReason}}}
}

// resolved is over.
func (w *world) resolved() client.IncidentView {
	v := w.healing()
	inc := &v.Incident
	shift := 3 * time.Hour
	inc.ID, inc.State, inc.Verdict = "inc-01jq8e5r7w", prunella.Resolved, prunella.Healed
	inc.VerdictReason = why("held", "Canary tokens passed at all 7 services and the 401 share stayed at its baseline for 60 s, 4 112 requests.")
	inc.Onset, inc.DetectedAt, inc.OpenedAt = inc.Onset.Add(-shift), inc.DetectedAt.Add(-shift), inc.OpenedAt.Add(-shift)
	o := inc.Onset
	inc.StateAt = map[prunella.State]time.Time{prunella.Open: o.Add(2 * time.Second), prunella.Diagnosing: o.Add(3 * time.Second), prunella.Healing: o.Add(14 * time.Second), prunella.Verifying: o.Add(41 * time.Second), prunella.Resolved: o.Add(102 * time.Second)}
	inc.ResolvedAt = o.Add(102 * time.Second)
	for i := range v.Events {
		v.Events[i].At = v.Events[i].At.Add(-shift)
	}
	run := &v.Runs[0]
	run.State, run.Verdict, run.Created = prunella.RunDone, prunella.Healed, run.Created.Add(-shift)
	for i := range run.Steps {
		s := &run.Steps[i]
		s.State, s.Started, s.Ended = prunella.StepDone, o.Add(time.Duration(14+4*i)*time.Second), o.Add(time.Duration(16+4*i)*time.Second)
	}
	return v
}
