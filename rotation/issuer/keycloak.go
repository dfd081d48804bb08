package issuer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"prunella/rotation"
)

// keycloak is a realm. Its keys are components of the type KeyProvider: of those
// that are enabled and active, the one of the highest priority signs; one that is
// enabled is published.
type keycloak struct {
	*api
	alg rotation.Algorithm
}

const keyProvider = "org.keycloak.keys.KeyProvider"

// component is a ComponentRepresentation.
type component struct {
	ID         string              `json:"id,omitempty"`
	Name       string              `json:"name"`
	ProviderID string              `json:"providerId"`
	Type       string              `json:"providerType"`
	Parent     string              `json:"parentId,omitempty"`
	Config     map[string][]string `json:"config"`
}

// realmKeys is a KeysMetadataRepresentation.
type realmKeys struct {
	Active map[string]string `json:"active"` // algorithm: kid
	Keys   []realmKey        `json:"keys"`
}

type realmKey struct {
	Provider  string `json:"providerId"` // id of its component
	Priority  int64  `json:"providerPriority"`
	Kid       string `json:"kid"`
	Status    string `json:"status"` // ACTIVE | PASSIVE | DISABLED
	Algorithm string `json:"algorithm"`
	Use       string `json:"use"` // SIG | ENC
}

func (k *keycloak) keys(ctx context.Context) (realmKeys, error) {
	var all realmKeys
	_, err := k.do(ctx, http.MethodGet, "/keys", nil, &all)
	return all, err
}

// signing lists the keys of our algorithm.
func (k *keycloak) signing(all realmKeys) []realmKey {
	var list []realmKey
	for _, one := range all.Keys {
		if one.Algorithm == string(k.alg) && (one.Use == "" || one.Use == "SIG") {
			list = append(list, one)
		}
	}
	return list
}

// Observe implements Observer. A key below the signer's priority is next when it
// is active, for only then could it sign, and previous when it is passive.
func (k *keycloak) Observe(ctx context.Context) ([]Key, error) {
	all, err := k.keys(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := (&published{a: &api{cfg: Config{URL: k.cfg.URL, JWKS: k.cfg.JWKS}, client: k.client}}).Observe(ctx)
	if err != nil {
		return nil, err
	}
	var out []Key
	signer := all.Active[string(k.alg)]
	for _, one := range k.signing(all) {
		key := Key{ID: rotation.KeyID(one.Kid), Algorithm: k.alg}
		switch {
		case one.Kid == signer:
			key.State = rotation.Active
		case one.Status == "ACTIVE":
			key.State = rotation.Next
		case one.Status == "PASSIVE":
			key.State = rotation.Previous
		}
		for _, p := range seen {
			if p.ID == key.ID {
				key.Thumbprint = p.Thumbprint
			}
		}
		if key.State != "" && key.Thumbprint != "" {
			out = append(out, key)
		}
	}
	return out, nil
}

// providers are the component types that make keys of an algorithm, with what
// their configuration needs besides.
func (k *keycloak) provider() (id string, more map[string][]string, err error) {
	switch alg := string(k.alg); {
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		return "rsa-generated", map[string][]string{"keySize": {"2048"}, "algorithm": {alg}}, nil
	case strings.HasPrefix(alg, "ES"):
		curve := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
		return "ecdsa-generated", map[string][]string{"ecdsaEllipticCurveKey": {curve}}, nil
	case alg == "EdDSA":
		return "eddsa-generated", map[string][]string{"eddsaEllipticCurveKey": {"Ed25519"}}, nil
	}
	return "", nil, invalid("", "Keycloak makes no keys for %s", k.alg)
}

// Stage implements Driver: it adds a key below the signer's priority, so that it
// is published and does not sign. When one waits already, nothing is done.
func (k *keycloak) Stage(ctx context.Context) error {
	all, err := k.keys(ctx)
	if err != nil {
		return err
	}
	lowest := int64(100)
	signer := all.Active[string(k.alg)]
	for _, one := range k.signing(all) {
		switch {
		case one.Kid == signer:
			lowest = one.Priority
		case one.Status == "ACTIVE":
			return nil
		}
	}
	provider, config, err := k.provider()
	if err != nil {
		return err
	}
	config["priority"] = []string{fmt.Sprint(lowest - 1)}
	config["enabled"], config["active"] = []string{"true"}, []string{"true"}
	_, err = k.do(ctx, http.MethodPost, "/components", component{Name: "rotation-" + time.Now().UTC().Format("2006-01-02T150405Z"), ProviderID: provider, Type: keyProvider, Config: config}, nil)
	return err
}

// change reads a key's component, and writes it back changed.
func (k *keycloak) change(ctx context.Context, id rotation.KeyID, edit func(all realmKeys, config map[string][]string)) error {
	all, err := k.keys(ctx)
	if err != nil {
		return err
	}
	for _, one := range k.signing(all) {
		if one.Kid != string(id) {
			continue
		}
		path := "/components/" + url.PathEscape(one.Provider)
		var c component
		if _, err := k.do(ctx, http.MethodGet, path, nil, &c); err != nil {
			return err
		}
		if c.Type != keyProvider {
			return invalid("", "the component %s of %s is a %.100q, no key provider", one.Provider, id, c.Type)
		}
		if c.Config == nil {
			c.Config = map[string][]string{}
		}
		edit(all, c.Config)
		_, err := k.do(ctx, http.MethodPut, path, c, nil)
		return err
	}
	return &rotation.Error{Kind: rotation.NotFound, Detail: fmt.Sprintf("issuer: the realm has no %s key %s", k.alg, id)}
}

// Promote implements Driver: the key gets the highest priority, and then the one
// before it is made passive, so that it verifies and does not sign. A key that
// signed before can be promoted too: that is the way back.
func (k *keycloak) Promote(ctx context.Context, id rotation.KeyID) error {
	former := ""
	err := k.change(ctx, id, func(all realmKeys, config map[string][]string) {
		former = all.Active[string(k.alg)]
		highest := int64(0)
		for _, one := range k.signing(all) {
			highest = max(highest, one.Priority)
		}
		config["priority"] = []string{fmt.Sprint(highest + 1)}
		config["active"], config["enabled"] = []string{"true"}, []string{"true"}
	})
	if err != nil || former == "" || former == string(id) {
		return err
	}
	all, err := k.keys(ctx)
	if err != nil {
		return err
	}
	if all.Active[string(k.alg)] != string(id) {
		return &rotation.Error{Kind: rotation.Conflict, Detail: "issuer: Keycloak took the priority, and " + all.Active[string(k.alg)] + " signs", Remedy: "look at the realm's keys: somebody else changed them"}
	}
	return k.change(ctx, rotation.KeyID(former), func(_ realmKeys, config map[string][]string) { config["active"] = []string{"false"} })
}

// Retire implements Driver: the key is disabled, so it is published no more; it
// can be enabled again.
func (k *keycloak) Retire(ctx context.Context, id rotation.KeyID) error {
	return k.change(ctx, id, func(_ realmKeys, config map[string][]string) {
		config["enabled"], config["active"] = []string{"false"}, []string{"false"}
	})
}

// Revoke implements Driver: as Retire. When the key signs, Keycloak takes the next
// of the highest priority.
func (k *keycloak) Revoke(ctx context.Context, id rotation.KeyID) error { return k.Retire(ctx, id) }
