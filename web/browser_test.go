package web

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"prunella"
)

// browser starts a headless Chromium with a fresh profile, ended with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is not installed; install it with: apt-get install -y chromium (make test does so when it is root)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	alloc, endAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endTab := chromedp.NewContext(alloc)
	ctx, endTime := context.WithTimeout(ctx, 5*time.Minute) // of a busy machine; alone it takes seconds
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Logf("end the browser: %v", err)
		}
		endTime()
		endTab()
		endAlloc()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", bin, err)
	}
	return ctx
}

// complaints collects what the browser's console says.
type complaints struct {
	mu  sync.Mutex
	all []string
}

func (c *complaints) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, text)
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.all
	c.all = nil
	return out
}

func listen(t *testing.T, ctx context.Context) *complaints {
	t.Helper()
	c := &complaints{}
	err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			c.add("exception: " + e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			if e.Type == "error" || e.Type == "warning" {
				c.add(fmt.Sprintf("console %s: %v", e.Type, e.Args))
			}
		case *log.EventEntryAdded:
			c.add(fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// script runs for its effect.
func script(source string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Evaluate[int](source)(ctx, target)
		return err
	})
}

// scheme emulates the system's choice of colours.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
		return err
	})
}

func visit(address string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("main h1, main h2")))
}

// overflow names what is wider than the window, or "".
const overflow = `(() => { const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return "";
  const e = [...document.querySelectorAll("body *")].find(e => e.getBoundingClientRect().right > w + 1 && !e.closest(".scroll, pre, .unseen, svg"));
  return "the page is " + document.documentElement.scrollWidth + " wide; " + (e ? e.outerHTML.slice(0, 160) : ""); })()`

// squeezed lists texts that stand a few letters a line, in a column that has no
// room for them.
const squeezed = `(() => {
	const out = new Set();
	for (const e of document.querySelectorAll("main *")) {
		const own = [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim().length > 7);
		if (!own.length || !e.checkVisibility() || e.closest("svg, pre, .unseen")) continue;
		for (const n of own) {
			const range = document.createRange();
			range.selectNodeContents(n);
			const lines = new Set([...range.getClientRects()].map(r => Math.round(r.top))).size;
			const letters = n.data.trim().replace(/\s+/g, " ").length;
			if (lines > 2 && letters / lines < 5) out.add(lines + " lines: " + n.data.trim().slice(0, 40));
		}
	}
	return [...out]; })()`

// faint lists texts with less than 4.5:1 against what is behind them.
const faint = `(() => {
	const cv = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const rgb = c => { cv.clearRect(0,0,1,1); cv.fillStyle = c; cv.fillRect(0,0,1,1); return [...cv.getImageData(0,0,1,1).data]; };
	const lum = c => { const f = v => (v/=255) <= 0.04045 ? v/12.92 : ((v+0.055)/1.055)**2.4; return 0.2126*f(c[0])+0.7152*f(c[1])+0.0722*f(c[2]); };
	const behind = e => { for (; e; e = e.parentElement) { const b = rgb(getComputedStyle(e).backgroundColor); if (b[3] > 250) return b; } return rgb("white"); };
	const out = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".unseen, .skip")) continue;
		const s = getComputedStyle(e), fg = rgb(e.closest("svg") ? s.fill : s.color), bg = behind(e);
		const rect = e.closest("g.node")?.querySelector("rect"); const back = rect ? rgb(getComputedStyle(rect).fill) : e.closest(".plot-area .pm") ? rgb(getComputedStyle(e.closest(".pm").querySelector("rect")).fill) : bg;
		const a = lum(fg), b = lum(back), ratio = (Math.max(a,b)+0.05)/(Math.min(a,b)+0.05);
		if (ratio < 4.5) out.add(ratio.toFixed(2) + " " + (e.className.baseVal ?? e.className) + " " + e.textContent.trim().slice(0, 40));
	}
	return [...out]; })()`

// shots are the pages looked at, by the name of their screenshots.
var shots = []struct{ name, path string }{
	{"now", "/"}, {"incidents", "/incidents"}, {"incident-healing", "/incidents/inc-01jq8x4m2k"}, {"incident-approval", "/incidents/inc-01jq8wz03t"},
	{"incident-escalated", "/incidents/inc-01jq8sd11a"}, {"incident-resolved", "/incidents/inc-01jq8e5r7w"}, {"keys", "/keys"}, {"skills", "/skills"},
	{"skill", "/skills/jwt-signing-key-partial-distribution"}, {"draft", "/drafts/checkout-timeouts"}, {"draft-change", "/drafts/auth-jwks-rotation-spike"}, {"skill-broken", "/skills/auth-jwks-rotation-spike"}, {"skills-search", "/skills?q=kid"},
	{"wiki", "/wiki"}, {"wiki-search", "/wiki?q=services"}, {"people", "/people"}, {"person", "/people/sam"}, {"company", "/companies/acme"}, {"page", "/wiki/page/notes/a-page-with-a-rather-long-name-that-somebody-chose.md"},
	{"check", "/wiki/check"}, {"history", "/wiki/history?path=people/sam"}, {"edit", "/wiki/edit?path=people/sam"}, {"edit-new", "/wiki/edit?path=people/"},
	{"reports", "/reports"}, {"report", "/reports/rep-01jq8k2v5n"}, {"notfound", "/nowhere"},
}

// TestEveryPageInABrowser opens each page wide and narrow, light and dark:
// nothing overflows, every text can be read, the console is silent. PRUNELLA_SCREENSHOTS names a folder
// for pictures.
func TestEveryPageInABrowser(t *testing.T) {
	ctx := browser(t)
	said := listen(t, ctx)
	site := serve(t, newWorld())
	folder := os.Getenv("PRUNELLA_SCREENSHOTS")
	for _, shot := range shots {
		t.Run(shot.name, func(t *testing.T) {
			do(t, ctx, chromedp.EmulateViewport(1440, 900), scheme("light"), visit(site+shot.path))
			for _, look := range []struct {
				width, height int64
				colours       string
			}{{1440, 900, "light"}, {1440, 900, "dark"}, {360, 740, "dark"}, {360, 740, "light"}} {
				do(t, ctx, chromedp.EmulateViewport(look.width, look.height), scheme(look.colours))
				where := fmt.Sprintf("%d px, %s", look.width, look.colours)
				if wide := evaluate[string](t, ctx, overflow); wide != "" {
					t.Errorf("%s: %s", where, wide)
				}
				for _, s := range evaluate[[]string](t, ctx, squeezed) {
					t.Errorf("%s: no room for %s", where, s)
				}
				if look.width == 1440 {
					for _, e := range evaluate[[]string](t, ctx, faint) {
						t.Errorf("%s: contrast %s", where, e)
					}
				}
				if folder != "" {
					picture(t, ctx, filepath.Join(folder, fmt.Sprintf("%s-%d-%s", shot.name, look.width, look.colours)))
				}
			}
			for _, c := range said.take() {
				if shot.name != "notfound" || !strings.Contains(c, "404") {
					t.Error(c)
				}
			}
		})
	}
}

// picture writes the first screen and the whole page.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	first, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	for suffix, png := range map[string][]byte{".png": first, "-full.png": whole} {
		if err := os.WriteFile(name+suffix, png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// swapped starts waiting for the next live swap; the returned function waits.
func swapped(t *testing.T, ctx context.Context) func() {
	do(t, ctx, script(`window.swaps = 0; document.addEventListener("prunella:swapped", () => window.swaps++); 0`))
	return func() {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`window.swaps > 0`, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(10*time.Second))); err != nil {
			t.Fatal("no live swap: ", err)
		}
	}
}

// TestLiveUpdateStaysInPlace: after an event the page shows the new state, and
// neither scroll nor focus nor an open detail nor typed text moved. When the
// server goes away the page says that it is not current.
func TestLiveUpdateStaysInPlace(t *testing.T) {
	ctx := browser(t)
	said := listen(t, ctx)
	w := newWorld()
	site := serve(t, w)
	do(t, ctx, chromedp.EmulateViewport(1440, 900),
		chromedp.Navigate(site+"/incidents/inc-01jq8x4m2k"), chromedp.WaitVisible(chromedp.CSS(`#live[data-state="live"]`)))
	ready := swapped(t, ctx)
	do(t, ctx, script(`window.group = document.querySelector(".group"); group.open = true; document.querySelector(".take").open = true;
		document.querySelector(".take [name=note]").value = "half a sentence"; document.querySelector(".take [name=note]").focus({preventScroll: true});
		window.scrollTo({top: 900, behavior: "instant"}); window.kept = document.querySelector(".take [name=note]"); 0`))
	before := evaluate[float64](t, ctx, `document.querySelector("#plan h2").getBoundingClientRect().top`)

	w.mu.Lock()
	v := &w.incidents[0]
	runs := append([]prunella.Run(nil), v.Runs...)
	runs[0].Steps = append([]prunella.Step(nil), runs[0].Steps...)
	runs[0].Steps[3].State, runs[0].Steps[3].Output, runs[0].Steps[3].Ended = prunella.StepDone, "delivered to search", time.Now()
	v.Runs = runs
	w.mu.Unlock()
	w.announce("incident", "inc-another") // not this page
	w.announce("incident", string(v.Incident.ID))
	ready()

	if !strings.Contains(evaluate[string](t, ctx, `document.querySelector("#plan").innerText`), "delivered to search") {
		t.Error("the new output is not shown")
	}
	if after := evaluate[float64](t, ctx, `document.querySelector("#plan h2").getBoundingClientRect().top`); after != before {
		t.Errorf("what was being read moved from %v to %v px", before, after)
	}
	for what, script := range map[string]string{
		"the focus moved":         `document.activeElement === window.kept && window.kept.isConnected`,
		"the typed text was lost": `window.kept.value === "half a sentence"`,
		"an open detail closed":   `window.group.isConnected && group.open && document.querySelector(".take").open`,
	} {
		if !evaluate[bool](t, ctx, script) {
			t.Error(what)
		}
	}
	for _, c := range said.take() {
		t.Error(c)
	}

	w.mu.Lock() // the server goes away: every stream ends
	for ch := range w.listeners {
		delete(w.listeners, ch)
		close(ch)
	}
	w.gone = true
	w.mu.Unlock()
	do(t, ctx, chromedp.WaitVisible(chromedp.CSS("#stale")), chromedp.WaitVisible(chromedp.CSS(`#live[data-state="lost"]`)))
	if text := evaluate[string](t, ctx, `document.querySelector("#stale").innerText`); !strings.Contains(text, "no longer current") {
		t.Errorf("the page says %q", text)
	}
}

// TestApprovalByHand: a person approves on a phone, with the keyboard, and the
// focus can be seen at every stop. The switch of colours works as a form.
func TestApprovalByHand(t *testing.T) {
	ctx := browser(t)
	w := newWorld()
	site := serve(t, w)
	do(t, ctx, chromedp.EmulateViewport(360, 740), chromedp.Navigate(site+"/incidents/inc-01jq8wz03t"), chromedp.WaitVisible(chromedp.CSS(".approve")))
	for stop := range 16 {
		do(t, ctx, chromedp.KeyEvent("\t"))
		if !evaluate[bool](t, ctx, `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
			return e !== document.body && s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.width > 0 && r.top >= -1 && r.bottom <= innerHeight + 1; })()`) {
			t.Errorf("stop %d: the focus cannot be seen on %s", stop, evaluate[string](t, ctx, `document.activeElement.outerHTML.slice(0, 120)`))
		}
	}
	do(t, ctx, chromedp.SendKeys(chromedp.CSS(`.approve [name=by]`), "maya"), chromedp.SendKeys(chromedp.CSS(`.approve [name=note]`), "go ahead"),
		chromedp.Focus(chromedp.CSS(`.approve button.primary`)), chromedp.KeyEvent("\r"), chromedp.WaitNotPresent(chromedp.CSS(".approve")), chromedp.WaitVisible(chromedp.CSS("#plan .decisions")))
	if text := evaluate[string](t, ctx, `document.querySelector("#plan .decisions").innerText`); !strings.Contains(text, "approved by maya") {
		t.Errorf("the page says %q", text)
	}
	if len(w.decided) != 1 || w.decided[0].Hash != planHash || w.decided[0].Note != "go ahead" {
		t.Errorf("decided %+v", w.decided)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS(`.theme [value=dark]`)), chromedp.WaitVisible(chromedp.CSS(`html[data-theme=dark] main h1`)))
	if path := evaluate[string](t, ctx, `location.pathname`); path != "/incidents/inc-01jq8wz03t" {
		t.Errorf("the switch led to %s", path)
	}
}
