package correlate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella"
)

// Config holds how near in time and in the graph findings must be.
type Config struct {
	Onset      time.Duration // onsets this close may be one failure
	Token      time.Duration // a shared key or change joins findings this long after an incident's last one
	Recurrence time.Duration // the same failure so soon after it was resolved reopens the incident
	Hops       int           // calls between neighbours
}

// Default returns the production configuration.
func Default() Config {
	return Config{Onset: 2 * time.Minute, Token: 15 * time.Minute, Recurrence: 30 * time.Minute, Hops: 1}
}

// Scaled divides the durations by f, within floors.
func (c Config) Scaled(f float64) Config {
	if f <= 0 {
		f = 1
	}
	div := func(d, floor time.Duration) time.Duration {
		return max(time.Duration(float64(d)/f), min(d, floor))
	}
	c.Onset = div(c.Onset, 5*time.Second)
	c.Token = div(c.Token, 30*time.Second)
	c.Recurrence = div(c.Recurrence, time.Minute)
	return c
}

// Do is what becomes of a Finding.
type Do string

const (
	Join   Do = "join"   // it belongs to the incident Decision.Join
	Reopen Do = "reopen" // the incident Decision.Join was resolved and is back
	Open   Do = "open"   // it is a new incident
	Ignore Do = "ignore" // it belongs nowhere
)

// Decision says where a Finding belongs.
type Decision struct {
	Do     Do
	Join   prunella.IncidentID // for Join and Reopen
	Reason prunella.Reason
}

// bond is how a finding is tied to an incident; the strongest wins.
type bond struct {
	strength int
	reason   prunella.Reason
}

// Assign decides which incident a Finding belongs to. incidents holds those
// that are not resolved, and the resolved ones that may recur. The bonds, from
// strong to weak:
//
//	same-service       the service is one of the incident's
//	shared-token       they share a key id, a trace, or a change that preceded both
//	shared-host        they share a host that few services share, and their onsets are close
//	graph-neighbour    one calls the other, and their onsets are close
//	same-issuer        one issues the tokens that the other fails to verify, and their onsets are close
//	same-status-onset  the same kind of authentication failure at the same issuer, onsets close, no contradicting key
//
// A finding that only supports (error-log), and the end of a failure
// (recovered), join or are ignored; they never open an incident. A resolved
// incident takes nothing new: its late echoes are ignored, and the same failure
// again within Config.Recurrence reopens it.
func Assign(f prunella.Finding, incidents []prunella.Incident, g Graph, now time.Time, cfg Config) Decision {
	var best bond
	var join prunella.IncidentID
	for _, inc := range oldestFirst(incidents) {
		if inc.State == prunella.Resolved {
			continue
		}
		if b := bonded(f, inc, g, cfg); b.strength > best.strength {
			best, join = b, inc.ID
		}
	}
	if join != "" {
		return Decision{Do: Join, Join: join, Reason: best.reason}
	}
	if f.Rule == prunella.RuleRecovered {
		return ignore("nothing-to-recover", "no open incident has this service", f)
	}
	for _, inc := range oldestFirst(incidents) {
		if inc.State != prunella.Resolved || inc.ResolvedAt.IsZero() {
			continue
		}
		b := bonded(f, inc, g, Config{Onset: cfg.Onset, Token: cfg.Recurrence, Hops: 0})
		if b.strength < sameToken {
			continue
		}
		since := now.Sub(inc.ResolvedAt)
		if !f.Onset.After(inc.ResolvedAt) && (f.Rule != prunella.RuleErrorRate || since <= cfg.Onset/2) {
			return ignore("echo-of-resolved", fmt.Sprintf("it began before %s was resolved", inc.ID), f)
		}
		if since <= cfg.Recurrence && f.Rule != prunella.RuleErrorLog {
			r := b.reason
			r.Text = fmt.Sprintf("%s came back %s after it was resolved: %s", inc.ID, since.Round(time.Second), r.Text)
			r.Operands["bond"], r.Operands["since_resolved_s"] = r.Name, seconds(since)
			r.Name = "recurrence"
			return Decision{Do: Reopen, Join: inc.ID, Reason: r}
		}
	}
	if f.Rule == prunella.RuleErrorLog {
		return ignore("supports-only", "an error text alone opens no incident where requests are counted", f)
	}
	return Decision{Do: Open, Reason: prunella.Reason{Name: "unrelated",
		Text:     "no open incident shares its service, tokens, neighbourhood or onset",
		Operands: map[string]string{"rule": f.Rule, "service": f.Service, "status": f.Status, "incidents": fmt.Sprint(len(incidents))}}}
}

const (
	sameOnset = iota + 1
	neighbour
	sameHost
	sameToken
	sameService
)

func bonded(f prunella.Finding, inc prunella.Incident, g Graph, cfg Config) bond {
	apart := onsetDistance(f, inc)
	operands := map[string]string{"incident": string(inc.ID), "service": f.Service, "onset_apart_s": seconds(apart)}
	say := func(strength int, name, text string) bond {
		return bond{strength, prunella.Reason{Name: name, Text: text, Operands: operands}}
	}
	if f.Service != "" && inService(inc, f.Service) {
		return say(sameService, "same-service", f.Service+" is already part of the incident")
	}
	if f.Rule == prunella.RuleRecovered {
		return bond{}
	}
	if apart <= cfg.Token {
		if t := shared(f.Tokens, inc.Tokens, "kid:", "trace:", "change:"); t != "" && !otherKind(f, inc, t) {
			operands["token"] = t
			return say(sameToken, "shared-token", "both have "+t)
		}
	}
	if apart > cfg.Onset {
		return bond{}
	}
	if t := shared(f.Tokens, inc.Tokens, "host:"); t != "" {
		operands["token"] = t
		return say(sameHost, "shared-host", "both run on "+strings.TrimPrefix(t, "host:"))
	}
	hops := cfg.Hops
	if hops > 0 && f.Status == "5xx" && slices.Contains(inc.Statuses, "5xx") {
		hops++ // a server error travels up the calls; the one between may not have told yet
	}
	for _, s := range servicesOf(inc) {
		if path := g.Path(f.Service, s, hops); hops > 0 && len(path) > 1 {
			operands["path"] = strings.Join(path, "-")
			return say(neighbour, "graph-neighbour", fmt.Sprintf("%s and %s are linked by calls, onsets %s apart", f.Service, s, apart.Round(100*time.Millisecond)))
		}
	}
	if issuer := issuerBetween(f, inc, g); cfg.Hops > 0 && issuer != "" {
		operands["issuer"] = issuer
		return say(neighbour, "same-issuer", fmt.Sprintf("%s issues the tokens that the other verifies, onsets %s apart", issuer, apart.Round(100*time.Millisecond)))
	}
	if cfg.Hops > 0 && sameAuthFailure(f, inc, g) {
		operands["status"] = f.Status
		return say(sameOnset, "same-status-onset", fmt.Sprintf("the same kind of failure, onsets %s apart", apart.Round(100*time.Millisecond)))
	}
	return bond{}
}

// issuerBetween names the issuer when one side is a failing issuer and the other
// a service that fails to verify its tokens.
func issuerBetween(f prunella.Finding, inc prunella.Incident, g Graph) string {
	for _, s := range servicesOf(inc) {
		if g.Issuer(f.Service) == s && (family(f.Status) == "auth" || f.Rule == prunella.RuleProbe) {
			return s
		}
		if f.Service != "" && g.Issuer(s) == f.Service && (len(inc.Statuses) == 0 || slices.ContainsFunc(inc.Statuses, func(st string) bool { return family(st) == "auth" })) {
			return f.Service
		}
	}
	return ""
}

// otherKind reports that a change is all that ties an authentication failure
// to something else.
func otherKind(f prunella.Finding, inc prunella.Incident, token string) bool {
	return strings.HasPrefix(token, "change:") && f.Status != "" && len(inc.Statuses) > 0 &&
		!slices.ContainsFunc(inc.Statuses, func(s string) bool { return family(s) == family(f.Status) })
}

// sameAuthFailure reports two authentication failures that nothing tells
// apart: not the issuer, not the key.
func sameAuthFailure(f prunella.Finding, inc prunella.Incident, g Graph) bool {
	if family(f.Status) != "auth" || !slices.ContainsFunc(inc.Statuses, func(s string) bool { return family(s) == "auth" }) {
		return false
	}
	mine := g.Issuer(f.Service)
	for _, s := range servicesOf(inc) {
		if other := g.Issuer(s); mine != "" && other != "" && mine != other {
			return false
		}
	}
	a, b := withPrefix(f.Tokens, "kid:"), withPrefix(inc.Tokens, "kid:")
	return len(a) == 0 || len(b) == 0 || len(a) > 2 || len(b) > 2 // many kids: a flood or a mix, no contradiction
}

// family joins the statuses that mean the same: a token was not accepted.
func family(status string) string {
	switch status {
	case "401", "403":
		return "auth"
	}
	return status
}

// onsetDistance is how far a finding's onset is from the time the incident is
// known to have been going on.
func onsetDistance(f prunella.Finding, inc prunella.Incident) time.Duration {
	end := inc.Onset
	for _, im := range inc.Impact {
		if im.Since.After(end) {
			end = im.Since
		}
	}
	switch {
	case f.Onset.Before(inc.Onset):
		return inc.Onset.Sub(f.Onset)
	case f.Onset.After(end):
		return f.Onset.Sub(end)
	}
	return 0
}

func shared(a, b []string, prefixes ...string) string {
	for _, p := range prefixes {
		for _, t := range a {
			if strings.HasPrefix(t, p) && slices.Contains(b, t) {
				return t
			}
		}
	}
	return ""
}

func withPrefix(list []string, prefix string) (out []string) {
	for _, t := range list {
		if strings.HasPrefix(t, prefix) {
			out = append(out, t)
		}
	}
	return out
}

func inService(inc prunella.Incident, service string) bool {
	return slices.Contains(servicesOf(inc), service)
}

func servicesOf(inc prunella.Incident) []string {
	out := make([]string, 0, len(inc.Impact))
	for _, im := range inc.Impact {
		out = append(out, im.Service)
	}
	return out
}

func oldestFirst(list []prunella.Incident) []prunella.Incident {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b prunella.Incident) int {
		if c := a.Onset.Compare(b.Onset); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return out
}

func ignore(name, text string, f prunella.Finding) Decision {
	return Decision{Do: Ignore, Reason: prunella.Reason{Name: name, Text: text,
		Operands: map[string]string{"rule": f.Rule, "service": f.Service, "status": f.Status}}}
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", d.Seconds())
}
