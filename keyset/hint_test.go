package keyset_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella/keyset"
)

const secret = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// push sends a body with Standard Webhooks headers and returns the status.
func push(t testing.TB, set *keyset.Set, id string, at time.Time, key, body string) int {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hook.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/hints", strings.NewReader(body))
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", fmt.Sprint(at.Unix()))
	r.Header.Set("Webhook-Signature", signature)
	return answerTo(set, r)
}

func answerTo(set *keyset.Set, r *http.Request) int {
	w := httptest.NewRecorder()
	set.Hints().ServeHTTP(w, r)
	return w.Code
}

func withHints(c *keyset.Config) {
	c.HintSecrets = []string{"whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA==", secret}
}

func TestHintMakesARemovalKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a, b)
		set := iss.start(t, withHints)
		time.Sleep(time.Minute)
		accepts(t, set, a.fresh())
		iss.publish(b)
		before := time.Now()
		if code := push(t, set, "msg_1", time.Now(), secret, `{"type":"key.removed","data":{"issuer":"`+issuerURL+`","kid":"a"}}`); code != http.StatusAccepted {
			t.Fatalf("answered %d", code)
		}
		synctest.Wait()
		refuses(t, set, a.fresh(), keyset.UnknownKey)
		iss.set(func() {
			if iss.fresh == 0 {
				t.Error("the fetch may have been answered by a cache")
			}
		})

		// A storm of hints is one fetch each ten seconds, and the last is not lost.
		for n := range 500 {
			push(t, set, fmt.Sprint("storm", n), time.Now(), secret, `{}`)
			time.Sleep(10 * time.Millisecond)
		}
		c := edSigner(t, "c")
		iss.publish(c)
		push(t, set, "last", time.Now(), secret, `{}`)
		time.Sleep(10 * time.Second)
		accepts(t, set, c.fresh())
		if n := iss.count(before); n > 4 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestBadHintsDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edSigner(t, "a")
		iss := newIssuer(a)
		set := iss.start(t, withHints)
		time.Sleep(time.Minute)
		before, now := time.Now(), time.Now()
		event := func(change func(map[string]any)) string {
			c := map[string]any{"iss": issuerURL, "aud": audience, "iat": now.Unix(), "jti": "e1", "events": map[string]any{"https://example.test/rotated": map[string]any{}}}
			change(c)
			return a.token(c, "typ", "secevent+jwt")
		}
		secevent := func(body string) int {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/secevent+jwt")
			return answerTo(set, r)
		}
		for name, got := range map[string][2]int{
			"a GET":             {answerTo(set, httptest.NewRequest(http.MethodGet, "/", nil)), 405},
			"not signed":        {answerTo(set, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))), 401},
			"another secret":    {push(t, set, "m", now, "whsec_AAAA", "{}"), 401},
			"stale":             {push(t, set, "m", now.Add(-6*time.Minute), secret, "{}"), 401},
			"early":             {push(t, set, "m", now.Add(6*time.Minute), secret, "{}"), 401},
			"not JSON":          {push(t, set, "m", now, secret, "hello"), 400},
			"issuer a number":   {push(t, set, "m", now, secret, `{"issuer":1}`), 400},
			"huge":              {push(t, set, "m", now, secret, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`), 413},
			"a stranger's":      {push(t, set, "m", now, secret, `{"issuer":"https://other.example"}`), 202}, // good, and concerns nobody here
			"event not a token": {secevent("{}"), 400},
			"usual token":       {secevent(a.fresh()), 400},
			"event unsigned":    {secevent(edSigner(t, "a").token(map[string]any{"iss": issuerURL}, "typ", "secevent+jwt")), 400},
			"event stale":       {secevent(event(func(c map[string]any) { c["iat"] = now.Unix() - 600 })), 400},
			"event without id":  {secevent(event(func(c map[string]any) { delete(c, "jti") })), 400},
			"no events":         {secevent(event(func(c map[string]any) { delete(c, "events") })), 400},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: answered %d, want %d", name, got[0], got[1])
			}
		}
		synctest.Wait()
		if n := iss.count(before); n > 1 { // the forged event may have taken the open slot
			t.Errorf("%d fetches", n)
		}
		good := event(func(map[string]any) {})
		if code := secevent(good); code != http.StatusAccepted {
			t.Errorf("a good event is answered %d", code)
		}
		synctest.Wait()
		asked := iss.count(before)
		time.Sleep(15 * time.Second)
		if code := secevent(good); code != http.StatusAccepted { // RFC 8935, 2.2
			t.Errorf("its replay is answered %d", code)
		}
		synctest.Wait()
		if n := iss.count(before); n != asked {
			t.Errorf("a replayed event causes %d fetches", n-asked)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(edSigner(t, "a").token(usual(), "typ", "secevent+jwt")))
		r.Header.Set("Content-Type", "application/secevent+jwt")
		set.Hints().ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `"err":"invalid_key"`) {
			t.Errorf("a forged event is answered %s", w.Body)
		}
		refuses(t, set, good, keyset.Type) // an event is no access token
		if code := push(t, set, "m1", now, secret, "{}"); code != http.StatusAccepted {
			t.Errorf("a good hint is answered %d", code)
		}
		if code := push(t, set, "m1", now, secret, "{}"); code != http.StatusConflict {
			t.Errorf("its replay is answered %d", code)
		}
		if code := push(t, set, "m1", now.Add(time.Second), secret, "{}"); code != http.StatusAccepted {
			t.Errorf("the sender's retry is answered %d", code)
		}
	})
}

// control is the issuer's end of acknowledgements.
type control struct {
	mu   sync.Mutex
	got  []keyset.Acknowledgement
	fail bool
	bad  error
}

func (c *control) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := httptest.NewRecorder()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	hook, _ := standardwebhooks.NewWebhook(secret)
	var a keyset.Acknowledgement
	c.bad = errors.Join(c.bad, hook.Verify(body, r.Header), json.Unmarshal(body, &a))
	if c.fail {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		c.got = append(c.got, a)
	}
	return w.Result(), nil
}

func TestAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss, ctl := newIssuer(a), &control{}
		set := iss.start(t, withHints, func(c *keyset.Config) {
			c.Client = &http.Client{Transport: byHost{"id.example.test": iss, "control.example.test": ctl}}
			c.Acknowledge = &keyset.Acknowledge{URL: "https://control.example.test/ack", Secret: secret, Instance: "orders-1"}
		})
		synctest.Wait()
		last := func() keyset.Acknowledgement {
			ctl.mu.Lock()
			defer ctl.mu.Unlock()
			return ctl.got[len(ctl.got)-1]
		}
		first := last()
		if first.Instance != "orders-1" || first.Cache == "" || first.Lease != 60 || len(first.Keys) != 1 || first.Keys[0] != set.Keys()[0] {
			t.Errorf("acknowledged %+v", first)
		}
		if err := set.Ready(); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		accepts(t, set, a.fresh())
		seen := time.Now().UTC()
		iss.publish(a, b)
		push(t, set, "m", time.Now(), secret, "{}")
		synctest.Wait() // told at once, not at the next renewal
		if got := last(); len(got.Keys) != 2 || !got.Keys[0].LastSeen.Equal(seen) || got.Keys[1].ID != "b" || got.Cache != first.Cache {
			t.Errorf("acknowledged %+v, a last seen %s", got, seen)
		}
		ctl.mu.Lock()
		ctl.fail = true
		ctl.mu.Unlock()
		time.Sleep(59 * time.Second)
		if err := set.Ready(); err != nil {
			t.Errorf("not ready before the lease ends: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := set.Ready(); err == nil || !strings.Contains(err.Error(), "lease") {
			t.Errorf("ready without a lease: %v", err)
		}
		accepts(t, set, b.fresh()) // not ready, and yet it refuses nobody
		ctl.mu.Lock()
		ctl.fail = false
		ctl.mu.Unlock()
		time.Sleep(21 * time.Second)
		if err := errors.Join(set.Ready(), ctl.bad); err != nil {
			t.Error(err)
		}
	})
}

func TestFileIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		path := filepath.Join(t.TempDir(), "jwks.json")
		write := func(doc []byte) {
			if err := os.WriteFile(path+".new", doc, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
		write(jwks(a))
		set, err := keyset.New(t.Context(), keyset.Config{File: path, AnyAudience: true, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(set.Close)
		accepts(t, set, a.fresh())
		time.Sleep(time.Second)
		write(jwks(b))
		accepts(t, set, b.fresh()) // looked at for it
		refuses(t, set, a.fresh(), keyset.UnknownKey)

		// Changed in place, keeping size and time: found out all the same.
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		c := edSigner(t, "c")
		if err := os.WriteFile(path, jwks(c), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		refuses(t, set, b.fresh(), keyset.UnknownKey)
		accepts(t, set, c.fresh())

		write([]byte(`{"keys":[`)) // half a file replaces nothing
		time.Sleep(time.Minute)
		accepts(t, set, c.fresh())
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Hour)
		refuses(t, set, c.fresh(), keyset.Unavailable)
	})
}

func TestMiddleware(t *testing.T) {
	a := edSigner(t, "a")
	iss := newIssuer(a)
	set := iss.start(t)
	handler := set.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := keyset.FromContext(r.Context())
		fmt.Fprint(w, ok, claims.Subject)
	}))
	get := func(authorization ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = authorization
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for _, good := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer   "} { // RFC 9110, 11.1 and 11.4
		if w := get(good + a.fresh()); w.Code != 200 || w.Body.String() != "trueada" {
			t.Errorf("%q: %d %s", good, w.Code, w.Body)
		}
	}
	for _, two := range []string{a.fresh() + ", Bearer " + a.fresh(), a.fresh() + "," + a.fresh(), a.fresh() + " " + a.fresh(), "\t" + a.fresh(), `"` + a.fresh() + `"`} {
		if w := get("Bearer " + two); w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%.20q: %d %q", two, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	for _, none := range [][]string{nil, {"Basic YTpi"}, {"Bearer"}, {"Bearer "}, {"Bearer   "}, {"DPoP " + a.fresh()}, {a.fresh()}, {"Basic YTpi, Bearer " + a.fresh()},
		{"Bearer " + a.fresh(), "Bearer " + a.fresh()}, {"Basic YTpi", "Bearer " + a.fresh()}} {
		if w := get(none...); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: %d %q", none, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	w := get("Bearer " + a.token(with("aud", "payments")))
	if want := `Bearer error="invalid_token", error_description="token refused: audience"`; w.Code != 401 || w.Header().Get("WWW-Authenticate") != want {
		t.Errorf("%d %q", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	iss.set(func() { iss.down = errDown })
	handler = iss.start(t).Middleware()(http.NotFoundHandler())
	if w := get("Bearer " + a.fresh()); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("without keys: %d %v", w.Code, w.Header())
	}
}

func TestKeyfunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(time.Second)
		iss.publish(a, b)
		parse := func(token string) error {
			_, err := jwt.Parse(token, set.Keyfunc())
			return err
		}
		if err := errors.Join(parse(a.fresh()), parse(b.fresh())); err != nil {
			t.Error(err)
		}
		stranger := edSigner(t, "a")
		if err := parse(stranger.fresh()); !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			t.Errorf("a stranger's signature: %v", err)
		}
		for check, token := range map[keyset.Check]string{
			keyset.Audience: a.token(with("aud", "payments")), keyset.Issuer: a.token(with("iss", "x")),
			keyset.Expired: a.token(with("exp", nil)), keyset.UnknownKey: edSigner(t, "z").fresh(),
		} {
			if err := parse(token); !errors.Is(err, check) {
				t.Errorf("got %v, want %s", err, check)
			}
		}
	})
}

func TestMetricsAndStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, again := edSigner(t, "a"), edSigner(t, "b"), edSigner(t, "b")
		iss := newIssuer(a)
		var story bytes.Buffer
		registry := prometheus.NewPedanticRegistry()
		set := iss.start(t, func(c *keyset.Config) {
			c.Metrics = registry
			c.Log = slog.New(slog.NewTextHandler(&story, nil))
		})
		if _, err := keyset.New(t.Context(), keyset.Config{Issuer: issuerURL, Metrics: registry}); err == nil {
			t.Error("two sets share one registerer without a label")
		}
		accepts(t, set, a.fresh())
		time.Sleep(time.Second)
		iss.publish(b)
		accepts(t, set, b.fresh())
		refuses(t, set, a.fresh(), keyset.UnknownKey)
		refuses(t, set, b.token(with("exp", 1)), keyset.Expired)
		refuses(t, set, "junk", keyset.Malformed)
		time.Sleep(time.Minute)
		iss.publish(again)
		accepts(t, set, again.fresh())
		iss.set(func() { iss.down = errDown })
		time.Sleep(10 * time.Hour)
		iss.set(func() { iss.down = nil })
		time.Sleep(2 * time.Minute)
		set.Close()

		got := gathered(t, registry)
		for series, want := range map[string]float64{
			"keyset_verifications_total " + issuerURL + " ok":            3,
			"keyset_verifications_total " + issuerURL + " unknown-key":   1,
			"keyset_verifications_total " + issuerURL + " expired":       1,
			"keyset_verifications_total  malformed":                      1,
			"keyset_fetches_total " + issuerURL + " changed unknown-key": 1,
			"keyset_fetches_total " + issuerURL + " changed signature":   1,
			"keyset_unknown_keys_total fetched " + issuerURL:             3, // one for a's removed key
			"keyset_keys " + issuerURL:                                   1,
			"keyset_lease_until_timestamp_seconds":                       0,
			"keyset_usable_until_timestamp_seconds " + issuerURL:         got["keyset_confirmed_timestamp_seconds "+issuerURL] + 6*3600,
		} {
			if value, ok := got[series]; !ok || value != want {
				t.Errorf("%s is %v, want %v", series, value, want)
			}
		}
		for _, line := range []string{
			`msg="key added"`, `msg="key removed"`, `msg="key replaced: the same kid has new material"`, `msg="cannot refresh the key set; the last one is used"`,
			`msg="the key set is too old: every token is refused"`, `msg="the key set can be refreshed again"`,
		} {
			if n := strings.Count(story.String(), line); n < 1 || n > 2 {
				t.Errorf("%s is told %d times in\n%s", line, n, story.String())
			}
		}
	})
}

// gathered returns every series by its name and label values.
func gathered(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}
