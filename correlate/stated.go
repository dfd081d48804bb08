package correlate

import (
	"regexp"
	"slices"
	"strings"

	"prunella"
	"prunella/said"
)

// serviceWords is how a text names a service when no inventory does: "the user
// service", "order-service".
var serviceWords = regexp.MustCompile(`(?i)\b([a-z][a-z0-9]*(?:-[a-z0-9]+)*)[ -](?:service|svc|api)\b`)

// servicesCalled is what services are called when they are counted; each
// delivery of a key goes to one.
var servicesCalled = regexp.MustCompile(`service|^(?:verifier|consumer|subscriber|recipient|backend|app|application|deliver)`)

// StatedImpacts reads the impact that texts state: a row for each service that
// a share of failing is stated for, worst first, Stated set. A statement about
// requests or tokens belongs to the service that the clause names, else to the
// service that the text is about; a statement about so many services belongs
// to none of them (see StatedBreadth). A service that a failing clause names
// without a share gets share 0: hit, how much is not said.
func StatedImpacts(texts []prunella.TextGroup, known []string) []prunella.Impact {
	rows := map[string]*prunella.Impact{}
	for _, t := range texts {
		for _, st := range prunella.Statements(t.Example) {
			named := namedIn(st.Clause, known)
			if st.Hit > 0 || st.Count > 0 {
				continue
			}
			who := named
			if len(who) == 0 {
				who = t.Services
			}
			if len(who) == 0 {
				who = namedIn(t.Example, known)
				who = who[:min(1, len(who))]
			}
			for _, name := range who {
				im := rows[name]
				if im == nil {
					im = &prunella.Impact{Service: name, Stated: true, Since: t.First}
					rows[name] = im
				}
				im.Share = max(im.Share, st.Share)
				if t.First.Before(im.Since) {
					im.Since = t.First
				}
			}
		}
	}
	out := make([]prunella.Impact, 0, len(rows))
	for _, im := range rows {
		out = append(out, *im)
	}
	worstFirst(out)
	return out
}

// StatedBreadth returns the largest "N of M services" that texts state; total
// is 0 when only N is stated, both are 0 when nothing is.
func StatedBreadth(texts []prunella.TextGroup) (hit, total int) {
	for _, t := range texts {
		for _, st := range prunella.Statements(t.Example) {
			if !servicesCalled.MatchString(st.Of) {
				continue // so many pods or nodes say nothing of services
			}
			if st.Hit > hit || st.Hit == hit && st.Count > total {
				hit, total = st.Hit, max(st.Count, total)
			}
		}
	}
	return hit, total
}

// namedIn returns the services that a text names, in the order of their first
// mention: known ones by name, and, when none are known, what stands before
// "service".
func namedIn(text string, known []string) []string {
	var out []string
	lower := strings.ToLower(text)
	if len(known) == 0 {
		for _, m := range serviceWords.FindAllStringSubmatch(lower, 16) {
			if !said.NoName(m[1]) && !slices.Contains(out, m[1]) {
				out = append(out, m[1])
			}
		}
		return out
	}
	place := map[string]int{}
	for _, name := range known {
		if i := indexName(lower, strings.ToLower(name)); i >= 0 {
			place[name] = i
			out = append(out, name)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return place[a] - place[b] })
	return out
}

// indexName finds a service name followed by "service" (or "-service", " api"),
// or a name that is no plain English word because it has a hyphen or digit; -1
// when there is none.
func indexName(text, name string) int {
	if name == "" {
		return -1
	}
	distinct := strings.ContainsAny(name, "-_0123456789")
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return -1
		}
		i += at
		end := i + len(name)
		at = end
		if i > 0 && wordByte(text[i-1]) || end < len(text) && wordByte(text[end]) && text[end] != '-' {
			continue
		}
		rest := strings.TrimLeft(text[end:], " -")
		if distinct || strings.HasPrefix(rest, "service") && !strings.HasPrefix(rest, "services") || strings.HasPrefix(rest, "svc") || strings.HasPrefix(rest, "api") {
			return i
		}
	}
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
