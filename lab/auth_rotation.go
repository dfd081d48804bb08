package lab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"prunella"
	"prunella/rotation"
	"prunella/rotation/signer"
	"prunella/rotation/sqlstore"
)

// rotationConfig makes the auth service run on package rotation.
type rotationConfig struct {
	Dir     string            `json:"dir"`
	Members []rotationFleet   `json:"members"`
	Admins  map[string]string `json:"admins"` // who has which token
}

// rotationFleet is one verifier, as the issuer's operator declares it.
type rotationFleet struct {
	Name   string        `json:"name"`
	Secret string        `json:"secret"` // "" for one that cannot answer
	Hook   string        `json:"hook"`
	Probe  string        `json:"probe"`
	Within time.Duration `json:"within"`
}

// rotationPolicy has the lab's times: one machine, no CDN, nobody waits for a
// minute. The gates are those of production.
func rotationPolicy(lifetime time.Duration) rotation.Policy {
	return rotation.Policy{MaxLifetime: lifetime, Skew: 250 * time.Millisecond, Stale: 2 * time.Second, Grace: time.Second,
		Quiet: time.Second, Watch: 15 * time.Second, Hold: 5 * time.Second, MinAge: time.Second, MaxAge: jwksMaxAge}
}

// rotating is the auth service's hand on its keys when it runs on rotation.
type rotating struct {
	issuer  string
	rotator *rotation.Rotator
	store   *sqlstore.Store
	keys    *signer.Memory
	client  *http.Client
	stop    func()

	mu   sync.Mutex
	used map[string]usage // by kid
}

// usage is when a key last signed and when the last of its tokens expires.
type usage struct {
	Kid        string    `json:"kid"`
	LastIssued time.Time `json:"last_issued,omitzero"`
	LastExpiry time.Time `json:"last_expiry,omitzero"`
}

func startRotating(ctx context.Context, cfg authConfig, otel *telemetry) (*rotating, error) {
	store, err := sqlstore.Open(ctx, filepath.Join(cfg.Rotation.Dir, "keys.db"))
	if err != nil {
		return nil, err
	}
	r := &rotating{issuer: cfg.Issuer, store: store, keys: &signer.Memory{}, client: newClient(2 * time.Second), used: map[string]usage{}}
	var fleet []rotation.Verifier
	for _, m := range cfg.Rotation.Members {
		v := rotation.Verifier{Name: m.Name, Class: rotation.Timed, Within: m.Within, Probe: m.Probe, Audience: cfg.Audience}
		if m.Secret != "" {
			v.Class, v.Secrets, v.Hooks = rotation.Answering, []string{m.Secret}, []string{m.Hook}
		}
		fleet = append(fleet, v)
	}
	r.rotator, err = rotation.New(ctx, rotation.Config{
		Issuer: cfg.Issuer, JWKS: "http://" + cfg.JWKSAddr + "/.well-known/jwks.json", Algorithm: rotation.Algorithm(cfg.Alg),
		Policy: rotationPolicy(cfg.Lifetime), Verifiers: fleet, Store: store, Signer: r.keys, Node: "auth-0",
		Tick: 250 * time.Millisecond, Client: r.client, Log: slog.New(serviceLog{otel}),
	})
	if err == nil {
		err = r.rotator.Settle(ctx, time.Now()) // the first key signs at once: there is nobody to break
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { _ = r.rotator.Run(running) }) // nil always
	r.stop = func() { cancel(); done.Wait() }
	return r, nil
}

func (r *rotating) close() error {
	r.stop()
	r.client.CloseIdleConnections()
	return r.store.Close()
}

// list is every key and the signer's kid, as the key API shows them.
func (r *rotating) list(ctx context.Context) (keys []keyInfo, signer string, err error) {
	s, err := r.rotator.Status(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, k := range s.Keys {
		if k.State == rotation.Active {
			signer = string(k.ID)
		}
		keys = append(keys, infoOf(k))
	}
	return keys, signer, nil
}

func infoOf(k rotation.Key) keyInfo {
	out := keyInfo{Kid: string(k.ID), Alg: string(k.Algorithm), Thumbprint: string(k.Thumbprint), Created: k.Since, Activated: k.Promoted, State: stateNext}
	if k.State.Published() {
		out.Published, out.Created = k.Published, k.Published
	}
	switch k.State {
	case rotation.Active:
		out.State = stateActive
	case rotation.Previous:
		out.State = statePrevious
	case rotation.Removed:
		out.State, out.Removed = stateRemoved, k.Since
	case rotation.Revoked:
		out.State, out.Removed = stateRevoked, k.Since
	}
	return out
}

func (r *rotating) find(ctx context.Context, kid string) (rotation.Key, error) {
	s, err := r.rotator.Status(ctx)
	if err != nil {
		return rotation.Key{}, err
	}
	for _, k := range s.Keys {
		if string(k.ID) == kid || kid == "" && k.State == rotation.Active {
			return k, nil
		}
	}
	return rotation.Key{}, &prunella.Error{Kind: prunella.NotFound, Op: "keys", Reason: "there is no key " + kid}
}

// sign issues a token: of the signer through the rotator, which is what a
// customer gets, and of another key or another time by the signer itself.
func (r *rotating) sign(ctx context.Context, kid string, m mint) (string, error) {
	expiry := m.issued.Add(m.lifetime)
	claims := map[string]any{"sub": m.subject, "aud": m.audience, "jti": newID("tok"), "nbf": m.issued.Unix(), "exp": expiry.Unix()}
	if kid == "" && !m.canary && time.Since(m.issued) < time.Second {
		token, err := r.rotator.Token(ctx, "JWT", claims)
		if err == nil {
			r.note(peekKid(token), m.issued, expiry)
		}
		return token, err
	}
	k, err := r.find(ctx, kid)
	if err != nil {
		return "", err
	}
	claims["iss"], claims["iat"] = r.issuer, m.issued.Unix()
	head, err := json.Marshal(map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := r.keys.Sign(ctx, k.ID, k.Algorithm, []byte(input))
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.ID, err)
	}
	if !m.canary {
		r.note(string(k.ID), m.issued, expiry)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (r *rotating) note(kid string, issued, expiry time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.used[kid]
	r.used[kid] = usage{kid, later(u.LastIssued, issued), later(u.LastExpiry, expiry)}
}

func (r *rotating) usage(kid string) usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.used[kid]
	u.Kid = kid
	return u
}
