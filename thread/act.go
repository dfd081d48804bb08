package thread

import (
	"regexp"
	"strings"

	"prunella/thread/pattern"
)

// deed is a verb of doing something to a system, in its forms: base, past, -ing.
type deed struct{ base, past, ing string }

var deeds = func() []deed {
	regular := strings.Fields(`limit cap clean restart revert flush clear scale bump increase raise lower reduce kill drain promote delete remove add extend resize expand renew rotate reissue redeploy deploy apply patch disable enable switch move point reboot recycle purge truncate vacuum reindex restore recreate replay requeue bounce cordon uncordon pin unpin change update upgrade downgrade merge hotfix block unblock throttle pause resume stop force refresh invalidate warm rebuild reload swap shift reroute unlock release terminate cancel skip republish redeliver mount unmount remount clean prune archive compress rename retry resync sync repair rebalance reassign provision attach detach allocate free tune configure adjust set reset toggle flip route retire drop create install uninstall fix replace reimage reconfigure re-run rerun push shed deprioritize offload evacuate isolate quarantine rewrite convert migrate import reconnect reprovision relaunch respawn re-enable re-add restage bypass whitelist allowlist backfill regenerate double halve override roll pull cut ship shrink decommission failover rollback scale-up kick cycle power-cycle nuke wipe evict copy relax widen shorten stagger split spread suspend mute defrag compact snapshot fence demote flip reschedule reinstall resubmit redirect re-issue re-create re-deploy re-queue re-sync rekick requeue`)
	irregular := map[string][2]string{"set": {"set", "setting"}, "reset": {"reset", "resetting"}, "cut": {"cut", "cutting"}, "run": {"ran", "running"}, "put": {"put", "putting"}, "bring": {"brought", "bringing"}, "turn": {"turned", "turning"}, "rewrite": {"rewrote", "rewriting"}, "rebuild": {"rebuilt", "rebuilding"}, "shed": {"shed", "shedding"}, "free": {"freed", "freeing"}, "split": {"split", "splitting"}, "grow": {"grew", "growing"}, "shrink": {"shrank", "shrinking"},
		"rerun": {"reran", "rerunning"}, "re-run": {"re-ran", "re-running"}, "override": {"overrode", "overriding"}, "send": {"sent", "sending"}, "execute": {"executed", "executing"}, "swing": {"swung", "swinging"}, "failover": {"failed over", "failing over"}, "rollback": {"rolled back", "rolling back"}}
	doubling := setOf("cancel label level model travel tunnel equal swap skip drop ship pin unpin stop cap cordon-x prune-x bump-x flip cancel-x unplug wrap plug trim cap scrap defrag snap")
	var out []deed
	seen := map[string]bool{}
	for _, v := range regular {
		if _, special := irregular[v]; special || seen[v] {
			continue
		}
		seen[v] = true
		d := deed{v, v + "ed", v + "ing"}
		last := v[len(v)-1]
		switch {
		case last == 'e':
			d.past, d.ing = v+"d", v[:len(v)-1]+"ing"
		case last == 'y' && !strings.ContainsRune("aeou", rune(v[len(v)-2])):
			d.past = v[:len(v)-1] + "ied"
		case doubling[v] || v == "snapshot" || v == "unmount-x":
			d.past, d.ing = v+string(last)+"ed", v+string(last)+"ing"
		}
		out = append(out, d)
	}
	for v, f := range irregular {
		out = append(out, deed{v, f[0], f[1]})
	}
	return out
}()

func formsOf(pick func(deed) string) string {
	var all []string
	for _, d := range deeds {
		all = append(all, regexp.QuoteMeta(pick(d)))
	}
	sortByLength(all)
	return strings.Join(all, "|")
}

func sortByLength(all []string) {
	for i := range all { // longest first, so that "rolled back" wins over "rolled"
		for j := i + 1; j < len(all); j++ {
			if len(all[j]) > len(all[i]) || len(all[j]) == len(all[i]) && all[j] < all[i] {
				all[i], all[j] = all[j], all[i]
			}
		}
	}
}

// leads are words that may stand between the beginning of a clause and its verb
// without changing who acts: "ok so i just restarted …".
const leads = `(?:(?:ok(?:ay)?|k|just|now|then|so|finally|also|and|but|done|alright|right|well|first|next|meanwhile|in the meantime|quick update|update|fyi|fwiw|btw|yes|yep|yeah|sure|cool|great|thanks|hmm+|ugh|hm|i|we|i'?ve|we'?ve|i'?m|we'?re|i'?d|have|had|has|been|am|are|is|was|already|manually|quickly|temporarily|preemptively|going ahead and|went ahead and|gone ahead and|go ahead and|managed to|had to|decided to|ended up|ending up|still|both|all|again|instead|actually|by hand|for now|as a (?:mitigation|workaround|stopgap|precaution|first step|test)|mitigation|workaround|step \d|attempt \d|on it|@[\w.-]+|at|around|\d{1,2}:\d\d(?::\d\d)?(?: ?(?:utc|z|am|pm))?|\[\d{1,2}:\d\d\]|rolling restart|tried|trying|attempted|attempting|kicked off|kicking off|started|starting|began|went with|what i did|fix|resolution|which|then we|after that|that|(?:next|second|third|first|another|different|other|last|new) (?:attempt|try|approach|idea|step|shot|option|thing)|plan [bc]|option [abc]|[A-Za-z']+(?: [A-Za-z']+){0,2}[:,])[\s,:;.–—-]+)*?`

var (
	pastRE   = pattern.MustCompile(`(?i)^` + leads + `(?P<verb>` + formsOf(func(d deed) string { return d.past }) + `)\b`)
	ingRE    = pattern.MustCompile(`(?i)^` + leads + `(?P<verb>` + formsOf(func(d deed) string { return d.ing }) + `)\b`)
	triedRE  = pattern.MustCompile(`(?i)\b(?:i|we|@[\w.-]+)?\s*(?:just |also |have |already |even )*(?:tried|attempted|trying|attempting)(?: to| a| an| the|:)? ?(?P<verb>\w[\w-]*)`)
	intendRE = pattern.MustCompile(`(?i)\b(?:i'?ll|i will|we'?ll|we will|i'?m (?:going to|gonna|about to)|we'?re (?:going to|gonna|about to)|going to|gonna|about to|let me|lemme|let'?s|i'?m|we'?re)\s+(?:just |now |also |then |go ahead and |quickly |try to |try |first )*(?P<verb>` + formsOf(func(d deed) string { return d.base }) + `|` + formsOf(func(d deed) string { return d.ing }) + `)\b`)
	adviseRE = pattern.MustCompile(`(?i)(?:\b(?:can (?:you|someone|we|i)|could (?:you|someone|we)|please|pls|plz|should (?:we|i)|maybe|try|how about|what about|worth|suggest(?:ion)?:?|i(?:'d| would)|why (?:not|don'?t we)|we (?:could|should|can)|@[\w.-]+[,:]?)\s+)(?:please |pls |just |also |try |you |we |to |now )*(?P<verb>` + formsOf(func(d deed) string { return d.base }) + `|` + formsOf(func(d deed) string { return d.ing }) + `)\b`)
	someone  = pattern.MustCompile(`^(?:@[\w.-]+|[A-Z][a-z]+)\s+(?i:just |has |already |also |is |then |manually )*(?P<verb>(?i:` + formsOf(func(d deed) string { return d.past }) + `|` + formsOf(func(d deed) string { return d.ing }) + `))\b`)
	passive  = pattern.MustCompile(`(?i)\b(?:has been|have been|is now|are now|is being|are being)\s+(?:now |just |already |manually |successfully )*(?P<verb>` + formsOf(func(d deed) string { return d.past }) + `)\b`)
	wasDone  = pattern.MustCompile(`(?i)\b(?:was|were|got)\s+(?:now |just |already |manually |successfully )*(?P<verb>restarted|rolled back|reverted|flushed|promoted|failed over|drained|redeployed|rebooted|recycled|bounced)\b`)
	nounDeed = pattern.MustCompile(`(?i)\b(?:doing|performing|issuing|executing|giving \S+(?: \S+){0,2}|gave \S+(?: \S+){0,2}|kicking off|kicked off|triggering|triggered|starting|proceeding with|going with|going for|went with|went for|did|do|trying|tried|attempting|ordering|forcing|forced) (?:a |an |the |another )?(?:\w+ )?(restart|rollback|failover|reboot|bounce|redeploy|flush|purge|kick|scale[- ]?up|revert|resize|renewal|rotation|rebuild|reload|drain|clean-?up|switchover|reindex|vacuum|resync|replay)\b`)
	anyDeed  = pattern.MustCompile(`(?i)\b(?:` + formsOf(func(d deed) string { return d.past }) + `|` + formsOf(func(d deed) string { return d.ing }) + `|` + formsOf(func(d deed) string { return d.base }) + `|rollback|failover|reboot|bounce)\b`)

	stateOfThings = pattern.MustCompile(`(?i)\b(?:since|because|when|never|by the|during|until|which|that)\b`)
	itself        = pattern.MustCompile(`(?i)\b(?:pods?|containers?|process(?:es)?|nodes?|services?|workers?|it|they|that|which|instances?|replicas?|consumers?|brokers?|kernel|systemd|kubernetes|k8s|the \w+)\s+(?:\w+ ){0,2}(?:keeps?|kept|restart(?:s|ed|ing)|crash\w*|reboot(?:ed|s|ing))\b|by itself|on its own|automatically|\d+ times`)
	doneWord      = pattern.MustCompile(`(?i)^(?:(?:ok(?:ay)?|and|yep|alright|right|so|now|great|cool|@[\w.-]+)[,.:! ]+)*(?:done|did (?:that|it|so)|ran it|just did|executed|applied|deployed|rolled out|(?:it'?s|it is|that'?s|that is|this is|both are|all) (?:done|out|applied|in|live|through|rolled out|finished|complete|set|deployed|pushed|merged|up)|restarted|completed?|finished|:?white_check_mark:?)(?:\b|$)`)
	throughRE     = pattern.MustCompile(`(?i)^(?:(?:ok(?:ay)?|and|yep|alright|right|so|now|great|cool|done)[,.:! ]+)*(?:the |a |an |our |my )?(?:[\w/.-]+ ){1,4}(?:(?:is|are|has been|have been|now|was|were) )*(?:now )?(?:` + formsOf(func(d deed) string { return d.past }) + `|applied|completed?|finished|done|live|on|off|in use|in place|active|out|up|gone|through|in effect|on [\w-]+)\b`)
	earlier       = pattern.MustCompile(`(?i)\b(?:yesterday|a while (?:ago|back)|while ago|earlier on|an hour ago|hours? ago|last (?:night|week|month|time|friday|monday|tuesday|wednesday|thursday|saturday|sunday|year|sprint|quarter)|earlier (?:today|this week)|this morning|(?:a few|two|three|\d+) (?:days|weeks|hours|months) ago|on (?:mon|tues|wednes|thurs|fri|satur|sun)day|back in|before (?:this|the (?:incident|outage|alert|spike)))\b`)
	lookOnly      = pattern.MustCompile(`(?i)\b(?:only (?:freed|cleared|dropped|reduced|moved|removed|got)|loaded the (?:dashboard|page)|pulled (?:the |up |some |logs?|a )|pushed (?:for|back)|add(?:ed|ing) (?:@|a (?:note|comment|reaction)|(?:this|that|it) to)|opened (?:a |an |the )?(?:ticket|case|issue|incident|bridge|zoom|channel|pr|dashboard|logs?)|pulling (?:up |the |logs?|in )|opening (?:a |an |the )?(?:ticket|case|incident|bridge|zoom|channel|dashboard)|created (?:a |an )?(?:ticket|channel|incident|jira|issue|zoom|doc)|creating (?:a |an )?(?:ticket|channel|incident|jira|issue|zoom|doc)|updat(?:ed|ing) (?:the )?(?:status ?page|ticket|channel|customers?|stakeholders?|everyone|support|runbook|doc)|pinged|changed (?:the )?(?:title|topic)|started (?:suddenly|out of nowhere|all at once|at|around|seeing|to|failing|throwing|getting|about|just|~|\d\S*|in|with|right|after|when)|start(?:ing|ed) (?:to|at|around|seeing) |closing (?:this|the)|closed (?:this|the (?:incident|ticket))|clos(?:ed|ing) it|ack(?:ed|nowledged)|acknowledg\w+|dropped (?:to|from|by|a|off|back)|dropping (?:to|from|off|requests|connections|messages|packets)|stopped (?:at|responding|working|consuming|growing|entirely|around|when|after)|stopping (?:at|by)|recover(?:ed|ing)|increased (?:to|from|by \d|since|latency|errors?)|increasing (?:since|again|steadily|errors?)|growing|grew|expired (?:at|on|today|\d|last|this|yesterday|certificate|cert)|expiring|failed (?:to|with|at|again|on)|failing|fixed (?:it|this|now|!|the (?:issue|problem))|resolved|muted (?:the )?alerts?|suspended (?:at|by)|cleared (?:up|at|on|by)|clearing up|moved on|moving (?:on|again)|backed up|only freed|only \w+ed|backing up|(?:(?:is|are|was|were|be|been|come|comes|came|coming|now|all|get|got|fully|right|finally|going|goes|went|it'?s|they'?re|we'?re|almost|already) )back|back (?:to (?:normal|green|baseline|bed|work|business|~?\d)|online|in business|up|again|now)|loading|loaded|limited|creating load|opened|closed|triggered (?:at|by|the alert|an alert|alerts?|on)|triggering|split[- ]brain|set off|released (?:at|yesterday|v?\d|last)|deployed (?:at|yesterday|last|by|this)|shipped (?:at|yesterday|last|in)|merged (?:at|yesterday|last|in)|hitting|hit (?:the|a|our|us|max|100|limit)|running (?:out|at|on|low|late|into|hot|fine|behind|since|for)|ran (?:out|into|at|low|hot|late|fine)|made (?:it|no|things|me|sense|worse)|making (?:it|no|sense|progress)|taking (?:a look|forever|this|over|it|\d|long|too|ages|point|lead|the lead)|took (?:a look|\d|a while|forever|too|about|down|out|over|~)|putting together|turned out|turning out|gave (?:up|it)|giving (?:up|me|us|it a (?:minute|few))|throwing|threw|sent (?:the|a|an|you)|sending (?:the|a|an|you)|blew up|blowing up|spread|correct(?:ed|ing) myself|set to|setting up)\b`)
)

// What stands where, and since when, is nobody's deed: "evicted pods went to
// 91", "things were clean until ten".
var (
	metricState = pattern.MustCompile(`(?i)\b(?:sits?|reads?|went (?:from|to|up|down)|rose|climbed|fell|settled|stands?|hovers?|remains?|stays?|hit|peaked|jumped)\b.*\d|\b(?:is|are|was|were) (?:at |of |now |around |about |still )*~?\d|^\W*(?:[a-z]+ed) (?:[a-z]+ ){1,2}(?:now |at |of )?~?\d[\d.,]*\s?(?:%|ms\b|s\b|[a-z]+\b)`)
	stateUntil  = pattern.MustCompile(`(?i)\b(?:was|were|been|is|are) (?:clean|fine|ok|good|normal|quiet|healthy|green|stable) (?:until|till|before|up to)\b|^\W*kicked off (?:at |around )?~?\d|^\W*(?:the |our |all )?[A-Za-z]+ [a-z]+(?:ed|ent|oke|an|un) (?:at|around|about|since|from) ~?\d`)
)

// anyPast is a clause that begins with a verb in the past and what it was done
// to: people report their own deeds like that, with verbs that no list has.
var anyPast = pattern.MustCompile(`(?i)^(?:(?:ok(?:ay)?|just|now|so|and|then|i|we|i'?ve|we'?ve|have|also|finally)[\s,]+)*([a-z]{3,}(?:ed|ilt|ent|ewrote|ought|aught|ook|ave|ut))\s+(?:the|a|an|all|both|it|them|its|our|their|his|her|every|one|two|three|that|this|out|off|over|back)\b`)

// noDeed are pasts of seeing, saying, being and becoming: they change nothing.
var noDeed = setOf(`noticed looked checked confirmed verified joined seemed appeared happened needed wanted agreed noted suspected expected affected resolved failed crashed dropped timed escalated paged pinged assigned acked acknowledged asked called reported opened filed created logged subscribed received returned responded replied answered started stopped ended closed finished completed fixed solved worked helped changed improved recovered increased decreased jumped climbed spiked peaked declined based related caused triggered blamed traced tracked identified discovered learned understood realised realized remembered guessed supposed hoped tested tried measured sampled compared reviewed examined inspected watched monitored observed waited discussed decided proposed suggested warned mentioned told shared posted pasted attached linked documented scheduled planned promised expired rejected refused denied limited delayed queued backed ruled crossed excluded considered missed used turned hit lost went sent spent meant felt kept left found saw said got built-in bought thought brought caught took gave put but out about without must just most current different entire affected heard read confirmed acknowledged announced declared handed passed held showed grew rose fell broke began became came ran stood understood counted listed named owned filled exhausted consumed occupied ate received exceeded reached crossed landed arrived entered leaked hung died survived existed lived stayed remained lasted followed preceded matched differed equalled involved included contained required allowed let enabled loved liked hated appreciated thanked welcomed invited met talked chatted pulled loaded cut shut`)

// acts says whether a clause tells of something that its author, or somebody
// it names, did or is doing to a system; announced: they are about to; advised:
// somebody should.
func acts(clause string) (did, announced, advised bool, verb string) {
	masked := maskCode(clause)
	if lookOnly.MatchString(masked) || itself.MatchString(masked) {
		return false, false, false, ""
	}
	if !strings.Contains(clause, "`") && (metricState.MatchString(masked) || stateUntil.MatchString(masked)) {
		return false, false, false, ""
	}
	asks := question.MatchString(masked)
	if m := nounDeed.FindStringSubmatch(masked); m != nil && !asks && !adviseOnly(masked) {
		return !future.MatchString(masked), future.MatchString(masked), false, strings.ToLower(m[1])
	}
	for _, re := range []*pattern.Pattern{pastRE, someone, ingRE, triedRE} {
		if m := re.FindStringSubmatch(masked); m != nil && !asks && !adviseOnly(masked) {
			v := m[re.SubexpIndex("verb")]
			if re == someone && (!strings.HasPrefix(masked, "@") && failing.MatchString(firstWord(masked)) || verdict(clause) > 0) {
				continue // "errors drained": nobody's doing
			}
			if re == triedRE && !anyDeed.MatchString(masked) && !strings.Contains(clause, "`") {
				continue
			}
			return true, false, false, strings.ToLower(v)
		}
	}
	if m := anyPast.FindStringSubmatch(masked); m != nil && !asks && !noDeed[strings.ToLower(m[1])] && !adviseOnly(masked) {
		return true, false, false, strings.ToLower(m[1])
	}
	for _, re := range []*pattern.Pattern{passive, wasDone} {
		if m := re.FindStringSubmatch(masked); m != nil && !asks && !stateOfThings.MatchString(masked) {
			return true, false, false, strings.ToLower(m[re.SubexpIndex("verb")])
		}
	}
	if m := intendRE.FindStringSubmatch(masked); m != nil && !asks {
		return false, true, false, strings.ToLower(m[intendRE.SubexpIndex("verb")])
	}
	if m := adviseRE.FindStringSubmatch(masked); m != nil {
		return false, false, true, strings.ToLower(m[adviseRE.SubexpIndex("verb")])
	}
	return false, false, false, ""
}

var adviseStart = pattern.MustCompile(`(?i)^(?:maybe |perhaps |please |pls |how about |what about |consider |worth |suggest |try (?:to )?|should |could |can )`)

func adviseOnly(s string) bool { return adviseStart.MatchString(s) }

// stem brings the forms of a word together, roughly: restarting, restarted,
// restarts -> restart.
func stem(w string) string {
	w = strings.ToLower(w)
	if s, ok := stems[w]; ok {
		return s
	}
	for _, end := range []string{"ations", "ation", "ings", "ing", "ies", "ed", "es", "s"} {
		if len(w) > len(end)+3 && strings.HasSuffix(w, end) {
			w = strings.TrimSuffix(w, end)
			if end == "ies" {
				return w + "y"
			}
			break
		}
	}
	if n := len(w); n > 4 && w[n-1] == w[n-2] && strings.IndexByte("bdgmnprt", w[n-1]) >= 0 {
		w = w[:n-1]
	}
	return strings.TrimSuffix(w, "e")
}

// stems are the forms that no suffix rule brings together.
var stems = func() map[string]string {
	out := map[string]string{"rollback": "rollback", "rolled": "rollback", "rolling": "rollback", "roll": "rollback", "failover": "failover", "ran": "run", "rebuilt": "rebuild", "took": "take", "bounced": "restart", "bounce": "restart", "bouncing": "restart", "bumped": "increas", "bump": "increas", "bumping": "increas", "raised": "increas", "raise": "increas", "raising": "increas", "lowered": "reduc", "lower": "reduc", "lowering": "reduc", "killed": "kill", "killing": "kill", "kill": "kill", "reverted": "rollback", "revert": "rollback", "reverting": "rollback", "rebooted": "restart", "reboot": "restart", "rebooting": "restart", "recycled": "restart", "cleared": "flush", "clear": "flush", "clearing": "flush", "purged": "flush", "purge": "flush", "purging": "flush", "flushed": "flush", "flushing": "flush", "expanded": "extend", "expand": "extend", "resized": "extend", "resize": "extend", "resizing": "extend", "extension": "extend", "renewal": "renew", "deletion": "delet", "removal": "remov", "restoration": "restor", "promotion": "promot", "certs": "cert", "certificate": "cert", "certificates": "cert", "database": "db", "databases": "db", "dbs": "db", "config": "config", "configuration": "config", "k8s": "kubernet", "replicas": "replica", "caches": "cach", "cache": "cach", "cached": "cach", "caching": "cach", "scaling": "scal", "scaled": "scal", "scale": "scal"}
	return out
}()

var wordRE = pattern.MustCompile(`[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]|[A-Za-z0-9]`)

var empty = setOf(`a an the and or but if then so of to in on at by for from with without into onto over under up down out off as is are was were be been being am do does did done have has had i we you he she it they them us me my our your their its this that these those there here what which who when where why how not no nor yes ok okay just now also still again all any some more most very too only can could will would should may might must let lets get got getting go going gone went see seeing seen saw look looks looking like one two after before during since until while because about than i'm we're it's that's i've we've i'll we'll don't didn't doesn't isn't wasn't can't won't new back try tried trying think thing things bit lot ll ve re s t d m im think really actually`)

// contentWords are the stems of a text's words that carry meaning.
func contentWords(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range wordRE.FindAllString(text, -1) {
		l := strings.ToLower(w)
		if empty[l] || len(l) < 2 {
			continue
		}
		out[stem(l)] = true
		if strings.ContainsAny(l, "-_./") {
			for _, p := range strings.FieldsFunc(l, func(r rune) bool { return strings.ContainsRune("-_./", r) }) {
				if len(p) > 2 && !empty[p] {
					out[stem(p)] = true
				}
			}
		}
	}
	return out
}

func shared(a, b map[string]bool) int {
	n := 0
	for w := range a {
		if b[w] {
			n++
		}
	}
	return n
}
