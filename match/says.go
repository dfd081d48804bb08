package match

import (
	"regexp"
	"strings"
	"time"

	"prunella"
)

// saysWords tell what a text blames for a refused token. Texts that blame
// different things are not one failure, though they begin together; a text may
// blame several.
var saysWords = []struct {
	name string
	re   *regexp.Regexp
}{
	{"says:key", regexp.MustCompile(`\b(?:unknown|unrecogni[sz]ed|missing|stale|outdated|no|(?:unable|failed|fails) to (?:find|locate|match|get|fetch|load|retrieve|obtain)|error (?:while )?(?:resolving|calling|fetching|getting)|(?:fetch|get)(?:ting|ing)?|cannot obtain|(?:could|did|can|does|do)(?: ?not|n't|'t)? (?:find|locate|match|get|have|resolve)|not find|lacks?) (?:[^\s;,.]+ ){0,4}?["']?(?:keys?|kids?|jwks?|key ids?)\b|\b(?:key|kid|key id|key\(s\))\b.{0,60}?\b(?:not (?:be )?(?:found|known|in|present|trusted|cached|match)|unknown|missing|mismatch|does(?: not|n't) (?:match|exist))|\bjwks?\b.{0,60}?\b(?:fail|refused|timed? ?out|timeout|unreachable|unavailable)|(?:fetch|retriev|load|refresh|obtain)\w* .{0,60}(?:\bjwks?\b|key ?set|well-known|openid-configuration)|openid-configuration returned|keys could not be|idx1050[01]|idx10517`)},
	{"says:time", regexp.MustCompile(`\b(?:token|jwt|signature)s?\b(?:\W+(?:is|has|was|have|are|were|been|already|an?|error|claims?))*\W+expired|\bexpired (?:token|jwt|signature)|token too old|\b(?:exp|nbf|iat)\b|lifetime|jwt used before|(?:jwt|token) early|not (?:yet )?valid (?:yet|before)|not yet valid|before (?:issued|use|not before)|not active\b|\bclocks?\b|issued in the future|in the future|premature jwt|immature signature|idx1022[23]`)},
	{"says:audience", regexp.MustCompile(`\baud\b|\baudiences?\b|idx10208|idx10214`)},
	{"says:issuer", regexp.MustCompile(`\b(?:iss|issuers?)\b.{0,40}(?:invalid|mismatch|unexpected|untrusted|unknown|not |n't|wrong|expected|validation)|\biss claim\b|given .?iss\b|issued by (?:an? )?(?:different|other|unknown|untrusted)|(?:invalid|unexpected|untrusted|unknown|wrong) ["']?iss(?:uer)?\b|idx10205`)},
	{"says:signature", regexp.MustCompile(`(?:invalid|bad|wrong|incorrect) (?:\S+ )?signature|signature\b.{0,25}(?:invalid|mismatch|wrong|fail|error|not valid|does(?: not|n't))|(?:fail\w*|could not|cannot|unable to) (?:to )?verif\w* .{0,30}signature|\bsig (?:mismatch|invalid|fail\w*|error)|jwt verification fail|verification error|idx10503|idx10511`)},
}

var (
	compounds  = regexp.MustCompile(`([a-z])([A-Z])`) // ExpiredSignature
	otherTimes = regexp.MustCompile(`(?:certificate|cert|cache|lease|licen[cs]e key)s? (?:is |has |was )?expired(?: or is not yet valid)?|expired (?:certificate|cert|cache|session|lease)`)
)

// saysOf returns what a text blames, in the fixed order of saysWords.
func saysOf(text string) []string {
	text = compounds.ReplaceAllString(prunella.Prose(text[:min(len(text), maxLine)]), "$1 $2")
	text = strings.ToLower(strings.ReplaceAll(text, "_", " "))
	text = otherTimes.ReplaceAllString(text, "~")
	var out []string
	for _, w := range saysWords {
		if w.re.MatchString(text) {
			out = append(out, w.name)
		}
	}
	if n := len(out); n > 1 && out[n-1] == "says:signature" && out[0] != "says:key" {
		out = out[:n-1] // ExpiredSignatureError is about the time
	}
	return out
}

// surelySays leaves out what one text alone cannot mean: libraries call a
// signature wrong when what they lack is the key.
func surelySays(text string) []string {
	var out []string
	for _, name := range saysOf(text) {
		if name != "says:signature" {
			out = append(out, name)
		}
	}
	return out
}

// blames counts what the texts of one service blame, by bucket.
type blames map[string]map[int64]int

func (b *blames) note(text string, n int64) {
	for _, name := range saysOf(text) {
		if *b == nil {
			*b = blames{}
		}
		if (*b)[name] == nil {
			(*b)[name] = map[int64]int{}
		}
		(*b)[name][n]++
	}
}

func (b blames) forget(before int64) {
	for _, counts := range b {
		for n := range counts {
			if n < before {
				delete(counts, n)
			}
		}
	}
}

// since returns what was blamed often enough since a bucket: three times, a
// quarter of the most frequent, and for a tenth of the failures, so that the few
// tokens that are expired at any time blame nobody.
func (b blames) since(n int64, failures float64) []string {
	sums, most := map[string]int{}, 0
	for name, counts := range b {
		for at, c := range counts {
			if at >= n {
				sums[name] += c
			}
		}
		most = max(most, sums[name])
	}
	var out []string
	for _, w := range saysWords {
		if c := sums[w.name]; c >= 3 && 4*c >= most && 10*float64(c) >= min(failures, 300) {
			out = append(out, w.name)
		}
	}
	return out
}

// blamedSince is what the texts of a service blame since an onset.
func (d *Detector) blamedSince(sv *service, onset time.Time, failures float64) []string {
	return sv.Blames.since(d.index(onset), failures)
}
