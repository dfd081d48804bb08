package match_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/match"
)

func TestKids(t *testing.T) {
	for text, want := range map[string]string{
		"moved on to an ES384 signer (kid: 'sig-2031-03-29'), set refreshed": "sig-2031-03-29",
		"key ID sig-2031-03-29 is not in the key file":                       "sig-2031-03-29",
		`unable to find kid "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`:   "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		"kid=abc123 rejected, kid=def456 accepted":                           "abc123 def456",
		"failed to find key with key ID \"k-7f\" in jwk set":                 "k-7f",
		"no key with id 2026-a in the set":                                   "2026-a",
		`{"alg":"RS256","kid":"prod_2"}`:                                     "prod_2",
		"signing key k2-blue is not trusted.":                                "k2-blue",
		"key pp-29-05 activated, key pp-29-01 removed":                       "pp-29-05 pp-29-01",
		"the key 2029/01/a.png was deleted":                                  "",
		"stale public key that does not match":                               "",
		"the signing key was rotated":                                        "",
		"key id is missing":                                                  "",
		"kid not found":                                                      "",
		"level=error code=401 kid=abc err=no_such_key":                       "abc",
		`{"err":"unknown","jwt":{"kid":"main"}}`:                             "main",
		"kid=null err=missing_kid":                                           "",
		"license key expired id=LK-2026-0042":                                "",
		"API key id=ak_7781 is over its quota":                               "",
		"the access key AKIA55TEST was used; kid=k-9 unknown":                "k-9",
		"signing key expired id=sk-2026-01, kid=sk-2026-01":                  "sk-2026-01",
		"kidney 12": "",
		"kid mismatch: kid old-key-1 expected, kid new-key-2 given": "old-key-1 new-key-2",
		"failed to verify signature: kid `a1.b2` unknown":           "a1.b2",
	} {
		got := strings.Join(match.Kids(text), " ")
		if got != want {
			t.Errorf("Kids(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzKids(f *testing.F) {
	for _, s := range []string{"kid=", "kid: 'x1'", "key id \xff1", "signing key (k-1)", strings.Repeat("kid=a1 ", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kids := match.Kids(text)
		if len(kids) > 16 {
			t.Fatalf("%d kids", len(kids))
		}
		for _, k := range kids {
			if k == "" || len(k) > 128 || !strings.Contains(text, k) && !strings.Contains(text, `\`) {
				t.Fatalf("%q is not a kid of %q", k, text)
			}
		}
	})
}

func message(source, service string, severity prunella.Severity, kind prunella.SignalKind, body string) prunella.Signal {
	return prunella.Signal{ID: prunella.SignalID(source + body), Source: source, Service: service, Time: epoch, Received: epoch, Kind: kind, Severity: severity, Body: body}
}

func TestMessagesOnly(t *testing.T) {
	d := match.NewDetector(lab())
	step := d.Observe([]prunella.Signal{
		message("mon-1", "auth", prunella.High, prunella.KindLog, "rotation finished, signing key kid=k-2026, delivery failed for 3 of 6 services"),
		message("mon-2", "billing", prunella.Critical, prunella.KindAlert, "billing rejects all tokens: key ID k-2026 not found"),
		message("mon-3", "stock", prunella.Warning, prunella.KindLog, "100% of requests unauthorized"),
		message("mon-4", "other", prunella.Warning, prunella.KindLog, "cache is cold"),
		message("mon-5", "other", prunella.Info, prunella.KindLog, "all requests are served"),
	}, epoch)
	got := map[string]string{}
	for _, f := range step.Findings {
		got[f.Service] = fmt.Sprintf("%s %s %.1f %s", f.Rule, f.Reason.Name, f.Share, f.Status)
	}
	want := map[string]string{
		"auth":    "error-message stated-impact 0.5 401",
		"billing": "alert-firing alert 1.0 401",
		"stock":   "error-message stated-impact 1.0 401",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(step.Interesting) != 4 {
		t.Errorf("%d interesting signals", len(step.Interesting))
	}
}

// A severe line without stated impact waits for a bucket: its source may count
// requests, and then they say more.
func TestErrorLineOfUnknownSource(t *testing.T) {
	line := message("otlp/user", "user", prunella.High, prunella.KindLog, "something broke")
	d := match.NewDetector(lab())
	if s := d.Observe([]prunella.Signal{line}, epoch); len(s.Findings) != 0 {
		t.Errorf("at once: %v", s.Findings[0].Reason)
	}
	if s := d.Observe(nil, epoch.Add(time.Second)); len(s.Findings) != 1 || s.Findings[0].Rule != prunella.RuleErrorMessage || s.Findings[0].Reason.Name != "severe-text" {
		t.Errorf("after a bucket: %+v", s.Findings)
	}
	d = match.NewDetector(lab())
	w := newWorld(1, lab(), 20, "user")
	d.Observe([]prunella.Signal{line}, epoch)
	if s := d.Observe([]prunella.Signal{w.point("user", "200", 10, epoch.Add(-time.Second))}, epoch.Add(time.Second)); len(s.Findings) != 0 {
		t.Errorf("with metrics: %v", s.Findings[0].Reason)
	}
}

func TestRoutineErrorsAreNoNews(t *testing.T) {
	d := match.NewDetector(lab())
	findings := 0
	for i := range 300 {
		now := epoch.Add(time.Duration(i) * 500 * time.Millisecond)
		s := message("syslog", "cron", prunella.High, prunella.KindLog, fmt.Sprintf("job %d exited with 1", i))
		s.ID, s.Time, s.Received = prunella.SignalID(fmt.Sprint(i)), now, now
		if n := len(d.Observe([]prunella.Signal{s}, now).Findings); i > 60 {
			findings += n
		}
	}
	if findings > 0 {
		t.Errorf("%d findings of a line that comes all the time", findings)
	}
}

func TestErrorTextsSupport(t *testing.T) {
	w := newWorld(1, lab(), 20, "user")
	for range 40 {
		w.log("user", prunella.High, "slow query 7 took 900ms")
		w.run(w.step)
	}
	if n := w.rules()[prunella.RuleErrorLog]; n > 0 {
		t.Errorf("%d findings of a usual text", n)
	}
	for range 4 {
		w.log("user", prunella.High, "kid=k-9 unknown to this verifier")
		w.run(w.step)
	}
	f, ok := w.first(prunella.RuleErrorLog, "user")
	if !ok || f.Reason.Name != "novel-text" || !slices.Contains(f.Tokens, "kid:k-9") || f.Template != "kid=<*> unknown to this verifier" {
		t.Errorf("finding %+v", f)
	}
}

// Alerts whose end is never told are forgotten after a day without them, and
// never keep a new one from being heard.
func TestAlertsThatNeverEnd(t *testing.T) {
	d := match.NewDetector(match.Default())
	fire := func(at time.Time, names ...string) []prunella.Finding {
		var in []prunella.Signal
		for _, name := range names {
			a := message("alertmanager", "user", prunella.Critical, prunella.KindAlert, "")
			a.ID, a.Fingerprint, a.Time, a.Received = prunella.SignalID(name+at.String()), name, at, at
			in = append(in, a)
		}
		return d.Observe(in, at).Findings
	}
	at := epoch
	for i := range 51 {
		at = at.Add(time.Minute)
		var names []string
		for j := range 100 {
			names = append(names, fmt.Sprint("pod-", i, "-", j))
		}
		if got := fire(at, names...); len(got) != 100 {
			t.Fatalf("of a hundred alerts after %d hundred %d are heard", i, len(got))
		}
	}
	later := at.Add(3 * 24 * time.Hour)
	fire(later)
	if got := fire(later, "pod-50-99"); len(got) != 1 || !got[0].Onset.Equal(later) {
		t.Errorf("three days later it fires since %v", got[0].Onset)
	}
}

func TestAlerts(t *testing.T) {
	d := match.NewDetector(lab())
	a := message("alertmanager", "user", prunella.Critical, prunella.KindAlert, "error budget is spent")
	a.Name, a.Fingerprint = "ErrorBudget", "f1"
	watchdog := message("alertmanager", "", prunella.Info, prunella.KindAlert, "always firing")
	count := 0
	for i := range 10 { // repeats within one bucket say nothing new
		s := d.Observe([]prunella.Signal{a, watchdog}, epoch.Add(time.Duration(i)*10*time.Millisecond))
		count += len(s.Findings)
	}
	if count != 1 {
		t.Errorf("%d findings", count)
	}
	a.Attributes = map[string]string{prunella.AttrAlertStatus: "resolved"}
	for i := range 2 {
		s := d.Observe([]prunella.Signal{a}, epoch.Add(time.Minute))
		if i == 0 && (len(s.Findings) != 1 || s.Findings[0].Rule != prunella.RuleRecovered || s.Findings[0].Attrs["of"] != prunella.RuleAlert) {
			t.Errorf("resolved: %+v", s.Findings)
		}
		if i == 1 && len(s.Findings) != 0 {
			t.Errorf("resolved twice: %+v", s.Findings)
		}
	}
}

func TestKidFloodKeepsTheRealKid(t *testing.T) {
	w := newWorld(1, lab(), 20, "user")
	w.run(20 * time.Second)
	w.services["user"].share["401"] = 0.8
	for i := range 10 {
		for j := range 100 {
			w.log("user", prunella.Warning, fmt.Sprintf("kid=%08x%d not found", w.rng.Uint32(), j))
		}
		for range 3 {
			w.log("user", prunella.Warning, fmt.Sprintf("try %d: kid=real-key-1 rejected", i))
		}
		w.run(w.step)
	}
	f := w.findings[len(w.findings)-1]
	kids := 0
	for _, tok := range f.Tokens {
		if strings.HasPrefix(tok, "kid:") {
			kids++
		}
	}
	if f.Rule != prunella.RuleErrorRate || kids > 8 || !slices.Contains(f.Tokens, "kid:real-key-1") {
		t.Errorf("%s has %d kids: %v", f.Rule, kids, f.Tokens)
	}
}

func TestGroup(t *testing.T) {
	d := match.NewDetector(lab())
	var in []prunella.Signal
	for i := range 5 {
		in = append(in, message("otlp/user", []string{"user", "order"}[i%2], prunella.Warning, prunella.KindLog, fmt.Sprintf("request %d took %dms", i, i*7)))
	}
	in = append(in, message("mon", "", prunella.Critical, prunella.KindAlert, "all is lost"), prunella.Signal{Kind: prunella.KindMetric, Body: "no text"})
	d.Observe(in, epoch)
	groups := d.Group(in)
	if len(groups) != 2 || groups[0].Template != "request <*> took <*>" || groups[0].Count != 5 || !slices.Equal(groups[0].Services, []string{"order", "user"}) ||
		groups[1].Severity != prunella.Critical || !slices.Equal(groups[1].Monitors, []string{"mon"}) {
		t.Errorf("%+v", groups)
	}
}
