package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"prunella"
	"prunella/client"
)

var everyPage = []string{"/", "/incidents", "/incidents?state=resolved", "/incidents/inc-01jq8x4m2k", "/incidents/inc-01jq8wz03t", "/incidents/inc-01jq8sd11a", "/incidents/inc-01jq8e5r7w",
	"/keys", "/skills", "/skills?q=stale", "/skills/jwt-signing-key-partial-distribution", "/skills?category=security&freshness=due", "/skills?q=nowhere-said", "/skills/auth-jwks-rotation-spike",
	"/drafts/checkout-timeouts", "/drafts/auth-jwks-rotation-spike", "/wiki", "/wiki?q=services", "/wiki?kind=person", "/people", "/people/sam", "/companies", "/companies/acme", "/wiki/page/people/maya.md",
	"/wiki/check", "/wiki/history?path=people/sam", "/wiki/edit?path=people/sam", "/wiki/edit?path=people/new.md", "/reports", "/reports/rep-01jq8k2v5n", "/reports/rep-01jq8j0000"}

func fetch(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// visible is the text of a page as a reader gets it, white space folded.
func visible(page string) string {
	text := regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>|<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(strings.ReplaceAll(html.UnescapeString(text), nbsp, " ")), " ")
}

func wants(t *testing.T, page string, texts ...string) {
	t.Helper()
	seen := visible(page)
	for _, text := range texts {
		if !strings.Contains(seen, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
}

// TestPagesAreSound: every page answers 200, is well formed, loads nothing
// from elsewhere, carries no inline script or style, and gives each id once.
func TestPagesAreSound(t *testing.T) {
	site := serve(t, newWorld())
	for _, path := range everyPage {
		t.Run(path, func(t *testing.T) {
			resp, page := fetch(t, site+path)
			if resp.StatusCode != 200 {
				t.Fatalf("status %d: %s", resp.StatusCode, visible(page))
			}
			csp := resp.Header.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("content security policy %q", csp)
			}
			checkSound(t, page)
			for _, bad := range []string{"ZgotmplZ", "<no value>", "%!", "0001-01-01", "NaN"} {
				if strings.Contains(page, bad) {
					t.Errorf("the page holds %q", bad)
				}
			}
		})
	}
}

func checkSound(t *testing.T, page string) {
	t.Helper()
	balanced(t, page)
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "style" || n.Data == "script" && n.FirstChild != nil {
			t.Errorf("inline <%s>", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s %s=%q>: refused by the content security policy", n.Data, a.Key, a.Val)
			case a.Key == "src" || n.Data == "link" && a.Key == "href":
				if !strings.HasPrefix(a.Val, "/assets/") {
					t.Errorf("<%s> loads %q", n.Data, a.Val)
				}
			case a.Val == "checkbox" && !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "aria-label" }):
				t.Errorf("a box without a name: %v", n.Attr)
			case a.Key == "href" && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:"):
				t.Errorf("link to %q", a.Val)
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("id %q twice", a.Val)
				}
				ids[a.Val] = true
			}
		}
	}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			if n.Data == "a" && a.Key == "href" && len(a.Val) > 1 && a.Val[0] == '#' && !ids[a.Val[1:]] {
				t.Errorf("link to %s, which is not on the page", a.Val)
			}
		}
	}
}

// balanced reports end tags that do not close what is open: html.Parse would
// silently mend them.
func balanced(t *testing.T, page string) {
	t.Helper()
	void := map[string]bool{"meta": true, "link": true, "input": true, "br": true, "hr": true, "img": true, "col": true}
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) || len(open) != 0 {
				t.Errorf("at the end %v is still open: %v", open, z.Err())
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !void[string(name)] {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> while %v is open", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// TestFirstScreens: each page answers its question in words.
func TestFirstScreens(t *testing.T) {
	site := serve(t, newWorld())
	_, now := fetch(t, site+"/")
	wants(t, now, "3 incidents open, 1 critical.", "1 waits for your approval, 1 waits for a person, and nothing is done meanwhile, Prunella is on 1.", "new key missing at some verifiers", "learning what is normal: 23 % of the traffic it takes", "whether each service takes tokens", "the releases list answered 502")
	_, inc := fetch(t, site+"/incidents/inc-01jq8x4m2k")
	wants(t, inc, "■ critical", "92 % of requests fail in 4 of 7 services", "95 %", "sure of this cause", "Healing", "for 1 min 16 s", "Next a step of the plan in 5 s", "3 hypotheses weighed", "verifiers hold an old key set", "a bad deploy",
		"payment in 7 min", "All requests of the affected services fail in 42 min", "✕ 92 % failing", "make key-2025-12-01 the signer again", "signer is key-2025-12-01, both keys are published", "Signals: 36 linked from 6 monitors",
		"invalid signature: key ID ‹…› not found in local keystore ‹…›", "same pattern, 21 days ago", "not delivered after 3 attempts")
	_, ask := fetch(t, site+"/incidents/inc-01jq8wz03t")
	wants(t, ask, "Approve what will run?", "kubernetes.rollout-restart deployment=payment", "path=auth.jwks.cache_ttl_seconds value=3600", "Exactly this and nothing else runs; its hash is 8f2b6c1d…4e5f", "Approve and run", "Refuse")
	if !strings.Contains(ask, `name="hash" value="`+planHash+`"`) {
		t.Error("the form does not bind to the plan's hash")
	}
	_, keys := fetch(t, site+"/keys")
	wants(t, keys, "key-2026-03-29 may not sign yet: user and search reject it, and whether notification trusts it is unknown.", "Next Bring it to user and search: deliver it again, or make them fetch the key set. Find out why notification could not be asked.", "user, search and notification", "1 key of the past, which nobody needs", "✓ trusts", "✕ rejects", "? unknown", "● signs new tokens", "not found in local keystore")
	_, skill := fetch(t, site+"/skills/jwt-signing-key-partial-distribution")
	wants(t, skill, "92 %", "floor 76 %, from 2 runs, 1 scenario", "88 %", "as the file says", "runs alone", "run by the engine", "Rule out a deploy.", "the stale-cache skill", "line 41: the action has no undo")
	for _, path := range []string{"/reports", "/reports/rep-01jq8j0000"} { // nothing was healed, which is no figure
		_, failed := fetch(t, site+path)
		wants(t, failed, "nothing was healed")
	}
	_, report := fetch(t, site+"/reports/rep-01jq8k2v5n")
	wants(t, report, "PASSED", "security / jwt-signing-key-rotation-failure", "Auto-heal", "Expected Actual Result", "1 incident, 36 signals", "✓ proven: fresh tokens carry key-2026-03-29",
		"not found in local keystore", "connection refused", "Plan as executed", "rep-01jq8k2v5n", "prunella scenario run jwt-signing-key-rotation-failure --seed 7")
}

// TestEmptyPagesTeach: with nothing to show, each page gives the next step as a command.
func TestEmptyPagesTeach(t *testing.T) {
	site := serve(t, &world{listeners: map[chan client.Change]bool{}})
	for path, command := range map[string]string{"/": "prunella demo", "/incidents": "prunella demo", "/keys": "prunella serve --config", "/skills": "prunella skill new NAME", "/companies": "Write the first one", "/reports": "prunella scenario run --all"} {
		_, page := fetch(t, site+path)
		checkSound(t, page)
		wants(t, page, command)
	}
	_, page := fetch(t, site+"/")
	wants(t, page, "Nothing has been heard yet.")
}

func TestErrorPagesSayTheNextStep(t *testing.T) {
	w := newWorld()
	site := serve(t, w)
	for _, path := range []string{"/nowhere", "/incidents/inc-none", "/skills/none", "/reports/none"} {
		resp, page := fetch(t, site+path)
		if resp.StatusCode != 404 {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
		checkSound(t, page)
		wants(t, page, "Not found", "See what is happening now")
	}
	w.down = errors.New("sqlite: disk I/O error at /var/lib/secret-path")
	resp, page := fetch(t, site+"/")
	if resp.StatusCode != 500 || strings.Contains(page, "secret-path") {
		t.Errorf("status %d; the inner error must stay in the log:\n%s", resp.StatusCode, visible(page))
	}
	wants(t, page, "Nothing that was acknowledged is lost")
}

// TestHostileTexts: what services say never becomes markup.
func TestHostileTexts(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	w := newWorld()
	v := &w.incidents[0]
	v.Incident.Title, v.Incident.Causes[0].Summary, v.Incident.Causes[0].For[0].Text = evil, evil, evil
	v.Incident.Impact[0].Service, v.Incident.Cascade.Next[0].Service = evil, evil
	v.Events[0].Text, v.Runs[0].Steps[0].Output, v.Runs[0].Steps[0].Params["kid"] = evil, evil, evil
	w.signals[v.Incident.ID][0].Body, w.signals[v.Incident.ID][0].Attributes = evil, map[string]string{evil: evil}
	w.signals[v.Incident.ID][0].ID = prunella.SignalID(evil)
	w.board.Services = append(w.board.Services, evil)
	w.board.Cells[0].Reason, w.board.Sets[0].Keys[0].Kid = evil, evil
	w.status.Baselines[0].Service = evil
	w.skills[0].Markdown = evil + "\n\n<script>alert(3)</script>\n\n<!-- c --> [x](javascript:alert(4)) ![p](http://evil.example/p.png) ![q](javascript:alert(5)) [[skills/\"><b>.skill]] [[<i>x</i>]]\n\n```\"><script>\n</code></pre><script>alert(6)</script>\n```\n\n```check\n</pre><script>alert(7)</script>\n```\n"
	w.reports[0].Params["missed"] = "$(touch x); it's"
	w.reports[0].Title, w.reports[0].Injected[0].Text, w.reports[0].Checks[0].Actual = evil, evil, evil
	site := serve(t, w)
	for _, path := range append(everyPage, "/"+url.PathEscape(evil), "/skills?q="+url.QueryEscape(evil)) {
		_, page := fetch(t, site+path)
		checkSound(t, page)
		doc, _ := html.Parse(strings.NewReader(page))
		scripts := 0
		for n := range doc.Descendants() {
			if n.Data == "script" && n.Type == html.ElementNode {
				scripts++
			}
			if n.Data == "img" && n.Type == html.ElementNode {
				t.Errorf("%s: a picture was made", path)
			}
		}
		if scripts != 1 {
			t.Errorf("%s: %d scripts", path, scripts)
		}
	}
	var file bytes.Buffer
	if err := RenderReport(&file, w.reports[0], true); err != nil {
		t.Fatal(err)
	}
	wants(t, file.String(), `--set 'missed=$(touch x); it'\''s'`)
	if strings.Contains(file.String(), "<script") {
		t.Error("the standalone report holds a script")
	}
}

// TestStandaloneReport: one file that needs nothing else.
func TestStandaloneReport(t *testing.T) {
	r := newWorld().report()
	r.Cause.Summary = "The key -4gpMrijMhdTXiWqJgeCQCzy1pbtq8qFA4Z15ikUfj- never came."
	var file, part bytes.Buffer
	if err := RenderReport(&file, r, true); err != nil {
		t.Fatal(err)
	}
	balanced(t, file.String())
	wants(t, file.String(), "PASSED", r.Title, r.ID, "The key -4gpMrij…Ufj- never came.")
	if !strings.Contains(file.String(), "<style>") || regexp.MustCompile(`(src|href)="[^#]`).MatchString(file.String()) {
		t.Error("the file is not complete in itself")
	}
	if err := RenderReport(&part, r, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(part.String(), "<html") || !strings.Contains(part.String(), r.ID) {
		t.Error("the part is not the report's element alone")
	}
}

// TestSwitchAndForms: the theme is kept in a cookie and leads back; forms work
// without a script and not from another site.
func TestSwitchAndForms(t *testing.T) {
	w := newWorld()
	site := serve(t, w)
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(path string, form url.Values, header ...string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest("POST", site+path, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := once.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	for back, want := range map[string]string{"/keys?x=1": "/keys?x=1", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "": "/"} {
		resp := post("/theme", url.Values{"theme": {"dark"}, "back": {back}})
		if resp.StatusCode != 303 || resp.Header.Get("Location") != want || !strings.Contains(resp.Header.Get("Set-Cookie"), "theme=dark") {
			t.Errorf("back to %q: %d to %q, %s", back, resp.StatusCode, resp.Header.Get("Location"), resp.Header.Get("Set-Cookie"))
		}
	}
	approve := "/incidents/inc-01jq8wz03t/approvals/apr-7"
	form := url.Values{"decision": {"approved"}, "by": {"maya"}, "hash": {planHash}, "note": {"go"}}
	if resp := post(approve, form, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 401 || len(w.decided) != 0 {
		t.Errorf("a foreign form: status %d, decided %v", resp.StatusCode, w.decided)
	}
	if resp := post(approve, url.Values{"decision": {"approved"}, "hash": {planHash}}); resp.StatusCode != 400 {
		t.Errorf("without a name: status %d", resp.StatusCode)
	}
	if resp := post(approve, url.Values{"decision": {"approved"}, "by": {"maya"}, "hash": {"other"}}); resp.StatusCode != 409 {
		t.Errorf("another plan's hash: status %d", resp.StatusCode)
	}
	if resp := post(approve, form); resp.StatusCode != 303 || len(w.decided) != 1 || w.decided[0].By != "maya" {
		t.Errorf("status %d, decided %v", resp.StatusCode, w.decided)
	}
	if resp := post(approve, form); resp.StatusCode != 409 {
		t.Errorf("decided twice: status %d", resp.StatusCode)
	}
	if resp := post("/incidents/inc-01jq8sd11a/handback", url.Values{"by": {"sam"}}); resp.StatusCode != 303 {
		t.Errorf("hand back: status %d", resp.StatusCode)
	}
	if resp := post("/incidents/inc-01jq8sd11a/explode", url.Values{"by": {"sam"}}); resp.StatusCode != 404 {
		t.Errorf("unknown act: status %d", resp.StatusCode)
	}
}

// A server that can take no signal says so on top of what is happening now.
func TestNowTellsThatNothingCanBeTaken(t *testing.T) {
	w := newWorld()
	w.status.Intake.Trouble = "The folder of the bus cannot be written. Make room on the disk."
	if _, page := fetch(t, serve(t, w)+"/"); !strings.Contains(page, "No signal can be taken.</span> The folder of the bus cannot be written. Make room on the disk.") {
		t.Error("it is not told")
	}
}

// Signals that come in and are not read are not silence, and not peace.
func TestNowTellsThatSignalsAreNotRead(t *testing.T) {
	w := newWorld()
	w.incidents = nil
	w.status.Intake.LastSignal, w.status.Intake.BusDepth = time.Now().Add(-36*time.Minute), 37000
	_, page := fetch(t, serve(t, w)+"/")
	wants(t, page, "signals wait to be read", "Look at the log of this server")
}

// In a storm of incidents the worst is on the overview, however old it is, and
// their number is the true one.
func TestNowShowsTheWorstOfMany(t *testing.T) {
	w := newWorld()
	one := w.incidents[0]
	one.Incident.State, one.Incident.Severity, one.Incident.Title = prunella.Open, prunella.Critical, "the old one"
	w.incidents = []client.IncidentView{one}
	for i := range 250 {
		v := one
		v.Incident.ID, v.Incident.Title, v.Incident.Severity = prunella.IncidentID(fmt.Sprint("inc-", i)), "a minor one", prunella.Warning
		w.incidents = append([]client.IncidentView{v}, w.incidents...)
	}
	site := serve(t, w)
	_, page := fetch(t, site+"/")
	wants(t, page, "251 incidents open, 1 critical", "the old one", "221 more open incidents")
	_, page = fetch(t, site+"/incidents")
	wants(t, page, "the old one")
}
