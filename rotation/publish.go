package rotation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// document is the JWKS of a ring.
func (r Ring) document() []byte {
	set := struct {
		Keys []JWK `json:"keys"`
	}{[]JWK{}}
	for _, k := range r.Keys {
		if k.State.Published() {
			set.Keys = append(set.Keys, k.Public)
		}
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic(err) // strings
	}
	return b
}

// MaxAge is how long a copy of the document may be kept now: until the next
// change is due, within the policy's bounds. A change that is overdue, because
// somebody lacks a key, makes it the least, so that he who refreshes helps.
func MaxAge(s Snapshot, now time.Time) time.Duration {
	next := NextChange(s)
	if next.IsZero() {
		return s.Policy.MaxAge
	}
	return min(max(next.Sub(now), s.Policy.MinAge), s.Policy.MaxAge)
}

// freshEnough is how old a node's copy may be for whoever asks for none: a hint
// may come before every node has read what it is about. It bounds what reads
// of the store such requests can cause.
const freshEnough = 50 * time.Millisecond

// Keys serves the JWKS document. It is 503 before the first key, and when this
// node has not been able to read for too long what it should serve: verifiers
// keep what they have then, which is safer than an old document.
func (r *Rotator) Keys() http.Handler {
	return r.public(func(ring Ring) []byte { return ring.document() })
}

// Discovery serves the OpenID provider metadata (OpenID Connect Discovery 1.0)
// that a verifier needs. An issuer with more to say serves its own, with the
// same jwks_uri.
func (r *Rotator) Discovery() http.Handler {
	return r.public(func(ring Ring) []byte {
		doc, err := json.Marshal(map[string]any{
			"issuer": r.cfg.Issuer, "jwks_uri": r.cfg.JWKS, "id_token_signing_alg_values_supported": ring.algorithms(r.cfg.Algorithm),
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		})
		if err != nil {
			panic(err) // strings
		}
		return doc
	})
}

// algorithms are those of the published keys, and of the next: some verifiers
// refuse every other, also while keys change from one to the other.
func (r Ring) algorithms(next Algorithm) []Algorithm {
	list := []Algorithm{next}
	for _, k := range r.Keys {
		if k.State.Published() && !slices.Contains(list, k.Algorithm) {
			list = append(list, k.Algorithm)
		}
	}
	slices.Sort(list)
	return list
}

func (r *Rotator) public(body func(Ring) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem(w, http.StatusMethodNotAllowed, fault(Invalid, "this is read with GET", "use GET"))
			return
		}
		now := time.Now()
		newest := r.policy.Stale / 4
		if strings.Contains(req.Header.Get("Cache-Control"), "no-cache") {
			newest = min(newest, freshEnough)
		}
		ring, err := r.within(req.Context(), now, newest)
		if _, signs := ring.Signer(); err == nil && !signs {
			err = fault(Unavailable, "there is no key yet", "ask again in some seconds")
		}
		if err != nil {
			w.Header().Set("Retry-After", "5")
			problem(w, http.StatusServiceUnavailable, err)
			return
		}
		b := body(ring)
		sum := sha256.Sum256(b)
		tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
		age := MaxAge(Snapshot{Ring: ring, Policy: r.policy}, now)
		shared := min(age, r.policy.Stale/2)
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, s-maxage=%d, must-revalidate", age/time.Second, shared/time.Second))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // it is public, and browsers verify tokens too
		if matches(req.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(b) // the reader is gone, or has it
	})
}

// matches compares weakly, as RFC 9110, 13.1.2 asks.
func matches(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// Handler serves everything below the issuer's URL:
//
//	GET  /.well-known/openid-configuration
//	GET  the path of Config.JWKS
//	POST /keys/ack/{verifier}
//	     /keys/…                              the API; see Rotator.API
//
// who names the operator behind a request of the API; nil refuses them all.
func (r *Rotator) Handler(who func(*http.Request) (string, error)) http.Handler {
	issuer, _ := url.Parse(r.cfg.Issuer) // checked by New
	jwks, _ := url.Parse(r.cfg.JWKS)
	base := strings.TrimSuffix(issuer.Path, "/")
	discovery, keys, told, api := r.Discovery(), r.Keys(), r.Acknowledgements(), http.StripPrefix(base+"/keys", r.API(who))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { // no ServeMux: a URL's path may look like a pattern
		switch path := req.URL.Path; {
		case path == base+wellKnown:
			discovery.ServeHTTP(w, req)
		case path == cmp.Or(jwks.Path, "/"):
			keys.ServeHTTP(w, req)
		case strings.HasPrefix(path, base+"/keys/ack/"):
			told.ServeHTTP(w, req)
		case strings.HasPrefix(path, base+"/keys/"):
			api.ServeHTTP(w, req)
		default:
			http.NotFound(w, req)
		}
	})
}

// wellKnown is where discovery lives, below the issuer.
const wellKnown = "/.well-known/openid-configuration"

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// Ready is nil when this node can sign.
func (r *Rotator) Ready(ctx context.Context) error {
	ring, err := r.current(ctx, time.Now())
	if err != nil {
		return err
	}
	if _, signs := ring.Signer(); !signs {
		return fault(Unavailable, "there is no active key yet", "let Run make the first")
	}
	return nil
}
