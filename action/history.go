package action

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"prunella"
)

func historyOperations() []operation {
	return []operation{
		{
			spec: read("keys.changes", "Changes of the key set or the signer around the onset, as the monitors saw them.",
				[]prunella.ParamSpec{issuerParam, may("within", "duration", "how long before the onset; default 1h")},
				"known: the history could be read", "count: changes from that long before the onset until now",
				"changes: each with name, issuer, kid, before, at, before_onset_s (positive: it came before the onset), uncertain_s (it may have come this much earlier), oldest first",
				"nearest_s: before_onset_s of the change nearest to the onset; absent when there is none"),
			read: (*World).readKeyChanges,
		},
		{
			spec: read("logs.search", "Log lines that hold any of some phrases or match a regular expression.",
				[]prunella.ParamSpec{may("any", "list", "phrases; case and white space do not matter"), may("regex", "text", "regular expression (RE2)"),
					may("since", "duration", "how long before the onset to begin; default 5m")},
				"known: the history could be read", "count: lines found, at most 1000", "total: lines searched", "services: whose lines they are", "kids: key ids they name",
				"examples: up to five different lines", "share: count / total"),
			read: (*World).readLogs,
		},
		{
			spec: read("requests.errors", "How many requests fail with a status now, over all services and in each.",
				[]prunella.ParamSpec{may("status", "text", "401 or 5xx; default 401"), may("window", "duration", "averaging window; default 60s")},
				"known: requests were seen in the window", "rate: failed requests a second", "baseline: the same in quiet times, 0 when not known",
				"requests: requests a second", "share: failed / all, 0 to 1", "by_service: share of each service"),
			read: (*World).readErrors,
		},
	}
}

func (w *World) readKeyChanges(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	unknown := func(reason string) (map[string]any, error) {
		return map[string]any{"known": false, "reason": reason, "count": 0, "changes": []any{}}, nil
	}
	i, err := w.issuer(p.text("issuer"), inc.Services)
	if err != nil {
		return nil, err
	}
	if w.history == nil {
		return unknown("there is no history")
	}
	since := inc.Onset.Add(-p.duration("within", time.Hour))
	signals, err := w.history.Changes(ctx, since)
	if err != nil {
		return unknown(err.Error())
	}
	changes := []any{}
	nearest, some := 0.0, false
	for _, s := range signals {
		if !strings.HasPrefix(s.Name, "keyset.") || s.Attr(prunella.AttrIssuer) != i.Name || s.Time.Before(since) {
			continue
		}
		d, uncertain := beforeOnset(s, inc.Onset)
		if !some || math.Abs(d) < math.Abs(nearest) {
			nearest, some = d, true
		}
		changes = append(changes, map[string]any{"name": s.Name, "issuer": i.Name, "kid": s.Attr(prunella.AttrKid), "before": s.Attr("before"),
			"at": s.Time, "before_onset_s": d, "uncertain_s": uncertain})
	}
	res := map[string]any{"known": true, "count": len(changes), "changes": changes}
	if some {
		res["nearest_s"] = nearest
	}
	return res, nil
}

// beforeOnset is how long before the onset a change came. A monitor sees a
// change up to one interval late (attribute not_before: when it was last seen to be
// otherwise); a change whose interval holds the onset counts as having come
// before it, by the middle of what is possible.
func beforeOnset(s prunella.Signal, onset time.Time) (seconds, uncertain float64) {
	seconds = round(onset.Sub(s.Time))
	earliest, err := time.Parse(time.RFC3339Nano, s.Attr("not_before"))
	if err != nil || !earliest.Before(s.Time) {
		return seconds, 0
	}
	if seconds < 0 && earliest.Before(onset) {
		seconds = round(onset.Sub(earliest) / 2)
	}
	return seconds, round(s.Time.Sub(earliest))
}

const logLimit = 1000

// kidInText finds key ids that a log line names: kid="…", key ID …, kid: ….
var kidInText = regexp.MustCompile(`(?i)\b(?:kid|key[ _-]?id)\b["']?\s*(?:[:=]|is|with|of)?\s*["'(\[]*([A-Za-z0-9][A-Za-z0-9._~-]{3,127})`)

func (w *World) readLogs(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	q := LogQuery{Any: p.list("any"), Regex: p.text("regex"), Since: inc.Onset.Add(-p.duration("since", 5*time.Minute)), Until: inc.Now, Limit: logLimit}
	if len(q.Any) == 0 && q.Regex == "" {
		return nil, &prunella.Error{Kind: prunella.Invalid, Where: "any", Reason: "nothing to search for", Remedy: "give any (phrases) or regex"}
	}
	if _, err := regexp.Compile(q.Regex); err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Where: "regex", Err: err}
	}
	empty := map[string]any{"known": false, "count": 0, "total": 0, "services": []string{}, "kids": []string{}, "examples": []string{}, "share": 0.0}
	if w.history == nil {
		empty["reason"] = "there is no history"
		return empty, nil
	}
	found, total, err := w.history.SearchLogs(ctx, q)
	if err != nil {
		empty["reason"] = err.Error()
		return empty, nil
	}
	var services, kids, examples []string
	add := func(to *[]string, v string) {
		if v != "" && !slices.Contains(*to, v) {
			*to = append(*to, v)
		}
	}
	for _, s := range found {
		add(&services, s.Service)
		add(&kids, s.Attr(prunella.AttrKid))
		if m := kidInText.FindStringSubmatch(s.Body); m != nil {
			add(&kids, strings.TrimRight(m[1], ".-"))
		}
		if len(examples) < 5 {
			add(&examples, shorten(s.Body, 300))
		}
	}
	slices.Sort(services)
	slices.Sort(kids)
	share := 0.0
	if total > 0 {
		share = min(1, float64(len(found))/float64(total))
	}
	return map[string]any{"known": true, "count": len(found), "total": total, "services": services, "kids": kids, "examples": examples, "share": share}, nil
}

func (w *World) readErrors(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	status := p.text("status")
	if status == "" {
		status = "401"
	}
	res := map[string]any{"known": false, "rate": 0.0, "baseline": 0.0, "requests": 0.0, "share": 0.0, "by_service": map[string]float64{}}
	if w.history == nil {
		res["reason"] = "there is no history"
		return res, nil
	}
	window := p.duration("window", time.Minute)
	from := inc.Now.Add(-time.Duration(float64(window) / w.opt.TimeScale))
	var all, failed, quiet float64
	shares := map[string]float64{}
	for _, service := range w.watched(inc) {
		var mean [3]float64
		var seen [3]bool
		for n, name := range []string{"requests", "errors." + status, "baseline." + status} {
			points, err := w.history.Series(ctx, name, service, from, inc.Now)
			if err != nil {
				res["reason"] = err.Error()
				return res, nil
			}
			for _, pt := range points {
				mean[n] += pt.Value / float64(len(points))
			}
			seen[n] = len(points) > 0
		}
		if !seen[0] || mean[0] == 0 {
			continue
		}
		all, failed, quiet = all+mean[0], failed+mean[1], quiet+mean[2]
		shares[service] = min(1, mean[1]/mean[0])
	}
	if all == 0 {
		res["reason"] = "no requests were seen in the window"
		return res, nil
	}
	return map[string]any{"known": true, "rate": failed, "baseline": quiet, "requests": all, "share": min(1, failed/all), "by_service": shares}, nil
}

// watched returns the services of the inventory and of the incident.
func (w *World) watched(inc Incident) []string {
	var out []string
	for _, s := range w.inv.Services {
		out = append(out, s.Name)
	}
	for _, s := range inc.Services {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
