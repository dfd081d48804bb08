package diagnose

import (
	"fmt"
	"slices"
	"time"

	"prunella"
	"prunella/said"
)

// classRows maps what texts say to rows of the table.
var classRows = []struct {
	class said.Class
	row   string
	said  string // "{who} say(s) that …"
}{
	{said.UnknownKid, "text-unknown-kid", "the key of a token is not known"},
	{said.BadSignature, "text-bad-signature", "a signature is wrong"},
	{said.Expired, "text-expired", "a token is expired"},
	{said.NotYetValid, "text-not-yet-valid", "a token is not valid yet"},
	{said.Clock, "text-clock", "a clock is off"},
	{said.Audience, "text-audience", "the audience is not the expected one"},
	{said.Issuer, "text-issuer", "the issuer is not the expected one"},
	{said.FetchFailed, "text-fetch-failed", "the key set cannot be fetched"},
	{said.DeliveryFailed, "text-delivery-failed", "a key was not delivered"},
	{said.KeyRemoved, "text-key-removed", "a key was removed"},
	{said.Rotated, "text-rotated", "signing keys were rotated"},
	{said.StaticKeys, "text-static-keys", "keys come from a fixed file or store"},
	{said.StaleCache, "text-stale-cache", "keys come from a cache"},
	{said.MaterialChanged, "text-material-changed", "a kid has other material than before"},
	{said.Tampered, "text-tampered", "tokens are forged"},
	{said.KidFlood, "text-kid-flood", "many invented kids arrive"},
	{said.Vendor, "text-vendor", "the vendor is down"},
	{said.Deploy, "text-deploy", "something was released"},
	{said.ServerError, "text-server-error", "there are server errors"},
}

var deniedRows = []struct {
	class said.Class
	row   string
	said  string
}{
	{said.Deploy, "denied-deploy", "there was no recent release"},
	{said.Expired, "denied-times", "tokens are not expired"},
	{said.Clock, "denied-clock", "clocks are right"},
	{said.Audience, "denied-audience", "the audience is right"},
	{said.Issuer, "denied-issuer", "the issuer is right"},
	{said.FetchFailed, "denied-fetch", "the key set is served"},
	{said.Rotated, "denied-rotation", "keys were not rotated"},
	{said.KeyRemoved, "denied-removal", "the old key is still published"},
	{said.Vendor, "denied-vendor", "the vendor is well"},
}

// reports says whether a class tells of something done or arranged: one text is
// enough for it, however many others complain.
func reports(c said.Class) bool {
	switch c {
	case said.DeliveryFailed, said.KeyRemoved, said.Rotated, said.StaticKeys, said.StaleCache, said.MaterialChanged,
		said.Tampered, said.KidFlood, said.Vendor, said.Deploy, said.Clock, said.FetchFailed:
		return true
	}
	return false
}

func (v *view) observeTexts() []observation {
	var out []observation
	live := v.measured()
	complaints := 0 // signals whose text says why a token was refused
	for _, t := range v.facts.Texts {
		if slices.ContainsFunc(t.Classes, func(c said.Class) bool { return isComplaint(c) && !reports(c) }) {
			complaints += t.Count
		}
	}
	for _, r := range classRows {
		who, monitors, count, example, signals, at := v.saying(r.class, false)
		if count == 0 {
			continue
		}
		strength := 1.0
		if !reports(r.class) && complaints > 0 {
			strength = min(1, max(0.15, 1.25*float64(count)/float64(complaints)))
			if !live { // a handful of messages: each was worth sending
				strength = max(strength, 0.6)
			}
		}
		if len(monitors) > 1 {
			strength *= min(1.3, 1+0.1*float64(len(monitors)-1))
		}
		if r.class == said.Clock && v.denies(said.Clock) {
			continue
		}
		o := observation{row: r.row, strength: strength, source: source(monitors), signals: signals, at: at,
			text: fmt.Sprintf("%s %s that %s: %q.", who, verb(len(monitors), "says", "say"), r.said, clip(example, 160))}
		if count > 1 {
			o.text += fmt.Sprintf(" %d times.", count)
		}
		out = append(out, o)
	}
	for _, r := range deniedRows {
		who, monitors, count, example, signals, at := v.saying(r.class, true)
		if count == 0 {
			continue
		}
		out = append(out, observation{row: r.row, strength: 1, source: source(monitors), signals: signals, at: at,
			text: fmt.Sprintf("%s %s that %s: %q.", who, verb(len(monitors), "says", "say"), r.said, clip(example, 160))})
	}
	for _, c := range v.facts.Counts {
		if c.Failing && c.M > c.N {
			out = append(out, observation{row: "text-some-services", strength: 1, source: "texts",
				text: fmt.Sprintf("%d of %d services are said to be hit.", c.N, c.M)})
			break
		}
	}
	return out
}

func (v *view) denies(c said.Class) bool {
	return slices.ContainsFunc(v.facts.Texts, func(t TextFact) bool { return slices.Contains(t.Denied, c) })
}

// saying collects who says (or denies) a class, how often, and in which words.
func (v *view) saying(c said.Class, denied bool) (who string, monitors []string, count int, example string, signals []prunella.SignalID, at time.Time) {
	most := 0
	for _, t := range v.facts.Texts {
		in := t.Classes
		if denied {
			in = t.Denied
		}
		if !slices.Contains(in, c) {
			continue
		}
		count += t.Count
		if t.Monitor != "" {
			monitors = append(monitors, t.Monitor)
		} else {
			monitors = append(monitors, t.source.Services...)
		}
		if t.Count > most {
			most, example = t.Count, t.Text
		}
		signals = append(signals, t.source.Signals...)
		if at.IsZero() || !t.source.At.IsZero() && t.source.At.Before(at) {
			at = t.source.At
		}
	}
	monitors = sorted(monitors)
	who = "A text"
	if len(monitors) > 0 {
		who = names3(monitors)
	}
	slices.Sort(signals)
	signals = slices.Compact(signals)
	if len(signals) > 20 {
		signals = signals[:20]
	}
	return who, monitors, count, example, signals, at
}

func source(monitors []string) string {
	if len(monitors) == 0 {
		return "texts"
	}
	return monitors[0]
}
