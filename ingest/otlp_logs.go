package ingest

import (
	"net/http"

	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"prunella"
)

// logLevels lead over resource and scope to a log record.
var logLevels = [][]protowire.Number{{1}, {2}, {2}}

// readLogs reads an ExportLogsServiceRequest. A record without a time gets the
// observer's, then ours; one without a body is kept for its attributes; one
// without either is refused.
func readLogs(r request) (res result, err error) {
	var req collogspb.ExportLogsServiceRequest
	if err := unmarshalOTLP(r, &req, "ExportLogsServiceRequest", logLevels...); err != nil {
		return res, err
	}
	ids := number(r)
	for _, rl := range req.GetResourceLogs() {
		service, shared := resourceOf(rl.GetResource())
		for _, sl := range rl.GetScopeLogs() {
			for _, rec := range sl.GetLogRecords() {
				timed := rec.GetTimeUnixNano() != 0 || rec.GetObservedTimeUnixNano() != 0
				id := ids.id(timed)
				s, ok := logSignal(r, rec, shared)
				if !ok {
					res.reject("empty", "log record %d of service %q has neither a body nor attributes", ids.next, service)
					continue
				}
				s.ID, s.Service, s.Source = id, service, otlpSource(service)
				res.signals = append(res.signals, s)
			}
		}
	}
	return res, nil
}

func logSignal(r request, rec *logspb.LogRecord, shared map[string]string) (prunella.Signal, bool) {
	s := prunella.Signal{
		Tenant: r.tenant, Kind: prunella.KindLog, Received: r.now,
		Time: nanoTime(rec.GetTimeUnixNano()), Name: rec.GetEventName(), Body: textOf(rec.GetBody()),
		Severity: otlpSeverity(int32(rec.GetSeverityNumber()), rec.GetSeverityText()),
	}
	if s.Body == "" && len(rec.GetAttributes()) == 0 && s.Name == "" {
		return s, false
	}
	if s.Time.IsZero() {
		s.Time = nanoTime(rec.GetObservedTimeUnixNano())
	}
	if s.Time.IsZero() {
		s.Time = r.now
	}
	var cut bool
	s.Attributes, cut = attributes(shared, rec.GetAttributes())
	if id := hexID(rec.GetTraceId(), 16, r.mediaType); id != "" {
		s.Attributes[prunella.AttrTraceID] = id
	}
	if id := hexID(rec.GetSpanId(), 8, r.mediaType); id != "" {
		s.Attributes["span_id"] = id
	}
	finish(&s, cut)
	return s, true
}

func answerLogs(w http.ResponseWriter, mediaType string, res result) {
	resp := &collogspb.ExportLogsServiceResponse{}
	if n := res.refused(); n > 0 {
		resp.PartialSuccess = &collogspb.ExportLogsPartialSuccess{RejectedLogRecords: int64(n), ErrorMessage: res.explain()}
	}
	answerOTLP(w, mediaType, http.StatusOK, resp)
}
