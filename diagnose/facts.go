package diagnose

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella/said"
)

// Role is the part a kid plays in a text.
type Role string

const (
	RoleNew     Role = "new"
	RoleOld     Role = "old"
	RoleFailing Role = "failing" // tokens of it are refused
	RoleActive  Role = "active"  // tokens are signed with it
	RoleRemoved Role = "removed"
)

// Facts are what texts say, without judging whether it is so. Every slice is
// sorted, so that equal texts in another order give equal Facts.
type Facts struct {
	Texts    []TextFact
	Kids     []KidFact
	Services []ServiceFact
	Counts   []CountFact
	Shares   []ShareFact
	Issuer   string        // the service said to issue tokens or to have rotated keys
	Ago      time.Duration // how long ago the keys are said to have changed, 0 when nobody says
}

// TextFact is what one text says.
type TextFact struct {
	Text    string
	Monitor string
	Count   int
	Classes []said.Class // most telling first
	Denied  []said.Class // what the text rules out: "no recent deploy"
	source  TextGroup
}

// KidFact is a key named by texts.
type KidFact struct {
	Kid   string
	Roles []Role
	Named time.Time // a date that the kid's own name holds, or zero
	Texts int       // how many texts name it
}

// ServiceFact is a service named by texts.
type ServiceFact struct {
	Name    string
	Known   bool // it is in the inventory or in a group's Services
	Failing bool // a text says that it rejects tokens or was not reached
	Healthy bool // a text says that it works or did receive the key
	Texts   int
}

// CountFact is "N of M services". M is 0 when only N is said.
type CountFact struct {
	N, M    int
	Failing bool // the N are those that fail; otherwise those that are fine
}

// ShareFact is a stated share of failing requests, 0 to 1.
type ShareFact struct {
	Service string
	Share   float64
}

const maxTexts = 120

// ExtractFacts reads kids, services, counts, shares and failure classes from
// texts of any wording. known are service names that may appear bare; the
// groups' own Services count as known too. It never fails: what it does not
// understand it leaves out.
func ExtractFacts(texts []TextGroup, known ...string) Facts {
	groups := choose(texts)
	names := newNames(known, groups)

	var f Facts
	rotator, doer := "", "" // who tells of handling keys: by its name an issuer, or not
	kids := map[string]*KidFact{}
	services := map[string]*ServiceFact{}
	for _, g := range groups {
		text := g.Example
		if text == "" {
			text = g.Template
		}
		text = said.Tidy(text)
		t := TextFact{Text: text, Monitor: g.Monitor, Count: max(g.Count, 1), source: g}
		t.Classes, t.Denied = said.In(text)
		f.Texts = append(f.Texts, t)

		for kid, roles := range kidsIn(text, g.Kids, t.Classes) {
			k := kids[kid]
			if k == nil {
				k = &KidFact{Kid: kid, Named: dateIn(kid)}
				kids[kid] = k
			}
			k.Texts++
			for _, r := range roles {
				if !slices.Contains(k.Roles, r) {
					k.Roles = append(k.Roles, r)
				}
			}
		}
		switch who, sure := names.rotator(text, g, t.Classes); {
		case sure && rotator == "":
			rotator = who
		case who != "" && doer == "":
			doer = who
		}
		if f.Issuer == "" {
			f.Issuer = names.issuerIn(text)
		}
		for _, m := range names.mentions(text, g, t.Classes) {
			s := services[m.Name]
			if s == nil {
				s = &ServiceFact{Name: m.Name, Known: m.Known}
				services[m.Name] = s
			}
			s.Texts++
			s.Failing = s.Failing || m.Failing
			s.Healthy = s.Healthy || m.Healthy
		}
		f.Counts = append(f.Counts, countsIn(text)...)
		f.Shares = append(f.Shares, sharesIn(text, names, g)...)
		if ago := agoIn(text); ago > f.Ago {
			f.Ago = ago
		}
	}
	f.Issuer = first(rotator, f.Issuer, doer)
	for _, k := range kids {
		slices.Sort(k.Roles)
		f.Kids = append(f.Kids, *k)
	}
	sort.Slice(f.Kids, func(i, j int) bool { return f.Kids[i].Kid < f.Kids[j].Kid })
	for _, s := range services {
		if s.Name == f.Issuer {
			s.Failing = false
		}
		f.Services = append(f.Services, *s)
	}
	sort.Slice(f.Services, func(i, j int) bool { return f.Services[i].Name < f.Services[j].Name })
	sort.Slice(f.Counts, func(i, j int) bool {
		a, b := f.Counts[i], f.Counts[j]
		if a.M != b.M {
			return a.M > b.M
		}
		if a.N != b.N {
			return a.N > b.N
		}
		return a.Failing && !b.Failing
	})
	f.Counts = slices.Compact(f.Counts)
	sort.Slice(f.Shares, func(i, j int) bool {
		a, b := f.Shares[i], f.Shares[j]
		return a.Service < b.Service || a.Service == b.Service && a.Share > b.Share
	})
	f.Shares = slices.Compact(f.Shares)
	return f
}

// Classes returns every class that some text has, with the number of signals
// behind it.
func (f Facts) Classes() map[said.Class]int {
	out := map[said.Class]int{}
	for _, t := range f.Texts {
		for _, c := range t.Classes {
			out[c] += t.Count
		}
	}
	return out
}

// KidsWith returns the kids that play a role, sorted.
func (f Facts) KidsWith(r Role) []string {
	var out []string
	for _, k := range f.Kids {
		if slices.Contains(k.Roles, r) {
			out = append(out, k.Kid)
		}
	}
	return out
}

// FailingServices returns the services that texts say fail, sorted.
func (f Facts) FailingServices() []string {
	var out []string
	for _, s := range f.Services {
		if s.Failing {
			out = append(out, s.Name)
		}
	}
	return out
}

// choose returns at most maxTexts groups in a fixed order. When there are more,
// every monitor's most frequent ones come first, so that none goes unheard.
func choose(texts []TextGroup) []TextGroup {
	groups := slices.Clone(texts)
	sort.SliceStable(groups, func(i, j int) bool { return groupKey(groups[i]) < groupKey(groups[j]) })
	if len(groups) <= maxTexts {
		return groups
	}
	sort.SliceStable(groups, func(i, j int) bool { return groups[i].Count > groups[j].Count })
	seen := map[string]int{}
	rank := make(map[string]int, len(groups))
	for _, g := range groups {
		rank[groupKey(g)] = seen[g.Monitor]
		seen[g.Monitor]++
	}
	sort.SliceStable(groups, func(i, j int) bool { return rank[groupKey(groups[i])] < rank[groupKey(groups[j])] })
	groups = groups[:maxTexts]
	sort.SliceStable(groups, func(i, j int) bool { return groupKey(groups[i]) < groupKey(groups[j]) })
	return groups
}

func groupKey(g TextGroup) string {
	return g.Monitor + "\x00" + g.Example + "\x00" + g.Template + "\x00" + strings.Join(sorted(g.Services), ",") +
		"\x00" + strings.Join(sorted(g.Kids), ",") + "\x00" + strconv.Itoa(g.Count)
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
