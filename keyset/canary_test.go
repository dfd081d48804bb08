package keyset_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
)

// An issuer asks for proof that a key works here: the answer to an
// acknowledgement has a token of it, which is no access token.
func TestCanariesProveAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a, b)
		canary := func(s signer) string {
			claims := usual()
			claims["aud"], claims["sub"] = "whoever", "canary"
			return s.token(claims, "typ", "canary+jwt")
		}
		var mu sync.Mutex
		var told []keyset.Acknowledgement
		iss.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/ack" {
				return false
			}
			var ack keyset.Acknowledgement
			if err := json.NewDecoder(r.Body).Decode(&ack); err != nil {
				t.Error(err)
			}
			mu.Lock()
			told = append(told, ack)
			mu.Unlock()
			fmt.Fprintf(w, `{"canaries":[{"token":%q},{"token":"junk"},{"token":%q}]}`, canary(b), canary(edSigner(t, "b")))
			return true
		}
		set := iss.start(t, func(c *keyset.Config) {
			c.Acknowledge = &keyset.Acknowledge{URL: issuerURL + "/ack", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Instance: "i"}
		})
		time.Sleep(time.Second)
		mu.Lock()
		if len(told) != 2 || !told[0].Keys[1].LastSeen.IsZero() || told[1].Keys[1].LastSeen.IsZero() || !told[1].Keys[0].LastSeen.IsZero() {
			t.Errorf("told %+v", told)
		}
		mu.Unlock()
		time.Sleep(time.Minute)
		mu.Lock()
		if len(told) > 6 {
			t.Errorf("%d acknowledgements in a minute: canaries drive them", len(told))
		}
		mu.Unlock()
		refuses(t, set, canary(b), keyset.Type)
		accepts(t, set, b.fresh())
	})
}
