package diagnose

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/said"
)

// A kid is recognized by what introduces it ("kid: x", "key ID x", "key 'x'")
// or by its own shape (key-2026-03-29, a 43-character RFC 7638 thumbprint).
var kidForms = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(?:kid|key[ _-]?id|jwt_kid|jwk_kid|keyid)s?['"]?\s*(?:is|of|was)?\s*[:=]\s*(?:is\s+)?[\[(]*['"<]*([A-Za-z0-9][A-Za-z0-9._~/+=:@-]{1,199})`),
	regexp.MustCompile(`(?i)\b(?:kid|key[ _-]?id|keyid)s?\s*(?:is|of|was)?\s*[\[(]*['"<\[]([^'"<>\]\s]{1,200})['">\]]`),
	regexp.MustCompile(`(?i)\b(?:key|jwk|signer)\s+['"<\[]([^'"<>\]\s]{2,200})['">\]]`),
	regexp.MustCompile(`(?i)\b(?:old|new|previous|prior|former|current|outgoing|incoming)\s+['"]([^'"<>\]\s]{2,200})['"]`),
	regexp.MustCompile(`(?i)(?:key that matches:?|matches|matching|key for|with id|with kid)\s+['"]([^'"\s]{2,200})['"]`),
	regexp.MustCompile(`(?i)\b(?:kid|key[ _-]?id|keyid)\s+([A-Za-z0-9][A-Za-z0-9._~+=-]{2,199})`),
	regexp.MustCompile(`(?i)\b(?:keys?|signer)\s+([A-Za-z0-9][A-Za-z0-9._~+=-]{2,199})`),
	regexp.MustCompile(`(?i)(?:\bto|\bfrom|\bwith|\bby|->|→|=>|\breplaced|\bcarry|\bcarries|\bpromot\w+|\bactivat\w+)\s+['"]?([A-Za-z]+[A-Za-z0-9]*[-_.][A-Za-z0-9._-]*\d[A-Za-z0-9._-]*)`),
	regexp.MustCompile(`(?i)\b([A-Za-z]+[-_.]20\d\d[-_.]?(?:0[1-9]|1[0-2])[A-Za-z0-9._-]*)`),
	regexp.MustCompile(`(?i)\b((?:key|kid|sig|signing|signer|jwk|jwt)[-_][A-Za-z0-9]*[-_.]?\d[A-Za-z0-9._-]*)`),
	regexp.MustCompile(`(?:^|[\s'"=:(\[])([A-Za-z0-9_-]{43})(?:$|[\s'",;:.)\]])`),
}

// looseForm is the first of the forms whose token must also look like an id,
// since any word may stand there ("kid mismatch", "new signing key failed").
const looseForm = 5

var (
	hasDigit  = regexp.MustCompile(`\d`)
	dateForm  = regexp.MustCompile(`(20\d\d)[-_.]?(0[1-9]|1[0-2])(?:[-_.]?(0[1-9]|[12]\d|3[01]))?`)
	algorithm = regexp.MustCompile(`(?i)^(?:rs|es|ps|hs)\d{3}$|^(?:rsa|ec|eddsa|ed25519|p-?256|x509|sha-?\d+|oauth2|http\S*|base64\S*|v\d+\.\d+\S*)$`)
	release   = regexp.MustCompile(`(?i)^v?\d+\.\d+(?:\.\d+)?|[-_](?:service|svc)$|^[a-z]+[-_]\d{1,2}$|\.(?:pem|json|jwks|ya?ml|go|java|py|rb|ts|js)$`)
	keyNamed  = regexp.MustCompile(`(?i)^(?:key|kid|sig|signing|signer|jwk|jwt)[-_]`)
	keyWord   = regexp.MustCompile(`^(?i:null|none|nil|unknown|undefined|empty|missing|mismatch|not|found|header|claim|value|field|the|was|is|in|and|no|invalid|true|false|ids?|redacted|hidden|token|key|keys|in_use|microsoft\S*)$`)
)

func kidLike(s string, loose bool) bool {
	if len(s) < 2 || keyWord.MatchString(s) || algorithm.MatchString(s) {
		return false
	}
	if loose {
		return hasDigit.MatchString(s) && len(s) >= 3 && !allDigits(s)
	}
	return true
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789.,:") == "" }

// kidsIn returns the kids of a text with their roles. attrs are kids that the
// signals carry as attributes; they play the failing role when the text
// complains of a key.
func kidsIn(text string, attrs []string, classes []said.Class) map[string][]Role {
	out := map[string][]Role{}
	text = prunella.WithoutOtherKeys(text)
	aboutKeys := said.OfKeys(text)
	for i, form := range kidForms {
		if i > looseForm && !aboutKeys {
			break // its own shape is not enough where nothing speaks of keys
		}
		for _, at := range form.FindAllStringSubmatchIndex(text, 50) {
			from := at[2]
			kid := strings.TrimRight(text[from:at[3]], ".,:;=/")
			if allDigits(kid) && i == 0 && strings.Contains(strings.ToLower(text[at[0]:from]), "s:") {
				continue // "key ids: 12000 in a minute" counts them
			}
			if strings.HasSuffix(text[from:at[3]], "=") && !strings.Contains(kid, "=") && len(kid) > 20 {
				kid = text[from:at[3]] // base64 padding
			}
			if !kidLike(kid, i >= looseForm) || i > looseForm && release.MatchString(kid) && !keyNamed.MatchString(kid) {
				continue
			}
			add(out, kid, rolesAt(text, from, from+len(kid))...)
		}
	}
	// one form may see the tail of what another saw whole
	for a := range out {
		for b := range out {
			if a != b && len(a) < len(b) && strings.Contains(b, a) && strings.Count(text, a) == strings.Count(text, b) {
				add(out, b, out[a]...)
				delete(out, a)
				break
			}
		}
	}
	complains := complainsOfKey(classes)
	if complains {
		for _, kid := range unsaid(out) {
			add(out, kid, RoleFailing)
		}
	}
	for _, kid := range attrs {
		switch {
		case kid == "":
		case complains && !slices.Contains(out[kid], RoleOld):
			add(out, kid, RoleFailing)
		default:
			add(out, kid)
		}
	}
	return out
}

func complainsOfKey(classes []said.Class) bool {
	return slices.ContainsFunc(classes, func(c said.Class) bool {
		return c == said.UnknownKid || c == said.BadSignature || c == said.StaleCache
	})
}

// unsaid returns the kids without a role, unless the text names a failing one.
func unsaid(kids map[string][]Role) []string {
	var out []string
	for kid, roles := range kids {
		if slices.Contains(roles, RoleFailing) {
			return nil
		}
		if len(roles) == 0 {
			out = append(out, kid)
		}
	}
	return out
}

func add(m map[string][]Role, kid string, roles ...Role) {
	have := m[kid]
	for _, r := range roles {
		if !slices.Contains(have, r) {
			have = append(have, r)
		}
	}
	m[kid] = have
}

var (
	newBefore     = regexp.MustCompile(`(?:\b(?:new|newly|fresh|next|replacement|incoming|latest|updated)\b[^,;]{0,40}|\brotat\w* (?:\S+ ){0,4}(?:to|->|→) ?(?:(?:signing|public) )?(?:key )?\W*(?:kid\W*)?|\b(?:promot|activat)\w* (?:\S+ ){0,3}\W*|(?:\bwith|\bto|->|→|=>) (?:(?:signing|public|the) )*(?:key )?\W*(?:kid\W*)?)$`)
	oldBefore     = regexp.MustCompile(`(?:\b(?:old|older|previous|prior|former|retired|outgoing|earlier|legacy|stale|outdated|cached)\b[^,;]{0,40}|\b(?:from|replac\w+) (?:(?:signing|public|the) )*(?:key )?\W*(?:kid\W*)?)$`)
	activeBefore  = regexp.MustCompile(`(?:\b(?:signer|active|issuing|signing (?:\S+ ){0,3}with|signed (?:\S+ ){0,3}(?:with|by)|current(?:ly)?(?: signing)?)\b[^,;]{0,40})$`)
	failingBefore = regexp.MustCompile(`(?:\b(?:unknown|unrecogni[sz]ed|unable to find|could(?:n't| not) find|cannot find|can't find|no (?:matching |such |applicable |suitable )?(?:\S+ ){0,2}(?:key|kid)|not find|mismatch|lack(?:s|ing)?|reject\w*|refus\w*|missing|cannot verify|invalid signature|verif\w+ fail\w*|does(?:n't| not) have)\b[^;]{0,60})$`)
	failingAfter  = regexp.MustCompile(`^['"\])>]*\W{0,3}(?:(?:was|is|are|were) )?(?:not (?:found|known|recogni[sz]ed|present|in|trusted)|unknown|missing|absent|mismatch|could(?:n't| not)|cannot|can't|isn't|does(?:n't| not)|rejected|refused|never|which \d+ services)`)
	onlyAfter     = regexp.MustCompile(`^['"\])>]*\W{0,3}only\b`)
	onlyBefore    = regexp.MustCompile(`\bonly (?:has|have|holds?|knows?|trusts?|contains?|carries|accepts?|lists?|serves?)\b[^,;]{0,30}$|\b(?:has|have|holds?|knows?|trusts?|contains?|carries|accepts?|lists?) only\b[^,;]{0,30}$`)
	removedAfter  = regexp.MustCompile(`^['"\])>]*\W{0,3}(?:\S+ ){0,4}?(?:removed|purged|deleted|revoked|withdrawn|dropped|pulled|retired|no longer|gone|pruned)`)
	removedBefore = regexp.MustCompile(`\b(?:removed|removing|purged|deleted|revoked|withdrew|dropped|pulled|retired|unpublished) (?:\S+ ){0,3}\W*$`)
	clauseEnd     = regexp.MustCompile(`[;,—–] |\. |\n`)
)

// rolesAt judges a mention by the words around it, within its clause.
func rolesAt(text string, from, to int) []Role {
	low := strings.ToLower(text)
	if len(low) != len(text) { // a few letters change length in lower case
		low = text
	}
	before := low[max(0, from-90):from]
	if ends := clauseEnd.FindAllStringIndex(before, -1); len(ends) > 0 {
		before = before[ends[len(ends)-1][1]:]
	}
	after := low[to:min(len(low), to+70)]
	if end := clauseEnd.FindStringIndex(after); end != nil {
		after = after[:end[0]]
	}
	before = strings.TrimRight(before, " '\"([<")
	var out []Role
	// of new and old the word nearest to the mention counts
	n, o := lastStart(newBefore, before), lastStart(oldBefore, before)
	switch {
	case o >= 0 && o >= n:
		out = append(out, RoleOld)
	case n >= 0:
		out = append(out, RoleNew)
	}
	if len(out) == 0 && (onlyAfter.MatchString(after) || onlyBefore.MatchString(before)) {
		out = append(out, RoleOld) // all that a verifier has is what it had before
	}
	if activeBefore.MatchString(before) && !slices.Contains(out, RoleOld) {
		out = append(out, RoleActive)
	}
	if failingBefore.MatchString(before) && !slices.Contains(out, RoleOld) || failingAfter.MatchString(after) {
		out = append(out, RoleFailing)
	}
	if removedAfter.MatchString(after) || removedBefore.MatchString(before) {
		out = append(out, RoleRemoved)
	}
	return out
}

// words that name a role, for finding the nearest
var roleWord = regexp.MustCompile(`\b(?:new|newly|fresh|next|replacement|incoming|latest|updated|old|older|previous|prior|former|retired|outgoing|earlier|legacy|stale|outdated|cached|from|to|with|replac\w+|promot\w*|activat\w*|rotat\w*)\b|->|→|=>`)

// lastStart returns where the role word of a match starts that is nearest to
// the end of s, or -1 when re does not match.
func lastStart(re *regexp.Regexp, s string) int {
	if !re.MatchString(s+" ") && !re.MatchString(s) {
		return -1
	}
	best := -1
	for _, at := range roleWord.FindAllStringIndex(s, -1) {
		tail := s[at[0]:]
		if m := re.FindStringIndex(tail); m != nil && m[0] == 0 {
			best = at[0]
		} else if m := re.FindStringIndex(tail + " "); m != nil && m[0] == 0 {
			best = at[0]
		}
	}
	return best
}

// dateIn returns the date that a kid's name holds.
func dateIn(kid string) time.Time {
	m := dateForm.FindStringSubmatch(kid)
	if m == nil {
		return time.Time{}
	}
	day := m[3]
	if day == "" {
		day = "01"
	}
	t, err := time.Parse("2006-01-02", m[1]+"-"+m[2]+"-"+day)
	if err != nil {
		return time.Time{}
	}
	return t
}
