package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"regexp"
	"sort"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const nbsp = "\u00a0"

// duration says d with at most two units: "420 ms", "14 s", "3 min 20 s",
// "2 h 5 min", "3 d 4 h". prunella.js has the same rule for elapsed times.
func duration(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	two := func(big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
		s := fmt.Sprintf("%d%s%s", d/big, nbsp, bigUnit)
		if rest := d % big / small; rest > 0 {
			s += fmt.Sprintf(" %d%s%s", rest, nbsp, smallUnit)
		}
		return s
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d%sms", d.Milliseconds(), nbsp)
	case d < time.Minute:
		return fmt.Sprintf("%d%ss", d/time.Second, nbsp)
	case d < time.Hour:
		return two(time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour:
		return two(time.Hour, "h", time.Minute, "min")
	}
	return two(24*time.Hour, "d", time.Hour, "h")
}

// relative says t as seen from now: "14 s ago", "in 3 min", "now".
func relative(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d > -time.Second && d < time.Second:
		return "now"
	case d < 0:
		return "in " + duration(coarse(-d))
	}
	return duration(coarse(d)) + " ago"
}

// coarse drops what nobody reads in a relative time.
func coarse(d time.Duration) time.Duration {
	switch {
	case d >= 24*time.Hour:
		return d.Truncate(24 * time.Hour)
	case d >= time.Hour:
		return d.Truncate(time.Minute)
	case d >= 5*time.Minute:
		return d.Truncate(time.Minute)
	}
	return d.Truncate(time.Second)
}

const exactLayout = "2006-01-02 15:04:05 UTC"

// timeTag is a <time> whose visible text is text; mode tells the script how to
// keep it current: "ago", "due", "for" (elapsed since) or "" (it does not change).
func timeTag(t time.Time, text, mode string) template.HTML {
	if t.IsZero() {
		return `<span class="muted">never</span>`
	}
	u := t.UTC()
	if mode != "" {
		mode = ` data-tick="` + mode + `"`
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s"%s>%s</time>`,
		u.Format(time.RFC3339Nano), u.Format(exactLayout), mode, template.HTMLEscapeString(text)))
}

func ago(now, t time.Time) template.HTML { return timeTag(t, relative(now, t), "ago") }

// when is ago for what is to come; once it is past it is simply due.
func when(now, t time.Time) template.HTML {
	if !t.After(now) {
		return timeTag(t, "due now", "due")
	}
	return timeTag(t, relative(now, t), "due")
}

func elapsed(now, t time.Time) template.HTML { return timeTag(t, duration(now.Sub(t)), "for") }

func clock(t time.Time) template.HTML { return timeTag(t, t.UTC().Format("15:04:05"), "") }

func stamp(t time.Time) template.HTML { return timeTag(t, t.UTC().Format("2006-01-02 15:04:05"), "") }

func day(t time.Time) template.HTML { return timeTag(t, t.UTC().Format(time.DateOnly), "") }

// percent never rounds something to nothing, nor nearly all to all.
func percent(x float64) string {
	p := x * 100
	switch {
	case math.IsNaN(p):
		return "unknown"
	case p > 0 && p < 0.1:
		return "<0.1" + nbsp + "%"
	case p > 0 && p < 1:
		return fmt.Sprintf("%.1f%s%%", p, nbsp)
	case p > 99 && p < 100:
		return ">99" + nbsp + "%"
	}
	return fmt.Sprintf("%.0f%s%%", p, nbsp)
}

// number shows three significant digits at most, without an exponent.
func number(x float64) string {
	switch a := math.Abs(x); {
	case a == 0:
		return "0"
	case a < 0.01:
		return "<0.01"
	case a < 1:
		return fmt.Sprintf("%.2f", x)
	case a < 10:
		return trimZero(fmt.Sprintf("%.1f", x))
	case a < 10000:
		return fmt.Sprintf("%.0f", x)
	}
	return thousands(int64(math.Round(x)))
}

func trimZero(s string) string { return strings.TrimSuffix(s, ".0") }

// thousands groups digits with narrow spaces: 12 345.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func millis(ms int64) string {
	if ms < 0 {
		return "never"
	}
	if ms < 10_000 {
		return trimZero(fmt.Sprintf("%.1f", float64(ms)/1000)) + nbsp + "s"
	}
	return duration(time.Duration(ms) * time.Millisecond)
}

// count says "1 service", "4 services".
func count(n int, one string) string {
	if n == 1 {
		return "1" + nbsp + one
	}
	if one == "hypothesis" {
		return thousands(int64(n)) + nbsp + "hypotheses"
	}
	return thousands(int64(n)) + nbsp + one + "s"
}

// list says "a", "a and b", "a, b and c".
func list(names []string) string {
	switch len(names) {
	case 0:
		return "none"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// short keeps the ends of a long identifier: a thumbprint, a hash.
func short(id string) string {
	if len(id) <= 20 {
		return id
	}
	return id[:8] + "…" + id[len(id)-4:]
}

// longID is a run of what identifiers are written with, as long as the shortest that is cut.
var longID = regexp.MustCompile(`[A-Za-z0-9_-]{40,}`)

// hexID is a commit or a digest in hex.
var hexID = regexp.MustCompile(`^[0-9A-Fa-f]{40,64}$`)

// brief shortens thumbprints (43 base64url characters) and hashes in a sentence;
// where they matter they stand in full beside it.
func brief(text string) string {
	return longID.ReplaceAllStringFunc(text, func(id string) string {
		if len(id) == 43 || hexID.MatchString(id) {
			return short(id)
		}
		return id
	})
}

// compact is v as one line of JSON, for what a step is given.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// upper begins a sentence.
func upper(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[n:]
}

// pair is a key and a value to show.
type pair struct{ Key, Value string }

// pairs sorts a map for showing; texts are shown bare, the rest as JSON.
func pairs[V any](m map[string]V) []pair {
	out := make([]pair, 0, len(m))
	for k, v := range m {
		text, ok := any(v).(string)
		if !ok {
			text = compact(v)
		}
		out = append(out, pair{k, text})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}
