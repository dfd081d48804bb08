package correlate

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"prunella"
)

// SeverityInput is what the severity of an incident is judged from.
type SeverityInput struct {
	Impacts     []prunella.Impact // measured or stated, with Criticality
	Services    int               // services there are; 0 when unknown
	Beside      []string          // of the Impacts, those that are none of these services: an issuer
	StatedHit   int               // "4 of 7 services": see StatedBreadth
	StatedTotal int
	Rising      bool              // a share rises, or the cascade escalates
	FullBy      time.Time         // when every request of the hit services fails, where that is certain (old tokens expire); zero otherwise
	Claimed     prunella.Severity // the worst that a monitor claims; counts only when no impact is known
}

// Bounds of the table of Severity.
const (
	hitShare   = 0.02 // a service with a smaller excess is not hit
	someShare  = 0.05
	largeShare = 0.20
	mostShare  = 0.50
)

// Severity judges how bad an incident is from its impact, measured or stated.
// The first row that holds decides:
//
//	critical  half of the requests or more fail in two services, or in one of high criticality    (most-requests)
//	critical  half of all services or more are hit, one of them with 20 % or more                 (half-of-services)
//	critical  two services are hit, or one of high criticality, and all their requests will fail  (bound-to-fail)
//	high      20 % of the requests or more fail in a service, or 5 % in one of high criticality   (many-requests)
//	high      two services or more are hit with 5 % or more, and it is rising                     (rising)
//	warning   5 % of the requests or more fail in a service, or two services are hit              (some-requests)
//	low       something is hit by less                                                            (few-requests)
//	claimed   no impact is known: what the monitors claim, critical lowered to high               (claimed)
//
// A service is hit when its failing share is 2 points over its baseline. An
// issuer that is hit counts like one more service that there is. An
// impact that a text states ("100% of requests", "4 of 7 services") counts like
// a measured one; the reason says so.
func Severity(in SeverityInput) (prunella.Severity, prunella.Reason) {
	var hit, beside, most, mostHigh, large, some, someHigh int
	worst, stated := 0.0, false
	name := ""
	for _, im := range in.Impacts {
		if im.Share-im.Baseline < hitShare {
			continue
		}
		hit++
		beside += one(in.Services > 0 && slices.Contains(in.Beside, im.Service))
		high := im.Criticality == "high"
		if im.Share >= mostShare {
			most++
			mostHigh += one(high)
		}
		large += one(im.Share >= largeShare)
		some += one(im.Share >= someShare)
		someHigh += one(high && im.Share >= someShare)
		stated = stated || im.Stated
		if im.Share > worst {
			worst, name = im.Share, im.Service
		}
	}
	total := max(in.Services+beside, hit)
	breadthHit, breadthOf := hit, total
	if in.StatedTotal > 0 && in.StatedHit > hit && (in.Services == 0 || in.StatedHit*in.Services > hit*in.StatedTotal) {
		breadthHit, breadthOf, stated = in.StatedHit, in.StatedTotal, true
	}
	operands := map[string]string{
		"hit": strconv.Itoa(breadthHit), "services": strconv.Itoa(breadthOf), "worst_share": fmt.Sprintf("%.3f", worst), "worst": name,
		"rising": strconv.FormatBool(in.Rising), "stated": strconv.FormatBool(stated), "high_criticality": strconv.Itoa(someHigh),
	}
	how := ""
	if stated {
		how = ", as the monitors state"
	}
	say := func(s prunella.Severity, name, text string) (prunella.Severity, prunella.Reason) {
		return s, prunella.Reason{Name: name, Text: text + how, Operands: operands}
	}
	share := fmt.Sprintf("%.0f %% of the requests to %s fail", 100*worst, name)
	switch {
	case most >= 2:
		return say(prunella.Critical, "most-requests", fmt.Sprintf("%s, and %d services fail half of theirs or more; %d of %d services are hit", share, most, breadthHit, breadthOf))
	case mostHigh >= 1:
		return say(prunella.Critical, "most-requests", share+", a service of high criticality")
	case breadthOf > 0 && 2*breadthHit >= breadthOf && breadthHit > 0 && (large > 0 || stated && in.StatedHit >= 2 && hit == 0):
		return say(prunella.Critical, "half-of-services", fmt.Sprintf("%d of %d services are hit; %s", breadthHit, breadthOf, shareOr(worst, share)))
	case !in.FullBy.IsZero() && (hit >= 2 || someHigh > 0):
		return say(prunella.Critical, "bound-to-fail", fmt.Sprintf("%s in %d of %d services, and all of theirs will by %s", share, breadthHit, breadthOf, in.FullBy.UTC().Format("15:04:05 UTC")))
	case large > 0:
		return say(prunella.High, "many-requests", share)
	case someHigh > 0:
		return say(prunella.High, "many-requests", share+"; a service of high criticality is hit")
	case some >= 2 && in.Rising:
		return say(prunella.High, "rising", fmt.Sprintf("%s; %d services are hit and it is rising", share, hit))
	case some > 0 || hit >= 2:
		return say(prunella.Warning, "some-requests", share)
	case hit > 0:
		return say(prunella.Low, "few-requests", share)
	}
	operands["claimed"] = string(in.Claimed)
	switch {
	case in.Claimed.Rank() >= prunella.High.Rank():
		return say(prunella.High, "claimed", fmt.Sprintf("no impact is known; a monitor claims %s", in.Claimed))
	case in.Claimed.Rank() > 0:
		return say(in.Claimed, "claimed", fmt.Sprintf("no impact is known; a monitor claims %s", in.Claimed))
	}
	return say(prunella.Warning, "claimed", "no impact is known")
}

func shareOr(worst float64, share string) string {
	if worst == 0 {
		return "their share is not stated"
	}
	return share
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// worstFirst sorts by share, then by name.
func worstFirst(list []prunella.Impact) {
	sort.SliceStable(list, func(i, j int) bool {
		return list[i].Share > list[j].Share || list[i].Share == list[j].Share && list[i].Service < list[j].Service
	})
}
