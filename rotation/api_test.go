package rotation_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
	"prunella/rotation"
)

// api asks the API as the operator maya.
func api(t testing.TB, w *world, method, path, body string) (int, map[string]any, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, issuerURL+"/keys"+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer t0ken")
	resp, err := w.RoundTrip(req)
	must(t, err)
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	var v map[string]any
	_ = json.Unmarshal(b, &v) // a list is not looked into
	return resp.StatusCode, v, string(b)
}

func TestOrdersThroughTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rotation.Verifier{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1}}, rotation.Verifier{Name: "vault", Class: rotation.Manual})
		r := w.node("a")
		settle(t, r)
		do := func(want int, method, path, body string, says ...string) {
			t.Helper()
			code, _, text := api(t, w, method, path, body)
			if code != want {
				t.Errorf("%s %s: %d, want %d: %s", method, path, code, want, text)
			}
			for _, s := range says {
				if !strings.Contains(text, s) {
					t.Errorf("%s %s does not say %q: %s", method, path, s, text)
				}
			}
		}
		old := signerOf(t, status(t, r))
		tell(r, "orders", secret1, message("o1", old))
		do(200, "POST", "/publish", `{"note":"early"}`, `"state":"next"`)
		ring := rotation.Ring{Keys: status(t, r).Keys}
		next, _ := ring.Coming()
		path := "/" + string(next.ID)
		do(409, "POST", path+"/promote", `{}`, `"kind":"refused"`, `"code":"not-held"`, `"verifier":"orders"`, `"verifier":"vault"`)
		do(400, "POST", path+"/promote", `{"override":true}`, "reason")
		do(404, "POST", "/k9/promote", `{}`)
		do(409, "POST", "/return", `{}`, "no previous")
		do(404, "POST", "/verifiers/orders/confirm", `{"kid":"`+string(next.ID)+`"}`, "manual")
		do(404, "POST", "/verifiers/vault/confirm", `{"kid":"k9"}`)
		do(200, "POST", "/verifiers/vault/confirm", `{"kid":"`+string(next.ID)+`","note":"seen it"}`)
		time.Sleep(2 * time.Minute) // old copies are gone
		tell(r, "orders", secret1, message("o1", old))
		do(409, "POST", path+"/promote", `{}`, `"code":"not-held"`)
		do(404, "POST", "/verifiers/orders/forget", `{"instance":"o7"}`)
		do(200, "POST", "/verifiers/orders/forget", `{"instance":"o1","note":"decommissioned"}`)
		do(409, "POST", path+"/promote", `{}`, `"code":"too-few"`)
		do(200, "POST", path+"/promote", `{"override":true,"note":"they restart tonight"}`, `"may-promote"`)
		if got := signerOf(t, status(t, r)); got.ID != next.ID || !got.Forced {
			t.Errorf("the signer is %+v", got)
		}
		do(409, "POST", "/"+string(old.ID)+"/remove", `{}`, "tokens-live")
		do(200, "POST", "/return", `{"note":"they did not"}`)
		if got := signerOf(t, status(t, r)); got.ID != old.ID {
			t.Errorf("the signer is %+v", got)
		}
		do(200, "POST", path+"/retire", `{}`, `"state":"previous"`)
		do(409, "POST", path+"/retire", `{}`, "tokens-live")
		do(200, "POST", "/resume", `{}`)
		do(200, "POST", "/rotate", `{}`)
		do(409, "POST", "/"+string(old.ID)+"/revoke", `{}`, `"kind":"refused"`, "vault")
		do(200, "POST", "/"+string(old.ID)+"/revoke", `{"override":true,"note":"leaked"}`, `"state":"revoked"`)
		for _, p := range []string{"/status", "/gates", "/verifiers", "/deliveries?limit=5", "/history?limit=200"} {
			do(200, "GET", p, "")
		}
		do(200, "GET", "/history", "", `"by":"maya"`, `"note":"leaked"`, `"override":true`, `"action":"refuse"`, `"action":"confirm"`, `"action":"forget"`)
		do(400, "GET", "/history?limit=0", "")
		do(400, "POST", "/rotate", "{")
		do(413, "POST", "/rotate", strings.Repeat(" ", 1<<20))
		do(404, "GET", "/nothing", "")

		resp, err := w.RoundTrip(newRequest(t, issuerURL+"/keys/status"))
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a stranger: %v %v", resp.Status, err)
		}
		rec := httptest.NewRecorder()
		r.API(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/status", nil))
		if rec.Code != http.StatusUnauthorized {
			t.Errorf("without operators: %d", rec.Code)
		}
	})
}

// The only key leaks: a new one signs at once, and everybody who breaks is named.
func TestRevokingTheOnlyKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders", "orders-1"))
		r := w.node("a")
		run(t, r)
		time.Sleep(3 * time.Second)
		one := w.start("orders", "orders-1")
		old := signerOf(t, status(t, r))
		token, err := r.Token(t.Context(), "", map[string]any{"aud": "orders"})
		must(t, err)
		if _, err := one.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Revoke(t.Context(), old.ID, "", order); !errors.Is(err, rotation.NotFound) {
			t.Errorf("%v", err)
		}
		insist := rotation.Order{By: "maya", Note: "leaked", Override: true}
		reason, err := r.Revoke(t.Context(), old.ID, "", insist)
		if err != nil || !slices.Equal(reason.Names(), []string{"orders"}) {
			t.Fatalf("%s, %v", reason, err)
		}
		time.Sleep(30 * time.Second) // the hint was delivered
		if _, err := one.Verify(t.Context(), token); !errors.Is(err, keyset.UnknownKey) {
			t.Errorf("the revoked key's token: %v", err)
		}
		token, err = r.Token(t.Context(), "", map[string]any{"aud": "orders"})
		must(t, err)
		if _, err := one.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
		if _, err := w.signer.Sign(t.Context(), old.ID, "EdDSA", nil); !errors.Is(err, rotation.NotFound) {
			t.Errorf("the revoked key signs: %v", err)
		}
	})
}
