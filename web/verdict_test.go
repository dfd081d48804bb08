package web

import (
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/client"
)

// TestVerdicts: rows are what each service says of the old and of the new key
// (t trusts, r rejects, ? unknown), which key signs, and when the old one last
// did. A former signer that all trust may sign again: so a rotation is undone.
func TestVerdicts(t *testing.T) {
	now := time.Date(2026, 3, 29, 14, 0, 0, 0, time.UTC)
	patient := map[string]bool{"tokens-may-live": true, "signer-unknown": true} // nobody in the way, and no time is known
	for _, c := range []struct {
		name, old, fresh, signer string
		oldState, newState       string
		lastSigned               time.Duration // ago, 0 for unknown
		kid, want, says          string
		remove, promote          bool
	}{
		{name: "still verified by some alone", old: "ttt", fresh: "rtr", signer: "new", oldState: "previous", newState: "active", lastSigned: time.Minute, kid: "old", want: "still-needed", says: "May not be removed yet: a and c still verify this key and not the signer's.", promote: true},
		{name: "one alone", old: "ttt", fresh: "rtt", signer: "new", oldState: "previous", newState: "active", lastSigned: time.Minute, kid: "old", want: "still-needed", says: "a still verifies this key", promote: true},
		{name: "signer rejected", old: "ttt", fresh: "rtr", signer: "new", oldState: "previous", newState: "active", kid: "new", want: "signer-rejected", says: "a and c reject it"},
		{name: "nobody could ask one", old: "ttt", fresh: "t?t", signer: "new", oldState: "previous", newState: "active", lastSigned: 3 * time.Hour, kid: "old", want: "need-unknown", says: "whether b trusts the signer's key", promote: true},
		{name: "tokens alive", old: "ttt", fresh: "ttt", signer: "new", oldState: "previous", newState: "active", lastSigned: time.Minute, kid: "old", want: "tokens-alive", says: "15:00:00", promote: true},
		{name: "last signing unknown", old: "ttt", fresh: "ttt", signer: "new", oldState: "previous", newState: "active", kid: "old", want: "tokens-may-live", promote: true},
		{name: "may go", old: "ttt", fresh: "ttt", signer: "new", oldState: "previous", newState: "active", lastSigned: 2 * time.Hour, kid: "old", want: "may-remove", remove: true, promote: true},
		{name: "signer stays", old: "ttt", fresh: "ttt", signer: "new", oldState: "previous", newState: "active", kid: "new", want: "signer"},
		{name: "next accepted by all", old: "ttt", fresh: "ttt", signer: "old", oldState: "active", newState: "next", kid: "new", want: "may-promote", promote: true},
		{name: "next refused by one", old: "ttt", fresh: "ttr", signer: "old", oldState: "active", newState: "next", kid: "new", want: "not-promotable", says: "c rejects it"},
		{name: "next not asked everywhere", old: "ttt", fresh: "tt?", signer: "old", oldState: "active", newState: "next", kid: "new", want: "not-proven", says: "whether c trusts it"},
		{name: "removed while needed", old: "ttt", fresh: "rtt", signer: "new", oldState: "removed", newState: "active", kid: "old", want: "removed-too-early", says: "a still verifies this key and not the signer's"},
		{name: "removed in time", old: "rrr", fresh: "ttt", signer: "new", oldState: "removed", newState: "active", kid: "old", want: "removed"},
		{name: "no token to be had", old: "ttt", fresh: "ttt", signer: "", oldState: "previous", newState: "published", lastSigned: 3 * time.Hour, kid: "old", want: "signer-unknown", promote: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := client.KeyBoard{Services: []string{"a", "b", "c"}}
			set := prunella.KeySet{Issuer: "auth", Reachable: true, Signer: c.signer, TokenLifetime: time.Hour}
			set.Keys = []prunella.PublicKey{{Kid: "old", State: c.oldState, Published: c.oldState != "removed"}, {Kid: "new", State: c.newState, Published: true}}
			if c.lastSigned > 0 {
				set.Keys[0].LastSigned = now.Add(-c.lastSigned)
			}
			b.Sets = []prunella.KeySet{set}
			for kid, row := range map[string]string{"old": c.old, "new": c.fresh} {
				for i, r := range row {
					trust := map[rune]prunella.Trust{'t': prunella.Trusts, 'r': prunella.Rejects, '?': prunella.TrustUnknown}[r]
					b.Cells = append(b.Cells, prunella.TrustCell{Service: b.Services[i], Issuer: "auth", Kid: kid, Trust: trust})
				}
			}
			for _, v := range verdicts(b, now) {
				if v.Kid != c.kid {
					continue
				}
				if (v.Next == "") != (c.want == "removed" || c.want == "signer") || strings.Contains(v.Reason.Text, "yet") && len(v.BlockedBy) == 0 && v.NotBefore.IsZero() && !patient[c.want] {
					t.Errorf("what is in the way, and the next step: %+v", v)
				}
				if v.Reason.Name != c.want || v.MayRemove != c.remove || v.MayPromote != c.promote || !strings.Contains(v.Reason.Text, c.says) {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}

// TestPlotShowsGaps: silence is a gap in the curve, never a zero, and a sum
// counts every service.
func TestPlotShowsGaps(t *testing.T) {
	from := time.Date(2026, 3, 29, 14, 0, 0, 0, time.UTC)
	var points []prunella.SeriesPoint
	for i := range 60 {
		if i >= 20 && i < 40 {
			continue
		}
		for _, s := range []string{"a", "b"} {
			points = append(points, prunella.SeriesPoint{Service: s, Name: "errors.401", At: from.Add(time.Duration(i) * time.Second), Value: 2})
		}
	}
	p := ratePlot(points, nil, from, from.Add(time.Minute), []plotMark{{At: from.Add(10 * time.Second), Class: "action", Sign: "1"}, {At: from.Add(11 * time.Second), Class: "action", Sign: "2"}, {At: from.Add(-time.Second), Class: "onset"}})
	if len(p.Curves) != 1 || strings.Count(p.Curves[0].Path, "M") != 2 || p.Curves[0].Last != "4" {
		t.Errorf("curves %+v", p.Curves)
	}
	if len(p.Signs) != 1 || p.Signs[0].Sign != "1–2" || len(p.Marks) != 2 {
		t.Errorf("signs %+v, marks %+v", p.Signs, p.Marks)
	}
	if p := ratePlot(nil, nil, from, from.Add(time.Minute), nil); p.Empty == "" {
		t.Error("a plot of nothing says so")
	}
}

// TestGraphSurvivesCycles: services that call each other in a ring still get places of their own.
func TestGraphSurvivesCycles(t *testing.T) {
	g := client.Graph{Services: []client.GraphService{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "alone"}},
		Edges: []prunella.Edge{{From: "a", To: "b"}, {From: "b", To: "c"}, {From: "c", To: "a"}, {From: "b", To: "b"}}}
	v := drawGraph(g, prunella.Incident{}, time.Now())
	places := map[[2]int]string{}
	for _, n := range v.Nodes {
		if other, taken := places[[2]int{n.X, n.Y}]; taken {
			t.Errorf("%s stands on %s", n.Name, other)
		}
		places[[2]int{n.X, n.Y}] = n.Name
		if n.X < 0 || n.Y < 0 || n.X+nodeWidth > v.Width || n.Y+nodeHeight > v.Height {
			t.Errorf("%s at %d,%d is outside %d×%d", n.Name, n.X, n.Y, v.Width, v.Height)
		}
	}
	if len(places) != 4 || len(v.Edges) != 4 {
		t.Errorf("%d places, %d edges", len(places), len(v.Edges))
	}
}
