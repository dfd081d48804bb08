package web

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"prunella"
	"prunella/client"
)

// clockSkew is allowed for when old tokens are said to have expired.
const clockSkew = time.Minute

// verdicts answers for each issuer and key, from the cells alone: may it become
// the signer, may it be removed? A service that nobody could ask counts against
// both. The rules are those of a safe rotation: promote only what every
// verifier accepts; remove only what nobody needs, after the last token that it
// signed has expired.
func verdicts(b client.KeyBoard, now time.Time) []client.KeyVerdict {
	var out []client.KeyVerdict
	for _, set := range b.Sets {
		for _, key := range set.Keys {
			out = append(out, judge(b, set, key, now))
		}
	}
	return out
}

func judge(b client.KeyBoard, set prunella.KeySet, key prunella.PublicKey, now time.Time) client.KeyVerdict {
	trusting, rejecting, unknown := standing(b, set.Issuer, key.Kid)
	only, unsure := needing(b, set, key.Kid)
	all := len(rejecting) == 0 && len(unknown) == 0 && len(trusting) > 0
	v := client.KeyVerdict{Issuer: set.Issuer, Kid: key.Kid, MayPromote: key.Kid != set.Signer && key.Published && all}
	expired := key.LastSigned.Add(set.TokenLifetime + clockSkew)
	reason := func(name, format string, args ...any) {
		v.Reason = prunella.Reason{Name: name, Text: fmt.Sprintf(format, args...), Operands: map[string]string{
			"signer": set.Signer, "trusting": strconv.Itoa(len(trusting)), "rejecting": list(rejecting), "unknown": list(unknown), "only_this": list(only)}}
	}
	next := func(blocked []string, format string, args ...any) {
		v.BlockedBy, v.Next = blocked, fmt.Sprintf(format, args...)
	}
	switch {
	case key.State == "revoked":
		reason("revoked", "Is revoked: no verifier may accept it again.")
		if len(trusting) > 0 {
			next(trusting, "Make %s drop it: restart %s, or refresh the copy of the key set.", list(trusting), plural(trusting, "it", "them"))
		}
	case !key.Published && len(only) > 0:
		reason("removed-too-early", "Was removed too early: %s still %s this key and not the signer's.", list(only), verb(only))
		next(only, "Let it sign again until %s %s the signer's key; publishing it alone helps nobody, because new tokens are not signed with it.", list(only), plural(only, "accepts", "accept"))
	case !key.Published && key.State != "next":
		reason("removed", "Is no longer published, and nobody needs it.")
	case key.Kid == set.Signer && len(rejecting) > 0:
		reason("signer-rejected", "Signs every new token, but %s %s it.", list(rejecting), plural(rejecting, "rejects", "reject"))
		next(rejecting, "%sBring this one to %s: deliver it again, or make %s fetch the key set.", signAgain(b, set), list(rejecting), plural(rejecting, "it", "them"))
	case key.Kid == set.Signer && len(unknown) > 0:
		reason("signer", "Signs every new token, so it stays. Whether %s %s it is unknown.", list(unknown), plural(unknown, "trusts", "trust"))
		next(unknown, "Find out why %s could not be asked; the table says what came back.", list(unknown))
	case key.Kid == set.Signer:
		reason("signer", "Signs every new token, so it stays; all %s trust it.", count(len(trusting), "service"))
		if !slices.ContainsFunc(set.Keys, func(k prunella.PublicKey) bool { return k.Kid != key.Kid && (k.Published || k.State == "next") }) {
			next(nil, "To rotate, publish the next key first. It may sign when every service here trusts it.")
		}
	case key.State == "next" && v.MayPromote:
		reason("may-promote", "May become the signer: all %s trust it.", count(len(trusting), "service"))
		next(nil, "When it is time to rotate, let it sign, and keep the present signer published until its last token has expired%s.", lifetime(set))
	case key.State == "next" && len(rejecting) > 0 && len(unknown) > 0:
		reason("not-promotable", "May not sign yet: %s %s it, and whether %s %s it is unknown.", list(rejecting), plural(rejecting, "rejects", "reject"), list(unknown), plural(unknown, "trusts", "trust"))
		next(append(slices.Clone(rejecting), unknown...), "Bring it to %s: deliver it again, or make %s fetch the key set. Find out why %s could not be asked.", list(rejecting), plural(rejecting, "it", "them"), list(unknown))
	case key.State == "next" && len(rejecting) > 0:
		reason("not-promotable", "May not sign yet: %s %s it.", list(rejecting), plural(rejecting, "rejects", "reject"))
		next(rejecting, "Bring it to %s: deliver it again, or make %s fetch the key set.", list(rejecting), plural(rejecting, "it", "them"))
	case key.State == "next" && !key.Published:
		reason("not-proven", "May not sign yet: it is not published.")
		next(nil, "Publish it, and wait until every service here trusts it.")
	case key.State == "next":
		reason("not-proven", "May not sign yet: whether %s %s it is unknown.", list(unknown), plural(unknown, "trusts", "trust"))
		next(unknown, "Find out why %s could not be asked; the table says what came back.", list(unknown))
	case set.Signer == "":
		reason("signer-unknown", "May not be removed yet: which key signs is unknown, because no token could be had.")
		next(nil, "See that client_id and client_secret of %s in the configuration are right, and that its token endpoint answers.", set.Issuer)
	case len(only) > 0:
		reason("still-needed", "May not be removed yet: %s still %s this key and not the signer's.", list(only), verb(only))
		next(only, "Bring the signer's key to %s: deliver it again, or make %s fetch the key set.", list(only), plural(only, "it", "them"))
	case len(unsure) > 0:
		reason("need-unknown", "May not be removed yet: whether %s %s the signer's key is unknown.", list(unsure), plural(unsure, "trusts", "trust"))
		next(unsure, "Find out why %s could not be asked; the table says what came back.", list(unsure))
	case key.LastSigned.IsZero() || set.TokenLifetime == 0:
		reason("tokens-may-live", "May not be removed yet: every service trusts the signer's key, but when the last token of this one expires is unknown.")
		next(nil, "Wait for as long as your longest token lives after this key last signed; then remove it.")
	case now.Before(expired):
		v.NotBefore = expired
		reason("tokens-alive", "May not be removed yet: every service trusts the signer's key, but tokens of this one live until %s UTC.", expired.UTC().Format(clockOrDay(now, expired)))
		next(nil, "Wait; nobody stands in the way.")
	default:
		v.MayRemove = true
		reason("may-remove", "May be removed: every service trusts the signer's key, and the last token of this one has expired.")
		next(nil, "Take it out of the published set.")
	}
	return v
}

// signAgain proposes to go back to a published key that every service trusts,
// "" when there is none.
func signAgain(b client.KeyBoard, set prunella.KeySet) string {
	for _, k := range inOrder(set) {
		trusting, rejecting, unknown := standing(b, set.Issuer, k.Kid)
		if k.Kid != set.Signer && k.State != "revoked" && k.State != "next" && len(trusting) > 0 && len(rejecting)+len(unknown) == 0 {
			return "Let " + short(k.Kid) + " sign again, which every service trusts. "
		}
	}
	return ""
}

// clockOrDay is the layout of a time to come: with its day when that is another.
func clockOrDay(now, t time.Time) string {
	if now.UTC().Format(time.DateOnly) == t.UTC().Format(time.DateOnly) {
		return time.TimeOnly
	}
	return time.DateTime
}

func lifetime(set prunella.KeySet) string {
	if set.TokenLifetime == 0 {
		return ""
	}
	return ", " + duration(set.TokenLifetime+clockSkew) + " later"
}

func verb(services []string) string { return plural(services, "verifies", "verify") }

func plural(of []string, one, many string) string {
	if len(of) == 1 {
		return one
	}
	return many
}

func cellsOf(b client.KeyBoard, issuer string) map[string]map[string]prunella.TrustCell {
	out := map[string]map[string]prunella.TrustCell{}
	for _, c := range b.Cells {
		if c.Issuer != issuer {
			continue
		}
		if out[c.Service] == nil {
			out[c.Service] = map[string]prunella.TrustCell{}
		}
		out[c.Service][c.Kid] = c
	}
	return out
}

// standing sorts the services by what they say of a key. Services that were
// never probed for this issuer, and do not verify its tokens as far as is
// known, are left out only when there is another issuer that they belong to.
func standing(b client.KeyBoard, issuer, kid string) (trusting, rejecting, unknown []string) {
	cells := cellsOf(b, issuer)
	for _, s := range servicesOf(b, issuer) {
		switch cells[s][kid].Trust {
		case prunella.Trusts:
			trusting = append(trusting, s)
		case prunella.Rejects:
			rejecting = append(rejecting, s)
		default:
			unknown = append(unknown, s)
		}
	}
	return trusting, rejecting, unknown
}

// needing returns the services that accept kid and not the signer's key, and
// those of whom that is not known.
func needing(b client.KeyBoard, set prunella.KeySet, kid string) (only, unsure []string) {
	cells := cellsOf(b, set.Issuer)
	for _, s := range servicesOf(b, set.Issuer) {
		signer, known := cells[s][set.Signer]
		switch {
		case known && signer.Trust == prunella.Trusts:
		case known && signer.Trust == prunella.Rejects:
			if cells[s][kid].Trust == prunella.Trusts {
				only = append(only, s)
			}
		default:
			unsure = append(unsure, s)
		}
	}
	return only, unsure
}

func servicesOf(b client.KeyBoard, issuer string) []string {
	elsewhere, here := map[string]bool{}, map[string]bool{}
	for _, c := range b.Cells {
		if c.Issuer == issuer {
			here[c.Service] = true
		} else {
			elsewhere[c.Service] = true
		}
	}
	var out []string
	for _, s := range b.Services {
		if here[s] || !elsewhere[s] {
			out = append(out, s)
			delete(here, s)
		}
	}
	var rest []string
	for s := range here {
		rest = append(rest, s)
	}
	sort.Strings(rest)
	return append(out, rest...)
}
