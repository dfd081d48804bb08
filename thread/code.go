package thread

import (
	"encoding/json"
	"slices"
	"strings"

	"prunella/thread/pattern"
)

// snippet is a piece of preformatted text and what it is. Output is what a
// program said; it is no Command.
type snippet struct {
	text, lang, kind string
}

const kindOutput = "output"

func setOf(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

var (
	prompt     = pattern.MustCompile(`^\s*(?:~\S*\s)?(?:\([\w.-]+\)\s*)?(?:\[?[\w.-]+@[\w.:/~-]+(?: [\w/~.-]+)?\]?\s?)?(?:[$%❯➜»]|[#>](?:\s|$))\s*`)
	hostPrompt = pattern.MustCompile(`^\s*\[?[\w.-]+@[\w.-]+(?:[: ][\w/~.-]*)?\]?\s?[$#%>]\s*`)
	winPrompt  = pattern.MustCompile(`^\s*(?:PS\s+)?[A-Z]:\\[^>]*>\s*`)
	sqlPrompt  = pattern.MustCompile(`^\s*(?:mysql|mariadb(?: \[[^\]]*\])?|sqlite|SQL|[\w-]+(?:=|-)[#>]|[\w-]+=\*?[#>]|(?:cqlsh|mongo\w*|rs\d*:\w+|clickhouse)[\w:@.-]*)>?\s*>?\s+`)
	kvPrompt   = pattern.MustCompile(`^\s*(?:\d{1,3}(?:\.\d{1,3}){3}|localhost|redis|[\w-]+):?\d*(?:\[\d+\])?>\s+`)
	assigns    = pattern.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_]*=(?:"[^"]*"|'[^']*'|\S*)\s+)+`)
	scriptPath = pattern.MustCompile(`^(?:\.{0,2}/|~/)?[\w.@/-]+\.(?:sh|py|rb|pl|ps1|js)$|^(?:\.{1,2}|~)?/[\w.@/-]+$|^(?:bin|scripts?|tools?|ops|deploy|hack)/[\w./-]+$`)
	flagged    = pattern.MustCompile(`\s--?[a-zA-Z][\w-]*(?:[= ]|$)`)
	shellSign  = pattern.MustCompile(`\s[|<>]{1,2}\s|&&|\$\(|\$\{?\w|\s-{1,2}\w|=|/|\.\w|\d`)
	programRE  = pattern.MustCompile(`^[a-z][a-z0-9_.+-]*$`)
	english    = pattern.MustCompile(`(?i)(?:^|[^\w-])(?:the|is|are|was|were|we|it|this|that|and then|because|should|would|please|i|you|they|has|have)\b`)

	logLine = pattern.MustCompile(`^\s*(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]|\[?\d\d:\d\d:\d\d|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{1,2}\s+\d\d:|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b|[EWIF]\d{4}\s|\[?(?:ERROR|ERR|WARN(?:ING)?|INFO|DEBUG|FATAL|CRITICAL|PANIC|NOTICE|TRACE)\b|(?:[\w.]+(?:Error|Exception|Failure)|error|warning|fatal|panic|FATAL|ERROR|DETAIL|HINT|LOG|WARNING|Error|Warning|Exception|Traceback|Caused by)\b[\w .]*:|goroutine \d|at [\w.$]+\(|HTTP/\d|< |\* |x509:|tls:|dial |curl: \(|ssh: |[\w/.-]+: (?:error|cannot|no such|permission|command not found|connection)|[{]"(?:level|ts|time|timestamp|msg|message|error|severity)"|(?:level|ts|time|lvl)=|\d{1,3}(?:\.\d{1,3}){3}\s)`)
	table   = pattern.MustCompile(`^\s*[A-Z][A-Z0-9_()%/-]+(?:\s{2,}|\t)[A-Z][A-Z0-9_()%/ -]*|^\S+(?:\s{2,}\S+){3,}$|^[\s|+-]*-{3,}|^\(\d+ rows?\)`)

	sqlRead   = pattern.MustCompile(`(?is)^\s*(?:select|with|explain|show|describe|desc|table|values|\\[a-z]+\+?)\b`)
	sqlWrite  = pattern.MustCompile(`(?is)^\s*(?:alter\s+(?:system|table|database|role|user|index|sequence|materialized|server|tablespace|instance)|create\s+(?:unique\s+)?(?:index|table|extension|role|user|database|materialized|or\s+replace)|drop\s+(?:index|table|user|role|database|view|replication)|vacuum|reindex\s+(?:index|table|database|system|\()|analyze\s+\w|update\s+\S+\s+set|delete\s+from|insert\s+into|truncate\s+(?:table\s+)?\w+|kill\s+(?:query\s+|connection\s+)?\d|set\s+(?:global|session|persist|local)\b|set\s+\w+\s*(?:=|to\s)|grant\s+\w+.*\bto\b|revoke\s|call\s+\w+|checkpoint|flush\s+(?:tables|hosts|privileges|logs)|purge\s+binary|optimize\s+table|(?:stop|start|reset)\s+(?:slave|replica)|refresh\s+materialized|lock\s+table|cluster\s+\w|commit\b|begin\b|rollback\s+prepared)`)
	sqlCalls  = pattern.MustCompile(`(?i)\b(?:pg_(?:terminate_backend|cancel_backend|reload_conf|promote|switch_wal|drop_replication_slot|repack\w*|rotate_logfile|stat_reset\w*|wal_replay_\w+|advisory_unlock\w*)|setval|dbms_\w+\.\w+)\s*\(|(?s:\bselect\s+[\w.$]*(?:cancel|terminate|kill|abort|resume|suspend|reload|refresh|reset|purge|flush|repair|rebuild|unlock|promote|failover|rollback|reprocess|retry|pause|restart|rotate|drain|evict|compact|merge)[\w.$]*\s*\()`)
	sqlShape  = pattern.MustCompile(`(?is)\bselect\b.+\bfrom\b|\bselect\b.+\(|;\s*$|^\s*(?:explain|show|describe)\s+\w+`)
	metricsQL = pattern.MustCompile(`(?i)\b(?:rate|irate|increase|histogram_quantile|sum|avg|max|min|count|topk|quantile|delta|deriv|predict_linear|absent|count_over_time|sum_over_time)\s*(?:by\s*\([^)]*\)\s*)?\(|^\s*\{[\w]+\s*(?:=|=~|!=)\s*"|\w\{[\w]+\s*(?:=|=~|!=|:)\s*["\w]|\|=\s*["` + "`" + `]|^(?:avg|sum|max|min|count):[\w.]+|\bindex=\w+|\bsourcetype=|^\s*(?:fields\s+@|source=|search\s+)|\w:[\w"*.-]+\s+(?:AND|OR)\s+|\|\s*(?:stats|where|summarize|project|count|filter|parse)\b`)
	kvWrites  = pattern.MustCompile(`(?i)^\s*(?:flushall|flushdb|del|unlink|expire|set|config\s+set|client\s+kill|slaveof|replicaof|cluster\s+(?:failover|reset|forget|meet)|bgsave|bgrewriteaof|memory\s+purge|failover|script\s+kill|xgroup|ltrim|db\.\w+|rs\.\w+|sh\.\w+)\b`)

	yamlLine  = pattern.MustCompile(`^\s*(?:-\s+)?(?:"[^"]+"|'[^']+'|[A-Za-z_][\w./-]*)\s*:(?:\s+\S.*|\s*)$|^\s*-\s+\S|^\s*#|^---$`)
	iniLine   = pattern.MustCompile(`^\s*(?:\[[\w. :"/-]+\]|[\w.-]+\s*=\s*\S.*|[#;].*)$`)
	blockConf = pattern.MustCompile(`^\s*(?:[\w-]+(?:\s+"[^"]*")*(?:\s+[\w./~^$*=-]+)*\s*\{|\}|[\w-]+\s*=\s*.+|[\w-]+(?:\s+\S+)+;\s*(?:#.*)?|#.*)$`)
	padded    = pattern.MustCompile(`^[A-Z][\w /()-]*:\s{2,}\S`)
	diffLine  = pattern.MustCompile(`^(?:[+-]{3} |@@ |[+-])`)
	quiet     = pattern.MustCompile(`^\s*(?:#.*|//.*)?$`)
)

var configLang = map[string]string{"yaml": "yaml", "yml": "yaml", "json": "json", "toml": "toml", "ini": "ini", "conf": "ini", "properties": "ini", "hcl": "hcl", "terraform": "hcl", "xml": "xml",
	"nginx": "nginx", "diff": "diff", "dockerfile": "dockerfile", "makefile": "makefile", "python": "python", "py": "python", "go": "go", "java": "java", "js": "js", "ts": "ts", "ruby": "ruby"}

// snippets tells what a fence holds: commands one by one, or one piece of
// configuration, or a query, or output.
func (f fence) snippets() []snippet {
	switch f.lang {
	case "text", "txt", "log":
		return []snippet{{f.code, f.lang, kindOutput}}
	case "sql", "psql", "mysql":
		return sqlSnippets(f.code)
	case "promql", "logql":
		return []snippet{{f.code, f.lang, KindQuery}}
	}
	if lang, ok := configLang[f.lang]; ok {
		if lang == "json" && logLine.MatchString(f.code) {
			return []snippet{{f.code, lang, kindOutput}}
		}
		return []snippet{{f.code, lang, KindConfig}}
	}
	if s := f.session(); len(s) > 0 {
		return s
	}
	lines := strings.Split(f.code, "\n")
	first := firstOf(lines)
	if sqlWrite.MatchString(first) || sqlRead.MatchString(first) && sqlShape.MatchString(f.code) {
		return sqlSnippets(f.code)
	}
	if f.lang == "" && !logLine.MatchString(first) {
		if s := f.script(false); len(s) > 0 {
			return s
		}
	} else if f.lang != "" {
		return f.script(true)
	}
	if lang := config(f.code, lines); lang != "" {
		return []snippet{{f.code, lang, KindConfig}}
	}
	if metricsQL.MatchString(first) && len(lines) <= 6 && !logLine.MatchString(first) {
		return []snippet{{f.code, "promql", KindQuery}}
	}
	return []snippet{{f.code, "", kindOutput}}
}

func firstOf(lines []string) string {
	for _, l := range lines {
		if !quiet.MatchString(l) {
			return l
		}
	}
	return ""
}

// session reads a fence with prompts: what stands after one is a command, the
// rest is output.
func (f fence) session() []snippet {
	var out []snippet
	var said []string
	lines := joinLines(f.code)
	prompts := false
	for _, l := range lines {
		switch cmd, sql, ok := prompted(l); {
		case !ok:
			said = append(said, l)
		case sql:
			prompts = true
			out = append(out, sqlSnippets(cmd)...)
		default:
			prompts = true
			out = append(out, snippet{cmd, "bash", KindCommand})
		}
	}
	if !prompts {
		return nil
	}
	if text := strings.TrimSpace(strings.Join(said, "\n")); text != "" {
		out = append(out, snippet{text, "", kindOutput})
	}
	return out
}

// prompted takes the prompt off a line. What follows must be a command, so that
// a quotation or a comment is none.
func prompted(l string) (cmd string, sql, ok bool) {
	if at := hostPrompt.FindString(l); at != "" && strings.TrimSpace(l[len(at):]) != "" {
		return strings.TrimSpace(l[len(at):]), false, true
	}
	if at := winPrompt.FindString(l); at != "" {
		return strings.TrimSpace(l[len(at):]), false, true
	}
	if at := sqlPrompt.FindString(l); at != "" {
		if rest := strings.TrimSpace(l[len(at):]); sqlRead.MatchString(rest) || sqlWrite.MatchString(rest) || kvWrites.MatchString(rest) {
			return rest, true, true
		}
	}
	if at := kvPrompt.FindString(l); at != "" {
		return strings.TrimSpace(l[len(at):]), true, true
	}
	at := prompt.FindString(l)
	rest := strings.TrimSpace(l[len(at):])
	if at == "" || rest == "" {
		return "", false, false
	}
	mark := strings.TrimSpace(at)
	sure := strings.HasSuffix(mark, "$") || strings.HasSuffix(mark, "❯") || strings.HasSuffix(mark, "➜")
	if sure && programRE.MatchString(firstWord(rest)) || shell(rest, true) {
		return rest, false, true
	}
	return "", false, false
}

func sqlSnippets(code string) []snippet {
	kind := KindQuery
	if sqlWrite.MatchString(code) || sqlCalls.MatchString(code) || kvWrites.MatchString(code) {
		kind = KindCommand
	}
	lang := "sql"
	if !sqlRead.MatchString(code) && !sqlWrite.MatchString(code) {
		lang = "redis"
		if strings.Contains(code, "db.") || strings.Contains(code, "rs.") {
			lang = "js"
		}
	}
	return []snippet{{code, lang, kind}}
}

// script reads a fence without prompts as commands, one a line. Lines that
// follow a command and are none are its output. Told that it is a script, every
// line counts.
func (f fence) script(told bool) []snippet {
	var out []snippet
	var said []string
	lines := joinLines(f.code)
	told = told || allTyped(lines)
	for _, l := range lines {
		trimmed := strings.TrimSpace(l)
		switch {
		case quiet.MatchString(l):
		case shell(trimmed, told || len(out) > 0 || programs[firstWord(bare(trimmed))] && !preposition.MatchString(trimmed) && !strings.HasSuffix(trimmed, ".")), told && len(said) == 0 && !logLine.MatchString(l) && !table.MatchString(l):
			out = append(out, snippet{trimmed, "bash", KindCommand})
		case len(out) == 0 && !told:
			return nil
		default:
			said = append(said, l)
		}
	}
	if text := strings.TrimSpace(strings.Join(said, "\n")); text != "" && len(out) > 0 {
		out = append(out, snippet{text, "", kindOutput})
	}
	return out
}

// allTyped reports lines each of which is a command, be its program known or
// not: beside one that is, the shape of a command suffices.
func allTyped(lines []string) bool {
	sure := 0
	for _, l := range lines {
		switch {
		case quiet.MatchString(l):
		case l != strings.TrimLeft(l, " \t"):
			return false
		case shell(l, true):
			sure++
		case !programRE.MatchString(firstWord(l)) || !plainArgs.MatchString(l) || preposition.MatchString(l) || english.MatchString(l) || table.MatchString(l) || strings.Contains(l, "  ") || failing.MatchString(l):
			return false
		}
	}
	return sure > 0
}

var (
	heredoc = pattern.MustCompile(`<<-?\s*['"]?(\w+)['"]?`)
	loop    = pattern.MustCompile(`^\s*(?:for|while|until)\b.*(?:;\s*do\b|\bdo\s*)$|^\s*(?:for|while)\b[^;]*$|^\s*if\b.*(?:then)?\s*$`)
	loopEnd = pattern.MustCompile(`(?:^|[\s;])(?:done|fi)\b`)
)

// joinLines puts lines together that are one command: a backslash or a pipe at
// the end, a here-document, a loop.
func joinLines(code string) []string {
	lines := strings.Split(code, "\n")
	var out []string
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		trimmed := strings.TrimRight(l, " \t")
		for i+1 < len(lines) && (strings.HasSuffix(trimmed, "\\") || strings.HasSuffix(trimmed, " |") || strings.HasSuffix(trimmed, "&&")) {
			i++
			l += "\n" + lines[i]
			trimmed = strings.TrimRight(lines[i], " \t")
		}
		end := ""
		if m := heredoc.FindStringSubmatch(l); m != nil && slices.ContainsFunc(lines[i+1:], func(s string) bool { return strings.TrimSpace(s) == m[1] }) {
			end = m[1]
		}
		if end != "" {
			for i+1 < len(lines) {
				i++
				l += "\n" + lines[i]
				if strings.TrimSpace(lines[i]) == end {
					break
				}
			}
		} else if loop.MatchString(l) && !loopEnd.MatchString(l) && slices.ContainsFunc(lines[i+1:], loopEnd.MatchString) {
			for i+1 < len(lines) {
				i++
				l += "\n" + lines[i]
				if loopEnd.MatchString(lines[i]) {
					break
				}
			}
		}
		out = append(out, strings.TrimRight(l, " \t"))
	}
	return out
}

// config names the language of a piece of configuration, "" when it is none.
func config(code string, lines []string) string {
	trimmed := strings.TrimSpace(code)
	if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") && strings.HasSuffix(trimmed, "]") && strings.Contains(trimmed, `"`) {
		if json.Valid([]byte(trimmed)) && !logLine.MatchString(trimmed) {
			if len(lines) > 1 || !strings.Contains(trimmed, `"error`) && !strings.Contains(trimmed, `"status"`) && !strings.Contains(trimmed, `"message"`) {
				return "json"
			}
		}
		return ""
	}
	var yaml, ini, blocks, n, keys, diffs int
	for _, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		if logLine.MatchString(l) || padded.MatchString(l) || table.MatchString(l) && !yamlLine.MatchString(l) {
			return ""
		}
		n++
		if yamlLine.MatchString(l) {
			yaml++
			if strings.Contains(l, ":") {
				keys++
			}
		}
		if iniLine.MatchString(l) {
			ini++
		}
		if blockConf.MatchString(l) {
			blocks++
		}
		if diffLine.MatchString(l) {
			diffs++
		}
	}
	switch {
	case n == 0:
		return ""
	case diffs > 1 && strings.Contains(code, "@@"), diffs == n && n > 1:
		return "diff"
	case n == 1 && len(strings.Fields(trimmed)) > 4:
		return ""
	case yaml == n && keys > 0 && !english.MatchString(firstKey(trimmed)):
		return "yaml"
	case blocks == n && n > 1 && strings.Contains(code, "{"):
		if strings.Contains(code, ";") {
			return "nginx"
		}
		return "hcl"
	case ini == n && (n > 1 || strings.Count(trimmed, "=") == 1 && !strings.ContainsAny(trimmed, "{}()")) && !english.MatchString(trimmed):
		return "ini"
	}
	return ""
}

func firstKey(s string) string { k, _, _ := strings.Cut(s, ":"); return k }
