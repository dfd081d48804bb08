package issuer

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"prunella/rotation"
)

// auth0 is a tenant. It publishes the current and the next key, always; rotating
// makes next current, and there is no way back.
type auth0 struct{ *api }

// auth0Key is an element of GET /api/v2/keys/signing.
type auth0Key struct {
	Kid      string    `json:"kid"`
	Current  bool      `json:"current"`
	Next     bool      `json:"next"`
	Previous bool      `json:"previous"`
	Revoked  bool      `json:"revoked"`
	Until    auth0Time `json:"current_until"`
}

// auth0Time is RFC 3339 text, or the seconds, or nothing.
type auth0Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler; what is no time is none.
func (t *auth0Time) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			t.Time = at
		}
	case float64:
		if v > 0 && v < 1<<40 {
			t.Time = time.Unix(int64(v), 0)
		}
	}
	return nil
}

// Observe implements Observer. The API knows the states, the key set the keys.
func (a *auth0) Observe(ctx context.Context) ([]Key, error) {
	list, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	set := &published{a: &api{cfg: Config{URL: a.cfg.URL, JWKS: orElse(a.cfg.JWKS, strings.TrimSuffix(a.cfg.URL, "/")+"/.well-known/jwks.json")}, client: a.client}}
	seen, err := set.Observe(ctx)
	if err != nil {
		return nil, err
	}
	var out []Key
	for _, k := range list {
		one := Key{ID: rotation.KeyID(k.Kid), Until: k.Until.Time}
		switch {
		case k.Revoked:
			one.State = rotation.Revoked
		case k.Current:
			one.State = rotation.Active
		case k.Next:
			one.State = rotation.Next
		default:
			one.State = rotation.Previous
		}
		for _, p := range seen {
			if p.ID == one.ID {
				one.Thumbprint, one.Algorithm = p.Thumbprint, p.Algorithm
			}
		}
		if one.Thumbprint != "" || one.State == rotation.Revoked { // what is not published, no verifier can hold
			out = append(out, one)
		}
	}
	return out, nil
}

func (a *auth0) list(ctx context.Context) ([]auth0Key, error) {
	var list []auth0Key
	_, err := a.do(ctx, http.MethodGet, "/api/v2/keys/signing", nil, &list)
	return list, err
}

// Stage implements Driver: the next key is there already.
func (a *auth0) Stage(context.Context) error { return nil }

// Promote implements Driver. Rotation names no key, so it is looked first which
// one is next, and afterwards which one became current. A rotation whose answer
// was lost has been done: asked again, it is not done twice.
func (a *auth0) Promote(ctx context.Context, id rotation.KeyID) error {
	is := func(k func(auth0Key) bool) (bool, error) {
		list, err := a.list(ctx)
		for _, one := range list {
			if one.Kid == string(id) && k(one) {
				return true, err
			}
		}
		return false, err
	}
	current, err := is(func(k auth0Key) bool { return k.Current })
	if err != nil || current {
		return err
	}
	next, err := is(func(k auth0Key) bool { return k.Next })
	if err != nil {
		return err
	}
	if !next {
		return invalid("Auth0 only ever makes its next key current; a previous one cannot come back: let the verifiers fetch the key set instead", "%s is not Auth0's next key", id)
	}
	if _, err := a.do(ctx, http.MethodPost, "/api/v2/keys/signing/rotate", nil, nil); err != nil {
		return err
	}
	current, err = is(func(k auth0Key) bool { return k.Current })
	if err == nil && !current {
		err = &rotation.Error{Kind: rotation.Conflict, Detail: "issuer: Auth0 rotated, and another key than " + string(id) + " is current", Remedy: "somebody else rotated at the same time: look at status"}
	}
	return err
}

// Retire implements Driver: Auth0 takes a key out by revoking it.
func (a *auth0) Retire(ctx context.Context, id rotation.KeyID) error { return a.Revoke(ctx, id) }

// Revoke implements Driver, for a previous key only.
func (a *auth0) Revoke(ctx context.Context, id rotation.KeyID) error {
	list, err := a.list(ctx)
	if err != nil {
		return err
	}
	for _, k := range list {
		switch {
		case k.Kid != string(id):
			continue
		case k.Revoked:
			return nil
		case k.Current || k.Next:
			return invalid("rotate first: the key is previous then", "%s is Auth0's current or next key, which it does not revoke", id)
		}
		_, err := a.do(ctx, http.MethodPut, "/api/v2/keys/signing/"+url.PathEscape(string(id))+"/revoke", nil, nil)
		return err
	}
	return &rotation.Error{Kind: rotation.NotFound, Detail: "issuer: Auth0 has no signing key " + string(id)}
}

// Hint is a line of an issuer's log that says that keys may have changed. It helps
// to tell who did it, and is never a fact.
type Hint struct {
	At   time.Time
	Path string // of the API call
	Who  string
}

// Hinter is an Observer whose issuer keeps such a log.
type Hinter interface {
	// Hints lists what the log says since a time, oldest first.
	Hints(ctx context.Context, since time.Time) ([]Hint, error)
}

const (
	logPage  = 100 // entries of one page, the most that Auth0 gives
	logPages = 10  // and it ends after a thousand
)

// Hints implements Hinter by the tenant's log: successful API operations ("sapi")
// on signing keys.
func (a *auth0) Hints(ctx context.Context, since time.Time) ([]Hint, error) {
	var out []Hint
	for page := range logPages {
		q := url.Values{"q": {`type:"sapi" AND date:[` + since.UTC().Format(time.RFC3339) + ` TO *]`}, "sort": {"date:1"},
			"per_page": {strconv.Itoa(logPage)}, "page": {strconv.Itoa(page)}}
		var list []struct {
			Date    time.Time `json:"date"`
			Type    string    `json:"type"`
			Client  string    `json:"client_name"`
			Details struct {
				Request struct {
					Path   string `json:"path"`
					Method string `json:"method"`
				} `json:"request"`
			} `json:"details"`
		}
		if _, err := a.do(ctx, http.MethodGet, "/api/v2/logs?"+q.Encode(), nil, &list); err != nil {
			return out, err
		}
		for _, e := range list {
			path := e.Details.Request.Path
			if e.Type == "sapi" && !strings.EqualFold(e.Details.Request.Method, http.MethodGet) && strings.HasPrefix(path, "/api/v2/keys/signing") {
				out = append(out, Hint{e.Date, path, e.Client})
			}
		}
		if len(list) < logPage {
			break
		}
	}
	return out, nil
}
