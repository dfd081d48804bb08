package match

import (
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"prunella"
)

// Bounds on tokens. A flood of random kids fills the tracker with tokens seen
// once, which go first.
const (
	maxTracked = 64 // per service
	maxNamed   = 8  // per Finding and kind of token
)

// Words that introduce a key id in a text: kid "x", kid=x, key ID x, key with id
// x, "kid":"x"; and, when none of these is there, signing key 'x'.
var (
	kidValue = `\b["'\x60]?\s*(?:is|was|of|:|=|→|->)?\s*[("'\x60\[<]*([A-Za-z0-9._~+/=-]{3,128})`
	kidWords = regexp.MustCompile(`(?i)\b(?:kid|key[ _-]?id|key with (?:the )?(?:id|kid))` + kidValue)
	keyWords = regexp.MustCompile(`(?i)\b(?:signing|public|verification|signer'?s?) key(?: that matches| matching| for)?` + kidValue)
	// a key with an id of several parts, one of them a number: key ab-27-05 removed
	bareWords = regexp.MustCompile(`(?i)\b(?:key|signer)\s+["'\x60]?([a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*[-_.][0-9][a-z0-9]*(?:[-_.][a-z0-9]+)*)\b["'\x60]?\s+(?:is|was|has|activated|active|removed|retired|revoked|promoted|missing|unknown|not|signs|now|published|withdrawn|deleted)\b`)
	traceKey  = regexp.MustCompile(`(?i)\btrace[_-]?id["']?\s*[:=]\s*["']?([0-9a-f]{16,32})\b`)
)

// TokensOf returns what a signal shares with others of its failure: "kid:…"
// and "trace:…" from its attributes and its text. Host tokens need to know who
// else runs there; the Detector adds them.
func TokensOf(s prunella.Signal) []string {
	var out []string
	add := func(t string) {
		for _, o := range out {
			if o == t {
				return
			}
		}
		if len(out) < 2*maxNamed {
			out = append(out, t)
		}
	}
	for _, key := range []string{prunella.AttrKid, "jwt.kid", "key_id", "jwk.kid"} {
		if k := s.Attr(key); k != "" && len(k) <= 128 {
			add("kid:" + k)
		}
	}
	for _, kid := range Kids(s.Body) {
		add("kid:" + kid)
	}
	if t := s.Attr(prunella.AttrTraceID); len(t) >= 16 && len(t) <= 64 {
		add("trace:" + strings.ToLower(t))
	} else if m := traceKey.FindStringSubmatch(s.Body); m != nil {
		add("trace:" + strings.ToLower(m[1]))
	}
	return out
}

// kidKeys are what the named value of a line is called that holds a kid.
var kidKeys = []string{"kid", "keyid", "jwtkid", "jwkkid", "jwskid", "tokenkid", "signingkeyid", "signerkid", "headerkid"}

// noKid are values of a field that say that there is none.
var noKid = []string{"", "-", "null", "nil", "none", "unknown", "missing", "undefined", "empty", "n/a", "<nil>", "true", "false"}

// Kids returns the key ids that a text names, in order. A candidate must look
// like an id: it has a digit, or inner punctuation, or mixed case. A value that
// is named a kid (kid=abc, "kid":"main") is one whatever it looks like.
func Kids(text string) []string {
	if len(text) > 8192 {
		text = text[:8192]
	}
	text = prunella.WithoutOtherKeys(text)
	var out []string
	for _, f := range prunella.Fields(text) {
		key := strings.ToLower(f.Key)
		key = strings.NewReplacer("_", "", "-", "", ".", "").Replace(key[strings.LastIndexByte(key, '.')+1:])
		if slices.Contains(kidKeys, key) && !slices.Contains(noKid, strings.ToLower(f.Value)) && len(f.Value) <= 128 && len(out) < 2*maxNamed {
			out = appendNew(out, f.Value)
		}
	}
	for _, words := range []*regexp.Regexp{kidWords, keyWords, bareWords} {
		for _, m := range words.FindAllStringSubmatch(text, 2*maxNamed) {
			if kid := strings.TrimRight(m[1], ".-/=~"); likeID(kid) && len(out) < 2*maxNamed {
				out = appendNew(out, kid)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

func likeID(s string) bool {
	if len(s) < 3 {
		return false
	}
	if strings.ContainsAny(s, "0123456789_") {
		return true
	}
	if len(s) >= 16 && mixedCase(s) {
		return true
	}
	return strings.Contains(s, "-") && len(s) >= 8
}

// tokens counts the tokens of one service's recent failures.
type tokens map[string]seenToken

type seenToken struct {
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

func (t *tokens) note(token string, at time.Time) {
	if *t == nil {
		*t = tokens{}
	}
	e, known := (*t)[token]
	if !known && len(*t) >= maxTracked {
		t.evict()
	}
	e.Count++
	if at.After(e.Last) {
		e.Last = at
	}
	(*t)[token] = e
}

// evict drops the token seen least, the oldest among equals.
func (t *tokens) evict() {
	worst := ""
	for k, e := range *t {
		w := (*t)[worst]
		if worst == "" || e.Count < w.Count || e.Count == w.Count && (e.Last.Before(w.Last) || e.Last.Equal(w.Last) && k < worst) {
			worst = k
		}
	}
	delete(*t, worst)
}

func (t *tokens) forget(before time.Time) {
	for k, e := range *t {
		if e.Last.Before(before) {
			delete(*t, k)
		}
	}
}

// top returns the tokens seen most, at most maxNamed of each kind, sorted by
// how often they were seen.
func (t tokens) top() []string {
	all := make([]string, 0, len(t))
	for k := range t {
		all = append(all, k)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := t[all[i]], t[all[j]]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return all[i] < all[j]
	})
	perKind := map[string]int{}
	var out []string
	for _, k := range all {
		kind, _, _ := strings.Cut(k, ":")
		if perKind[kind] < maxNamed {
			perKind[kind]++
			out = append(out, k)
		}
	}
	return out
}

// placeOnHost remembers which services run on a host.
func (d *Detector) placeOnHost(s prunella.Signal) {
	host := s.Attr(prunella.AttrHost)
	if host == "" || s.Service == "" || len(d.Hosts[host]) == 0 && len(d.Hosts) >= 4*maxServices {
		return
	}
	if i, found := slices.BinarySearch(d.Hosts[host], s.Service); !found {
		d.Hosts[host] = slices.Insert(d.Hosts[host], i, s.Service)
	}
	if d.Placed == nil { // of a snapshot from before places had a time
		d.Placed = map[string]time.Time{}
	}
	if key, at := host+"\x00"+s.Service, d.timeOf(s); at.After(d.Placed[key]) {
		d.Placed[key] = at
	}
}

// sweepHosts forgets who has not been seen on a host for 60 windows (an hour):
// pods come and go, and each is a host of its own.
func (d *Detector) sweepHosts(now time.Time) {
	old := now.Add(-60 * d.cfg.Window)
	for host, services := range d.Hosts {
		services = slices.DeleteFunc(services, func(name string) bool {
			key := host + "\x00" + name
			if at, known := d.Placed[key]; known && at.After(old) {
				return false
			}
			delete(d.Placed, key)
			return true
		})
		if d.Hosts[host] = services; len(services) == 0 {
			delete(d.Hosts, host)
		}
	}
}

// hostTokens are the hosts of a service that tell it apart: a host that runs
// more than a third of all services says nothing.
func (d *Detector) hostTokens(service string) []string {
	var out []string
	for host, services := range d.Hosts {
		for _, s := range services {
			if s == service && 3*len(services) <= max(3, len(d.Services)) {
				out = append(out, "host:"+host)
			}
		}
	}
	sort.Strings(out)
	if len(out) > maxNamed {
		out = out[:maxNamed]
	}
	return out
}

// keyChangeTokens name the key changes that may have caused an authentication
// failure: "change:<issuer>/<kid>". A change is seen by a monitor some time
// after it happened, so one that is a window late still counts.
func (d *Detector) keyChangeTokens(onset time.Time) []string {
	var out []string
	for _, c := range d.Changes {
		if strings.HasPrefix(c.Name, "keyset.") && d.mayCause(c, onset) {
			out = appendNew(out, "change:"+c.Service+"/"+c.Kid)
		}
	}
	return lastFew(out)
}

// deployTokens name the releases of this service that may have caused it.
func (d *Detector) deployTokens(service string, onset time.Time) []string {
	var out []string
	for _, c := range d.Changes {
		if !strings.HasPrefix(c.Name, "keyset.") && c.Service == service && d.mayCause(c, onset) {
			out = appendNew(out, "change:"+c.Name+"/"+c.Service+"/"+c.Version)
		}
	}
	return lastFew(out)
}

func (d *Detector) mayCause(c prunella.Change, onset time.Time) bool {
	return !c.At.After(onset.Add(d.cfg.Window)) && onset.Sub(c.At) <= d.cfg.ChangeWithin
}

func appendNew(list []string, s string) []string {
	for _, o := range list {
		if o == s {
			return list
		}
	}
	return append(list, s)
}

func lastFew(list []string) []string {
	if len(list) > maxNamed {
		return list[len(list)-maxNamed:]
	}
	return list
}
