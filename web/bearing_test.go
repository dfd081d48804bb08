package web

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"prunella"
	"prunella/client"
)

// TestPagesTellHowItStandsNow: what is over is not told as if it went on, what
// was not measured has no figure, nobody is said to be on it who is not, and
// what no receiver took was not delivered.
func TestPagesTellHowItStandsNow(t *testing.T) {
	healed := func(inc *prunella.Incident, at time.Time) {
		for i := range inc.Impact {
			inc.Impact[i].Share, inc.Impact[i].Trend, inc.Impact[i].QuietSince = inc.Impact[i].Baseline, "recovered", at
		}
	}
	for name, c := range map[string]struct {
		change      func(v *client.IncidentView, now time.Time)
		says, never []string
		overview    string
	}{
		"a step failed after the bleeding stopped": {
			change: func(v *client.IncidentView, now time.Time) {
				v.Incident.State, v.Incident.StateReason = prunella.Escalated, prunella.Reason{Name: "step-failed", Text: "a step failed"}
				v.Incident.StateAt[prunella.Escalated] = now.Add(-20 * time.Second)
				healed(&v.Incident, now.Add(-30*time.Second))
				v.Notifications = []prunella.Notification{{ID: "n", To: "@oncall", Kind: "escalated", Sent: now, Tries: 1, LastErr: "no receiver is configured under notify.webhooks"}}
			},
			says:     []string{"It waits for a person", "I am on it", "Now ✓ nothing fails any more", "all 4 services are back to normal, for 30 s", "Severity at its worst: 92 %", "The spread has ended.", "Nobody was told: no receiver is configured", "✓ recovered"},
			never:    []string{"It is growing", "may be next", "delivered 0 s ago", "delivered now", "A person holds it"},
			overview: "It waits for a person, and nothing is done meanwhile.",
		},
		"a person took it": {
			change: func(v *client.IncidentView, now time.Time) {
				v.Incident.State, v.Incident.StateReason = prunella.Escalated, prunella.Reason{Name: "taken-by-person", Text: "maya: mine", Operands: map[string]string{"by": "maya", "given_up": "a step failed"}}
				v.Incident.StateAt[prunella.Escalated] = now
			},
			says:     []string{"maya is on it", "Before that the engine gave it up: a step failed", "Now ✕ failing", "92 % of requests to user, 91 % of requests to order, 92 % of requests to search and 1 more service, as last measured"},
			never:    []string{"Nobody was told", "It waits for a person", "I am on it"},
			overview: "Maya is on it.",
		},
		"nothing is measured yet": {
			change: func(v *client.IncidentView, now time.Time) {
				v.Incident.State = prunella.Open
				v.Incident.StateAt = map[prunella.State]time.Time{prunella.Open: now}
				v.Incident.Impact = []prunella.Impact{{Service: "user", Since: now}, {Service: "order", Since: now}}
				v.Incident.Causes, v.Runs = nil, nil
			},
			says:     []string{"not measured yet: user and order", "✕ failing", "Next the search for the cause"},
			never:    []string{"0 % failing", "0 of 0"},
			overview: "Prunella is on it.",
		},
		"it grows while it is healed": {
			change: func(v *client.IncidentView, now time.Time) {
				healed(&v.Incident, now.Add(-30*time.Second))
				v.Incident.Impact = append(v.Incident.Impact, prunella.Impact{Service: "gateway", Share: 0.4, Failed: 40, Total: 100, Trend: "rising", Since: now.Add(-10 * time.Second)})
			},
			says:     []string{"40 % of requests to gateway, as last measured; 4 of 5 services back to normal", "Since the heal began gateway (", "gateway fails too"},
			overview: "Prunella is on it.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.incidents = w.incidents[:1]
			v := &w.incidents[0]
			c.change(v, w.start)
			site := serve(t, w)
			_, page := fetch(t, site+"/incidents/"+string(v.Incident.ID))
			checkSound(t, page)
			wants(t, page, c.says...)
			for _, text := range c.never {
				if strings.Contains(visible(page), text) {
					t.Errorf("the page says %q", text)
				}
			}
			_, now := fetch(t, site+"/")
			wants(t, now, c.overview)
		})
	}
}

func TestFirstSentence(t *testing.T) {
	for text, want := range map[string][2]string{
		"One. Two. Three.":              {"One.", "Two. Three."},
		"Only one":                      {"Only one", ""},
		"It waits 3 s. then 4. Then 5.": {"It waits 3 s. then 4.", "Then 5."},
		"Ends so. ":                     {"Ends so. ", ""},
		"":                              {"", ""},
		"Schlüssel fehlt. Überall.":     {"Schlüssel fehlt.", "Überall."},
	} {
		if first, rest := firstSentence(text); first != want[0] || rest != want[1] {
			t.Errorf("%q: %q and %q", text, first, rest)
		}
	}
}

// TestLongKeyIDsAreShortened: a kid is often a thumbprint of 43 characters. In a
// sentence it is shortened; whole it stands only in code, to be copied.
func TestLongKeyIDsAreShortened(t *testing.T) {
	w := newWorld()
	swap := strings.NewReplacer(newKid, "xa0S0Zem4zamtTwJeMRURSb_ICTklGEES3kHymkOJtc", oldKid, "URGezL__1Cv8ZWy0X_fZpIRA8gGMSGvadso2za0_U20")
	for i := range w.incidents {
		w.incidents[i] = spelled(t, w.incidents[i], swap)
	}
	w.incidents[2].Incident.StateReason.Text = swap.Replace("the delivery of key " + newKid + " failed")
	w.board = spelled(t, w.board, swap)
	for i := range w.reports {
		w.reports[i] = spelled(t, w.reports[i], swap)
	}
	site := serve(t, w)
	for _, path := range []string{"/", "/incidents", "/incidents/inc-01jq8x4m2k", "/incidents/inc-01jq8wz03t", "/incidents/inc-01jq8sd11a", "/incidents/inc-01jq8e5r7w", "/keys", "/reports/rep-01jq8k2v5n"} {
		_, page := fetch(t, site+path)
		doc, err := html.Parse(strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		for n := range doc.Descendants() {
			if n.Type == html.TextNode && longID.MatchString(n.Data) && !inside(n, "code", "pre", "title") {
				t.Errorf("%s: %q", path, strings.TrimSpace(n.Data))
			}
		}
	}
}

func inside(n *html.Node, names ...string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if slices.Contains(names, p.Data) || slices.ContainsFunc(p.Attr, func(a html.Attribute) bool { return a.Key == "class" && (a.Val == "sigs" || a.Val == "msg") }) {
			return true
		}
	}
	return false
}

// spelled is v with other names in it.
func spelled[V any](t *testing.T, v V, swap *strings.Replacer) (out V) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal([]byte(swap.Replace(string(b))), &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}
