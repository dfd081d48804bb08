package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"prunella/keyset"
	"prunella/rotation"
)

// Source is where a token of the signer is had: a token endpoint that knows the
// client credentials grant (RFC 6749, 4.4).
type Source struct {
	URL             string
	ID, Secret      string
	Audience, Scope string // sent when not empty; Auth0 wants an audience
}

// token is a JWT, read and not verified.
type token struct {
	raw, kid string
	typ      string
	issuer   string
	iat, exp time.Time
	canary   bool // made to be shown; its key need not have signed anything else
}

const maxToken = 16 << 10

func readToken(raw string) (token, error) {
	raw = strings.TrimSpace(raw)
	t := token{raw: raw}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || len(raw) > maxToken {
		return t, errors.New("it is no compact JWT (three parts joined by dots)")
	}
	var head struct {
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}
	var claims struct {
		Issuer string       `json:"iss"`
		Canary bool         `json:"canary"`
		Issued *json.Number `json:"iat"`
		Ends   *json.Number `json:"exp"`
	}
	for i, v := range []any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return t, errors.New("a part of it is not base64url")
		}
		if err := json.Unmarshal(b, v); err != nil {
			return t, errors.New("a part of it is not the JSON that a JWT has")
		}
	}
	at := func(n *json.Number) time.Time {
		if n == nil {
			return time.Time{}
		}
		f, err := n.Float64()
		if err != nil || f < 0 || f > 1<<40 {
			return time.Time{}
		}
		return time.Unix(int64(f), 0).UTC()
	}
	t.kid, t.typ, t.issuer = head.Kid, head.Typ, claims.Issuer
	t.iat, t.exp = at(claims.Issued), at(claims.Ends)
	t.canary = claims.Canary || t.typ == rotation.CanaryType
	return t, nil
}

func (t token) live(now time.Time) bool { return t.exp.IsZero() || now.Before(t.exp) }

// collect gets the tokens there are, and learns from them: which key signs, since
// when at the latest, and how long tokens live. body is the key set as fetched.
func (r *Report) collect(ctx context.Context, w *web, cfg Config, body []byte) {
	for n, raw := range cfg.Tokens {
		name := fmt.Sprintf("token %d", n+1)
		t, err := readToken(raw)
		if err != nil {
			r.find(Warning, "token-unreadable", name, "name a file that holds a JWT of this issuer", "%v", err)
			continue
		}
		if t.issuer != cfg.Issuer {
			r.find(Warning, "token-of-another-issuer", name, "use a token of this issuer", "its iss is %.200q", t.issuer)
			continue
		}
		if !t.live(r.At) {
			r.find(Note, "token-expired", name, "give a token that lives", "it ended at %s: it says which key signed it, and cannot be shown to anybody", t.exp.Format(time.RFC3339))
		}
		r.tokens = append(r.tokens, t)
	}
	fresh := false
	if cfg.Source != nil {
		t, err := cfg.Source.fetch(ctx, w)
		switch {
		case err != nil:
			r.find(Warning, "no-token", cfg.Source.URL, "check the token endpoint, the client and its audience", "no token can be had: %v", err)
		case t.issuer != cfg.Issuer:
			r.find(Error, "token-issuer", cfg.Source.URL, "make iss of the tokens the issuer's URL, to the byte", "iss of a fresh token is %.200q", t.issuer)
		default:
			r.tokens, r.Signer, fresh = append(r.tokens, t), t.kid, true
		}
	}
	if !fresh { // the youngest token that is known
		var last time.Time
		for _, t := range r.tokens {
			if !t.canary && t.iat.After(last) {
				last, r.Signer = t.iat, t.kid
			}
		}
	}
	r.Lifetime = int64(cfg.TokenLifetime / time.Second)
	r.Since = cfg.SignerSince
	for _, t := range r.tokens {
		if t.canary {
			continue
		}
		if !t.iat.IsZero() && t.exp.After(t.iat) && cfg.TokenLifetime == 0 {
			r.Lifetime = max(r.Lifetime, int64(t.exp.Sub(t.iat)/time.Second))
		}
		if t.kid == r.Signer && !t.iat.IsZero() && (r.Since.IsZero() || t.iat.Before(r.Since)) {
			r.Since = t.iat
		}
	}
	if m := cfg.past; m != nil && r.Signer != "" && m.Signer != "" {
		floor := m.Floor
		if m.Signer != r.Signer {
			floor = m.Seen
		} else if !m.Since.IsZero() && m.Since.Before(r.Since) {
			r.Since = m.Since
		}
		if r.Since.Before(floor) { // of an earlier reign of this key
			r.Since = floor
		}
	}
	r.judgeTokens(ctx, cfg, body)
}

// judgeTokens verifies the tokens with the published set, as a strict verifier
// would, but for the audience.
func (r *Report) judgeTokens(ctx context.Context, cfg Config, body []byte) {
	if body == nil || !r.Usable {
		return
	}
	endless := false
	for _, t := range r.tokens {
		if t.kid == "" {
			r.find(Warning, "token-without-kid", t.name(), "state kid in the header of every token", "its header names no kid: of several keys a verifier would have to try each, and careful ones refuse")
		}
		if t.exp.IsZero() && !endless {
			endless = true
			r.find(Error, "token-never-expires", t.name(), "give every token an exp, of an hour or so", "it has no exp: verifiers that check refuse it, and for the others the key that signed it can never be removed")
		}
		set, err := keyset.New(ctx, keyset.Config{Issuer: cfg.Issuer, JWKS: "https://published.invalid/", AnyAudience: true, Types: []string{t.typ},
			Client: &http.Client{Transport: replay(body)}, Log: silent})
		if err != nil {
			return
		}
		_, err = set.Verify(ctx, t.raw)
		set.Close()
		signer := t.kid == r.Signer && t.kid != ""
		switch {
		case errors.Is(err, keyset.UnknownKey) && signer:
			r.find(Error, "signer-not-published", t.kid, "publish the key, or make a published one the signer again", "the issuer signs with it and it is not in the key set: every verifier that fetches refuses its tokens")
		case errors.Is(err, keyset.UnknownKey) && t.kid != "" && t.live(r.At):
			r.find(Error, "removed-too-early", t.kid, "publish the key again until its last token is past", "a token of it lives (until %s) and the key is not in the set: every verifier that fetches refuses it", t.end())
		case errors.Is(err, keyset.Signature):
			r.find(Error, "same-kid-new-material", t.kid, "publish the key that signs, under a kid of its own", "a token of this kid was not signed by the published key")
		case errors.Is(err, keyset.Algorithm):
			r.find(Error, "token-algorithm", t.kid, "sign with the algorithm that the published key states", "%v", err)
		}
	}
}

// name is the kid, or what else a finding can be about.
func (t token) name() string {
	if t.kid == "" {
		return "a token of " + t.issuer
	}
	return t.kid
}

func (t token) end() string {
	if t.exp.IsZero() {
		return "no exp"
	}
	return t.exp.Format(time.RFC3339)
}

// fetch asks for a token.
func (s *Source) fetch(ctx context.Context, w *web) (token, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, v := range map[string]string{"audience": s.Audience, "scope": s.Scope} {
		if v != "" {
			form.Set(name, v)
		}
	}
	post := func(form url.Values, basic bool) (page, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(form.Encode()))
		if err != nil {
			return page{}, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if basic {
			req.SetBasicAuth(url.QueryEscape(s.ID), url.QueryEscape(s.Secret))
		}
		return w.do(req, false)
	}
	p, err := post(form, true)
	if err == nil && (p.status == http.StatusUnauthorized || p.status == http.StatusBadRequest) { // it may want them in the body
		form.Set("client_id", s.ID)
		form.Set("client_secret", s.Secret)
		p, err = post(form, false)
	}
	if err != nil {
		return token{}, err
	}
	var answer struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
		Text  string `json:"error_description"`
	}
	if err := json.Unmarshal(p.body, &answer); err != nil || answer.Token == "" {
		if answer.Error != "" {
			return token{}, fmt.Errorf("it answers %s: %.100s %.200s", p.text, answer.Error, answer.Text)
		}
		return token{}, fmt.Errorf("it answers %s without access_token", p.text)
	}
	t, err := readToken(answer.Token)
	if err != nil {
		return t, fmt.Errorf("the token is opaque to everybody but the issuer: %w", err)
	}
	return t, nil
}

// shown are the tokens to show: for each published key the one that lives longest.
func (r *Report) shown() []token {
	best := map[string]token{}
	for _, t := range r.tokens {
		if b, ok := best[t.kid]; t.live(r.At) && (!ok || t.exp.IsZero() || t.exp.After(b.exp)) {
			best[t.kid] = t
		}
	}
	var list []token
	for _, k := range r.Keys {
		if t, ok := best[k.ID]; ok && k.Usable {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b token) int { // the signer's first
		switch {
		case a.kid == r.Signer:
			return -1
		case b.kid == r.Signer:
			return 1
		}
		return 0
	})
	return list
}
