package wiki_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"prunella/wiki"
)

// Sizes of the measured wiki: what a large company's runbooks would be.
const (
	benchPages = 10_000
	benchSeed  = 7
)

// author writes pages of a runbook wiki: a few hundred words do most of the
// work, many thousands are rare (Zipf), identifiers are scattered between.
type author struct {
	r     *rand.Rand
	zipf  *rand.Zipf
	vocab []string
	names []string
}

func newAuthor(pages int) *author {
	r := rand.New(rand.NewPCG(benchSeed, 1))
	a := &author{r: r, zipf: rand.NewZipf(r, 1.1, 12, 24_999)}
	a.vocab = strings.Fields("the a of to and in is it that for on with as by when from not are be this service error request queue key token cache server check restart deploy log alert rate page owner signing rotation database connection timeout retry consumer cluster node pod certificate expires fails latency memory disk metric dashboard release rollback config value default traffic client gateway")
	syllables := strings.Fields("ar be co de en fi ga ho in ju ka lo mi nor op pe qua re si tra un ver wo xe ya zu ble tion ment ing er ist al ous")
	for len(a.vocab) < 25_000 {
		var b strings.Builder
		for range 2 + r.IntN(3) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		a.vocab = append(a.vocab, b.String())
	}
	for i := range pages {
		a.names = append(a.names, fmt.Sprintf("%s-%s-%d", a.vocab[30+r.IntN(300)], a.vocab[60+r.IntN(5000)], i))
	}
	return a
}

func (a *author) id() string {
	switch a.r.IntN(4) {
	case 0:
		return fmt.Sprintf("E%04d", a.r.IntN(3000))
	case 1:
		return strings.ToUpper(a.vocab[a.r.IntN(3000)] + "_" + a.vocab[a.r.IntN(3000)])
	case 2:
		return a.vocab[a.r.IntN(800)] + "." + a.vocab[a.r.IntN(800)] + "." + a.vocab[a.r.IntN(800)] + "_seconds"
	}
	return a.vocab[a.r.IntN(500)] + "/" + a.vocab[a.r.IntN(500)] + "-" + a.vocab[a.r.IntN(500)]
}

func (a *author) sentence(b *strings.Builder) {
	n := 6 + a.r.IntN(14)
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch a.r.IntN(40) {
		case 0:
			b.WriteString("`" + a.id() + "`")
		case 1:
			b.WriteString("**" + a.vocab[a.zipf.Uint64()] + "**")
		default:
			b.WriteString(a.vocab[a.zipf.Uint64()])
		}
	}
	b.WriteString(". ")
}

// page is 3 to 6 KB.
func (a *author) page(i int) (name, text string) {
	folder := []string{"skills", "people", "companies", "runbooks/" + a.vocab[a.r.IntN(20)]}[min(a.r.IntN(8), 3)]
	name = folder + "/" + a.names[i] + ".md"
	if folder == "skills" {
		name = folder + "/" + a.names[i] + ".skill.md"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\nname: %s\ndescription: Use when ", a.names[i])
	a.sentence(&b)
	fmt.Fprintf(&b, "\nmetadata:\n  category: %s\n  owners: \"@%s\"\n  version: 1.0.%d\n  last-verified: \"2026-%02d-11\"\n---\n\n# ", a.vocab[40+a.r.IntN(9)], a.vocab[50+a.r.IntN(40)], i%30, 1+a.r.IntN(10))
	a.sentence(&b)
	size := 3000 + a.r.IntN(3000)
	for b.Len() < size {
		fmt.Fprintf(&b, "\n\n## %s %s\n\n", a.vocab[a.zipf.Uint64()], a.vocab[a.zipf.Uint64()])
		for range 2 + a.r.IntN(4) {
			a.sentence(&b)
		}
		fmt.Fprintf(&b, "See [[%s]].\n\n1. ", a.names[a.r.IntN(len(a.names))])
		a.sentence(&b)
		if a.r.IntN(3) == 0 {
			fmt.Fprintf(&b, "\n\n   ```bash\n   kubectl rollout restart deployment/%s -n prod --timeout %ds\n   ```\n", a.vocab[a.r.IntN(900)], a.r.IntN(90))
		}
	}
	return name, b.String() + "\n"
}

func library10k(b *testing.B) (dir string, a *author) {
	b.Helper()
	dir, a = b.TempDir(), newAuthor(benchPages)
	total := 0
	for i := range benchPages {
		name, text := a.page(i)
		put(b, dir, name, text)
		total += len(text)
	}
	b.Logf("%d pages, %.1f MB", benchPages, float64(total)/1e6)
	return dir, a
}

// resident is this process's memory in MB: now, and at its highest.
func resident(b *testing.B) (now, peak float64) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			now = kb / 1000
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			peak = kb / 1000
		}
	}
	return now, peak
}

// BenchmarkWiki measures a wiki of 10,000 pages: the index from nothing, from a
// kept one, searches as people type them, and a change on disk until it is told.
// Run one at a time; the memory is the whole process's.
func BenchmarkWiki(b *testing.B) {
	dir, a := library10k(b)
	index := filepath.Join(b.TempDir(), "index.db")
	open := func(b *testing.B, watch bool) *wiki.Wiki {
		w, err := wiki.Open(context.Background(), wiki.Config{Dir: dir, Index: index, Watch: watch})
		if err != nil {
			b.Fatal(err)
		}
		return w
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			old, err := filepath.Glob(index + "*")
			if err != nil {
				b.Fatal(err)
			}
			for _, f := range old {
				if err := os.Remove(f); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			w := open(b, false)
			b.StopTimer()
			if n := len(w.Pages(wiki.Filter{})); n != benchPages {
				b.Fatalf("%d pages", n)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/index")
		_, peak := resident(b)
		b.ReportMetric(peak, "MB-peak")
	})
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			if err := open(b, false).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("search", func(b *testing.B) {
		w := open(b, false)
		defer w.Close()
		kinds := asked(a)
		times, used := map[string][]time.Duration{}, processorTime()
		for b.Loop() { // each query once
			for kind, queries := range kinds {
				for _, q := range queries {
					start := time.Now()
					if _, err := w.Search(context.Background(), q); err != nil {
						b.Fatal(err)
					}
					took := time.Since(start)
					times[kind], times[""] = append(times[kind], took), append(times[""], took)
				}
			}
		}
		b.ReportMetric(float64((processorTime()-used).Microseconds())/1000/float64(len(times[""])), "cpu-ms/search")
		for kind, list := range times {
			slices.Sort(list)
			b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, strings.TrimSuffix("ms-median-"+kind, "-"))
		}
		b.ReportMetric(float64(times[""][len(times[""])*95/100].Microseconds())/1000, "ms-p95")
		now, _ := resident(b)
		b.ReportMetric(now, "MB")
	})
	b.Run("change", func(b *testing.B) {
		w := open(b, true)
		defer w.Close()
		changes := w.Changes(context.Background())
		var slowest time.Duration
		for i := 0; b.Loop(); i++ {
			start := time.Now()
			put(b, dir, "people/newcomer.md", fmt.Sprintf("# Newcomer\n\nNumber %d.\n", i))
			<-changes
			if r, err := w.Search(context.Background(), wiki.Query{Text: fmt.Sprintf(`newcomer "number %d"`, i)}); err != nil || len(r.Hits) != 1 {
				b.Fatalf("%+v, %v", r, err)
			}
			slowest = max(slowest, time.Since(start))
		}
		b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
		now, peak := resident(b)
		b.ReportMetric(now, "MB")
		b.ReportMetric(peak, "MB-peak")
	})
}

// processorTime is what this process has used: on a machine that others use too
// it says more than the clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// asked are searches of each kind, several hundred together.
func asked(a *author) map[string][]wiki.Query {
	r := rand.New(rand.NewPCG(benchSeed, 2))
	kinds := map[string][]wiki.Query{}
	ask := func(kind, text string) { kinds[kind] = append(kinds[kind], wiki.Query{Text: text}) }
	word := func(from, to int) string { return a.vocab[from+r.IntN(to-from)] }
	for range 4 { // letter by letter
		for _, s := range []string{word(25, 65) + " " + word(25, 600), word(0, 5000) + " " + word(0, 60) + " " + word(0, 2000), a.id(), a.names[r.IntN(len(a.names))]} {
			for n := 1; n <= len(s); n++ {
				ask("typing", s[:n])
			}
		}
	}
	for range 30 {
		ask("word", word(25, 65)+" ")
		ask("word", word(65, 25_000)+" ")
		ask("words", word(25, 65)+" "+word(25, 600)+" ")
		ask("words", word(25, 600)+" "+word(0, 60)+" "+word(0, 2000)+" ")
		ask("stem", word(30, 60)+[]string{"s", "ing", "ed"}[r.IntN(3)]+" ")
		ask("id", a.id()+" ")
		ask("id", a.names[r.IntN(len(a.names))])
		ask("phrase", `"`+word(25, 55)+" "+word(25, 55)+`"`)
		kinds["filter"] = append(kinds["filter"], wiki.Query{Text: word(25, 65), Filter: wiki.Filter{Kind: wiki.Skill, Category: word(40, 49)}},
			wiki.Query{Text: word(25, 600) + " ", Filter: wiki.Filter{Owner: "@" + word(50, 90), Freshness: "stale"}})
		paste := "error:"
		for range 12 {
			paste += " " + word(0, 3000)
		}
		ask("paste", paste+" "+a.id())
	}
	return kinds
}
