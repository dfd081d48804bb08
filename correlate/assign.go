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
	Settle     time.Duration // so long may it take until texts tell what failed; a weak bond waits for them
}

// Default returns the production configuration.
func Default() Config {
	return Config{Onset: 2 * time.Minute, Token: 15 * time.Minute, Recurrence: 30 * time.Minute, Hops: 1, Settle: 20 * time.Second}
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
	c.Settle = div(c.Settle, time.Second)
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
	apart    time.Duration // of the onsets
	reason   prunella.Reason
}

// Assign decides which incident a Finding belongs to. incidents holds those
// that are not resolved, and the resolved ones that may recur. The bonds, from
// strong to weak:
//
//	same-service       the service is one of the incident's, and what fails is not another thing at another time (see sameFailure)
//	shared-token       they share a key id, a trace, or a change that preceded both
//	same-key           the incident blames a key or its issuer, and the finding is a later victim of it, whenever that is (see keyBond for
//	                   same-key-change, same-issuer-fault and named-by-cause)
//	shared-host        they share a host that few services share, and their onsets are close
//	graph-neighbour    one calls the other, and their onsets are close
//	same-issuer        one issues the tokens that the other fails to verify, and their onsets are close
//	same-status-onset  the same kind of authentication failure at the same issuer, onsets close, no contradicting key;
//	                   in a flood of kids whatever the wording (see sameFlood)
//
// Only a shared trace, or one service failing in two ways at once, ties what
// the texts of both sides blame on different things ("says:key", "says:time",
// "says:audience", "says:issuer", "says:signature"; see contradict).
//
// Where texts tell failures apart, a bond weaker than a shared token waits for
// them: a failure that began just now and blames nothing yet is ignored until
// its texts came, or Config.Settle is over. So does one that would open an
// incident while another, of the same issuer, blames a key.
//
// What belongs to an incident that was merged into another (see Merge) joins
// that one (merged).
//
// A finding that only supports (error-log), and the end of a failure
// (recovered), join or are ignored; they never open an incident. A resolved
// incident takes nothing new: its late echoes are ignored, and the same failure
// again within Config.Recurrence reopens it.
func Assign(f prunella.Finding, incidents []prunella.Incident, g Graph, now time.Time, cfg Config) Decision {
	incidents = oldestFirst(incidents)
	var best bond
	var join prunella.Incident
	for _, inc := range incidents {
		into := wholeOf(inc, incidents)
		if into.State == prunella.Resolved {
			continue
		}
		b := bonded(f, inc, g, cfg)
		if into.ID != inc.ID && b.strength > 0 {
			b.reason.Text = string(inc.ID) + " was merged into this: " + b.reason.Text
			b.reason.Operands["bond"], b.reason.Operands["merged"] = b.reason.Name, string(inc.ID)
			b.reason.Name = Merged
		}
		if b.strength > best.strength || b.strength == sameService && b.apart < best.apart {
			best, join = b, into
		}
	}
	if join.ID != "" {
		if best.strength < sameToken && untold(f, join, now, cfg) {
			return ignore("too-early-to-tell", "it may belong to "+string(join.ID)+", but texts do not yet tell what failed: "+best.reason.Text, f)
		}
		return Decision{Do: Join, Join: join.ID, Reason: best.reason}
	}
	if f.Rule == prunella.RuleRecovered {
		return ignore("nothing-to-recover", "no open incident has this service", f)
	}
	for _, inc := range incidents {
		into := wholeOf(inc, incidents)
		if into.State != prunella.Resolved || into.ResolvedAt.IsZero() {
			continue
		}
		b := bonded(f, inc, g, Config{Onset: cfg.Onset, Token: cfg.Recurrence, Recurrence: cfg.Recurrence})
		if b.strength < sameToken {
			if !inService(inc, f.Service) || f.Onset.After(into.ResolvedAt) {
				continue
			}
			b = say(sameService, f, inc, "same-service", f.Service+" was part of the incident")
		}
		since := now.Sub(into.ResolvedAt)
		if !f.Onset.After(into.ResolvedAt) && (f.Rule != prunella.RuleErrorRate || since <= cfg.Onset/2) {
			return ignore("echo-of-resolved", fmt.Sprintf("it began before %s was resolved", into.ID), f)
		}
		if since <= cfg.Recurrence && f.Rule != prunella.RuleErrorLog {
			r := b.reason
			r.Text = fmt.Sprintf("%s came back %s after it was resolved: %s", into.ID, since.Round(time.Second), r.Text)
			r.Operands["bond"], r.Operands["since_resolved_s"] = r.Name, seconds(since)
			r.Name = "recurrence"
			return Decision{Do: Reopen, Join: into.ID, Reason: r}
		}
	}
	if f.Rule == prunella.RuleErrorLog {
		return ignore("supports-only", "an error text alone opens no incident where requests are counted", f)
	}
	for _, inc := range incidents {
		if toBeTold(f, inc, g, cfg) {
			return ignore("too-early-to-tell", "texts do not yet tell what failed; it may be the key that "+string(inc.ID)+" blames", f)
		}
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
	if f.Service != "" && inService(inc, f.Service) {
		if why := sameFailure(f, inc, cfg); why != "" {
			return say(sameService, f, inc, "same-service", f.Service+" is already part of the incident: "+why, "why", why)
		}
	}
	if f.Rule == prunella.RuleRecovered {
		return bond{}
	}
	apart := onsetDistance(f, inc)
	against := contradict(f, inc)
	if t := shared(f.Tokens, inc.Tokens, "trace:"); t != "" && apart <= cfg.Token {
		return say(sameToken, f, inc, "shared-token", "both have "+t, "token", t)
	}
	if against == differentFault {
		return bond{}
	}
	if t := shared(f.Tokens, inc.Tokens, "kid:", "change:"); t != "" && apart <= cfg.Token && !otherKind(f, inc, t) {
		return say(sameToken, f, inc, "shared-token", "both have "+t, "token", t)
	}
	if b := keyBond(f, inc, g, cfg); b.strength > 0 {
		return b
	}
	if apart > cfg.Onset {
		return bond{}
	}
	if t := shared(f.Tokens, inc.Tokens, "host:"); t != "" {
		return say(sameHost, f, inc, "shared-host", "both run on "+strings.TrimPrefix(t, "host:"), "token", t)
	}
	hops := cfg.Hops
	if hops > 0 && f.Status == "5xx" && slices.Contains(inc.Statuses, "5xx") {
		hops++ // a server error travels up the calls; the one between may not have told yet
	}
	near := fmt.Sprintf("onsets %s apart", apart.Round(100*time.Millisecond))
	for _, s := range servicesOf(inc) {
		if path := g.Path(f.Service, s, hops); hops > 0 && len(path) > 1 {
			return say(neighbour, f, inc, "graph-neighbour", fmt.Sprintf("%s and %s are linked by calls, %s", f.Service, s, near), "path", strings.Join(path, "-"))
		}
	}
	if issuer := issuerBetween(f, inc, g); cfg.Hops > 0 && issuer != "" {
		return say(neighbour, f, inc, "same-issuer", issuer+" issues the tokens that the other verifies, "+near, "issuer", issuer)
	}
	if cfg.Hops > 0 && (against == "" || sameFlood(f, inc)) && sameAuthFailure(f, inc, g) {
		return say(sameOnset, f, inc, "same-status-onset", "the same kind of failure, "+near, "status", f.Status)
	}
	return bond{}
}

// say is a bond with its reason; more are operands beside the usual ones.
func say(strength int, f prunella.Finding, inc prunella.Incident, name, text string, more ...string) bond {
	apart := onsetDistance(f, inc)
	operands := map[string]string{"incident": string(inc.ID), "service": f.Service, "onset_apart_s": seconds(apart)}
	for i := 0; i+1 < len(more); i += 2 {
		operands[more[i]] = more[i+1]
	}
	return bond{strength, apart, prunella.Reason{Name: name, Text: text, Operands: operands}}
}

// sameFailure says why a finding of one of the incident's services belongs to
// it, or "" when something else broke there. Whatever begins with the incident,
// or while it is healed, is part of it. Later only what is like it: the same
// family of status and no other blame, or a token that both have. Even that
// begins anew when the incident has been still for Config.Recurrence.
func sameFailure(f prunella.Finding, inc prunella.Incident, cfg Config) string {
	apart := onsetDistance(f, inc)
	switch {
	case f.Rule == prunella.RuleRecovered:
		return "what failed is over"
	case apart <= cfg.Onset:
		return "they began together"
	case inc.State == prunella.Healing || inc.State == prunella.Verifying:
		return "it is being healed"
	case f.Onset.Sub(lastOf(inc)) > cfg.Recurrence:
		return ""
	case contradict(f, inc) == differentFault:
		return ""
	}
	if t := shared(f.Tokens, inc.Tokens, "kid:", "trace:", "change:"); t != "" && apart <= cfg.Token {
		return "both have " + t
	}
	if f.Status == "" && apart <= cfg.Token || slices.ContainsFunc(inc.Statuses, func(s string) bool { return s == "" || family(s) == family(f.Status) }) && !otherKey(f.Tokens, inc.Tokens) {
		return "it fails in the same way"
	}
	return ""
}

// lastOf is when an incident was last known to go on.
func lastOf(inc prunella.Incident) time.Time {
	last := inc.Onset
	for _, im := range inc.Impact {
		if im.Since.After(last) {
			last = im.Since
		}
		if im.QuietSince.After(last) {
			last = im.QuietSince
		}
	}
	if inc.ResolvedAt.After(last) {
		last = inc.ResolvedAt
	}
	if inc.State != prunella.Resolved && inc.UpdatedAt.After(last) && !quiet(inc) {
		last = inc.UpdatedAt
	}
	return last
}

// quiet reports that every service of the incident is back to its usual share.
func quiet(inc prunella.Incident) bool {
	return len(inc.Impact) > 0 && !slices.ContainsFunc(inc.Impact, func(im prunella.Impact) bool { return im.QuietSince.IsZero() })
}

const (
	differentFault   = "different-fault"   // a key cannot explain what a clock does, nor an audience what an issuer does
	differentWording = "different-wording" // a key that is lacking, and a signature that is wrong: a verifier may call one the other
)

// contradict compares what the texts of a finding and of an incident blame.
func contradict(f prunella.Finding, inc prunella.Incident) string {
	mine, theirs := withPrefix(f.Tokens, "says:"), withPrefix(inc.Tokens, "says:")
	if len(mine) == 0 || len(theirs) == 0 || shared(mine, theirs, "says:") != "" {
		return ""
	}
	aboutKeys := func(s string) bool { return s == "says:key" || s == "says:signature" }
	if slices.ContainsFunc(mine, aboutKeys) && slices.ContainsFunc(theirs, aboutKeys) {
		return differentWording
	}
	return differentFault
}

// untold reports that a finding and an incident are to be told apart by what
// their texts blame, and one of them has no texts yet that blame anything. The
// finding is repeated while it holds, so nothing is lost by waiting.
func untold(f prunella.Finding, inc prunella.Incident, now time.Time, cfg Config) bool {
	if f.Rule != prunella.RuleErrorRate || family(f.Status) != "auth" {
		return false
	}
	mine, theirs := len(withPrefix(f.Tokens, "says:")) > 0, len(withPrefix(inc.Tokens, "says:")) > 0
	young := !inc.OpenedAt.IsZero() && now.Sub(inc.OpenedAt) < cfg.Settle
	return !mine && theirs && f.Attrs["blame"] == "pending" || mine && !theirs && young
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
	return !otherKey(f.Tokens, inc.Tokens)
}

// otherKey reports that two lists of tokens each name keys, and none that both
// name. Many kids are a flood or a mix and contradict nothing.
func otherKey(a, b []string) bool {
	a, b = withPrefix(a, "kid:"), withPrefix(b, "kid:")
	return len(a) > 0 && len(b) > 0 && len(a) <= fewKids && len(b) <= fewKids && shared(a, b, "kid:") == ""
}

// fewKids is how many kids a key change can bring up, before and after it; more
// are a flood or a mix.
const fewKids = 2

// sameFlood reports that one side names many kids, and the other as many or
// none. Of a kid that nobody ever had, one library says that there is no such
// key and another that the signature is wrong. Who forges tokens for a key that
// is in use names that one.
func sameFlood(f prunella.Finding, inc prunella.Incident) bool {
	mine, theirs := len(withPrefix(f.Tokens, "kid:")), len(withPrefix(inc.Tokens, "kid:"))
	return contradict(f, inc) == differentWording && max(mine, theirs) > fewKids && (min(mine, theirs) > fewKids || min(mine, theirs) == 0)
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
