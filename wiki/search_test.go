package wiki_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella/wiki"
)

var library = map[string]string{
	"skills/in-title.skill.md":   "---\nname: in-title\ndescription: Use when a cache is stale.\nmetadata:\n  category: caches\n  owners: \"@sam\"\n  pattern: auth/stale-jwks-cache\n  last-verified: \"2026-10-20\"\n---\n# Rotations of quokkas\n\nNothing else.\n",
	"skills/in-heading.skill.md": "---\nname: in-heading\nmetadata:\n  category: caches\n  owners: \"@maya, @sam\"\n  last-verified: \"2026-08-20\"\n---\n# Some page\n\n## The quokka\n\nNothing else.\n",
	"skills/in-text.skill.md":    "---\nname: in-text\nmetadata:\n  category: Queues\n  owners: \"@maya\"\n---\n# Another page\n\n" + strings.Repeat("One quokka and another quokka. ", 20) + "\n",
	"errors/refused.md":          "# Connections\n\nThe client says `ECONNREFUSED` at once.\n\n## Codes\n\n```\nE1234 JWT_INVALID 401\n```\n",
	"errors/words.md":            "# Words\n\nThe connection was refused. The JWT is invalid. There are 4011 kids, and E12345 of them econnrefusedly.\n",
	"errors/config.md":           "# Settings\n\nSet `auth.jwks.cache_ttl_seconds` to 3600, see status.auth0.com and client.credentials.rotated. The kid is a key id. A SigningKeyNotFoundError follows.\n",
	"errors/accents.md":          "# Ångström\n\nThe naïve café of Zoë reïndexes the Größe.\n",
	"errors/phrases.md":          "# Phrases\n\nIt logs kid mismatch once. Keys are rotated, not rotating.\n",
	"errors/apart.md":            "# Apart\n\nThe kid does not match; there is a mismatch of kids. The first rotation.\n",
}

func TestSearch(t *testing.T) {
	w := open(t, wiki.Config{Dir: folder(t, library)})
	for text, want := range map[string]string{
		// title before heading before text, however often the text says it
		"quokka": "skills/in-title.skill.md skills/in-heading.skill.md skills/in-text.skill.md",
		"quok":   "skills/in-title.skill.md skills/in-heading.skill.md skills/in-text.skill.md",
		// stems
		"rotates caching":    "skills/in-title.skill.md errors/config.md",
		"rotation":           "skills/in-title.skill.md errors/phrases.md errors/apart.md errors/config.md",
		"connections refuse": "errors/refused.md errors/words.md",
		// identifiers as they are, in any case
		"ECONNREFUSED ":           "errors/refused.md",
		"econnrefused ":           "errors/refused.md",
		"econnref":                "errors/refused.md errors/words.md",
		"E1234 ":                  "errors/refused.md",
		"e123":                    "errors/refused.md errors/words.md",
		"401 ":                    "errors/refused.md",
		"JWT_INVALID":             "errors/refused.md",
		"auth/stale-jwks-cache":   "skills/in-title.skill.md",
		"stale-jwks":              "skills/in-title.skill.md",
		"cache_ttl_seconds":       "errors/config.md",
		"cache_ttl_s":             "errors/config.md",
		"jwks.c":                  "skills/in-title.skill.md errors/config.md",
		"auth.jwks.cache_ttl":     "errors/config.md",
		"status.auth0.com":        "errors/config.md",
		"credentials.rotated":     "errors/config.md",
		"SigningKeyNotFoundError": "errors/config.md",
		"signing key not found":   "errors/config.md",
		"@sam":                    "skills/in-heading.skill.md skills/in-title.skill.md",
		"in-heading":              "skills/in-heading.skill.md",
		"errors/accents":          "errors/accents.md",
		// a short word: titles that begin so, then the word itself
		"id": "errors/config.md",
		"ap": "errors/apart.md",
		"e":  "",
		// diacritics
		"angstrom":    "errors/accents.md",
		"CAFÉ naive":  "errors/accents.md",
		"größe":       "errors/accents.md",
		"zoe reindex": "errors/accents.md",
		// phrases
		`"kid mismatch"`:  "errors/phrases.md",
		`"Kid  MISMATCH"`: "errors/phrases.md",
		`kid mismatch`:    "errors/phrases.md errors/apart.md",
		`"kid mismatch`:   "errors/phrases.md",
		// the first letters of a title
		"qu": "skills/in-title.skill.md",
		"s":  "errors/config.md skills/in-heading.skill.md",
		// FTS5 syntax is text
		`quokka NEAR(x`: "skills/in-title.skill.md skills/in-heading.skill.md skills/in-text.skill.md", `quokka AND`: "skills/in-text.skill.md", `quokka*`: "skills/in-title.skill.md skills/in-heading.skill.md skills/in-text.skill.md",
		`-quokka ^`: "skills/in-title.skill.md skills/in-heading.skill.md skills/in-text.skill.md", `title:quokka`: "", `{title}:quokka OR`: "skills/in-title.skill.md", `"`: "*", `""" * ( ) - ^ :`: "*", "'; DROP TABLE words; --": "",
		"xyzzy": "", "": "*", "the": "*",
	} {
		r, err := w.Search(t.Context(), wiki.Query{Text: text})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, h := range r.Hits {
			got = append(got, h.Path)
		}
		switch {
		case want == "*" && len(got) < 2, want != "*" && !r.Loose && strings.Join(got, " ") != want, want != "" && r.Loose:
			t.Errorf("%q finds %v (loose %v), want %s", text, got, r.Loose, want)
		}
	}
}

// A pasted message of which no page has every word finds those with some.
func TestSearchLoosely(t *testing.T) {
	w := open(t, wiki.Config{Dir: folder(t, library)})
	r, err := w.Search(t.Context(), wiki.Query{Text: "dial tcp 10.0.0.7:5432: ECONNREFUSED while calling the upstream (attempt 3)"})
	if err != nil || !r.Loose || len(r.Hits) == 0 || r.Hits[0].Path != "errors/refused.md" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Of many pages with a word the one that is called so comes first, and of the
// words of a pasted message the rare ones count.
func TestSearchAmongMany(t *testing.T) {
	pages := map[string]string{"zz/disk.md": "# Space runs out\n\nwords\n", "zz/rare.md": "# Something\n\nThe node of the cluster says flubber at noon.\n", "zz/title.md": "# Full disk\n\nwords\n"}
	for i := range 40 {
		pages[fmt.Sprintf("p/%d.md", i)] = fmt.Sprintf("# Disk disk disk %d\n\nThe node of the cluster has a disk.\n", i)
	}
	w := open(t, wiki.Config{Dir: folder(t, pages)})
	for text, want := range map[string]string{"disk": "zz/disk.md", "Full Disk": "zz/title.md", "zz/rare": "zz/rare.md", "node cluster disk flubber": "zz/rare.md", "node cluster sprocket": ""} {
		r, err := w.Search(t.Context(), wiki.Query{Text: text, Limit: 5})
		if err != nil || len(r.Hits) == 0 || want != "" && r.Hits[0].Path != want || want == "" && (!r.Loose || len(r.Hits) != 5 || !r.More) {
			t.Errorf("%q: %+v, %v, want %s first", text, r, err, want)
		}
	}
	r, err := w.Search(t.Context(), wiki.Query{Text: "disk", Filter: wiki.Filter{Kind: wiki.Person}})
	if err != nil || len(r.Hits) != 0 {
		t.Errorf("no person: %+v, %v", r, err)
	}
}

func TestSearchFilters(t *testing.T) {
	w := open(t, wiki.Config{Dir: folder(t, library)})
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		filter wiki.Filter
		want   string
	}{
		"all":       {wiki.Filter{}, "in-title in-heading in-text"},
		"category":  {wiki.Filter{Category: "queues"}, "in-text"},
		"owner":     {wiki.Filter{Owner: "Sam"}, "in-title in-heading"},
		"owner @":   {wiki.Filter{Owner: "@maya"}, "in-heading in-text"},
		"fresh":     {wiki.Filter{Freshness: "fresh"}, "in-title"},
		"due":       {wiki.Filter{Freshness: "due"}, "in-heading"},
		"never":     {wiki.Filter{Freshness: "never"}, "in-text"},
		"kind":      {wiki.Filter{Kind: wiki.Person}, ""},
		"two":       {wiki.Filter{Owner: "maya", Category: "caches"}, "in-heading"},
		"text-less": {wiki.Filter{Kind: wiki.Skill, Category: "caches"}, "in-title in-heading"},
	} {
		c.filter.Now = now
		q := wiki.Query{Text: "quokka", Filter: c.filter}
		if name == "text-less" {
			q.Text = ""
		}
		r, err := w.Search(t.Context(), q)
		var got []string
		for _, h := range r.Hits {
			got = append(got, h.Name)
		}
		if name == "text-less" {
			slices.Reverse(got) // by title
			slices.Sort(got)
			slices.Reverse(got)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v, want %s", name, got, err, c.want)
		}
	}
	r, err := w.Search(t.Context(), wiki.Query{Text: "quokka", Limit: 2})
	if err != nil || len(r.Hits) != 2 || !r.More {
		t.Errorf("two of three: %+v, %v", r, err)
	}
}

// A hit shows where it matched: what a reader sees, not Markdown.
func TestExcerpts(t *testing.T) {
	w := open(t, wiki.Config{Dir: folder(t, map[string]string{
		"page.md": "---\nname: x\ndescription: Use when nothing else fits.\n---\n\n# Caches and keys\n\nFirst words.\n\n## Where it helps (2 min)\n\n- [ ] **Rotate** the `signing-key` of [[people/sam|Sam]], see [the *docs*](https://x/y?z): " + strings.Repeat("padding ", 60) + "terminus\n\n## Later\n\nkeys\n",
	})})
	shown := func(text string) string {
		r, err := w.Search(t.Context(), wiki.Query{Text: text})
		if err != nil || len(r.Hits) != 1 {
			t.Fatalf("%q: %+v, %v", text, r, err)
		}
		h := r.Hits[0]
		var b strings.Builder
		fmt.Fprintf(&b, "%d#%s ", h.Line, h.Anchor)
		for _, list := range [][]wiki.Piece{h.Marked, {{Text: " / "}}, h.Excerpt} {
			for _, p := range list {
				if p.Mark {
					b.WriteString("<" + p.Text + ">")
				} else {
					b.WriteString(p.Text)
				}
			}
		}
		return b.String()
	}
	for text, want := range map[string]string{
		"rotating signing-keys": "12#where-it-helps-2-min Caches and <keys> / <Rotate> the <signing-key> of Sam, see the *docs*: padding padding",
		"terminus":              "12#where-it-helps-2-min Caches and keys / … padding padding",
		"cach":                  "1# <Caches> and keys / Use when nothing else fits.",
	} {
		if got := shown(text); !strings.HasPrefix(got, want) || len(got) > 400 {
			t.Errorf("%q shows\n %s\nwant\n %s", text, got, want)
		}
	}
}

// FTS5 stems the index, we the excerpt: both must find the same words.
func FuzzSearch(f *testing.F) {
	w, err := wiki.Open(f.Context(), wiki.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { w.Close() })
	for _, s := range []string{"kid", `"a b" c*`, `NEAR(a b)`, `a AND NOT b`, `"`, `a"b`, "-x ^y {z}:", "é\u0301", "\x00", "\xff", "\ue000kid\ue001", "a_b.c/d-e:f@g#h+i", strings.Repeat("x ", 600), "OR OR OR", "the", "k", "ﬁ ſ İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := w.Search(t.Context(), wiki.Query{Text: text})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, h := range r.Hits {
			var title strings.Builder
			for _, p := range h.Marked {
				title.WriteString(p.Text)
			}
			if title.String() != h.Title {
				t.Fatalf("%q: %q became %q", text, h.Title, title.String())
			}
		}
	})
}
