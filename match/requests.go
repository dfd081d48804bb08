package match

import (
	"hash/fnv"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Bounds of request accounting.
const (
	maxServices = 500
	maxStreams  = 2000 // per service: routes × methods × statuses × instances
	ringBuckets = 180  // per service; an onset is looked for at most this far back
	seenPoints  = 16   // per stream of deltas, to recognize repeats
)

// Status classes that are counted.
var statuses = []string{"401", "403", "5xx"}

// bucket counts the requests of one service in one Config.Bucket of time.
// Counts are fractions where a point covers several buckets.
type bucket struct {
	N        int64      `json:"n"` // start = N × Config.Bucket since 1970
	Requests float64    `json:"r"`
	Failed   [3]float64 `json:"f"` // by statuses
}

// stream is one time series of a request counter.
type stream struct {
	Start time.Time   `json:"start"`
	At    time.Time   `json:"at"`             // of the last point
	Value float64     `json:"value"`          // cumulative
	Seen  []time.Time `json:"seen,omitempty"` // delta points taken, newest last
}

// requestCount returns the status class index (-1 for a request that did not
// fail) when the signal is a server-side request counter.
func requestCount(s prunella.Signal) (class int, ok bool) {
	m := s.Metric
	if s.Kind != prunella.KindMetric || m == nil || s.Service == "" || !m.Monotonic && !m.Histogram {
		return 0, false
	}
	name := strings.ToLower(strings.ReplaceAll(s.Name, "_", "."))
	for _, no := range []string{"client", "outgoing", "egress", "upstream", "size", "body", "rpc.client"} {
		if strings.Contains(name, no) {
			return 0, false
		}
	}
	if !strings.Contains(name, "http") && !strings.Contains(name, "request") && !strings.Contains(name, "response") {
		return 0, false
	}
	status := statusOf(s)
	if len(status) != 3 || status[0] < '1' || status[0] > '5' {
		return 0, false
	}
	switch {
	case status == "401":
		return 0, true
	case status == "403":
		return 1, true
	case status[0] == '5':
		return 2, true
	}
	return -1, true
}

// statusOf returns "401", or a class such as "5xx", or "".
func statusOf(s prunella.Signal) string {
	for _, key := range []string{prunella.AttrStatus, "http.status_code", "status_code", "status", "code", "code.class", "code_class"} {
		v := strings.ToLower(s.Attr(key))
		if len(v) != 3 {
			continue
		}
		if _, err := strconv.Atoi(v); err == nil || strings.HasSuffix(v, "xx") {
			return v
		}
	}
	return ""
}

// metricRank prefers one request counter where a service has several, so that
// no request counts twice.
func metricRank(name string) int {
	n := strings.ToLower(strings.ReplaceAll(name, "_", "."))
	switch {
	case strings.HasPrefix(n, "http.server.request.duration"):
		return 4
	case strings.HasPrefix(n, "http.server."):
		return 3
	case strings.HasPrefix(n, "http.requests"):
		return 2
	}
	return 1
}

// count takes one point of a request counter.
func (d *Detector) count(sv *service, s prunella.Signal, class int) {
	if sv.Metric != s.Name {
		if sv.Metric != "" && metricRank(s.Name) <= metricRank(sv.Metric) {
			return
		}
		sv.Metric = s.Name
	}
	at := d.timeOf(s)
	instance := instanceOf(s)
	seen := sv.Instances[instance]
	seen.note(at)
	sv.Instances[instance] = seen
	key := streamKey(s)
	st := sv.Streams[key]
	if st == nil {
		if len(sv.Streams) >= maxStreams {
			return // the sweep makes room
		}
		st = &stream{}
		sv.Streams[key] = st
	}
	n, from, ok := st.delta(s, at, seen.before(at), d.cfg.Window)
	if at.After(sv.Watermark) {
		sv.Watermark = at
	}
	if !ok || n <= 0 {
		return
	}
	if lag := at.Sub(from); lag > sv.Lag {
		sv.Lag = min(lag, 2*time.Minute)
	}
	if class >= 0 {
		sv.LastFailing = append(sv.LastFailing[:0:0], s)
	}
	d.spread(sv, class, n, from, at)
}

// exports are the times of the last two exports of one instance of a service.
type exports struct {
	Last time.Time `json:"last"`
	Prev time.Time `json:"prev"`
}

func (e *exports) note(at time.Time) {
	if at.After(e.Last) {
		e.Prev, e.Last = e.Last, at
	}
}

// before is the last export before the one at that time; zero when unknown.
func (e exports) before(at time.Time) time.Time {
	if e.Last.Before(at) {
		return e.Last
	}
	if e.Prev.Before(at) {
		return e.Prev
	}
	return time.Time{}
}

// delta returns how many requests a point adds and since when. known is the
// time of the instance's export before this one: a series that is new to a known
// instance began after that.
func (st *stream) delta(s prunella.Signal, at, known time.Time, window time.Duration) (n float64, from time.Time, ok bool) {
	m := s.Metric
	value := m.Value
	if m.Histogram {
		value = float64(m.Count)
	}
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return 0, at, false
	}
	if !m.Cumulative {
		if slices.ContainsFunc(st.Seen, at.Equal) {
			return 0, at, false
		}
		st.Seen = append(st.Seen, at)
		if len(st.Seen) > seenPoints {
			st.Seen = slices.Delete(st.Seen, 0, 1)
		}
		from = m.Start
		if from.IsZero() || !from.Before(at) {
			from = st.At
		}
		if from.IsZero() || !from.Before(at) {
			from = at.Add(-time.Millisecond)
		}
		if at.After(st.At) {
			st.At = at
		}
		return value, from, true
	}
	if st.At.IsZero() { // first point of this series
		st.Start, st.At, st.Value = m.Start, at, value
		switch {
		case !known.IsZero():
			return value, later(known, m.Start, at), true
		case !m.Start.IsZero() && m.Start.Before(at) && at.Sub(m.Start) <= window:
			return value, m.Start, true
		}
		return 0, at, false // it counted before we listened
	}
	if !at.After(st.At) {
		return 0, at, false // a repeat, or overtaken by a later point that includes it
	}
	n, from = value-st.Value, st.At
	if value < st.Value || m.Start.After(st.At) { // the process restarted
		n, from = value, later(st.At, m.Start, at)
	}
	st.Start, st.At, st.Value = m.Start, at, value
	return n, from, true
}

// later returns the later of a and b that is before the end.
func later(a, b, end time.Time) time.Time {
	if b.After(a) && b.Before(end) {
		return b
	}
	return a
}

// spread adds n requests evenly over the time from which they come.
func (d *Detector) spread(sv *service, class int, n float64, from, to time.Time) {
	if oldest := to.Add(-ringBuckets / 2 * d.cfg.Bucket); from.Before(oldest) {
		n *= float64(to.Sub(oldest)) / float64(to.Sub(from))
		from = oldest
	}
	total := float64(to.Sub(from))
	last := d.index(to.Add(-1))
	for i := d.index(from); i <= last; i++ {
		start, end := d.start(i), d.start(i+1)
		if start.Before(from) {
			start = from
		}
		if end.After(to) {
			end = to
		}
		part := n
		if total > 0 {
			part = n * float64(end.Sub(start)) / total
		}
		b := sv.at(i)
		if b == nil {
			continue
		}
		b.Requests += part
		if class >= 0 {
			b.Failed[class] += part
		}
	}
	for k, sp := range sv.Spikes {
		if sp.Active && to.After(sp.Onset) {
			sp.Total += n
			if class >= 0 && statuses[class] == k {
				sp.Failed += n
			}
		}
	}
}

// at returns the bucket with index n, growing the ring; nil when too old.
func (sv *service) at(n int64) *bucket {
	if len(sv.Buckets) == 0 {
		sv.Buckets = append(sv.Buckets, bucket{N: n})
		return &sv.Buckets[0]
	}
	first, last := sv.Buckets[0].N, sv.Buckets[len(sv.Buckets)-1].N
	switch {
	case n > last+ringBuckets:
		sv.Buckets = append(sv.Buckets[:0], bucket{N: n})
	case n > last:
		for i := last + 1; i <= n; i++ {
			sv.Buckets = append(sv.Buckets, bucket{N: i})
		}
		if over := len(sv.Buckets) - ringBuckets; over > 0 {
			sv.Buckets = slices.Delete(sv.Buckets, 0, over)
		}
	case n < first:
		if last-n >= ringBuckets {
			return nil
		}
		older := make([]bucket, 0, ringBuckets)
		for i := n; i < first; i++ {
			older = append(older, bucket{N: i})
		}
		sv.Buckets = append(older, sv.Buckets...)
	}
	return &sv.Buckets[n-sv.Buckets[0].N]
}

// sum adds up the buckets from index a to b.
func (sv *service) sum(a, b int64) (out bucket) {
	out.N = a
	for _, x := range sv.from(a) {
		if x.N > b {
			break
		}
		out.Requests += x.Requests
		for i := range x.Failed {
			out.Failed[i] += x.Failed[i]
		}
	}
	return out
}

// from returns the buckets with index n and later.
func (sv *service) from(n int64) []bucket {
	if len(sv.Buckets) == 0 {
		return nil
	}
	return sv.Buckets[min(max(0, n-sv.Buckets[0].N), int64(len(sv.Buckets))):]
}

func (sv *service) dropOldStreams(before time.Time) {
	for k, st := range sv.Streams {
		if st.At.Before(before) {
			delete(sv.Streams, k)
		}
	}
}

func instanceOf(s prunella.Signal) string {
	return s.Source + "|" + s.Attr("service.instance.id") + "|" + s.Attr(prunella.AttrHost)
}

// streamKey identifies a series: instance, name and every attribute.
func streamKey(s prunella.Signal) string {
	keys := make([]string, 0, len(s.Attributes))
	for k := range s.Attributes {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	h := fnv.New64a()
	for _, k := range keys {
		h.Write([]byte(k))
		h.Write([]byte{0})
		h.Write([]byte(s.Attributes[k]))
		h.Write([]byte{1})
	}
	h.Write([]byte(s.Source))
	h.Write([]byte{2})
	h.Write([]byte(s.Name))
	return strconv.FormatUint(h.Sum64(), 36)
}
