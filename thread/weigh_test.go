package thread_test

import (
	"context"
	"strings"
	"testing"

	"prunella/thread"
)

// unheard is told in words that no bank has.
const unheard = `
#incidents
2026-03-08 09:12 maya: invoices come out blank, errors in the renderer, 30% of them
  2026-03-08 09:14 sam: mine
  2026-03-08 09:21 sam: the font volume went away when the node pool was swapped, so the renderer draws nothing
  2026-03-08 09:24 sam: ` + "`kubectl patch deploy renderer -p '{\"spec\":{\"fonts\":\"v2\"}}'`" + `
  2026-03-08 09:25 sam: patched, volume is attached on every pod
  2026-03-08 09:33 maya: I opened twenty invoices, letters on every one of them
  2026-03-08 09:41 sam: then I am putting this one to rest. thanks maya`

func TestMessagesAreWeighed(t *testing.T) {
	lines := strings.Split(unheard, "\n")
	for name, c := range map[string]struct {
		talk string
		want map[string]string
	}{
		"to its end": {unheard, map[string]string{"diagnosed": "09:21", "fixed": "09:25", "resolved": "09:41"}},
		"broken off": {strings.Join(lines[:6], "\n"), map[string]string{"diagnosed": "09:21", "resolved": ""}},
	} {
		e, err := thread.OpenExport(exportOf(t, c.talk))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		r, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		if len(r.Extractions) != 1 {
			t.Fatalf("%s: %d incidents", name, len(r.Extractions))
		}
		for _, x := range r.Extractions {
			for _, m := range x.Times {
				got[m.Name] = m.At.Format("15:04")
				if m.Rule == "weighed" && !strings.Contains(m.Why, "+") {
					t.Errorf("%s: %s does not say what weighed: %q", name, m.Name, m.Why)
				}
			}
		}
		for n, at := range c.want {
			if got[n] != at {
				t.Errorf("%s: %s at %q, want %q", name, n, got[n], at)
			}
		}
	}
}
