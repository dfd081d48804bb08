package monitor

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"prunella"
)

// probeEdge lets a probe speak while something is wrong, on the first run, and
// once when it is right again.
type probeEdge struct {
	said, saying string // outcome of the last accepted probe, and of the one on its way
}

func (e *probeEdge) say(s prunella.Signal) []prunella.Signal {
	e.saying = s.Attr(prunella.AttrOutcome)
	if e.saying == "ok" && e.said == "ok" {
		return nil
	}
	return []prunella.Signal{s}
}

func (e *probeEdge) accepted() {
	if e.saying != "" {
		e.said = e.saying
	}
}

func probeSignal(source, name, service string, now time.Time, outcome, text string) prunella.Signal {
	severity := prunella.Info
	if outcome != "ok" {
		severity = prunella.High
	}
	return prunella.Signal{
		ID: signalID(source, name, service, stamp(now)), Source: source, Service: service, Time: now.UTC(), Received: now.UTC(),
		Kind: prunella.KindProbe, Severity: severity, Name: name, Body: text,
		Attributes:  map[string]string{prunella.AttrOutcome: outcome, prunella.AttrIssuer: service},
		Fingerprint: source + "/" + name + "/" + service,
	}
}

// changeSignal's id depends on the difference and on how many were accepted
// before, so that finding it again gives the same Signal.
func changeSignal(source, name, service string, at, now, lastSeen time.Time, version int, attrs map[string]string) prunella.Signal {
	parts := []string{source, name, service, strconv.Itoa(version)}
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		parts = append(parts, k, attrs[k])
	}
	if !lastSeen.IsZero() {
		attrs[AttrNotBefore] = rfc3339(lastSeen)
	}
	return prunella.Signal{
		ID: signalID(parts...), Source: source, Service: service, Time: at.UTC(), Received: now.UTC(), Kind: prunella.KindChange,
		Severity: prunella.Info, Name: name, Body: sentence(name, service, attrs), Attributes: attrs,
		Fingerprint: source + "/" + name + "/" + attrs[prunella.AttrKid] + attrs[prunella.AttrVersion],
	}
}

func sentence(name, service string, a map[string]string) string {
	kid := a[prunella.AttrKid]
	switch name {
	case prunella.ChangeKeyAdded:
		return "key " + kid + " appeared in the set of " + service
	case prunella.ChangeKeyRemoved:
		return "key " + kid + " left the set of " + service
	case prunella.ChangeKeyMaterial:
		return "key " + kid + " of " + service + " is another key now: its thumbprint was " + a[AttrBefore] + " and is " + a[AttrAfter]
	case prunella.ChangeSigner:
		return service + " signs with key " + kid + " now; before it was " + a[AttrBefore]
	}
	s := "release " + a[prunella.AttrVersion]
	if service != "" {
		s += " of " + service
	}
	if a[AttrAuthor] != "" {
		s += " by " + a[AttrAuthor]
	}
	return s
}
