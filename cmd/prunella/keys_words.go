package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella/rotation"
	"prunella/rotation/audit"
)

// gateWords say for each code of a blocker what is so, and what to do about it.
// %s is the names; a code that is nobody's has none. old says that the key that
// signs now stands in the sentence.
var gateWords = map[rotation.Code]struct {
	one, many string // for one name, and for several
	next      string
}{
	rotation.NotHeld:      {"%s still verifies only the old key", "%s still verify only the old key", "let %s fetch the key set: see in its log whether it can be reached, restart it, or refresh its cache; status shows when it holds the key"},
	rotation.OtherKey:     {"%s holds other material under this kid", "%s hold other material under this kid", "restart %s, and find out who gave out this kid twice"},
	rotation.ToldTooEarly: {"%s must tell again", "%s must tell again", "wait for %s to tell, three times in a lease; if that stays away, look at the log for acknowledgements"},
	rotation.NotProven:    {"%s has not verified a token of it", "%s have not verified a token of it", "wait a lease: keyset verifies a canary by itself, an agent or a timed verifier needs a probe; if it stays, the log of %s says why the canary is refused"},
	rotation.Rejects:      {"%s refuses tokens of it", "%s refuse tokens of it", "look into the log of %s for why; often it is aud, or another cache in the same process"},
	rotation.LeaseExpired: {"%s is silent and may still serve", "%s are silent and may still serve", "see whether %s runs; if it is gone for good: prunella keys forget VERIFIER/INSTANCE"},
	rotation.TooFew:       {"%s has fewer live instances than declared", "%s have fewer live instances than declared", "start %s, or correct expect in the configuration"},
	rotation.NotYet:       {"%s may not have refreshed yet", "%s may not have refreshed yet", "wait until %s has had its time, or restart it and shorten within"},
	rotation.NotConfirmed: {"nobody has confirmed %s", "nobody has confirmed %s", "bring the key to %s, then: prunella keys confirm VERIFIER KID"},
	rotation.CannotTell:   {"%s cannot tell whether it needs it", "%s cannot tell whether they need it", "wait until its tokens are past"},
	rotation.SeesTokens:   {"%s still verifies tokens of it", "%s still verify tokens of it", "wait until its tokens are past"},
	rotation.SeenLate:     {"%s verified a token of it that should have been past", "%s verified tokens of it that should have been past", "raise max_lifetime in the policy to how long tokens really live"},
	rotation.LacksSigner:  {"%s does not hold the signer", "%s do not hold the signer", "let %s fetch the key set before anything is taken out; if it refuses tokens now: prunella keys return"},
	rotation.LacksTarget:  {"%s does not hold the key that would sign", "%s do not hold the key that would sign", "let %s fetch the key set first"},
	rotation.RefusesNew:   {"%s refuses tokens of the signer", "%s refuse tokens of the signer", "prunella keys return, then let %s fetch the key set"},
	rotation.CopiesOld:    {"old copies of the key set may still be served", "", "wait until no old copy can be served"},
	rotation.OnHold:       {"the signer was taken back from it lately", "", "find out who refused it (prunella keys history), then wait"},
	rotation.TokensLive:   {"tokens that it signed live", "", "wait until its tokens are past"},
	rotation.Watching:     {"the signer may have to return to it", "", "wait until the promotion is watched no more"},
	rotation.NoSuchKey:    {"there is no such key", "", "prunella keys status lists the keys"},
	rotation.WrongState:   {"the key is not in a state in which this is asked", "", "prunella keys status says where it is"},
	rotation.NoPrevious:   {"there is no other key that could sign", "", "prunella keys rotate publishes one"},
	rotation.NoMaterial:   {"its material is being made", "", "wait a moment"},
	rotation.KeyReused:    {"the same material was a key before", "", "let the signer make a new one"},
	rotation.OneComing:    {"another key is on its way", "", "promote or retire that one first"},
	rotation.TooManyKeys:  {"too many keys are published", "", "retire old ones first"},
}

// inWords is a gate's answer as a sentence. keys may be nil; they name the old key.
func inWords(r rotation.Reason, keys []rotation.Key) string {
	switch {
	case r.Gate == rotation.ShouldReturn && !r.Open:
		return map[rotation.Code]string{rotation.NoPrevious: "it signs, and there is no key to return to", rotation.NoEvidence: "it signs, and nobody refuses it",
			rotation.WatchOver: "it signs", rotation.Insisted: "it signs because a person insisted", rotation.Worse: "it signs; returning would break more than it heals"}[r.Code]
	case r.Gate == rotation.ShouldReturn:
		return "the signer must go back to " + string(r.Key) + ": " + sentence(r)
	case r.Open:
		return map[rotation.Gate]string{rotation.MayPublish: "it may be published", rotation.MayPromote: "everybody accepts it: it may sign", rotation.MayReturn: "it may sign again",
			rotation.MayRemove: "nobody needs it: it may be removed", rotation.MayRevoke: "revoking it breaks nobody"}[r.Gate]
	}
	text := sentence(r)
	if len(r.Blockers) > 0 { // else the question makes no sense now, and will not by waiting
		text = "not yet: " + text
	}
	ring := rotation.Ring{Keys: keys}
	if k, signs := ring.Signer(); signs {
		text = strings.Replace(text, "only the old key", "only the old key ("+string(k.ID)+")", 1)
	}
	if !r.Again.IsZero() {
		text += "; not before " + r.Again.UTC().Format(time.RFC3339)
	}
	return text
}

// question is what a closed gate keeps from being done, "" where the answer
// says it or nobody is in the way.
func question(r rotation.Reason) string {
	if r.Open || len(r.Blockers) == 0 {
		return ""
	}
	return map[rotation.Gate]string{rotation.MayPublish: "may it be published? ", rotation.MayPromote: "may it sign? ", rotation.MayReturn: "may it sign again? ",
		rotation.MayRemove: "may it be removed? ", rotation.MayRevoke: "may it be revoked? "}[r.Gate]
}

// grouped are the blockers of one code, in the order in which codes come.
type grouped struct {
	code  rotation.Code
	names []string
}

func groups(r rotation.Reason) []grouped {
	if len(r.Blockers) == 0 {
		return []grouped{{code: r.Code}}
	}
	var list []grouped
	for _, b := range r.Blockers {
		n := slices.IndexFunc(list, func(g grouped) bool { return g.code == b.Code })
		if n < 0 {
			list, n = append(list, grouped{code: b.Code}), len(list)
		}
		if b.Verifier != "" && !slices.Contains(list[n].names, b.Verifier) {
			list[n].names = append(list[n].names, b.Verifier)
		}
	}
	return list
}

func (g grouped) fill(format string) string {
	if strings.Contains(format, "%s") {
		return fmt.Sprintf(format, audit.Names(g.names))
	}
	return format
}

func sentence(r rotation.Reason) string {
	var parts []string
	for _, g := range groups(r) {
		w, known := gateWords[g.code]
		switch {
		case !known:
			parts = append(parts, string(g.code))
		case len(g.names) > 1:
			parts = append(parts, g.fill(w.many))
		default:
			parts = append(parts, g.fill(w.one))
		}
		if state := r.Operands["state"]; g.code == rotation.WrongState && state != "" {
			parts[len(parts)-1] = "the key is " + state + ", and this is asked of another kind"
		}
		if g.code == rotation.NoPrevious && (r.Gate == rotation.MayReturn || r.Gate == rotation.ShouldReturn) {
			parts[len(parts)-1] = "no key signed before this one, so there is none to return to"
		}
	}
	return strings.Join(parts, "; ")
}

// nextSteps are what to do, in the order of what is in the way. Commands are
// whole where one verifier or one instance is meant, and can be copied.
func nextSteps(r rotation.Reason) []string {
	list := []string{}
	for _, g := range groups(r) {
		w, known := gateWords[g.code]
		if !known {
			continue
		}
		step := g.fill(w.next)
		if r.Gate == rotation.MayRevoke && r.Again.IsZero() && g.code == rotation.TokensLive { // it signs on
			step = "if it has not leaked: prunella keys rotate, and retire it when its tokens are past"
		}
		if len(g.names) == 1 {
			step = strings.ReplaceAll(step, "VERIFIER KID", g.names[0]+" "+string(r.Key))
		}
		if who := instances(r, g.code); len(who) == 1 {
			step = strings.ReplaceAll(step, "VERIFIER/INSTANCE", who[0])
		}
		if !slices.Contains(list, step) {
			list = append(list, step)
		}
	}
	only := func(step string) bool { return strings.HasPrefix(step, "wait until ") }
	if !r.Again.IsZero() && len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool { return !only(s) }) {
		return []string{"nothing is to be done; ask again at " + r.Again.UTC().Format(time.RFC3339)}
	}
	return list
}

// instances are those that block with a code, each once.
func instances(r rotation.Reason, c rotation.Code) (list []string) {
	for _, b := range r.Blockers {
		if one := (rotation.Who{Verifier: b.Verifier, Instance: b.Instance}).String(); b.Code == c && b.Instance != "" && !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}
