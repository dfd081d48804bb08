package diagnose

import (
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella/said"
)

// names resolves what texts call a service to one name for each.
type names struct {
	known map[string]string // lower case -> as the inventory writes it
	bare  []bareName        // known names that may appear without "service"
}

type bareName struct {
	name string
	re   *regexp.Regexp
}

// mention is a service as one text speaks of it.
type mention struct {
	Name                    string
	Known, Failing, Healthy bool
}

// everyday words that are service names only beside "service": the services of
// the scenarios and of the shops that sample logs come from, as far as texts
// also use the word for what these handle
var everyday = map[string]bool{
	"user": true, "users": true, "order": true, "orders": true, "payment": true, "payments": true, "inventory": true,
	"notification": true, "search": true, "gateway": true, "auth": true, "account": true, "accounts": true, "api": true,
	"token": true, "key": true, "web": true, "app": true, "catalog": true, "cart": true, "checkout": true, "billing": true,
	"shipping": true, "mail": true, "email": true, "profile": true, "report": true, "session": true, "identity": true,
	"login": true, "customer": true, "product": true, "message": true, "media": true, "pricing": true, "audit": true,
}

func newNames(known []string, groups []TextGroup) names {
	n := names{known: map[string]string{}}
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && n.known[strings.ToLower(s)] == "" {
			n.known[strings.ToLower(s)] = s
		}
	}
	for _, k := range known {
		add(k)
	}
	for _, g := range groups {
		for _, s := range sorted(g.Services) {
			add(s)
		}
	}
	for low, name := range n.known {
		if !everyday[low] {
			n.bare = append(n.bare, bareName{name, regexp.MustCompile(`(?:^|[^a-z0-9_-])(` + regexp.QuoteMeta(low) + `)(?:$|[^a-z0-9_-])`)})
		}
	}
	sort.Slice(n.bare, func(i, j int) bool { return n.bare[i].name < n.bare[j].name })
	return n
}

// resolve returns the one name of what a text calls raw ("order service",
// "order-svc", "Order"), and whether it is known.
func (n names) resolve(raw string) (string, bool) {
	raw = strings.ToLower(strings.Trim(raw, " -_'\""))
	base := raw
	for _, suffix := range []string{"-service", "_service", " service", "-svc", "_svc", " svc", "service"} {
		if s, ok := strings.CutSuffix(raw, suffix); ok && len(s) > 1 {
			base = strings.TrimRight(s, "-_ ")
			break
		}
	}
	for _, try := range []string{raw, base, base + "-service", base + "-svc", base + "_service", base + "service", base + "-api"} {
		if name, ok := n.known[try]; ok {
			return name, true
		}
	}
	for _, suffix := range []string{"-api", "_api", "-server", "-backend", "-app", "-web"} {
		if s, ok := strings.CutSuffix(raw, suffix); ok {
			if name, ok := n.known[s]; ok {
				return name, true
			}
		}
	}
	return base, false
}

const word = `[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*`

var (
	suffixed   = regexp.MustCompile(`\b(` + word + `)[ _-](?:micro)?(?:service|svc)\b`)
	glued      = regexp.MustCompile(`\b([A-Z][a-z]+)Service\b`)
	labelled   = regexp.MustCompile(`\b(?:service(?:[._]name)?|svc|app|application|component|deployment|subscriber|verifier|consumer)['"]?(?:=|:|['"]: ?|= )['"]?(` + word + `)`)
	quotedOne  = regexp.MustCompile(`\b(?:service|svc|subscriber|verifier)s? ['"](` + word + `)['"]`)
	listBefore = regexp.MustCompile(`\b((?:` + word + `, ){0,30}` + word + `,? (?:and|&) ` + word + `|(?:` + word + `, ){1,30}` + word + `) (?:micro)?services\b`)
	listAfter  = regexp.MustCompile(`\b(?:micro)?services(?: affected| failing| hit| down)? ?(?:\(` + word + `\)|[:(] ?` + word + `(?:, and |, | and |/)` + word + `(?:(?:, and |, | and |/)` + word + `)*)`)
	leading    = regexp.MustCompile(`^\W{0,2}(` + word + `)\W{0,2}: `)
	listHead   = regexp.MustCompile(`^[^:(]*[:(] ?`)
	compound   = regexp.MustCompile(`\b(` + word + `-(?:api|bff|worker|backend|server|gateway|app|web))\b`)
	listSplit  = regexp.MustCompile(`, and |, | and | & |/`)
)

type found struct {
	raw  string
	from int
}

func serviceWords(text, low string, bare []bareName) []found {
	var out []found
	one := func(re *regexp.Regexp, in string) {
		for _, at := range re.FindAllStringSubmatchIndex(in, 60) {
			out = append(out, found{strings.ToLower(in[at[2]:at[3]]), at[2]})
		}
	}
	one(suffixed, low)
	one(labelled, low)
	one(quotedOne, low)
	if len(low) == len(text) {
		one(glued, text)
	}
	one(compound, low)
	if m := leading.FindStringSubmatchIndex(low); m != nil && everyday[low[m[2]:m[3]]] {
		out = append(out, found{low[m[2]:m[3]], m[2]})
	}
	for _, at := range listBefore.FindAllStringSubmatchIndex(low, 20) {
		for _, w := range listSplit.Split(low[at[2]:at[3]], -1) {
			out = append(out, found{w, at[2]})
		}
	}
	for _, at := range listAfter.FindAllStringIndex(low, 20) {
		for _, w := range listSplit.Split(strings.TrimRight(listHead.ReplaceAllString(low[at[0]:at[1]], ""), ")"), -1) {
			out = append(out, found{w, at[0]})
		}
	}
	for _, b := range bare {
		for _, at := range b.re.FindAllStringSubmatchIndex(low, 20) {
			out = append(out, found{b.name, at[2]})
		}
	}
	kept := out[:0]
	for _, f := range out {
		if w := strings.Trim(f.raw, "-_ "); len(w) > 1 && len(w) <= 60 && !said.NoName(w) {
			kept = append(kept, found{w, f.from})
		}
	}
	return kept
}

var (
	healthy    = regexp.MustCompile(`\b(?:healthy|unaffected|working|recovered|not affected|is fine|are fine|succeed\w*|delivered to|received the|pushed to|verifies fine|verify fine|accept\w* (?:the )?new|200 ok|(?:is|are) ok)\b`)
	issuerNoun = regexp.MustCompile(`\b(auth|oauth2?|identity|token|authentication|iam|sso|login|idp|sts)[ -](?:service|server|provider|issuer|svc)\b|\b(auth0|okta|cognito|keycloak|hydra|dex|zitadel|entra)\b`)
)

// issuerIn returns the service that a text says issues tokens or keys, or "".
func (n names) issuerIn(text string) string {
	m := issuerNoun.FindStringSubmatch(strings.ToLower(text))
	if m == nil {
		return ""
	}
	raw := m[1]
	if raw == "" {
		raw = m[2]
	}
	name, _ := n.resolve(raw)
	return name
}

// doing is how whoever handles signing keys tells of it.
var doing = regexp.MustCompile(`\b(?:rotated to|rotation (?:job|done|finished|failed|incomplete|partial)|promoted|signer is|now sign\w*|issuing tokens|issues tokens|mint(?:s|ing)|activated|is active|pushed to|push (?:failed|incomplete)|deliver(?:y|ies|ed)|propagation|fan-?out|distribution)\b`)

// rotator returns the sender of a text that tells of handling signing keys and
// not of tokens that it refuses; sure, when its name is that of an issuer.
func (n names) rotator(text string, g TextGroup, classes []said.Class) (name string, sure bool) {
	handles := slices.ContainsFunc(classes, func(c said.Class) bool {
		return c == said.Rotated || c == said.DeliveryFailed || c == said.KeyRemoved || c == said.MaterialChanged
	})
	if len(g.Services) != 1 || !handles {
		return "", false
	}
	name = n.known[strings.ToLower(strings.TrimSpace(g.Services[0]))]
	if said.IssuerName(name) {
		return name, true
	}
	if slices.Contains(classes, said.UnknownKid) || slices.Contains(classes, said.BadSignature) || !doing.MatchString(strings.ToLower(text)) {
		return "", false
	}
	return name, false
}

// mentions returns the services of a text and of its group, each once.
func (n names) mentions(text string, g TextGroup, classes []said.Class) []mention {
	low := strings.ToLower(text)
	byName := map[string]*mention{}
	get := func(name string, known bool) *mention {
		m := byName[name]
		if m == nil {
			m = &mention{Name: name, Known: known}
			byName[name] = m
		}
		return m
	}
	complaint := slices.ContainsFunc(classes, isComplaint)
	for _, s := range g.Services {
		if s == "" {
			continue
		}
		m := get(n.known[strings.ToLower(strings.TrimSpace(s))], true)
		m.Failing = m.Failing || complaint && !said.IssuerName(s)
	}
	for _, f := range serviceWords(text, low, n.bare) {
		name, known := n.resolve(f.raw)
		m := get(name, known)
		if said.IssuerName(name) {
			continue
		}
		switch clause := clauseAround(low, f.from); {
		case healthy.MatchString(clause) && !failedClause(clause):
			m.Healthy = true
		case complaint:
			m.Failing = true
		}
	}
	var out []mention
	for _, m := range byName {
		if m.Name != "" {
			out = append(out, *m)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

var failedWords = regexp.MustCompile(`fail|refus|reject|unauthori[sz]ed|cannot|can't|could not|broken|invalid|unable|down\b|only\b`)

func failedClause(s string) bool { return failedWords.MatchString(s) }

// isComplaint says whether a class is something that goes wrong, rather than
// something that was done.
func isComplaint(c said.Class) bool {
	switch c {
	case said.Deploy, said.Rotated, said.StaticKeys, said.KeyRemoved, said.Clock, said.Vendor:
		return false
	}
	return true
}

func clauseAround(s string, at int) string {
	from, to := 0, len(s)
	for _, e := range clauseEnd.FindAllStringIndex(s, -1) {
		if e[1] <= at {
			from = e[1]
		} else if e[0] >= at {
			to = e[0]
			break
		}
	}
	return s[from:to]
}

var numbers = map[string]int{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "a dozen": 12, "both": 2}

const (
	number = `(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a dozen|both)`
	things = `(?:micro-?)?(?:services|verifiers|consumers|subscribers|pods|instances|backends|endpoints|apps|applications|resource servers|deployments|clients|targets|recipients)`
)

var (
	countOf   = regexp.MustCompile(number + ` ?(?:out )?(?:of|/) ?(?:the |our |all )?` + number + `(?: [a-z-]+){0,3}? ` + things + `\b`)
	countOnly = regexp.MustCompile(`\b` + number + ` (?:[a-z-]+ ){0,2}?` + things + `\b`)
	fineCount = regexp.MustCompile(`(?:pushed|delivered|distributed|sent|propagated|acknowledged|confirmed|received|healthy|succe\w+|verified)\b.{0,20}$`)
)

func countsIn(text string) []CountFact {
	low := strings.ToLower(text)
	var out []CountFact
	rest := low
	for _, at := range countOf.FindAllStringSubmatchIndex(low, 20) {
		c := CountFact{N: num2(low[at[2]:at[3]]), M: num2(low[at[4]:at[5]])}
		c.Failing = !isFine(low, at[0], at[1])
		if c.N > 0 && c.M >= c.N {
			out = append(out, c)
		}
		rest = rest[:at[0]] + strings.Repeat("~", at[1]-at[0]) + rest[at[1]:]
	}
	for _, at := range countOnly.FindAllStringSubmatchIndex(rest, 20) {
		if n := num2(rest[at[2]:at[3]]); n > 0 {
			out = append(out, CountFact{N: n, Failing: !isFine(rest, at[0], at[1])})
		}
	}
	return out
}

func isFine(s string, from, to int) bool {
	clause := clauseAround(s, from)
	before := s[max(0, from-40):from]
	return fineCount.MatchString(before) && !strings.Contains(clause, "fail") || healthy.MatchString(s[from:min(len(s), to+30)]) && !failedWords.MatchString(s[from:min(len(s), to+30)])
}

func num2(s string) int {
	if n, ok := numbers[s]; ok {
		return n
	}
	n, _ := strconv.Atoi(s)
	return n
}

var (
	percent   = regexp.MustCompile(`(\d{1,3}(?:\.\d+)?) ?(?:%|percent)(?: of)?(?: [a-z-]+){0,4}? (?:requests|tokens|calls|traffic|logins|users|authentications|responses|attempts)`)
	allOfThem = regexp.MustCompile(`\b(?:all|every) (?:\S+ ){0,3}?(?:requests?|tokens?|calls?|authentication tokens)\b`)
	rejected  = regexp.MustCompile(`reject|refus|unauthori[sz]ed|40[13]|fail|denied|broken`)
)

// sharesIn returns the stated shares of failing requests. The service is the
// one that the text is about when there is just one.
func sharesIn(text string, n names, g TextGroup) []ShareFact {
	low := strings.ToLower(text)
	if !rejected.MatchString(low) {
		return nil
	}
	service := ""
	if s := sorted(g.Services); len(s) == 1 {
		service = n.known[strings.ToLower(strings.TrimSpace(s[0]))]
	} else if w := serviceWords(text, low, n.bare); len(w) > 0 {
		service, _ = n.resolve(w[0].raw)
	}
	if said.IssuerName(service) {
		return nil
	}
	var out []ShareFact
	for _, m := range percent.FindAllStringSubmatch(low, 10) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil && v > 0 && v <= 100 {
			out = append(out, ShareFact{service, v / 100})
		}
	}
	for _, at := range allOfThem.FindAllStringIndex(low, 5) {
		if rejected.MatchString(clauseAround(low, at[0])) {
			out = append(out, ShareFact{service, 1})
		}
	}
	return out
}

var ago = regexp.MustCompile(`(?:(?:in|over|for|during|since|within) (?:the )?(?:last|past) (\d{1,3}) ?(s|sec\w*|m|min\w*|h|hours?)\b|\b(\d{1,3}) ?(s|sec\w*|m|min\w*|h|hours?) ago\b)`)

// agoIn returns how long ago keys are said to have changed.
func agoIn(text string) time.Duration {
	low := strings.ToLower(text)
	if !said.OfKeys(low) {
		return 0
	}
	m := ago.FindStringSubmatch(low)
	if m == nil {
		return 0
	}
	n, unit := m[1], m[2]
	if n == "" {
		n, unit = m[3], m[4]
	}
	v, _ := strconv.Atoi(n)
	switch unit[0] {
	case 's':
		return time.Duration(v) * time.Second
	case 'h':
		return time.Duration(v) * time.Hour
	}
	return time.Duration(v) * time.Minute
}
