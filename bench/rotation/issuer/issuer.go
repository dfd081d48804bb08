package issuer

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Audience is whom the tokens of a contest are for.
const Audience = "contest"

// ClockHeader carries the clock of a verifier that lives in virtual time, in
// Unix nanoseconds, with each of its fetches.
const ClockHeader = "X-Contest-Clock"

// HangHeader is how a hub tells a verifier in virtual time that this request is
// never answered; for others it just does not answer.
const HangHeader = "X-Contest-Hang"

const hang = 20 * time.Second // of real time

// MaxAge is the Cache-Control max-age of every key set, unless a case says
// otherwise: how long a verifier may go on with what it has.
const MaxAge = 10 * time.Minute

// Grace is what is allowed on top of MaxAge before a removed key must be refused.
const Grace = 30 * time.Second

// Issuer publishes keys and remembers who asked, and when it published what.
type Issuer struct {
	URL  string // iss, and where discovery is
	hub  *Hub
	path string

	mu      sync.Mutex
	now     func() time.Time
	keys    []Key             // what the key set holds
	served  []Key             // the last set that its own host could serve
	removed map[int]time.Time // index into history
	history []Key             // every key that was ever served
	trouble Trouble
	fetches []time.Time // of the key set
}

// Trouble is how the key set is answered when it is not answered well. The zero
// value is no trouble.
type Trouble struct {
	Status   int                                               // instead of the set
	Cut      bool                                              // the connection ends without an answer
	Hang     bool                                              // no answer, for as long as anybody waits
	Redirect string                                            // to this URL
	Answer   func(w http.ResponseWriter, r *http.Request) bool // anything else; true when it answered
	Control  string                                            // Cache-Control instead of MaxAge
	Limit    int                                               // this many fetches in a second are answered, the rest with 503
}

func (t Trouble) away() bool {
	return t.Status != 0 || t.Cut || t.Hang || t.Redirect != "" || t.Answer != nil
}

// JWKS is the URL of the key set.
func (i *Issuer) JWKS() string { return i.URL + "/jwks" }

// Publish makes these the keys of the set.
func (i *Issuer) Publish(keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
	i.settle()
}

// Suffer changes how the set is answered.
func (i *Issuer) Suffer(t Trouble) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.trouble = t
	i.settle()
}

// settle writes down what can be had from now on.
func (i *Issuer) settle() {
	if i.trouble.away() {
		return
	}
	now := i.now()
	for n, k := range i.history {
		published := slices.ContainsFunc(i.keys, k.same)
		if _, gone := i.removed[n]; !published && !gone {
			i.removed[n] = now
		} else if published {
			delete(i.removed, n)
		}
	}
	for _, k := range i.keys {
		if !slices.ContainsFunc(i.history, k.same) {
			i.history = append(i.history, k)
		}
	}
	i.served = slices.Clone(i.keys)
}

// Duty is what a verifier has to do with a token.
type Duty string

// The duties.
const (
	Accept Duty = "accept" // the key is published: refusing breaks a caller
	Refuse Duty = "refuse" // the key is not the issuer's, or no longer: accepting lets somebody in
	Either Duty = "either" // the key was removed a moment ago, or cannot be had yet
)

// Judge says what must be done with an otherwise perfect token that k signed.
// It knows what the issuer published and when, and nothing of any verifier:
//
//   - a key in the last set that the issuer's own host could serve: accept,
//     whatever has become of that host since;
//   - a key that was removed: refuse once MaxAge and Grace have passed since,
//     because the issuer said for how long its answer may be used;
//   - a key that is to be published but could not be fetched yet: either;
//   - any other key: refuse.
func (i *Issuer) Judge(k Key) Duty {
	i.mu.Lock()
	defer i.mu.Unlock()
	if slices.ContainsFunc(i.served, k.same) {
		return Accept
	}
	for n, old := range i.history {
		if old.same(k) {
			if i.now().Sub(i.removed[n]) > MaxAge+Grace {
				return Refuse
			}
			return Either
		}
	}
	if slices.ContainsFunc(i.keys, k.same) {
		return Either
	}
	return Refuse
}

// Fetches lists when the key set was asked for, since a moment.
func (i *Issuer) Fetches(since time.Time) []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	var list []time.Time
	for _, at := range i.fetches {
		if !at.Before(since) {
			list = append(list, at)
		}
	}
	return list
}

// Busiest is the most events in any window of this length.
func Busiest(events []time.Time, window time.Duration) int {
	sorted := slices.SortedFunc(slices.Values(events), time.Time.Compare)
	most, first := 0, 0
	for last, at := range sorted {
		for at.Sub(sorted[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func (i *Issuer) clock(r *http.Request) time.Time {
	if ns, err := strconv.ParseInt(r.Header.Get(ClockHeader), 10, 64); err == nil {
		return time.Unix(0, ns)
	}
	return i.now()
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, i.path) {
	case "/.well-known/openid-configuration":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["RS256"]}`, i.URL, i.JWKS())
	case "/jwks":
		i.serveKeys(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	at := i.clock(r)
	i.fetches = append(i.fetches, at)
	trouble, body := i.trouble, Document(i.keys...)
	second := 0
	for n := len(i.fetches) - 1; n >= 0 && at.Sub(i.fetches[n]) < time.Second; n-- {
		second++
	}
	i.mu.Unlock()

	w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	switch {
	case trouble.Cut:
		panic(http.ErrAbortHandler)
	case trouble.Hang && r.Header.Get(ClockHeader) != "":
		w.Header().Set(HangHeader, "1")
		return
	case trouble.Hang:
		select {
		case <-r.Context().Done():
		case <-time.After(hang):
		}
		panic(http.ErrAbortHandler)
	case trouble.Status != 0:
		http.Error(w, "the key set is away", trouble.Status)
		return
	case trouble.Limit > 0 && second > trouble.Limit:
		http.Error(w, "too many at once", http.StatusServiceUnavailable)
		return
	case trouble.Redirect != "":
		http.Redirect(w, r, trouble.Redirect, http.StatusFound)
		return
	case trouble.Answer != nil && trouble.Answer(w, r):
		return
	}
	if trouble.Control == "" {
		trouble.Control = fmt.Sprintf("public, max-age=%d", int(MaxAge.Seconds()))
	}
	w.Header().Set("Cache-Control", trouble.Control)
	sum := sha256.Sum256(body)
	etag := `"` + encode(sum[:8]) + `"`
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the asker is gone, or has it
}

// Document is a key set as JSON.
func Document(keys ...Key) []byte {
	list := make([]map[string]any, len(keys))
	for n, k := range keys {
		list[n] = k.JWK()
	}
	b, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic(err) // strings and maps of strings
	}
	return b
}
