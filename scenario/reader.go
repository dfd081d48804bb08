package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella"
)

// reader turns YAML nodes into values and gathers everything that is wrong,
// each with its line and what to write instead.
type reader struct {
	path     string
	problems []problem
}

type problem struct {
	line int
	err  error
}

func (r *reader) fail(n *yaml.Node, remedy, format string, args ...any) {
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	r.problems = append(r.problems, problem{line, &prunella.Error{Kind: prunella.Invalid, Where: fmt.Sprintf("%s:%d", r.path, line),
		Reason: fmt.Sprintf(format, args...), Remedy: remedy}})
}

// err is every problem in the order of the file, nil without any.
func (r *reader) err() error {
	slices.SortStableFunc(r.problems, func(a, b problem) int { return a.line - b.line })
	var errs []error
	for _, p := range r.problems {
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}

// fields is what a mapping may hold.
type fields map[string]func(*yaml.Node)

// mapping reads n by its known keys; an unknown or repeated key is a problem.
func (r *reader) mapping(n *yaml.Node, what string, known fields) map[string]*yaml.Node {
	seen := r.pairs(n, what)
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		read, ok := known[key]
		if !ok {
			r.fail(seen[key], "write one of "+strings.Join(slices.Sorted(maps.Keys(known)), ", ")+hint(key, known), "%s has no key %q", what, key)
			continue
		}
		read(seen[key])
	}
	return seen
}

func hint(key string, known fields) string {
	if near := nearest(key, slices.Sorted(maps.Keys(known))); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// pairs returns the values of a mapping by key.
func (r *reader) pairs(n *yaml.Node, what string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "write key: value lines below it", "%s is %s, not a mapping", what, kindOf(n))
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.fail(key, "write a plain word", "%s has a key that is %s", what, kindOf(key))
			continue
		}
		if _, twice := out[key.Value]; twice {
			r.fail(key, "keep one of them", "%s has the key %q twice", what, key.Value)
			continue
		}
		if value.Line == 0 {
			value.Line = key.Line
		}
		out[key.Value] = value
	}
	return out
}

func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "write a list, one item a line, each behind a dash", "%s is %s, not a list", what, kindOf(n))
		return nil
	}
	return n.Content
}

func (r *reader) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fail(n, "write a single value", "%s is %s", what, kindOf(n))
		return "", false
	}
	return n.Value, true
}

func (r *reader) text(n *yaml.Node, what string) string {
	s, ok := r.scalar(n, what)
	if ok && strings.TrimSpace(s) == "" {
		r.fail(n, "write its text, or leave the key out", "%s is empty", what)
	}
	return strings.TrimSpace(s)
}

// word is a text out of a closed set.
func (r *reader) word(n *yaml.Node, what string, allowed []string) string {
	s, ok := r.scalar(n, what)
	if ok && !slices.Contains(allowed, s) {
		near := ""
		if w := nearest(s, allowed); w != "" {
			near = "; did you mean " + w + "?"
		}
		r.fail(n, "write one of "+strings.Join(allowed, ", ")+near, "%s is %q", what, s)
	}
	return s
}

// texts is a list of texts; a single text is a list of one.
func (r *reader) texts(n *yaml.Node, what string) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{r.text(n, what)}
	}
	out := []string{}
	for _, item := range r.items(n, what) {
		out = append(out, r.text(item, what))
	}
	if len(out) == 0 && n.Kind == yaml.SequenceNode {
		r.fail(n, "write an item, or leave the key out", "%s is an empty list and would assert nothing", what)
	}
	return out
}

func (r *reader) words(n *yaml.Node, what string, allowed []string) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{r.word(n, what, allowed)}
	}
	out := []string{}
	for _, item := range r.items(n, what) {
		out = append(out, r.word(item, what, allowed))
	}
	if len(out) == 0 && n.Kind == yaml.SequenceNode {
		r.fail(n, "write an item, or leave the key out", "%s is an empty list and would assert nothing", what)
	}
	return out
}

func (r *reader) integer(n *yaml.Node, what string, least int) int {
	s, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < least {
		r.fail(n, fmt.Sprintf("write a whole number, %d or more", least), "%s is %q", what, s)
	}
	return v
}

func (r *reader) number(n *yaml.Node, what string, least float64) float64 {
	s, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= least) || v > 1e12 {
		r.fail(n, fmt.Sprintf("write a number, %v or more", least), "%s is %q", what, s)
		return 0
	}
	return v
}

// share is a fraction from 0 to 1, also written as a percentage.
func (r *reader) share(n *yaml.Node, what string) float64 {
	s, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		r.fail(n, "write a share like 0.05 or 5%", "%s is %q", what, s)
		return 0
	}
	return v
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	s, ok := r.scalar(n, what)
	if ok && s != "true" && s != "false" {
		r.fail(n, "write true or false", "%s is %q", what, s)
	}
	return s == "true"
}

func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	s, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		r.fail(n, "write a duration like 500ms, 90s or 1h", "%s is %q", what, s)
		return 0
	}
	return d
}

// flat is a mapping of texts; a list of texts becomes one with commas.
func (r *reader) flat(n *yaml.Node, what string) map[string]string {
	out := map[string]string{}
	for key, value := range r.pairs(n, what) {
		if value.Kind == yaml.SequenceNode {
			out[key] = strings.Join(r.texts(value, what+"."+key), ",")
			continue
		}
		out[key], _ = r.scalar(value, what+"."+key)
	}
	return out
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case n.Tag == "!!null":
		return "empty"
	}
	return "a single value"
}

// nearest is the word within two edits of s, "" when there is none.
func nearest(s string, words []string) string {
	best, at := "", 3
	for _, w := range words {
		if d := edits(s, w); d < at {
			best, at = w, d
		}
	}
	return best
}

// edits is the Levenshtein distance, and 3 for words far apart in length.
func edits(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
