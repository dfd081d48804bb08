package web

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http/httptest"
	"sort"
	"sync"
	"testing"
	"time"

	"prunella"
	"prunella/client"
)

// world is a Backend in memory: eight services, a partial key distribution
// being healed, one incident that waits for an approval, one that a person
// holds, one that is over. Times are relative to its start.
type world struct {
	mu        sync.Mutex
	start     time.Time
	status    client.Status
	incidents []client.IncidentView
	signals   map[prunella.IncidentID][]prunella.Signal
	series    []prunella.SeriesPoint
	board     client.KeyBoard
	skills    []client.SkillView
	pages     pages
	reports   []prunella.Report
	down      error // what Ready and Status answer
	decided   []client.Decision
	listeners map[chan client.Change]bool
	opened    chan struct{} // told of each subscription, when somebody waits for it
	gone      bool          // new subscriptions end at once, as when a server is stopping
}

const (
	oldKid = "key-2025-12-01"
	newKid = "key-2026-03-29"
)

var serviceNames = []string{"gateway", "user", "order", "payment", "inventory", "notification", "search"}

func newWorld() *world {
	w := &world{start: time.Now().UTC(), signals: map[prunella.IncidentID][]prunella.Signal{}, listeners: map[chan client.Change]bool{}}
	w.fillStatus()
	w.incidents = []client.IncidentView{w.healing(), w.awaiting(), w.escalated(), w.resolved()}
	w.fillSeries()
	w.fillBoard()
	w.skills = []client.SkillView{partialSkill(w.start), staleSkill(w.start)}
	w.pages = newPages(w.start)
	w.reports = []prunella.Report{w.report(), failedReport(w.start)}
	return w
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve starts the handler over b and returns its URL.
func serve(t *testing.T, b Backend) string {
	t.Helper()
	srv := httptest.NewServer(Handler(Config{Backend: b, Version: "v0.1.0-test", Log: quiet()}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

func (w *world) ago(d time.Duration) time.Time { return w.start.Add(-d) }

func (w *world) fillStatus() {
	w.status = client.Status{Version: "v0.1.0-test", Started: w.ago(26 * time.Hour), Now: w.start, TimeScale: 1, IncidentsOpen: 3,
		Intake: client.Intake{SignalsTotal: 1284331, PerSecond: 41.6, BusDepth: 3, LagSeconds: 0.2, Rejected: 2, LastSignal: w.start},
		Monitors: []client.Monitor{{Name: "jwks/auth", LastRun: w.ago(4 * time.Second)}, {Name: "canary/auth", LastRun: w.ago(7 * time.Second)},
			{Name: "releases", LastRun: w.ago(48 * time.Second), LastError: "the releases list answered 502"}, {Name: "heartbeat", LastRun: w.ago(time.Second)}},
		Engine: client.Engine{Owner: "node-1", LastTick: w.start}}
	for i, s := range serviceNames {
		w.status.Baselines = append(w.status.Baselines, client.Baseline{Service: s, Known: i != 4, Have: []int{60, 60, 60, 60, 7, 60, 60}[i], Need: 30, Rate: 10, Share: 0.0008})
	}
}

func (w *world) fillSeries() {
	onset := w.incidents[0].Incident.Onset
	hit := map[string]bool{"user": true, "order": true, "search": true, "notification": true}
	for at := w.ago(16 * time.Minute); at.Before(w.start); at = at.Add(2 * time.Second) {
		for i, s := range serviceNames {
			phase := float64(at.Unix()%600)/600*2*math.Pi + float64(i)
			rate := 8 + 3*float64(i%3) + 1.2*math.Sin(phase) + 0.6*math.Sin(phase*13)
			failing := 0.01
			if hit[s] && at.After(onset) {
				since := at.Sub(onset).Seconds()
				failing = rate * math.Min(0.92, 0.25+since/90)
				if healed := at.Sub(onset.Add(75 * time.Second)).Seconds(); healed > 0 {
					failing = rate * math.Max(0.02, 0.92-healed/20)
				}
			}
			if s == "payment" && at.After(w.ago(6*time.Minute)) {
				failing = rate * 0.12
			}
			w.series = append(w.series,
				prunella.SeriesPoint{Service: s, Name: "requests", At: at, Value: rate},
				prunella.SeriesPoint{Service: s, Name: "errors.401", At: at, Value: failing},
				prunella.SeriesPoint{Service: s, Name: "baseline.401", At: at, Value: 0.012})
		}
	}
	over := w.incidents[3].Incident
	for at := over.Onset.Add(-2 * time.Minute); at.Before(over.ResolvedAt.Add(2 * time.Minute)); at = at.Add(2 * time.Second) {
		failing := 0.01
		if since := at.Sub(over.Onset).Seconds(); since > 0 {
			failing = math.Max(0.01, math.Min(9, since)-math.Max(0, since-20))
		}
		for s := range hit {
			w.series = append(w.series, prunella.SeriesPoint{Service: s, Name: "errors.401", At: at, Value: failing}, prunella.SeriesPoint{Service: s, Name: "baseline.401", At: at, Value: 0.012})
		}
	}
	sort.SliceStable(w.series, func(i, j int) bool { return w.series[i].At.Before(w.series[j].At) })
}

func (w *world) fillBoard() {
	b := client.KeyBoard{Services: serviceNames}
	b.Sets = []prunella.KeySet{{Issuer: "auth", URL: "http://127.0.0.1:9100/.well-known/jwks.json", At: w.ago(4 * time.Second), Reachable: true, Signer: oldKid,
		TokenLifetime: time.Hour, MaxAge: 5 * time.Minute, Keys: []prunella.PublicKey{
			{Kid: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", Alg: "RS256", State: "removed", FirstSeen: w.ago(120 * 24 * time.Hour), LastSeen: w.ago(30 * 24 * time.Hour), LastSigned: w.ago(31 * 24 * time.Hour)},
			{Kid: oldKid, Alg: "RS256", State: "active", FirstSeen: w.ago(90 * 24 * time.Hour), LastSeen: w.ago(4 * time.Second), LastSigned: w.ago(7 * time.Second), Published: true},
			{Kid: newKid, Alg: "RS256", State: "next", FirstSeen: w.ago(150 * time.Second), LastSeen: w.ago(4 * time.Second), LastSigned: w.ago(80 * time.Second), Published: true},
		}}}
	for _, s := range serviceNames {
		fresh := prunella.TrustCell{Service: s, Issuer: "auth", Kid: newKid, Trust: prunella.Trusts, Status: 200, At: w.ago(7 * time.Second), LastTrusted: w.ago(7 * time.Second)}
		switch s {
		case "user", "search":
			fresh.Trust, fresh.Status, fresh.Reason = prunella.Rejects, 401, "invalid signature: key ID key-2026-03-29 not found in local keystore"
		case "notification":
			fresh.Trust, fresh.Status, fresh.Reason = prunella.TrustUnknown, 0, "connection refused"
		}
		b.Cells = append(b.Cells, fresh,
			prunella.TrustCell{Service: s, Issuer: "auth", Kid: oldKid, Trust: prunella.Trusts, Status: 200, At: w.ago(7 * time.Second), LastTrusted: w.ago(7 * time.Second)},
			prunella.TrustCell{Service: s, Issuer: "auth", Kid: b.Sets[0].Keys[0].Kid, Trust: prunella.Rejects, Status: 401, Reason: "unknown kid", At: w.ago(67 * time.Second)})
	}
	w.board = b
}

// The Backend.

func (w *world) Ready(context.Context) error { return w.down }

func (w *world) Status(context.Context) (client.Status, error) { return w.status, w.down }

func (w *world) Incidents(_ context.Context, q client.IncidentQuery) ([]prunella.Incident, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []prunella.Incident
	for _, v := range w.incidents {
		wanted := !q.Open || v.Incident.State != prunella.Resolved
		if len(q.States) > 0 {
			wanted = false
			for _, s := range q.States {
				wanted = wanted || s == v.Incident.State
			}
		}
		if wanted && len(out) < q.Limit {
			out = append(out, v.Incident)
		}
	}
	return out, nil
}

func (w *world) find(id prunella.IncidentID) (*client.IncidentView, error) {
	for i := range w.incidents {
		if w.incidents[i].Incident.ID == id {
			return &w.incidents[i], nil
		}
	}
	return nil, &prunella.Error{Kind: prunella.NotFound, Reason: fmt.Sprintf("there is no incident %s", id), Remedy: "List them with: prunella incident list"}
}

func (w *world) Incident(_ context.Context, id prunella.IncidentID) (client.IncidentView, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, err := w.find(id)
	if err != nil {
		return client.IncidentView{}, err
	}
	return *v, nil
}

func (w *world) Signals(_ context.Context, id prunella.IncidentID, limit, offset int) ([]prunella.Signal, int, error) {
	all := w.signals[id]
	from := min(offset, len(all))
	return all[from:min(from+limit, len(all))], len(all), nil
}

func (w *world) Series(_ context.Context, q client.SeriesQuery) ([]prunella.SeriesPoint, error) {
	var out []prunella.SeriesPoint
	for _, p := range w.series {
		if p.At.Before(q.From) || !q.To.IsZero() && p.At.After(q.To) || q.Name != "" && q.Name != p.Name || q.Service != "" && q.Service != p.Service {
			continue
		}
		out = append(out, p)
	}
	return out, nil
}

func (w *world) Graph(context.Context) (client.Graph, error) {
	g := client.Graph{Services: []client.GraphService{{Name: "auth", Criticality: "high", Issuer: true, Owner: "@sam"}}}
	for _, s := range serviceNames {
		g.Services = append(g.Services, client.GraphService{Name: s, Criticality: "normal", Owner: "@deepak"})
	}
	for _, e := range [][2]string{{"gateway", "user"}, {"gateway", "order"}, {"gateway", "search"}, {"order", "payment"}, {"order", "inventory"}, {"payment", "notification"}} {
		g.Edges = append(g.Edges, prunella.Edge{From: e[0], To: e[1]})
	}
	return g, nil
}

func (w *world) Keys(context.Context) (client.KeyBoard, error) { return w.board, nil }

func (w *world) Skills(context.Context) ([]client.SkillView, error) { return w.skills, nil }

func (w *world) Skill(_ context.Context, name prunella.SkillName) (client.SkillView, error) {
	for _, s := range w.skills {
		if s.Skill.Name == name {
			return s, nil
		}
	}
	return client.SkillView{}, &prunella.Error{Kind: prunella.NotFound, Reason: "there is no skill " + string(name)}
}

func (w *world) Reports(_ context.Context, limit int) ([]prunella.Report, error) {
	return w.reports[:min(limit, len(w.reports))], nil
}

func (w *world) Report(_ context.Context, id string) (prunella.Report, error) {
	for _, r := range w.reports {
		if r.ID == id {
			return r, nil
		}
	}
	return prunella.Report{}, &prunella.Error{Kind: prunella.NotFound, Reason: "there is no report " + id}
}

func (w *world) PutReport(_ context.Context, r prunella.Report) error {
	w.reports = append([]prunella.Report{r}, w.reports...)
	return nil
}

func (w *world) Decide(_ context.Context, id string, d client.Decision) (prunella.Approval, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.incidents {
		v := &w.incidents[i]
		for j := range v.Approvals {
			a := v.Approvals[j]
			if a.ID != id {
				continue
			}
			if a.Hash != d.Hash || a.Decision != "" {
				return a, &prunella.Error{Kind: prunella.Conflict, Reason: "this approval is already decided, or the plan changed", Remedy: "Read the plan as it is now"}
			}
			a.Decision, a.By, a.Note, a.Decided = d.Decision, d.By, d.Note, time.Now()
			v.Approvals = append([]prunella.Approval(nil), v.Approvals...)
			v.Approvals[j] = a
			v.Incident.State = prunella.Healing
			w.decided = append(w.decided, d)
			return a, nil
		}
	}
	return prunella.Approval{}, &prunella.Error{Kind: prunella.NotFound, Reason: "there is no approval " + id}
}

func (w *world) move(id prunella.IncidentID, to prunella.State, n client.Note) (prunella.Incident, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, err := w.find(id)
	if err != nil {
		return prunella.Incident{}, err
	}
	if err := prunella.Transition(v.Incident.State, to); err != nil {
		return v.Incident, err
	}
	v.Incident.State = to
	v.Incident.StateReason = prunella.Reason{Name: "person", Text: n.By + ": " + n.Note}
	return v.Incident, nil
}

func (w *world) Resolve(_ context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error) {
	return w.move(id, prunella.Resolved, n)
}

func (w *world) HandBack(_ context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error) {
	return w.move(id, prunella.Diagnosing, n)
}

func (w *world) Escalate(_ context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error) {
	return w.move(id, prunella.Escalated, n)
}

func (w *world) Subscribe(ctx context.Context) <-chan client.Change {
	ch := make(chan client.Change, 16)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		close(ch)
		return ch
	}
	w.listeners[ch] = true
	if w.opened != nil {
		w.opened <- struct{}{}
	}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.listeners[ch] {
			delete(w.listeners, ch)
			close(ch)
		}
	})
	return ch
}

// announce tells every open page that something changed.
func (w *world) announce(what, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.listeners {
		ch <- client.Change{What: what, ID: id, At: time.Now().UTC()}
	}
}
