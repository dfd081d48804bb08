package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"prunella"
)

//go:embed templates/*.html assets/*
var files embed.FS

// frame is what the layout needs around a view.
type frame struct {
	view
	Now     time.Time
	Version string
	Theme   string // "light", "dark" or "" for the system's
	Host    string // this server, as the reader reaches it
	Path    string // where this page is, for the way back from a form
	Assets  map[string]string
}

type asset struct {
	mime string
	body []byte
}

type renderer struct {
	pages  map[string]*template.Template
	css    string
	names  map[string]string // "css" → file name with its content's hash, so that it can be cached for ever
	assets map[string]asset
}

var functions = template.FuncMap{
	"ago": ago, "when": when, "elapsed": elapsed, "clock": clock, "stamp": stamp, "day": day, "relative": relative,
	"duration": duration, "millis": millis, "percent": percent, "number": number, "count": count, "list": list, "short": short, "brief": brief,
	"thousands": func(n int64) string { return thousands(n) },
	"whole":     func(n int) string { return thousands(int64(n)) },
	"params":    func(m map[string]any) []pair { return pairs(m) },
	"texts":     func(m map[string]string) []pair { return pairs(m) },
	"severity":  severityMarks.of, "state": stateMarks.of, "step": stepMarks.of, "result": resultMarks.of, "verdict": verdictMarks.of, "fresh": freshMarks.of,
	"stepText": func(s string) mark { return stepMarks.of(prunella.StepState(s)) },
	"pct100":   func(share float64) float64 { return 100 * min(1, max(0, share)) },
	"weighed": func(c prunella.Cause, anchors map[prunella.SignalID]string) map[string]side {
		return map[string]side{"For": fold("for", c.For, anchors), "Against": fold("against", c.Against, anchors)}
	},
	"adds":    func(more, said string) bool { return more != "" && !strings.Contains(said, more) },
	"allowed": allowedWord, "fault": faultWord, "lint": lintMarks.of, "freshnesses": func() []string { return []string{"fresh", "due", "stale", "never"} },
	"inc":       func(i int) int { return i + 1 },
	"upper":     upper,
	"delivered": delivered, "monitorWord": monitorWord, "failures": failuresAfter, "prove": proveCommand,
	"stretches": stretches,
	"head":      func(list []string) []string { return list[:min(len(list), heaviest)] },
	"rest":      func(list []string) []string { return list[min(len(list), heaviest):] },
	"abs":       func(x float64) string { return number(max(x, -x)) },
	"at":        func(now time.Time, v any) withNow { return withNow{now, v} },
	"since":     func(from, to time.Time) string { return duration(to.Sub(from)) },
	"budget": func(d time.Duration) string {
		if d == 0 {
			return "no limit"
		}
		return duration(d)
	},
}

// side is what speaks for a cause, or against it: the heaviest, and the rest folded.
type side struct {
	Class string
	Head  linkedEvidence
	Rest  *linkedEvidence
}

// Whole says whether there is anything to show.
func (s side) Whole() bool { return len(s.Head.List) > 0 }

// heaviest is how much evidence for or against a cause is shown before the rest is folded.
const heaviest = 6

func fold(class string, list []prunella.Evidence, anchors map[prunella.SignalID]string) side {
	s := side{Class: class, Head: linkedEvidence{list[:min(len(list), heaviest)], anchors}}
	if len(list) > heaviest {
		s.Rest = &linkedEvidence{list[heaviest:], anchors}
	}
	return s
}

// linkedEvidence is evidence and where on the page its signals stand.
type linkedEvidence struct {
	List    []prunella.Evidence
	Anchors map[prunella.SignalID]string
}

// withNow hands the page's time into a nested template.
type withNow struct {
	Now time.Time
	V   any
}

// newRenderer parses the embedded files; that they parse is held by the tests,
// so a failure is a broken build and panics.
func newRenderer() *renderer {
	r := &renderer{pages: map[string]*template.Template{}, names: map[string]string{}, assets: map[string]asset{}}
	base := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts*.html"))
	pages, _ := fs.Glob(files, "templates/page_*.html")
	for _, p := range pages {
		name := strings.TrimSuffix(strings.TrimPrefix(path.Base(p), "page_"), ".html")
		r.pages[name] = template.Must(template.Must(base.Clone()).ParseFS(files, p))
	}
	var css bytes.Buffer
	sheets, _ := fs.Glob(files, "assets/*.css") // sorted: the numbers in the names are the cascade's order
	for _, p := range sheets {
		css.Write(mustRead(p))
	}
	r.css = css.String()
	r.add("css", "prunella.css", "text/css; charset=utf-8", css.Bytes())
	r.add("js", "prunella.js", "text/javascript; charset=utf-8", mustRead("assets/prunella.js"))
	r.add("icon", "mark.svg", "image/svg+xml", mustRead("assets/mark.svg"))
	return r
}

func mustRead(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

func (r *renderer) add(key, file, mime string, body []byte) {
	sum := sha256.Sum256(body)
	ext := path.Ext(file)
	name := strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	r.names[key] = "/assets/" + name
	r.assets[name] = asset{mime, body}
}

func (r *renderer) serveAsset(w http.ResponseWriter, req *http.Request) {
	a, ok := r.assets[req.PathValue("file")]
	if !ok {
		http.Error(w, "This file belongs to another version of the page. Load the page again.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", a.mime)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(a.body)
}

// page writes nothing when rendering fails, so that the caller can still
// answer with an error.
func (r *renderer) page(w http.ResponseWriter, status int, f frame) error {
	var out bytes.Buffer
	if err := r.execute(&out, f.Template, "layout", f); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(out.Bytes()) // a reader who went away is not our error
	return nil
}

func (r *renderer) execute(w io.Writer, page, layout string, data any) error {
	t, ok := r.pages[page]
	if !ok {
		return fmt.Errorf("render: no page named %q", page)
	}
	if err := t.ExecuteTemplate(w, layout, data); err != nil {
		return fmt.Errorf("render %s: %w", page, err)
	}
	return nil
}

// themeOf reads the switch; the system decides when it was never used.
func themeOf(r *http.Request) string {
	c, err := r.Cookie("theme")
	if err != nil || c.Value != "light" && c.Value != "dark" {
		return ""
	}
	return c.Value
}
