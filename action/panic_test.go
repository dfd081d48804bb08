package action_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"prunella"
	"prunella/action"
)

// A call that the code was not written for answers nothing. It is told, the
// other calls go on, and nothing is made of it: no refusal and no outage.
func TestAPanicOfOneCallIsNoAnswer(t *testing.T) {
	i := newIssuer(t, "old", "new")
	inv := inventory(i, map[string]*verifier{"gateway": newVerifier(t, i, "old", "new"), "user": newVerifier(t, i, "old", "new")})
	user, _ := inv.ServiceNamed("user")
	var mu sync.Mutex
	var told []string
	breaks := func(*http.Request) bool { return false }
	w := world(t, inv, nil, action.Options{
		Caught: func(p *prunella.Panic) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p.In)
		},
		Transport: func(tr *http.Transport) {
			tr.Proxy = func(r *http.Request) (*url.URL, error) {
				if breaks(r) {
					panic("a host that nobody thought of")
				}
				return nil, nil
			}
		},
	})
	read := func(name string) (map[string]any, error) {
		told = nil
		return w.Read(t.Context(), name, nil, action.Incident{Services: []string{"user"}})
	}

	breaks = func(r *http.Request) bool { return strings.HasSuffix(user.URL, r.URL.Host) }
	grid, err := read("trust.grid")
	if err != nil || len(texts(grid["lacking"])) > 0 || !slices.Contains(told, "canary") {
		t.Errorf("trust.grid: %v, %v, told %v", grid, err, told)
	}
	if trusting := texts(grid["trusting"]); !slices.Equal(trusting, []string{"gateway"}) {
		t.Errorf("the key is trusted by %v", trusting)
	}
	clocks, err := read("clock.offsets")
	if offsets, _ := clocks["offsets_s"].(map[string]any); err != nil || offsets["gateway"] == nil || offsets["user"] != nil || !slices.Contains(told, "clocks") {
		t.Errorf("clocks: %v, %v, told %v", clocks, err, told)
	}

	breaks = func(r *http.Request) bool { return r.URL.Path == "/oauth/token" }
	if set, err := read("jwks.current"); err != nil || set["reachable"] != true || set["signer"] != "new" || !slices.Contains(told, "token endpoint") {
		t.Errorf("jwks.current: %v, %v, told %v", set, err, told)
	}
	if status, err := read("vendor.status"); err == nil || !slices.Contains(told, "issuer endpoints") {
		t.Errorf("vendor.status: %v, %v, told %v", status, err, told)
	}
	breaks = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/keys/v1/") }
	if set, err := read("jwks.current"); err != nil || set["signer"] != "new" || !slices.Contains(told, "key API") {
		t.Errorf("jwks.current: %v, %v, told %v", set, err, told)
	}
}
