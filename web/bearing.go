package web

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"prunella"
)

// bearing is how an open incident stands at this moment, which its cause and
// its severity, that say what it was at its worst, do not tell.
type bearing struct {
	Text  string
	Mark  mark
	Since time.Time // since when every service is back to normal; zero while one is not
	Late  []prunella.Impact
}

// bearingOf reads it from the impacts: the zero value when nothing is known of
// any service, or when the incident is over.
func bearingOf(inc prunella.Incident) (s bearing) {
	if inc.State == prunella.Resolved || len(inc.Impact) == 0 {
		return bearing{}
	}
	var failing, unmeasured []string
	for _, i := range inc.Impact {
		switch {
		case recovered(i):
			if i.QuietSince.After(s.Since) {
				s.Since = i.QuietSince
			}
		case i.Total == 0 && !i.Stated:
			unmeasured = append(unmeasured, i.Service)
		default:
			failing = append(failing, fmt.Sprintf("%s of requests to %s", percent(i.Share), i.Service))
		}
	}
	s.Late = joinedLate(inc)
	back := len(inc.Impact) - len(failing) - len(unmeasured)
	if back == len(inc.Impact) {
		s.Mark, s.Text = mark{"✓", "nothing fails any more", "good"}, plural(servicesHit(inc), "it is back to normal", "all "+count(back, "service")+" are back to normal")
		return s
	}
	s.Since = time.Time{}
	const named = 3
	more := len(failing) - named
	if more > 0 {
		failing = append(failing[:named:named], count(more, "more service"))
	}
	var parts []string
	if len(failing) > 0 {
		s.Mark = mark{"✕", "failing", "bad"}
		parts = append(parts, list(failing)+", as last measured")
	} else {
		s.Mark = mark{"?", "not measured yet", "warn"}
	}
	if len(unmeasured) > 0 {
		parts = append(parts, "not measured yet: "+list(unmeasured))
	}
	if back > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s back to normal", back, count(len(inc.Impact), "service")))
	}
	s.Text = strings.Join(parts, "; ")
	return s
}

func servicesHit(inc prunella.Incident) []string {
	var out []string
	for _, i := range inc.Impact {
		out = append(out, i.Service)
	}
	return out
}

// recovered says whether a service of an incident fails no more than usual.
func recovered(i prunella.Impact) bool {
	return i.Trend == "recovered" || i.Share <= i.Baseline && i.Failed > 0
}

// joinedLate are the services that began to fail after the heal began.
func joinedLate(inc prunella.Incident) []prunella.Impact {
	began := inc.StateAt[prunella.Healing]
	var out []prunella.Impact
	for _, i := range inc.Impact {
		if !began.IsZero() && i.Since.After(began) {
			out = append(out, i)
		}
	}
	return out
}

// unheard says why nobody heard of an incident, "" when somebody did or nothing
// was to be said.
func unheard(told []prunella.Notification) string {
	why := ""
	for _, n := range told {
		if delivered(n) {
			return ""
		}
		why = n.LastErr
	}
	return why
}

// delivered says whether a receiver took it: what has none is put down as sent,
// with the reason.
func delivered(n prunella.Notification) bool { return !n.Sent.IsZero() && n.LastErr == "" }

// firstSentence divides a text after its first sentence.
func firstSentence(text string) (first, rest string) {
	for at := 0; ; {
		i := strings.Index(text[at:], ". ")
		if i < 0 {
			return text, ""
		}
		at += i + 2
		next := []rune(text[at:min(len(text), at+4)])
		if len(next) > 0 && unicode.IsUpper(next[0]) {
			return text[:at-1], text[at:]
		}
	}
}
