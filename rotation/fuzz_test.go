package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella/rotation"
)

// fuzzed is a rotator with a signer, for bytes from outside.
func fuzzed(f *testing.F) (*world, *rotation.Rotator) {
	w := newWorld(f, answering("orders"))
	r := w.node("a")
	if err := r.RunOnce(context.Background(), time.Now()); err != nil {
		f.Fatal(err)
	}
	return w, r
}

// Whatever a verifier signs, the answer is one of those that are documented, and
// what is stored is bounded.
func FuzzAcknowledgement(f *testing.F) {
	w, r := fuzzed(f)
	good, err := json.Marshal(message("o1", signerOf(f, status(f, r))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"instance":"a","cache":"b","sent":"2026-11-22T05:00:00Z","lease_s":9,"keys":[{"kid":"\u0000"}],"refused":[{"kid":"x","count":9223372036854775807}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rec, _ := post(r, "orders", secret1, "id", time.Now(), body)
		switch rec.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("%d: %s", rec.Code, rec.Body)
		}
		if rec.Code != http.StatusOK {
			return
		}
		list, err := w.store.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			if len(i.Instance) > 128 || len(i.Held) > 256 || i.Lease > 10*time.Minute {
				t.Errorf("stored %+v", i)
			}
		}
		if _, err := w.store.Forget(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	})
}

// Headers that no secret made are refused, however they look.
func FuzzWebhookHeaders(f *testing.F) {
	_, r := fuzzed(f)
	hook, err := standardwebhooks.NewWebhook(secret2) // not the verifier's
	if err != nil {
		f.Fatal(err)
	}
	sig, _ := hook.Sign("id", time.Now(), []byte("{}"))
	f.Add("id", strconv.FormatInt(time.Now().Unix(), 10), sig, []byte("{}"))
	f.Add("", "-9223372036854775808", "v1,", []byte(""))
	f.Add("a.b", "1e9", "v1, v1,= v2,x", []byte("\xff"))
	f.Fuzz(func(t *testing.T, id, at, sig string, body []byte) {
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {sig}}
		_, err := r.Acknowledge(t.Context(), "orders", header, body)
		must(t, err, rotation.Unauthorized, rotation.TooLarge)
		if err == nil {
			t.Error("a forged acknowledgement was taken")
		}
	})
}

// Whatever an operator posts, the answer is JSON of a documented status, and
// without an override nobody is broken.
func FuzzOrder(f *testing.F) {
	w, r := fuzzed(f)
	first := signerOf(f, status(f, r)).ID
	f.Add("/publish", []byte(`{"note":"x"}`))
	f.Add("/"+string(first)+"/revoke", []byte(`{"heir":"x"}`))
	f.Add("/verifiers/orders/forget", []byte(`{"instance":"\u0000"}`))
	f.Add("/%2e%2e/promote", []byte(`[]`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		var b struct{ Override bool }
		if json.Unmarshal(body, &b) == nil && b.Override {
			t.Skip("that is what an override is for")
		}
		req, err := http.NewRequest(http.MethodPost, issuerURL+"/keys"+path, bytes.NewReader(body))
		if err != nil {
			t.Skip("no URL")
		}
		req.Header.Set("Authorization", "Bearer t0ken")
		rec := httptest.NewRecorder()
		w.hosts["id.example.test"].ServeHTTP(rec, req)
		switch rec.Code {
		case 200, 301, 307, 400, 401, 404, 405, 409, 413:
		default:
			t.Errorf("%d: %s", rec.Code, rec.Body)
		}
		if got := signerOf(t, status(t, r)); got.ID != first {
			t.Errorf("%s %s changed the signer", path, body)
		}
	})
}
