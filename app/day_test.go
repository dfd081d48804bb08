package app

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"prunella"
	"prunella/engine"
)

// traffic is what eight services and our monitors report in virtual time: every
// ten seconds each service exports its cumulative request counters and its log
// lines, and every monitor probes. Pods are replaced every few hours, the
// signing key is rotated, wordings come and go, nothing repeats exactly.
type traffic struct {
	rng      *rand.Rand
	now      time.Time
	ids      int
	seq      uint64
	services []*reporting
	signer   string
	former   string
	keys     int
	failing  map[string]float64 // share of requests answered 401
}

type reporting struct {
	name   string
	calls  []string
	pod    string
	born   time.Time
	counts map[string]float64 // by route and status
}

const exportEvery = 10 * time.Second

var routes = []string{"/api/list", "/api/item/{id}"}

func newTraffic(start time.Time) *traffic {
	w := &traffic{rng: rand.New(rand.NewPCG(1, 2)), now: start, failing: map[string]float64{}}
	calls := map[string][]string{"gateway": {"order", "user"}, "order": {"payment", "inventory"}}
	for _, name := range []string{"user", "order", "payment", "inventory", "notification", "search", "gateway", "billing"} {
		s := &reporting{name: name, calls: calls[name]}
		w.services = append(w.services, s)
		w.deploy(s)
	}
	w.rotate()
	return w
}

func (w *traffic) inventory() prunella.Inventory {
	inv := prunella.Inventory{Issuers: []prunella.Issuer{{Name: "auth", URL: "https://auth.example"}}}
	for _, s := range w.services {
		inv.Services = append(inv.Services, prunella.Service{Name: s.name, URL: "https://" + s.name + ".example", Canary: "/ping", Issuer: "auth"})
	}
	return inv
}

// deploy replaces a service's pod: its counters begin anew, under a new name.
func (w *traffic) deploy(s *reporting) {
	s.pod, s.born, s.counts = fmt.Sprintf("%s-%08x", s.name, w.rng.Uint32()), w.now, map[string]float64{}
}

func (w *traffic) rotate() []prunella.Signal {
	w.keys++
	w.former, w.signer = w.signer, fmt.Sprintf("key-%04d-%08x", w.keys, w.rng.Uint32())
	change := func(name, before string) prunella.Signal {
		s := w.signal("jwks/auth", "auth", prunella.KindChange, prunella.Info)
		s.Name, s.Body = name, name+" "+w.signer
		s.Attributes = map[string]string{prunella.AttrKid: w.signer, prunella.AttrIssuer: "auth", "before": before}
		return s
	}
	return []prunella.Signal{change(prunella.ChangeKeyAdded, ""), change(prunella.ChangeSigner, w.former)}
}

func (w *traffic) signal(source, service string, kind prunella.SignalKind, severity prunella.Severity) prunella.Signal {
	w.ids++
	at := w.now.Add(-time.Duration(w.rng.Int64N(int64(exportEvery / 2))))
	return prunella.Signal{ID: prunella.SignalID(fmt.Sprintf("s-%d", w.ids)), Source: source, Service: service, Kind: kind, Severity: severity, Time: at, Received: w.now}
}

// export is what one service sends for the last ten seconds.
func (w *traffic) export(s *reporting) []prunella.Signal {
	var out []prunella.Signal
	host := map[string]string{prunella.AttrHost: s.pod}
	for range 80 + w.rng.IntN(40) { // requests
		status := "200"
		switch x := w.rng.Float64(); {
		case x < w.failing[s.name] || x < 0.004: // there is always somebody with an expired token
			status = "401"
		case x > 0.9995:
			status = "500"
		}
		s.counts[routes[w.rng.IntN(len(routes))]+" "+status]++
	}
	point := func(name string, count float64, attrs ...string) {
		m := w.signal("otlp/"+s.name, s.name, prunella.KindMetric, prunella.Info)
		m.Time, m.Name = w.now, name
		m.Metric = &prunella.Metric{Unit: "s", Value: count * 0.01, Count: uint64(count), Histogram: true, Cumulative: true, Start: s.born}
		m.Attributes = map[string]string{prunella.AttrHost: s.pod}
		for i := 0; i < len(attrs); i += 2 {
			m.Attributes[attrs[i]] = attrs[i+1]
		}
		out = append(out, m)
	}
	for _, route := range routes {
		for _, status := range []string{"200", "401", "500"} {
			if n := s.counts[route+" "+status]; n > 0 {
				point("http.server.request.duration", n, "http.route", route, prunella.AttrStatus, status)
			}
		}
	}
	for _, peer := range s.calls {
		s.counts[peer] += 20
		point("http.client.request.duration", s.counts[peer], prunella.AttrPeer, peer, prunella.AttrStatus, "200")
	}
	say := func(severity prunella.Severity, text string, args ...any) {
		l := w.signal("otlp/"+s.name, s.name, prunella.KindLog, severity)
		l.Body = fmt.Sprintf(text, args...)
		l.Attributes = map[string]string{prunella.AttrTraceID: fmt.Sprintf("%016x%016x", w.rng.Uint64(), w.rng.Uint64())}
		for k, v := range host {
			l.Attributes[k] = v
		}
		out = append(out, l)
	}
	say(prunella.Info, "request %x of 10.%d.%d.%d served in %d ms", w.rng.Uint64(), w.rng.IntN(250), w.rng.IntN(250), w.rng.IntN(250), w.rng.IntN(900))
	if w.rng.IntN(4) == 0 {
		say(prunella.Info, "%s job%d finished: batch=%d user=u%05d took=%.2fs", s.name, w.keys, w.rng.IntN(1e6), w.rng.IntN(1e5), w.rng.Float64()*9)
	}
	if w.rng.IntN(8) == 0 {
		say(prunella.Warning, "token of session %08x has expired, asked to log in again", w.rng.Uint32())
	}
	if w.failing[s.name] > 0 {
		for range 3 {
			say(prunella.High, "401 on /api/item/%d: no key %s in the key file, only %s", w.rng.IntN(1e5), w.signer, w.former)
		}
	}
	return out
}

// probes are what our own monitors found.
func (w *traffic) probes() []prunella.Signal {
	var out []prunella.Signal
	for _, s := range w.services {
		for _, kid := range []string{w.signer, w.former} {
			p := w.signal("canary/auth", s.name, prunella.KindProbe, prunella.Info)
			p.Name, p.Attributes = "canary", map[string]string{prunella.AttrOutcome: "ok", prunella.AttrKid: kid, prunella.AttrIssuer: "auth", prunella.AttrStatus: "200"}
			if w.failing[s.name] > 0 && kid == w.signer {
				p.Severity, p.Body = prunella.High, "no key "+kid
				p.Attributes[prunella.AttrOutcome], p.Attributes[prunella.AttrStatus] = "refused", "401"
			}
			out = append(out, p)
		}
	}
	p := w.signal("jwks/auth", "auth", prunella.KindProbe, prunella.Info)
	p.Name, p.Attributes = "jwks", map[string]string{prunella.AttrOutcome: "ok"}
	return append(out, p)
}

// tick lets ten seconds pass and returns their messages.
func (w *traffic) tick() []engine.Message {
	w.now = w.now.Add(exportEvery)
	var out []engine.Message
	send := func(signals []prunella.Signal) {
		w.seq++
		out = append(out, engine.Message{Seq: w.seq, Signals: signals})
	}
	for _, s := range w.services {
		if w.rng.IntN(1080) == 0 { // about every three hours
			w.deploy(s)
		}
		send(w.export(s))
	}
	if w.now.Second() == 0 {
		send(w.probes())
	}
	return out
}

// TestADayWithoutGrowth feeds 24 hours of traffic of eight services, with pods
// that come and go, six rotations and two real failures, through the pipeline
// into a real store that is pruned as the server does it. From the sixth hour on
// neither memory, nor what is remembered of the past, nor the file grows. A pass
// takes in a minute here, so that the day is short. PRUNELLA_SOAK=1 makes it
// three days with a pass for each export.
func TestADayWithoutGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("a long day")
	}
	hours, every := 24, time.Minute
	if os.Getenv("PRUNELLA_SOAK") != "" {
		hours, every = 72, exportEvery
	}
	const (
		settled   = 6 // hours after which nothing may grow
		retention = 4 * time.Hour
		failing   = 5 * time.Minute
	)
	dir := t.TempDir()
	s := openStore(t, dir)
	defer s.Close()
	start := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	w := newTraffic(start)
	from := &stream{}
	p := pipeline(t, from, s, w.inventory())

	began, signals, opened := time.Now(), 0, 0
	var early, late footprint
	for hour := 1; hour <= hours; hour++ {
		for end := start.Add(time.Duration(hour) * time.Hour); w.now.Before(end); {
			var messages []engine.Message
			for range every / exportEvery {
				messages = append(messages, w.tick()...)
			}
			since := w.now.Sub(start)
			if since%(4*time.Hour) < every {
				messages = append(messages, engine.Message{Seq: w.next(), Signals: w.rotate()})
			}
			clear(w.failing)
			if at := since%(12*time.Hour) - 3*time.Hour; at >= 0 && at < failing {
				for _, s := range w.services[:4] {
					w.failing[s.name] = 0.6
				}
			}
			for _, m := range messages {
				signals += len(m.Signals)
			}
			if err := p.Pass(t.Context(), messages, w.now); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Prune(t.Context(), w.now.Add(-retention)); err != nil {
			t.Fatal(err)
		}
		for _, inc := range resolveAll(t, s, w.now) {
			opened++
			if hour%12 != 4 {
				t.Errorf("hour %d: nothing failed, yet: %s", hour, inc.Title)
			}
		}
		late = measure(t, s, dir)
		if hour == settled {
			early = late
		}
		if hour%6 == 0 {
			t.Logf("after %2d h: heap %4.1f MB, snapshot %3d KB, file %4.1f MB", hour, float64(late.heap)/1e6, late.snapshot/1000, float64(late.file)/1e6)
		}
	}
	t.Logf("%d signals in %s", signals, time.Since(began).Round(time.Second))
	if from.acknowledged() != w.seq {
		t.Errorf("acknowledged are messages up to %d of %d", from.acknowledged(), w.seq)
	}
	grew := func(what string, from, to, slack int64) {
		if to > from+from/10+slack {
			t.Errorf("%s grew from %d to %d bytes between hour %d and hour %d", what, from, to, settled, hours)
		}
	}
	grew("the memory", early.heap, late.heap, 256<<10)
	grew("the snapshot", early.snapshot, late.snapshot, 8<<10)
	grew("the store", early.file, late.file, 1<<20)
	if late.snapshot > 256<<10 {
		t.Errorf("the snapshot, which each pass writes, has %d bytes", late.snapshot)
	}
	if want := (hours + 8) / 12; opened != want {
		t.Errorf("%d incidents were opened, want the %d real failures", opened, want)
	}
}

// footprint is what is held, in bytes.
type footprint struct {
	heap     int64
	snapshot int64 // of the detector, in the store
	file     int64 // the store
}

func measure(t *testing.T, s engineStore, dir string) footprint {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held is gone after the second
	runtime.ReadMemStats(&m)
	snapshot, err := s.LoadState(t.Context(), "detector")
	if err != nil {
		t.Fatal(err)
	}
	return footprint{int64(m.HeapAlloc), int64(len(snapshot)), onDisk(t, dir)}
}

// next is the sequence of a message besides those of tick.
func (w *traffic) next() uint64 {
	w.seq++
	return w.seq
}

func onDisk(t *testing.T, dir string) (sum int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "prunella.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// resolveAll does what a person does once a failure is over, and returns what
// was open.
func resolveAll(t *testing.T, s engineStore, now time.Time) []prunella.Incident {
	t.Helper()
	open, err := s.OpenIncidents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, inc := range open {
		if _, err := s.UpdateIncident(t.Context(), inc.ID, func(i *prunella.Incident) error {
			i.State, i.ResolvedAt, i.UpdatedAt = prunella.Resolved, now, now
			return prunella.Transition(inc.State, prunella.Resolved)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return open
}
