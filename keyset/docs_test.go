package keyset_test

import (
	"context"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"prunella/keyset"
)

// docs/keyset.md and the package comment list what there is.
func TestDocsListEverything(t *testing.T) {
	page, err := os.ReadFile("../docs/keyset.md")
	if err != nil {
		t.Fatal(err)
	}
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{keyset.Config{}, keyset.Source{}, keyset.Acknowledge{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if !strings.Contains(string(page), "`"+f.Name+"`") {
				t.Errorf("docs/keyset.md does not have the field %s", f.Name)
			}
		}
	}
	registry := prometheus.NewPedanticRegistry()
	s := edSigner(t, "a")
	set := newIssuer(s).start(t, func(c *keyset.Config) { c.Metrics = registry })
	accepts(t, set, s.fresh())
	for series := range gathered(t, registry) {
		name, labels, _ := strings.Cut(series, " ")
		for text, in := range map[string]string{"docs/keyset.md": string(page), "doc.go": string(comment)} {
			if !strings.Contains(in, name) {
				t.Errorf("%s does not have the metric %s", text, name)
			}
		}
		if result, ok := strings.CutPrefix(labels, issuerURL+" "); ok && name == "keyset_verifications_total" && result != "ok" &&
			!strings.Contains(string(page), "| `"+result+"` |") {
			t.Errorf("docs/keyset.md does not have the check %s", result)
		}
	}
}

// A set serves while its keys change under it: no lock is held, nothing races.
func TestConcurrentUse(t *testing.T) {
	a, b := edSigner(t, "a"), edSigner(t, "b")
	iss := newIssuer(a)
	set := iss.start(t, withHints, func(c *keyset.Config) { c.Client = &http.Client{Transport: iss} })
	done := make(chan int)
	for worker := range 4 {
		go func() {
			bad := 0
			for n := range 300 {
				token := []string{a.fresh(), b.fresh(), forge("junk"), forge("a")}[(worker+n)%4]
				_, err := set.Verify(context.Background(), token)
				if (worker+n)%4 == 0 && err != nil || (worker+n)%4 > 1 && err == nil {
					bad++
				}
				_, _ = set.Keys(), set.Ready()
			}
			done <- bad
		}()
	}
	for n := range 50 {
		if n%2 == 0 {
			iss.publish(a, b)
		} else {
			iss.publish(a)
		}
	}
	for range 4 {
		if bad := <-done; bad > 0 {
			t.Errorf("%d wrong answers", bad)
		}
	}
}
