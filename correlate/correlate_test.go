package correlate_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/correlate"
)

var epoch = time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)

// shop is a world of two issuers: gateway calls order calls payment; user and
// search stand alone; till verifies the tokens of another issuer.
var shop = correlate.NewGraph(prunella.Inventory{
	Services: []prunella.Service{
		{Name: "gateway", Issuer: "auth", Calls: []string{"order"}, Criticality: "high"},
		{Name: "order", Issuer: "auth", Calls: []string{"payment"}},
		{Name: "payment", Issuer: "auth"},
		{Name: "user", Issuer: "auth"},
		{Name: "search", Issuer: "auth"},
		{Name: "till", Issuer: "partner"},
	},
	Issuers: []prunella.Issuer{{Name: "auth"}, {Name: "partner"}},
}, []prunella.Edge{{From: "gateway", To: "user"}, {From: "order", To: "payment"}})

func at(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

// finding reads "service status onset-seconds tokens…".
func finding(rule, service, status string, onset float64, tokens ...string) prunella.Finding {
	return prunella.Finding{Rule: rule, Service: service, Status: status, Onset: at(onset), Time: at(onset + 2), Tokens: tokens}
}

func spike(service, status string, onset float64, tokens ...string) prunella.Finding {
	return finding(prunella.RuleErrorRate, service, status, onset, tokens...)
}

func incident(id string, onset float64, status string, tokens []string, services ...string) prunella.Incident {
	inc := prunella.Incident{ID: prunella.IncidentID(id), State: prunella.Open, Onset: at(onset), UpdatedAt: at(onset + 2), Tokens: tokens, Statuses: []string{status}}
	for _, s := range services {
		inc.Impact = append(inc.Impact, prunella.Impact{Service: s, Share: 1, Since: at(onset)})
	}
	return inc
}

func TestAssign(t *testing.T) {
	open := incident("A", 0, "401", []string{"kid:k2", "host:h1", "change:auth/k2"}, "order")
	other := incident("B", 600, "5xx", nil, "stock")
	done := incident("D", -900, "401", []string{"kid:k1"}, "user")
	done.State, done.ResolvedAt = prunella.Resolved, at(-300)
	long := incident("L", -9000, "401", []string{"kid:k0"}, "till")
	long.State, long.ResolvedAt = prunella.Resolved, at(-8000)
	all := []prunella.Incident{other, open, done, long}
	for _, c := range []struct {
		name string
		f    prunella.Finding
		now  float64
		want string // what, incident, reason
	}{
		{"nothing in common", spike("till", "5xx", 300), 310, "open unrelated"},
		{"the same service, at once", spike("order", "5xx", 100), 110, "join A same-service"},
		{"the same service, another failure later", spike("order", "5xx", 400), 410, "open unrelated"},
		{"the same service, the same failure later", spike("order", "401", 400), 410, "join A same-service"},
		{"the same service, the same failure when all had long been still", spike("order", "401", 5000), 5010, "open unrelated"},
		{"the same service, another key later", spike("order", "401", 400, "kid:k7"), 410, "open unrelated"},
		{"the same key, far in the graph", spike("search", "401", 30, "kid:k2"), 40, "join A shared-token"},
		{"the same key, much later", spike("payment", "401", 5000, "kid:k2"), 5010, "open unrelated"},
		{"a change before both", spike("till", "401", 20, "change:auth/k2"), 30, "join A shared-token"},
		{"a change, but another kind of failure", spike("till", "5xx", 20, "change:auth/k2"), 30, "open unrelated"},
		{"the same host", spike("till", "5xx", 20, "host:h1"), 30, "join A shared-host"},
		{"the same host, later", spike("till", "5xx", 900, "host:h1"), 910, "open unrelated"},
		{"a caller", spike("gateway", "5xx", 5), 10, "join A graph-neighbour"},
		{"a caller, later", spike("gateway", "5xx", 500), 510, "open unrelated"},
		{"no neighbour, the same status and onset", spike("search", "403", 5), 10, "join A same-status-onset"},
		{"the same, but another issuer", spike("till", "401", 5), 10, "open unrelated"},
		{"the same, but another key", spike("search", "401", 5, "kid:k9"), 10, "open unrelated"},
		{"the same onset, another status", spike("search", "5xx", 5), 10, "open unrelated"},
		{"two open ones: the stronger bond", spike("stock", "401", 601, "kid:k2"), 610, "join B same-service"},
		{"a text supports", finding(prunella.RuleErrorLog, "payment", "401", 20), 30, "join A graph-neighbour"},
		{"a text alone", finding(prunella.RuleErrorLog, "till", "", 300), 310, "ignore supports-only"},
		{"an end", finding(prunella.RuleRecovered, "order", "401", 0), 310, "join A same-service"},
		{"an end of nothing", finding(prunella.RuleRecovered, "till", "401", 0), 310, "ignore nothing-to-recover"},
		{"it came back", spike("user", "401", 700), 710, "reopen D recurrence"},
		{"it came back elsewhere, with the key", spike("search", "401", -200, "kid:k1"), -190, "reopen D recurrence"},
		{"too long ago to be the same", spike("till", "401", 0), 10, "open unrelated"},
		{"a late echo", finding(prunella.RuleAlert, "user", "401", -600), 400, "ignore echo-of-resolved"},
		{"a late echo of the rate", spike("user", "401", -400), -290, "ignore echo-of-resolved"},
		{"no service at all", finding(prunella.RuleAlert, "", "401", 5, "kid:k2"), 10, "join A shared-token"},
	} {
		d := correlate.Assign(c.f, all, shop, at(c.now), correlate.Default())
		got := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", d.Do, d.Join, d.Reason.Name)), " ")
		if got != c.want {
			t.Errorf("%s: %s, want %s (%s)", c.name, got, c.want, d.Reason.Text)
		}
		if d.Reason.Text == "" || len(d.Reason.Operands) == 0 {
			t.Errorf("%s: the reason says nothing", c.name)
		}
	}
}

// What a person holds takes in what goes on, what begins with it and what a heal
// causes, and nothing else of the same service.
func TestSameServiceOtherFailure(t *testing.T) {
	held := incident("A", 0, "401", []string{"kid:k2", "says:key", "change:deploy/order/v2"}, "order", "user")
	held.State = prunella.Escalated
	healing := held
	healing.State = prunella.Healing
	hours := held
	hours.UpdatedAt = at(7200) // it fails still
	calm := hours
	calm.Impact = []prunella.Impact{{Service: "order", Since: at(0), QuietSince: at(600)}}
	for _, c := range []struct {
		name string
		inc  prunella.Incident
		f    prunella.Finding
		want correlate.Do
		why  string
	}{
		{"goes on", hours, spike("order", "401", 0, "kid:k2", "says:key"), correlate.Join, "they began together"},
		{"server errors an hour later", hours, spike("order", "5xx", 3600), correlate.Open, ""},
		{"the same an hour later", hours, spike("order", "401", 3600, "says:key"), correlate.Join, "it fails in the same way"},
		{"the same, when it was still for hours", calm, spike("order", "401", 7000, "says:key"), correlate.Open, ""},
		{"clocks, later", hours, spike("order", "401", 700, "kid:k2", "says:time"), correlate.Open, ""},
		{"server errors of the release before both", held, spike("order", "5xx", 700, "change:deploy/order/v2"), correlate.Join, "both have change:deploy/order/v2"},
		{"server errors of a restart that heals", healing, spike("order", "5xx", 700), correlate.Join, "it is being healed"},
		{"an alert that tells no status", held, finding(prunella.RuleAlert, "order", "", 700), correlate.Join, "it fails in the same way"},
	} {
		d := correlate.Assign(c.f, []prunella.Incident{c.inc}, shop, c.f.Time, correlate.Default())
		if d.Do != c.want || d.Reason.Operands["why"] != c.why {
			t.Errorf("%s: %s, %s, want %s, %q", c.name, d.Do, d.Reason.Text, c.want, c.why)
		}
	}
	other := incident("B", 700, "5xx", nil, "order")
	d := correlate.Assign(spike("order", "5xx", 705), []prunella.Incident{held, other}, shop, at(710), correlate.Default())
	if d.Join != "B" {
		t.Errorf("of two incidents of the service it joins %q", d.Join)
	}
}

// Failures that texts blame on different things are apart, though they begin
// together at one issuer; the same failure in other words is one.
func TestBlamesKeepFailuresApart(t *testing.T) {
	for _, c := range []struct {
		name    string
		inc, f  []string
		service string // order calls payment; search stands alone
		want    correlate.Do
	}{
		{"a lacking key and a clock", []string{"says:key"}, []string{"says:time"}, "search", correlate.Open},
		{"the same canary key named by both", []string{"says:key", "kid:k2"}, []string{"says:time", "kid:k2"}, "search", correlate.Open},
		{"a key change before both", []string{"says:key", "change:auth/k2"}, []string{"says:audience", "change:auth/k2"}, "search", correlate.Open},
		{"neighbours", []string{"says:key"}, []string{"says:time"}, "payment", correlate.Open},
		{"one trace", []string{"says:key", "trace:0af7651916cd43dd"}, []string{"says:time", "trace:0af7651916cd43dd"}, "search", correlate.Join},
		{"audience and issuer", []string{"says:audience"}, []string{"says:issuer"}, "search", correlate.Open},
		{"a wrong signature, nothing shared", []string{"says:key"}, []string{"says:signature"}, "search", correlate.Open},
		{"a wrong signature, one key change", []string{"says:key", "change:auth/k2"}, []string{"says:signature", "change:auth/k2"}, "search", correlate.Join},
		{"a flood of kids, each library in its words", []string{"says:key", "kid:a1", "kid:a2", "kid:a3"}, []string{"says:signature", "kid:b1", "kid:b2", "kid:b3"}, "search", correlate.Join},
		{"a flood of kids, and who names none", []string{"says:key", "kid:a1", "kid:a2", "kid:a3"}, []string{"says:signature"}, "search", correlate.Join},
		{"a flood of kids, and tokens forged for one key", []string{"says:key", "kid:a1", "kid:a2", "kid:a3"}, []string{"says:signature", "kid:k2"}, "search", correlate.Open},
		{"a flood of kids, and a clock", []string{"says:key", "kid:a1", "kid:a2", "kid:a3"}, []string{"says:time", "kid:b1", "kid:b2", "kid:b3"}, "search", correlate.Open},
		{"both words", []string{"says:key", "says:signature"}, []string{"says:signature"}, "search", correlate.Join},
		{"nothing said", []string{"says:key"}, nil, "search", correlate.Join},
	} {
		for _, swap := range []bool{false, true} {
			a, b := c.inc, c.f
			if swap {
				a, b = b, a
			}
			d := correlate.Assign(spike(c.service, "401", 3, b...), []prunella.Incident{incident("A", 0, "401", a, "order")}, shop, at(10), correlate.Default())
			if d.Do != c.want {
				t.Errorf("%s, swapped %v: %s (%s)", c.name, swap, d.Do, d.Reason.Text)
			}
		}
	}
}

// A failure that blames nothing yet does not join one that blames something for
// good, nor the other way round: it waits until its texts came.
func TestWaitsForWhatTextsBlame(t *testing.T) {
	pending := spike("search", "401", 3)
	pending.Attrs = map[string]string{"blame": "pending"}
	keys := incident("A", 0, "401", []string{"says:key"}, "order")
	keys.OpenedAt = at(5)
	blank := incident("A", 0, "401", nil, "order")
	blank.OpenedAt = at(5)
	for _, c := range []struct {
		name string
		f    prunella.Finding
		inc  prunella.Incident
		now  float64
		want correlate.Do
	}{
		{"nothing told yet", pending, keys, 6, correlate.Ignore},
		{"another blame came", spike("search", "401", 3, "says:time"), keys, 8, correlate.Open},
		{"the same blame came", spike("search", "401", 3, "says:key"), keys, 8, correlate.Join},
		{"no blame came", spike("search", "401", 3), keys, 30, correlate.Join},
		{"neither tells anything", pending, blank, 6, correlate.Join},
		{"the incident has told nothing yet", spike("search", "401", 3, "says:time"), blank, 8, correlate.Ignore},
		{"the incident tells nothing", spike("search", "401", 3, "says:time"), blank, 30, correlate.Join},
		{"one of the incident's services", func() prunella.Finding { f := pending; f.Service = "order"; return f }(), keys, 6, correlate.Join},
		{"no other failure", pending, incident("B", 0, "5xx", nil, "till"), 6, correlate.Open},
	} {
		if d := correlate.Assign(c.f, []prunella.Incident{c.inc}, shop, at(c.now), correlate.Default()); d.Do != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, d.Do, d.Reason.Text, c.want)
		}
	}
}

// fold is what a pipeline does with the decisions.
func fold(findings []prunella.Finding, g correlate.Graph, cfg correlate.Config) []prunella.Incident {
	var open []prunella.Incident
	for _, f := range findings {
		d := correlate.Assign(f, open, g, f.Time, cfg)
		i := slices.IndexFunc(open, func(inc prunella.Incident) bool { return inc.ID == d.Join })
		if d.Do == correlate.Open {
			open = append(open, prunella.Incident{ID: prunella.IncidentID(fmt.Sprintf("i%d", len(open))), State: prunella.Open, Onset: f.Onset})
			i = len(open) - 1
		}
		if i < 0 {
			continue
		}
		inc := &open[i]
		if f.Onset.Before(inc.Onset) {
			inc.Onset = f.Onset
		}
		if !slices.ContainsFunc(inc.Impact, func(im prunella.Impact) bool { return im.Service == f.Service }) {
			inc.Impact = append(inc.Impact, prunella.Impact{Service: f.Service, Since: f.Onset})
		}
		inc.Tokens = append(inc.Tokens, f.Tokens...)
		inc.Statuses = append(inc.Statuses, f.Status)
	}
	return open
}

func TestOneKeyChangeIsOneIncident(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 200 {
		var fs []prunella.Finding
		for _, s := range []string{"gateway", "order", "payment", "user", "search"} {
			f := spike(s, "401", rng.Float64()*3)
			if rng.Intn(2) == 0 { // not every verifier names the key
				f.Tokens = []string{"kid:k2"}
			}
			fs = append(fs, f)
		}
		rng.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
		if got := fold(fs, shop, correlate.Default().Scaled(20)); len(got) != 1 {
			t.Fatalf("%d incidents of %v", len(got), fs)
		}
	}
}

func TestTwoFailuresStayTwo(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	g := correlate.NewGraph(prunella.Inventory{Services: []prunella.Service{
		{Name: "a", Calls: []string{"b"}}, {Name: "b"}, {Name: "x", Calls: []string{"y"}}, {Name: "y"}}}, nil)
	for range 200 {
		var fs []prunella.Finding
		for i := range 8 {
			fs = append(fs, spike([]string{"a", "b"}[i%2], "401", rng.Float64()*2, "kid:k2"), spike([]string{"x", "y"}[i%2], "5xx", 3+rng.Float64()*2, "trace:0af7651916cd43dd8448eb211c80319c"))
		}
		rng.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
		got := fold(fs, g, correlate.Default().Scaled(20))
		if len(got) != 2 {
			t.Fatalf("%d incidents", len(got))
		}
	}
}

func TestMessagesAreOneIncident(t *testing.T) {
	fs := []prunella.Finding{
		finding(prunella.RuleErrorMessage, "auth", "401", 0, "kid:k-2026"),
		finding(prunella.RuleErrorMessage, "user", "401", 1, "kid:k-2026", "kid:k-2025"),
		finding(prunella.RuleErrorMessage, "order", "401", 2),
	}
	if got := fold(fs, correlate.NewGraph(prunella.Inventory{}, nil), correlate.Default()); len(got) != 1 || len(got[0].Impact) != 3 {
		t.Errorf("%d incidents", len(got))
	}
}

func TestSeverity(t *testing.T) {
	hit := func(share float64, n int, crit string) (out []prunella.Impact) {
		for i := range n {
			out = append(out, prunella.Impact{Service: fmt.Sprintf("s%d", i), Share: share, Baseline: 0.005, Criticality: crit})
		}
		return out
	}
	for _, c := range []struct {
		in   correlate.SeverityInput
		want string
	}{
		{correlate.SeverityInput{Impacts: hit(1, 4, "normal"), Services: 7}, "critical most-requests"},
		{correlate.SeverityInput{Impacts: hit(1, 2, "normal"), Services: 7}, "critical most-requests"},
		{correlate.SeverityInput{Impacts: hit(0.6, 1, "high"), Services: 7}, "critical most-requests"},
		{correlate.SeverityInput{Impacts: hit(0.25, 4, "normal"), Services: 7}, "critical half-of-services"},
		{correlate.SeverityInput{Impacts: hit(1, 1, "normal")}, "critical half-of-services"},
		{correlate.SeverityInput{Impacts: hit(1, 1, "normal"), Services: 7}, "high many-requests"},
		{correlate.SeverityInput{Impacts: hit(0.3, 1, "low"), Services: 7}, "high many-requests"},
		{correlate.SeverityInput{Impacts: hit(0.35, 1, "normal"), Services: 2}, "critical half-of-services"},
		{correlate.SeverityInput{Impacts: hit(0.35, 1, "normal"), Services: 2, Beside: []string{"s0"}}, "high many-requests"}, // the issuer alone
		{correlate.SeverityInput{Impacts: hit(0.35, 2, "normal"), Services: 2, Beside: []string{"s0"}}, "critical half-of-services"},
		{correlate.SeverityInput{Impacts: hit(0.06, 1, "high"), Services: 7}, "high many-requests"},
		{correlate.SeverityInput{Impacts: hit(0.1, 2, "normal"), Services: 7, Rising: true}, "high rising"},
		{correlate.SeverityInput{Impacts: hit(0.1, 2, "normal"), Services: 7}, "warning some-requests"},
		{correlate.SeverityInput{Impacts: hit(0.03, 1, "normal"), Services: 7}, "low few-requests"},
		{correlate.SeverityInput{Impacts: hit(0.2, 2, "normal"), Services: 7, FullBy: time.Unix(1e9, 0)}, "critical bound-to-fail"},
		{correlate.SeverityInput{Impacts: hit(0.06, 1, "high"), Services: 7, FullBy: time.Unix(1e9, 0)}, "critical bound-to-fail"},
		{correlate.SeverityInput{Impacts: hit(0.06, 1, "normal"), Services: 7, FullBy: time.Unix(1e9, 0)}, "warning some-requests"},
		{correlate.SeverityInput{Impacts: hit(0.01, 5, "high"), Services: 7, Claimed: prunella.Critical}, "high claimed"},
		{correlate.SeverityInput{Claimed: prunella.Warning}, "warning claimed"},
		{correlate.SeverityInput{}, "warning claimed"},
		{correlate.SeverityInput{StatedHit: 4, StatedTotal: 7, Claimed: prunella.High}, "critical half-of-services"},
		{correlate.SeverityInput{StatedHit: 1, StatedTotal: 7, Claimed: prunella.High}, "high claimed"},
		{correlate.SeverityInput{Impacts: hit(1, 2, ""), StatedHit: 4, StatedTotal: 7}, "critical most-requests"},
	} {
		s, r := correlate.Severity(c.in)
		if got := string(s) + " " + r.Name; got != c.want {
			t.Errorf("%+v\n got %s (%s), want %s", c.in, got, r.Text, c.want)
		}
	}
}

func TestSeverityGrowsWithImpact(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for range 2000 {
		in := correlate.SeverityInput{Services: 7}
		for i := range 1 + rng.Intn(5) {
			in.Impacts = append(in.Impacts, prunella.Impact{Service: fmt.Sprint(i), Share: rng.Float64(), Criticality: []string{"low", "normal", "high"}[rng.Intn(3)]})
		}
		before, _ := correlate.Severity(in)
		worse := in
		worse.Impacts = slices.Clone(in.Impacts)
		worse.Impacts[0].Share = min(1, worse.Impacts[0].Share+rng.Float64()/2)
		if after, _ := correlate.Severity(worse); after.Rank() < before.Rank() {
			t.Fatalf("more failing made %s of %s: %+v", after, before, worse)
		}
	}
}

func TestStatedImpacts(t *testing.T) {
	text := func(service, s string) prunella.TextGroup {
		g := prunella.TextGroup{Template: s, Example: s, Count: 1, First: epoch}
		if service != "" {
			g.Services = []string{service}
		}
		return g
	}
	texts := []prunella.TextGroup{
		text("auth", "rotation half done: key delivery failed for 4 of 7 downstream services, all tokens issued since then are signed with a key that 4 services cannot verify"),
		text("user", "user service rejecting every token, 100% of authenticated requests answer 'unauthorized'"),
		text("", "the order service is broken, 60% of order requests fail, the search service is healthy"),
		text("search", "0 of 7 services affected, 100% of requests succeed"),
	}
	for _, known := range [][]string{nil, {"auth", "user", "order", "search", "payment"}} {
		got := ""
		for _, im := range correlate.StatedImpacts(texts, known) {
			got += fmt.Sprintf("%s %.2f %v; ", im.Service, im.Share, im.Stated)
		}
		if got != "user 1.00 true; order 0.60 true; " {
			t.Errorf("known %v: %s", known, got)
		}
	}
	if hit, total := correlate.StatedBreadth(texts); hit != 4 || total != 7 {
		t.Errorf("breadth %d of %d", hit, total)
	}
	sev, why := correlate.Severity(correlate.SeverityInput{Impacts: correlate.StatedImpacts(texts, nil), StatedHit: 4, StatedTotal: 7})
	if sev != prunella.Critical || why.Operands["stated"] != "true" {
		t.Errorf("%s: %s", sev, why.Text)
	}
}

func FuzzStatedImpacts(f *testing.F) {
	f.Add("the user service rejects 100% of requests", "user")
	f.Add("4 of 7 services fail", "")
	f.Fuzz(func(t *testing.T, text, known string) {
		for _, im := range correlate.StatedImpacts([]prunella.TextGroup{{Example: text}}, strings.Fields(known)) {
			if im.Share < 0 || im.Share > 1 || im.Service == "" || !im.Stated {
				t.Fatalf("%q gives %+v", text, im)
			}
		}
	})
}

func TestCascade(t *testing.T) {
	impact := func(share float64, trend string, services ...string) (out []prunella.Impact) {
		for _, s := range services {
			out = append(out, prunella.Impact{Service: s, Share: share, Total: 100, Trend: trend})
		}
		return out
	}
	signer := &prunella.Change{Name: prunella.ChangeSigner, Service: "auth", Kid: "k2", At: at(0)}
	history := func(slope float64) (out []prunella.SeriesPoint) {
		for i := range 10 {
			out = append(out, prunella.SeriesPoint{At: at(float64(10 * i)), Value: 0.1 + slope*float64(10*i)})
		}
		return out
	}
	for _, c := range []struct {
		name string
		in   correlate.CascadeInput
		want string // escalating, next, full reason, full at (s), first and last forecast
	}{
		{"old tokens expire", correlate.CascadeInput{Impacts: impact(0.25, "rising", "user", "search"), Graph: shop, Change: signer, TokenLifetime: time.Hour, Now: at(600)},
			"true more-services gateway | old-tokens-expire 3600 0.25-1.00"},
		{"the model where nothing is measured", correlate.CascadeInput{Impacts: []prunella.Impact{{Service: "search", Stated: true}}, Graph: shop, Change: signer, TokenLifetime: time.Hour, Now: at(900)},
			"true share-grows  | old-tokens-expire 3600 0.25-1.00"},
		{"everything fails already", correlate.CascadeInput{Impacts: impact(1, "steady", "search"), Graph: shop, Change: signer, TokenLifetime: time.Hour, Now: at(60)},
			"false contained  | already-full 60 1.00-1.00"},
		{"lifetime over", correlate.CascadeInput{Impacts: impact(0.5, "steady", "search"), Graph: shop, Change: signer, TokenLifetime: time.Minute, Now: at(600)},
			"false contained  | old-tokens-expired 60 0.50-0.50"},
		{"one more lacks the key", correlate.CascadeInput{Impacts: impact(0.5, "steady", "search"), Graph: shop, Lacking: []string{"payment", "search"}, Now: at(60)},
			"true more-services payment | not-enough-data"},
		{"callers of callers", correlate.CascadeInput{Impacts: impact(0.5, "steady", "payment"), Graph: shop, Now: at(60)},
			"true more-services order,gateway | not-enough-data"},
		{"who loses all callers", correlate.CascadeInput{Impacts: impact(0.5, "steady", "gateway"), Graph: shop, Now: at(60)},
			"true more-services order,user | not-enough-data"},
		{"a trend", correlate.CascadeInput{Impacts: impact(0.5, "rising", "search"), Graph: shop, History: history(0.005), Now: at(90)},
			"true share-grows  | trend 180 0.55-1.00"},
		{"no growth", correlate.CascadeInput{Impacts: impact(0.1, "steady", "search"), Graph: shop, History: history(0), Now: at(90)},
			"false contained  | not-growing"},
		{"stated", correlate.CascadeInput{Impacts: []prunella.Impact{{Service: "user", Share: 1, Stated: true}}, StatedHit: 4, Now: at(60)},
			"true stated-more-services  | already-full 60 1.00-1.00"},
		{"the issuer tells of two, both are named", correlate.CascadeInput{Impacts: []prunella.Impact{{Service: "idp", Stated: true}, {Service: "user", Share: 1, Stated: true}, {Service: "order", Share: 1, Stated: true}}, StatedHit: 2, Now: at(60)},
			"false contained  | already-full 60 1.00-1.00"},
		{"the issuer tells of three, two are named", correlate.CascadeInput{Impacts: []prunella.Impact{{Service: "idp", Stated: true}, {Service: "user", Share: 1, Stated: true}, {Service: "order", Share: 1, Stated: true}}, StatedHit: 3, Now: at(60)},
			"true stated-more-services  | already-full 60 1.00-1.00"},
		{"over", correlate.CascadeInput{Impacts: impact(0, "falling", "search"), Graph: shop, Over: true, Now: at(60)},
			"false over  | over"},
	} {
		out := correlate.Cascade(c.in)
		var next []string
		for _, n := range out.Next {
			next = append(next, n.Service)
		}
		got := fmt.Sprintf("%v %s %s | %s", out.Escalating, out.Reason.Name, strings.Join(next, ","), out.FullReason.Name)
		if !out.FullAt.IsZero() {
			got += fmt.Sprintf(" %.0f %.2f-%.2f", out.FullAt.Sub(epoch).Seconds(), out.Forecast[0].Share, out.Forecast[len(out.Forecast)-1].Share)
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		for i := 1; i < len(out.Forecast); i++ {
			if out.Forecast[i].Share < out.Forecast[i-1].Share || !out.Forecast[i].At.After(out.Forecast[i-1].At) {
				t.Errorf("%s: the forecast is not rising: %v", c.name, out.Forecast)
			}
		}
	}
}

func TestRelate(t *testing.T) {
	inc := incident("now", 0, "401", []string{"kid:k2"}, "user", "order")
	inc.Pattern.Pattern = "auth/stale"
	pattern := incident("pattern", -5000, "401", nil, "till")
	pattern.Pattern.Pattern = "auth/stale"
	token := incident("token", -100, "5xx", []string{"kid:k2"}, "till")
	services := incident("services", -50, "403", nil, "user")
	elsewhere := incident("elsewhere", -50, "401", nil, "till")
	status := incident("status", -50, "5xx", nil, "user")
	future := incident("future", 50, "401", []string{"kid:k2"}, "user")
	got := ""
	for _, r := range correlate.Relate(inc, []prunella.Incident{services, elsewhere, status, token, future, pattern, inc}) {
		got += fmt.Sprintf("%s %s; ", r.ID, r.Reason.Name)
	}
	if got != "pattern same-pattern; token same-token; services same-service; " {
		t.Error(got)
	}
}

func TestGraph(t *testing.T) {
	if p := shop.Path("gateway", "payment", 2); strings.Join(p, " ") != "gateway order payment" {
		t.Errorf("path %v", p)
	}
	if p := shop.Path("payment", "gateway", 1); p != nil {
		t.Errorf("path %v", p)
	}
	if e := fmt.Sprint(shop.Edges()); e != "[{gateway order} {gateway user} {order payment}]" {
		t.Errorf("edges %v", e)
	}
	if shop.Issuer("auth") != "auth" || shop.Issuer("till") != "partner" || shop.Criticality("gateway") != "high" || shop.Criticality("nobody") != "normal" {
		t.Error("issuer or criticality")
	}
}
