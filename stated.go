package prunella

import (
	"regexp"
	"strconv"
	"strings"
)

// Statement is impact that a text claims, in one of its clauses: "100% of
// requests returning unauthorized" (Share 1, Of "requests"), "delivery failed
// for 4 of 7 services" (Hit 4, Count 7, Of "services").
type Statement struct {
	Clause string
	Of     string  // requests, tokens, users, services …
	Share  float64 // 0–1; Hit/Count when both are stated
	Hit    int     // 0 when it is not a count
	Count  int     // 0 when only Hit is stated: "4 services affected"
}

// Things that requests, users and services are called when a share of them fails.
const (
	traffic = `(requests?|calls?|tokens?|log-?ins?|sign-?ins?|users?|customers?|sessions?|transactions?|traffic|operations?|checkouts?|orders|payments|queries|jobs|messages)`
	parts   = `((?:micro)?services?|pods?|instances?|replicas?|nodes?|workers?|regions?|zones?|verifiers?|endpoints?|hosts?|clusters?|consumers?|subscribers?|recipients?|backends?|applications?|apps?|deliver(?:y|ies))`
	upTo3   = `(?:[\w'’/*-]+\s+){0,3}?`
)

var (
	clauseEnd  = regexp.MustCompile(`[,;!?\n]|\.(?:\s|$)|\s[—–-]\s|\s(?:but|while|whereas|although)\s`)
	percentage = regexp.MustCompile(`(\d{1,3}(?:\.\d+)?)\s*(?:%|percent\b)`)
	percentOf  = regexp.MustCompile(`(\d{1,3}(?:\.\d+)?)\s*(?:%|percent\b)\s+(?:of\s+)?` + upTo3 + traffic)
	rateOf     = regexp.MustCompile(`\b(?:error|failure|reject(?:ion)?|401|403|5xx|unauthori[sz]ed)\s+(?:rate|ratio|share)\s+(?:of|at|is|=|:|to|reached|hit|now)?\s*(?:at\s+)?(\d{1,3}(?:\.\d+)?)\s*(?:%|percent\b)`)
	nOfM       = regexp.MustCompile(`\b(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten)\s*(?:of|out\s+of|/)\s*(?:the\s+|our\s+|all\s+)?(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s+` + upTo3 + parts)
	onlyTo     = regexp.MustCompile(`\b(?:(?:to|reached|arrived at) only|only (?:to|reached|arrived at|made it to))\s+(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten)\s*(?:of|out\s+of|/)\s*(?:the\s+|our\s+|all\s+)?(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s+` + upTo3 + parts)
	nParts     = regexp.MustCompile(`\b(\d{1,4}|two|three|four|five|six|seven|eight|nine|ten)\s+` + upTo3 + parts)
	allOf      = regexp.MustCompile(`\b(?:all|every|each|any)\s+(?:of\s+(?:the\s+|our\s+)?)?` + upTo3 + traffic)
	allParts   = regexp.MustCompile(`\b(?:all|every)\s+(?:of\s+(?:the\s+|our\s+)?)?(\d{1,4}\s+)?` + upTo3 + parts)
	total      = regexp.MustCompile(`\b(?:complete(?:ly)?|total(?:ly)?|full(?:y)?|entirely)\s+(?:\w+\s+)?(?:outage|broken|down|unavailable|non-?functional|failing|inaccessible)`)
	failing    = regexp.MustCompile(`\b(?:fail\w*|reject\w*|refus\w*|den(?:y|ied|ies|ying)|unauthori[sz]ed|forbidden|errors?|erroring|unable|cannot|can't|could not|couldn't|broken|down|outage|affected|impacted|unavailable|unreachable|inaccessible|non-?functional|invalid|exhausted|incomplete|unacknowledged|undelivered|not (?:be )?(?:acknowledge\w*|delivered|verified|verify)|timing out|timed? ?out|dropped|lost|lack(?:s|ing)?|missing|(?:not|never) (?:working|functional|available|found|reach\w*|receiv\w*|got|arriv\w+|recovered)|40[13]s?|50[0234]s?)\b`)
	fine       = regexp.MustCompile(`\b(?:no longer|not affected|unaffected|not impacted|recovered|resolved|healthy|restored|succe(?:ss|ed)\w*|no errors?|without errors?|none of|never|not all|not every|would|could|might|may|if)\b`)
	failsMore  = regexp.MustCompile(`\b(?:unsuccessful\w*|not succe\w*|no success\w*|could not|couldn't|never (?:receiv\w+|got|reach\w*|arriv\w+|came|recovered))\b`)
)

// Statements returns the impact that a text claims. Only clauses that speak of
// failing count, and none that deny it: "0 of 7 services affected", "100% of
// requests succeed", "not all users".
func Statements(text string) []Statement {
	var out []Statement
	for _, c := range clauses(text) {
		lower := strings.ToLower(c)
		if rate := rateOf.FindStringSubmatch(lower); rate != nil {
			if s := share(rate[1]); s > 0 && !denied(lower) {
				out = append(out, Statement{Clause: c, Of: "requests", Share: s})
			}
			continue
		}
		if m := onlyTo.FindStringSubmatch(lower); m != nil && !fine.MatchString(lower) {
			if got, count := number(m[1]), number(m[2]); got < count { // what did not reach the others
				out = append(out, Statement{Clause: c, Of: m[3], Share: float64(count-got) / float64(count), Hit: count - got, Count: count})
			}
			continue
		}
		if !failing.MatchString(lower) && !total.MatchString(lower) || denied(lower) {
			continue
		}
		if m := nOfM.FindStringSubmatch(lower); m != nil {
			hit, count := number(m[1]), number(m[2])
			if hit > 0 && hit <= count {
				out = append(out, Statement{Clause: c, Of: m[3], Share: float64(hit) / float64(count), Hit: hit, Count: count})
			}
			continue
		}
		switch {
		case percentOf.MatchString(lower):
			m := percentOf.FindStringSubmatch(lower)
			if s := share(m[1]); s > 0 {
				out = append(out, Statement{Clause: c, Of: m[2], Share: s})
			}
		case allParts.MatchString(lower):
			m := allParts.FindStringSubmatch(lower)
			n := number(strings.TrimSpace(m[1]))
			out = append(out, Statement{Clause: c, Of: m[2], Share: 1, Hit: n, Count: n})
		case nParts.MatchString(lower):
			m := nParts.FindStringSubmatch(lower)
			if n := number(m[1]); n > 0 {
				out = append(out, Statement{Clause: c, Of: m[2], Hit: n})
			}
		case allOf.MatchString(lower):
			m := allOf.FindStringSubmatch(lower)
			out = append(out, Statement{Clause: c, Of: m[1], Share: 1})
		case total.MatchString(lower):
			out = append(out, Statement{Clause: c, Of: "requests", Share: 1})
		case percentage.MatchString(lower):
			m := percentage.FindStringSubmatch(lower)
			if s := share(m[1]); s > 0 {
				out = append(out, Statement{Clause: c, Of: "requests", Share: s})
			}
		}
	}
	return out
}

// denied reports a clause that says things are well, or only might be bad.
func denied(lower string) bool {
	return fine.MatchString(lower) && !failsMore.MatchString(lower)
}

// clauses splits a text into at most 64 clauses; quoted parts stay whole enough
// for our purpose, and only the first 8 KiB are read.
func clauses(text string) []string {
	if len(text) > 8192 {
		text = text[:8192]
	}
	var out []string
	for _, c := range clauseEnd.Split(text, 64) {
		if c = strings.TrimSpace(c); c != "" {
			out = append(out, c)
		}
	}
	return out
}

func share(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v > 100 {
		return 0
	}
	return v / 100
}

var words = map[string]int{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12}

func number(s string) int {
	if n, ok := words[s]; ok {
		return n
	}
	n, _ := strconv.Atoi(s)
	return n
}
