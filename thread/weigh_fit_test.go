package thread_test

import (
	"flag"
	"fmt"
	"go/format"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prunella/thread"
	"prunella/thread/exportgen"
)

var (
	refit = flag.Bool("refit", false, "fit the weights anew and write their tables")
	folds = flag.Bool("folds", false, "fit without each bank in turn and say how well the weights do on it")
	size  = flag.Int("size", 470, "features of each time")
	seeds = flag.Int("seeds", 12, "archives of each bank")
)

// toldTimes are what messages are weighed for, in the order of a row of weights.
var toldTimes = []string{"diagnosed", "fixed", "resolved"}

// example is a conversation whose right messages are known.
type example struct {
	bank      exportgen.Bank
	begun     bool      // only its beginning
	features  [][]int32 // by message
	right     [3][]bool // by time and message; none is right where the time was not told
	near      [3][]bool // the same within the tolerance of the score
	named     [3]bool   // somebody named that time: the message does not matter
	namedNear [3]bool   // and it was the right one
}

// schooling are the examples and what their features are called.
type schooling struct {
	names    []string
	examples []example
}

// TestFit fits the weights on archives of the banks that whoever writes rules
// may read, of seeds that are measured nowhere.
func TestFit(t *testing.T) {
	if !*refit && !*folds {
		t.Skip("needs -refit or -folds")
	}
	c := gather(t, *seeds)
	t.Logf("%d examples, %d features", len(c.examples), len(c.names))
	if *folds {
		c.crossValidate(t)
	}
	if *refit {
		c.write(t)
	}
}

func readable() []exportgen.Bank {
	return slices.DeleteFunc(exportgen.Banks(), func(b exportgen.Bank) bool { return b == exportgen.Unseen })
}

// gather plays archives and looks at their conversations.
func gather(t *testing.T, seeds int) *schooling {
	t.Helper()
	c := &schooling{}
	ids := map[string]int32{}
	r := rand.New(rand.NewPCG(7, 7))
	for _, bank := range readable() {
		for n := range seeds {
			a, dir, messages := played(t, exportgen.Options{Seed: uint64(90000 + n), Bank: bank, Chatter: 300})
			whole, begun := thread.Weigh(dir, messages, func(n int) int { return 2 + r.IntN(max(1, n-2)) })
			for i, in := range incidentsOf(a.Truth, whole) {
				if in != nil {
					c.examples = append(c.examples, c.example(bank, in, whole[i], false, ids), c.example(bank, in, begun[i], true, ids))
				}
			}
		}
	}
	return c
}

// played is an archive as it is read.
func played(t *testing.T, o exportgen.Options) (*exportgen.Archive, *thread.Directory, []thread.Message) {
	t.Helper()
	a := exportgen.Generate(o)
	dir := t.TempDir()
	if err := a.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	e, err := thread.OpenExport(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var messages []thread.Message
	for m, err := range e.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return a, e.Directory(), messages
}

// incidentsOf finds the incident that most messages of each conversation belong to.
func incidentsOf(truth *exportgen.Truth, list []thread.Weighable) []*exportgen.Incident {
	owner := map[string]*exportgen.Incident{}
	for _, in := range truth.Incidents {
		for _, ts := range in.TS {
			owner[in.Channel+"/"+ts] = in
		}
	}
	out := make([]*exportgen.Incident, len(list))
	for i, w := range list {
		shared := map[*exportgen.Incident]int{}
		for _, m := range w.X.Messages {
			if in := owner[m.Channel+"/"+m.TS]; in != nil {
				if shared[in]++; 2*shared[in] > len(w.X.Messages) {
					out[i] = in
				}
			}
		}
	}
	return out
}

func (c *schooling) example(bank exportgen.Bank, in *exportgen.Incident, w thread.Weighable, begun bool, ids map[string]int32) example {
	e := example{bank: bank, begun: begun}
	for _, names := range w.Features {
		var list []int32
		for _, n := range names {
			id, ok := ids[n]
			if !ok {
				id = int32(len(c.names))
				ids[n] = id
				c.names = append(c.names, n)
			}
			list = append(list, id)
		}
		e.features = append(e.features, list)
	}
	truth := [3][]time.Time{{in.Diagnosed}, {in.Fixed, in.FixedBy}, {in.Resolved}}
	found := [3]time.Time{w.X.Diagnosed, w.X.Fixed, w.X.Resolved}
	is := func(k int, at time.Time, within time.Duration) bool {
		return !at.IsZero() && slices.ContainsFunc(truth[k], func(want time.Time) bool { return !want.IsZero() && at.Sub(want).Abs() <= within })
	}
	for k, name := range toldTimes {
		tells := w.At
		if name == "fixed" {
			tells = w.Named
		}
		for _, at := range tells {
			e.right[k] = append(e.right[k], is(k, at, time.Second))
			e.near[k] = append(e.near[k], is(k, at, exportgen.Tolerance))
		}
		if done := exact(tells, truth[k][0]); slices.Contains(done, true) {
			e.right[k] = done // who says that it is done goes before who says that it helped
		}
		e.named[k] = slices.ContainsFunc(w.X.Times, func(m thread.Moment) bool { return m.Name == name && m.Stated })
		e.namedNear[k] = e.named[k] && is(k, found[k], exportgen.Tolerance)
	}
	return e
}

// exact are those of list that are a time to the second.
func exact(list []time.Time, want time.Time) []bool {
	out := make([]bool, len(list))
	for i, at := range list {
		out[i] = !want.IsZero() && at.Sub(want).Abs() <= time.Second
	}
	return out
}

// Fitting: one softmax over the messages of a conversation and "none of them"
// (0), descended by the gradient of each conversation in turn (AdaGrad), the
// weights averaged over the later rounds. What the rules see is left out at
// random, since rules know the phrases of these banks better than those of others.
const (
	rounds   = 24
	step     = 0.1
	ridge    = 10.0
	leaveOut = 0.3 // share of the rules that a conversation is read without
	rare     = 12  // messages with a feature, from which it counts
)

// fit returns weights by feature for time k, without what bank out says; only
// the features in use count.
func (c *schooling) fit(k int, out exportgen.Bank, use []bool) []float64 {
	var list []example
	for _, e := range c.examples {
		if e.bank != out && (slices.Contains(e.right[k], true) || e.begun && !slices.Contains(e.near[k], true)) {
			list = append(list, e)
		}
	}
	w, squares, mean := make([]float64, len(c.names)), make([]float64, len(c.names)), make([]float64, len(c.names))
	off := make([]bool, len(c.names))
	rules := c.byRule()
	gradient := map[int32]float64{}
	r := rand.New(rand.NewPCG(1, uint64(k)))
	for round := range rounds {
		for _, i := range r.Perm(len(list)) {
			e := list[i]
			for _, features := range rules {
				out := r.Float64() < leaveOut
				for _, f := range features {
					off[f] = out
				}
			}
			p, q := e.shares(k, w, func(f int32) bool { return use[f] && !off[f] })
			clear(gradient)
			for m, features := range e.features {
				if d := p[m] - q[m]; math.Abs(d) > 1e-4 {
					for _, f := range features {
						if use[f] && !off[f] {
							gradient[f] += d
						}
					}
				}
			}
			for f, g := range gradient {
				g += ridge * w[f] / float64(len(list))
				squares[f] += g * g
				w[f] -= step * g / (math.Sqrt(squares[f]) + 1e-6)
			}
		}
		if round >= rounds/2 {
			for f := range w {
				mean[f] += w[f] / (rounds - rounds/2)
			}
		}
	}
	return mean
}

// byRule groups the features that come from one rule: its name is in capitals.
func (c *schooling) byRule() [][]int32 {
	groups := map[string][]int32{}
	for f, n := range c.names {
		n = n[strings.IndexByte(n, ':')+1:]
		n, _, _ = strings.Cut(n, "@")
		if n, _, _ = strings.Cut(n, "."); n == strings.ToUpper(n) {
			groups[n] = append(groups[n], int32(f))
		}
	}
	var out [][]int32
	for _, n := range sorted(groups) {
		out = append(out, groups[n])
	}
	return out
}

func sorted(m map[string][]int32) []string {
	var list []string
	for n := range m {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// shares are what the weights give each message, and what they should give:
// all to the right ones, in the proportion that they have.
func (e example) shares(k int, w []float64, counts func(int32) bool) (p, q []float64) {
	p, q = make([]float64, len(e.features)), make([]float64, len(e.features))
	most := 0.0
	for m, features := range e.features {
		for _, f := range features {
			if counts(f) {
				p[m] += w[f]
			}
		}
		most = max(most, p[m])
	}
	all, right := math.Exp(-most), 0.0
	for m := range p {
		p[m] = math.Exp(p[m] - most)
		all += p[m]
		if e.right[k][m] {
			q[m] = p[m]
			right += p[m]
		}
	}
	for m := range p {
		p[m] /= all
		if right > 0 {
			q[m] /= right
		}
	}
	return p, q
}

// choose fits with fewer and fewer features: those that matter least go.
func (c *schooling) choose(k int, out exportgen.Bank) []float64 {
	use := c.common(out)
	spread := c.spread()
	for n := *size * 4; ; n /= 2 {
		w := c.fit(k, out, use)
		if n < *size {
			return w
		}
		order := make([]int, len(w))
		matters := make([]float64, len(w))
		for f := range order {
			order[f], matters[f] = f, math.Abs(w[f])*spread[f]
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case matters[a] > matters[b]:
				return -1
			case matters[a] < matters[b]:
				return 1
			}
			return 0
		})
		for _, f := range order[min(n, len(order)):] {
			use[f] = false
		}
	}
}

// common are the features that at least three banks have, often enough.
func (c *schooling) common(out exportgen.Bank) []bool {
	count := make([]int, len(c.names))
	banks := make([]map[exportgen.Bank]bool, len(c.names))
	for _, e := range c.examples {
		if e.bank == out {
			continue
		}
		for _, features := range e.features {
			for _, f := range features {
				if banks[f] == nil {
					banks[f] = map[exportgen.Bank]bool{}
				}
				banks[f][e.bank] = true
				count[f]++
			}
		}
	}
	use := make([]bool, len(c.names))
	for f := range use {
		use[f] = count[f] >= rare && (len(banks[f]) > 3 || len(banks[f]) > 2 && !strings.HasPrefix(c.names[f], "word:"))
	}
	return use
}

// spread is how much a feature tells messages of one conversation apart.
func (c *schooling) spread() []float64 {
	out := make([]float64, len(c.names))
	for _, e := range c.examples {
		count := map[int32]float64{}
		for _, features := range e.features {
			for _, f := range features {
				count[f]++
			}
		}
		for f, n := range count {
			p := n / float64(len(e.features))
			out[f] += p * (1 - p)
		}
	}
	for f := range out {
		out[f] = math.Sqrt(out[f])
	}
	return out
}

// crossValidate says for each bank how well weights do that were fitted on the others.
func (c *schooling) crossValidate(t *testing.T) {
	banks := readable()
	lines := make([]string, len(toldTimes)*len(banks))
	var group sync.WaitGroup
	for k, name := range toldTimes {
		group.Go(func() {
			for b, bank := range banks {
				lines[k*len(banks)+b] = name + " of " + string(bank) + ": " + c.judge(k, bank, c.choose(k, bank))
			}
		})
	}
	group.Wait()
	t.Log("\n" + strings.Join(lines, "\n"))
}

// judge counts how many times of a bank are right by these weights, and how
// often they tell a time that has not come.
func (c *schooling) judge(k int, bank exportgen.Bank, w []float64) string {
	var whole, right, begun, early float64
	for _, e := range c.examples {
		if e.bank != bank {
			continue
		}
		best, most := -1, thread.Least
		for m, features := range e.features {
			s := 0.0
			for _, f := range features {
				s += w[f]
			}
			if s > most {
				best, most = m, s
			}
		}
		hit := best >= 0 && e.near[k][best]
		if e.named[k] {
			hit = e.namedNear[k]
		}
		switch {
		case !e.begun:
			whole++
			if hit {
				right++
			}
		case !e.named[k] && !slices.Contains(e.near[k], true):
			begun++
			if best >= 0 {
				early++
			}
		}
	}
	return fmt.Sprintf("%.3f of %.0f right; told too early in %.3f of %.0f that break off before it", right/whole, whole, early/begun, begun)
}

// write writes a table for each time.
func (c *schooling) write(t *testing.T) {
	for k, name := range toldTimes {
		writeTable(t, name, c.names, c.choose(k, ""))
	}
}

// writeTable writes the weights that are worth a line.
func writeTable(t *testing.T, name string, names []string, weights []float64) {
	t.Helper()
	var rows []string
	for f, w := range weights {
		if math.Abs(w) >= 0.05 {
			rows = append(rows, fmt.Sprintf("\t%q: %.2f,\n", names[f], w))
		}
	}
	slices.Sort(rows)
	head := "package thread\n\n// " + name + "Weights are fitted, not written: go test ./thread -run TestFit -refit\nvar " + name + "Weights = map[string]float64{\n"
	text, err := format.Source([]byte(head + strings.Join(rows, "") + "}\n"))
	if err == nil {
		err = os.WriteFile("weights_"+name+".go", text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d features", name, len(rows))
}
