package exportgen

import (
	"regexp"
	"slices"
	"strings"

	"prunella/thread"
)

var (
	promptMark = regexp.MustCompile(`^(?:[\w.@~:/-]*[$>]|\S+@\S+#)\s+`)
	blanks     = regexp.MustCompile(`\s+`)
	planted    = "\x00" // stands for a secret in a normal form
)

// normal splits what is shown as one command into the commands in it: a line
// of a shell, a statement of SQL, a whole piece of configuration; without
// prompts, comments and superfluous white space.
func normal(text, lang string) []string {
	var out []string
	add := func(s string) {
		if s = strings.TrimSuffix(strings.TrimSpace(blanks.ReplaceAllString(s, " ")), ";"); s != "" {
			out = append(out, s)
		}
	}
	switch lang {
	case "sql":
		for s := range strings.SplitSeq(text, ";") {
			add(s)
		}
	case "bash":
		text = strings.ReplaceAll(text, "\\\n", " ")
		for l := range strings.SplitSeq(text, "\n") {
			l = promptMark.ReplaceAllString(strings.TrimSpace(l), "")
			if !strings.HasPrefix(l, "#") {
				add(l)
			}
		}
	default:
		var kept []string
		for l := range strings.SplitSeq(text, "\n") {
			l, _, _ = strings.Cut(l, " #")
			kept = append(kept, l)
		}
		add(strings.Join(kept, " "))
	}
	return out
}

func normalTrue(list []Command) []string {
	var out []string
	for _, c := range list {
		text := c.Text
		if c.Secret != "" {
			text = strings.ReplaceAll(text, c.Secret, planted)
		}
		out = append(out, normal(text, c.Lang)...)
	}
	return out
}

func normalFound(list []thread.Command) []string {
	var out []string
	for _, c := range list {
		lang := "bash"
		switch c.Kind {
		case thread.KindConfig:
			lang = "config"
		case thread.KindQuery:
			lang = "sql"
		}
		out = append(out, normal(c.Text, lang)...)
	}
	return out
}

// sameCommand compares normal forms; where the truth has a secret, anything
// else may stand.
func sameCommand(want, got string) bool {
	before, after, secret := strings.Cut(want, planted)
	if !secret {
		return want == got
	}
	return len(got) > len(before)+len(after) && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)
}

// commands counts the longest common subsequence: right texts in the right
// order.
func (c *comparison) commands(in *Incident, x thread.Extraction) {
	w, g := normalTrue(in.Commands), normalFound(x.Commands)
	table := make([][]int, len(w)+1)
	for i := range table {
		table[i] = make([]int, len(g)+1)
	}
	for i := len(w) - 1; i >= 0; i-- {
		for j := len(g) - 1; j >= 0; j-- {
			if sameCommand(w[i], g[j]) {
				table[i][j] = table[i+1][j+1] + 1
			} else {
				table[i][j] = max(table[i+1][j], table[i][j+1])
			}
		}
	}
	for _, s := range w {
		if !slices.ContainsFunc(g, func(t string) bool { return sameCommand(s, t) }) {
			c.miss("commands", s, "")
		}
	}
	for _, s := range g {
		if !slices.ContainsFunc(w, func(t string) bool { return sameCommand(t, s) }) {
			c.miss("commands", "", s)
		}
	}
	c.score.hit("commands", len(w), len(g), table[0][0])
}

// attempts compares what was tried and how it went. An extracted attempt is
// the true one in whose messages its first source is, else the one it shares a
// command with.
func (c *comparison) attempts(in *Incident, x thread.Extraction) {
	which := func(a thread.Attempt) int {
		var told, shares []int
		for i, w := range in.Attempts {
			if len(a.Sources) > 0 && slices.Contains(w.TS, a.Sources[0].TS) {
				told = append(told, i)
			}
			for _, s := range normalTrue(w.Commands) {
				if slices.ContainsFunc(normalFound(a.Commands), func(t string) bool { return sameCommand(s, t) }) {
					shares = append(shares, i)
					break
				}
			}
		}
		// Where one message tells of several, the command decides, then the outcome.
		likely := func(i, j int) int {
			grade := func(i int) int {
				switch {
				case slices.Contains(shares, i):
					return 0
				case in.Attempts[i].Outcome == a.Outcome:
					return 1
				}
				return 2
			}
			return grade(i) - grade(j)
		}
		switch {
		case len(told) > 0:
			return slices.MinFunc(told, likely)
		case len(shares) > 0:
			return shares[0]
		}
		return -1
	}
	right := map[int]bool{}
	worked, found, foundRight, accurate := 0, 0, 0, 0
	for k, a := range x.Tried {
		i := which(a)
		good := i >= 0 && in.Attempts[i].Outcome == a.Outcome
		if good {
			right[i] = true
			accurate++
		} else {
			c.miss("attempts", "", a.Outcome+": "+a.Text)
		}
		if slices.Contains(x.Worked, k) {
			found++
			if good && a.Outcome == thread.Worked {
				foundRight++
			} else {
				c.miss("outcome", "", a.Text)
			}
		}
	}
	recalled := 0
	for i, w := range in.Attempts {
		if !right[i] {
			c.miss("attempts", w.Outcome+": "+strings.Join(normalTrue(w.Commands), " && "), "")
		}
		if w.Outcome == thread.Worked {
			worked++
			if right[i] {
				recalled++
			} else {
				c.miss("outcome", strings.Join(normalTrue(w.Commands), " && "), "")
			}
		}
	}
	c.score.hits("outcome", worked, found, recalled, foundRight)
	c.score.hits("attempts", len(in.Attempts), len(x.Tried), len(right), accurate)
}
