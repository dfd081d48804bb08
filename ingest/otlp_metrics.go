package ingest

import (
	"maps"
	"math"
	"net/http"
	"slices"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"prunella"
)

// metricLevels lead over resource, scope, metric and kind to a data point.
var metricLevels = [][]protowire.Number{{1}, {2}, {2}, {5, 7, 9, 10, 11}, {1}}

// readMetrics reads an ExportMetricsServiceRequest: one Signal for each data
// point. Buckets and quantiles are left out; sum and count stay.
func readMetrics(r request) (res result, err error) {
	var req colmetricspb.ExportMetricsServiceRequest
	if err := unmarshalOTLP(r, &req, "ExportMetricsServiceRequest", metricLevels...); err != nil {
		return res, err
	}
	p := points{request: r, res: &res, ids: number(r)}
	for _, rm := range req.GetResourceMetrics() {
		p.service, p.shared = resourceOf(rm.GetResource())
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				p.metric(m)
			}
		}
	}
	return res, nil
}

// points collects the data points of a request.
type points struct {
	request
	res     *result
	ids     *numbering
	service string
	shared  map[string]string
}

// point is what every kind of data point has.
type point interface {
	GetAttributes() []*commonpb.KeyValue
	GetTimeUnixNano() uint64
	GetStartTimeUnixNano() uint64
	GetFlags() uint32
}

func (p *points) metric(m *metricspb.Metric) {
	switch d := m.GetData().(type) {
	case *metricspb.Metric_Gauge:
		for _, dp := range d.Gauge.GetDataPoints() {
			p.number(m, dp, prunella.Metric{})
		}
	case *metricspb.Metric_Sum:
		cumulative, known := temporality(d.Sum.GetAggregationTemporality())
		for _, dp := range d.Sum.GetDataPoints() {
			if !known {
				p.withoutTemporality(m)
				continue
			}
			p.number(m, dp, prunella.Metric{Monotonic: d.Sum.GetIsMonotonic(), Cumulative: cumulative})
		}
	case *metricspb.Metric_Histogram:
		cumulative, known := temporality(d.Histogram.GetAggregationTemporality())
		for _, dp := range d.Histogram.GetDataPoints() {
			switch counts, bounds := len(dp.GetBucketCounts()), len(dp.GetExplicitBounds()); {
			case !known:
				p.withoutTemporality(m)
			case counts > 0 && counts != bounds+1:
				p.res.reject("bad-buckets", "metric %q has %d bucket counts for %d bounds", m.GetName(), counts, bounds)
			default:
				p.add(m, dp, prunella.Metric{Histogram: true, Value: dp.GetSum(), Count: dp.GetCount(), Cumulative: cumulative})
			}
		}
	case *metricspb.Metric_ExponentialHistogram:
		cumulative, known := temporality(d.ExponentialHistogram.GetAggregationTemporality())
		for _, dp := range d.ExponentialHistogram.GetDataPoints() {
			if !known {
				p.withoutTemporality(m)
				continue
			}
			p.add(m, dp, prunella.Metric{Histogram: true, Value: dp.GetSum(), Count: dp.GetCount(), Cumulative: cumulative})
		}
	case *metricspb.Metric_Summary:
		for _, dp := range d.Summary.GetDataPoints() { // always since start
			p.add(m, dp, prunella.Metric{Histogram: true, Value: dp.GetSum(), Count: dp.GetCount(), Cumulative: true})
		}
	default:
		p.res.reject("no-data", "metric %q has no data points of a known kind", m.GetName())
	}
}

func temporality(t metricspb.AggregationTemporality) (cumulative, known bool) {
	switch t {
	case metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE:
		return true, true
	case metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA:
		return false, true
	}
	return false, false
}

func (p *points) withoutTemporality(m *metricspb.Metric) {
	p.res.reject("no-temporality", "metric %q says neither cumulative nor delta", m.GetName())
}

// number adds a gauge's or sum's point.
func (p *points) number(m *metricspb.Metric, dp *metricspb.NumberDataPoint, value prunella.Metric) {
	switch v := dp.GetValue().(type) {
	case *metricspb.NumberDataPoint_AsDouble:
		value.Value = v.AsDouble
	case *metricspb.NumberDataPoint_AsInt:
		value.Value = float64(v.AsInt)
	default:
		if dp.GetFlags()&noRecordedValue == 0 {
			p.res.reject("no-value", "a data point of metric %q has no value", m.GetName())
			return
		}
	}
	p.add(m, dp, value)
}

const noRecordedValue = uint32(metricspb.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)

func (p *points) add(m *metricspb.Metric, dp point, value prunella.Metric) {
	at := nanoTime(dp.GetTimeUnixNano())
	id := p.ids.id(!at.IsZero())
	switch {
	case dp.GetFlags()&noRecordedValue != 0:
		p.res.skip("no-recorded-value") // the sender says that the series has ended
		return
	case m.GetName() == "":
		p.res.reject("no-name", "a metric of service %q has no name", p.service)
		return
	case math.IsNaN(value.Value) || math.IsInf(value.Value, 0):
		p.res.reject("not-a-number", "a data point of metric %q is not a finite number", m.GetName())
		return
	}
	if at.IsZero() {
		at = p.now
	}
	value.Unit, value.Start = m.GetUnit(), nanoTime(dp.GetStartTimeUnixNano())
	s := prunella.Signal{
		ID: id, Tenant: p.tenant, Source: otlpSource(p.service), Service: p.service, Kind: prunella.KindMetric, Severity: prunella.Info,
		Time: at, Received: p.now, Name: m.GetName(), Metric: &value,
	}
	var cut bool
	s.Attributes, cut = attributes(p.shared, dp.GetAttributes())
	s.Fingerprint = seriesOf(s)
	finish(&s, cut)
	p.res.signals = append(p.res.signals, s)
}

// seriesOf identifies a series: cumulative points are subtracted within it.
func seriesOf(s prunella.Signal) string {
	parts := []string{"series", string(s.Tenant), s.Service, s.Name, s.Metric.Unit}
	for _, k := range slices.Sorted(maps.Keys(s.Attributes)) {
		parts = append(parts, k, s.Attributes[k])
	}
	return string(signalID(parts...))
}

func answerMetrics(w http.ResponseWriter, mediaType string, res result) {
	resp := &colmetricspb.ExportMetricsServiceResponse{}
	if n := res.refused(); n > 0 {
		resp.PartialSuccess = &colmetricspb.ExportMetricsPartialSuccess{RejectedDataPoints: int64(n), ErrorMessage: res.explain()}
	}
	answerOTLP(w, mediaType, http.StatusOK, resp)
}
