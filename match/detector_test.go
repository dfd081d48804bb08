package match_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/match"
)

var seven = []string{"user", "order", "payment", "inventory", "notification", "search", "gateway"}

func lab() match.Config { return match.Default().Scaled(20) }

func TestDetectsFailingServices(t *testing.T) {
	for _, share := range []float64{1, 0.5, 0.15} {
		for seed := range int64(12) {
			w := newWorld(seed, lab(), 20, seven...)
			for _, s := range w.services {
				s.share["401"] = 0.005
			}
			w.run(25 * time.Second)
			if len(w.findings) > 0 {
				t.Fatalf("seed %d: %v in quiet times", seed, w.findings[0].Reason)
			}
			fault := w.now.Add(137 * time.Millisecond)
			w.change(prunella.ChangeSigner, "auth", "key-2")
			hit := []string{"user", "order", "payment", "search"}
			// the fault falls inside an export: the first one is only partly bad
			for _, s := range hit {
				w.services[s].share["401"] = share * (1 - 137.0/500)
			}
			w.run(w.step)
			for _, s := range hit {
				w.services[s].share["401"] = share
			}
			for range 12 {
				for _, s := range hit {
					w.log(s, prunella.High, "unable to find key: kid \"key-2\" is not in the set")
				}
				w.run(time.Second)
			}
			for _, s := range hit {
				f, ok := w.first(prunella.RuleErrorRate, s)
				if !ok {
					t.Fatalf("share %v, seed %d: %s was not found", share, seed, s)
				}
				took, limit := f.Time.Sub(fault), 1500*time.Millisecond
				if share < 1 {
					limit = 2500 * time.Millisecond
				}
				if share < 0.3 {
					limit = 9 * time.Second
				}
				if took > limit {
					t.Errorf("share %v, seed %d: %s was found after %s", share, seed, s, took)
				}
				if off := f.Onset.Sub(fault).Abs(); share == 1 && off > 500*time.Millisecond {
					t.Errorf("share %v, seed %d: onset of %s is %s off", share, seed, s, off)
				}
				if f.Status != "401" || f.Reason.Name != "over-baseline" || f.Attrs["baseline_known"] != "true" {
					t.Errorf("finding %+v", f)
				}
				last := w.findings[len(w.findings)-1]
				if !slices.Contains(last.Tokens, "kid:key-2") || !slices.Contains(last.Tokens, "change:auth/key-2") || !slices.Contains(last.Tokens, "host:pod-"+last.Service) {
					t.Errorf("tokens %v", last.Tokens)
				}
			}
			for _, f := range w.findings {
				if f.Rule == prunella.RuleErrorRate && !slices.Contains(hit, f.Service) {
					t.Errorf("seed %d: %s is well: %s", seed, f.Service, f.Reason.Text)
				}
			}
			for _, s := range hit {
				w.services[s].share["401"] = 0.005
			}
			w.findings = nil
			w.run(12 * time.Second)
			if got := w.rules()[prunella.RuleRecovered]; got != len(hit) {
				t.Errorf("share %v, seed %d: %d of %d recovered", share, seed, got, len(hit))
			}
			for _, b := range w.det.Baselines() {
				if b.Status == "401" && b.Share > 0.02 {
					t.Errorf("share %v, seed %d: the failing spoiled the baseline of %s: %v", share, seed, b.Service, b.Share)
				}
			}
		}
	}
}

// While a failure fades and is not yet known to be over, nothing is found: what
// is found is above its limit.
func TestFindsOnlyAboveTheLimit(t *testing.T) {
	found := 0
	for seed := range int64(4) {
		w := newWorld(seed, lab(), 3, "user")
		w.services["user"].share["401"] = 0.002
		w.run(25 * time.Second)
		w.services["user"].share["401"] = 0.4
		w.run(20 * time.Second)
		w.services["user"].share["401"] = 0
		w.run(20 * time.Second)
		for _, f := range w.findings {
			limit, err := strconv.ParseFloat(f.Reason.Operands["limit"], 64)
			if f.Rule == prunella.RuleErrorRate {
				found++
				if err != nil || f.Share < limit-0.001 {
					t.Errorf("seed %d: a share of %v is found, the limit is %v", seed, f.Share, f.Reason.Operands["limit"])
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("%d findings in four times twenty seconds of failing", found)
	}
}

// A service that few call recovers too, once enough calls went well.
func TestRecoversAtLowRates(t *testing.T) {
	for _, rate := range []float64{0.3, 0.5, 1} { // requests a second; the window is three seconds
		w := newWorld(2, lab(), rate, "user")
		w.run(2 * time.Minute)
		w.services["user"].share["401"] = 0.9
		w.run(80 * time.Second)
		if _, ok := w.first(prunella.RuleErrorRate, "user"); !ok {
			t.Fatalf("rate %v: not found", rate)
		}
		w.services["user"].share["401"] = 0
		healed := w.now
		w.run(time.Minute)
		f, ok := w.first(prunella.RuleRecovered, "user")
		if enough := time.Duration(15 / rate * float64(time.Second)); !ok || f.Time.Sub(healed) > enough {
			t.Errorf("rate %v: recovered %v after %s, want within %s", rate, ok, f.Time.Sub(healed), enough)
		}
	}
}

func TestQuietStaysQuiet(t *testing.T) {
	for seed := range int64(6) {
		w := newWorld(seed, lab(), 20, seven...)
		for i, name := range seven {
			w.services[name].share["401"] = []float64{0, 0.002, 0.005, 0.01, 0.03, 0.10, 0.005}[i]
			w.services[name].share["500"] = 0.003
			w.services[name].rate = []float64{20, 2, 100, 20, 20, 20, 0.5}[i]
		}
		w.run(10 * time.Minute)
		for _, f := range w.findings {
			t.Errorf("seed %d: %s %s: %s", seed, f.Service, f.Status, f.Reason.Text)
		}
	}
}

func TestRateIsMeasured(t *testing.T) {
	w := newWorld(1, lab(), 40, "user")
	w.services["user"].share["401"] = 0.02
	w.run(2 * time.Minute)
	b := w.det.Baselines()[0]
	if !b.Known || math.Abs(b.Share-0.02) > 0.006 || math.Abs(b.Rate-0.8) > 0.25 {
		t.Errorf("baseline %+v, want share 0.02 and rate 0.8", b)
	}
	sum := map[string]float64{}
	for _, p := range w.points {
		sum[p.Name] += p.Value * 0.5
	}
	if math.Abs(sum["requests"]-40*119) > 80 {
		t.Errorf("points add up to %v requests", sum["requests"])
	}
	if sum["baseline.401"] == 0 {
		t.Error("no points of the baseline")
	}
}

func TestSaysNotEnoughHistory(t *testing.T) {
	w := newWorld(1, lab(), 20, "user")
	w.run(4 * time.Second)
	b := w.det.Baselines()[0]
	if b.Known || b.Need != 20 || b.Have >= b.Need {
		t.Errorf("baseline %+v", b)
	}
	w.services["user"].share["401"] = 0.12
	w.run(2 * time.Second)
	if len(w.findings) != 0 {
		t.Errorf("a guess: %s", w.findings[0].Reason.Text)
	}
	w.services["user"].share["401"] = 0.6
	w.run(3 * time.Second)
	f, ok := w.first(prunella.RuleErrorRate, "user")
	if !ok || f.Reason.Name != "strong-without-baseline" || !strings.Contains(f.Reason.Text, "not enough history") {
		t.Errorf("finding %+v", f.Reason)
	}
}

func TestHealthyRotation(t *testing.T) {
	w := newWorld(3, lab(), 20, seven...)
	for _, s := range seven {
		w.services[s].share["401"] = 0.005
		w.probe("canary", s, "ok", "key-1", "")
	}
	w.change(prunella.ChangeSigner, "auth", "key-1")
	w.run(20 * time.Second)
	w.change(prunella.ChangeKeyAdded, "auth", "key-2")
	for _, s := range seven[:3] { // verifiers that have not fetched the next key yet
		w.probe("canary", s, "refused", "key-2", "no key")
	}
	w.run(5 * time.Second)
	for _, s := range seven {
		w.probe("canary", s, "ok", "key-2", "")
	}
	w.run(time.Second)
	w.change(prunella.ChangeSigner, "auth", "key-2")
	w.run(5 * time.Second)
	w.change(prunella.ChangeKeyRemoved, "auth", "key-1")
	for _, s := range seven { // as it should be
		w.probe("canary", s, "refused", "key-1", "no key")
	}
	w.run(10 * time.Second)
	for _, f := range w.findings {
		t.Errorf("%s %s: %s", f.Rule, f.Service, f.Reason.Text)
	}
}

func TestRefusedCanary(t *testing.T) {
	w := newWorld(3, lab(), 20, "user", "order")
	w.change(prunella.ChangeSigner, "auth", "key-1")
	w.probe("canary", "user", "ok", "key-1", "")
	w.run(15 * time.Second)
	w.probe("canary", "user", "refused", "key-1", "kid key-1 not found")
	w.run(time.Second)
	f, ok := w.first(prunella.RuleProbe, "user")
	if !ok || f.Status != "401" || !slices.Contains(f.Tokens, "kid:key-1") || f.Reason.Name != "probe-refused" {
		t.Fatalf("finding %+v", f)
	}
	w.probe("canary", "user", "ok", "key-1", "")
	w.run(time.Second)
	if f, ok := w.first(prunella.RuleRecovered, "user"); !ok || f.Attrs["of"] != prunella.RuleProbe {
		t.Errorf("no recovery")
	}
}

// A refusal ends as a failure when the issuer does not sign with that key any more.
func TestRefusedCanaryOfAFormerSigner(t *testing.T) {
	w := newWorld(3, lab(), 20, "user")
	w.change(prunella.ChangeSigner, "auth", "key-1")
	w.probe("canary", "user", "refused", "key-1", "kid key-1 not found")
	w.run(time.Second)
	w.change(prunella.ChangeSigner, "auth", "key-0")
	w.run(time.Second)
	for range 2 {
		w.probe("canary", "user", "refused", "key-1", "kid key-1 not found")
		w.run(time.Second)
	}
	if f, ok := w.first(prunella.RuleRecovered, "user"); !ok || f.Reason.Name != "probe-of-no-matter" || w.rules()[prunella.RuleRecovered] != 1 || w.rules()[prunella.RuleProbe] != 1 {
		t.Errorf("%v: %+v", w.rules(), f)
	}
}

func TestProbeFailsInARow(t *testing.T) {
	w := newWorld(3, lab(), 20, "user")
	for i := range 4 {
		w.probe("jwks", "auth", "unreachable", "", "connection refused")
		w.run(time.Second)
		if _, found := w.first(prunella.RuleProbe, "auth"); found != (i >= 2) {
			t.Errorf("after %d failures: found %v", i+1, found)
		}
	}
}

func TestCounting(t *testing.T) {
	cfg := lab()
	run := func(name string, feed func(w *world) float64) {
		w := newWorld(1, cfg, 0, "user")
		want := feed(w)
		w.now = w.now.Add(time.Second)
		w.observe([]prunella.Signal{w.point("user", "204", 0, w.now.Add(-time.Hour))}) // time goes on, nobody asks
		got := 0.0
		for _, im := range w.det.Impacts([]string{"user"}, epoch.Add(-time.Minute)) {
			got = float64(im.Total)
		}
		if math.Abs(got-want) > 0.01*want {
			t.Errorf("%s: counted %v requests, want %v", name, got, want)
		}
	}
	at := func(w *world, after time.Duration, count float64, start time.Time) prunella.Signal {
		w.now = epoch.Add(after)
		return w.point("user", "401", count, start)
	}
	old := epoch.Add(-time.Hour)
	s := time.Second
	run("first point counted before we listened", func(w *world) float64 {
		w.observe([]prunella.Signal{at(w, s, 1000, old)})
		w.observe([]prunella.Signal{at(w, 2*s, 1010, old)})
		return 10
	})
	run("process younger than the window", func(w *world) float64 {
		w.observe([]prunella.Signal{at(w, s, 7, epoch)})
		return 7
	})
	run("duplicates and late points", func(w *world) float64 {
		a, b, c := at(w, s, 100, old), at(w, 2*s, 110, old), at(w, 3*s, 130, old)
		w.observe([]prunella.Signal{a})
		w.observe([]prunella.Signal{c, c, a})
		w.observe([]prunella.Signal{b, c})
		return 30
	})
	run("restart", func(w *world) float64 {
		w.observe([]prunella.Signal{at(w, s, 100, old)})
		w.observe([]prunella.Signal{at(w, 2*s, 110, old)})
		w.observe([]prunella.Signal{at(w, 3*s, 250, epoch.Add(2200*time.Millisecond))}) // more than before, but anew
		return 10 + 250
	})
	run("reset without a start", func(w *world) float64 {
		w.observe([]prunella.Signal{at(w, s, 100, time.Time{})})
		w.observe([]prunella.Signal{at(w, 2*s, 4, time.Time{})})
		return 4
	})
	run("a series that appears later", func(w *world) float64 {
		w.observe([]prunella.Signal{at(w, s, 100, old)})
		late := at(w, 2*s, 25, old)
		late.Attributes[prunella.AttrStatus] = "503"
		w.observe([]prunella.Signal{at(w, 2*s, 100, old), late})
		return 25
	})
	run("deltas in any order, repeated", func(w *world) float64 {
		delta := func(after time.Duration, n float64) prunella.Signal {
			p := at(w, after, n, epoch.Add(after-s))
			p.Metric.Cumulative = false
			return p
		}
		a, b, c := delta(s, 5), delta(2*s, 7), delta(3*s, 11)
		w.observe([]prunella.Signal{a})
		w.observe([]prunella.Signal{c})
		w.observe([]prunella.Signal{b, a, c})
		return 23
	})
	run("two counters of the same requests", func(w *world) float64 {
		both := func(after time.Duration, n float64) []prunella.Signal {
			a, b := at(w, after, n, old), at(w, after, n, old)
			b.Name = "http_requests_total"
			b.Metric = &prunella.Metric{Value: n, Monotonic: true, Cumulative: true, Start: old}
			return []prunella.Signal{b, a}
		}
		w.observe(both(s, 100))
		w.observe(both(2*s, 150))
		return 50
	})
	run("not requests of a server", func(w *world) float64 {
		for _, name := range []string{"http.client.request.duration", "http.server.request.body.size", "db_queries_total", "http.server.active_requests"} {
			for i := range 3 {
				p := at(w, time.Duration(i+1)*s, float64(100*i), old)
				p.Name = name
				if name == "http.server.active_requests" {
					p.Metric.Histogram = false
				}
				w.observe([]prunella.Signal{p})
			}
		}
		return 0
	})
	run("not a number", func(w *world) float64 {
		p := at(w, s, 0, old)
		p.Metric = &prunella.Metric{Value: math.NaN(), Monotonic: true, Cumulative: true}
		w.observe([]prunella.Signal{p, at(w, s, 100, old)})
		w.observe([]prunella.Signal{at(w, 2*s, 103, old)})
		return 3
	})
}

func TestLongExportInterval(t *testing.T) {
	w := newWorld(5, match.Default(), 20, "user", "order")
	w.step = time.Minute
	w.services["user"].share["401"] = 0.003
	w.run(30 * time.Minute)
	w.services["user"].share["401"] = 0.3
	fault := w.now
	w.run(3 * time.Minute)
	f, ok := w.first(prunella.RuleErrorRate, "user")
	if !ok || f.Time.Sub(fault) > time.Minute || f.Onset.Sub(fault).Abs() > 15*time.Second {
		t.Errorf("found %v, %s after the fault, onset %s off", ok, f.Time.Sub(fault), f.Onset.Sub(fault))
	}
}

func TestEdges(t *testing.T) {
	w := newWorld(1, lab(), 20, "gateway")
	p := w.point("gateway", "200", 10, epoch)
	p.Name, p.Attributes[prunella.AttrPeer] = "http.client.request.duration", "order"
	w.observe([]prunella.Signal{p, p})
	w.observe([]prunella.Signal{p})
	want := []prunella.Edge{{From: "gateway", To: "order"}}
	if diff := cmp.Diff(want, w.edges); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, w.det.LearnedEdges()); diff != "" {
		t.Error(diff)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(1, lab(), 5, "user")
	size := 0
	for i := range 25 {
		for range 200 {
			w.log("user", prunella.High, fmt.Sprintf("%s kid=%x%x is %s", word(w), w.rng.Int63(), w.rng.Int63(), word(w)))
			p := w.point("user", "200", 1, epoch)
			p.Attributes["http.route"] = word(w)
			w.extra = append(w.extra, p)
		}
		w.run(w.step)
		if b, err := w.det.Snapshot(); err != nil {
			t.Fatal(err)
		} else if size = len(b); i == 15 {
			w.ids = 0
		}
	}
	if size > 4<<20 {
		t.Errorf("the snapshot has %d bytes", size)
	}
}

func word(w *world) string {
	b := make([]byte, 6)
	for i := range b {
		b[i] = byte('a' + w.rng.Intn(26))
	}
	return string(b)
}

func BenchmarkObserve(b *testing.B) {
	batches, times := story(7)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		d := match.NewDetector(lab())
		for i := range batches {
			d.Observe(batches[i], times[i])
			n += len(batches[i])
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "signals/s")
}

func BenchmarkSnapshot(b *testing.B) {
	batches, times := story(7)
	d := match.NewDetector(lab())
	for i := range batches {
		d.Observe(batches[i], times[i])
	}
	size := 0
	for b.Loop() {
		snap, err := d.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		size = len(snap)
	}
	b.ReportMetric(float64(size), "bytes")
}

// Names that only texts mention never keep a service whose requests are counted
// from being watched; one that has long been silent makes room as well, and one
// that is counted is kept.
func TestThereIsRoomForWhoIsCounted(t *testing.T) {
	w := newWorld(4, lab(), 20, "user")
	w.services["user"].share["401"] = 0.002
	w.run(25 * time.Second)
	for i := range 600 {
		w.log(fmt.Sprint("preview-", i), prunella.Warning, "started late")
	}
	w.run(time.Second)
	w.services["order"] = &sim{rate: 20, share: map[string]float64{"401": 0.9}, counts: map[string]float64{}, started: w.now}
	w.services["user"].share["401"] = 0.9
	w.run(10 * time.Second)
	for _, name := range []string{"user", "order"} {
		if f, ok := w.first(prunella.RuleErrorRate, name); !ok || f.Attrs["baseline_known"] != fmt.Sprint(name == "user") {
			t.Errorf("%s: found %v, baseline known %s", name, ok, f.Attrs["baseline_known"])
		}
	}
	w.now = w.now.Add(8 * lab().HalfLife)
	w.observe(nil)
	if left := w.det.Baselines(); len(left) != 0 {
		t.Errorf("after eight half-lives of silence there is still %v", left)
	}
}
