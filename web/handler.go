package web

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// policy lets a page load what this server embeds, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

type server struct {
	backend Backend
	version string
	log     *slog.Logger
	render  *renderer
}

// Handler serves the pages, the API and the events. State-changing requests
// that a browser sends from another origin are refused.
func Handler(cfg Config) http.Handler {
	s := &server{backend: cfg.Backend, version: cfg.Version, log: cfg.Log.With("component", "web"), render: newRenderer()}
	mux := http.NewServeMux()

	mux.HandleFunc("GET /{$}", s.page(s.now))
	mux.HandleFunc("GET /incidents", s.page(s.incidents))
	mux.HandleFunc("GET /incidents/{id}", s.page(s.incident))
	mux.HandleFunc("GET /keys", s.page(s.keys))
	mux.HandleFunc("GET /skills", s.page(s.skills))
	mux.HandleFunc("GET /skills/{name}", s.page(s.skill))
	mux.HandleFunc("GET /drafts/{name}", s.page(s.draft))
	mux.HandleFunc("GET /people", s.page(s.wikiFolder("person", "people")))
	mux.HandleFunc("GET /people/{name}", s.page(s.wikiNamed("people")))
	mux.HandleFunc("GET /companies", s.page(s.wikiFolder("company", "companies")))
	mux.HandleFunc("GET /companies/{name}", s.page(s.wikiNamed("companies")))
	mux.HandleFunc("GET /wiki", s.page(s.wiki))
	mux.HandleFunc("GET /wiki/page/{path...}", s.page(s.wikiAny))
	mux.HandleFunc("GET /wiki/check", s.page(s.wikiCheck))
	mux.HandleFunc("GET /wiki/history", s.page(s.wikiHistory))
	mux.HandleFunc("GET /wiki/edit", s.page(s.edit))
	mux.HandleFunc("POST /wiki/edit", s.saveEdit)
	mux.HandleFunc("POST /drafts/{name}", s.form(s.decideDraft))
	mux.HandleFunc("GET /runbooks/{name...}", s.runbook)
	mux.HandleFunc("GET /reports", s.page(s.reports))
	mux.HandleFunc("GET /reports/{id}", s.page(s.report))
	mux.HandleFunc("POST /incidents/{id}/approvals/{approval}", s.form(s.decide))
	mux.HandleFunc("POST /incidents/{id}/{act}", s.form(s.act))
	mux.HandleFunc("POST /theme", s.form(s.theme))
	mux.HandleFunc("GET /assets/{file}", s.render.serveAsset)

	mux.HandleFunc("GET /api/v1/status", s.api(s.apiStatus))
	mux.HandleFunc("GET /api/v1/incidents", s.api(s.apiIncidents))
	mux.HandleFunc("GET /api/v1/incidents/{id}", s.api(s.apiIncident))
	mux.HandleFunc("GET /api/v1/incidents/{id}/signals", s.api(s.apiSignals))
	mux.HandleFunc("POST /api/v1/incidents/{id}/{act}", s.api(s.apiAct))
	mux.HandleFunc("POST /api/v1/approvals/{id}", s.api(s.apiDecide))
	mux.HandleFunc("GET /api/v1/series", s.api(s.apiSeries))
	mux.HandleFunc("GET /api/v1/graph", s.api(s.apiGraph))
	mux.HandleFunc("GET /api/v1/keys", s.api(s.apiKeys))
	mux.HandleFunc("GET /api/v1/skills", s.api(s.apiSkills))
	mux.HandleFunc("GET /api/v1/skills/{name}", s.api(s.apiSkill))
	mux.HandleFunc("POST /api/v1/skills/match", s.api(s.apiMatchSkills))
	mux.HandleFunc("POST /api/v1/skills/{name}/word", s.api(s.apiVouch))
	mux.HandleFunc("POST /api/v1/incidents/{id}/propose", s.api(s.apiPropose))
	mux.HandleFunc("GET /api/v1/wiki/search", s.api(s.apiWikiSearch))
	mux.HandleFunc("GET /api/v1/wiki/page", s.api(s.apiWikiPage))
	mux.HandleFunc("GET /api/v1/wiki/check", s.api(s.apiWikiCheck))
	mux.HandleFunc("GET /api/v1/reports", s.api(s.apiReports))
	mux.HandleFunc("POST /api/v1/reports", s.api(s.apiPutReport))
	mux.HandleFunc("GET /api/v1/reports/{id}", s.api(s.apiReport))
	mux.HandleFunc("GET /api/v1/events", s.events)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &prunella.Error{Kind: prunella.NotFound, Reason: "there is nothing at " + r.URL.Path, Remedy: "Start from the overview of what is happening now"})
	})

	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &prunella.Error{Kind: prunella.Unauthorized, Reason: "this request came from another site, so nothing was done", Remedy: "Open the page here and send the form from it"})
	}))
	return headers(guard.Handler(mux))
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.backend.Ready(r.Context()); err != nil {
		s.failJSON(w, r, err)
		return
	}
	w.Write([]byte("ready\n"))
}

// view is a page about to be rendered: which template, and with what.
type view struct {
	Template string
	Title    string
	Nav      string // which entry of the navigation is here
	Topics   string // what makes it stale: "incident:inc-1 status", matched against client.Change
	Body     any
}

func (s *server) page(f func(r *http.Request, now time.Time) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		v, err := f(r, now)
		if err == nil {
			err = s.render.page(w, http.StatusOK, s.frame(r, now, v))
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

// form runs f on a parsed form and then sends the browser where f says.
func (s *server) form(f func(w http.ResponseWriter, r *http.Request) (next string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			s.fail(w, r, &prunella.Error{Kind: prunella.Invalid, Reason: "the form could not be read, so nothing was done", Remedy: "Go back and send it again", Err: err})
			return
		}
		next, err := f(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

const maxForm = 64 << 10

func (s *server) frame(r *http.Request, now time.Time, v view) frame {
	return frame{view: v, Now: now, Version: s.version, Theme: themeOf(r), Host: r.Host, Path: r.URL.RequestURI(), Assets: s.render.names}
}

// fail answers an error in the language of who asked.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.failJSON(w, r, err)
		return
	}
	p := s.problem(r, err)
	now := time.Now()
	v := view{Template: "error", Title: p.Title, Body: p}
	if err := s.render.page(w, p.Status, s.frame(r, now, v)); err != nil {
		s.log.Error("render error page", "path", r.URL.Path, "err", err)
		http.Error(w, p.Detail+". "+p.Remedy, p.Status)
	}
}

// problem describes err, and logs it when it is our fault: this is where such
// an error ends.
func (s *server) problem(r *http.Request, err error) client.Problem {
	p := client.ProblemOf(err)
	if p.Status >= 500 && r.Context().Err() == nil {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	return p
}
