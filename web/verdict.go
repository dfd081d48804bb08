package web

import (
	"fmt"
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
	switch {
	case key.State == "revoked":
		reason("revoked", "Is revoked: no verifier may accept it again.")
	case !key.Published && len(only) > 0:
		reason("removed-too-early", "Was removed too early: %s still %s only this key.", list(only), verb(only))
	case !key.Published && key.State != "next":
		reason("removed", "Is no longer published, and nobody needs it.")
	case key.Kid == set.Signer && len(rejecting) > 0:
		reason("signer-rejected", "Signs every new token, but %s %s it.", list(rejecting), plural(rejecting, "rejects", "reject"))
	case key.Kid == set.Signer && len(unknown) > 0:
		reason("signer", "Signs every new token, so it stays. Whether %s %s it is unknown.", list(unknown), plural(unknown, "trusts", "trust"))
	case key.Kid == set.Signer:
		reason("signer", "Signs every new token, so it stays; all %s trust it.", count(len(trusting), "service"))
	case key.State == "next" && v.MayPromote:
		reason("may-promote", "May become the signer: all %s trust it.", count(len(trusting), "service"))
	case key.State == "next" && len(rejecting) > 0:
		reason("not-promotable", "May not sign yet: %s %s it.", list(rejecting), plural(rejecting, "rejects", "reject"))
	case key.State == "next":
		reason("not-proven", "May not sign yet: whether %s %s it is unknown.", list(unknown), plural(unknown, "trusts", "trust"))
	case set.Signer == "":
		reason("signer-unknown", "May not be removed yet: which key signs is unknown, because no token could be had.")
	case len(only) > 0:
		reason("still-needed", "May not be removed yet: %s still %s only this key.", list(only), verb(only))
	case len(unsure) > 0:
		reason("need-unknown", "May not be removed yet: whether %s %s the signer's key is unknown.", list(unsure), plural(unsure, "trusts", "trust"))
	case key.LastSigned.IsZero() || set.TokenLifetime == 0:
		reason("tokens-may-live", "May not be removed yet: every service trusts the signer's key, but when the last token of this one expires is unknown.")
	case now.Before(expired):
		reason("tokens-alive", "May not be removed yet: every service trusts the signer's key, but tokens of this one live until %s UTC.", expired.UTC().Format("15:04:05"))
	default:
		v.MayRemove = true
		reason("may-remove", "May be removed: every service trusts the signer's key, and the last token of this one has expired.")
	}
	return v
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
