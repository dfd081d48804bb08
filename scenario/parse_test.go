package scenario_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/scenario"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// Every malformed file is refused with sentences that name file, line and
// remedy; testdata/bad.golden holds them all.
func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) < 12 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	var got strings.Builder
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = scenario.Parse(filepath.Base(p), b)
		if err == nil || prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%s: kind %q, error %v", p, prunella.KindOf(err), err)
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, filepath.Base(p)+":") || !strings.HasSuffix(line, ")") {
				t.Errorf("no file:line and remedy in %q", line)
			}
			got.WriteString(line + "\n")
		}
	}
	golden(t, "testdata/bad.golden", got.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", path, diff)
	}
}

const parametric = `
name: parametric
title: Rotation misses ${missed}
category: security
description: D
params:
  missed: {type: services, default: 4, min: 1, max: 6, doc: who is missed}
  alg: {type: choice, values: [RS256, ES256], default: RS256, doc: algorithm}
  lifetime: {type: duration, default: 1h, min: 1m, doc: of tokens}
  services: {type: integer, default: 7, min: 2, max: 16, doc: how many}
given:
  world: {services: "${services}", alg: "${alg}", token_lifetime: "${lifetime}"}
inject:
  - {at: 1s, fault: rotate-partial-distribution, with: {missed: "${missed}"}}
expect:
  cascade: {full_at: {after: "${lifetime}", tolerance: 5%}}
`

func TestParametersReachEveryPlace(t *testing.T) {
	s := parse(t, parametric, map[string]string{"missed": "user,order", "alg": "ES256", "lifetime": "10m", "services": "12"})
	w := s.Given.World
	if s.Title != "Rotation misses user,order" || w.Services != 12 || w.Alg != "ES256" || w.TokenLifetime != 10*time.Minute ||
		s.Inject[0].With["missed"] != "user,order" || s.Expect.Cascade.FullAt.After != 10*time.Minute || s.Expect.Cascade.FullAt.Tolerance != 0.05 {
		t.Errorf("%+v", s)
	}
}

func TestParameterValuesAreChecked(t *testing.T) {
	f, err := scenario.Parse("p.yaml", []byte(parametric))
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		"missed=7":          "at most 6",
		"missed=0":          "at least 1",
		"missed=User,order": "write how many services, or their names",
		"alg=HS256":         "write one of RS256, ES256",
		"lifetime=1s":       "at least 1m",
		"lifetime=long":     "write a duration",
		"services=2.5":      "write a whole number",
		"service=3":         "has no parameter",
	} {
		k, v, _ := strings.Cut(set, "=")
		if _, err := f.With(map[string]string{k: v}); prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}

func TestLoadHoldsNameAgainstPlace(t *testing.T) {
	fsys := fstest.MapFS{
		"security/parametric.yaml": {Data: []byte(parametric)},
		"network/parametric.yaml":  {Data: []byte(parametric)},
	}
	c, err := scenario.Load(fsys)
	if len(c) != 1 || err == nil || !strings.Contains(err.Error(), "move it to security/parametric.yaml") {
		t.Errorf("%d scenarios, error %v", len(c), err)
	}
	if _, err := c.Find("parametrik"); prunella.KindOf(err) != prunella.NotFound || !strings.Contains(err.Error(), "did you mean parametric?") {
		t.Errorf("find: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	paths, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(rotation))
	f.Add([]byte(parametric))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := scenario.Parse("fuzz.yaml", b)
		if err != nil {
			if k := prunella.KindOf(err); k != prunella.Invalid && k != prunella.TooLarge {
				t.Fatalf("kind %q of %v", k, err)
			}
			return
		}
		if s, err := file.With(nil); err != nil || s.Name == "" {
			t.Fatalf("parsed, but not with its defaults: %v", err)
		}
	})
}
