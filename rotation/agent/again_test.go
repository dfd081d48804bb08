package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
	"prunella/rotation"
	"prunella/rotation/agent"
)

// An agent that is started again speaks for the file that the one before spoke
// for: nobody has to forget that one.
func TestAnAgentStartedAgainLeavesNobodyBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		r, h := start(t, s)
		answers := r.Handler(nil)
		h.put("id.example.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
		time.Sleep(10 * time.Minute) // the first is cut off, as one that was killed
		h.put("id.example.test", answers)
		again, err := agent.New(agent.Config{Issuer: issuerURL, File: s.file, Reload: agent.Call("https://orders-1/reload", &http.Client{Transport: h}), Probe: "https://orders-1/",
			Acknowledge: keyset.Acknowledge{URL: issuerURL + "/keys/ack/orders", Secret: secret, Instance: "orders-1"}, Client: &http.Client{Transport: h}, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := r.Verifiers(t.Context())
		if err != nil || len(list[0].Instances) != 1 || list[0].Live != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

const document = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"%s","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

// What somebody else puts into the file is not acknowledged as if it were ours:
// the file is written anew, and loaded, also while the issuer is away.
func TestAFileThatSomebodyElseChanges(t *testing.T) {
	down, refuses, loads := false, false, 0
	h := &hosts{}
	kid := "a"
	h.put("id.example.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/ack":
			fmt.Fprint(w, "{}")
		case down:
			w.WriteHeader(http.StatusBadGateway)
		default:
			fmt.Fprintf(w, document, kid)
		}
	}))
	file := filepath.Join(t.TempDir(), "keys.json")
	a, err := agent.New(agent.Config{Issuer: issuerURL, JWKS: issuerURL + "/keys", File: file, Client: &http.Client{Transport: h}, Log: quiet,
		Reload: func(context.Context) error {
			if refuses {
				return errors.New("no such process")
			}
			loads++
			return nil
		},
		Acknowledge: keyset.Acknowledge{URL: issuerURL + "/ack", Secret: secret, Instance: "i"}})
	if err != nil {
		t.Fatal(err)
	}
	look := func(what string, wantErr bool, wantLoads int, wantKid string) {
		t.Helper()
		err := a.RunOnce(t.Context())
		b, _ := os.ReadFile(file) // no file is no keys
		if (err != nil) != wantErr || loads != wantLoads || string(b) != fmt.Sprintf(document, wantKid) {
			t.Errorf("%s: %v; %d loads; the file has %s", what, err, loads, b)
		}
	}
	look("first", false, 1, "a")
	look("again", false, 1, "a")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	look("overwritten", false, 2, "a")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	down = true
	look("deleted, and the issuer is away", true, 3, "a")
	down, refuses, kid = false, true, "b"
	look("the service does not load", true, 3, "b")
	down = true
	look("nor now", true, 3, "b")
	refuses = false
	look("now it does, of what is there", true, 4, "b")
}

// Keys are not taken from where anybody on the way could put one in.
func TestKeysComeOverHTTPS(t *testing.T) {
	h := &hosts{}
	h.put("id.example.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, document, "a") }))
	a, err := agent.New(agent.Config{Issuer: "http://id.example.test", JWKS: "http://id.example.test/keys", File: filepath.Join(t.TempDir(), "k"), Client: &http.Client{Transport: h}, Log: quiet,
		Acknowledge: keyset.Acknowledge{URL: issuerURL + "/ack", Secret: secret, Instance: "i"}})
	if err != nil && !errors.Is(err, rotation.Invalid) {
		t.Fatal(err)
	}
	if err == nil {
		err = a.RunOnce(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("%v", err)
	}
}
