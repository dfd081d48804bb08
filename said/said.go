package said

import (
	"slices"
	"strings"

	"prunella"
)

// Class is what a text complains about, or what it reports as done.
type Class string

const (
	UnknownKid      Class = "unknown-kid"
	BadSignature    Class = "bad-signature"
	Expired         Class = "expired"
	NotYetValid     Class = "not-yet-valid"
	Audience        Class = "audience"
	Issuer          Class = "issuer"
	FetchFailed     Class = "fetch-failed"    // a verifier could not get the published key set
	DeliveryFailed  Class = "delivery-failed" // a key could not be pushed to a verifier
	KeyRemoved      Class = "key-removed"
	Refused         Class = "connection-refused"
	Deploy          Class = "deploy"
	ServerError     Class = "server-error"
	Rotated         Class = "key-rotated"
	StaticKeys      Class = "static-keys"
	StaleCache      Class = "stale-cache"
	Clock           Class = "clock"
	MaterialChanged Class = "material-changed"
	Tampered        Class = "tampered"
	KidFlood        Class = "kid-flood"
	Vendor          Class = "vendor-outage"
)

// maxLength bounds the bytes of one text that are read.
const maxLength = 6000

// mostMatches bounds how often one expression is looked for in a text that
// negates it again and again.
const mostMatches = 20

// specific classes explain a bad signature that is mentioned beside them
var specific = []Class{UnknownKid, Expired, NotYetValid, Audience, Issuer}

// In returns the classes of a text, most telling first, and those that it
// denies, sorted. Neither holds a class twice.
func In(text string) (classes, denied []Class) {
	t := open(text)
	for _, d := range lex().denials {
		if slices.ContainsFunc(d.any, t.matches) {
			denied = append(denied, d.class)
		}
	}
	for _, r := range lex().classes {
		yes, no := t.says(r.any)
		if !yes && slices.ContainsFunc(r.ofTokens, t.possible) && (tokenish().MatchString(t.low) || turnedAway().MatchString(t.low)) {
			yes, no = t.says(r.ofTokens)
		}
		switch {
		case yes && r.class == BadSignature && otherSigners().MatchString(t.low) && !tokenish().MatchString(t.low):
		case slices.Contains(denied, r.class) && (!yes || deniedWins(r.class)):
		case yes:
			if (r.class == DeliveryFailed || r.class == KeyRemoved) && !keyish().MatchString(t.low) {
				continue
			}
			classes = append(classes, r.class)
		case no && !slices.Contains(denied, r.class):
			denied = append(denied, r.class)
		}
	}
	if slices.ContainsFunc(classes, func(c Class) bool { return slices.Contains(specific, c) }) {
		classes = slices.DeleteFunc(classes, func(c Class) bool { return c == BadSignature })
	}
	if len(classes) == 0 {
		for _, r := range lex().vague {
			if yes, _ := t.says(r.any); yes {
				classes = append(classes, r.class)
			}
		}
	}
	slices.Sort(denied)
	return classes, slices.Compact(denied)
}

// says reports whether some expression matches where nothing negates it, and
// whether one matches where something does. A guess counts for neither.
func (t *text) says(list []*expression) (yes, no bool) {
	for _, e := range list {
		if !t.possible(e) {
			continue
		}
		for from, n := 0, 0; from < len(t.low) && n < mostMatches; n++ {
			at := e.re().FindStringIndex(t.low[from:])
			if at == nil {
				break
			}
			switch before := t.low[max(0, from+at[0]-60) : from+at[0]]; {
			case hedged().MatchString(before):
			case negated().MatchString(before):
				no = true
			default:
				return true, no
			}
			from += max(at[1], 1)
		}
	}
	return false, no
}

// deniedWins says for which classes a denial beats a mention in the same text:
// those whose denial repeats the words of the mention ("no recent deploy").
func deniedWins(c Class) bool {
	switch c {
	case Deploy, Clock, Expired, Vendor, Audience, Issuer:
		return true
	}
	return false
}

// OfTokens reports whether a text speaks of tokens or of those who take them.
func OfTokens(text string) bool { return tokenish().MatchString(open(text).low) }

// OfKeys reports whether a text speaks of keys at all.
func OfKeys(text string) bool { return keyish().MatchString(strings.ToLower(text)) }

// open returns a text as the rules take it, without decoys.
func open(s string) *text {
	l := lex()
	t := l.words.text(read(s))
	low := t.low
	for _, e := range l.decoys {
		if t.possible(e) {
			low = e.re().ReplaceAllString(low, "$1~")
		}
	}
	if low == t.low {
		return t
	}
	return l.words.text(low)
}

// read returns a text in lower case with what its named values say and with
// the parts of compound names.
func read(text string) string {
	low := strings.ToLower(withParts(prunella.Prose(Tidy(text))))
	if strings.Contains(low, "key") {
		low = prunella.WithoutOtherKeys(low)
	}
	return strings.ReplaceAll(low, "_", " ")
}

var quotes = strings.NewReplacer("‘", "'", "’", "'", "“", `"`, "”", `"`, "`", "'", `\"`, `"`, "\u00a0", " ")

// Tidy makes quotes straight, folds white space and bounds the length.
func Tidy(text string) string {
	if len(text) > maxLength {
		text = text[:maxLength]
	}
	text = strings.ToValidUTF8(text, "?")
	return strings.Join(strings.Fields(quotes.Replace(text)), " ")
}

// withParts writes the parts of compound names beside them.
func withParts(text string) string {
	var b strings.Builder
	done := 0
	for from := 0; from < len(text); {
		if !letter(text[from]) {
			from++
			continue
		}
		to := from
		for to < len(text) && letter(text[to]) {
			to++
		}
		if parts := partsOf(text[from:to]); parts != "" && (to == len(text) || text[to] < '0' || text[to] > '9') {
			b.WriteString(text[done:to])
			b.WriteString(" " + parts)
			done = to
		}
		from = to
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// partsOf separates the words of a compound name of eight letters at least:
// "JWKSNoMatchingKey" is "JWKS No Matching Key". It is "" for any other word.
func partsOf(word string) string {
	if len(word) < 8 {
		return ""
	}
	var b strings.Builder
	n := 1
	for i := range len(word) {
		if i > 0 && upper(word[i]) && (!upper(word[i-1]) || i+1 < len(word) && !upper(word[i+1])) {
			b.WriteByte(' ')
			n++
		}
		b.WriteByte(word[i])
	}
	if n == 1 || n > len(word)/3 { // random letters are no words
		return ""
	}
	return b.String()
}

func letter(c byte) bool { return upper(c) || 'a' <= c && c <= 'z' }

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }
