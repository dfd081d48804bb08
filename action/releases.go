package action

import (
	"context"
	"slices"
	"strings"
	"time"

	"prunella"
)

func releaseOperations() []operation {
	return []operation{{
		spec: read("releases.recent", "Releases published shortly before the onset or since.",
			[]prunella.ParamSpec{may("within", "duration", "how long before the onset; default 1h"), may("service", "text", "only releases of this service, and those that name none")},
			"known: a list of releases is declared and answers", "count: releases in that time",
			"releases: each with tag, name, author, service, published_at, age_s (before the onset; negative when after it), newest first",
			"latest: the newest release of any time, or null"),
		read: (*World).readReleases,
	}}
}

// Releases returns the published releases of every declared list as changes,
// oldest first, Before holding the version each replaced. The error tells that
// a list could not be read; the changes of the others are returned with it.
func (w *World) Releases(ctx context.Context) ([]prunella.Change, error) {
	rs, err := w.releases(ctx)
	var out []prunella.Change
	last := map[string]string{}
	for _, r := range slices.Backward(rs) {
		out = append(out, prunella.Change{Name: prunella.ChangeDeploy, Service: r.service, Version: r.tag, Before: last[r.service], Author: r.author, At: r.at})
		last[r.service] = r.tag
	}
	if err != nil {
		err = w.failed("read releases", err)
	}
	return out, err
}

type release struct {
	tag, name, author, service string
	at                         time.Time
}

// releases reads every declared list, newest first.
func (w *World) releases(ctx context.Context) ([]release, error) {
	var out []release
	var failure error
	for _, list := range w.inv.Releases {
		var body []struct {
			Tag       string  `json:"tag_name"`
			Name      string  `json:"name"`
			Draft     bool    `json:"draft"`
			Published instant `json:"published_at"`
			Author    struct {
				Login string `json:"login"`
			} `json:"author"`
		}
		if _, err := w.getJSON(ctx, join(list.URL, "releases?per_page=50"), list.Token, &body); err != nil {
			failure = err
			continue
		}
		for _, b := range body {
			if b.Draft || b.Published.at.IsZero() {
				continue
			}
			r := release{tag: b.Tag, name: b.Name, author: b.Author.Login, service: list.Service, at: b.Published.at.UTC()}
			if r.service == "" {
				r.service = w.serviceOfTag(b.Tag)
			}
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b release) int { return b.at.Compare(a.at) })
	return out, failure
}

// serviceOfTag finds the service in a tag such as order-v1.2.0, order/1.2.0 or
// order@1.2.0; "" when it names none.
func (w *World) serviceOfTag(tag string) string {
	best := ""
	for _, s := range w.inv.Services {
		rest, ok := strings.CutPrefix(tag, s.Name)
		if ok && rest != "" && strings.ContainsRune("-/@_", rune(rest[0])) && len(s.Name) > len(best) {
			best = s.Name
		}
	}
	return best
}

func (w *World) readReleases(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	if len(w.inv.Releases) == 0 {
		return map[string]any{"known": false, "reason": "no list of releases is declared", "count": 0, "releases": []any{}, "latest": nil}, nil
	}
	rs, err := w.releases(ctx)
	if err != nil {
		return map[string]any{"known": false, "reason": err.Error(), "count": 0, "releases": []any{}, "latest": nil}, nil
	}
	since := inc.Onset.Add(-p.duration("within", time.Hour))
	service := p.text("service")
	recent := []any{}
	var latest any
	for _, r := range rs {
		if service != "" && r.service != "" && r.service != service {
			continue
		}
		row := map[string]any{"tag": r.tag, "name": r.name, "author": r.author, "service": r.service,
			"published_at": r.at, "age_s": round(inc.Onset.Sub(r.at))}
		if latest == nil {
			latest = row
		}
		if !r.at.Before(since) {
			recent = append(recent, row)
		}
	}
	return map[string]any{"known": true, "count": len(recent), "releases": recent, "latest": latest}, nil
}
