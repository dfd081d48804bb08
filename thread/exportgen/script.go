package exportgen

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// script is a conversation as a bank writes it down: who says what, what of it
// is true, and under which conditions it is said.
//
//	B@f1@!late?60+300: [try f1] {f1.past} {f1.inline} || [fail] no change ~~ [fail] nope
//
// B speaks when the first failing attempt is played and the flag late is not
// up, in 60 of 100 cases, up to 300 seconds after the message before. ~~ parts
// alternatives, || the sentences of a message, |n| its lines. The words in
// brackets say what the sentence is in the truth; see performance.mark. An
// alternative "=NAME" stands for every line of the bank's act NAME, which must
// come before the script.
type script struct {
	name  string
	pace  int // seconds at most between messages
	lines []cue
}

type cue struct {
	role string
	need []string // flags; with ! before when they must be down
	odds int      // of 100
	wait int      // seconds at most; 0 for the script's pace
	alts [][]segment
}

// segment is a piece of a message with what it is.
type segment struct {
	tags [][]string // words of each
	text string
	join string // what stands before it: "\n", " ", or "." for the end of a sentence
}

var (
	cueForm = regexp.MustCompile(`^([A-Z][A-Za-z]*)((?:@!?\w+)*)(?:\?(\d+))?(?:\+(\d+))?: (.+)$`)
	tagForm = regexp.MustCompile(`\[([a-z]+(?: \w+)?(?:,[a-z]+(?: \w+)?)*)\] ?`)
)

// parseScript reads the head of a script: its name and pace.
func parseScript(head string) *script {
	name, pace, _ := strings.Cut(head, " ")
	n, err := strconv.Atoi(pace)
	if err != nil {
		panic(fmt.Sprintf("script %s: no pace", head))
	}
	return &script{name: name, pace: n}
}

// add reads a line; acts are those of the bank so far.
func (sc *script) add(text string, acts map[string][]string) {
	g := cueForm.FindStringSubmatch(text)
	if g == nil {
		panic(fmt.Sprintf("script %s: cannot read %q", sc.name, text))
	}
	c := cue{role: g[1], odds: 100}
	if g[2] != "" {
		c.need = strings.Split(g[2][1:], "@")
	}
	if g[3] != "" {
		c.odds, _ = strconv.Atoi(g[3])
	}
	c.wait, _ = strconv.Atoi(g[4])
	for alt := range strings.SplitSeq(g[5], " ~~ ") {
		name, pooled := strings.CutPrefix(alt, "=")
		if !pooled {
			c.alts = append(c.alts, message(alt))
			continue
		}
		if len(acts[name]) == 0 {
			panic(fmt.Sprintf("script %s: no act %q before it", sc.name, name))
		}
		for _, line := range acts[name] {
			c.alts = append(c.alts, message(line))
		}
	}
	sc.lines = append(sc.lines, c)
}

// message splits an alternative into lines and sentences.
func message(text string) (list []segment) {
	for i, row := range strings.Split(text, " |n| ") {
		for j, sentence := range strings.Split(row, " || ") {
			join := "."
			if i > 0 && j == 0 {
				join = "\n"
			}
			list = append(list, segments(sentence, join)...)
		}
	}
	return list
}

// segments splits a sentence before each of its brackets.
func segments(text, join string) (list []segment) {
	marks := tagForm.FindAllStringSubmatchIndex(text, -1)
	if len(marks) == 0 || marks[0][0] > 0 {
		end := len(text)
		if len(marks) > 0 {
			end = marks[0][0]
		}
		list = append(list, segment{text: strings.TrimSpace(text[:end]), join: join})
		join = " "
	}
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		seg := segment{text: strings.TrimSpace(text[m[1]:end]), join: join}
		for tag := range strings.SplitSeq(text[m[2]:m[3]], ",") {
			seg.tags = append(seg.tags, strings.Fields(tag))
		}
		list = append(list, seg)
		join = " "
	}
	return list
}
