package thread

import (
	"fmt"
	"slices"
	"strings"

	"prunella"
	"prunella/thread/pattern"
)

// features of a conversation that speak for or against an incident.
type feature struct {
	name   string
	weight float64
	text   string
}

// judge scores the conversation. Reasons carry the weight as operand.
func (c *Conversation) judge(dir *Directory) {
	add := func(name string, weight float64, format string, args ...any) {
		c.Score += weight
		c.Reasons = append(c.Reasons, prunella.Reason{Name: name, Text: fmt.Sprintf(format, args...), Operands: map[string]string{"weight": fmt.Sprintf("%+.1f", weight)}})
	}
	if !c.worthReading() {
		return
	}
	t := listen(*c, dir)
	if len(t.said) == 0 {
		return
	}
	said := map[string]bool{}
	for _, f := range t.speaks() {
		add(f.name, f.weight, "%s", f.text)
		said[f.name] = true
	}
	if c.Score >= doubtful {
		w, why := t.impress()
		if said["something-fails"] && said["commands"] && said["no-end"] {
			w = max(w, 0) // it may have no end yet: the weights know whole conversations only
		}
		add("as-a-whole", w, "as a whole it looks like: %s", why)
	}
	c.Score = float64(int(c.Score*100+0.5)) / 100
}

// worthReading is a quick look that spares most talk the full one.
func (c *Conversation) worthReading() bool {
	bad, n := false, 0
	for _, m := range c.Messages {
		if bookkeeping[m.Subtype] {
			continue
		}
		n++
		bad = bad || tense(m) || strings.Contains(m.Text, "`")
	}
	return bad && n >= 2
}

// speaks are what rules say for and against an incident.
func (t *talk) speaks() []feature {
	c := t.c
	var out []feature
	add := func(name string, weight float64, format string, args ...any) {
		out = append(out, feature{name, weight, fmt.Sprintf(format, args...)})
	}
	ts := t.follow()
	var bad, figures, good, cause, commands, calm, calmFirst, daily, side, early, persons int
	alert, dramatic := false, false
	for i, s := range t.said {
		low := strings.ToLower(maskCode(s.text))
		isBad := failing.MatchString(low)
		if isBad && s.msg < 4 {
			early++
		}
		if isBad {
			bad++
			if figure.MatchString(s.text) {
				figures++
			}
		}
		if s.bot && isBad && s.msg == 0 {
			alert = true
		}
		dramatic = dramatic || drama.MatchString(low) && s.msg < 3
		if v := verdict(s.text); v != 0 && i > 0 {
			good++
		}
		if strong.MatchString(low) && !s.bot {
			cause++
		}
		if noise.MatchString(low) && !(isBad && s.msg == 0 && !s.bot) && !comingIf.MatchString(low) {
			calm++
			if s.msg < 3 {
				calmFirst++
			}
		}
		if standup.MatchString(low) {
			daily++
		}
		if featureTalk.MatchString(low) {
			side++
		}
		for _, sn := range s.snippets() {
			if sn.kind == KindCommand {
				commands++
			}
		}
	}
	ts.plot()
	persons = len(t.people)
	deeds, outcomes, done := 0, 0, 0
	for _, a := range ts.all {
		if a.advised || len(a.Commands) == 0 && routine.MatchString(a.Text) {
			continue
		}
		deeds++
		if len(a.Commands) > 0 {
			done++
		}
		if a.Outcome != Unclear {
			outcomes++
		}
	}
	over := t.over(ts)
	if early > 0 {
		add("something-fails", min(1.5, 0.8+0.2*float64(bad)), "%d sentences speak of failing, %d of them at the beginning", bad, early)
	}
	if figures > 0 {
		add("figures", min(0.8, 0.4+0.2*float64(figures)), "%d of them with figures", figures)
	}
	if alert {
		add("alert", 0.5, "an alert began it")
	}
	if dramatic {
		add("urgent", 0.4, "it was called an incident, or urgent, or about production")
	}
	if deeds > 0 {
		add("something-was-done", min(1.6, 0.8+0.4*float64(deeds)), "%d things were done against it", deeds)
	} else {
		add("nothing-done", -1.5, "nobody did anything against it")
	}
	if outcomes > 0 {
		add("outcome", 0.6, "people said what came of %d of them", outcomes)
	}
	if cause > 0 {
		add("cause", 0.6, "a cause was named")
	}
	if commands > 0 {
		add("commands", 0.4, "%d commands were run", commands)
	}
	if over >= 0 && deeds > 0 {
		add("came-to-an-end", 0.6, "it was declared over, or seen to be")
	} else if over < 0 && deeds > 0 {
		add("no-end", -0.6, "nobody said that it was over")
	}
	if persons > 1 {
		add("several-people", 0.3, "%d people took part", persons)
	}
	if n := len(t.c.Messages); n < 3 {
		add("short", -1.5, "it has %d messages", n)
	} else if n < 4 {
		add("short", -1, "it has %d messages", n)
	}
	if opening := toTheDesk.ReplaceAllString(t.opening(), " "); ownDesk.MatchString(opening) && !alert {
		add("own-desk", -2.5, "it is about somebody's own machine or a place for trying out")
	} else if rehearsed.MatchString(opening) {
		add("rehearsed", -2.5, "it was planned, or an exercise")
	} else if otherWork.MatchString(opening) && !alert && figures == 0 {
		add("other-work", -1.5, "it begins with work on code, plans or what customers ask")
	}
	if alert && t.healed(ts) {
		add("healed-by-itself", -2.5, "the alert was over before anybody did anything")
	}
	if takenBack.MatchString(strings.ToLower(t.lastWords())) && done == 0 {
		add("taken-back", -2, "whoever reported it took it back")
	}
	if deeds > 0 && done == 0 && cause == 0 && commands == 0 && calm > 0 {
		add("nobody-mended", -1.5, "it was called noise, and nothing was run against it")
	}
	if opsChannel.MatchString(c.Channel.Name) {
		add("channel", 0.3, "the channel is one for operations")
	}
	if c.Kind == "channel" {
		add("channel-of-its-own", 1, "a channel was made for it")
	}
	if daily > 1 && deeds < 3 || daily > 3 {
		add("stand-up", -2.5, "it reads like a stand-up")
	}
	if side > 0 && early == 0 || side > 2 {
		add("other-talk", -0.7*float64(min(side, 4)), "%d sentences speak of features, plans or people", side)
	}
	repair := done > 0 && persons > 1 && !ownDesk.MatchString(toTheDesk.ReplaceAllString(t.opening(), " ")) && (commands > 1 || len(ts.figures.good) > 0 || len(t.logs) > 0 || t.c.Messages[0].bot() || over >= 0 && len(t.c.Messages) > 6)
	if calm > 0 {
		w := -0.9 * float64(min(calm, 3))
		if outcomes > 0 && deeds > 1 || repair && calmFirst == 0 {
			w /= 3
		}
		add("came-to-nothing", w, "%d sentences call it noise, planned or no problem", calm)
	}
	if repair {
		add("looks-like-repair", 1.4, "%d persons, %d commands of which %d change something, %d figures set against their usual ones", persons, commands, done, len(ts.figures.good))
	}
	if slices.ContainsFunc(t.said, func(s said) bool { return t.reports[s.msg] }) {
		add("report", 1.5, "somebody wrote a report of it")
	}
	if early == 0 && (lacks.MatchString(t.opening()) || offNorm.MatchString(t.opening())) {
		add("something-lacks", 0.6, "it begins with something that does not do what it should")
	} else if early == 0 && !repair {
		add("nothing-fails", -2, "nothing at its beginning speaks of failing")
	}
	if looksBack.MatchString(t.said[0].text) || review.MatchString(strings.ToLower(t.said[0].text)) {
		add("looking-back", -2, "it looks back at something that was over")
	}
	return out
}

// healed reports whether the alert that began it cleared before something was
// done, or taken on.
func (t *talk) healed(ts *tries) bool {
	for _, s := range t.said {
		switch {
		case s.msg == 0:
		case s.bot && (alertOver.MatchString(s.text) || verdict(s.text) > 0):
			return !slices.ContainsFunc(ts.all, func(a *try) bool { return !a.advised && a.msg < s.msg })
		case !s.bot && (s.claim() || takeRE.MatchString(s.text)):
			return false
		}
	}
	return false
}

// lastWords is what whoever wrote first, or a person after a bot, said last.
func (t *talk) lastWords() string {
	last := ""
	for _, s := range t.said {
		if !s.bot && (s.by == t.said[0].by || t.said[0].bot) {
			last = s.text
		}
	}
	return last
}

// takenBack are the ways to say that it was nothing.
var takenBack = anyOf(`never ?mind`, `nvm`, `ignore (?:me|that|this)`, `my (?:bad|mistake|fault|error|wifi|vpn|password|laptop|browser|branch|token|token|typo|config|own fault)`, `false alarm`, `as you were`, `carry on`, `wrong (?:tab|env\w*|channel|window|cluster|context|tenant|url)`, `(?:sorry|oops|doh|sigh|ah|oh|right|yes)[,.!]* (?:for the noise|my|vpn|it was me|was me|user error|typo|staging)`, `user error`, `pebkac`, `(?:vpn|wifi) was off`, `nothing to see`, `not a problem after all`, `works for me`, `harmless`)

// comingIf begins what is to be done another time.
var comingIf = pattern.MustCompile(`^\W*(?:if|when|whenever|once|in case|should)\b`)

// lacks is a statement that something is not as it should be, in words that
// may be used of other things as well.
var lacks = pattern.MustCompile(`(?i)\b(?:do|does|did|is|are|was|were|has|have|can|could|will|would|gets?)(?:n'?t| not| no|not) \w+|\bno (?:longer|more)\b|\bnot (?:a|one|any) \w+|\b(?:nobody|no ?one|nothing|none|never|without|only half|late|delayed|wrong|absent|empty|blank|silent|frozen|loses?|lost|forgets?|drops?|falls? back|starv\w+|disagree\w*|diverg\w+|out of sync|stopped|vanish\w*|disappear\w*|unanswered|abandon\w*|garbled|page[dr]? went off|swells?|hours? (?:late|old|behind)|for ever|forever)\b`)

// opening is what the first two messages say.
func (t *talk) opening() string {
	var b strings.Builder
	for _, s := range t.said {
		if s.msg > 1 {
			break
		}
		b.WriteString(s.text + "\n")
	}
	return b.String()
}

// Talk that has failures, commands and happy ends in it and is no incident:
// somebody's own machine, what was announced or rehearsed, work on code and
// plans, questions of customers, looking back.
var (
	ownDesk   = pattern.MustCompile(`(?i)\b(?:(?:on|in|from|to) (?:my|his|her|our dev|the dev) (?:own )?(?:laptop|machine|box|env\w*|branch|sandbox|desktop|workstation|mac\w*|windows|terminal|side only|pr|fork|setup|vm)|my (?:local|own|editor|ide|laptop|machine|terminal|docker|setup|dev|build|checkout|shell|browser|vpn|password|account|keyboard|vs ?code|intellij)|locally|local (?:dev|env\w*|setup|build|cluster|run|copy|stack)|works? on my|how (?:do|can|would|should) (?:i|you|we|one)|how to|where (?:do|can|is|are|did)|(?:npm|pip|brew|yarn|cargo|bundle) install|(?:on|in|to) (?:the )?(?:staging|sandbox|playground|test env\w*|dev env\w*|qa)\b|staging (?:only|is|cluster|env\w*)|just staging|linker|compil(?:e|er|es|ing)|make clean|unit tests?|lint(?:er|ing)?|node_modules|virtualenv|xcode|cannot build|build (?:fails )?here|new (?:laptop|joiner|starter))\b`)
	looksBack = pattern.MustCompile(`(?i)\b(?:blameless|(?:incident|outage|post-?incident) review|review of (?:the|our|last)\b.{0,60}\b(?:outage|incident)|notes from the|retro\w*|post-?mortem|lessons|last (?:week|month|quarter|year)|old incident)\b`)
	rehearsed = pattern.MustCompile(`(?i)\b(?:drill|exercise|game ?day|rehears\w+|tabletop|table-top|chaos (?:day|hour|test|monkey|engineering)|simulat\w+|fire drill|dry run|planned (?:maintenance|downtime|outage|work|upgrade)|maintenance (?:window|of|on|at|tonight|is)|scheduled (?:maintenance|downtime|work)|as (?:planned|announced|scheduled)|load ?test|pen ?test|upgrading .{0,40} on (?:sunday|saturday|monday|the weekend)|we patch|change window)\b`)
	otherWork = pattern.MustCompile(`(?i)\b(?:my pr|this pr|pull request|merge request|code review|review (?:my|wanted|please|this)|look at my|approv(?:e|ed|al)|flaky|failing ci|ci (?:is|fails|run|build)|conflicts|rebase\w*|lgtm|nit|estimate|story|sprint|roadmap|quarter|backlog|planning|post-?mortem|retro\w*|blameless|lessons|notes from|write-?up of|last (?:week|month|year)'?s|old incident|(?:a|the) customer (?:asks|wants|would like|needs|is asking|asked)|customers? (?:ask|want)s?|for a customer|invoice export|read access|bill went up|costs?|rolling out|deploying|can i deploy|release(?:d)? (?:until|is)|promot(?:e|ing)|ship(?:ping)? it|on canary|who ordered|do we still need|interview|onboarding|training|conference|survey)\b`)
)

// toTheDesk is how somebody goes where they can help.
var toTheDesk = pattern.MustCompile(`(?i)\b(?:open(?:ing)?|clos(?:e|ing)|get(?:ting)? (?:to|my hands on)|way to|fetch\w*|grabb?\w*|reach\w*|without|nearest|next) (?:my|the|a) (?:own )?(?:laptop|machine|desk|computer|keyboard|workstation|desktop)\b`)

// routine is a release that is announced and mends nothing.
var routine = pattern.MustCompile(`(?i)\b(?:releas|deploy|shipp|roll|promot|merg)\w*\b.*\bv?\d+\.\d+\.\d+`)

var opsChannel = pattern.MustCompile(`(?i)inc|alert|ops|sre|on-?call|outage|prod|infra|emergency|war`)

var review = anyOf(`post-?mortem (?:for|of|doc|review|draft|is)`, `retro(?:spective)? (?:for|of|notes)`, `lessons learned`, `write-?up (?:for|of)`, `incident review`, `last (?:week|month|quarter|year)'?s? (?:incident|outage)`, `remember (?:when|the|that)`, `changelog`, `release notes`, `weekly (?:report|summary)`, `capacity planning`, `design (?:doc|review)`, `rfc`, `proposal`)
