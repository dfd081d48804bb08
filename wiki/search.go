package wiki

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"prunella"
)

// Query is a search. Without Text it lists the pages that the filter leaves.
type Query struct {
	Text string // words, identifiers, "phrases in quotes"; the last word may be half typed
	Filter
	Limit int // at most so many hits, 20 when 0, 200 at most
}

// Result is what a search found, best first.
type Result struct {
	Hits  []Hit `json:"hits"`
	Loose bool  `json:"loose"` // no page has every word; these have some
	More  bool  `json:"more"`  // there are more than Limit
}

// Hit is a page that a search found.
type Hit struct {
	Path      string    `json:"path"`
	Name      string    `json:"name"`
	Kind      PageKind  `json:"kind"`
	Title     string    `json:"title"`
	Marked    []Piece   `json:"marked"` // Title
	Category  string    `json:"category,omitempty"`
	Owners    []string  `json:"owners,omitempty"`
	Freshness string    `json:"freshness"`
	Verified  time.Time `json:"verified,omitzero"`
	Heading   string    `json:"heading,omitempty"` // that the excerpt stands under
	Anchor    string    `json:"anchor,omitempty"`  // of that heading
	Line      int       `json:"line,omitempty"`    // of the file, where the excerpt begins
	Excerpt   []Piece   `json:"excerpt,omitempty"`
}

// Piece is a run of text that matched, or did not.
type Piece struct {
	Text string `json:"text"`
	Mark bool   `json:"mark,omitempty"`
}

// A title outweighs any number of headings, a heading any text: BM25 levels off
// with the weighted count, so weights that far apart rank by place first.
const (
	anywhere = "SELECT rowid FROM words WHERE words MATCH $1 ORDER BY bm25(words, 1000.0, 100.0, 1.0, 1.0), rowid"
	onTop    = "SELECT rowid FROM titles WHERE titles MATCH $1 ORDER BY bm25(titles, 1000.0, 100.0), rowid"
)

// Search finds pages. Words are found by their stems, identifiers as they are,
// both without regard to case and diacritics; the word being typed is completed.
// When no page has every word, pages that have some are given and Loose is set.
func (w *Wiki) Search(ctx context.Context, q Query) (Result, error) {
	if q.Now.IsZero() {
		q.Now = time.Now()
	}
	limit := min(q.Limit, 200)
	if limit <= 0 {
		limit = 20
	}
	terms := parseQuery(q.Text)
	if len(terms) == 0 {
		return w.everything(q, limit), nil
	}
	last := terms[len(terms)-1]
	if last.typing {
		forms, err := w.forms(ctx, last.words[len(last.words)-1])
		if err != nil {
			return Result{}, err
		}
		terms[len(terms)-1].forms = forms
	}
	if short := last.typing && len(terms) == 1 && !last.id && len([]rune(last.chunk)) < shortPrefix; short {
		return w.short(ctx, q, terms, limit)
	}
	for _, a := range attempts(terms) {
		r, err := w.find(ctx, q, a, terms, limit)
		if err != nil || len(r.Hits) > 0 {
			r.Loose = a.some && err == nil
			return r, err
		}
	}
	return Result{Hits: []Hit{}}, nil
}

// attempt is one way to ask for the terms of a search. The next is tried when it
// finds nothing.
type attempt struct {
	terms []term
	loose bool // identifiers by their stemmed words too
	some  bool // pages with some of the terms
}

func attempts(terms []term) []attempt {
	out := []attempt{{terms: terms}}
	if slices.ContainsFunc(terms, func(t term) bool { return t.id || len(t.words) > 1 }) {
		out = append(out, attempt{terms: terms, loose: true})
	}
	if n := len(terms); n > 1 {
		if last := terms[n-1]; last.typing && len([]rune(last.chunk)) < shortPrefix {
			out = append(out, attempt{terms: terms[:n-1], loose: true})
		}
		out = append(out, attempt{terms: terms, loose: true, some: true})
	}
	return out
}

// everything lists pages by title.
func (w *Wiki) everything(q Query, limit int) Result {
	return w.listed(w.Pages(q.Filter), q, nil, limit)
}

// short finds one word of one or two letters: pages whose title or name has a word
// that begins so, then those that have the very word, such as db.
func (w *Wiki) short(ctx context.Context, q Query, terms []term, limit int) (Result, error) {
	r := w.byFirstLetters(q, terms[0], limit)
	if r.More || len([]rune(terms[0].chunk)) < 2 || stopWords[terms[0].words[0]] {
		return r, nil
	}
	whole, err := w.find(ctx, q, attempt{terms: terms}, terms, limit)
	for _, h := range whole.Hits {
		switch known := slices.ContainsFunc(r.Hits, func(other Hit) bool { return other.Path == h.Path }); {
		case known:
		case len(r.Hits) == limit:
			r.More = true
		default:
			r.Hits = append(r.Hits, h)
		}
	}
	r.More = r.More || whole.More
	return r, err
}

// byFirstLetters lists the pages of which a word of the title or name begins
// with one or two letters that were typed.
func (w *Wiki) byFirstLetters(q Query, t term, limit int) Result {
	first := " " + fold(t.chunk)
	var pages []*Page
	for _, p := range w.now.Load().titles {
		if len(pages) <= limit && strings.Contains(p.words, first) && w.matches(p.Page, q.Filter) {
			pages = append(pages, p.Page)
		}
	}
	return w.listed(pages, q, []term{t}, limit)
}

func (w *Wiki) listed(pages []*Page, q Query, terms []term, limit int) Result {
	r := Result{Hits: []Hit{}, More: len(pages) > limit}
	for _, p := range pages[:min(len(pages), limit)] {
		r.Hits = append(r.Hits, w.hit(p, q.Now, newMarker(terms)))
	}
	return r
}

func (w *Wiki) hit(p *Page, now time.Time, m *marker) Hit {
	return Hit{Path: p.Path, Name: p.Name, Kind: p.Kind, Title: p.Title, Marked: m.pieces(p.Title), Category: p.Category, Owners: p.Owners,
		Freshness: w.Freshness(p, now), Verified: w.Verified(p)}
}

// find runs one match. Phrases in quotes are held against the text itself.
func (w *Wiki) find(ctx context.Context, q Query, a attempt, terms []term, limit int) (Result, error) {
	pages, err := w.ranked(ctx, q, a, limit+1)
	if err != nil {
		return Result{}, err
	}
	r := Result{Hits: []Hit{}}
	m := newMarker(terms)
	for _, p := range pages {
		if len(r.Hits) == limit {
			r.More = true
			break
		}
		h := w.hit(p, q.Now, m)
		if b, err := readFile(w.pages, p.Path); err == nil && len(b) <= MaxPage {
			text := string(b)
			if !holds(text, terms) {
				continue
			}
			m.excerpt(&h, p, text)
		}
		r.Hits = append(r.Hits, h)
	}
	return r, nil
}

// holds tells whether a text has every phrase in quotes.
func holds(text string, terms []term) bool {
	flat := ""
	for _, t := range terms {
		if t.literal == "" {
			continue
		}
		if flat == "" {
			flat = strings.Join(strings.Fields(fold(text)), " ")
		}
		if !strings.Contains(flat, t.literal) {
			return false
		}
	}
	return true
}

// ranked gives the pages of an attempt, best first: one whose name or title is
// what was asked before all others.
func (w *Wiki) ranked(ctx context.Context, q Query, a attempt, limit int) (pages []*Page, err error) {
	phrases := slices.ContainsFunc(a.terms, func(t term) bool { return t.literal != "" })
	if phrases { // some will not hold
		limit *= 10
	}
	err = w.query(ctx, func(db *sql.DB) (err error) {
		if a.some {
			rare := a
			if rare.terms, err = telling(ctx, db, a.terms, len(w.now.Load().rows)); err == nil {
				pages, err = w.matching(ctx, db, anywhere, rare.expression(), q.Filter, limit)
			}
			if err != nil || len(pages) > 0 {
				return err
			}
		} else if !phrases {
			if pages, err = w.matching(ctx, db, onTop, a.expression(), q.Filter, limit); err != nil || len(pages) == limit {
				return err
			}
		}
		pages, err = w.matching(ctx, db, anywhere, a.expression(), q.Filter, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := w.now.Load()
	first := slices.DeleteFunc(c.called(fold(strings.Join(strings.Fields(q.Text), " "))), func(p *Page) bool { return !w.matches(p, q.Filter) })
	return slices.Concat(first, slices.DeleteFunc(pages, func(p *Page) bool { return slices.Contains(first, p) })), nil
}

// mostTelling bounds the terms that pages with some of them are looked for by.
const mostTelling = 8

// telling leaves the terms that tell pages apart: not those that stand on more
// than an eighth of them, and of the others the rarest.
func telling(ctx context.Context, db *sql.DB, terms []term, pages int) ([]term, error) {
	type counted struct {
		term
		pages int
	}
	var out []counted
	unknown := 0
	for _, t := range terms {
		least := pages
		for _, word := range t.words {
			var n int
			err := db.QueryRowContext(ctx, "SELECT doc FROM vocabulary WHERE term = $1", stemmed(word)).Scan(&n)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return nil, err
			}
			least = min(least, n)
		}
		if least <= pages/8 {
			out = append(out, counted{t, least})
		}
		if least == 0 { // it may be part of an identifier, and costs nothing
			unknown++
		}
	}
	if len(out) == 0 {
		return terms, nil
	}
	slices.SortStableFunc(out, func(a, b counted) int { return cmp.Compare(a.pages, b.pages) })
	var kept []term
	for _, t := range out[:min(len(out), unknown+mostTelling)] {
		kept = append(kept, t.term)
	}
	return kept, nil
}

// matching gives the first pages of a match that the filter leaves.
func (w *Wiki) matching(ctx context.Context, db *sql.DB, query, match string, f Filter, limit int) ([]*Page, error) {
	rows, err := db.QueryContext(ctx, query, match)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	c := w.now.Load()
	var pages []*Page
	for len(pages) < limit && rows.Next() {
		var row int64
		if err := rows.Scan(&row); err != nil {
			return nil, err
		}
		if p := c.rows[row]; p != nil && w.matches(p, f) {
			pages = append(pages, p)
		}
	}
	return pages, errors.Join(rows.Err(), rows.Close())
}

// mostForms bounds what a word being typed may be completed to.
const mostForms = 40

// forms are the stems of words that begin with what was typed, where the stem
// does not.
func (w *Wiki) forms(ctx context.Context, typed string) (out []string, err error) {
	if len([]rune(typed)) < shortPrefix {
		return nil, nil
	}
	err = w.query(ctx, func(db *sql.DB) error {
		out = nil
		rows, err := db.QueryContext(ctx, "SELECT DISTINCT stem FROM forms WHERE word >= $1 AND word < $2 AND substr(stem, 1, length($1)) <> $1 LIMIT $3", typed, typed+"\U0010FFFF", mostForms)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var to string
			if err := rows.Scan(&to); err != nil {
				return err
			}
			out = append(out, to)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// query asks the index. A damaged one is made anew, and asked again.
func (w *Wiki) query(ctx context.Context, ask func(*sql.DB) error) error {
	err := w.index.query(ask)
	if damaged(err) {
		w.mu.Lock()
		err = w.rebuild(ctx)
		w.mu.Unlock()
		if err == nil {
			err = w.index.query(ask)
		}
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && prunella.KindOf(err) == prunella.Internal {
		return &prunella.Error{Kind: prunella.Internal, Op: "search wiki", Err: err}
	}
	return err
}
