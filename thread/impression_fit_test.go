package thread_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"prunella/thread"
	"prunella/thread/exportgen"
)

// impressed is a conversation of which is known whether it is an incident.
type impressed struct {
	bank     exportgen.Bank
	incident bool
	poorer   bool // without its code, and without some of its messages
	part     bool // of an incident: neither one nor none
	rules    float64
	features []int32
}

// impressions are conversations of all kinds, and what their features are called.
type impressions struct {
	names   []string
	list    []impressed
	in      []int // conversations with each feature
	inBanks []map[exportgen.Bank]bool
}

// TestFitImpression fits what the impression of a conversation weighs, on
// archives of the banks that whoever writes rules may read, of seeds that are
// measured nowhere.
func TestFitImpression(t *testing.T) {
	if !*refit && !*folds {
		t.Skip("needs -refit or -folds")
	}
	c := impressionsOf(t)
	t.Logf("%d conversations, %d features", len(c.list), len(c.names))
	if *folds {
		c.crossValidate(t)
	}
	if *refit {
		writeTable(t, "incident", c.names, c.choose(""))
	}
}

func impressionsOf(t *testing.T) *impressions {
	t.Helper()
	c := &impressions{}
	ids := map[string]int32{}
	for _, bank := range readable() {
		for n := range 6 {
			o := exportgen.Options{Seed: uint64(91000 + n), Bank: bank, Chatter: 300}
			if n < 2 { // other talk outweighs the incidents 19 to 1, as in the archives of 100,000
				o.Days, o.Incidents, o.Chatter = 82, 48, 23000
			}
			a, dir, messages := played(t, o)
			r := rand.New(rand.NewPCG(uint64(n), 5))
			list := thread.Impressions(dir, messages, func() bool { return r.IntN(4) == 0 })
			whole := map[string]bool{} // incidents that are known already
			for i, in := range incidentsAmong(a.Truth, list) {
				one := impressed{bank: bank, poorer: list[i].Poorer, rules: list[i].Rules}
				switch {
				case one.poorer:
					one.incident, one.part = c.list[len(c.list)-1].incident, c.list[len(c.list)-1].part
				case in != nil && !whole[in.Key()] && 2*len(list[i].X.Messages) >= len(in.TS):
					one.incident, whole[in.Key()] = true, true
				case in != nil:
					one.part = true
				}
				for _, name := range list[i].Features {
					id, ok := ids[name]
					if !ok {
						id = int32(len(c.names))
						ids[name] = id
						c.names, c.in, c.inBanks = append(c.names, name), append(c.in, 0), append(c.inBanks, map[exportgen.Bank]bool{})
					}
					one.features = append(one.features, id)
					c.in[id]++
					c.inBanks[id][bank] = true
				}
				c.list = append(c.list, one)
			}
		}
	}
	return c
}

func index(poorer bool) int {
	if poorer {
		return 1
	}
	return 0
}

// incidentsAmong finds the incident that most messages of each conversation belong to.
func incidentsAmong(truth *exportgen.Truth, list []thread.Impression) []*exportgen.Incident {
	of := make([]thread.Weighable, len(list))
	for i, one := range list {
		of[i].X = one.X
	}
	return incidentsOf(truth, of)
}

// Fitting: a logistic regression, descended by the gradient of each conversation
// in turn (AdaGrad), the weights averaged over the later rounds.
const (
	turns     = 8
	gravity   = 30.0 // by which weights are drawn to 0
	uncommon  = 20   // conversations with a feature, from which it counts
	mostNames = 240
)

func (c *impressions) fit(out exportgen.Bank, use []bool) []float64 {
	var list []impressed
	for _, e := range c.list {
		if e.bank != out && !e.part {
			list = append(list, e)
		}
	}
	w, squares, mean := make([]float64, len(c.names)), make([]float64, len(c.names)), make([]float64, len(c.names))
	r := rand.New(rand.NewPCG(3, 3))
	for turn := range turns {
		for _, i := range r.Perm(len(list)) {
			e := list[i]
			d := 1 / (1 + math.Exp(-e.weighs(w)))
			if e.incident {
				d--
			}
			if math.Abs(d) < 1e-3 {
				continue
			}
			for _, f := range e.features {
				if use[f] {
					g := d + gravity*w[f]/float64(len(list))
					squares[f] += g * g
					w[f] -= step * g / (math.Sqrt(squares[f]) + 1e-6)
				}
			}
		}
		if turn >= turns/2 {
			for f := range w {
				mean[f] += w[f] / (turns - turns/2)
			}
		}
	}
	return mean
}

func (e impressed) weighs(w []float64) float64 {
	s := 0.0
	for _, f := range e.features {
		s += w[f]
	}
	return s
}

// choose fits with fewer and fewer features: those that matter least go.
func (c *impressions) choose(out exportgen.Bank) []float64 {
	use, matters := make([]bool, len(c.names)), make([]float64, len(c.names))
	left := 0
	for f := range use {
		banks := len(c.inBanks[f])
		if c.inBanks[f][out] {
			banks--
		}
		if use[f] = c.in[f] >= uncommon && banks > 3; use[f] {
			left++
		}
	}
	for {
		w := c.fit(out, use)
		if left <= mostNames {
			return w
		}
		var order []int32
		for f := range w {
			if use[f] {
				p := float64(c.in[f]) / float64(len(c.list))
				matters[f] = math.Abs(w[f]) * math.Sqrt(p*(1-p))
				order = append(order, int32(f))
			}
		}
		slices.SortStableFunc(order, func(a, b int32) int {
			switch {
			case matters[a] > matters[b]:
				return -1
			case matters[a] < matters[b]:
				return 1
			}
			return 0
		})
		left = max(mostNames, left*2/3)
		for _, f := range order[left:] {
			use[f] = false
		}
	}
}

// crossValidate says for each bank how well the judge finds its incidents with
// weights that were fitted on the others, and with the rules alone.
func (c *impressions) crossValidate(t *testing.T) {
	banks := readable()
	lines := make([]string, len(banks))
	var group sync.WaitGroup
	for b, bank := range banks {
		group.Go(func() {
			w := c.choose(bank)
			lines[b] = fmt.Sprintf("%s: %s; by the rules alone %s; by the impression alone %s", bank,
				c.judged(bank, func(e impressed) bool { return thread.Heard(e.rules, e.weighs(w)) >= thread.Threshold }),
				c.judged(bank, func(e impressed) bool { return e.rules >= thread.Threshold }),
				c.judged(bank, func(e impressed) bool { return e.weighs(w) >= 0 }))
		})
	}
	group.Wait()
	t.Log("\n" + strings.Join(lines, "\n"))
}

// judged are precision and recall among the conversations of a bank as they
// are, and among those without their code.
func (c *impressions) judged(bank exportgen.Bank, incident func(impressed) bool) string {
	var all, right, wrong [2]int
	for _, e := range c.list {
		if e.bank != bank || e.part {
			continue
		}
		k := index(e.poorer)
		if e.incident {
			all[k]++
		}
		switch found := incident(e); {
		case found && e.incident:
			right[k]++
		case found:
			wrong[k]++
		}
	}
	of := func(k int) string {
		return fmt.Sprintf("%.3f / %.3f", float64(right[k])/float64(right[k]+wrong[k]), float64(right[k])/float64(all[k]))
	}
	return of(0) + ", without code " + of(1)
}
