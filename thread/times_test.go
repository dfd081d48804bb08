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
