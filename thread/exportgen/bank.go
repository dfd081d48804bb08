package exportgen

import (
	"embed"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Bank names a set of wordings.
type Bank string

const (
	Development Bank = "development"
	HeldOut     Bank = "held-out"
	Third       Bank = "third"
	Fresh       Bank = "fresh"
	Fifth       Bank = "fifth"
	Sixth       Bank = "sixth"
	Unseen      Bank = "unseen"
)

//go:embed bank/*.txt
var texts embed.FS

// source is where a bank comes from.
type source struct {
	bank   Bank
	keeper *person // the bot that keeps incidents: declares them, notes roles and changes of state
	words  func() *phrases
}

// sources has a row for each bank. A bank's place in it is part of what its
// seeds mean: new ones go to the end.
var sources = []source{
	{Development, nil, reader("dev")},
	{HeldOut, nil, reader("heldout")},
	{Third, &person{id: "B0INCIDENT", handle: "incident", real: "Incident", bot: true}, reader("third")},
	{Fresh, &person{id: "B0WARDENXX", handle: "warden", real: "Warden", bot: true}, reader("fresh")},
	{Fifth, &person{id: "B0LANTERNX", handle: "lantern", real: "Lantern", bot: true}, reader("fifth")},
	{Sixth, &person{id: "B0RESPONDR", handle: "responder", real: "Responder", bot: true}, reader("sixth")},
	{Unseen, &person{id: "B0TOWERBOT", handle: "tower", real: "Tower", bot: true}, reader("unseen")},
}

// Banks names all banks, in the order in which they were made.
func Banks() []Bank {
	var list []Bank
	for _, s := range sources {
		list = append(list, s.bank)
	}
	return list
}

// sourceOf returns the row of a bank and its place in the table.
func sourceOf(b Bank) (source, int) {
	i := slices.IndexFunc(sources, func(s source) bool { return s.bank == b })
	if i < 0 {
		panic("no such bank: " + b)
	}
	return sources[i], i
}

// reader reads bank/NAME.txt when it is first asked for. Banks are constants
// of the program: a mistake in one is a mistake in the code, so it panics.
func reader(name string) func() *phrases {
	return sync.OnceValue(func() *phrases {
		text, err := texts.ReadFile("bank/" + name + ".txt")
		if err != nil {
			panic(err)
		}
		return parseBank(string(text))
	})
}

// phrases is a parsed bank. Incidents are played by its scripts; by the plot of
// scene.play when it has none.
type phrases struct {
	acts     map[string][]string
	families []*family
	scripts  []*script
}

// family is one way to fail: its components, figures, causes and cures. Most
// fields are lists of templates of which one is taken at a time. The n-th cause,
// the n-th also (the cause in other words) and the n-th fix belong together.
type family struct {
	name   string
	comps  []string
	values map[string][]string
}

// parseBank reads a bank, by lines. "== NAME" begins an act, a list of templates
// for one thing to say; acts called talk.NAME are whole conversations, turns
// parted by " > ". "@@ NAME" begins a family of "key: value" lines, where ;;
// parts the fields of a value. "%% NAME PACE" begins a script. "# " is a remark.
func parseBank(text string) *phrases {
	p := &phrases{acts: map[string][]string{}}
	act := ""
	var fam *family
	var sc *script
	for n, line := range strings.Split(text, "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "== "):
			act, fam, sc = line[3:], nil, nil
		case strings.HasPrefix(line, "@@ "):
			fam = &family{name: line[3:], values: map[string][]string{}}
			p.families = append(p.families, fam)
		case strings.HasPrefix(line, "%% "):
			sc, fam = parseScript(line[3:]), nil
			p.scripts = append(p.scripts, sc)
		case sc != nil && fam == nil:
			sc.add(line, p.acts)
		case fam != nil:
			key, value, ok := strings.Cut(line, ": ")
			if !ok {
				panic(fmt.Sprintf("bank line %d: no key in %q", n+1, line))
			}
			if key == "comp" {
				fam.comps = strings.Split(value, ", ")
				continue
			}
			fam.values[key] = append(fam.values[key], value)
		default:
			p.acts[act] = append(p.acts[act], line)
		}
	}
	return p
}

// discussions are the conversations of the bank about something else than an
// incident of now, in a fixed order.
func (p *phrases) discussions() (list []string) {
	for _, act := range slices.Sorted(maps.Keys(p.acts)) {
		if strings.HasPrefix(act, "talk.") {
			list = append(list, p.acts[act]...)
		}
	}
	return list
}

var (
	alternation = regexp.MustCompile(`\{([^{}]*\|[^{}]*)\}`)
	numberSlot  = regexp.MustCompile(`\{(\d+)-(\d+)\}`)
	nameSlot    = regexp.MustCompile(`\{([a-z]+)\}`)
)

// expand chooses alternatives, fills numbers, and puts the slots in. A slot
// that is not given stays as it stands: it belongs to a command.
func expand(r *rand.Rand, template string, slots map[string]string) string {
	drawn := map[string]string{} // one range in one template is one number
	s := numberSlot.ReplaceAllStringFunc(template, func(m string) string {
		if drawn[m] == "" {
			g := numberSlot.FindStringSubmatch(m)
			lo, _ := strconv.Atoi(g[1])
			hi, _ := strconv.Atoi(g[2])
			drawn[m] = strconv.Itoa(lo + r.IntN(hi-lo+1))
		}
		return drawn[m]
	})
	for alternation.MatchString(s) {
		s = alternation.ReplaceAllStringFunc(s, func(m string) string {
			options := strings.Split(m[1:len(m)-1], "|")
			return options[r.IntN(len(options))]
		})
	}
	for range 3 { // values hold slots themselves
		s = nameSlot.ReplaceAllStringFunc(s, func(m string) string {
			if v, ok := slots[m[1:len(m)-1]]; ok {
				return v
			}
			return m
		})
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "  ", " "))
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

// parts splits the fields of a family's line.
func parts(line string) []string {
	f := strings.Split(line, ";;")
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	return f
}
