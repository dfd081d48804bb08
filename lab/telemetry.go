package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// exportTarget is where a program sends its telemetry; no URL means nowhere.
type exportTarget struct {
	URL   string `json:"url"` // base URL, /v1/logs and /v1/metrics below it
	Token string `json:"token"`
}

// telemetry is the OpenTelemetry side of a program: two metrics and a log, sent
// to a target that can change while it runs. What cannot be sent is dropped
// without a word, as a service does whose collector is away.
type telemetry struct {
	Requests metric.Float64Histogram // http.server.request.duration, s
	Calls    metric.Float64Histogram // http.client.request.duration, s

	logger  otellog.Logger
	logs    *sdklog.LoggerProvider
	metrics *sdkmetric.MeterProvider
	reader  *sdkmetric.ManualReader
	target  *target
	cancel  context.CancelFunc // of the export loop
	done    chan struct{}      // closed when it has ended
	now     func() time.Time

	mu     sync.Mutex
	tokens float64 // of the log limiter
	filled time.Time
}

// logsPerSecond bounds the warnings and errors a program logs, as sampled
// logging does.
const logsPerSecond = 5

func newTelemetry(name, version, pod string, every time.Duration, to exportTarget, now func() time.Time) (*telemetry, error) {
	res := resource.NewSchemaless(attribute.String("service.name", name), attribute.String("service.version", version),
		attribute.String("host.name", pod), attribute.String("k8s.pod.name", pod))
	t := &telemetry{target: &target{}, now: now, tokens: logsPerSecond, filled: time.Now()}
	t.reader = sdkmetric.NewManualReader()
	t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(t.reader))
	t.logs = sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(
		sdklog.NewBatchProcessor(logSink{t.target}, sdklog.WithExportInterval(200*time.Millisecond))))
	t.logger = t.logs.Logger("lab/" + name)
	meter := t.metrics.Meter("lab/" + name)
	buckets := metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
	var err, err2 error
	t.Requests, err = meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"), buckets)
	t.Calls, err2 = meter.Float64Histogram("http.client.request.duration", metric.WithUnit("s"), buckets)
	if err := errors.Join(err, err2, t.target.point(context.Background(), to)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background()) // ends at close
	t.cancel, t.done = cancel, make(chan struct{})
	go t.export(ctx, every)
	return t, nil
}

// export sends the metrics at an interval. The SDK's own periodic reader does
// the same, but prints when it is stopped amid an export.
func (t *telemetry) export(ctx context.Context, every time.Duration) {
	defer close(t.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.exportOnce(ctx)
		}
	}
}

func (t *telemetry) exportOnce(ctx context.Context) {
	_, e := t.target.get()
	var m metricdata.ResourceMetrics
	if e == nil || t.reader.Collect(ctx, &m) != nil {
		return
	}
	_ = e.Export(ctx, &m) // a collector that is away gets the next, cumulative as they are
}

// log emits one record. Warnings and errors beyond logsPerSecond are dropped.
// The trace of ctx, when it has one, goes along.
func (t *telemetry) log(ctx context.Context, sev otellog.Severity, body string, attrs ...attribute.KeyValue) {
	if sev >= otellog.SeverityWarn && !t.allow() {
		return
	}
	var r otellog.Record
	r.SetTimestamp(t.now())
	r.SetSeverity(sev)
	r.SetSeverityText(sev.String())
	r.SetBody(attribute.StringValue(body))
	r.AddAttributes(attrs...)
	t.logger.Emit(ctx, r)
}

func (t *telemetry) allow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.tokens = min(logsPerSecond, t.tokens+now.Sub(t.filled).Seconds()*logsPerSecond)
	t.filled = now
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

// close sends what is left and ends what runs, also when the caller's time is
// over: the SDK ends nothing under a context that has ended.
func (t *telemetry) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	t.cancel()
	<-t.done
	brief := func(do func(context.Context) error) error { // a collector that is away must not hold up a stop
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		return do(ctx)
	}
	_ = brief(func(ctx context.Context) error { t.exportOnce(ctx); return nil })
	_, _ = brief(t.logs.Shutdown), brief(t.metrics.Shutdown)
	return brief(func(ctx context.Context) error { return t.target.point(ctx, exportTarget{}) })
}

// target holds the exporters of the present target.
type target struct {
	mu      sync.RWMutex
	logs    *otlploghttp.Exporter
	metrics *otlpmetrichttp.Exporter
	client  *http.Client
}

// point replaces the target and lets go of the one before.
func (t *target) point(ctx context.Context, to exportTarget) error {
	next := target{}
	if to.URL != "" {
		next.client = newClient(3 * time.Second)
		headers := map[string]string{}
		if to.Token != "" {
			headers["Authorization"] = "Bearer " + to.Token
		}
		var err error
		next.logs, err = otlploghttp.New(ctx, otlploghttp.WithEndpointURL(to.URL+"/v1/logs"), otlploghttp.WithHeaders(headers),
			otlploghttp.WithHTTPClient(next.client), otlploghttp.WithTimeout(3*time.Second),
			otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: 200 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 3 * time.Second}))
		if err != nil {
			return fmt.Errorf("export logs to %s: %w", to.URL, err)
		}
		next.metrics, err = otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(to.URL+"/v1/metrics"), otlpmetrichttp.WithHeaders(headers),
			otlpmetrichttp.WithHTTPClient(next.client), otlpmetrichttp.WithTimeout(3*time.Second),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}))
		if err != nil {
			return fmt.Errorf("export metrics to %s: %w", to.URL, err)
		}
	}
	t.mu.Lock()
	old := target{logs: t.logs, metrics: t.metrics, client: t.client}
	t.logs, t.metrics, t.client = next.logs, next.metrics, next.client
	t.mu.Unlock()
	if old.client == nil {
		return nil
	}
	err := errors.Join(old.logs.Shutdown(ctx), old.metrics.Shutdown(ctx))
	old.client.CloseIdleConnections()
	return err
}

func (t *target) get() (*otlploghttp.Exporter, *otlpmetrichttp.Exporter) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.logs, t.metrics
}

// logSink is the SDK's door to the target. It reports no error: the SDK would
// print it.
type logSink struct{ *target }

func (s logSink) Export(ctx context.Context, records []sdklog.Record) error {
	if e, _ := s.get(); e != nil {
		_ = e.Export(ctx, records)
	}
	return nil
}

func (s logSink) ForceFlush(context.Context) error { return nil }
func (s logSink) Shutdown(context.Context) error   { return nil }
