package web

import (
	"fmt"
	"hash/fnv"
	"sort"
	"strings"
	"time"
	"unicode"

	"prunella"
)

// signalGroup is linked signals that differ only in their variable parts.
type signalGroup struct {
	ID       string // of its place on the page, the same as the group grows
	Template string
	Kind     prunella.SignalKind
	Severity prunella.Severity
	Services []string
	Sources  []string
	First    time.Time
	Last     time.Time
	Signals  []prunella.Signal // newest first
}

// groupSignals gathers signals by kind and masked text, largest group first.
func groupSignals(signals []prunella.Signal) []signalGroup {
	index := map[string]int{}
	var out []signalGroup
	for _, s := range signals {
		text := s.Body
		if text == "" {
			text = s.Name
		}
		template := mask(text)
		key := string(s.Kind) + "\x00" + template
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, signalGroup{ID: fmt.Sprintf("group-%x", fnv32(key)), Template: template, Kind: s.Kind, Severity: s.Severity, First: s.Time, Last: s.Time})
		}
		g := &out[i]
		g.Signals = append(g.Signals, s)
		g.Services, g.Sources = including(g.Services, s.Service), including(g.Sources, s.Source)
		if s.Severity.Rank() > g.Severity.Rank() {
			g.Severity = s.Severity
		}
		if s.Time.Before(g.First) {
			g.First = s.Time
		}
		if s.Time.After(g.Last) {
			g.Last = s.Time
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return len(out[i].Signals) > len(out[j].Signals) })
	return out
}

func fnv32(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

func including(list []string, s string) []string {
	if s == "" {
		return list
	}
	i := sort.SearchStrings(list, s)
	if i < len(list) && list[i] == s {
		return list
	}
	list = append(list, "")
	copy(list[i+1:], list[i:])
	list[i] = s
	return list
}

// maskedPart stands for a variable part of a text.
const maskedPart = "‹…›"

// mask replaces the words of a text that hold a digit, for showing only: what
// the engine matches on are the templates that it mines.
func mask(text string) string {
	const longest = 400
	words := strings.Fields(text)
	for i, w := range words {
		core := strings.TrimFunc(w, func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) })
		if core != "" && strings.ContainsFunc(core, unicode.IsDigit) {
			words[i] = strings.Replace(w, core, maskedPart, 1)
		}
	}
	out := []rune(strings.Join(words, " "))
	if len(out) > longest {
		return string(out[:longest]) + "…"
	}
	return string(out)
}
