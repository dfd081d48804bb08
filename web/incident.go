package web

import (
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// signalsShown bounds how many linked signals a page gathers into groups.
const signalsShown = 500

// groupsShown is how many groups of signals stand open to the eye; more are folded.
const groupsShown = 10

// incidentPage answers: what, how bad, why, what is being done, is it over?
type incidentPage struct {
	I        prunella.Incident
	Headline string // the cause in one sentence
	More     string // what else is known of it
	Standing bearing
	Holder   string // the person who took it
	GivenUp  string // why the engine had given it up before that
	Unheard  string // why nobody was told
	Cause    *prunella.Cause
	Rail     []stage
	Plot     plot
	Due      due
	Ask      *ask // an approval that is due
	Name     string
	Graph    graphView
	Runs     []prunella.Run // newest first
	Events   []prunella.Event
	Groups   []signalGroup // the largest
	Rarer    []signalGroup // the others
	Shown    int
	Total    int
	Notified []prunella.Notification
	Decided  []prunella.Approval
	Held     bool
	Over     bool
	Anchors  map[prunella.SignalID]string
	Runbooks []runbookLink // that its alerts name
}

// runbookLink is what an alert's runbook_url leads to: a skill of ours, or an
// address elsewhere.
type runbookLink struct{ Text, URL string }

func (s *server) runbooks(r *http.Request, signals []prunella.Signal) []runbookLink {
	var out []runbookLink
	seen := map[string]bool{}
	for _, sig := range signals {
		address := sig.Attributes["runbook_url"]
		if address == "" || seen[address] || len(out) == 5 {
			continue
		}
		seen[address] = true
		name, ours := s.runbookOf(r, address)
		switch {
		case ours:
			out = append(out, runbookLink{string(name), "/skills/" + url.PathEscape(string(name))})
		case strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://"):
			out = append(out, runbookLink{address, address})
		}
	}
	return out
}

// ask is an approval with exactly what it lets run.
type ask struct {
	Approval prunella.Approval
	Run      prunella.Run
}

// due is what happens next, and when.
type due struct {
	What string
	At   time.Time
}

func (s *server) incident(r *http.Request, now time.Time) (view, error) {
	ctx, id := r.Context(), prunella.IncidentID(r.PathValue("id"))
	v, err := s.backend.Incident(ctx, id)
	if err != nil {
		return view{}, err
	}
	signals, total, err := s.backend.Signals(ctx, id, signalsShown, 0)
	if err != nil {
		return view{}, err
	}
	graph, err := s.backend.Graph(ctx)
	if err != nil {
		return view{}, err
	}
	from, to := plotRange(v.Incident, v.Runs, now)
	points, err := s.backend.Series(ctx, client.SeriesQuery{From: from.Add(-quietShown), To: to})
	if err != nil {
		return view{}, err
	}
	from, points = quietBefore(from, v.Incident.Onset, points)
	p := incidentPage{I: v.Incident, Rail: rail(v.Incident, now), Name: nameOf(r), Events: v.Events, Notified: v.Notifications,
		Runs: newestFirst(v.Runs), Shown: len(signals), Total: total,
		Held: v.Incident.State == prunella.Escalated, Over: v.Incident.State == prunella.Resolved,
		Plot: ratePlot(points, hitBy(v.Incident), from, to, marksOf(v)), Graph: drawGraph(graph, v.Incident, now), Anchors: map[prunella.SignalID]string{}}
	groups := groupSignals(signals)
	p.Groups, p.Rarer = groups[:min(len(groups), groupsShown)], groups[min(len(groups), groupsShown):]
	for _, sig := range signals {
		p.Anchors[sig.ID] = "signal-" + string(sig.ID)
	}
	if len(v.Incident.Causes) > 0 {
		p.Cause = &v.Incident.Causes[0]
	}
	p.Runbooks = s.runbooks(r, signals)
	p.Headline, p.More = firstSentence(headline(v.Incident))
	p.Standing, p.Unheard = bearingOf(v.Incident), unheard(v.Notifications)
	p.Holder, p.GivenUp = v.Incident.Holder()
	for _, a := range v.Approvals {
		if a.Decision != "" {
			p.Decided = append(p.Decided, a)
			continue
		}
		for _, run := range v.Runs {
			if run.ID == a.Run && now.Before(a.Expires) {
				p.Ask = &ask{a, run}
			}
		}
	}
	p.Due = dueOf(v.Incident, p.Ask)
	return view{Template: "incident", Title: v.Incident.Title, Nav: "incidents", Topics: "incident:" + string(id), Body: p}, nil
}

func newestFirst(runs []prunella.Run) []prunella.Run {
	out := append([]prunella.Run(nil), runs...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Created.After(out[j].Created) })
	return out
}

func headline(inc prunella.Incident) string {
	if len(inc.Causes) > 0 && inc.Causes[0].Summary != "" {
		return inc.Causes[0].Summary
	}
	switch inc.State {
	case prunella.Open, prunella.Diagnosing:
		return "The cause is not known yet; the checks are running."
	}
	return "The cause was not found."
}

func dueOf(inc prunella.Incident, a *ask) due {
	switch inc.State {
	case prunella.AwaitingApproval:
		if a != nil {
			return due{"approve or refuse; refused unless approved", a.Approval.Expires}
		}
		return due{"approve or refuse", inc.DueAt}
	case prunella.Escalated:
		if by, _ := inc.Holder(); by != "" {
			return due{What: by + " is on it; nothing runs by itself"}
		}
		return due{What: "waits for a person; nothing runs by itself"}
	case prunella.Resolved:
		return due{}
	case prunella.Verifying:
		return due{"the verdict", inc.DueAt}
	case prunella.Healing:
		return due{"a step of the plan", inc.DueAt}
	case prunella.Open:
		return due{"the search for the cause", inc.DueAt}
	}
	return due{"answers of the checks", inc.DueAt}
}

// stage is one station of an incident's way.
type stage struct {
	Name  string
	State string    // done | current | todo | skipped
	At    time.Time // when it was reached
	Took  string    // since the stage before it
	Since time.Time // of the current stage, for a running clock
	Tone  string
}

// rail lays out where an incident is on its way. Approval and escalation
// appear only where they happened.
func rail(inc prunella.Incident, now time.Time) []stage {
	reached := func(s prunella.State) time.Time { return inc.StateAt[s] }
	out := []stage{
		{Name: "Detected", At: inc.DetectedAt},
		{Name: "Opened", At: inc.OpenedAt},
		{Name: "Diagnosed", At: diagnosedAt(inc)},
	}
	if inc.State == prunella.Open || inc.State == prunella.Diagnosing {
		out[2] = stage{Name: "Diagnosing", At: reached(prunella.Diagnosing), State: "current"}
		if inc.State == prunella.Open {
			out[2] = stage{Name: "Diagnosing"}
			out[1].State = "current"
		}
	}
	for _, s := range []struct {
		state    prunella.State
		name     string
		optional bool
		tone     string
	}{
		{prunella.AwaitingApproval, "Approval", true, "warn"}, {prunella.Healing, "Healing", false, ""},
		{prunella.Verifying, "Verifying", false, ""}, {prunella.Escalated, "Escalated", true, "bad"}, {prunella.Resolved, "Resolved", false, ""},
	} {
		at := reached(s.state)
		if s.state == prunella.Resolved && !inc.ResolvedAt.IsZero() {
			at = inc.ResolvedAt
		}
		missing := at.IsZero() && inc.State != s.state
		if missing && (s.optional || inc.State == prunella.Escalated && s.state != prunella.Resolved) {
			continue // an escalated incident goes no further by itself
		}
		st := stage{Name: s.name, At: at}
		if inc.State == s.state && s.state != prunella.Resolved {
			st.State, st.Tone = "current", s.tone
		}
		out = append(out, st)
	}
	if inc.State == prunella.Escalated || inc.State == prunella.Resolved {
		sort.SliceStable(out, func(i, j int) bool { // an escalation stands where it happened
			a, b := out[i].At, out[j].At
			return !a.IsZero() && !b.IsZero() && a.Before(b)
		})
	}
	return timeRail(out, inc, now)
}

func timeRail(out []stage, inc prunella.Incident, now time.Time) []stage {
	previous := inc.Onset
	over := inc.State == prunella.Resolved
	for i := range out {
		st := &out[i]
		switch {
		case st.State == "current":
			st.Since = st.At
			if st.At.IsZero() {
				st.Since = inc.UpdatedAt
			}
		case st.At.IsZero() && over:
			st.State = "skipped"
		case st.At.IsZero() || st.At.After(now):
			st.State = "todo"
		default:
			st.State = "done"
		}
		if !st.At.IsZero() && !previous.IsZero() && !st.At.Before(previous) {
			if took := st.At.Sub(previous); took >= time.Millisecond {
				st.Took = duration(took)
			}
			previous = st.At
		}
	}
	return out
}

// diagnosedAt is when the diagnosis led to something else.
func diagnosedAt(inc prunella.Incident) time.Time {
	started := inc.StateAt[prunella.Diagnosing]
	if started.IsZero() {
		return time.Time{}
	}
	var first time.Time
	for _, s := range []prunella.State{prunella.AwaitingApproval, prunella.Healing, prunella.Escalated, prunella.Resolved} {
		at := inc.StateAt[s]
		if !at.IsZero() && !at.Before(started) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// plotRange shows quiet before the onset, and what came after the end.
func plotRange(inc prunella.Incident, runs []prunella.Run, now time.Time) (from, to time.Time) {
	end := now
	if !inc.ResolvedAt.IsZero() && inc.State == prunella.Resolved {
		end = inc.ResolvedAt
	}
	for _, r := range runs {
		if r.Ended.After(end) {
			end = r.Ended
		}
	}
	length := max(end.Sub(inc.Onset), 10*time.Second)
	before := min(max(length/3, 5*time.Second), 30*time.Minute)
	to = inc.Onset.Add(length)
	if end != now {
		to = to.Add(min(length/5, now.Sub(end)))
	}
	return inc.Onset.Add(-before), to
}

// quietShown is how much more of the time before an onset is looked at, for the
// plot of an incident that is only seconds old.
const quietShown = time.Minute

// quietBefore moves the beginning of a plot back until what was normal can be
// seen: six reports of the services before the onset.
func quietBefore(from, onset time.Time, points []prunella.SeriesPoint) (time.Time, []prunella.SeriesPoint) {
	if early := onset.Add(-6 * interval(points, 0)); early.Before(from) {
		from = later(early, from.Add(-quietShown))
	}
	for i, p := range points {
		if !p.At.Before(from) {
			return from, points[i:]
		}
	}
	return from, nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// hitBy are the services whose requests the incident is about.
func hitBy(inc prunella.Incident) []string {
	out := append([]string(nil), inc.Cascade.Hit...)
	sort.Strings(out)
	for _, i := range inc.Impact {
		out = including(out, i.Service)
	}
	return out
}

// marksOf are the onset, the changes, every step that acted, and the end.
func marksOf(v client.IncidentView) []plotMark {
	inc := v.Incident
	marks := []plotMark{{At: inc.Onset, Sign: "!", Class: "onset", Text: "the failure began"}}
	for _, e := range v.Events {
		if e.Kind == "change" {
			marks = append(marks, plotMark{At: e.At, Sign: "∆", Class: "change", Text: e.Text})
		}
	}
	if len(inc.Causes) > 0 && inc.Causes[0].Change != nil && len(marks) == 1 {
		c := inc.Causes[0].Change
		marks = append(marks, plotMark{At: c.At, Sign: "∆", Class: "change", Text: strings.TrimSpace(c.Name + " " + c.Kid)})
	}
	for _, run := range v.Runs {
		for _, st := range run.Steps {
			if !st.Started.IsZero() && st.Effect != prunella.Reads {
				marks = append(marks, plotMark{At: st.Started, Sign: strconv.Itoa(st.Index + 1), Class: "action", Text: st.Name})
			}
		}
	}
	for _, i := range joinedLate(inc) {
		marks = append(marks, plotMark{At: i.Since, Sign: "+", Class: "change", Text: i.Service + " fails too"})
	}
	if inc.State == prunella.Resolved {
		marks = append(marks, plotMark{At: inc.ResolvedAt, Sign: "✓", Class: "resolved", Text: "resolved"})
	}
	return marks
}
