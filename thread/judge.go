package thread

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"prunella/thread/pattern"
)

// extract reads one conversation. Its score and reasons are those of the
// conversation.
func (t *talk) extract() Extraction {
	x, _ := t.read()
	return x
}

func (t *talk) read() (Extraction, *tries) {
	c := t.c
	x := Extraction{Channel: c.Channel.Name, RootTS: c.Messages[0].TS, Kind: c.Kind, Score: c.Score, Reasons: c.Reasons, People: t.people, Messages: t.sources, Occurrence: 1, Worked: []int{}}
	x.Missing = missing(c)
	if len(t.said) == 0 {
		return x, nil
	}
	x.Reporter = t.reporter()
	ts := t.follow()
	ts.plot()
	over := t.over(ts)
	ts.outcomes(over)
	over = t.over(ts)
	ts.settle(over)
	after := t.lateDeeds(ts, over)
	cause := t.cause(ts)
	chosen := t.weigh(ts, cause, over)
	if t.imply(ts, chosen.fixed, over) {
		cause = t.cause(ts)
		chosen = t.weigh(ts, cause, over)
	}
	for _, a := range ts.all {
		if a.Outcome == Worked {
			x.Worked = append(x.Worked, len(x.Tried))
		}
		x.Tried = append(x.Tried, a.Attempt)
	}
	t.moments(&x, ts, chosen)
	cause, over = t.agree(ts, chosen, cause, over)
	turns := t.turnsOf(ts, cause, over)
	t.sort(&x, ts, turns)
	x.FollowUps = t.followUps(ts, turns, after)
	x.Owners = t.owners(x)
	x.Title = t.title(x)
	x.Codes, x.Services = t.codes(), t.services()
	x.FirstSeen = x.Started
	return x, ts
}

// reporter is who wrote first, or whom the bot that wrote it down names.
func (t *talk) reporter() string {
	for _, s := range t.said {
		if s.msg > 1 {
			break
		}
		re := openedBy
		if !s.bot { // somebody who writes down what another one says
			re = reportsFor
		}
		if m := re.FindStringSubmatch(s.text); m != nil && !s.asks {
			return "@" + strings.TrimRight(strings.Join(m[1:], ""), ".")
		}
		if s.bot != t.said[0].bot {
			break
		}
	}
	return t.said[0].by
}

var reportsFor = pattern.MustCompile(`(?i)^\W*@([\w.-]+) (?:reports?|reported|says|called in|noticed|has reported|tells us)\b|\b(?:reported by|report (?:by|from)|raised by|on behalf of|according to|as told by)\W{0,3}@([\w.-]+)`)

var openedBy = pattern.MustCompile(`(?i)@([\w.-]+) (?:has |just )?(?:opened|declared|reported|raised|created|started|filed|triggered|called|announced|submitted|kicked off|paged|flagged)\b|\b(?:opened|declared|reported|raised|created|started|filed|triggered|submitted|requested|reporter|reported by|opened by|from)(?: by)?:? @([\w.-]+)|\b(?:opened|declared|raised|created|filed|paged|flagged|submitted) (?:[\w-]+ ){0,4}by:? @([\w.-]+)`)

// missing counts replies that Slack counts and the conversation lacks.
func missing(c Conversation) int {
	if c.Kind != "thread" {
		return 0
	}
	return max(0, c.Messages[0].Replies-(len(c.Messages)-1))
}

// timeOf is when a message was written.
func (t *talk) timeOf(msg int) time.Time {
	if msg >= len(t.sources) {
		return time.Time{}
	}
	return Time(t.sources[msg].TS)
}

// lateDeeds takes out what was done after it was over without an outcome: that
// was prevention.
func (t *talk) lateDeeds(ts *tries, over int) []*try {
	if over < 0 {
		return nil
	}
	var late []*try
	ts.all = slices.DeleteFunc(ts.all, func(a *try) bool {
		if a.msg > over && a.Outcome == Unclear {
			late = append(late, a)
			return true
		}
		return false
	})
	return late
}

func abs(n int) int { return max(n, -n) }

// title is the first sentence that says what fails, without greetings and marks.
func (t *talk) title(x Extraction) string {
	pick := ""
	for _, s := range x.Symptoms {
		if s.Source.Author != x.Reporter && pick != "" {
			break
		}
		if pick == "" || figure.MatchString(s.Text) && !figure.MatchString(pick) && len(pick) < 25 {
			pick = s.Text
		}
	}
	pick = cmp.Or(pick, t.said[0].text)
	pick = titleNoise.ReplaceAllString(strings.ReplaceAll(pick, "`", ""), "")
	pick = strings.TrimRight(pick, ".!?:,; ")
	if len(pick) > 90 {
		if at := strings.LastIndexAny(pick[:90], " ,"); at > 40 {
			pick = pick[:at]
		}
	}
	pick = strings.TrimRight(pick, ",;:–— ")
	for i, r := range pick {
		return string(unicode.ToUpper(r)) + pick[i+len(string(r)):]
	}
	return "Incident in #" + x.Channel
}

var titleNoise = pattern.MustCompile(`(?i)^(?:(?:@(?:here|channel|everyone|[\w.-]+)|hey|hi|hello|folks|team|all|heads up|fyi|urgent|ok|um|uh|so|guys|everyone|🚨|\[?firing(?::\d+)?\]?|\[?sev-?\d\]?|\[?p\d\]?|alert(?:ing)?|triggered|critical|warning|incident|problem|we(?:'re| are) (?:seeing|getting)|i(?:'m| am) (?:seeing|getting)|seeing|getting|looks like|anyone else seeing|is anyone (?:else )?seeing)[\s,:!–—-]+)+`)

var (
	codeRE = pattern.MustCompile(`\b(?:[45]\d\d(?:s\b)?|E[A-Z]{4,14}|ORA-\d{4,5}|SQLSTATE[ =:\[]*[0-9A-Z]{5}|[A-Z]{2,8}[-_]\d{3,6}|0x[0-9a-fA-F]{4,8}|(?:exit|error) (?:code )?\d{1,5}|errno \d+|[A-Z][a-z]+(?:[A-Z][a-z]+)+(?:Error|Exception|Failed|Failure|Timeout|Killed|BackOff|Expired|Pressure|Exceeded)|(?:OOMKilled|CrashLoopBackOff|ImagePullBackOff|ErrImagePull|NXDOMAIN|SERVFAIL|ENOSPC|ECONNREFUSED|ETIMEDOUT|ECONNRESET|EMFILE|NotReady|DiskPressure|MemoryPressure)|[a-z]+_[a-z_]+_(?:error|failed|timeout|exceeded|expired))\b`)
	svcRE  = pattern.MustCompile(`\b[a-z][a-z0-9]*(?:-[a-z0-9]+){1,4}\b`)
	notSvc = setOf(`on-call re-run follow-up follow-ups post-mortem roll-back read-only e-mail long-term short-term rate-limit time-out time-outs well-known built-in up-to-date out-of-memory crash-loop stand-down stand-by double-check double-checked in-memory end-to-end so-called high-level mid-flight fail-over no-op opt-in x-ray sub-second per-pod pre-prod one-off known-good work-around self-healed self-resolved auto-resolved non-issue back-off kick-off catch-up set-up shut-down sign-in log-in sign-up multi-az to-do ad-hoc in-flight`)
)

// codes are error codes and names of errors, most named first.
func (t *talk) codes() []string {
	n := map[string]int{}
	for _, s := range t.said {
		for _, m := range codeRE.FindAllString(s.text, -1) {
			if !ticketRE.MatchString(m) || strings.HasPrefix(m, "ORA-") {
				n[strings.TrimSuffix(m, "s")]++
			}
		}
		for _, f := range s.fences {
			for _, m := range codeRE.FindAllString(f.text, 20) {
				n[strings.TrimSuffix(m, "s")]++
			}
		}
	}
	return mostNamed(n, 1)
}

// services are names like api-worker in prose and commands, most named first.
func (t *talk) services() []string {
	n := map[string]int{}
	for _, s := range t.said {
		text := s.lower
		for _, c := range s.snippets() {
			if c.kind == KindCommand {
				text += " " + c.text
			}
		}
		for _, m := range svcRE.FindAllString(text, -1) {
			if !notSvc[m] && !strings.HasPrefix(m, "re-") && !strings.HasPrefix(m, "non-") && !strings.HasPrefix(m, "pre-") && !podName.MatchString(m) {
				n[m]++
			}
		}
	}
	out := mostNamed(n, 2)
	return out[:min(len(out), 8)]
}

var podName = pattern.MustCompile(`-[0-9a-f]{7,10}-[a-z0-9]{5}$|^\d|-\d{4,}`)

func mostNamed(n map[string]int, least int) []string {
	out := []string{}
	for k, v := range n {
		if v >= least {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b)) })
	return out
}

// mask takes out of a line what changes from one time to the next.
func mask(s string) string {
	return strings.Join(strings.Fields(variable.ReplaceAllString(strings.ToLower(s), "*")), " ")
}

var variable = pattern.MustCompile(`(?i)\d{4}-\d\d-\d\d[t ]?[\d:.]*z?|\b[0-9a-f]{7,}\b|\b\d+(?:[.:,]\d+)*(?:%|ms|s|m|h|x|k|gb|mb|tb|gib|mib)?\b|-[a-z0-9]{5,10}-[a-z0-9]{5}\b`)

// stampOf is the day of a message, for follow-ups.
func stampOf(s said) time.Time { return s.at.Truncate(24 * time.Hour) }
