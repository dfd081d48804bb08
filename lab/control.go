package lab

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// control is the control plane on one address: Kubernetes, GitHub and the
// vendor's status page.
type control struct {
	url      string
	kube     *kube
	releases *releases
	vendor   *vendor
	server   *http.Server
	secured  *secured
	cancel   context.CancelFunc
}

func startControl(w *World) (*control, error) {
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(w.ctx)
	c := &control{url: "http://" + ln.Addr().String(), releases: newReleases(w.order), vendor: &vendor{updated: time.Now().UTC()}, cancel: cancel}
	if c.kube, err = newKube(ctx, w.secrets.kube, w.nodes, w.order); err != nil {
		cancel()
		return nil, errors.Join(err, ln.Close())
	}
	mux := http.NewServeMux()
	c.kube.routes(mux)
	c.releases.routes(mux)
	c.vendor.routes(mux)
	if c.secured, err = startSecured(mux); err != nil {
		cancel()
		return nil, errors.Join(err, ln.Close())
	}
	c.server = newServer(mux)
	go serve(c.server, ln)
	return c, nil
}

func (c *control) stop(ctx context.Context) error {
	c.cancel()
	c.kube.wg.Wait()
	return errors.Join(drain(ctx, c.server), drain(ctx, c.secured.server))
}

// release is an entry of GitHub's list of releases.
type release struct {
	ID              int64     `json:"id"`
	TagName         string    `json:"tag_name"`
	Name            string    `json:"name"`
	Body            string    `json:"body"`
	TargetCommitish string    `json:"target_commitish"`
	Draft           bool      `json:"draft"`
	Prerelease      bool      `json:"prerelease"`
	CreatedAt       time.Time `json:"created_at"`
	PublishedAt     time.Time `json:"published_at"`
	HTMLURL         string    `json:"html_url"`
	Author          struct {
		Login string `json:"login"`
	} `json:"author"`
}

// releases is GitHub's API, one repository for each service.
type releases struct {
	mu     sync.Mutex
	byRepo map[string][]release // newest first
}

func newReleases(services []string) *releases {
	r := &releases{byRepo: map[string][]release{}}
	for i, s := range services {
		r.add(s, initialTag, "dependabot[bot]", time.Now().Add(-72*time.Hour-time.Duration(i)*time.Hour))
	}
	return r
}

func (r *releases) add(service, tag, author string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at = at.UTC().Truncate(time.Second)
	rel := release{ID: at.UnixNano(), TagName: tag, Name: service + " " + tag, TargetCommitish: "main", CreatedAt: at, PublishedAt: at,
		Body: "Changes since the last release.", HTMLURL: "https://github.com/" + repoOwner + "/" + service + "/releases/tag/" + tag}
	rel.Author.Login = author
	r.byRepo[service] = append([]release{rel}, r.byRepo[service]...)
}

// withdraw removes a release; its absence is not an error.
func (r *releases) withdraw(service, tag string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := []release{}
	for _, rel := range r.byRepo[service] {
		if rel.TagName != tag {
			kept = append(kept, rel)
		}
	}
	r.byRepo[service] = kept
}

func (r *releases) list(service string) ([]release, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.byRepo[service]
	return l, ok
}

func (r *releases) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /repos/{owner}/{repo}/releases", func(w http.ResponseWriter, req *http.Request) {
		l, ok := r.list(req.PathValue("repo"))
		if !ok || req.PathValue("owner") != repoOwner {
			reply(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
			return
		}
		reply(w, http.StatusOK, l)
	})
}

// vendor is the status page of who runs the identity provider, in the shape of
// Statuspage.
type vendor struct {
	mu      sync.Mutex
	down    bool
	updated time.Time
}

func (v *vendor) set(down bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down, v.updated = down, time.Now().UTC()
}

func (v *vendor) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v2/status.json", func(w http.ResponseWriter, _ *http.Request) {
		page, status, _, _ := v.view()
		reply(w, http.StatusOK, map[string]any{"page": page, "status": status})
	})
	mux.HandleFunc("GET /api/v2/summary.json", func(w http.ResponseWriter, _ *http.Request) {
		page, status, components, incidents := v.view()
		reply(w, http.StatusOK, map[string]any{"page": page, "status": status, "components": components, "incidents": incidents, "scheduled_maintenances": []any{}})
	})
}

func (v *vendor) view() (page, status map[string]string, components, incidents []map[string]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at := v.updated.Format(time.RFC3339)
	page = map[string]string{"id": "lab", "name": "Identity vendor", "updated_at": at}
	if !v.down {
		return page, map[string]string{"indicator": "none", "description": "All Systems Operational"},
			[]map[string]string{{"name": "Authentication", "status": "operational"}}, []map[string]string{}
	}
	return page, map[string]string{"indicator": "critical", "description": "Major Service Outage"},
		[]map[string]string{{"name": "Authentication", "status": "major_outage"}},
		[]map[string]string{{"name": "Token and key endpoints are unavailable", "impact": "critical", "status": "investigating", "created_at": at}}
}
