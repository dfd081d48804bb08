package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"prunella"
	"prunella/client"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxReport    = 32 << 20 // bytes of a posted report
)

// api answers with what f returns, as JSON, or with a problem document.
func (s *server) api(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := f(r)
		if err != nil {
			s.failJSON(w, r, err)
			return
		}
		b, err := json.Marshal(out)
		if err != nil {
			s.failJSON(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(b, '\n'))
	}
}

func (s *server) failJSON(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problem(r, err)
	b, err := json.Marshal(p)
	if err != nil {
		s.log.Error("encode problem", "err", err)
	}
	w.Header().Set("Content-Type", client.ProblemType)
	if p.Kind == prunella.Unavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	w.Write(append(b, '\n'))
}

func (s *server) apiStatus(r *http.Request) (any, error) {
	st, err := s.backend.Status(r.Context())
	st.Baselines, st.Monitors, st.SkillProblems = some(st.Baselines), some(st.Monitors), some(st.SkillProblems)
	return st, err
}

func (s *server) apiIncidents(r *http.Request) (any, error) {
	q, err := incidentQuery(r)
	if err != nil {
		return nil, err
	}
	found, err := s.backend.Incidents(r.Context(), q)
	return client.Incidents{Incidents: some(found)}, err
}

func incidentQuery(r *http.Request) (client.IncidentQuery, error) {
	v := r.URL.Query()
	q := client.IncidentQuery{Open: v.Get("open") == "true"}
	for _, state := range v["state"] {
		known := prunella.State(state)
		if !isState(known) {
			return q, &prunella.Error{Kind: prunella.Invalid, Where: "state", Reason: strconv.Quote(state) + " is not a state of an incident",
				Remedy: "Use open, diagnosing, awaiting-approval, healing, verifying, resolved or escalated"}
		}
		q.States = append(q.States, known)
	}
	var err error
	q.Limit, err = limitOf(r)
	return q, err
}

func isState(s prunella.State) bool {
	switch s {
	case prunella.Open, prunella.Diagnosing, prunella.AwaitingApproval, prunella.Healing, prunella.Verifying, prunella.Resolved, prunella.Escalated:
		return true
	}
	return false
}

func (s *server) apiIncident(r *http.Request) (any, error) {
	v, err := s.backend.Incident(r.Context(), prunella.IncidentID(r.PathValue("id")))
	v.Runs, v.Events, v.Approvals, v.Notifications = some(v.Runs), some(v.Events), some(v.Approvals), some(v.Notifications)
	return v, err
}

func (s *server) apiSignals(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	offset, err := wholeNumber(r, "offset", 0)
	if err != nil {
		return nil, err
	}
	found, total, err := s.backend.Signals(r.Context(), prunella.IncidentID(r.PathValue("id")), limit, offset)
	return client.SignalPage{Signals: some(found), Total: total, Limit: limit, Offset: offset}, err
}

func (s *server) apiSeries(r *http.Request) (any, error) {
	from, err := timeOf(r, "from")
	if err != nil {
		return nil, err
	}
	to, err := timeOf(r, "to")
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	points, err := s.backend.Series(r.Context(), client.SeriesQuery{Name: v.Get("name"), Service: v.Get("service"), From: from, To: to})
	return client.Series{Points: some(points)}, err
}

func (s *server) apiGraph(r *http.Request) (any, error) {
	g, err := s.backend.Graph(r.Context())
	g.Services, g.Edges = some(g.Services), some(g.Edges)
	return g, err
}

func (s *server) apiKeys(r *http.Request) (any, error) {
	b, err := s.backend.Keys(r.Context())
	b.Verdicts = some(verdicts(b, time.Now()))
	b.Services, b.Sets, b.Cells = some(b.Services), some(b.Sets), some(b.Cells)
	return b, err
}

func (s *server) apiSkills(r *http.Request) (any, error) {
	found, err := s.backend.Skills(r.Context())
	return client.Skills{Skills: some(found)}, err
}

func (s *server) apiSkill(r *http.Request) (any, error) {
	return s.backend.Skill(r.Context(), prunella.SkillName(r.PathValue("name")))
}

func (s *server) apiReports(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	found, err := s.backend.Reports(r.Context(), limit)
	return client.Reports{Reports: some(found)}, err
}

func (s *server) apiReport(r *http.Request) (any, error) {
	return s.backend.Report(r.Context(), r.PathValue("id"))
}

func (s *server) apiPutReport(r *http.Request) (any, error) {
	var report prunella.Report
	if err := readJSON(r, maxReport, &report); err != nil {
		return nil, err
	}
	if report.ID == "" || report.Scenario == "" {
		return nil, &prunella.Error{Kind: prunella.Invalid, Where: "id, scenario", Reason: "a report needs both", Remedy: "Send what `prunella scenario run --report json` prints"}
	}
	return report, s.backend.PutReport(r.Context(), report)
}

func (s *server) apiDecide(r *http.Request) (any, error) {
	var d client.Decision
	if err := readJSON(r, maxForm, &d); err != nil {
		return nil, err
	}
	return s.decideApproval(r, r.PathValue("id"), d)
}

func (s *server) apiAct(r *http.Request) (any, error) {
	var n client.Note
	if err := readJSON(r, maxForm, &n); err != nil {
		return nil, err
	}
	return s.actOn(r, prunella.IncidentID(r.PathValue("id")), r.PathValue("act"), n)
}

func readJSON(r *http.Request, limit int64, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, limit))
	err := d.Decode(into)
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return &prunella.Error{Kind: prunella.TooLarge, Reason: "the body is over " + thousands(limit) + " bytes"}
	case errors.Is(err, io.EOF):
		return &prunella.Error{Kind: prunella.Invalid, Reason: "the body is empty", Remedy: "Send a JSON object"}
	}
	return &prunella.Error{Kind: prunella.Invalid, Reason: "the body is not the JSON expected", Err: err}
}

func limitOf(r *http.Request) (int, error) {
	n, err := wholeNumber(r, "limit", defaultLimit)
	return max(1, min(n, maxLimit)), err
}

func wholeNumber(r *http.Request, name string, fallback int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &prunella.Error{Kind: prunella.Invalid, Where: name, Reason: strconv.Quote(text) + " is not a whole number"}
	}
	return n, nil
}

func timeOf(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, &prunella.Error{Kind: prunella.Invalid, Where: name, Reason: strconv.Quote(text) + " is not a time", Remedy: "Write it like 2026-03-29T14:02:03Z"}
	}
	return t, nil
}

// some makes a list that is [] in JSON even when it is empty.
func some[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}
