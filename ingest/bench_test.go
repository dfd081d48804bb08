package ingest_test

import (
	"testing"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"

	"prunella/ingest"
)

// BenchmarkOTLPLogs takes in a request of 100 records; BenchmarkUnmarshal beside
// it only decodes the same bytes, so that their ratio says what we add.
func BenchmarkOTLPLogs(b *testing.B) {
	body := hundred(b)
	h := ingest.Handler(config(), &sink{})
	for b.Loop() {
		if w := post(h, "/v1/logs", "application/x-protobuf", body); w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkUnmarshal(b *testing.B) {
	body := hundred(b)
	for b.Loop() {
		var r collogspb.ExportLogsServiceRequest
		if err := proto.Unmarshal(body, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func hundred(b *testing.B) []byte {
	var records []*logspb.LogRecord
	for range 100 {
		records = append(records, &logspb.LogRecord{TimeUnixNano: 1, SeverityNumber: logspb.SeverityNumber_SEVERITY_NUMBER_ERROR,
			Body: text("401 on /api/orders, bearer token not accepted: no key with kid 2026-03 in the local key file")})
	}
	return marshal(b, logs(records...))
}
