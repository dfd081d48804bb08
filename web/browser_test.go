package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
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
	options := append([]chromedp.ExecAllocatorOption{chromedp.ExecPath(bin), chromedp.UserDataDir(t.TempDir())},
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-dev-shm-usage", true))
	alloc, endAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endTab := chromedp.NewContext(alloc)
	ctx, endTime := context.WithTimeout(ctx, 55*time.Second)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Logf("end the browser: %v", err)
		}
		endTime()
		endTab()
		endAlloc()
	})
	if err := chromedp.Run(ctx); err != nil {
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

func listen(ctx context.Context) *complaints {
	c := &complaints{}
	chromedp.ListenTarget(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			c.add("exception: " + e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				c.add(fmt.Sprintf("console %s: %s", e.Type, e.Args[0].Value))
			}
		case *log.EventEntryAdded:
			c.add(fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	})
	return c
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	var out T
	run(t, ctx, chromedp.Evaluate(script, &out))
	return out
}

// overflow names what is wider than the window, or "".
const overflow = `(() => { const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return "";
  const e = [...document.querySelectorAll("body *")].find(e => e.getBoundingClientRect().right > w + 1 && !e.closest(".scroll, pre, .unseen, svg"));
  return "the page is " + document.documentElement.scrollWidth + " wide; " + (e ? e.outerHTML.slice(0, 160) : ""); })()`

// shots are the pages looked at, by the name of their screenshots.
var shots = []struct{ name, path string }{
	{"now", "/"}, {"incidents", "/incidents"}, {"incident-healing", "/incidents/inc-01jq8x4m2k"}, {"incident-approval", "/incidents/inc-01jq8wz03t"},
	{"incident-escalated", "/incidents/inc-01jq8sd11a"}, {"incident-resolved", "/incidents/inc-01jq8e5r7w"}, {"keys", "/keys"}, {"skills", "/skills"},
	{"skill", "/skills/jwt-signing-key-partial-distribution"}, {"reports", "/reports"}, {"report", "/reports/rep-01jq8k2v5n"}, {"notfound", "/nowhere"},
}

// TestEveryPageInABrowser opens each page wide and narrow, light and dark:
// nothing overflows, the console is silent. PRUNELLA_SCREENSHOTS names a folder
// for pictures.
func TestEveryPageInABrowser(t *testing.T) {
	ctx := browser(t)
	said := listen(ctx)
	site := serve(t, newWorld())
	folder := os.Getenv("PRUNELLA_SCREENSHOTS")
	run(t, ctx, log.Enable(), runtime.Enable())
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1440, 360} {
			run(t, ctx, emulation.SetDeviceMetricsOverride(width, map[int64]int64{1440: 900, 360: 740}[width], 1, false),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
			for _, shot := range shots {
				run(t, ctx, chromedp.Navigate(site+shot.path), chromedp.WaitVisible("main h1, main h2"))
				where := fmt.Sprintf("%s at %d px, %s", shot.path, width, scheme)
				if wide := ask[string](t, ctx, overflow); wide != "" {
					t.Errorf("%s: %s", where, wide)
				}
				for _, c := range said.take() {
					if shot.name == "notfound" && strings.Contains(c, "404") {
						continue
					}
					t.Errorf("%s: %s", where, c)
				}
				if folder != "" {
					picture(t, ctx, filepath.Join(folder, fmt.Sprintf("%s-%d-%s", shot.name, width, scheme)))
				}
			}
		}
	}
}

// picture writes the first screen and the whole page.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	var first, whole []byte
	run(t, ctx, chromedp.CaptureScreenshot(&first), chromedp.ActionFunc(func(ctx context.Context) (err error) {
		whole, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
		_, _, _, _, _, size, err2 := page.GetLayoutMetrics().Do(ctx)
		if err2 == nil {
			whole, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&page.Viewport{Width: size.Width, Height: size.Height, Scale: 1}).Do(ctx)
		}
		return errors.Join(err, err2)
	}))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
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
	run(t, ctx, chromedp.Evaluate(`window.swaps = 0; document.addEventListener("prunella:swapped", () => window.swaps++); 0`, nil))
	return func() {
		t.Helper()
		run(t, ctx, chromedp.Poll(`window.swaps > 0`, nil, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(10*time.Second)))
	}
}

// TestLiveUpdateStaysInPlace: after an event the page shows the new state, and
// neither scroll nor focus nor an open detail nor typed text moved. When the
// server goes away the page says that it is not current.
func TestLiveUpdateStaysInPlace(t *testing.T) {
	ctx := browser(t)
	said := listen(ctx)
	w := newWorld()
	site := serve(t, w)
	run(t, ctx, log.Enable(), runtime.Enable(), emulation.SetDeviceMetricsOverride(1440, 900, 1, false),
		chromedp.Navigate(site+"/incidents/inc-01jq8x4m2k"), chromedp.WaitVisible(`#live[data-state="live"]`))
	ready := swapped(t, ctx)
	run(t, ctx, chromedp.Evaluate(`document.querySelector("#group-0").open = true; document.querySelector(".take").open = true;
		document.querySelector(".take [name=note]").value = "half a sentence"; document.querySelector(".take [name=note]").focus({preventScroll: true});
		window.scrollTo({top: 900, behavior: "instant"}); window.kept = document.querySelector(".take [name=note]"); 0`, nil))
	before := ask[float64](t, ctx, `document.querySelector("#plan h2").getBoundingClientRect().top`)

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

	if !strings.Contains(ask[string](t, ctx, `document.querySelector("#plan").innerText`), "delivered to search") {
		t.Error("the new output is not shown")
	}
	if after := ask[float64](t, ctx, `document.querySelector("#plan h2").getBoundingClientRect().top`); after != before {
		t.Errorf("what was being read moved from %v to %v px", before, after)
	}
	for what, script := range map[string]string{
		"the focus moved":         `document.activeElement === window.kept && window.kept.isConnected`,
		"the typed text was lost": `window.kept.value === "half a sentence"`,
		"an open detail closed":   `document.querySelector("#group-0").open && document.querySelector(".take").open`,
	} {
		if !ask[bool](t, ctx, script) {
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
	run(t, ctx, chromedp.WaitVisible("#stale"), chromedp.WaitVisible(`#live[data-state="lost"]`))
	if text := ask[string](t, ctx, `document.querySelector("#stale").innerText`); !strings.Contains(text, "no longer current") {
		t.Errorf("the page says %q", text)
	}
}

// TestApprovalByHand: a person approves on a phone, with the keyboard, and the
// focus can be seen at every stop. The switch of colours works as a form.
func TestApprovalByHand(t *testing.T) {
	ctx := browser(t)
	w := newWorld()
	site := serve(t, w)
	run(t, ctx, emulation.SetDeviceMetricsOverride(360, 740, 1, false), chromedp.Navigate(site+"/incidents/inc-01jq8wz03t"), chromedp.WaitVisible(".approve"))
	for stop := range 16 {
		run(t, ctx, chromedp.KeyEvent("\t"))
		if !ask[bool](t, ctx, `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
			return e !== document.body && s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.width > 0 && r.top >= -1 && r.bottom <= innerHeight + 1; })()`) {
			t.Errorf("stop %d: the focus cannot be seen on %s", stop, ask[string](t, ctx, `document.activeElement.outerHTML.slice(0, 120)`))
		}
	}
	run(t, ctx, chromedp.SendKeys(`.approve [name=by]`, "maya"), chromedp.SendKeys(`.approve [name=note]`, "go ahead"),
		chromedp.Focus(`.approve button.primary`), chromedp.KeyEvent("\r"), chromedp.WaitNotPresent(".approve"), chromedp.WaitVisible("#plan .decisions"))
	if text := ask[string](t, ctx, `document.querySelector("#plan .decisions").innerText`); !strings.Contains(text, "approved by maya") {
		t.Errorf("the page says %q", text)
	}
	if len(w.decided) != 1 || w.decided[0].Hash != planHash || w.decided[0].Note != "go ahead" {
		t.Errorf("decided %+v", w.decided)
	}
	run(t, ctx, chromedp.Click(`.theme [value=dark]`), chromedp.WaitVisible(`html[data-theme=dark] main h1`))
	if path := ask[string](t, ctx, `location.pathname`); path != "/incidents/inc-01jq8wz03t" {
		t.Errorf("the switch led to %s", path)
	}
}

// TestContrast: every text has at least 4.5:1 against what is behind it, light and dark.
func TestContrast(t *testing.T) {
	ctx := browser(t)
	site := serve(t, newWorld())
	const low = `(() => {
	const cv = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const rgb = c => { cv.clearRect(0,0,1,1); cv.fillStyle = c; cv.fillRect(0,0,1,1); return [...cv.getImageData(0,0,1,1).data]; };
	const lum = c => { const f = v => (v/=255) <= 0.04045 ? v/12.92 : ((v+0.055)/1.055)**2.4; return 0.2126*f(c[0])+0.7152*f(c[1])+0.0722*f(c[2]); };
	const behind = e => { for (; e; e = e.parentElement) { const b = rgb(getComputedStyle(e).backgroundColor); if (b[3] > 250) return b; } return rgb("white"); };
	const out = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".unseen, .skip")) continue;
		const s = getComputedStyle(e), fg = rgb(e.closest("svg") ? s.fill : s.color), bg = behind(e);
		const rect = e.closest("g.node")?.querySelector("rect"); const back = rect ? rgb(getComputedStyle(rect).fill) : e.closest("g.pm") ? rgb(getComputedStyle(e.closest("g.pm").querySelector("circle")).fill) : bg;
		const a = lum(fg), b = lum(back), ratio = (Math.max(a,b)+0.05)/(Math.min(a,b)+0.05);
		if (ratio < 4.5) out.add(ratio.toFixed(2) + " " + (e.className.baseVal ?? e.className) + " " + e.textContent.trim().slice(0, 40));
	}
	return [...out]; })()`
	run(t, ctx, emulation.SetDeviceMetricsOverride(1440, 900, 1, false))
	for _, scheme := range []string{"light", "dark"} {
		run(t, ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for _, shot := range shots {
			run(t, ctx, chromedp.Navigate(site+shot.path), chromedp.WaitVisible("main h1, main h2"))
			for _, e := range ask[[]string](t, ctx, low) {
				t.Errorf("%s, %s: contrast %s", shot.path, scheme, e)
			}
		}
	}
}
