package rotation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella/keyset"
	"prunella/rotation"
)

func TestAcknowledgementsAreJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rotation.Verifier{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1, secret2}}, answering("users"))
		r := w.node("a")
		settle(t, r)
		k := signerOf(t, status(t, r))
		check := func(name string, want int, rec *httptest.ResponseRecorder) {
			t.Helper()
			if rec.Code != want {
				t.Errorf("%s: %d, want %d: %s", name, rec.Code, want, rec.Body)
			}
			if want != http.StatusOK && (rec.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(rec.Body.String(), `"kind"`)) {
				t.Errorf("%s: not a problem: %s", name, rec.Body)
			}
		}
		rec, granted := tell(r, "orders", secret1, message("o1", k))
		check("good", 200, rec)
		if want := time.Now().Add(time.Minute).UTC(); !granted.LeaseUntil.Equal(want) || len(granted.Canaries) != 0 {
			t.Errorf("granted %+v", granted)
		}
		again := message("o1", k)
		rec, _ = tell(r, "orders", secret2, again)
		check("the same moment again", 409, rec)
		time.Sleep(time.Second)
		again = message("o1", k)
		rec, _ = tell(r, "orders", secret2, again)
		check("the other secret", 200, rec)
		body, _ := json.Marshal(message("o1", k))
		rec, _ = post(r, "users", secret2, "x", time.Now(), body)
		check("another verifier's secret", 401, rec)
		rec, _ = post(r, "nobody", secret1, "x", time.Now(), body)
		check("not declared", 404, rec)
		for _, age := range []time.Duration{6 * time.Minute, -6 * time.Minute} {
			rec, _ = post(r, "orders", secret1, "x", time.Now().Add(-age), body)
			check("stale", 401, rec)
		}
		rec, _ = post(r, "orders", secret1, "x", time.Now(), bytes.Repeat([]byte(" "), 300<<10))
		check("giant", 413, rec)
		req := httptest.NewRequest(http.MethodGet, "/keys/ack/orders", nil)
		rec = httptest.NewRecorder()
		r.Acknowledgements().ServeHTTP(rec, req)
		check("GET", 405, rec)
		for name, change := range map[string]func(*rotation.Told){
			"no instance":    func(m *rotation.Told) { m.Instance = "" },
			"control":        func(m *rotation.Told) { m.Instance = "a\nb" },
			"no cache":       func(m *rotation.Told) { m.Cache = "" },
			"long":           func(m *rotation.Told) { m.Instance = strings.Repeat("i", 200) },
			"no lease":       func(m *rotation.Told) { m.Lease = 0 },
			"lease of years": func(m *rotation.Told) { m.Lease = 1 << 40 },
			"old":            func(m *rotation.Told) { m.Sent = time.Now().Add(-time.Hour) },
			"no time":        func(m *rotation.Told) { m.Sent = time.Time{} },
			"keys":           func(m *rotation.Told) { m.Keys = make([]keyset.Key, 300) },
			"kid":            func(m *rotation.Told) { m.Keys[0].ID = strings.Repeat("k", 1000) },
			"counts":         func(m *rotation.Told) { m.Refused = make([]keyset.RefusedKid, 100) },
			"negative":       func(m *rotation.Told) { m.Refused = []keyset.RefusedKid{{Kid: "a", Count: -1}} },
		} {
			time.Sleep(time.Second)
			m := message("o2", k)
			change(&m)
			rec, _ := tell(r, "orders", secret1, m)
			check(name, 400, rec)
		}
		for _, text := range []string{"", "[]", "{", `{"sent":"yesterday"}`, "null"} {
			rec, _ = post(r, "orders", secret1, "x", time.Now(), []byte(text))
			check(text, 400, rec)
		}
		list, err := r.Verifiers(t.Context())
		if err != nil || len(list) != 2 || list[0].Live != 1 || len(list[0].Instances) != 1 || list[0].Instances[0].Held[0].Thumbprint != k.Thumbprint {
			t.Errorf("%+v, %v", list, err)
		}
		if b, _ := json.Marshal(list); strings.Contains(string(b), "whsec") {
			t.Error("the secrets are shown")
		}
	})
}

// A canary comes with the answer to who holds the key, and is no access token.
func TestCanariesGrantNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rotation.Verifier{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1}})
		r := w.node("a")
		settle(t, r)
		next, err := r.Publish(t.Context(), order)
		must(t, err)
		if again, err := r.Publish(t.Context(), order); err != nil || again.ID != next.ID {
			t.Errorf("published twice: %v, %v", again, err)
		}
		m := message("o1", next)
		m.Keys[0].LastSeen = time.Time{}
		_, granted := tell(r, "orders", secret1, m)
		if len(granted.Canaries) != 1 || granted.Canaries[0].Thumbprint != next.Thumbprint {
			t.Fatalf("%+v", granted)
		}
		token, _, err := jwt.NewParser().ParseUnverified(granted.Canaries[0].Token, jwt.MapClaims{})
		must(t, err)
		claims := token.Claims.(jwt.MapClaims)
		exp, _ := claims.GetExpirationTime()
		if token.Header["typ"] != rotation.CanaryType || token.Header["kid"] != string(next.ID) || claims["canary"] != true || claims["sub"] != rotation.CanarySubject ||
			time.Until(exp.Time) > 2*time.Minute || claims["scope"] != nil {
			t.Errorf("%v %v", token.Header, claims)
		}
		set, err := keyset.New(t.Context(), keyset.Config{Issuer: issuerURL, Audience: []string{"orders"}, Client: &http.Client{Transport: w}, Log: quiet})
		must(t, err)
		defer set.Close()
		if _, err := set.Verify(t.Context(), granted.Canaries[0].Token); !errors.Is(err, keyset.Type) {
			t.Errorf("keyset takes a canary for an access token: %v", err)
		}
		time.Sleep(time.Second)
		m = message("o1", next)
		if _, granted = tell(r, "orders", secret1, m); len(granted.Canaries) != 0 {
			t.Error("a canary for who has proven the key")
		}
	})
}

// A hint is tried at once, again within seconds, signed by every secret, and
// never says what to trust.
func TestHintsAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := rotation.Verifier{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1, secret2}, Hooks: []string{"https://o1/hints", "https://gone/hints"}}
		w := newWorld(t, v)
		var mu sync.Mutex
		var got []time.Duration
		answers := []int{500, 302, 0, 429, 503, 200, 200, 200}
		began := time.Now()
		w.host("o1", http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			for _, s := range []string{secret1, secret2} {
				hook, _ := standardwebhooks.NewWebhook(s)
				if err := hook.Verify(body, req.Header); err != nil {
					t.Errorf("a secret does not verify the hint: %v", err)
				}
			}
			if text := string(body); strings.Contains(text, `"x"`) || strings.Contains(text, `"n"`) || !strings.Contains(text, `"issuer":"`+issuerURL) {
				t.Errorf("the hint is %s", text)
			}
			mu.Lock()
			defer mu.Unlock()
			status := answers[min(len(got), len(answers)-1)]
			got = append(got, time.Since(began).Round(time.Second))
			if status == 0 {
				panic(http.ErrAbortHandler)
			}
			if status == 429 {
				rw.Header().Set("Retry-After", "60")
			}
			if status == 503 {
				rw.Header().Set("Retry-After", time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
			}
			rw.WriteHeader(status)
		}))
		gone := 0
		w.host("gone", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { gone++; rw.WriteHeader(http.StatusGone) }))
		w.recovers = true
		r := w.node("a")
		run(t, r)
		time.Sleep(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		// publish and promote come together: the second hint replaces the first.
		if len(got) != 6 || got[1] > 3*time.Second || got[3] > 15*time.Second || got[4]-got[3] < 60*time.Second || got[4]-got[3] > 65*time.Second || got[5]-got[4] < 89*time.Second || got[5]-got[4] > 95*time.Second {
			t.Errorf("tries at %v", got)
		}
		list, err := w.store.Deliveries(t.Context(), 10)
		must(t, err)
		states := map[rotation.DeliveryState]int{}
		for _, d := range list {
			states[d.State]++
			if d.State == rotation.Delivered && (d.Tries != 6 || d.Last != "200 OK") || d.State == rotation.Failed && d.Last != "410 Gone" {
				t.Errorf("%+v", d)
			}
		}
		if states[rotation.Delivered] != 1 || states[rotation.Failed] != 1 || states[rotation.Superseded] != 2 || gone != 1 {
			t.Errorf("%v, %d", states, gone)
		}
	})
}

func TestRetriesAreFrontLoaded(t *testing.T) {
	total, early := time.Duration(0), 0
	tries := 0
	for n := 1; ; n++ {
		pause, ok := rotation.RetryAfter(n)
		if !ok {
			break
		}
		tries++
		if total += pause; total <= 5*time.Minute {
			early++
		}
	}
	if early < 7 || tries < 15 || total < 3*24*time.Hour {
		t.Errorf("%d tries over %s, %d in the first five minutes", tries, total, early)
	}
	if _, ok := rotation.RetryAfter(0); ok {
		t.Error("a pause before the first try")
	}
}

func TestTheDocumentAndItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.node("a")
		get := func(path string, header ...string) *http.Response {
			t.Helper()
			req := newRequest(t, issuerURL+path)
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			resp, err := w.RoundTrip(req)
			must(t, err)
			return resp
		}
		const jwks = "/.well-known/jwks.json"
		if resp := get(jwks); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("before the first key: %s", resp.Status)
		}
		settle(t, r)
		must(t, r.Ready(t.Context()))
		age := func(want string) {
			t.Helper()
			if got := get(jwks).Header.Get("Cache-Control"); got != want {
				t.Errorf("Cache-Control %q, want %q", got, want)
			}
		}
		age("public, max-age=600, s-maxage=30, must-revalidate")
		resp := get(jwks)
		tag := resp.Header.Get("ETag")
		for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			if resp := get(jwks, "If-None-Match", match); resp.StatusCode != http.StatusNotModified || resp.ContentLength > 0 {
				t.Errorf("%s: %s", match, resp.Status)
			}
		}
		due := status(t, r).Due
		time.Sleep(time.Until(due) - w.policy.Ahead - 200*time.Second)
		age("public, max-age=200, s-maxage=30, must-revalidate") // a key is to be published
		time.Sleep(180 * time.Second)
		age("public, max-age=60, s-maxage=30, must-revalidate")
		time.Sleep(time.Minute)
		settle(t, r)
		if resp := get(jwks, "If-None-Match", tag); resp.StatusCode != http.StatusOK {
			t.Errorf("the document has a new key: %s", resp.Status)
		}
		age("public, max-age=600, s-maxage=30, must-revalidate")
		time.Sleep(time.Until(due) - 100*time.Second)
		age("public, max-age=100, s-maxage=30, must-revalidate") // it is to sign
		var doc map[string]any
		must(t, json.NewDecoder(get("/.well-known/openid-configuration").Body).Decode(&doc))
		if doc["issuer"] != issuerURL || doc["jwks_uri"] != issuerURL+jwks {
			t.Errorf("%v", doc)
		}
		req := newRequest(t, issuerURL+jwks)
		req.Method = http.MethodPost
		if resp, _ := w.RoundTrip(req); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST: %s", resp.Status)
		}
	})
}

// A hint may come before the node that is asked has read what it is about.
func TestWhoAsksForNoCopyGetsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.node("a")
		settle(t, r)
		w.node("b") // answers from now on; it has read the ring just now
		next, err := r.Publish(t.Context(), order)
		must(t, err)
		time.Sleep(time.Second)
		for _, control := range []string{"", "no-cache"} {
			want := control != ""
			req := newRequest(t, issuerURL+"/.well-known/jwks.json")
			req.Header.Set("Cache-Control", control)
			resp, err := w.RoundTrip(req)
			must(t, err)
			if body, _ := io.ReadAll(resp.Body); strings.Contains(string(body), string(next.ID)) != want {
				t.Errorf("Cache-Control %q gets %s", control, body)
			}
		}
	})
}

// Verifiers that only count: tokens refused for want of the new key, of which
// anybody can make some before it signs.
func TestRefusalsAreCountedFromThePromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rotation.Verifier{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1}})
		w.policy.Refusals = 5
		r := w.node("a")
		run(t, r)
		time.Sleep(3 * time.Second)
		old := signerOf(t, status(t, r))
		next, err := r.Publish(t.Context(), order)
		must(t, err)
		say := func(refused int64) {
			m := message("o1", old, next)
			m.Refused = []keyset.RefusedKid{{Kid: string(next.ID), Count: refused}, {Kid: "junk", Count: 1 << 40}}
			if rec, _ := tell(r, "orders", secret1, m); rec.Code != http.StatusOK {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			time.Sleep(time.Second)
		}
		must(t, r.Rotate(t.Context(), order))
		time.Sleep(2 * time.Minute)
		say(1000)
		if got := signerOf(t, status(t, r)); got.ID != next.ID {
			t.Fatalf("not promoted: %v", status(t, r).Gates)
		}
		say(1000)
		say(1004)
		if got := signerOf(t, status(t, r)); got.ID != next.ID {
			t.Fatal("the signer returned for refusals from before")
		}
		say(1005)
		if got := signerOf(t, status(t, r)); got.ID != old.ID {
			t.Errorf("the signer did not return: %v", status(t, r).Gates)
		}
	})
}

// No webhook arrives anywhere and the copies live for hours: the answers to the
// acknowledgements bring the new key to everybody, and take a revoked one away.
func TestLostHintsCostAThirdOfALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rotation.Verifier{Name: "orders", Class: rotation.Answering, Expect: 2, Secrets: []string{secret1}})
		w.policy.MaxAge, w.policy.MinAge = time.Hour, time.Hour
		r := w.node("a")
		run(t, r)
		time.Sleep(5 * time.Second)
		fetchless := func(c *keyset.Config) { c.MaxAge, c.Acknowledge.Lease = time.Hour, time.Minute }
		one, _ := w.start("orders", "orders-1", fetchless), w.start("orders", "orders-2", fetchless)
		old := signerOf(t, status(t, r))
		must(t, r.Rotate(t.Context(), order))
		time.Sleep(w.policy.Stale + w.policy.Skew + 25*time.Second) // and then a message that is young enough
		now := signerOf(t, status(t, r))
		if now.ID == old.ID {
			t.Fatalf("not promoted: %v", status(t, r).Gates)
		}
		_, err := r.Revoke(t.Context(), old.ID, "", rotation.Order{By: "maya", Note: "it leaked", Override: true})
		must(t, err)
		time.Sleep(25 * time.Second)
		if keys := one.Keys(); len(keys) != 1 || keys[0].ID != string(now.ID) {
			t.Errorf("a revoked key is still held: %+v", keys)
		}
	})
}

// An instance that begins after the promotion, behind a stale copy, refuses
// genuine tokens. It says so, and the signer returns.
func TestAnInstanceThatWantsTheNewKeyIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders"))
		r := w.node("a")
		run(t, r)
		time.Sleep(5 * time.Second)
		w.start("orders", "orders-1")
		old := signerOf(t, status(t, r))
		copied, err := w.RoundTrip(newRequest(t, issuerURL+"/.well-known/jwks.json"))
		must(t, err)
		document, err := io.ReadAll(copied.Body)
		must(t, err)
		must(t, r.Rotate(t.Context(), order))
		time.Sleep(5 * time.Minute)
		next := signerOf(t, status(t, r))
		if next.ID == old.ID {
			t.Fatalf("not promoted: %v", status(t, r).Gates)
		}
		w.host("cdn.example.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }))
		late := w.start("orders", "orders-2", func(c *keyset.Config) { c.JWKS = "https://cdn.example.test/" })
		for range 3 {
			token, err := r.Token(t.Context(), "at+jwt", map[string]any{"aud": "orders"})
			must(t, err)
			if _, err := late.Verify(t.Context(), token); !errors.Is(err, keyset.UnknownKey) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		returned := slices.ContainsFunc(history(t, w), func(e rotation.Entry) bool {
			return e.Action == rotation.Return && e.Key == old.ID && strings.Contains(e.Reason.String(), "orders/orders-2")
		})
		if !returned {
			t.Errorf("the signer did not return: %v", status(t, r).Gates)
		}
		list, err := r.Verifiers(t.Context())
		must(t, err)
		for _, i := range list[0].Instances {
			if i.Instance == "orders-2" && (len(i.Refusals) != 1 || i.Refusals[0].ID != next.ID || i.Refusals[0].Count < 3) {
				t.Errorf("it refused three tokens, and canaries besides, and is known for %+v", i.Refusals)
			}
		}
	})
}

func TestReasonsStayReadable(t *testing.T) {
	f := newFleet(t, orders)
	for n := range 30 {
		f.tells("orders", fmt.Sprint("o", n), "old")
	}
	if text := rotation.CanPromote(f.Snapshot, "new", f.now).String(); len(text) > 1200 || !strings.Contains(text, "and 22 more") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}
