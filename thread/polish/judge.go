package polish

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// overlap is the share of a claim's content words that its sources must have.
const overlap = 0.7

var (
	codeSpan   = regexp.MustCompile("`[^`]*`")
	redacted   = regexp.MustCompile(`\[redacted [^\]]*\]`)
	figure     = regexp.MustCompile(`\pN+(?:[.,:/-]\pN+)*`)
	identifier = regexp.MustCompile(`(?:https?://\S+)|@[\w.-]+|#[\w-]+|--?[a-zA-Z][\w-]*|\b\w*[a-z]\w*(?:[_./:-]+\w+)+|\b[A-Z]{2,}\w*|\b\w*\d\w*[A-Za-z]\w*|\b[a-z]+[A-Z]\w*`)
	nameWord   = regexp.MustCompile(`\b[A-Z][\pL]+`)
	plainWord  = regexp.MustCompile(`[\pL][\pL'’]*`)
	endOfClaim = regexp.MustCompile(`([.!?])(\s+|$)`)
)

// judge takes of an answer what the sources carry. When nothing is left, or
// what is left says less than the line did, the line stays.
func judge(line string, sources []string, answer string) (string, []Dropped) {
	answer = strings.Join(strings.Fields(answer), " ")
	if len(answer) > 3*len(line)+200 {
		return line, []Dropped{{Claim: clip(answer), Reason: "much longer than the line"}}
	}
	if !slices.Equal(sorted(codeSpan.FindAllString(line, -1)), sorted(codeSpan.FindAllString(answer, -1))) {
		return line, []Dropped{{Claim: clip(answer), Reason: "code was changed, added or left out"}}
	}
	if !slices.Equal(sorted(redacted.FindAllString(line, -1)), sorted(redacted.FindAllString(answer, -1))) {
		return line, []Dropped{{Claim: clip(answer), Reason: "a redacted place was changed, added or left out"}}
	}
	known := knowledge(sources)
	var kept []string
	var dropped []Dropped
	for _, c := range claims(answer) {
		if reason := known.refuses(c); reason != "" {
			dropped = append(dropped, Dropped{Claim: c, Reason: reason})
			continue
		}
		kept = append(kept, c)
	}
	text := strings.Join(kept, " ")
	if text == "" {
		return line, dropped
	}
	if lost := loses(line, text); lost != "" {
		return line, append(dropped, Dropped{Claim: text, Reason: "left out " + lost})
	}
	return text, dropped
}

func sorted(s []string) []string { slices.Sort(s); return s }

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// claims splits a text into sentences; code is never split.
func claims(s string) []string {
	safe := codeSpan.ReplaceAllStringFunc(s, func(c string) string { return strings.Repeat("x", len(c)) })
	var out []string
	at := 0
	for _, m := range endOfClaim.FindAllStringIndex(safe, -1) {
		if c := strings.TrimSpace(s[at:m[1]]); c != "" {
			out = append(out, c)
		}
		at = m[1]
	}
	if c := strings.TrimSpace(s[at:]); c != "" {
		out = append(out, c)
	}
	return out
}

// facts is what sources carry.
type facts struct {
	figures, terms map[string]bool // terms: names and identifiers, lower case
	stems          map[string]bool
	sentences      []string
}

func knowledge(sources []string) facts {
	f := facts{map[string]bool{}, map[string]bool{}, map[string]bool{}, nil}
	for _, s := range sources {
		for _, n := range figures(s) {
			f.figures[n] = true
		}
		for _, t := range identifier.FindAllString(s, -1) {
			f.terms[term(t)] = true
		}
		for _, w := range plainWord.FindAllString(s, -1) {
			f.terms[strings.ToLower(w)] = true
			f.stems[stem(w)] = true
		}
		f.sentences = append(f.sentences, claims(s)...)
	}
	return f
}

func term(s string) string { return strings.ToLower(strings.TrimRight(s, ".,:;!?)/")) }

// figures are the numbers in a text, words for them included.
func figures(s string) []string {
	out := figure.FindAllString(s, -1)
	for _, w := range plainWord.FindAllString(s, -1) {
		if n, ok := numberWords[strings.ToLower(w)]; ok {
			out = append(out, n)
		}
	}
	return out
}

var numberWords = map[string]string{"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
	"eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100",
	"thousand": "1000", "million": "1000000", "twice": "2", "double": "2", "doubled": "2", "half": "1/2", "third": "1/3", "quarter": "1/4", "dozen": "12", "most": "most", "all": "all", "every": "all", "always": "always"}

// deeds are words that tell to change something: they need a source even where
// the rest of the sentence has one.
var deeds = stems("delete drop remove restart reboot kill stop start disable enable scale rollback revert deploy upgrade downgrade install uninstall truncate flush purge wipe reset rotate revoke force " +
	"ignore skip bypass grant allow open close run execute download send paste copy post call page contact escalate increase decrease raise lower change replace apply patch drain cordon failover redeploy format erase shutdown")

var denials = stems("not no never none neither nor without cannot isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't hasn't haven't hadn't nothing nobody unaffected excluded unlikely innocent")

// little are words that carry nothing by themselves.
var little = stems("a an the and or but if then than so as of in on at to for from by with into over under after before while when where which who that this these those it its is are was were be been being has have had do does did " +
	"will would can could should may might must there here also only very more less such other another some any each both our we us you they he she their them i my your his her up down out off again because since until about between during per via " +
	"following due cause caused causes occur occurs occurred happen happens happened become becomes became remain remains show shows showed see seen indicate indicates indicated report reports reported use used using make made")

func stems(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[stem(w)] = true
	}
	return m
}

// stem cuts English endings, coarsely: restarted, restarting and restarts are
// one word.
func stem(w string) string {
	w = strings.ToLower(strings.ReplaceAll(w, "’", "'"))
	for _, end := range []string{"'s", "ing", "ies", "ied", "ed", "es", "s", "ly", "e"} {
		if rest, ok := strings.CutSuffix(w, end); ok && len(rest) >= 3 {
			w = rest
			if strings.HasPrefix(end, "ie") {
				w += "y"
			}
			break
		}
	}
	if n := len(w); n > 3 && w[n-1] == w[n-2] && w[n-1] != 's' && w[n-1] != 'l' { // dropped, dropp
		w = w[:n-1]
	}
	return w
}

// refuses says why the sources do not carry a claim, or "".
func (f facts) refuses(claim string) string {
	bare := redacted.ReplaceAllString(claim, " ")
	for _, n := range figures(bare) {
		if !f.figures[n] {
			return fmt.Sprintf("the figure %q has no source", n)
		}
	}
	for _, t := range identifier.FindAllString(bare, -1) {
		if !f.terms[term(t)] {
			return fmt.Sprintf("%q has no source", term(t))
		}
	}
	first := strings.IndexFunc(bare, unicode.IsLetter)
	for _, m := range nameWord.FindAllStringIndex(bare, -1) {
		w := bare[m[0]:m[1]]
		if m[0] != first && !f.terms[strings.ToLower(w)] && !f.stems[stem(w)] {
			return fmt.Sprintf("the name %q has no source", w)
		}
	}
	words, shared := 0, 0
	for _, w := range plainWord.FindAllString(codeSpan.ReplaceAllString(bare, " "), -1) {
		s := stem(w)
		switch {
		case little[s] || denials[s]:
			continue
		case deeds[s] && !f.stems[s]:
			return fmt.Sprintf("nobody wrote to %q", strings.ToLower(w))
		}
		words++
		if f.stems[s] {
			shared++
		}
	}
	if words > 0 && float64(shared) < overlap*float64(words) {
		return fmt.Sprintf("only %d of %d words have a source", shared, words)
	}
	if f.denied(claim) {
		return "it says the opposite of its source"
	}
	return ""
}

// denied reports whether the source that a claim resembles most differs from
// it in being a denial.
func (f facts) denied(claim string) bool {
	words := map[string]bool{}
	for _, w := range plainWord.FindAllString(claim, -1) {
		if s := stem(w); !little[s] && !denials[s] {
			words[s] = true
		}
	}
	best, denial := 0, negative(claim)
	for _, s := range f.sentences {
		n := 0
		seen := map[string]bool{}
		for _, w := range plainWord.FindAllString(s, -1) {
			if w := stem(w); words[w] && !seen[w] {
				seen[w] = true
				n++
			}
		}
		if n > best {
			best, denial = n, negative(s)
		} else if n == best && negative(s) == negative(claim) {
			denial = negative(claim)
		}
	}
	return best > 0 && denial != negative(claim)
}

func negative(s string) bool {
	for _, w := range plainWord.FindAllString(s, -1) {
		if denials[stem(w)] {
			return true
		}
	}
	return false
}

// loses says which figure or identifier of the line is missing in the text, or
// "".
func loses(line, text string) string {
	have := knowledge([]string{text})
	for _, n := range figures(line) {
		if !have.figures[n] {
			return fmt.Sprintf("the figure %q", n)
		}
	}
	for _, t := range identifier.FindAllString(line, -1) {
		if !have.terms[term(t)] {
			return fmt.Sprintf("%q", t)
		}
	}
	return ""
}
