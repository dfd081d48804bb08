package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"prunella"
)

// told says what a change was.
func (v *view) told(c prunella.Change) string {
	of := ""
	if c.Service != "" {
		of = " of " + c.Service
	}
	switch c.Name {
	case prunella.ChangeSigner:
		from := ""
		if c.Before != "" {
			from = fmt.Sprintf(" from %s", v.kid(c.Before))
		}
		return fmt.Sprintf("The signing key%s changed%s to %s", of, from, v.kid(c.Kid))
	case prunella.ChangeKeyAdded:
		return fmt.Sprintf("Key %s was added to the published set%s", v.kid(c.Kid), of)
	case prunella.ChangeKeyRemoved:
		return fmt.Sprintf("Key %s was removed from the published set%s", v.kid(c.Kid), of)
	case prunella.ChangeKeyMaterial:
		return fmt.Sprintf("Key %s%s got other material under the same kid", v.kid(c.Kid), of)
	case prunella.ChangeDeploy:
		return fmt.Sprintf("%s%s was released%s", first(c.Service, "A service"), space(c.Version), by(c.Author))
	case prunella.ChangeConfig:
		return fmt.Sprintf("The configuration%s changed%s", of, by(c.Author))
	}
	return fmt.Sprintf("%s%s changed", capital(c.Name), of)
}

// when says how a change lies to the onset.
func (v *view) when(c prunella.Change) string {
	onset := v.s.Incident.Onset
	if c.At.IsZero() || onset.IsZero() {
		return "at a time that is not known"
	}
	d := onset.Sub(c.At)
	at := c.At.UTC().Format("15:04:05")
	switch {
	case d.Abs() < time.Second:
		return fmt.Sprintf("at the onset (%s UTC)", at)
	case d > 0:
		return fmt.Sprintf("%s before the onset (%s UTC)", spell(d), at)
	}
	return fmt.Sprintf("or was first seen %s after the onset (%s UTC)", spell(-d), at)
}

func by(author string) string {
	if author == "" {
		return ""
	}
	return " by " + author
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func because(why string) string {
	if why = strings.TrimRight(strings.TrimSpace(why), "."); why == "" {
		return ""
	}
	return ": " + clip(why, 200)
}

// kid names a key, shortened when it is long.
func (v *view) kid(kid string) string {
	if kid == "" {
		return "a key"
	}
	if r := []rune(kid); len(r) > 44 {
		kid = string(r[:41]) + "…"
	}
	return kid
}

func (v *view) kidList(kids []string) string {
	if len(kids) > 3 {
		return fmt.Sprintf("%s, %s and %d more", v.kid(kids[0]), v.kid(kids[1]), len(kids)-2)
	}
	var out []string
	for _, k := range kids {
		out = append(out, v.kid(k))
	}
	return joined(out)
}

// names3 and names4 list services for a sentence.
func names3(s []string) string { return atMost(s, 3) }
func names4(s []string) string { return atMost(s, 4) }

func atMost(s []string, n int) string {
	if len(s) > n+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(s[:n], ", "), len(s)-n)
	}
	return joined(s)
}

func joined(s []string) string {
	if len(s) < 2 {
		return strings.Join(s, "")
	}
	return strings.Join(s[:len(s)-1], ", ") + " and " + s[len(s)-1]
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func capital(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[n:]
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// spell writes a duration as a person says it: "4 s", "3 min", "2 h".
func spell(d time.Duration) string {
	switch d = d.Abs(); {
	case d < 10*time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func intersect(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return sorted(out)
}
