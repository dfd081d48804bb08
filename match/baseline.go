package match

import "math"

// quiet is the learned quiet behaviour of one status class of one service: sums
// over quiet buckets that fade with Config.HalfLife, and a histogram of bucket
// shares that tells an unusual bucket from a usual one. What exceeds the 99 %
// quantile counts only up to it, so that a burst too short to be a finding
// hardly moves the baseline; buckets inside a finding do not count at all.
type quiet struct {
	Have     int           `json:"have"`
	Seconds  float64       `json:"seconds"`
	Requests float64       `json:"requests"`
	Failed   float64       `json:"failed"`
	Shares   [bins]float64 `json:"shares"`
}

// bins of shares: 0, then half-octaves from 1/4096 up to 1.
const bins = 26

func bin(share float64) int {
	if share < 1.0/4096 {
		return 0
	}
	return min(bins-1, 1+int(2*math.Log2(share*4096)))
}

// upper is the largest share in a bin.
func upper(b int) float64 {
	if b == 0 {
		return 0
	}
	return min(1, math.Exp2(float64(b)/2)/4096)
}

// learn adds one quiet bucket. keep is the weight that one bucket's age leaves.
func (q *quiet) learn(requests, failed, seconds, keep float64) {
	if requests < 1 {
		return
	}
	if q.Have >= 5 {
		failed = min(failed, max(1, q.quantile(0.99)*requests))
	}
	q.Seconds = q.Seconds*keep + seconds
	q.Requests = q.Requests*keep + requests
	q.Failed = q.Failed*keep + failed
	for i := range q.Shares {
		q.Shares[i] *= keep
	}
	q.Shares[bin(failed/requests)]++
	q.Have++
}

func (q *quiet) quantile(p float64) float64 {
	total := 0.0
	for _, w := range q.Shares {
		total += w
	}
	sum := 0.0
	for i, w := range q.Shares {
		sum += w
		if sum >= p*total {
			return upper(i)
		}
	}
	return 1
}

// expected is the share to reckon with in quiet times, on the high side while
// little was seen.
func (q *quiet) expected() float64 {
	if q == nil {
		return 0.02
	}
	return clamp((q.Failed+2)/(q.Requests+100), 0.0005, 0.95)
}

// view states the baseline.
func (q *quiet) view(service, status string, need int) Baseline {
	b := Baseline{Service: service, Status: status, Need: need}
	if q == nil {
		return b
	}
	b.Have, b.Known = min(q.Have, need), q.Have >= need
	if q.Seconds > 0 {
		b.Rate = q.Failed / q.Seconds
	}
	if q.Requests > 0 {
		b.Share = q.Failed / q.Requests
	}
	return b
}
