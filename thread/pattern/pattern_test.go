package pattern_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"prunella/thread/pattern"
)

var expressions = []string{
	``, `a`, `^a`, `a$`, `^$`, `(?m)^b$`, `(?s)a.b`, `a.b`, `(?i)straße`, `(?i)\bk\b`, `(?i)s`, `\bre\w+\b`, `\Bx`, `x\B`,
	`(?i)(?:^|[^\w'-])(?:fixed|fix(?:es|ing)?|roll(?:ed|ing)? back|5\d\d)(?:$|[^\w'-]|-(?:\s|$)|'s\b)`,
	`[\pL\pN]+@(?:[\pL\pN-]+\.)+\pL{2,8}`, `[^a-z]{3}`, `(\d+)(?: (\w+)){0,3} down`, `\d{4}-\d\d-\d\d`, `a*?b|c+`, `[\x{1F000}-\x{1FAFF}]+`, `\z`, `(?:a|b)\z`, `é|ü`, `[^\x00-\x7F]`,
}

var texts = []string{
	"", "a", "A", "b\na", "a\nb", "a\r\n", "ab", "the FIX: rolled back, 503s gone", "we re-rolled", "rolling back again", "STRASSE straße ſtraße", "K k \u212A", "ada@exämple.org said so",
	"2026-04-01 at 10:00", "12 of the pods down", "é", "\xff\xfea", "🔥 it burns", "x", " x", "prefix-", "fix-", "fix's", "don'tfix",
}

// The answers are those of package regexp.
func TestSameAnswers(t *testing.T) {
	for _, e := range expressions {
		for _, s := range texts {
			same(t, e, s)
		}
	}
}

func same(t *testing.T, expr, s string) {
	t.Helper()
	want, got := regexp.MustCompile(expr), pattern.MustCompile(expr)
	check := func(name string, a, b any) {
		if fmt.Sprintf("%q", a) != fmt.Sprintf("%q", b) {
			t.Errorf("%s of %q in %q: %q, and regexp says %q", name, expr, s, b, a)
		}
	}
	check("match", want.MatchString(s), got.MatchString(s))
	check("find", want.FindString(s), got.FindString(s))
	check("submatch", want.FindStringSubmatch(s), got.FindStringSubmatch(s))
	check("submatch index", want.FindStringSubmatchIndex(s), got.FindStringSubmatchIndex(s))
	check("index", want.FindStringIndex(s), got.FindStringIndex(s))
	check("pieces", want.Split(s, -1), got.Split(s, -1))
	check("all", want.FindAllString(s, -1), got.FindAllString(s, -1))
	check("all indexes", want.FindAllStringIndex(s, 2), got.FindAllStringIndex(s, 2))
	check("all submatches", want.FindAllStringSubmatch(s, -1), got.FindAllStringSubmatch(s, -1))
	check("all submatch indexes", want.FindAllStringSubmatchIndex(s, -1), got.FindAllStringSubmatchIndex(s, -1))
	check("replace", want.ReplaceAllString(s, "<$0>"), got.ReplaceAllString(s, "<$0>"))
	check("replace func", want.ReplaceAllStringFunc(s, strings.ToUpper), got.ReplaceAllStringFunc(s, strings.ToUpper))
}

// A machine that has no room left gives the same answers, more slowly: this
// expression needs 2^17 states for texts of a and b.
func TestMoreStatesThanThereIsRoomFor(t *testing.T) {
	const expr = `a[ab]{16}c`
	want, got := regexp.MustCompile(expr), pattern.MustCompile(expr)
	seed := uint32(1)
	for range 300 {
		text := make([]byte, 100)
		for i := range text {
			seed = seed*1664525 + 1013904223
			text[i] = "aaabbbbabc"[(seed>>16)%10]
		}
		if s := string(text); want.MatchString(s) != got.MatchString(s) {
			t.Fatalf("%q", s)
		}
	}
}

func TestConcurrently(t *testing.T) {
	p, plain := pattern.MustCompile(expressions[14]), regexp.MustCompile(expressions[14])
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, s := range slices.Repeat(texts, 3) {
				if p.MatchString(s) != plain.MatchString(s) {
					t.Errorf("%q", s)
				}
			}
		})
	}
	group.Wait()
}

func FuzzSame(f *testing.F) {
	for i, e := range expressions {
		f.Add(e, texts[i%len(texts)])
	}
	f.Fuzz(func(t *testing.T, expr, s string) {
		if _, err := regexp.Compile(expr); err != nil || len(expr) > 200 || len(s) > 2000 {
			t.Skip()
		}
		same(t, expr, s)
	})
}
