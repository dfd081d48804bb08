package web

import (
	"net/http"
	"sort"
	"time"

	"prunella"
	"prunella/client"
)

// keysPage answers: who trusts which key, and may I remove the old one?
type keysPage struct {
	Issuers []issuerBoard
}

type issuerBoard struct {
	Set      prunella.KeySet
	Headline prunella.Reason
	Tone     string
	Next     string
	At       time.Time  // from which the headline's answer is another one; zero when that is not a matter of time
	Keys     []boardKey // what is published, next, or needed
	Past     []boardKey // the rest
	Rows     []boardRow
}

type boardKey struct {
	Key     prunella.PublicKey
	Signer  bool
	State   string
	Verdict client.KeyVerdict
}

type boardRow struct {
	Service string
	Cells   []boardCell
}

type boardCell struct {
	Cell   prunella.TrustCell // Trust is TrustUnknown when it was never probed
	Mark   mark
	Probed bool
}

func (s *server) keys(r *http.Request, now time.Time) (view, error) {
	b, err := s.backend.Keys(r.Context())
	if err != nil {
		return view{}, err
	}
	p := keysPage{}
	for _, set := range b.Sets {
		p.Issuers = append(p.Issuers, boardOf(b, set, now))
	}
	return view{Template: "keys", Title: "Keys", Nav: "keys", Topics: "keys", Body: p}, nil
}

func boardOf(b client.KeyBoard, set prunella.KeySet, now time.Time) issuerBoard {
	set.Keys = inOrder(set)
	out := issuerBoard{Set: set}
	cells := cellsOf(b, set.Issuer)
	for _, k := range set.Keys {
		one := boardKey{Key: k, Signer: k.Kid == set.Signer, State: keyState(k, set), Verdict: judge(b, set, k, now)}
		if name := one.Verdict.Reason.Name; name == "removed" || name == "revoked" && len(one.Verdict.BlockedBy) == 0 {
			out.Past = append(out.Past, one)
			continue
		}
		out.Keys = append(out.Keys, one)
	}
	for _, s := range servicesOf(b, set.Issuer) {
		row := boardRow{Service: s}
		for _, one := range out.Keys {
			k := one.Key
			c, ok := cells[s][k.Kid]
			if !ok {
				c = prunella.TrustCell{Service: s, Kid: k.Kid, Trust: prunella.TrustUnknown}
			}
			row.Cells = append(row.Cells, boardCell{Cell: c, Mark: cellMark(c.Trust, k, set), Probed: ok})
		}
		out.Rows = append(out.Rows, row)
	}
	said := headlineOf(out)
	out.Headline, out.Tone, out.Next, out.At = said.reason, said.tone, said.next, said.at
	return out
}

type headlineSaid struct {
	reason prunella.Reason
	tone   string
	next   string
	at     time.Time
}

// inOrder puts what matters first: the signer, then what is published, then
// the rest; newest first in each.
func inOrder(set prunella.KeySet) []prunella.PublicKey {
	rank := func(k prunella.PublicKey) int {
		switch {
		case k.Kid == set.Signer:
			return 0
		case k.State == "next":
			return 1
		case k.Published:
			return 2
		}
		return 3
	}
	out := append([]prunella.PublicKey(nil), set.Keys...)
	sort.SliceStable(out, func(i, j int) bool {
		if a, b := rank(out[i]), rank(out[j]); a != b {
			return a < b
		}
		return out[i].FirstSeen.After(out[j].FirstSeen)
	})
	return out
}

// cellMark has the tone that the answer deserves for this key: a removed key
// should be refused, a next one may still be, the signer's may not.
func cellMark(t prunella.Trust, k prunella.PublicKey, set prunella.KeySet) mark {
	m := trustMarks.of(t)
	gone := k.Kid != set.Signer && !k.Published && k.State != "next"
	switch {
	case k.State == "revoked" && t == prunella.Trusts:
		m.Tone = "bad"
	case gone:
		m.Tone = "quiet"
	case t == prunella.Rejects && k.Kid != set.Signer:
		m.Tone = "warn"
	}
	return m
}

func keyState(k prunella.PublicKey, set prunella.KeySet) string {
	switch {
	case k.Kid == set.Signer:
		return "signer"
	case k.State != "":
		return k.State
	case k.Published:
		return "published"
	}
	return "removed"
}

// headlineOf is the board's answer in one sentence: the worst that is true,
// else what may be done.
func headlineOf(b issuerBoard) headlineSaid {
	if !b.Set.Reachable {
		return headlineSaid{reason: prunella.Reason{Name: "unreachable", Text: "The key set cannot be fetched: " + b.Set.Error}, tone: "bad",
			next: "Services live on the copies that they hold. Bring " + b.Set.URL + " back before those expire, and rotate nothing until then."}
	}
	ranks := []struct{ name, tone string }{
		{"signer-rejected", "bad"}, {"removed-too-early", "bad"}, {"still-needed", "warn"}, {"signer-unknown", "warn"}, {"need-unknown", "warn"},
		{"not-promotable", "warn"}, {"not-proven", "warn"}, {"tokens-alive", "plain"}, {"tokens-may-live", "plain"}, {"may-remove", "good"}, {"may-promote", "good"}, {"signer", "good"},
	}
	for _, rank := range ranks {
		for _, k := range b.Keys {
			if k.Verdict.Reason.Name != rank.name {
				continue
			}
			r := k.Verdict.Reason
			r.Text = short(k.Key.Kid) + " " + lowerFirst(r.Text)
			tone := rank.tone
			if tone == "good" && len(k.Verdict.BlockedBy) > 0 {
				tone = "warn"
			}
			return headlineSaid{r, tone, k.Verdict.Next, k.Verdict.NotBefore}
		}
	}
	return headlineSaid{reason: prunella.Reason{Name: "no-keys", Text: "The issuer publishes no key."}, tone: "bad", next: "Publish the key that signs."}
}

func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]+'a'-'A') + s[1:]
}
