package thread_test

import (
	"context"
	"slices"
	"testing"

	"prunella/thread"
)

func TestTimesAndOwners(t *testing.T) {
	for name, c := range map[string]struct {
		talk   string
		times  map[string]string
		owners []string
	}{
		"one breath": {`
#incidents
2026-03-08 09:12 maya: checkout api throwing 500s, 12% of requests fail since 09:05 UTC
  2026-03-08 09:14 sam: on it
  2026-03-08 09:31 sam: ok so the connection pool was exhausted by a leaked transaction, killed the session with ` + "`select pg_terminate_backend(4711)`" + ` and errors are back to 0.1%
  2026-03-08 09:40 maya: thanks!`,
			map[string]string{"started": "09:05", "diagnosed": "09:31", "fixed": "09:31"}, []string{"@sam"}},
		"a commander, a span with a dash": {`
#incidents
2026-03-08 09:12 maya: search returns nothing for eu customers, 40% of queries empty
  2026-03-08 09:13 deepak: IC here. sam leads the technical side
  2026-03-08 09:22 sam: alias points at an empty index, that's why
  2026-03-08 09:28 sam: running ` + "`curl -X POST es:9200/_aliases -d @alias.json`" + `
  2026-03-08 09:34 maya: queries fine, 0% empty
  2026-03-08 10:20 deepak: for the record: search was down 09:01-09:50 UTC`,
			map[string]string{"started": "09:01", "diagnosed": "09:22", "resolved": "09:50"}, []string{"@deepak", "@sam"}},
		"a course told with its times, under no heading": {`
#incidents
2026-03-08 14:02 maya: uploads to media-store fail, 35% of them end with a 500. people are in a call about it
  2026-03-08 14:41 sam: back from the call. the first failures were at 13:48 UTC. at 14:11 UTC it became clear that the disk of media-2 was remounted read-only. at 14:20 UTC we remounted it: ` + "`mount -o remount,rw /srv/media`" + `. quiet since, over at 14:33 UTC
  2026-03-08 14:45 maya: thanks for the summary`,
			map[string]string{"started": "13:48", "diagnosed": "14:11", "fixed": "14:20", "resolved": "14:33"}, []string{"@sam"}},
		"a log kept as it happens, a program that nobody knows": {`
#incidents
2026-03-08 10:01 deepak: notes in here, clock is UTC
  2026-03-08 10:02 deepak: 10:02 - maya reports that label printing at dock-printer hangs, 60% of jobs time out
  2026-03-08 10:04 sam: on it
  2026-03-08 10:15 deepak: 10:15 - cause is known: the spool of dock-printer filled its volume
  2026-03-08 10:17 sam: ` + "`spoolmaster purge --older 2h`" + `
  2026-03-08 10:19 deepak: 10:19 - purged, all of it
  2026-03-08 10:24 deepak: 10:24 - 0% of jobs time out
  2026-03-08 10:31 deepak: 10:31 - stood down`,
			map[string]string{"diagnosed": "10:15", "resolved": "10:31"}, []string{"@sam"}},
		"what looks ahead or back is not of this time": {`
#incidents
2026-03-08 08:00 maya: nobody can log in to the portal, 100% of logins fail
  2026-03-08 08:02 sam: i'll take this one
  2026-03-08 08:10 sam: turns out the session table lost its index
  2026-03-08 08:12 sam: adding it again ` + "`psql -c 'create index concurrently on sessions (id)'`" + `
  2026-03-08 08:18 sam: index is there
  2026-03-08 08:20 maya: wonderful, everybody gets in
  2026-03-08 08:26 sam: we're out of the woods, back to my coffee
  2026-03-08 08:30 deepak: it will fail again tomorrow, nothing guards the migrations
  2026-03-08 08:33 maya: remember 2026-02-11? same story`,
			map[string]string{"diagnosed": "08:10", "fixed": "08:18", "resolved": "08:26"}, []string{"@sam"}},
	} {
		e, err := thread.OpenExport(exportOf(t, c.talk))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		r, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{})
		if err != nil || len(r.Extractions) != 1 {
			t.Fatalf("%s: %d incidents, %v", name, len(r.Extractions), err)
		}
		x := r.Extractions[0]
		for _, m := range x.Times {
			if want, ok := c.times[m.Name]; ok && m.At.Format("15:04") != want {
				t.Errorf("%s: %s %s, want %s", name, m.Name, m.At.Format("15:04"), want)
			}
			delete(c.times, m.Name)
		}
		if len(c.times) > 0 {
			t.Errorf("%s: lacks %v", name, c.times)
		}
		if !slices.Equal(x.Owners, c.owners) {
			t.Errorf("%s: owners %v, want %v", name, x.Owners, c.owners)
		}
	}
}
