package thread

import (
	"math"
	"strings"

	"prunella/thread/pattern"
)

// redaction is one rule. The expression is tried only where one of the needles
// occurs in the lower-cased text. Its group "v" is what is replaced; verdict
// says whether it is, given the value, the whole text and where the value stands.
type redaction struct {
	kind    string
	needles []string
	numbers bool // only where there are at least seven digits
	re      *pattern.Pattern
	verdict func(value, text string, start, stop int) bool
	same    func(value string) string // form under which two values are the same
}

func (r redaction) needed(lower string, many bool) bool {
	if r.numbers && !many {
		return false
	}
	for _, n := range r.needles {
		if strings.Contains(lower, n) {
			return true
		}
	}
	return false
}

func (r redaction) apply(red *Redactor, s string) string {
	at := r.re.SubexpIndex("v") * 2
	var b strings.Builder
	last := 0
	for pos := 0; pos < len(s); {
		m := r.re.FindStringSubmatchIndex(s[pos:])
		if m == nil {
			break
		}
		for i := range m {
			if m[i] >= 0 {
				m[i] += pos
			}
		}
		start, stop := m[at], m[at+1]
		if start < 0 || strings.HasPrefix(s[start:], redacted) || strings.HasSuffix(s[:start], redacted) ||
			r.verdict != nil && !r.verdict(s[start:stop], s, start, stop) {
			pos = max(m[0]+1, min(m[1], max(stop, m[0]+1)))
			continue
		}
		value := s[start:stop]
		if r.same != nil {
			value = r.same(value)
		}
		b.WriteString(s[last:start])
		b.WriteString(red.mark(r.kind, value))
		last, pos = stop, max(stop, m[0]+1)
	}
	if last == 0 {
		return s
	}
	b.WriteString(s[last:])
	return b.String()
}

// Names of things that hold a secret. What follows them as part of a longer
// name may say that the value is none: token_ttl, password_policy.
const (
	passNames   = `(?:pass(?:word|wd|phrase|code)?|pwd|kennwort)`
	secretNames = `(?:secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|signing[_-]?key|encryption[_-]?key|master[_-]?key|account[_-]?key|shared[_-]?key|service[_-]?key|license[_-]?key|routing[_-]?key|integration[_-]?key|auth[_-]?key|app[_-]?key|client[_-]?secret|credentials?|session[_-]?id|jsessionid|phpsessid|sessionid|connect\.sid|csrf[_-]?token|signature|sig)`
)

var redactions = []redaction{
	{kind: "private key", needles: []string{"private key"},
		re: pattern.MustCompile(`(?s)(?P<v>-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z))`)},
	{kind: "private key", needles: []string{"age-secret-key"}, re: pattern.MustCompile(`(?i)(?P<v>\bAGE-SECRET-KEY-1[A-Z0-9]{40,})`)},
	{kind: "private key", needles: []string{`kty`}, // the private members of a JWK
		re: pattern.MustCompile(`"(?:d|p|q|dp|dq|qi|k)"\s*:\s*"(?P<v>[A-Za-z0-9_=-]{16,})"`)},
	{kind: "JWT", needles: []string{"eyj"},
		re: pattern.MustCompile(`(?P<v>\beyJ[A-Za-z0-9_-]{5,}\.(?:eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?|[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+))`)},
	{kind: "AWS key", needles: []string{"akia", "asia"}, re: pattern.MustCompile(`(?P<v>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)`)},
	{kind: "GitHub token", needles: []string{"gh", "github_pat_"}, re: pattern.MustCompile(`(?P<v>\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}))`)},
	{kind: "GitLab token", needles: []string{"glpat-", "gldt-", "glrt-"}, re: pattern.MustCompile(`(?P<v>\bgl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_.-]{18,})`)},
	{kind: "Slack token", needles: []string{"xox", "xapp-", "hooks.slack.com", "xoxe."},
		re: pattern.MustCompile(`(?P<v>\bx(?:ox[a-z]|app)(?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_+-]{15,})`)},
	{kind: "Stripe key", needles: []string{"sk_live", "sk_test", "rk_live", "rk_test", "whsec_"}, re: pattern.MustCompile(`(?P<v>\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/=]{12,}))`)},
	{kind: "Google key", needles: []string{"aiza", "ya29.", "gocspx-", "1//"}, re: pattern.MustCompile(`(?P<v>\b(?:AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{16,}|GOCSPX-[A-Za-z0-9_-]{16,}|1//0[A-Za-z0-9_-]{30,}))`)},
	{kind: "API key", needles: []string{"sk-", "sg.", "npm_", "pypi-", "hvs.", "hvb.", "hvr.", "dop_v1_", "shpat_", "shpss_", "dapi", "lin_api_", "key-", "sk", "dckr_pat_", "glsa_", "nrak-", "figd_"},
		re:      pattern.MustCompile(`(?P<v>\b(?:sk-(?:proj-|ant-|svcacct-|or-)?[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|hv[sbr]\.[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{40,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dapi[a-f0-9]{32}\b|lin_api_[A-Za-z0-9]{30,}|key-[a-f0-9]{32}\b|SK[a-f0-9]{32}\b|dckr_pat_[A-Za-z0-9_-]{20,}|glsa_[A-Za-z0-9_]{30,}|NRAK-[A-Z0-9]{27}|figd_[A-Za-z0-9_-]{30,}))`),
		verdict: func(v, _ string, _, _ int) bool { return strings.ContainsAny(v, "0123456789") }},
	{kind: "password", needles: []string{"://"}, // user:password@host
		re:      pattern.MustCompile(`(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@<>"'|]*:(?P<v>[^\s/@<>"'|]{1,200})@`),
		verdict: notPlaceholder},
	{kind: "token", needles: []string{"://"}, // token@host
		re:      pattern.MustCompile(`(?i)\bhttps?://(?P<v>[A-Za-z0-9_-]{20,200})@`),
		verdict: func(v, _ string, _, _ int) bool { return strings.ContainsAny(v, "0123456789") }},
	{kind: "cookie", needles: []string{"cookie"}, re: pattern.MustCompile(`(?i)\b(?:set-)?cookie["']?\s*:\s*["']?(?P<v>[^\s=;"':]{1,80}=[^"'\n` + "`" + `]{4,})`)},
	{kind: "bearer token", needles: []string{"bearer"}, re: pattern.MustCompile(`(?i)\bbearer\s+["']?(?P<v>[A-Za-z0-9._~+/-]{10,}=*)`), verdict: looksRandom(10)},
	{kind: "basic auth", needles: []string{"basic"}, re: pattern.MustCompile(`(?i)\bauthorization["']?\s*[:=]\s*["']?basic\s+(?P<v>[A-Za-z0-9+/_-]{6,}=*)`)},
	{kind: "token", needles: []string{"authorization", "x-api-key", "x-auth-token", "private-token", "x-vault-token"},
		re:      pattern.MustCompile(`(?i)\b(?:authorization|x-api-key|x-auth-token|private-token|x-vault-token)["']?\s*[:=]\s*["']?(?:token\s+)?(?P<v>[A-Za-z0-9._~+/-]{8,}=*)`),
		verdict: looksRandom(8)},
	{kind: "password", needles: []string{"mysql", "mariadb", "sshpass", "docker login", "podman login", "ldapsearch", "smbclient", "redis-cli", "curl", "wget"}, // mysql -pSecret, sshpass -p x, redis-cli -a x, curl -u user:x
		re:      pattern.MustCompile(`\b(?:(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|;&]*?\s-p|(?:sshpass|docker login|podman login|ldapsearch|smbclient)\b[^\n|;&]*?\s-[pw]\s+|redis-cli\b[^\n|;&]*?\s-a\s+|(?:curl|wget|http)\b[^\n|;]*?\s(?:-u|--user)[ =]?["']?[^\s:"']{1,80}:)["']?(?P<v>[^\s"'|;&<>` + "`" + `]{3,200})`),
		verdict: notPlaceholder},
	{kind: "password", needles: []string{"pass", "pwd", "kennwort"}, // --password x, --db-pass=x
		re:      pattern.MustCompile(`(?i)(?:^|\s)--?[a-z-]*` + passNames + `(?:\s+|=)["']?(?P<v>[^\s"'&<>` + "`" + `]{3,200})`),
		verdict: func(v, s string, a, b int) bool { return notPlaceholder(v, s, a, b) && !strings.HasPrefix(v, "-") }},
	{kind: "password", needles: []string{"pass", "pwd", "kennwort"}, // password=x, "password": "x", PGPASSWORD=x
		re:      pattern.MustCompile(`(?i)(?P<k>[a-z0-9_.-]*` + passNames + `(?:[_-]?[0-9]{0,3}))["']?\s*(?P<op>=|:|=>|:=)\s*(?P<q>["'` + "`" + `]?)(?P<v>[^\s"'&,;<>` + "`" + `]{3,200})`),
		verdict: passwordValue},
	{kind: "password", needles: []string{"pass", "pwd", "creds", "credential"}, // the password is x
		re:      pattern.MustCompile(`(?i)\b(?:` + passNames + `|pw|creds?|credentials?)\b(?:\s+(?:for|of|to|on)\s+(?:the\s+)?[\w./@-]+){0,2}(?:\s+(?:account|user|box|db|database|server|host|instance))?\s+(?:is|was|are)\s*(?:now|still|just|currently|set to|temporarily)?\s*:?\s*["'` + "`" + `]?(?P<v>[^\s"'<>` + "`" + `]{4,200})`),
		verdict: spokenPassword},
	{kind: "secret", needles: []string{"secret", "token", "key", "credential", "session", "sessid", "connect.sid", "sig"},
		re:      pattern.MustCompile(`(?i)(?P<k>[a-z0-9_.-]*` + secretNames + `)["']?\s*(?:=>|:=|=|:)\s*["'` + "`" + `]?(?P<v>[A-Za-z0-9._~+/!@#$%^*-]{8,400}=*)`),
		verdict: secretValue},
	{kind: "secret", needles: []string{"--"}, // --token x
		re:      pattern.MustCompile(`(?i)(?:^|\s)--?[a-z-]*` + secretNames + `\s+["']?(?P<v>[A-Za-z0-9._~+/-]{8,400}=*)`),
		verdict: looksRandom(8)},
	{kind: "secret", needles: []string{"key", "salt", "seed", "auth", "cred", "pass"}, // SOMETHING_KEY=<random>
		re:      pattern.MustCompile(`(?i)\b(?P<k>[a-z0-9_.-]*(?:key|salt|seed|auth|cred|pass))["']?\s*(?:=|:)\s*["']?(?P<v>[A-Za-z0-9+/_-]{24,400}=*)`),
		verdict: randomAssigned},
	{kind: "e-mail", needles: []string{"@"},
		re:      pattern.MustCompile(`(?P<v>(?:"[^"\s@][^"\n@]{0,62}"|[\pL\pN][\pL\pN._%+'-]{0,63})@(?:[\pL\pN](?:[\pL\pN-]{0,61}[\pL\pN])?\.)+(?:\pL{2,24}|xn--[a-z0-9-]{2,59}))`),
		verdict: isAddress, same: strings.ToLower},
	{kind: "phone", needles: []string{"+", "00"}, numbers: true, re: pattern.MustCompile(`(?P<v>(?:\+|\b00)[1-9](?:[ .\x{00A0}/-]?\(?\d\)?){6,16})`), verdict: isInternational, same: digits},
	{kind: "phone", numbers: true, needles: []string{"-", ".", " "}, re: pattern.MustCompile(`(?P<v>(?:\([2-9]\d{2}\) ?|\b[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}\b)`), verdict: isNorthAmerican, same: digits},
	{kind: "phone", numbers: true, needles: []string{"phone", "tel", "mobile", "cell", "call", "whatsapp", "fax", "reach", "sms", "text me"},
		re:      pattern.MustCompile(`(?i)\b(?:phone(?: number)?|telephone|tel|mobile|cell(?:phone)?|fax|whatsapp|sms|text me|(?:call|ring|reach) (?:me|us|him|her|them|\w+)(?: directly)?(?: at| on)?)\b[\s:.#]{0,4}(?:is |at |on |no\.? )?(?P<v>\(?0?\d[\d ()./-]{5,18}\d)`),
		verdict: func(v, s string, a, b int) bool { n := len(digits(v)); return n >= 7 && n <= 15 && !isDateOrAddress(v) }, same: digits},
}

var placeholder = pattern.MustCompile(`(?i)^(?:\$.*|%.*%?|\{\{.*|\{.*|<.*|\*+|x{3,}|\.{3,}|…|null|nil|none|true|false|yes|no|undefined|todo|changeme\?|redacted|hidden|masked|\[.*|your[-_]?\w*|env\..*|vault:.*|secret:.*|ref\+.*|os\.environ.*|process\.env.*|file:.*|/run/secrets/.*)$`)

func notPlaceholder(v, _ string, _, _ int) bool { return !placeholder.MatchString(v) }

// passwordValue accepts what stands after password= or password:. With a colon
// and prose after it, it must look like a password.
func passwordValue(v, s string, start, stop int) bool {
	v = strings.TrimRight(v, ".)!?")
	if placeholder.MatchString(v) || len(v) < 3 {
		return false
	}
	before := strings.TrimRight(s[:start], " \"'`")
	if strings.HasSuffix(before, "=") {
		return true
	}
	quoted := start > 0 && strings.IndexByte("\"'`", s[start-1]) >= 0
	return quoted || mixed(v) || !commonWord(v) && endOfClause(s, stop)
}

func spokenPassword(v, s string, start, stop int) bool {
	v = strings.TrimRight(v, ".,)!?")
	if placeholder.MatchString(v) {
		return false
	}
	quoted := start > 0 && strings.IndexByte("\"'`", s[start-1]) >= 0
	return quoted || mixed(v) || !commonWord(v) && endOfClause(s, stop)
}

// mixed reports letters together with digits or signs, as passwords have them.
func mixed(v string) bool {
	letters := strings.ContainsFunc(v, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	digit := strings.ContainsAny(v, "0123456789")
	sign := strings.ContainsAny(strings.TrimRight(v, ".,:;!?"), "!@#$%^&*+=~?_")
	upper := strings.ContainsFunc(strings.TrimLeft(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), func(r rune) bool { return r >= 'A' && r <= 'Z' })
	return letters && (digit || sign || upper && strings.ToUpper(v) != v)
}

func endOfClause(s string, stop int) bool {
	rest := strings.TrimLeft(s[stop:], "\"'`.!? ")
	return rest == "" || strings.IndexByte("\n,;)(", rest[0]) >= 0
}

var commonWords = pattern.MustCompile(`(?i)^(?:expired?|wrong|rotated?|stored|set|not|the|in|on|at|incorrect|invalid|required|changed|resets?|empty|same|missing|being|gone|unknown|ok(?:ay)?|fine|correct|valid|different|new|old|auth(?:entication)?|prompt|login|failed|failing|mismatch|rejected|locked|hardcoded|hard-coded|shared|known|leaked|exposed|encrypted|hashed|plain(?:text)?|there|here|what|it|that|this|still|now|never|always|too|very|probably|managed|kept|from|using|used|up|due|good|bad|broken|visible|redacted|hidden|optional|string|text|varchar)$`)

func commonWord(v string) bool { return commonWords.MatchString(v) }

var (
	noSecretKey = pattern.MustCompile(`(?i)(?:public|cache|partition|sort|primary|foreign|idempotency|dedup|composite|object|row|redis|s3|map|config|feature|max|min|num|total|count|next|continuation|page|cursor|sync|cancell?ation|design|unexpected|parse|syntax|host|lock|shard|hash)[_.-]?(?:key|token|session_?id)s?$`)
	uuid        = pattern.MustCompile(`(?i)^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$`)
	onlyHex     = pattern.MustCompile(`(?i)^(?:sha\d+:|0x)?[0-9a-f]+$`)
	onlyNumber  = pattern.MustCompile(`^[\d.,:_/-]+(?:ms|s|m|h|d|kb|mb|gb|k|%)?$`)
	parserSays  = pattern.MustCompile(`(?i)\b(?:unexpected|invalid|illegal|syntax|unknown|unrecognized|missing|next) (?:token|key|signature)["'\s:]*$`)
	aName       = pattern.MustCompile(`^[a-z]+(?:[-_./:][a-z0-9]+)*$`) // words joined: k8s names, paths, versions
)

// secretValue accepts values after token=, api_key: and the like.
func secretValue(v, s string, start, _ int) bool {
	key := keyBefore(s, start)
	if parserSays.MatchString(s[max(0, start-60):start]) {
		return false
	}
	return !noSecretKey.MatchString(key) && looksRandom(8)(v, s, start, 0)
}

// keyBefore is the name that is assigned to.
func keyBefore(s string, start int) string {
	before := strings.TrimRight(s[:start], " \t\"'`=:>")
	if at := strings.LastIndexAny(before, " \t\n,;{(&?\"'`<>"); at >= 0 {
		before = before[at+1:]
	}
	return before
}

// looksRandom accepts texts of at least n characters that no person would
// make up as a name: letters with digits, and no words joined by hyphens.
func looksRandom(n int) func(v, s string, start, stop int) bool {
	return func(v, _ string, _, _ int) bool {
		v = strings.TrimRight(v, ".,")
		if len(v) < n || placeholder.MatchString(v) || onlyNumber.MatchString(v) || strings.HasPrefix(v, "/") || strings.Contains(v, "...") {
			return false
		}
		if strings.ContainsAny(v, "0123456789") {
			return !aName.MatchString(v) || entropy(v) > 3.4 && !strings.ContainsAny(v, "-./:") || onlyHex.MatchString(v)
		}
		return mixed(v) && len(v) >= 16 && entropy(v) > 3.5
	}
}

// randomAssigned accepts long random values of names that end in key, salt ….
// Hex (digests, commits, traces) and UUIDs are identifiers, and so is what is
// called an id, a thumbprint or a public key.
func randomAssigned(v, s string, start, _ int) bool {
	key := strings.ToLower(keyBefore(s, start))
	for _, no := range []string{"public", "pub_", "thumbprint", "kid", "fingerprint", "idempotency", "cache", "partition", "dedup", "ssh", "known_hosts"} {
		if strings.Contains(key, no) {
			return false
		}
	}
	return !noSecretKey.MatchString(key) && !onlyHex.MatchString(v) && !uuid.MatchString(v) && !aName.MatchString(v) &&
		strings.ContainsAny(v, "0123456789") && mixed(v) && entropy(v) > 3.8
}

// entropy is bits per character, from the text's own frequencies.
func entropy(s string) float64 {
	var n [256]int
	for i := range len(s) {
		n[s[i]]++
	}
	var h float64
	for _, c := range n {
		if c > 0 {
			p := float64(c) / float64(len(s))
			h -= p * math.Log2(p)
		}
	}
	return h
}
