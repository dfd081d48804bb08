package web

import (
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// nowWindow is how far back the small multiples of the overview reach, in the
// engine's time.
const nowWindow = 15 * time.Minute

// nowPage answers: is anything broken, and who or what is on it?
type nowPage struct {
	Sentence string
	Tone     string // bad | warn | good | plain
	Detail   string
	Open     []incidentRow
	More     int          // open incidents besides
	Last     *incidentRow // the last resolved one, when nothing is open
	Status   client.Status
	Sparks   []spark
	Window   time.Duration
	Report   *prunella.Report
	Prove    prunella.SkillName // a skill that a drill could prove
	Fresh    bool               // no signal has ever come in
}

type incidentRow struct {
	I     prunella.Incident
	Rail  []stage
	Cause string // in about five words
	Due   due
	Now   bearing
}

func (s *server) now(r *http.Request, now time.Time) (view, error) {
	ctx := r.Context()
	status, err := s.backend.Status(ctx)
	if err != nil {
		return view{}, err
	}
	open, err := s.backend.Incidents(ctx, client.IncidentQuery{Open: true, Limit: maxLimit}) // all: the worst may be the oldest
	if err != nil {
		return view{}, err
	}
	p := nowPage{Status: status, Fresh: status.Intake.LastSignal.IsZero() && status.Intake.SignalsTotal == 0}
	worstFirst(open)
	for _, inc := range open[:min(len(open), openShown)] {
		p.Open = append(p.Open, rowOf(inc, now))
	}
	p.More = len(open) - len(p.Open)
	if len(open) == 0 {
		closed, err := s.backend.Incidents(ctx, client.IncidentQuery{States: []prunella.State{prunella.Resolved}, Limit: 1})
		if err != nil {
			return view{}, err
		}
		if len(closed) > 0 {
			row := rowOf(closed[0], now)
			p.Last = &row
		}
	}
	if p.Sparks, p.Window, err = s.sparks(r, status, open, now); err != nil {
		return view{}, err
	}
	reports, err := s.backend.Reports(ctx, 1)
	if err != nil {
		return view{}, err
	}
	if len(reports) > 0 {
		p.Report = &reports[0]
	} else if p.Prove, err = s.provable(ctx); err != nil {
		return view{}, err
	}
	p.Sentence, p.Detail, p.Tone = sayNow(open, status, now)
	return view{Template: "now", Title: "Now", Nav: "now", Topics: "incident status reports", Body: p}, nil
}

func worstFirst(open []prunella.Incident) {
	sort.SliceStable(open, func(i, j int) bool { return open[i].Severity.Rank() > open[j].Severity.Rank() })
}

func (s *server) sparks(r *http.Request, status client.Status, open []prunella.Incident, now time.Time) ([]spark, time.Duration, error) {
	window := nowWindow
	if status.TimeScale > 1 {
		window = max(time.Minute, time.Duration(float64(window)/status.TimeScale))
	}
	points, err := s.backend.Series(r.Context(), client.SeriesQuery{From: now.Add(-window), To: now})
	if err != nil {
		return nil, 0, err
	}
	byService := map[string][]prunella.SeriesPoint{}
	for _, p := range points {
		byService[p.Service] = append(byService[p.Service], p)
	}
	hit := map[string]bool{}
	for _, inc := range open {
		for _, i := range inc.Impact {
			hit[i.Service] = true
		}
	}
	var out []spark
	for _, b := range status.Baselines {
		sp := sparkOf(byService[b.Service], now.Add(-window), now)
		sp.Service, sp.Baseline, sp.Known, sp.Have, sp.Need, sp.Hit = b.Service, b.Share, b.Known, b.Have, b.Need, hit[b.Service] && sp.Share > max(0.02, 5*b.Share)
		out = append(out, sp)
	}
	return out, window, nil
}

func rowOf(inc prunella.Incident, now time.Time) incidentRow {
	row := incidentRow{I: inc, Rail: rail(inc, now), Due: dueOf(inc, nil), Now: bearingOf(inc), Cause: "cause not known yet"}
	if len(inc.Causes) > 0 {
		row.Cause = faultWord(inc.Causes[0].Fault)
	}
	return row
}

const (
	openShown = 30  // open incidents on the overview, the worst first
	listShown = 300 // incidents in the list, unless the address asks for more
)

// silentAfter is when a silent intake is itself worth saying.
const silentAfter = time.Minute

// waitingMany is from how many messages on that an intake of which nothing is read is stuck, not slow.
const waitingMany = 100

// sayNow is the one sentence of the overview. It never says that all is well
// when it could not know.
func sayNow(open []prunella.Incident, status client.Status, now time.Time) (sentence, detail, tone string) {
	last := status.Intake.LastSignal
	if len(open) == 0 {
		unknown := 0
		for _, b := range status.Baselines {
			if !b.Known {
				unknown++
			}
		}
		switch {
		case last.IsZero():
			return "Nothing has been heard yet.", "No signal has come in since the start, so nothing can be said about your services.", "plain"
		case now.Sub(last) > silentAfter && status.Intake.BusDepth > waitingMany:
			return "No incident is open that can be seen: signals wait to be read.",
				count(int(status.Intake.BusDepth), "message") + " came in since the last one that was read, " + relative(now, last) + ". Look at the log of this server.", "warn"
		case now.Sub(last) > silentAfter:
			return "No incident is open, but nothing is heard either.",
				"The last signal came " + relative(now, last) + ". Check that your services can still reach this server.", "warn"
		case unknown > 0:
			return "Nothing is broken that can be seen.",
				fmt.Sprintf("For %d of %s there is not enough history yet to know what is normal; a few minutes of traffic are needed.", unknown, count(len(status.Baselines), "service")), "plain"
		}
		return "Nothing is broken.", count(len(status.Baselines), "service") + " within what is normal for them.", "good"
	}
	critical, waiting, held, stuck := 0, 0, 0, 0
	var holders []string
	for _, i := range open {
		by, _ := i.Holder()
		switch {
		case i.State == prunella.AwaitingApproval:
			waiting++
		case by != "":
			held++
			holders = including(holders, by)
		case i.State == prunella.Escalated:
			stuck++
		}
		if i.Severity == prunella.Critical {
			critical++
		}
	}
	sentence = count(len(open), "incident") + " open"
	if critical > 0 && critical == len(open) {
		sentence = count(len(open), "critical incident") + " open"
	} else if critical > 0 {
		sentence += fmt.Sprintf(", %d critical", critical)
	}
	which := func(n int) string {
		if len(open) == 1 {
			return "it"
		}
		return strconv.Itoa(n)
	}
	var parts []string
	if waiting > 0 {
		parts = append(parts, fmt.Sprintf("%s %s for your approval", which(waiting), map[bool]string{true: "waits", false: "wait"}[waiting == 1]))
	}
	if stuck > 0 {
		parts = append(parts, fmt.Sprintf("%s %s for a person, and nothing is done meanwhile", which(stuck), map[bool]string{true: "waits", false: "wait"}[stuck == 1]))
	}
	if held > 0 {
		parts = append(parts, fmt.Sprintf("%s %s on %s", list(holders), plural(holders, "is", "are"), which(held)))
	}
	if n := len(open) - waiting - held - stuck; n > 0 {
		parts = append(parts, "Prunella is on "+which(n))
	}
	tone = "warn"
	if critical > 0 || stuck > 0 {
		tone = "bad"
	}
	return sentence + ".", upper(strings.Join(parts, ", ")) + ".", tone
}

type incidentsPage struct {
	Filter string // "" | open | resolved | escalated
	Newest int    // how many are shown, when there are more; else 0
	Open   []incidentRow
	Closed []incidentRow
}

func (s *server) incidents(r *http.Request, now time.Time) (view, error) {
	q, err := incidentQuery(r)
	if err != nil {
		return view{}, err
	}
	if !r.URL.Query().Has("limit") {
		q.Limit = listShown
	}
	found, err := s.backend.Incidents(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	p := incidentsPage{Filter: r.URL.RawQuery}
	if len(found) == q.Limit {
		p.Newest = q.Limit
	}
	var open []prunella.Incident
	for _, inc := range found {
		if inc.State == prunella.Resolved {
			p.Closed = append(p.Closed, rowOf(inc, now))
		} else {
			open = append(open, inc)
		}
	}
	worstFirst(open)
	for _, inc := range open {
		p.Open = append(p.Open, rowOf(inc, now))
	}
	return view{Template: "incidents", Title: "Incidents", Nav: "incidents", Topics: "incident", Body: p}, nil
}

type reportsPage struct {
	Reports []prunella.Report
	Passed  int
	Prove   prunella.SkillName // a skill that a drill could prove
}

func (s *server) reports(r *http.Request, _ time.Time) (view, error) {
	limit, err := limitOf(r)
	if err != nil {
		return view{}, err
	}
	found, err := s.backend.Reports(r.Context(), limit)
	if err != nil {
		return view{}, err
	}
	p := reportsPage{Reports: found}
	if len(found) == 0 {
		if p.Prove, err = s.provable(r.Context()); err != nil {
			return view{}, err
		}
	}
	for _, rep := range found {
		if rep.Status == prunella.Passed {
			p.Passed++
		}
	}
	return view{Template: "reports", Title: "Reports", Nav: "reports", Topics: "reports", Body: p}, nil
}

func (s *server) report(r *http.Request, _ time.Time) (view, error) {
	rep, err := s.backend.Report(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	return view{Template: "report", Title: rep.Title, Nav: "reports", Body: reportOf(rep)}, nil
}
