package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"prunella"
	"prunella/client"
)

// post sends a form as a page of ours would, without following where it leads.
func post(t *testing.T, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := stay.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return resp, b.String()
		}
	}
}

// TestEditsLoseNothing: whatever happens to a save, the text stands in the form
// again, and a conflict shows both.
func TestEditsLoseNothing(t *testing.T) {
	w := newWorld()
	site := serve(t, w)
	base := w.pages.hash("people/sam.md")
	form := func(change map[string]string) url.Values {
		v := url.Values{"path": {"people/sam.md"}, "base": {base}, "text": {"# Sam\r\n\r\nMine <b>.\r\n"}, "by": {"maya"}, "reason": {"a reason"}, "do": {"save"}}
		for k, s := range change {
			v.Set(k, s)
		}
		return v
	}
	_, page := fetch(t, site+"/wiki/edit?path=people/sam")
	wants(t, page, "Edit people/sam.md", "Nothing to mend", "Platform engineer at Acme Logistics")

	for name, c := range map[string]struct {
		change map[string]string
		status int
		says   []string
	}{
		"a preview":   {map[string]string{"do": "preview", "text": "# Sam\r\n\r\nMine <b>.\r\nkind: nonsense"}, 200, []string{"1 error", "line 4: nonsense is no kind of signal", "It can be saved, but it is not used before"}},
		"nobody":      {map[string]string{"by": " "}, 400, []string{"no name was given", "Nothing was saved"}},
		"a bad path":  {map[string]string{"path": "../x.md", "base": ""}, 400, []string{"stays inside the wiki", "Nothing was saved; your text is still here"}},
		"a conflict":  {map[string]string{"base": "old"}, 409, []string{"Somebody else changed the page while you wrote", "Both edits touch the same lines", "Their text, which is saved now", "Platform engineer"}},
		"a gone page": {map[string]string{"path": "people/gone.md"}, 409, []string{"removed or renamed the page", "Save it to make the page anew"}},
	} {
		t.Run(name, func(t *testing.T) {
			resp, page := post(t, site+"/wiki/edit", form(c.change))
			if resp.StatusCode != c.status || !strings.Contains(page, "Mine &lt;b&gt;.") {
				t.Errorf("status %d; is the text kept? %v", resp.StatusCode, strings.Contains(page, "Mine &lt;b&gt;."))
			}
			wants(t, page, c.says...)
		})
	}
	if w.pages.texts["people/sam.md"] != samText || len(w.pages.said) > 0 {
		t.Fatalf("something was saved: %v", w.pages.said)
	}

	resp, _ := post(t, site+"/wiki/edit", form(nil))
	if got := resp.Header.Get("Location"); resp.StatusCode != 303 || got != "/people/sam?saved=0123456789ab" {
		t.Errorf("status %d to %s", resp.StatusCode, got)
	}
	if got := w.pages.texts["people/sam.md"]; got != "# Sam\n\nMine <b>.\n" {
		t.Errorf("saved %q", got)
	}
	w.pages.texts["people/sam.md"] = "a\r\nb\r\n" // its line endings are kept
	post(t, site+"/wiki/edit", form(map[string]string{"base": w.pages.hash("people/sam.md")}))
	if got := w.pages.texts["people/sam.md"]; got != "# Sam\r\n\r\nMine <b>.\r\n" {
		t.Errorf("saved %q", got)
	}
	_, page = fetch(t, site+resp.Header.Get("Location"))
	wants(t, page, "Saved, and committed as 0123456789ab.")
	_, page = fetch(t, site+"/people/sam?saved=<b>no</b>")
	if strings.Contains(visible(page), "Saved") {
		t.Error("an address can make the page say that something was saved")
	}
}

// A form that another site sends changes nothing.
func TestOtherSitesCannotEdit(t *testing.T) {
	w := newWorld()
	site := serve(t, w)
	for path, form := range map[string]url.Values{
		"/wiki/edit":                {"path": {"people/sam.md"}, "base": {w.pages.hash("people/sam.md")}, "text": {"x"}, "by": {"eve"}, "do": {"save"}},
		"/drafts/checkout-timeouts": {"hash": {w.pages.hash("drafts/checkout-timeouts.skill.md")}, "by": {"eve"}, "decision": {"accept"}},
	} {
		r, err := http.NewRequest(http.MethodPost, site+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 401 || len(w.pages.said) > 0 {
			t.Errorf("%s: status %d, %v", path, resp.StatusCode, w.pages.said)
		}
	}
}

// Pages that come with the program say how to get a folder instead of an editor.
func TestPagesThatCannotBeEdited(t *testing.T) {
	w := newWorld()
	w.pages.editable = false
	site := serve(t, w)
	_, page := fetch(t, site+"/wiki/edit?path=people/sam")
	wants(t, page, "come with Prunella and cannot be edited", "wiki: ./wiki", "prunella wiki copy ./wiki")
	if strings.Contains(page, "<textarea") {
		t.Error("there is an editor that cannot save")
	}
}

func TestDraftsAreReadThenDecided(t *testing.T) {
	w := newWorld()
	site := serve(t, w)
	_, page := fetch(t, site+"/drafts/auth-jwks-rotation-spike")
	wants(t, page, "A proposed change to auth-jwks-rotation-spike , from v1.0.1 to 1.1.0.", "What would change", "to 1.1.0", "#incidents · 2026-04-19 · maya")
	address, hash := site+"/drafts/checkout-timeouts", w.pages.hash("drafts/checkout-timeouts.skill.md")
	for _, bad := range []url.Values{{"hash": {hash}, "decision": {"accept"}}, {"hash": {"other"}, "by": {"maya"}, "decision": {"accept"}}, {"hash": {hash}, "by": {"maya"}, "decision": {"perhaps"}}} {
		if resp, _ := post(t, address, bad); resp.StatusCode < 400 || len(w.pages.said) > 0 {
			t.Errorf("%v: status %d, %v", bad, resp.StatusCode, w.pages.said)
		}
	}
	if resp, _ := post(t, address, url.Values{"hash": {hash}, "by": {"maya"}, "decision": {"discard"}, "note": {"twice the same"}}); resp.Header.Get("Location") != "/skills" || len(w.pages.said) != 1 || w.pages.said[0] != "maya discarded checkout-timeouts: twice the same" {
		t.Errorf("status %d, %v", resp.StatusCode, w.pages.said)
	}
	if resp, _ := fetch(t, address); resp.StatusCode != 404 {
		t.Errorf("a discarded draft: status %d", resp.StatusCode)
	}
}

func TestRunbookAddresses(t *testing.T) {
	w := newWorld()
	signals := w.signals[w.incidents[0].Incident.ID]
	for i, address := range []string{"https://prunella.acme.example/runbooks/StaleKeys", "https://wiki.acme.example/runbooks/StaleKeys", "javascript:alert(1)"} {
		signals[i].Attributes = map[string]string{"runbook_url": address}
	}
	site := serve(t, w)
	for path, want := range map[string]string{"/runbooks/StaleKeys": "/skills/auth-jwks-rotation-spike", "/runbooks/auth/stale-jwks-cache": "/skills/auth-jwks-rotation-spike", "/runbooks/nothing": ""} {
		rec := httptest.NewRecorder()
		Handler(Config{Backend: w, Version: "v", Log: quiet()}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if got := rec.Header().Get("Location"); got != want || want == "" && rec.Code != 404 {
			t.Errorf("%s: %d to %q", path, rec.Code, got)
		}
	}
	_, page := fetch(t, site+"/incidents/"+string(w.incidents[0].Incident.ID))
	if !strings.Contains(page, `<a href="/skills/auth-jwks-rotation-spike" rel="noopener noreferrer">auth-jwks-rotation-spike</a>`) || !strings.Contains(page, `<a href="https://wiki.acme.example/runbooks/StaleKeys"`) || strings.Contains(page, `href="javascript`) {
		t.Error("the incident does not lead to its runbooks")
	}
}

// TestWikiClient: what the client reads is what the server knows.
func TestWikiClient(t *testing.T) {
	w := newWorld()
	c := client.New(serve(t, w))
	found, err := c.WikiSearch(t.Context(), client.WikiQuery{Text: "duties", Kind: "person"})
	if err != nil || len(found.Hits) != 1 || found.Hits[0].URL != "/people/sam" || !found.Hits[0].Excerpt[1].Mark {
		t.Errorf("%+v, %v", found, err)
	}
	page, err := c.WikiPage(t.Context(), "people/sam")
	if err != nil || page.Text != samText || page.Backlinks[0].Title != "Maya" {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := c.WikiPage(t.Context(), "people/nobody"); prunella.KindOf(err) != prunella.NotFound {
		t.Error(err)
	}
	if check, err := c.WikiCheck(t.Context()); err != nil || len(check.Broken) != 1 {
		t.Errorf("%+v, %v", check, err)
	}
	if m, err := c.MatchSkills(t.Context(), "kid not found"); err != nil || m.Recognized != "auth-jwks-rotation-spike" || m.Reason != "kid not found" {
		t.Errorf("%+v, %v", m, err)
	}
}

// found waits for an answer to what was typed.
func foundAfter(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	do(t, ctx, script(`window.found = 0; document.addEventListener("prunella:found", () => window.found++); 0`))
	do(t, ctx, steps...)
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`window.found > 0`)); err != nil {
		t.Fatal("no answer: ", err)
	}
}

// TestWikiByHand: a person searches as they type, copies a command, edits a page
// that somebody else changes meanwhile, and accepts a draft, on a phone.
func TestWikiByHand(t *testing.T) {
	ctx := browser(t)
	said := listen(t, ctx)
	w := newWorld()
	site := serve(t, w)
	do(t, ctx, chromedp.EmulateViewport(360, 740), visit(site+"/skills"))
	if rows := evaluate[int](t, ctx, `document.querySelectorAll(".skill-row").length`); rows != 2 {
		t.Errorf("%d skills are listed", rows)
	}
	foundAfter(t, ctx, chromedp.SendKeys(chromedp.CSS(`[name=q]`), "nowhere-said"))
	deadlineFor(t, ctx, `document.querySelectorAll(".skill-row").length === 0 && document.querySelector("#skills").innerText.includes("No skill speaks of")`)
	if got := evaluate[string](t, ctx, `location.search + " " + document.activeElement.name`); got != "?q=nowhere-said q" {
		t.Errorf("address and focus are %q", got)
	}

	do(t, ctx, visit(site+"/skills/jwt-signing-key-partial-distribution"), script(`Object.defineProperty(navigator.clipboard, "writeText", {value: async (t) => { window.copied = t }}); 0`),
		script(`[...document.querySelectorAll(".prose .copied .copy")].find(b => b.checkVisibility()).click(); 0`))
	deadlineFor(t, ctx, `window.copied?.trim() === "prunella incident list"`)
	if dots := evaluate[int](t, ctx, `document.querySelectorAll("#Course .dot").length`); dots != 7 {
		t.Errorf("%d outcomes are marked", dots)
	}
	if order := evaluate[bool](t, ctx, `document.querySelector("#Text").getBoundingClientRect().top < document.querySelector("#Facts").getBoundingClientRect().top`); !order {
		t.Error("on a phone the facts stand before what is to be done")
	}

	do(t, ctx, visit(site+"/wiki/edit?path=people/sam"))
	w.mu.Lock()
	w.pages.texts["people/sam.md"] = "# Sam\n\nWritten by somebody else below.\n"
	w.mu.Unlock()
	do(t, ctx, chromedp.SendKeys(chromedp.CSS(`[name=text]`), "My first line, which is nonsense."))
	deadlineFor(t, ctx, `document.querySelector("#Lint").innerText.includes("nonsense is no kind of signal")`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS(`[name=by]`), "maya"), chromedp.Click(chromedp.CSS(`[value=save]`)), chromedp.WaitVisible(chromedp.CSS(".theirs")))
	if got := evaluate[string](t, ctx, `document.querySelector(".theirs").value + "|" + document.querySelector("[name=text]").value`); !strings.Contains(got, "somebody else below.\n|My first line") || !strings.Contains(got, "# Sam\n\nPlatform") {
		t.Errorf("the texts are %q", got)
	}
	if wide := evaluate[string](t, ctx, overflow); wide != "" {
		t.Error(wide)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS(`[value=merged]`)), chromedp.WaitNotPresent(chromedp.CSS(".theirs")), chromedp.Click(chromedp.CSS(`[value=save]`)), chromedp.WaitVisible(chromedp.CSS(".said")))
	w.mu.Lock()
	if got := w.pages.texts["people/sam.md"]; !strings.Contains(got, "My first line") || !strings.HasSuffix(got, "and what stands below\n") {
		t.Errorf("saved %q", got)
	}
	w.mu.Unlock()

	do(t, ctx, visit(site+"/drafts/checkout-timeouts"), chromedp.WaitVisible(chromedp.CSS(`[value=accept]`)), chromedp.Click(chromedp.CSS(`[value=accept]`)), chromedp.WaitVisible(chromedp.CSS("#Course")))
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.pages.said); n != 2 || w.pages.said[1] != "maya accepted checkout-timeouts" {
		t.Errorf("done: %v", w.pages.said)
	}
	for _, c := range said.take() {
		if !strings.Contains(c, "409") { // the browser says so of the conflict
			t.Error(c)
		}
	}
}

// deadlineFor waits until a script says true.
func deadlineFor(t *testing.T, ctx context.Context, script string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](script)); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}
