package action

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"prunella"
)

const discoveryAge = 5 * time.Minute // a discovery document is read again after this

// discovery is what an issuer says about itself.
type discovery struct {
	JWKS  string `json:"jwks_uri"`
	Token string `json:"token_endpoint"`
	at    time.Time
}

func issuerOperations() []operation {
	return []operation{{
		spec: read("jwks.current", "The key set an issuer publishes now and the key it signs with.",
			[]prunella.ParamSpec{issuerParam},
			"reachable: the set could be fetched and read", "error: why not, or empty",
			"kids: published key ids", "thumbprints: RFC 7638 thumbprint of each kid",
			"signer: kid of a freshly issued token, or else the signer the key API names; empty when neither is known",
			"signer_published: the signer is in the set",
			"max_age_s: Cache-Control of the set, 0 when it has none", "token_lifetime_s: lifetime of an issued token, 0 when not known",
			"kid_is_thumbprint: for each kid, whether it is the thumbprint itself",
			"states: state of each key the key API knows (next, active, previous, removed, revoked)"),
		read: (*World).readKeySet,
	}}
}

var issuerParam = may("issuer", "text", "name of the issuer; by default the one whose tokens the incident's services verify")

// issuer returns the issuer of that name, or the one that the services share.
func (w *World) issuer(name string, services []string) (prunella.Issuer, error) {
	if name != "" {
		for _, i := range w.inv.Issuers {
			if i.Name == name {
				return i, nil
			}
		}
		return prunella.Issuer{}, &prunella.Error{Kind: prunella.NotFound, Where: "issuer", Reason: "no issuer is called " + quote(name),
			Remedy: "the inventory has " + orNone(w.issuerNames())}
	}
	if len(w.inv.Issuers) == 1 {
		return w.inv.Issuers[0], nil
	}
	found := map[string]prunella.Issuer{}
	for _, s := range services {
		for _, i := range w.inv.Issuers {
			if i.Name == s {
				found[i.Name] = i
			}
		}
		if i, ok := w.inv.IssuerOf(s); ok {
			found[i.Name] = i
		}
	}
	if len(found) == 1 {
		for _, i := range found {
			return i, nil
		}
	}
	return prunella.Issuer{}, &prunella.Error{Kind: prunella.Invalid, Where: "issuer", Reason: "which issuer is not clear from the incident's services",
		Remedy: "name it: " + orNone(w.issuerNames())}
}

func (w *World) issuerNames() []string {
	var out []string
	for _, i := range w.inv.Issuers {
		out = append(out, i.Name)
	}
	return out
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// discover returns the issuer's discovery document, remembered for a while; a
// remembered one outlives an issuer that stopped answering.
func (w *World) discover(ctx context.Context, i prunella.Issuer) (discovery, error) {
	w.mu.Lock()
	d, ok := w.meta[i.Name]
	w.mu.Unlock()
	now := w.opt.Now()
	if ok && now.Sub(d.at) < discoveryAge {
		return d, nil
	}
	fresh := discovery{at: now}
	address := join(i.URL, "/.well-known/openid-configuration")
	if _, err := w.getJSON(ctx, address, "", &fresh); err != nil {
		if ok {
			return d, nil
		}
		return d, err
	}
	for what, u := range map[string]string{"jwks_uri": fresh.JWKS, "token_endpoint": fresh.Token} {
		if u == "" && what == "token_endpoint" {
			continue
		}
		if _, err := safeURL(u); err != nil {
			return d, &prunella.Error{Kind: prunella.Invalid, Where: address, Reason: what + " cannot be used", Err: err}
		}
	}
	w.mu.Lock()
	w.meta[i.Name] = fresh
	w.mu.Unlock()
	return fresh, nil
}

// Token has the issuer issue a token and returns the kid it is signed with and
// its lifetime (0 when the answer does not tell). The token itself stays here.
func (w *World) Token(ctx context.Context, issuer string) (kid string, lifetime time.Duration, err error) {
	i, err := w.issuer(issuer, nil)
	if err != nil {
		return "", 0, err
	}
	t, err := w.issueToken(ctx, i, i.Audience)
	if err != nil {
		return "", 0, w.failed("get a token", err)
	}
	return t.kid, t.lifetime, nil
}

// canaryToken is a token and what is known of it.
type canaryToken struct {
	raw      string
	kid      string
	lifetime time.Duration
	got      time.Time
}

// issueToken asks for a client-credentials token.
func (w *World) issueToken(ctx context.Context, i prunella.Issuer, audience string) (canaryToken, error) {
	if i.ClientID == "" {
		return canaryToken{}, &prunella.Error{Kind: prunella.Invalid, Where: "issuers." + i.Name + ".client_id",
			Reason: "no client is declared, so no token can be had", Remedy: "declare client_id and client_secret of a client that may call the canaries"}
	}
	d, err := w.discover(ctx, i)
	if err != nil {
		return canaryToken{}, err
	}
	if d.Token == "" {
		return canaryToken{}, prunella.Errorf(prunella.Invalid, "the issuer %s has no token endpoint", i.Name)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {i.ClientID}, "client_secret": {i.ClientSecret}}
	if audience != "" {
		form.Set("audience", audience)
	}
	a, err := w.exchange(ctx, call{method: http.MethodPost, url: d.Token, body: form,
		header: map[string]string{"Accept": "application/json"}}, w.opt.Timeout)
	if err != nil {
		return canaryToken{}, err
	}
	if a.status != http.StatusOK {
		return canaryToken{}, a.refusal(d.Token, false)
	}
	return w.tokenFrom(a, d.Token)
}

// tokenFrom reads an OAuth token answer.
func (w *World) tokenFrom(a answer, address string) (canaryToken, error) {
	var body struct {
		Token   string  `json:"access_token"`
		Expires float64 `json:"expires_in"`
	}
	if err := a.decode(address, &body); err != nil {
		return canaryToken{}, err
	}
	kid, ok := kidOf(body.Token)
	if !ok {
		return canaryToken{}, &prunella.Error{Kind: prunella.Invalid, Where: address, Reason: "the access token is not a JWT, so its key cannot be told"}
	}
	return canaryToken{raw: body.Token, kid: kid, lifetime: time.Duration(body.Expires * float64(time.Second)), got: w.opt.Now()}, nil
}

// kidOf reads the kid of a JWT's header without verifying anything.
func kidOf(token string) (string, bool) {
	head, _, ok := strings.Cut(token, ".")
	if !ok {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", false
	}
	var h struct {
		Kid string `json:"kid"`
	}
	return h.Kid, json.Unmarshal(raw, &h) == nil && h.Kid != ""
}

// fetchKeys reads the published set.
func (w *World) fetchKeys(ctx context.Context, i prunella.Issuer) (address string, keys []prunella.PublicKey, age time.Duration, err error) {
	d, err := w.discover(ctx, i)
	if err != nil {
		return "", nil, 0, err
	}
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	a, err := w.getJSON(ctx, d.JWKS, "", &set)
	if err != nil {
		return d.JWKS, nil, 0, err
	}
	if set.Keys == nil {
		return d.JWKS, nil, 0, &prunella.Error{Kind: prunella.Invalid, Where: d.JWKS, Reason: "the answer is not a key set: it has no keys"}
	}
	now := w.opt.Now().UTC()
	for n, raw := range *set.Keys {
		k, err := publicKey(raw)
		if err != nil {
			return d.JWKS, nil, 0, prunella.Errorf(prunella.Invalid, "%s: key %d cannot be read: %w", d.JWKS, n+1, err)
		}
		k.Published, k.FirstSeen, k.LastSeen = true, now, now
		keys = append(keys, k)
	}
	return d.JWKS, keys, maxAge(a.header), nil
}

func publicKey(raw []byte) (prunella.PublicKey, error) {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil {
		return prunella.PublicKey{}, err
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return prunella.PublicKey{}, err
	}
	return prunella.PublicKey{Kid: k.KeyID, Alg: k.Algorithm, Thumbprint: base64.RawURLEncoding.EncodeToString(sum)}, nil
}

// KeySet returns what an issuer publishes, signs with and, when it has a key
// API, holds back: keys that are not in the set have Published false. When the
// set cannot be read the KeySet holds what else is known, and the error says why
// (prunella.Unavailable: no answer; Invalid: an answer that is not a key set).
// An unknown issuer is prunella.NotFound and no KeySet.
func (w *World) KeySet(ctx context.Context, issuer string) (prunella.KeySet, error) {
	i, err := w.issuer(issuer, nil)
	if err != nil {
		return prunella.KeySet{}, err
	}
	v := w.keySet(ctx, i)
	if v.err != nil {
		return v.KeySet, w.failed("read the key set", v.err)
	}
	return v.KeySet, nil
}

// keySetView is a KeySet and what the key API says.
type keySetView struct {
	prunella.KeySet
	stated string      // signer by the key API's word
	err    error       // why the set could not be read
	token  canaryToken // freshly issued, for the issuer's audience; empty when none could be had
}

func (v keySetView) signer() string {
	if v.Signer != "" {
		return v.Signer
	}
	return v.stated
}

// keySet asks the set, the token endpoint and the key API at the same time.
func (w *World) keySet(ctx context.Context, i prunella.Issuer) keySetView {
	v := keySetView{KeySet: prunella.KeySet{Issuer: i.Name, At: w.opt.Now().UTC(), TokenLifetime: time.Duration(i.TokenLifetime)}}
	var wg sync.WaitGroup
	var tok canaryToken
	var tokErr, adminErr error
	var managed []managedKey
	wg.Go(func() {
		tokErr = w.opt.Caught.Contain("token endpoint", func() (err error) { tok, err = w.issueToken(ctx, i, i.Audience); return err })
	})
	if i.Admin != nil {
		wg.Go(func() {
			adminErr = w.opt.Caught.Contain("key API", func() (err error) { v.stated, managed, err = w.admin(i).list(ctx); return err })
		})
	}
	address, keys, age, err := w.fetchKeys(ctx, i)
	wg.Wait()
	v.URL, v.MaxAge, v.Keys, v.Reachable, v.err = address, age, keys, err == nil, err
	if err != nil {
		v.Error = w.secrets.clean(err.Error())
	}
	if tokErr == nil {
		v.Signer, v.token = tok.kid, tok
		if v.TokenLifetime == 0 {
			v.TokenLifetime = tok.lifetime
		}
	} else {
		w.log.Debug("no token to tell the signer by", "issuer", i.Name, "reason", w.secrets.clean(tokErr.Error()))
	}
	if adminErr != nil {
		w.log.Debug("the key API does not answer", "issuer", i.Name, "reason", w.secrets.clean(adminErr.Error()))
	}
	v.Keys = withStates(v.Keys, managed, v.Reachable)
	return v
}

// withStates adds the key API's knowledge to the published keys. Published
// stays what the set itself shows; only when the set cannot be read is the key
// API's word taken.
func withStates(published []prunella.PublicKey, managed []managedKey, reachable bool) []prunella.PublicKey {
	out := published
	for _, m := range managed {
		known := false
		for n := range out {
			if out[n].Kid == m.kid {
				out[n].State, out[n].Since, known = m.state, m.since, true
			}
		}
		if !known {
			out = append(out, prunella.PublicKey{Kid: m.kid, Alg: m.alg, Thumbprint: m.thumbprint, State: m.state,
				Since: m.since, Published: !reachable && m.published})
		}
	}
	return out
}

func (w *World) readKeySet(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	i, err := w.issuer(p.text("issuer"), inc.Services)
	if err != nil {
		return nil, err
	}
	v := w.keySet(ctx, i)
	kids, prints, same, states := []string{}, map[string]string{}, map[string]bool{}, map[string]string{}
	for _, k := range v.Keys {
		if k.State != "" {
			states[k.Kid] = k.State
		}
		if !k.Published || !v.Reachable {
			continue
		}
		kids = append(kids, k.Kid)
		prints[k.Kid] = k.Thumbprint
		same[k.Kid] = k.Kid == k.Thumbprint
	}
	_, published := prints[v.signer()]
	return map[string]any{
		"issuer": i.Name, "reachable": v.Reachable, "error": v.Error, "kids": kids, "thumbprints": prints,
		"signer": v.signer(), "signer_published": published,
		"max_age_s": v.MaxAge.Seconds(), "token_lifetime_s": v.TokenLifetime.Seconds(),
		"kid_is_thumbprint": same, "states": states,
	}, nil
}
