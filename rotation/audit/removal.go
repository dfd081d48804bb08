package audit

import (
	"fmt"
	"strings"
	"time"
)

const (
	skew        = 2 * time.Minute // of two clocks
	longestList = 8               // names in a sentence
)

// removal says of each key that does not sign whether it may go now.
func (r *Report) removal() {
	for _, k := range r.Keys {
		if k.Role == Previous || k.Role == Other {
			r.Removal = append(r.Removal, r.verdict(k))
		}
	}
}

func (r *Report) verdict(k Key) Verdict {
	v := Verdict{Key: k.ID, Answer: "unknown"}
	if r.Signer == "" {
		v.Text = "unknown: no token could be had, so nobody can say which key signs"
		if len(r.tokens) > 0 {
			v.Text = "unknown: the tokens name no kid, so nobody can say which key signs"
		}
		return v
	}
	var onlyOld, refuse, silent []string
	for _, one := range r.Verifiers {
		now, _ := one.of(r.Signer)
		old, asked := one.of(k.ID)
		switch {
		case now.Outcome == Rejects && asked && old.Outcome == Accepts:
			onlyOld = append(onlyOld, one.Name)
		case now.Outcome == Rejects:
			refuse = append(refuse, one.Name)
		case now.Outcome != Accepts:
			silent = append(silent, one.Name)
		}
	}
	v.Breaks = append(append([]string{}, onlyOld...), refuse...)
	var why []string
	if len(onlyOld) > 0 {
		why = append(why, fmt.Sprintf("%s still %s only the old key", Names(onlyOld), verb(onlyOld, "verifies", "verify")))
	}
	if len(refuse) > 0 {
		why = append(why, fmt.Sprintf("%s %s tokens of %s, the signer", Names(refuse), verb(refuse, "refuses", "refuse"), r.Signer))
	}
	live, known := r.tokensLive(k)
	if known && r.At.Before(live) {
		v.NotBefore = live
		why = append(why, "a token that it signed may live until "+live.Format(time.RFC3339))
	}
	if len(why) > 0 {
		v.Answer, v.Text = "no", "not yet: "+strings.Join(why, "; ")
		if k.Role == Other {
			v.Text += "; no token of it was seen, so it may as well be the next key, which must stay"
		}
		return v
	}
	switch {
	case len(r.Verifiers) == 0:
		v.Text = "unknown: no verifier was named, so nobody was asked"
	case len(silent) > 0:
		v.Text = fmt.Sprintf("unknown: %s did not show what %s", Names(silent), verb(silent, "it trusts", "they trust"))
	case !known:
		v.Text = "unknown: how long tokens live is not known (--token-lifetime)"
	default:
		v.Answer = "yes"
		v.Text = fmt.Sprintf("yes: %s accepted a token of %s, and the last token of the old key ended by %s", all(len(r.Verifiers)), r.Signer, live.Format(time.RFC3339))
	}
	if k.Role == Other {
		v.Text += "; no token of it was seen, so it may as well be the next key, which must stay (--old KID says that it is not)"
		if v.Answer == "yes" {
			v.Answer = "unknown"
		}
	}
	return v
}

// tokensLive is when the last token that k signed ends, as far as can be known: k
// signed none after the first token of the signer was issued.
func (r *Report) tokensLive(k Key) (time.Time, bool) {
	var seen time.Time
	for _, t := range r.tokens {
		if t.kid == k.ID && !t.canary && t.exp.After(seen) {
			seen = t.exp
		}
	}
	if r.Lifetime == 0 || r.Since.IsZero() {
		return seen, !seen.IsZero() && r.At.Before(seen)
	}
	last := r.Since.Add(time.Duration(r.Lifetime)*time.Second + skew)
	if seen.After(last) {
		last = seen
	}
	return last.UTC(), true
}

// Names joins names as in a sentence; of many it shows the first.
func Names(list []string) string {
	switch n := len(list); {
	case n == 0:
		return "nobody"
	case n == 1:
		return list[0]
	case n > longestList:
		return strings.Join(list[:longestList], ", ") + fmt.Sprintf(" and %d more", n-longestList)
	default:
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
}

func verb(who []string, one, many string) string {
	if len(who) == 1 {
		return one
	}
	return many
}

func all(n int) string {
	if n == 1 {
		return "the verifier"
	}
	return fmt.Sprintf("all %d verifiers", n)
}
