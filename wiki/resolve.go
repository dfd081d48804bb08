package wiki

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"prunella/skill"
)

// catalog is every page at one moment. It does not change.
type catalog struct {
	pages map[string]*Page    // by path
	rows  map[int64]*Page     // by number in the index
	names map[string][]string // paths by folded name, sorted
	exact map[string][]string // paths by folded path without ending, sorted

	titles []titled // by title

	once sync.Once
	in   map[string][]Backlink // by path of the page linked to
	bad  []BrokenLink
}

// Backlink is a link as seen from the page that it leads to.
type Backlink struct {
	From  string `json:"from"`
	Title string `json:"title"` // of the page it stands in
	Link  Link   `json:"link"`
}

// BrokenLink is a link that leads nowhere.
type BrokenLink struct {
	From   string `json:"from"`
	Link   Link   `json:"link"`
	Rule   string `json:"rule"` // broken-link | ambiguous-link | broken-heading
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
}

// newCatalog makes a catalog; what the one before it, if any, knows of pages that
// are as they were is taken over.
func newCatalog(pages map[string]*Page, rows map[string]int64, before *catalog) *catalog {
	c := &catalog{pages: pages, rows: map[int64]*Page{}, names: map[string][]string{}, exact: map[string][]string{}}
	for file, p := range pages {
		c.rows[rows[file]] = p
		name, full := fold(p.Name), fold(stem(file))
		c.names[name] = append(c.names[name], file)
		c.exact[full] = append(c.exact[full], file)
	}
	for _, list := range c.names {
		slices.Sort(list)
	}
	for _, list := range c.exact {
		slices.Sort(list)
	}
	known := map[*Page]bool{}
	if before != nil {
		for _, t := range before.titles {
			if pages[t.Path] == t.Page {
				c.titles, known[t.Page] = append(c.titles, t), true
			}
		}
	}
	for _, p := range pages {
		if !known[p] {
			c.titles = append(c.titles, newTitled(p))
		}
	}
	slices.SortFunc(c.titles, func(a, b titled) int { return cmp.Or(cmp.Compare(a.title, b.title), cmp.Compare(a.Path, b.Path)) })
	return c
}

// at returns the page of a path written with or without ending, in any case.
func (c *catalog) at(target string) (string, bool) {
	for _, file := range []string{target, target + ".md", target + skill.Suffix} {
		if _, ok := c.pages[file]; ok {
			return file, true
		}
	}
	list := c.exact[fold(stem(target))]
	if len(list) == 0 {
		return "", false
	}
	for _, file := range list { // the ending that was written, if any
		if strings.HasSuffix(strings.TrimSuffix(target, ".md"), ".skill") == strings.HasSuffix(file, skill.Suffix) {
			return file, true
		}
	}
	return list[0], true
}

// resolve says which page a link on a page leads to. Without one, several are
// the pages that a short name could mean.
func (c *catalog) resolve(from string, l Link) (file string, several []string) {
	target := l.Target
	if target == "" {
		return from, nil
	}
	if l.Markdown {
		target = unescape(target)
	}
	folder := path.Dir(from)
	climbs := strings.HasPrefix(target, "./") || strings.HasPrefix(target, "../")
	var tries []string
	switch {
	case strings.HasPrefix(target, "/"):
		tries = []string{path.Clean(target[1:])}
	case climbs || l.Markdown:
		tries = []string{path.Join(folder, target)}
	default:
		tries = []string{path.Clean(target), path.Join(folder, target)}
	}
	for _, t := range tries {
		if file, ok := c.at(t); ok {
			return file, nil
		}
	}
	if l.Markdown || climbs || strings.HasPrefix(target, "/") {
		return "", nil
	}
	list := c.names[fold(nameOf(target))]
	if strings.Contains(target, "/") { // the end of a path: prod/redis for runbooks/prod/redis
		end := "/" + fold(stem(path.Clean(target)))
		list = slices.DeleteFunc(slices.Clone(list), func(file string) bool { return !strings.HasSuffix(fold(stem(file)), end) })
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return "", list
}

var backslash = strings.NewReplacer(`\(`, "(", `\)`, ")", `\_`, "_", `\[`, "[", `\]`, "]", `\*`, "*")

// unescape is the path that a Markdown destination stands for.
func unescape(target string) string {
	target = backslash.Replace(target)
	if s, err := url.PathUnescape(target); err == nil {
		return s
	}
	return target
}

// heading finds a heading by its text or anchor. A budget in it, "Diagnosis
// (3 min)", need not be written.
func (p *Page) heading(want string) (Heading, bool) {
	if s, err := url.PathUnescape(want); err == nil {
		want = s
	}
	want = strings.Join(strings.Fields(fold(plain(want))), " ")
	anchor := slug(want)
	for _, h := range p.Headings {
		text := fold(h.Text)
		if text == want || fold(h.Slug) == anchor && anchor != "" {
			return h, true
		}
	}
	for _, h := range p.Headings {
		text := fold(h.Text)
		if i := strings.LastIndexByte(text, '('); i > 0 && strings.HasSuffix(text, ")") {
			short := strings.TrimSpace(text[:i])
			if short == want || slug(short) == anchor && anchor != "" {
				return h, true
			}
		}
	}
	return Heading{}, false
}

// follow walks all links once.
func (c *catalog) follow() {
	c.once.Do(func() {
		c.in = map[string][]Backlink{}
		for _, file := range slices.Sorted(maps.Keys(c.pages)) {
			p := c.pages[file]
			for _, l := range p.Links {
				to, several := c.resolve(file, l)
				if bad := c.broken(p, l, to, several); bad.Rule != "" {
					c.bad = append(c.bad, bad)
				}
				if to != "" && to != file {
					c.in[to] = append(c.in[to], Backlink{From: file, Title: p.Title, Link: l})
				}
			}
		}
	})
}

func (c *catalog) broken(p *Page, l Link, to string, several []string) BrokenLink {
	bad := BrokenLink{From: p.Path, Link: l}
	switch {
	case to == "" && len(several) > 1:
		bad.Rule, bad.Reason = "ambiguous-link", fmt.Sprintf("%s could be %s", l.Target, strings.Join(several, " or "))
		bad.Remedy = "write the folder too"
	case to == "":
		bad.Rule, bad.Reason, bad.Remedy = "broken-link", "there is no page "+l.Target, "write the page, or correct the link"
	case l.Heading != "" && c.pages[to].Err() == nil:
		if _, ok := c.pages[to].heading(l.Heading); !ok {
			bad.Rule, bad.Reason = "broken-heading", fmt.Sprintf("%s has no heading %q", to, l.Heading)
			bad.Remedy = "correct the heading, or link to the page"
		}
	}
	return bad
}

// nearest is the page whose name differs least, when that is little.
func (c *catalog) nearest(target string) string {
	want := fold(nameOf(target))
	best, least := "", len(want)/3
	if len(want) > 64 {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		if d := len(name) - len(want); d > least || -d > least || len(name) > 64 {
			continue
		}
		if d := distance(want, name); d <= least && (best == "" || d < least) {
			best, least = c.names[name][0], d
		}
	}
	return stem(best)
}

// distance is the number of bytes to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			if a[i] != b[j] {
				diagonal++
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal)
		}
	}
	return row[len(b)]
}

// titled is a page in the order of titles.
type titled struct {
	*Page
	title string // folded
	words string // of title and name, folded, a space before each
}

func newTitled(p *Page) titled {
	t := titled{Page: p, title: fold(p.Title)}
	for _, s := range []string{t.title, fold(p.Name)} {
		words(s, func(start, stop int) { t.words += " " + s[start:stop] })
	}
	return t
}

// called are the pages whose name, path or title, folded, is what was asked.
func (c *catalog) called(asked string) []*Page {
	var out []*Page
	for _, file := range slices.Concat(c.names[asked], c.exact[asked], c.exact[stem(asked)]) {
		if p := c.pages[file]; !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	i, _ := slices.BinarySearchFunc(c.titles, asked, func(t titled, asked string) int { return cmp.Compare(t.title, asked) })
	for ; i < len(c.titles) && c.titles[i].title == asked; i++ {
		if !slices.Contains(out, c.titles[i].Page) {
			out = append(out, c.titles[i].Page)
		}
	}
	return out
}

// sorted lists pages by title.
func (c *catalog) sorted(keep func(*Page) bool) []*Page {
	var out []*Page
	for _, t := range c.titles {
		if keep(t.Page) {
			out = append(out, t.Page)
		}
	}
	return out
}
