package issuer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"prunella/rotation"
	"prunella/rotation/issuer"
)

// realm is Keycloak's admin REST API: key providers as components, and what comes
// of them.
type realm struct {
	t      *testing.T
	mu     sync.Mutex
	server *httptest.Server
	comps  []map[string]any
	refuse int // status to answer the API with
}

func newRealm(t *testing.T) *realm {
	k := &realm{t: t}
	k.add("rsa-generated", "RS256", 100)
	k.add("rsa-enc-generated", "RSA-OAEP", 100)
	k.server = httptest.NewServer(k)
	t.Cleanup(k.server.Close)
	return k
}

func (k *realm) add(provider, alg string, priority int) {
	k.comps = append(k.comps, map[string]any{"id": fmt.Sprintf("comp-%d", len(k.comps)), "name": provider, "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider", "parentId": "realm-id",
		"config": map[string]any{"priority": []any{strconv.Itoa(priority)}, "enabled": []any{"true"}, "active": []any{"true"}, "algorithm": []any{alg}, "privateKey": []any{"**********"}}})
}

func config(c map[string]any, name string) string {
	list, _ := c["config"].(map[string]any)[name].([]any)
	if len(list) == 0 {
		return ""
	}
	return list[0].(string)
}

func (k *realm) status(c map[string]any) string {
	switch {
	case config(c, "enabled") != "true":
		return "DISABLED"
	case config(c, "active") != "true":
		return "PASSIVE"
	}
	return "ACTIVE"
}

func (k *realm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	iss := k.server.URL + "/realms/shop"
	switch r.URL.Path {
	case "/realms/shop/.well-known/openid-configuration":
		discovery(w, iss, iss+"/protocol/openid-connect/certs")
		return
	case "/realms/shop/protocol/openid-connect/certs":
		var set []rotation.JWK
		for n, c := range k.comps {
			if k.status(c) != "DISABLED" && config(c, "algorithm") == "RS256" {
				set = append(set, published(k.t, fmt.Sprintf("kid-%d", n), n))
			}
		}
		serveSet(w, set)
		return
	case "/realms/shop/protocol/openid-connect/token":
		if r.FormValue("client_secret") != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"admin","expires_in":60}`)
		return
	}
	if r.Header.Get("Authorization") != "Bearer admin" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"HTTP 401 Unauthorized"}`)
		return
	}
	if k.refuse != 0 {
		w.WriteHeader(k.refuse)
		fmt.Fprint(w, `{"errorMessage":"no"}`)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/admin/realms/shop")
	at := -1
	for n, c := range k.comps {
		if path == "/components/"+c["id"].(string) {
			at = n
		}
	}
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet && path == "/keys":
		active, keys, best := map[string]string{}, []map[string]any{}, map[string]int{}
		for n, c := range k.comps {
			alg, kid := config(c, "algorithm"), fmt.Sprintf("kid-%d", n)
			p, _ := strconv.Atoi(config(c, "priority"))
			use := "SIG"
			if alg == "RSA-OAEP" {
				use = "ENC"
			}
			if k.status(c) == "ACTIVE" && (active[alg] == "" || p > best[alg]) {
				active[alg], best[alg] = kid, p
			}
			keys = append(keys, map[string]any{"providerId": c["id"], "providerPriority": p, "kid": kid, "status": k.status(c), "type": "RSA", "algorithm": alg, "use": use})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"active": active, "keys": keys})
	case r.Method == http.MethodPost && path == "/components":
		var c map[string]any
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || c["providerType"] != "org.keycloak.keys.KeyProvider" || config(c, "priority") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c["id"] = fmt.Sprintf("comp-%d", len(k.comps))
		k.comps = append(k.comps, c)
		w.Header().Set("Location", r.URL.Path+"/"+c["id"].(string))
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodGet && at >= 0:
		_ = json.NewEncoder(w).Encode(k.comps[at])
	case r.Method == http.MethodPut && at >= 0:
		var c map[string]any
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || config(c, "privateKey") != config(k.comps[at], "privateKey") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		k.comps[at] = c
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"Could not find component"}`)
	}
}

func TestKeycloak(t *testing.T) {
	k := newRealm(t)
	cfg := issuer.Config{Kind: "keycloak", URL: k.server.URL + "/realms/shop", ClientID: "rotator", ClientSecret: "s3cret"}
	o := open(t, cfg)
	d := o.(issuer.Driver)
	ctx := t.Context()
	step := func(want string, err error) {
		t.Helper()
		if got := states(t, o); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	step("kid-0:active", nil)
	step("kid-0:active kid-2:next", d.Stage(ctx))
	step("kid-0:active kid-2:next", d.Stage(ctx)) // one is enough
	step("kid-0:previous kid-2:active", d.Promote(ctx, "kid-2"))
	step("kid-0:active kid-2:previous", d.Promote(ctx, "kid-0")) // and back
	step("kid-0:previous kid-2:active", d.Promote(ctx, "kid-2"))
	step("kid-2:active", d.Retire(ctx, "kid-0"))
	step("kid-2:active", d.Revoke(ctx, "kid-0"))
	if err := d.Retire(ctx, "kid-9"); !errors.Is(err, rotation.NotFound) {
		t.Errorf("%v", err)
	}
	for status, want := range map[int]rotation.Kind{403: rotation.Unauthorized, 404: rotation.NotFound, 400: rotation.Invalid, 409: rotation.Conflict, 500: rotation.Unavailable} {
		k.refuse = status
		if _, err := o.Observe(ctx); !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
	k.refuse = 0
	cfg.ClientSecret = "bad"
	if _, err := open(t, cfg).Observe(ctx); !errors.Is(err, rotation.Unauthorized) || !strings.Contains(err.Error(), "Invalid client") {
		t.Errorf("%v", err)
	}
}
