package thread

import (
	"strings"
	"time"

	"prunella/thread/pattern"
)

var reports = pattern.MustCompile(`(?i)\b\w{2,}(?:ed|en)\b|\b(?:is|are|was|done|through|complete|active|live|set|put|built|run|made|gone|finished|up)\b`)

// saysDone is the beginning of a report that something was done.
var saysDone = pattern.MustCompile(`(?i)^\W*(?:(?:ok(?:ay)?|and|so|right|now|all)[,.! ]+)*(?:done|finished|complete[d]?|through|applied|deployed|executed|in place|live|merged|rolled out|that'?s done|it'?s done)\b(?:[.,!: ]|$)`)

// through finds where a deed is said to be done: the first sentence of its
// author after it that reports it, before anybody tells of an effect, thanks, or
// closes.
func (ts *tries) through(d *try, limit int, figures readings) {
	words := contentWords(d.Text)
	for _, c := range d.Commands {
		for w := range contentWords(c.Text) {
			words[w] = true
		}
	}
	for w := range ts.t.about() {
		delete(words, w)
	}
	stated := -1 // message of the author that says something else first
	for _, s := range ts.t.said {
		effect, own := figures.effect(s), s.by == d.By
		switch {
		case s.msg < d.msg || s.msg == d.msg && effect <= 0 || s.pointsBack:
			continue
		case s.msg > d.msg && s.msg < limit && own && s.at.Sub(d.At) < 25*time.Minute && !s.asks && len(s.snippets()) == 0 &&
			(effect > 0 && (stated == s.msg || shared(contentWords(s.text), words) > 0) || effect >= 0 && saysDone.MatchString(s.text)):
			ts.done(d, s) // "record exists again. success"
			return
		case s.msg == d.msg, s.msg >= limit, s.at.Sub(d.At) > 25*time.Minute, effect != 0, own && len(s.snippets()) > 0:
			return
		case !own && !s.asks && !s.bot && (gratitude.MatchString(s.text) && len(strings.Fields(s.text)) > 1 || saysOver(s.lower)), own && saysOver(s.lower):
			return
		case !own || s.asks || s.bot || s.line.quoted || hedged.MatchString(s.text) || recursAgain.MatchString(s.lower) || ticketRE.MatchString(s.text) || isWish(s) || len(strings.Fields(s.text)) > 14:
			continue
		}
		stated = s.msg
		n := len(strings.Fields(s.text))
		if doneWord.MatchString(s.lower) || isPast(s.text) || reports.MatchString(s.text) && shared(contentWords(s.text), words) > 0 ||
			!measured(s) && n < 9 && len(contentWords(s.text)) > 0 && !looksAround.MatchString(s.text) && !gratitude.MatchString(s.text) && !strong.MatchString(s.lower) {
			ts.done(d, s)
			return
		}
	}
}

// isPast reports a sentence that tells of a deed as done.
func isPast(text string) bool {
	for _, c := range clauses(text) {
		if did, _, _, verb := acts(c); did && pastForms[verb] && !typing[verb] && !underwayWord.MatchString(c) {
			return true
		}
	}
	return false
}

// justTyped is a command that was entered, and may not be through.
var justTyped = pattern.MustCompile(`(?i)^\W*(?:\w+ )?(?:executed|ran|typed|entered|issued|running|executing)\b`)

// pastForms are the pasts of deeds that are no base form as well.
var pastForms = func() map[string]bool {
	out := map[string]bool{}
	for _, d := range deeds {
		out[d.past] = d.past != d.base
	}
	return out
}()

var underwayWord = anyOf(`try(?:ing)?`, `tried`, `attempt\w*`, `about to`, `going to`, `doing`, `starting`, `started`)

// tellsAll reports whether the message of a deed says itself that it was done.
func (ts *tries) tellsAll(d *try) bool {
	for _, s := range ts.t.said {
		switch {
		case s.msg != d.msg:
			continue
		case justTyped.MatchString(s.text):
			return false
		case s.asks, future.MatchString(s.lower), strong.MatchString(s.lower):
			continue
		}
		if prose := strings.TrimSpace(withoutCode.ReplaceAllString(s.lower, "")); isPast(s.text) || doneWord.MatchString(prose) || throughRE.MatchString(prose) && !ingRE.MatchString(prose) {
			return true
		}
	}
	return false
}

// allParts finds where what was done part by part reached the last of them.
func (ts *tries) allParts(d *try, limit int) {
	for _, s := range ts.t.said {
		if s.msg > d.msg && s.msg < limit && s.by == d.By && s.at.Sub(d.At) < time.Hour && !s.asks && len(s.snippets()) == 0 && len(strings.Fields(s.text)) < 10 && lastPart.MatchString(s.text) {
			ts.done(d, s)
			return
		}
	}
}

// lastPart says that what is done in parts has come to its last.
var lastPart = pattern.MustCompile(`(?i)\b(?:that(?:'?s| is| was| makes)|those (?:are|were)|these (?:are|were)) (?:all|the last|the lot|every|everything|both)\b|\ball (?:of them|two|three|four|five|six|eight|ten|\d+)(?: \w+)? (?:are |is |have |now )*(?:done|through|over|moved|in|out|up|complete|finished|\w+ed)\b|\b(?:the )?last (?:one|\w+)(?: is| was| are|:|,)? (?:done|through|in|over|too|now|as well|finished|complete|moved|\w+ed)\b|\b(\d+) ?(?:/|of|out of) ?(?:\d+) (?:done|through|complete|finished)\b`)
