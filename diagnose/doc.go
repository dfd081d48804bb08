// Package diagnose says why an incident happens. It is a pure function of a
// Snapshot: the incident, its texts, the changes near its onset, and the reads
// that were made of the live world. Who makes the reads, evaluates a skill's
// conditions and stores the answer is the engine's business.
//
// # The model
//
// Faults compete. Each starts with a prior, in natural-log odds against
// "unknown", which has 0. What is seen becomes observations, each a row of one
// table (weights.go) that says by how many log odds it moves which fault and
// why. An observation holds with a strength: the share of services or of
// complaints it covers, or how closely a change lines up with the onset. The
// checks of a skill and the recognized pattern move that skill's fault, within
// bounds. Then
//
//	confidence(f) = ceiling · exp(score f) / (1 + Σ exp(score g))
//
// with the 1 standing for "unknown", which also gets what the ceiling takes.
// This is naive Bayes with weights set by judgement, not learned; observations
// that repeat each other are counted twice, and the weights are modest for it.
//
// Missing data is not evidence. A read that failed, was not made, or is not
// known for this world lowers the ceiling by its entry in losses, and stands in
// Against with weight 0. From messages alone the ceiling is 80 %.
//
// No fault leads by its prior: the first cause must reach the floor and have
// gained evidence; otherwise FaultUnknown leads, carrying what is known and the
// change that lines up best with the onset, so that it can be undone.
//
// # Telling apart
//
// Three things tell key faults apart: the kid of the refused tokens, the live
// key set, and what each verifier accepts (canary tokens, the trust grid).
//
//	set has it, verifiers lack it   stale cache, or partial distribution when deliveries failed
//	set lacks it                    premature removal, or never published
//	both have it, bad signature     same kid with new material; forged when canaries pass
//	nobody ever had it              an invented kid; many of them are a flood
//	times, audience, issuer refused no key problem: clocks, configuration
//
// A release and a change of keys are weighed by their distance from the onset
// and by whether they explain who fails: a release explains its service and the
// callers of it, a change of keys explains services that refuse the key.
//
// # Texts
//
// ExtractFacts reads texts of any wording: failure classes as many libraries
// word them, kids with the part they play, services, counts, shares, and what a
// text rules out. It is rules, not a language model, and leaves out what it does
// not understand. testdata/corpus.tsv holds real wordings with the class each
// should get. No rule was written or changed for the third of them that is held
// out; 46 of its 53 lines were classified rightly at first sight.
package diagnose
