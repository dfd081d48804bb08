package thread

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// sight is what is seen of one message when it is weighed as the one that
// names the cause, says that the repair is done, or that it is over.
type sight struct {
	msg   int
	at    time.Time
	clock time.Time // the one time of the last hour that it names; zero when it names none
	by    string
	bot   bool
	said  []said
	words int
	stems []string        // of its words
	is    map[string]bool // kinds: what its words and its parts are
	kinds []string        // the same, in order
}

// sights are the messages of a conversation as they are weighed, in order.
func (t *talk) sights(ts *tries) []*sight {
	var out []*sight
	for _, s := range t.said {
		if n := len(out); n == 0 || out[n-1].msg != s.msg {
			out = append(out, &sight{msg: s.msg, at: s.at, by: s.by, bot: s.bot, is: map[string]bool{}})
		}
		one := out[len(out)-1]
		one.said = append(one.said, s)
	}
	for _, o := range out {
		for _, s := range o.said {
			o.hear(t, ts, s)
		}
		o.look(t)
		o.kinds = slices.Sorted(maps.Keys(o.is))
	}
	return out
}

// hear notes what a sentence is: by the classes of its words, and by the rules
// of this package, whose names are in capitals.
func (o *sight) hear(t *talk, ts *tries, s said) {
	if !s.line.quoted {
		eachWord(withoutCode.ReplaceAllString(s.lower, " "), func(w string) bool {
			o.words++
			if st := stem(w); len(w) > 1 && !strings.ContainsAny(w, "0123456789") && !slices.Contains(o.stems, st) {
				o.stems = append(o.stems, st)
			}
			for _, name := range concepts[w] {
				o.is[name] = true
			}
			return true
		})
	}
	low := maskCode(s.lower)
	v, effect := verdict(s.text), ts.figures.effect(s)
	did, announced, advised, _ := acts(s.text)
	times := t.clocks(s)
	if at, ok := lately(s, times); ok {
		o.clock = at
	}
	snippets := s.snippets()
	changes := len(changing(snippets))
	for _, k := range []struct {
		name string
		is   bool
	}{
		{"GOOD", v > 0}, {"BAD", v < 0}, {"WORKED", v > 0 && worked.MatchString(low)}, {"GONE", effect > 0}, {"THERE", effect < 0},
		{"CLOSES", closing.MatchString(low)}, {"OVER", overNow.MatchString(low)}, {"SHUTS", shuts.MatchString(low)}, {"CLEARS", alertOver.MatchString(low)},
		{"IF", conditional.MatchString(low)}, {"HEDGED", hedged.MatchString(low)}, {"FUTURE", future.MatchString(low)}, {"WISH", isWish(s)},
		{"CAUSE", strong.MatchString(low)}, {"CAUSAL", causal.MatchString(low)}, {"DEFECT", defect.MatchString(low)}, {"RULED-OUT", ruledOut.MatchString(low)},
		{"RETRACTS", retracts.MatchString(low)}, {"CORRECTS", corrects.MatchString(low)}, {"FINDS", findsOut.MatchString(low)}, {"HINDSIGHT", hindsight.MatchString(low)},
		{"TAKES", takeRE.MatchString(s.text) || s.claim()}, {"ESCALATES", escalates.MatchString(s.text)}, {"AGAIN", again.MatchString(low)},
		{"RECURS", recurring.MatchString(low) || deeper.MatchString(low)}, {"HALF-WAY", halfWay.MatchString(low)}, {"FAILS", failing.MatchString(low)},
		{"TOO-SOON", tooSoon.MatchString(low)},
		{"DONE", doneWord.MatchString(low) || throughRE.MatchString(low) || saysDone.MatchString(s.text) || lastPart.MatchString(s.text)},
		{"DID", did}, {"ANNOUNCED", announced}, {"ADVISED", advised}, {"ASKS", s.asks || strings.Contains(s.text, "?")},
		{"figure", figure.MatchString(s.text)}, {"clock-time", len(times) > 0}, {"command", changes > 0}, {"look-up", len(snippets) > changes},
		{"code", strings.Contains(s.text, "`")}, {"label-" + s.label, s.label != ""}, {"mention", mentionRE.MatchString(s.text)},
		{"ticket", ticketRE.MatchString(s.text)}, {"colon", leadsIn.MatchString(s.text)},
	} {
		if k.is {
			o.is[k.name] = true
		}
	}
}

// look notes what the message is as a whole.
func (o *sight) look(t *talk) {
	raw := t.c.Messages[o.msg].Text
	length := "words-17"
	switch {
	case o.words < 4:
		length = "words-1"
	case o.words < 9:
		length = "words-4"
	case o.words < 17:
		length = "words-9"
	}
	for _, k := range []struct {
		name string
		is   bool
	}{
		{length, true}, {"report", t.reports[o.msg]}, {"link", strings.Contains(raw, "http")}, {"exclaims", strings.Contains(raw, "!")},
		{"several", len(o.said) > 2}, {"bot", o.bot}, {"bot-clears", o.bot && (o.is["GOOD"] || o.is["CLEARS"])}, {"cheered", len(t.cheers[o.msg]) > 0},
		{"states", !o.is["ASKS"] && !o.is["hedge"] && !o.is["future"]}, {"good-only", o.is["good"] && !o.is["bad"] && !o.is["neg"]},
		{"glad-emoji", slices.ContainsFunc(gladEmoji, func(e string) bool { return strings.Contains(raw, e) })},
	} {
		if k.is {
			o.is[k.name] = true
		}
	}
}

var gladEmoji = []string{":tada:", ":white_check_mark:", ":green", ":heavy_check", ":relieved", ":+1:", ":pray", ":partying", ":clap", ":checkered", "✅", "🎉", "👍", "🟢", "✔", "🙏"}
