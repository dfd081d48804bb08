package match

import (
	"encoding/csv"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loghub is where the public log samples are, next to the repository.
const loghub = "../../shared/data/loghub"

// labelled is one sample: lines and the event each of them belongs to.
type labelled struct{ lines, events []string }

func load(t testing.TB, system string) labelled {
	f, err := os.Open(filepath.Join(loghub, system, system+"_2k.log_structured.csv"))
	if err != nil {
		t.Skipf("SKIPPED, the accuracy of templates is NOT measured: %v", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out labelled
	content, event := -1, -1
	for i, name := range rows[0] {
		switch name {
		case "Content":
			content = i
		case "EventId":
			event = i
		}
	}
	for _, r := range rows[1:] {
		out.lines, out.events = append(out.lines, r[content]), append(out.events, r[event])
	}
	return out
}

// groupingAccuracy is the share of lines whose template holds exactly the lines
// of their event (Zhu et al., ICSE-SEIP 2019, doi:10.1109/ICSE-SEIP.2019.00021).
func groupingAccuracy(in labelled, templateOf func(line string) string) float64 {
	byTemplate, byEvent := map[string]int{}, map[string]int{}
	both := map[[2]string]int{}
	for i, line := range in.lines {
		t := templateOf(line)
		byTemplate[t]++
		byEvent[in.events[i]]++
		both[[2]string{t, in.events[i]}]++
	}
	right := 0
	for pair, n := range both {
		if n == byTemplate[pair[0]] && n == byEvent[pair[1]] {
			right += n
		}
	}
	return float64(right) / float64(len(in.lines))
}

func TestGroupingAccuracy(t *testing.T) {
	// Measured, then rounded down. Drain's published numbers stand beside.
	floors := []struct {
		system       string
		floor, drain float64
	}{
		{"Apache", 1, 1}, {"BGL", 0.96, 0.963}, {"HDFS", 0.997, 0.998}, {"Linux", 0.93, 0.690},
		{"Mac", 0.93, 0.787}, {"OpenSSH", 1, 0.788}, {"Spark", 0.99, 0.920}, {"Zookeeper", 0.98, 0.967},
	}
	var mean, drain float64
	for _, f := range floors {
		in := load(t, f.system)
		m := newMiner()
		for _, line := range in.lines {
			m.add(line)
		}
		ga := groupingAccuracy(in, func(line string) string { return m.find(line).ID })
		t.Logf("%-10s %.4f (Drain %.3f), %d templates", f.system, ga, f.drain, len(m.Templates))
		if ga < f.floor {
			t.Errorf("%s: grouping accuracy %.4f is under %v", f.system, ga, f.floor)
		}
		mean, drain = mean+ga/float64(len(floors)), drain+f.drain/float64(len(floors))
	}
	t.Logf("mean %.4f, Drain %.4f", mean, drain)
	if mean < 0.97 {
		t.Errorf("the mean grouping accuracy %.4f is under 0.97", mean)
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"took 15ms for /api/items/7":                                   "took <*> for <*>",
		"kid 'key-2026-03-29' not found in local keystore":             "kid '<*>' not found in local keystore",
		`kid="NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" is unknown`: `kid="<*>" is unknown`,
		"user 550e8400-e29b-41d4-a716-446655440000 from 10.0.0.1:443":  "user <*> from <*>",
		"at 2026-03-29T10:00:00Z [fe80::1]":                            "at <*> [<*>]",
		"session opened for user root by (uid=0)":                      "session opened for user <*> by (uid=<*>)",
		"state 'Active', retry in 2 s, free 317.2 KB":                  "state '<*>', retry in <*>, free <*>",
		"the signing-key set is stale":                                 "the signing-key set is stale",
		"java.lang.NullPointerException: null":                         "java.lang.NullPointerException: null",
		"GET https://auth.example.com/jwks.json?x=1 -> 503":            "GET <*> -> <*>",
		"": "",
	} {
		if got := strings.Join(tokenize(in), " "); got != want {
			t.Errorf("mask(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestStatesStayApart(t *testing.T) {
	m := newMiner()
	for i := range 200 {
		m.add(fmt.Sprintf("breaker of payment is %s now", []string{"open", "closed", "half-open"}[i%3]))
		m.add(fmt.Sprintf("login of %s failed: wrong password", string(rune('a'+i%26))+"lice"))
	}
	if a, b := m.find("breaker of payment is open now"), m.find("breaker of payment is closed now"); a == b {
		t.Errorf("two states became one template: %s", a)
	}
	if got := m.find("login of bob failed: wrong password"); got == nil || got.String() != "login of <*> failed: wrong password" || got.Count != 200 {
		t.Errorf("template %+v", got)
	}
}

func TestMinerIsBounded(t *testing.T) {
	m := newMiner()
	rng := rand.New(rand.NewSource(1))
	for range 20000 {
		var words []string
		for range 3 + rng.Intn(9) {
			words = append(words, strings.Repeat(string(rune('a'+rng.Intn(26))), 1+rng.Intn(9)))
		}
		m.add(strings.Join(words, " "))
	}
	if len(m.Templates) > maxTemplates || len(m.exact) > maxExact {
		t.Errorf("%d templates, %d lines remembered", len(m.Templates), len(m.exact))
	}
	if long := m.find(strings.Repeat("x ", 5000)); long != nil {
		t.Errorf("a line never seen has the template %s", long)
	}
}

func FuzzMiner(f *testing.F) {
	for _, s := range []string{"", " ", "a b c", "kid 'x' not found", "<*> <*>", strings.Repeat("a ", 500), "\xff\xfe 1:2::", "a=1,b=2,c=[3]", "'''", "1.2.3.4:5/6"} {
		f.Add(s, s+" 7")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		m := newMiner()
		for _, line := range []string{a, b, a, b + " x", b + " y", b + " z", b + " w", b + " v"} {
			added, _ := m.add(line)
			if found := m.find(line); found != added {
				t.Fatalf("%q was filed under %q and is found under %v", line, added, found)
			}
			if !covers(added.Tokens, tokenize(line)) {
				t.Fatalf("the template %q does not cover %q", added, line)
			}
		}
		n := 0
		for _, tm := range m.Templates {
			n += tm.Count
		}
		if n != 8 {
			t.Fatalf("8 lines became %d", n)
		}
	})
}

func BenchmarkMiner(b *testing.B) {
	in := load(b, "Mac") // the most varied of them
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		m := newMiner()
		for _, line := range in.lines {
			m.add(line)
		}
		n += len(in.lines)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
}
