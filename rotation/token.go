package rotation

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

const (
	// CanaryType is typ of a canary that a verifier checks by itself. No verifier
	// that looks at typ (RFC 8725, 3.11) takes one for an access token.
	CanaryType = "canary+jwt"
	// CanarySubject is sub of every canary. Grant it nothing.
	CanarySubject = "canary"

	canaryLife = 2 * time.Minute
)

// Token signs a JWT with the active key. typ "" is "JWT". iss, iat and, where it
// is missing, exp are set here. A token that would live longer than
// Policy.MaxLifetime is Invalid: the gate that removes its key counts on that.
// Unavailable means that there is no active key, or that this node has not
// been able to read for too long which one it is.
func (r *Rotator) Token(ctx context.Context, typ string, claims map[string]any) (string, error) {
	now := time.Now()
	ring, err := r.current(ctx, now)
	if err != nil {
		return "", err
	}
	signer, ok := ring.Signer()
	if !ok {
		return "", fault(Unavailable, "there is no active key yet", "let Run make the first")
	}
	claims = maps.Clone(claims)
	if claims == nil {
		claims = map[string]any{}
	}
	if iss, given := claims["iss"]; given && iss != r.cfg.Issuer {
		return "", fault(Invalid, "iss is another issuer", "leave it out")
	}
	life := r.policy.MaxLifetime
	if signer.Lifetime > 0 { // a policy that was raised counts when the ring has it, so that every node waits for such tokens
		life = min(life, signer.Lifetime)
	}
	latest := now.Add(life)
	claims["iss"], claims["iat"] = r.cfg.Issuer, now.Unix()
	if exp, given := claims["exp"]; !given {
		claims["exp"] = latest.Unix()
	} else if at, ok := seconds(exp); !ok || at > float64(latest.Unix()) {
		return "", fault(Invalid, fmt.Sprintf("exp is no number, or more than %s from now", life),
			"ask for a shorter life, or raise MaxLifetime in the policy before such tokens are made")
	}
	token, err := r.sign(ctx, signer, cmp.Or(typ, "JWT"), claims)
	if err == nil {
		r.metrics.tokens.Inc()
	}
	return token, err
}

func seconds(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, v == v
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

// sign makes a compact JWS.
func (r *Rotator) sign(ctx context.Context, k Key, typ string, claims map[string]any) (string, error) {
	head, err := json.Marshal(struct {
		Alg Algorithm `json:"alg"`
		Kid KeyID     `json:"kid"`
		Typ string    `json:"typ"`
	}{k.Algorithm, k.ID, typ})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", &Error{Kind: Invalid, Detail: "the claims are no JSON", Cause: err}
	}
	b64 := base64.RawURLEncoding
	input := b64.AppendEncode(nil, head)
	input = append(input, '.')
	input = b64.AppendEncode(input, payload)
	sig, err := r.cfg.Signer.Sign(ctx, k.ID, k.Algorithm, input)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.ID, err)
	}
	input = append(input, '.')
	return string(b64.AppendEncode(input, sig)), nil
}

// canary signs a token that grants nothing, with any published key.
func (r *Rotator) canary(ctx context.Context, k Key, v *declared, typ string, now time.Time) (string, error) {
	return r.sign(ctx, k, typ, map[string]any{
		"iss": r.cfg.Issuer, "sub": CanarySubject, "aud": v.Audience, "canary": true, "jti": "canary_" + rand.Text(),
		"iat": now.Unix(), "exp": now.Add(canaryLife).Unix(),
	})
}
