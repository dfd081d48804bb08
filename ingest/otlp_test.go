package ingest_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"prunella"
	"prunella/ingest"
)

// As OTLP writes JSON: hex ids, enums as numbers, 64-bit numbers as text, and a
// field that this version does not know.
const logsJSON = `{"resourceLogs":[{"resource":{"attributes":[
	{"key":"service.name","value":{"stringValue":"user"}},
	{"key":"host.name","value":{"stringValue":"host-3"}},
	{"key":"telemetry.sdk.language","value":{"stringValue":"go"}}]},
 "scopeLogs":[{"scope":{"name":"auth"},"someday":{"x":1},"logRecords":[
  {"timeUnixNano":"1763805599000000000","severityNumber":17,"severityText":"ERROR","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174",
   "body":{"stringValue":"token rejected: key k-2 is not in the local key store"},
   "attributes":[{"key":"kid","value":{"stringValue":"k-2"}},{"key":"http.status_code","value":{"intValue":"401"}},
    {"key":"request","value":{"kvlistValue":{"values":[{"key":"path","value":{"stringValue":"/me"}},{"key":"tags","value":{"arrayValue":{"values":[{"intValue":"1"},{"boolValue":true}]}}}]}}}]},
  {"observedTimeUnixNano":"1763805599500000000","severityNumber":9,"traceId":"nonsense","body":{"kvlistValue":{"values":[{"key":"event","value":{"stringValue":"refresh"}},{"key":"took_ms","value":{"doubleValue":1.5}}]}}}
 ]}]}]}`

func wantLogs() []prunella.Signal {
	at := time.Unix(1763805599, 0).UTC()
	return []prunella.Signal{
		{Source: "otlp/user", Service: "user", Time: at, Received: now, Kind: prunella.KindLog, Severity: prunella.High,
			Body: "token rejected: key k-2 is not in the local key store",
			Attributes: map[string]string{"kid": "k-2", "http.status_code": "401", prunella.AttrStatus: "401", "host.name": "host-3",
				prunella.AttrTraceID: "5b8efff798038103d269b633813fc60c", "span_id": "eee19b7ec3c1b174", "request.path": "/me", "request.tags": "[1,true]"}},
		{Source: "otlp/user", Service: "user", Time: at.Add(time.Second / 2), Received: now, Kind: prunella.KindLog, Severity: prunella.Info,
			Body: `{"event":"refresh","took_ms":1.5}`, Attributes: map[string]string{"host.name": "host-3"}},
	}
}

func compare(t *testing.T, got, want []prunella.Signal) {
	t.Helper()
	for i, s := range got {
		if s.ID == "" {
			t.Errorf("signal %d has no id", i)
		}
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ID" || p.Last().String() == ".Fingerprint" }, cmp.Ignore())
	if d := cmp.Diff(want, got, ignore); d != "" {
		t.Errorf("signals (-want +got):\n%s", d)
	}
}

func TestLogsJSON(t *testing.T) {
	s := &sink{}
	w := post(ingest.Handler(config(), s), "/v1/logs", "application/json; charset=utf-8", []byte(logsJSON))
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != "{}" || w.Header().Get("Content-Type") != jsonType {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	compare(t, s.got, wantLogs())
}

func text(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func resource(service string) *resourcepb.Resource {
	return &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name", Value: text(service)}}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func logs(records ...*logspb.LogRecord) *collogspb.ExportLogsServiceRequest {
	return &collogspb.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{Resource: resource("order"),
		ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}}}}}
}

func TestLogsProtobufInPart(t *testing.T) {
	s := &sink{}
	w := post(ingest.Handler(config(), s), "/v1/logs", protoType, marshal(t, logs(
		&logspb.LogRecord{Body: text("no time of its own"), SeverityText: "FATAL", TraceId: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
		&logspb.LogRecord{TimeUnixNano: 1},
		&logspb.LogRecord{TimeUnixNano: math.MaxUint64, EventName: "login.failed"},
	)))
	var resp collogspb.ExportLogsServiceResponse
	if err := proto.Unmarshal(w.Body.Bytes(), &resp); err != nil || w.Code != 200 {
		t.Fatalf("%d, %v", w.Code, err)
	}
	if p := resp.GetPartialSuccess(); p.GetRejectedLogRecords() != 1 || !strings.Contains(p.GetErrorMessage(), "order") {
		t.Errorf("partial success %v", p)
	}
	compare(t, s.got, []prunella.Signal{
		{Source: "otlp/order", Service: "order", Time: now, Received: now, Kind: prunella.KindLog, Severity: prunella.Critical, Body: "no time of its own",
			Attributes: map[string]string{prunella.AttrTraceID: "0102030405060708090a0b0c0d0e0f10"}},
		{Source: "otlp/order", Service: "order", Time: now, Received: now, Kind: prunella.KindLog, Severity: prunella.Info, Name: "login.failed", Attributes: map[string]string{}},
	})
}

func TestRecordsWithoutATimeAreNewEachTime(t *testing.T) {
	s := &sink{}
	h := ingest.Handler(config(), s)
	body := marshal(t, logs(&logspb.LogRecord{Body: text("again")}, &logspb.LogRecord{Body: text("again"), TimeUnixNano: 5}))
	post(h, "/v1/logs", protoType, body)
	post(h, "/v1/logs", protoType, body)
	if s.got[0].ID == s.got[2].ID {
		t.Error("two observations without a time share an id")
	}
	if s.got[1].ID != s.got[3].ID {
		t.Error("a repeated record with a time has two ids")
	}
}

func TestLongTextIsCutAndMarked(t *testing.T) {
	s := &sink{}
	var attrs []*commonpb.KeyValue
	for i := range 200 {
		attrs = append(attrs, &commonpb.KeyValue{Key: "k" + strings.Repeat("x", i), Value: text(strings.Repeat("é", 5000))})
	}
	w := post(ingest.Handler(config(), s), "/v1/logs", protoType, marshal(t, logs(&logspb.LogRecord{Body: text(strings.Repeat("é", 40_000)), Attributes: attrs})))
	if w.Code != 200 || len(s.got) != 1 {
		t.Fatal(w.Code, w.Body)
	}
	got := s.got[0]
	if len(got.Body) != 64<<10 || len(got.Attributes) != 129 || got.Attributes["prunella.cut"] != "body,attributes" {
		t.Errorf("body %d bytes, %d attributes, cut %q", len(got.Body), len(got.Attributes), got.Attributes["prunella.cut"])
	}
	if v := got.Attributes["k"]; len(v) != 4<<10 {
		t.Errorf("attribute of %d bytes", len(v))
	}
}

func TestOTLPErrorsInTheRequestsEncoding(t *testing.T) {
	h := ingest.Handler(config(), &sink{})
	var st status.Status
	w := post(h, "/v1/logs", protoType, []byte{0xff})
	if err := proto.Unmarshal(w.Body.Bytes(), &st); err != nil || st.Code != 3 || !strings.Contains(st.Message, "protobuf") || w.Header().Get("Content-Type") != protoType {
		t.Errorf("%d %v %v", w.Code, &st, err)
	}
	w = post(h, "/v1/metrics", jsonType, []byte("nope"))
	if err := protojson.Unmarshal(w.Body.Bytes(), &st); err != nil || st.Code != 3 || w.Header().Get("Content-Type") != jsonType {
		t.Errorf("%d %v %v", w.Code, &st, err)
	}
}

func metric(name string, data any) *metricspb.Metric {
	m := &metricspb.Metric{Name: name, Unit: "s"}
	switch d := data.(type) {
	case *metricspb.Gauge:
		m.Data = &metricspb.Metric_Gauge{Gauge: d}
	case *metricspb.Sum:
		m.Data = &metricspb.Metric_Sum{Sum: d}
	case *metricspb.Histogram:
		m.Data = &metricspb.Metric_Histogram{Histogram: d}
	case *metricspb.ExponentialHistogram:
		m.Data = &metricspb.Metric_ExponentialHistogram{ExponentialHistogram: d}
	case *metricspb.Summary:
		m.Data = &metricspb.Metric_Summary{Summary: d}
	}
	return m
}

func double(v float64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{TimeUnixNano: 2e18, StartTimeUnixNano: 1e18, Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: v}}
}

func TestMetrics(t *testing.T) {
	const cumulative, delta = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	sum := 7.5
	status401 := []*commonpb.KeyValue{{Key: "http.response.status_code", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: 401}}}}
	hist := &metricspb.HistogramDataPoint{TimeUnixNano: 2e18, StartTimeUnixNano: 1e18, Count: 3, Sum: &sum, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{1}, Attributes: status401}
	badHist := proto.Clone(hist).(*metricspb.HistogramDataPoint)
	badHist.BucketCounts = []uint64{1}
	stale := &metricspb.NumberDataPoint{TimeUnixNano: 2e18, Flags: 1}
	req := &colmetricspb.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{{Resource: resource("user"), ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{
		metric("g", &metricspb.Gauge{DataPoints: []*metricspb.NumberDataPoint{double(1.5), double(math.NaN()), stale, {TimeUnixNano: 2e18},
			{Value: &metricspb.NumberDataPoint_AsInt{AsInt: 4}}}}),
		metric("c", &metricspb.Sum{IsMonotonic: true, AggregationTemporality: cumulative, DataPoints: []*metricspb.NumberDataPoint{double(9)}}),
		metric("d", &metricspb.Sum{AggregationTemporality: delta, DataPoints: []*metricspb.NumberDataPoint{double(2)}}),
		metric("unknown", &metricspb.Sum{DataPoints: []*metricspb.NumberDataPoint{double(2)}}),
		metric("h", &metricspb.Histogram{AggregationTemporality: cumulative, DataPoints: []*metricspb.HistogramDataPoint{hist, badHist}}),
		metric("e", &metricspb.ExponentialHistogram{AggregationTemporality: delta, DataPoints: []*metricspb.ExponentialHistogramDataPoint{{TimeUnixNano: 2e18, Count: 2, Sum: &sum}}}),
		metric("s", &metricspb.Summary{DataPoints: []*metricspb.SummaryDataPoint{{TimeUnixNano: 2e18, Count: 5, Sum: 10}}}),
	}}}}}}
	s := &sink{}
	w := post(ingest.Handler(config(), s), "/v1/metrics", protoType, marshal(t, req))
	var resp colmetricspb.ExportMetricsServiceResponse
	if err := proto.Unmarshal(w.Body.Bytes(), &resp); err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	if n := resp.GetPartialSuccess().GetRejectedDataPoints(); n != 4 {
		t.Errorf("%d points refused, want the NaN, the one without a value, the sum without temporality and the bad buckets: %s", n, resp.GetPartialSuccess().GetErrorMessage())
	}
	at, start := time.Unix(2e9, 0).UTC(), time.Unix(1e9, 0).UTC()
	one := func(name string, at time.Time, m prunella.Metric, attrs map[string]string) prunella.Signal {
		m.Unit = "s"
		if attrs == nil {
			attrs = map[string]string{}
		}
		return prunella.Signal{Source: "otlp/user", Service: "user", Time: at, Received: now, Kind: prunella.KindMetric, Severity: prunella.Info, Name: name, Metric: &m, Attributes: attrs}
	}
	compare(t, s.got, []prunella.Signal{
		one("g", at, prunella.Metric{Value: 1.5, Start: start}, nil),
		one("g", now, prunella.Metric{Value: 4}, nil),
		one("c", at, prunella.Metric{Value: 9, Monotonic: true, Cumulative: true, Start: start}, nil),
		one("d", at, prunella.Metric{Value: 2, Start: start}, nil),
		one("h", at, prunella.Metric{Value: 7.5, Count: 3, Histogram: true, Cumulative: true, Start: start}, map[string]string{prunella.AttrStatus: "401"}),
		one("e", at, prunella.Metric{Value: 7.5, Count: 2, Histogram: true}, nil),
		one("s", at, prunella.Metric{Value: 10, Count: 5, Histogram: true, Cumulative: true}, nil),
	})
	if s.got[0].Fingerprint != s.got[1].Fingerprint || s.got[0].Fingerprint == s.got[2].Fingerprint {
		t.Error("the fingerprint does not tell series apart")
	}
}

// Bodies made to be small as sent and huge in memory.
func TestTooManyParts(t *testing.T) {
	records := &logspb.ScopeLogs{}
	points := &metricspb.Gauge{}
	for range 250_001 {
		records.LogRecords = append(records.LogRecords, &logspb.LogRecord{})
		points.DataPoints = append(points.DataPoints, &metricspb.NumberDataPoint{})
	}
	logs := &collogspb.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{records}}}}
	metrics := &colmetricspb.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{metric("g", points)}}}}}}
	h := ingest.Handler(config(), &sink{})
	for _, c := range []struct {
		path, contentType string
		body              []byte
	}{
		{"/v1/logs", protoType, marshal(t, logs)},
		{"/v1/metrics", protoType, marshal(t, metrics)},
		{"/v1/logs", jsonType, []byte(`{"resourceLogs":[` + strings.Repeat("{},", 600_000) + `{}]}`)},
	} {
		if w := post(h, c.path, c.contentType, c.body); w.Code != 413 || !strings.Contains(w.Body.String(), "250000 parts") {
			t.Errorf("%s %s: %d", c.path, c.contentType, w.Code)
		}
	}
}
