package importer

import (
	"encoding/json"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	commands = setOf("kubectl|helm|docker|docker-compose|podman|systemctl|journalctl|service|curl|wget|ssh|scp|sudo|cd|ls|cat|grep|egrep|awk|sed|tail|head|less|find|xargs|jq|yq|psql|mysql|" +
		"redis-cli|mongo|mongosh|aws|gcloud|az|gsutil|terraform|tofu|ansible|ansible-playbook|vault|consul|nomad|gh|git|make|go|npm|npx|yarn|pnpm|node|python|python3|pip|pip3|java|mvn|gradle|" +
		"etcdctl|crictl|ctr|ip|ss|netstat|dig|nslookup|ping|traceroute|openssl|df|du|free|top|ps|kill|pkill|killall|lsof|strace|tcpdump|iptables|nft|mount|umount|chmod|chown|rm|cp|mv|mkdir|touch|echo|" +
		"export|source|env|watch|time|nc|telnet|promtool|amtool|kafka-topics|kafka-topics.sh|kafka-consumer-groups|kafka-consumer-groups.sh|rabbitmqctl|nats|flux|argocd|istioctl|oc|eksctl|kubeadm|" +
		"apt|apt-get|yum|dnf|apk|brew|tar|gzip|gunzip|zcat|rsync|date|sleep|test|knife|bundle|rails|rake|bin/rails|gitlab-ctl|gitlab-rake|prunella|sqlite3|nginx|cqlsh|nodetool|cargo|tsh|chef-client|for|while|if|done|fi|do|then|else|set|nslookup|host|whois|logger|crontab|id|whoami|uptime|vmstat|iostat|sar|dmesg|sysctl|lsblk|fdisk|zpool|zfs|pg_dump|pg_restore|pg_ctl|pgbouncer|patronictl|step|cfssl|certbot|keytool|base64|openshift-install|tee|sort|uniq|wc|cut|tr|diff|http|https")
	languages = map[string]string{"bash": "bash", "sh": "sh", "shell": "shell", "zsh": "zsh", "console": "console", "terminal": "console", "yaml": "yaml", "yml": "yaml", "json": "json", "sql": "sql",
		"promql": "promql", "http": "http", "python": "python", "go": "go", "golang": "go", "javascript": "javascript", "js": "js", "typescript": "typescript", "ruby": "ruby", "java": "java",
		"xml": "xml", "html": "html", "toml": "toml", "ini": "ini", "hcl": "hcl", "terraform": "terraform", "dockerfile": "dockerfile", "diff": "diff", "logql": "logql", "powershell": "powershell",
		"plaintext": "text", "text": "text", "plain text": "text"}
	prompt      = regexp.MustCompile(`^(?:\[?[\w.-]+[@:][\w.~:/-]*(?: [\w.~/-]+)?\]?|[\w.~/-]*[A-Za-z_~/-])?[$%❯] +\S`)
	assignment  = regexp.MustCompile(`^(?:[A-Z_][A-Z0-9_]*=\S* +)+\S`)
	httpLine    = regexp.MustCompile(`^(?:GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS) (?:https?://|/)\S*(?: HTTP/[\d.]+)?$|^HTTP/[\d.]+ \d{3}\b`)
	sqlLine     = regexp.MustCompile(`(?is)^\s*(?:(?:--[^\n]*\n\s*)*)(?:select\b.+(?:\bfrom\b|;)|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b|(?:create|alter|drop|truncate)\s+(?:table|index|user|role|database|view|unique|materialized|extension|system)\b|explain\b|with\s+\S+\s+as\s*\(|show\s+(?:processlist|tables|databases|variables|full|engine|max_connections|slave|replica)\b|vacuum\b|analyze\s|reindex\b|grant\s|revoke\s)`)
	promqlCall  = regexp.MustCompile(`\b(?:rate|irate|increase|histogram_quantile|sum|avg|max|min|count|topk|bottomk|absent|absent_over_time|delta|deriv|predict_linear|changes|resets|label_replace|avg_over_time|max_over_time|sum_over_time|quantile|time|vector|up)\s*(?:by\s*\([^)]*\)\s*|without\s*\([^)]*\)\s*)?\(`)
	promqlPart  = regexp.MustCompile(`\{[^{}]*(?:=~|!=|!~|=)\s*"[^"]*"[^{}]*\}|\[\d+[smhdw](?::\d*[smhdw]?)?\]`)
	promqlChars = regexp.MustCompile(`^[\s\w:(){}\[\]"'=~!<>+*/.,|^%-]+$`)
	promqlPlain = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*\{[^{}\n]*\}(?:\s*(?:[<>=!]=?|[-+*/])\s*[\w.]+)?$`)
	goFirst     = regexp.MustCompile(`^package [a-z]\w*$`)
	pyFirst     = regexp.MustCompile(`(?m)^(?:import \w[\w.]*|from [\w.]+ import .+|def \w+\(.*\).*:|class \w+.*:)$`)
	diffFirst   = regexp.MustCompile(`(?m)\A(?:diff --git |--- \S+\n\+\+\+ )`)
	dockerFirst = regexp.MustCompile(`(?m)\AFROM \S+(?: AS \S+)?\n`)
	xmlFirst    = regexp.MustCompile(`\A<(?:\?xml|!DOCTYPE|[A-Za-z][\w:-]*(?:\s[^<>]*)?>)`)
	iniSection  = regexp.MustCompile(`(?m)\A\[[\w. "-]+\]\n(?:[\w.-]+\s*=.*\n?)+`)
	yamlEntry   = regexp.MustCompile(`^\s*(?:- )?["']?[A-Za-z_][\w./-]*["']?:(?:\s|$)`)
)

// Language tells the language of a piece of code where it is unambiguous, "" else.
func Language(code string) string {
	text := strings.TrimSpace(code)
	first, _, _ := strings.Cut(text, "\n")
	switch {
	case text == "":
		return ""
	case strings.HasPrefix(first, "#!"):
		if strings.Contains(first, "python") {
			return "python"
		}
		return "bash"
	case (text[0] == '{' || text[0] == '[') && json.Valid([]byte(text)):
		return "json"
	case httpLine.MatchString(first):
		return "http"
	case diffFirst.MatchString(text):
		return "diff"
	case goFirst.MatchString(first):
		return "go"
	case dockerFirst.MatchString(text):
		return "dockerfile"
	case isShell(text):
		return "bash"
	case sqlLine.MatchString(text):
		return "sql"
	case isPromQL(text):
		return "promql"
	case pyFirst.MatchString(text) && strings.Contains(text, "\n"):
		return "python"
	case iniSection.MatchString(text + "\n"):
		return "ini"
	case looksYAML(text):
		return "yaml"
	case xmlFirst.MatchString(text) && strings.HasSuffix(text, ">"):
		return "xml"
	}
	return ""
}

func isPromQL(text string) bool {
	if strings.ContainsAny(text, ";$") || strings.Contains(text, "|=") || strings.Contains(text, "| ") {
		return false
	}
	return promqlPlain.MatchString(text) || promqlCall.MatchString(text) && promqlPart.MatchString(text) && balanced(text) ||
		promqlCall.MatchString(text) && balanced(text) && promqlChars.MatchString(text) && strings.Contains(text, "_") && promqlCall.FindStringIndex(text)[0] == 0
}

func balanced(text string) bool {
	depth := 0
	for _, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}

// isShell tells whether each command of a text is one of a shell. Output below
// a line with a prompt does not matter.
func isShell(text string) bool {
	seen, prompted, continued, here := false, false, false, false
	for _, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case here:
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case continued:
		case prompt.MatchString(trimmed):
			seen, prompted = true, true
		case prompted: // what it printed
			continue
		case isCommand(trimmed):
			seen = true
		case strings.HasPrefix(trimmed, "|") || strings.HasPrefix(trimmed, "&&") || strings.HasPrefix(line, "  ") && seen || trimmed == "}" || trimmed == "esac":
		default:
			return false
		}
		continued = strings.HasSuffix(trimmed, "\\")
		here = here || strings.Contains(trimmed, "<<")
	}
	return seen
}

// isCommand tells whether a line is a command of a shell.
func isCommand(line string) bool {
	line = strings.TrimSpace(line)
	if prompt.MatchString(line) {
		return true
	}
	if assignment.MatchString(line) {
		line = strings.TrimSpace(assignment.ReplaceAllStringFunc(line, func(s string) string { return s[len(s)-1:] }))
	}
	word, rest, _ := strings.Cut(line, " ")
	if strings.HasPrefix(word, "./") || strings.HasPrefix(word, "/usr/") || strings.HasPrefix(word, "/opt/") || strings.HasPrefix(word, "/bin/") {
		return true
	}
	if !commands[word] || strings.HasSuffix(line, ".") || strings.HasSuffix(line, ":") {
		return false
	}
	switch word { // words of English too
	case "find", "make", "service", "head", "tail", "top", "time", "watch", "test", "date", "sort", "cut", "go", "for", "if", "while", "set", "kill", "source", "less", "host", "id", "step", "free", "touch", "mount", "export", "sleep", "do", "then", "else", "node", "cat", "ping", "at", "diff", "patch", "http", "https", "env", "rails", "vault", "flux", "nomad", "consul":
		return strings.ContainsAny(rest, "-/$|=\"'{}[]*~") || rest == "" && word != "if" && word != "for" && word != "go" && word != "make"
	}
	return true
}

func looksYAML(text string) bool {
	entries := 0
	for _, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, "- ") || trimmed == "---":
		case yamlEntry.MatchString(line):
			entries++
		case !strings.HasPrefix(line, " "):
			return false
		}
	}
	if entries == 0 || entries == 1 && !strings.Contains(text, "\n") {
		return false
	}
	if _, state := indent(text); state != intact {
		return true
	}
	var root yaml.Node
	if len(text) > maxFront || yaml.Unmarshal([]byte(text), &root) != nil || len(root.Content) == 0 {
		return false
	}
	return root.Content[0].Kind == yaml.MappingNode || root.Content[0].Kind == yaml.SequenceNode
}

// languageLine is the language that a line names, as a copied code block has it
// above its code.
func languageLine(line string) string { return languages[strings.ToLower(strings.TrimSpace(line))] }

var copyButton = regexp.MustCompile(`(?i)^\s*(?:copy|copy code|copied!?|copy to clipboard)\s*$`)

// looseCode writes code that lost its fence, in a page that lost its headings:
// below the name of a language, or commands, queries and YAML on lines of their
// own. It returns how many lines it took.
func (p *page) looseCode(i int) int {
	if !p.lost {
		return 0
	}
	j, note := i, []string{}
	language := ""
	for ; j < len(p.lines) && j < i+3; j++ {
		if name := languageLine(p.lines[j]); name != "" && language == "" {
			language = name
			if word := strings.TrimSpace(p.lines[j]); word != name {
				note = append(note, word)
			}
		} else if copyButton.MatchString(p.lines[j]) && (language != "" || j == i) {
			note = append(note, strings.TrimSpace(p.lines[j]))
		} else {
			break
		}
	}
	if j == i {
		language = ""
	}
	stop := p.codeEnd(j, language)
	if stop == j || j > i && language == "" && Language(strings.Join(p.lines[j:stop], "\n")) == "" {
		return 0
	}
	if language == "" && p.calledFor(j) {
		language = "bash"
	}
	code := p.lines[j:stop]
	if stop < len(p.lines) && copyButton.MatchString(p.lines[stop]) {
		note = append(note, strings.TrimSpace(p.lines[stop]))
		stop++
	}
	p.fence(code, language, strings.Join(note, " "))
	return stop - i
}

// codeEnd finds the end of the code that begins at a line. Below the name of a
// language it goes on to a blank line, a heading or a step; else each line must
// be code by its looks.
func (p *page) codeEnd(from int, language string) int {
	i := from
	for ; i < len(p.lines); i++ {
		line := p.lines[i]
		if strings.TrimSpace(line) == "" || p.code[i] || copyButton.MatchString(line) {
			break
		}
		if language != "" {
			if bareHeading(line) != "" || itemLine.MatchString(line) && line[0] >= '0' && line[0] <= '9' || loneNumber.MatchString(line) {
				break
			}
			if i > from && !fits(language, line, p.lines[i-1]) {
				break
			}
			continue
		}
		if isCommand(line) || p.calledFor(i) || p.besideHash(i) || i > from && strings.HasSuffix(strings.TrimSpace(p.lines[i-1]), "\\") {
			continue
		}
		break
	}
	if i > from || language != "" {
		return i
	}
	for i = from; i < len(p.lines) && flatEntry.MatchString(p.lines[i]); i++ {
	}
	if _, state := indent(strings.Join(p.lines[from:i], "\n")); i > from+1 && state != intact && labelKey(p.lines[from]) == "" {
		return i
	}
	if one := Language(p.lines[from]); (one == "sql" || one == "promql" || one == "http") && !startsBlock.MatchString(p.lines[from]) {
		return from + 1
	}
	return from
}

// calledFor tells a command whose words are English too, such as vault status:
// it follows, set apart, what ends in a colon, or such a command.
func (p *page) calledFor(i int) bool {
	line := strings.TrimSpace(p.lines[i])
	word, rest, _ := strings.Cut(line, " ")
	if !commands[word] || rest != strings.ToLower(rest) || sentence.MatchString(line) || strings.HasSuffix(line, ":") || len(strings.Fields(line)) > 6 || i == 0 {
		return false
	}
	if before := strings.TrimSpace(p.lines[i-1]); before != "" {
		return p.calledFor(i - 1)
	}
	for j := i - 2; j >= 0; j-- {
		if before := strings.TrimSpace(p.lines[j]); before != "" {
			return strings.HasSuffix(before, ":")
		}
	}
	return false
}

// fits tells whether a line can go on with code of a language whose lines can
// be told from prose; of any other language every line does.
func fits(language, line, before string) bool {
	trimmed := strings.TrimSpace(line)
	if trimmed != line || strings.HasPrefix(trimmed, "#") || strings.HasSuffix(strings.TrimSpace(before), "\\") {
		return true
	}
	prose := sentence.MatchString(trimmed) || strings.Contains(trimmed, "**") || strings.HasSuffix(trimmed, ":") || len(strings.Fields(trimmed)) > 4
	switch language {
	case "bash", "sh", "shell", "zsh":
		return isCommand(trimmed) || !prose
	case "yaml":
		return yamlKey.MatchString(trimmed) && !strings.Contains(strings.SplitN(trimmed, ":", 2)[0], " ") || yamlItem.MatchString(trimmed)
	}
	return true
}

var flatEntry = regexp.MustCompile(`^(?:- )?[a-z_][\w.-]*:(?:\s.*)?$|^- \S+$`)

func (p *page) besideHash(i int) bool {
	level, _ := hash(p.lines[i])
	return level > 0 && p.besideCode(i)
}
