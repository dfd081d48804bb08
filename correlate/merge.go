package correlate

import (
	"fmt"
	"slices"

	"prunella"
)

// Merged is the StateReason of an incident that was closed because it is one
// failure with an older one, named in the operand "into".
const Merged = "merged"

// Merge decides whether an incident whose cause was just found is one failure
// with another open one, and which of those takes it: the oldest that has the
// same cause. Two incidents are often opened for one cause while nobody knows
// it: libraries word the same refusal differently, and what tells is found later.
//
// A cause is the same when both are sure, and are the same fault at the same
// place, with no other key and no other change. Some service of the older one
// must fail still, and it must have been heard of within Config.Recurrence
// before the onset of the younger. Nothing may be under way for either: what is
// being healed is judged by its own services, and who joins late would spoil
// the verdict.
func Merge(inc prunella.Incident, open []prunella.Incident, cfg Config) (into prunella.Incident, why prunella.Reason, ok bool) {
	mine, sure := foundCause(inc)
	if !sure || inc.Attempts > 0 {
		return into, why, false
	}
	for _, older := range oldestFirst(open) {
		theirs, sure := foundCause(older)
		if !sure || !takesOthers(older) || !opened(older, inc) || !sameCause(mine, theirs) || quiet(older) || inc.Onset.Sub(lastOf(older)) > cfg.Recurrence {
			continue
		}
		return older, prunella.Reason{Name: Merged,
			Text: fmt.Sprintf("it is one failure with %s (%s): the cause of both is %s of %s", older.ID, older.Title, mine.Fault, mine.Service),
			Operands: map[string]string{"into": string(older.ID), "fault": string(mine.Fault), "place": mine.Service,
				"opened_after_s": seconds(inc.OpenedAt.Sub(older.OpenedAt)), "confidence": fmt.Sprintf("%.2f", min(mine.Confidence, theirs.Confidence))}}, true
	}
	return into, why, false
}

// takesOthers reports that nothing is being done about an incident yet, or that
// a person has it in hand.
func takesOthers(inc prunella.Incident) bool {
	return inc.State == prunella.Diagnosing || inc.State == prunella.AwaitingApproval || inc.State == prunella.Escalated
}

// opened reports that one incident was opened before the other.
func opened(older, younger prunella.Incident) bool {
	if c := older.OpenedAt.Compare(younger.OpenedAt); c != 0 {
		return c < 0
	}
	return older.ID < younger.ID
}

func sameCause(a, b prunella.Cause) bool {
	if a.Fault != b.Fault || a.Service == "" || a.Service != b.Service {
		return false
	}
	if len(a.Kids) > 0 && len(b.Kids) > 0 && len(a.Kids) <= fewKids && len(b.Kids) <= fewKids &&
		!slices.ContainsFunc(a.Kids, func(kid string) bool { return slices.Contains(b.Kids, kid) }) {
		return false
	}
	if x, y := a.Change, b.Change; x != nil && y != nil {
		return x.Name == y.Name && x.Service == y.Service && x.Kid == y.Kid && x.Version == y.Version
	}
	return true
}

// wholeOf is the incident that one is part of: itself, unless it was merged into
// another, which may have been merged in turn.
func wholeOf(inc prunella.Incident, incidents []prunella.Incident) prunella.Incident {
	for range incidents {
		if inc.State != prunella.Resolved || inc.StateReason.Name != Merged {
			break
		}
		i := slices.IndexFunc(incidents, func(o prunella.Incident) bool { return string(o.ID) == inc.StateReason.Operands["into"] })
		if i < 0 {
			break
		}
		inc = incidents[i]
	}
	return inc
}
