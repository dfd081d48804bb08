package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/lab"
)

// token gets a token as an operator's client would.
func token(t *testing.T, w *lab.World) string {
	t.Helper()
	iss := w.Inventory().Issuers[0]
	res, err := http.PostForm(iss.URL+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {iss.ClientID}, "client_secret": {iss.ClientSecret}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("token endpoint answered %s: %v", res.Status, err)
	}
	return out.Token
}

// refusers returns the services that do not answer 200 to the token.
func refusers(t *testing.T, w *lab.World, token string) []string {
	t.Helper()
	var out []string
	for _, s := range w.Inventory().Services {
		if res := get(t, s.URL+s.Canary, token); res.StatusCode != http.StatusOK {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out
}

func get(t *testing.T, url, token string) *http.Response {
	t.Helper()
	return send(t, http.MethodGet, url, token, nil)
}

func send(t *testing.T, method, url, token string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	return res
}

// eventually waits until cond holds, at most d.
func eventually(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", d, what)
		}
	}
}

// noneFails waits for that many calls of customers from now on.
func noneFails(t *testing.T, w *lab.World, calls int) {
	t.Helper()
	from := time.Now()
	eventually(t, 10*time.Second, fmt.Sprint(calls, " calls"), func() bool { return w.Counts(from).Total > calls })
	if c := w.Counts(from); c.Failed > 0 {
		t.Errorf("%d calls fail: %+v", c.Failed, c.Failures)
	}
}

func TestHealthyWorld(t *testing.T) {
	t.Parallel()
	began := time.Now()
	w := start(t, lab.Spec{Profile: "cached", Alg: "RS256", Seed: 3, ServiceCount: 12, NoiseShare: 0.05})
	if took := time.Since(began); took > 15*time.Second { // 2 s on an idle machine, 5 s on a busy one
		t.Errorf("start took %s", took)
	}
	eventually(t, 10*time.Second, "300 calls", func() bool { return w.Counts(time.Time{}).Total >= 300 })
	c := w.Counts(time.Time{})
	if c.Failed != 0 {
		t.Errorf("%d of %d calls failed in a healthy world: %+v", c.Failed, c.Total, c.Failures)
	}
	if c.Noise == 0 {
		t.Error("no deliberate noise in 300 calls at 5 %")
	}
	inv := w.Inventory()
	for _, s := range inv.Services {
		if c.Services[s.Name].Total == 0 {
			t.Errorf("%s was never called", s.Name)
		}
	}
	if want := []prunella.Edge{{From: "gateway", To: "order"}, {From: "order", To: "inventory"}, {From: "order", To: "payment"}}; !slices.Equal(inv.Edges(), want) {
		t.Errorf("edges %v, want %v", inv.Edges(), want)
	}
	if later := w.Counts(time.Now().Add(time.Hour)); later.Total != 0 {
		t.Errorf("%d calls counted in the future", later.Total)
	}
}

func TestOutageShowsInCountsAndEndsWithRevert(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Seed: 5})
	rec, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "user,order", "reopen_after": "10ms"})
	if err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	eventually(t, 10*time.Second, "failures at user and order, and at gateway by way of order", func() bool {
		c := w.Counts(rec.At).Services
		return c["user"].Failed > 2 && c["order"].Failed > 2 && c["gateway"].Failed > 0
	})
	if f := w.Counts(rec.At).Services; f["payment"].Failed+f["search"].Failed > 0 {
		t.Errorf("services that got the key fail: %+v", f)
	}
	if err := w.Revert(t.Context(), "rotate-partial-distribution"); err != nil {
		t.Fatal(err)
	}
	noneFails(t, w, 100)
}

func TestKindsAtARotationWithoutNextKey(t *testing.T) {
	t.Parallel()
	var services []lab.ServiceSpec
	for _, k := range lab.Kinds() {
		services = append(services, lab.ServiceSpec{Name: string(k), Kind: k})
	}
	services = append(services, lab.ServiceSpec{Name: "whole-set-short", Kind: lab.WholeSet, CacheTTL: time.Second})
	next := false
	w := start(t, lab.Spec{Services: services, NextPublished: &next, Rate: -1})
	a := admin{t, w.Inventory().Issuers[0].Admin}
	old := token(t, w)
	kid := a.post("keys", nil, http.StatusCreated)["kid"].(string)
	a.post("keys/"+kid+"/publish", nil, http.StatusOK)
	a.post("keys/"+kid+"/activate", nil, http.StatusOK)
	if got := refusers(t, w, old); len(got) > 0 {
		t.Errorf("tokens of the old key are refused by %v", got)
	}
	fresh := token(t, w)
	blind := []string{"jwx", "whole-set"}
	eventually(t, 5*time.Second, fmt.Sprintf("only %v refuse the new key", blind), func() bool { return slices.Equal(refusers(t, w, fresh), blind) })
	a.post("keys/"+kid+"/retire", nil, http.StatusConflict)
}

func TestPartialDistributionHealsAsInProduction(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Rate: -1})
	before := token(t, w)
	rec, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "2", "reopen_after": "1ms"})
	if err != nil {
		t.Fatal(err)
	}
	missed := strings.Split(rec.Params["missed"], ",")
	if len(missed) != 2 {
		t.Fatalf("missed %q, want two names", rec.Params["missed"])
	}
	if got := refusers(t, w, token(t, w)); !slices.Equal(got, missed) {
		t.Fatalf("new tokens refused by %v, want %v", got, missed)
	}
	if got := refusers(t, w, before); len(got) > 0 {
		t.Errorf("old tokens refused by %v", got)
	}
	a := admin{t, w.Inventory().Issuers[0].Admin}
	keys := a.get("keys")
	signer, old := keys["signer"].(string), keys["keys"].([]any)[0].(map[string]any)
	if old["state"] != "removed" {
		t.Fatalf("old key is %v, want removed", old["state"])
	}
	a.post("keys/"+old["kid"].(string)+"/activate", nil, http.StatusOK)
	if got := refusers(t, w, token(t, w)); len(got) > 0 {
		t.Fatalf("with the old signer tokens are refused by %v", got)
	}
	eventually(t, 5*time.Second, "redelivery to the services that missed the key", func() bool {
		d := a.post("keys/"+signer+"/redeliver", map[string]any{"services": missed}, http.StatusOK)["deliveries"].([]any)
		return len(d) == 2 && d[0].(map[string]any)["status"] == "delivered" && d[1].(map[string]any)["status"] == "delivered"
	})
	canary := a.post("keys/"+signer+"/canary", map[string]any{"audience": "https://api.acme.example"}, http.StatusOK)["access_token"].(string)
	if got := refusers(t, w, canary); len(got) > 0 {
		t.Fatalf("after redelivery the canary of the new key is refused by %v", got)
	}
	a.post("keys/"+signer+"/activate", nil, http.StatusOK)
	var failed int
	for _, d := range a.get("deliveries?kid=" + signer)["deliveries"].([]any) {
		if d := d.(map[string]any); d["status"] == "failed" {
			failed++
			if e := d["last_error"].(string); !strings.Contains(e, "connection refused") || d["attempts"].(float64) != 2 {
				t.Errorf("failed delivery %v", d)
			}
		}
	}
	if failed != 2 {
		t.Errorf("%d failed deliveries on record, want 2", failed)
	}
}

func TestClosedPortsStayClosed(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Rate: -1, ServiceCount: 2})
	if _, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "user", "stay_closed": "true", "early_removal": "false"}); err != nil {
		t.Fatal(err)
	}
	a := admin{t, w.Inventory().Issuers[0].Admin}
	keys := a.get("keys")
	if state := keys["keys"].([]any)[0].(map[string]any)["state"]; state != "previous" {
		t.Errorf("old key is %v, want previous", state)
	}
	d := a.post("keys/"+keys["signer"].(string)+"/redeliver", map[string]any{"services": []string{"user"}}, http.StatusOK)["deliveries"].([]any)[0].(map[string]any)
	if d["status"] != "failed" {
		t.Errorf("delivery to a closed port: %v", d)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Rate: -1, ServiceCount: 2})
	for _, c := range []struct {
		fault  string
		params map[string]string
		want   string
	}{
		{"rotate-sideways", nil, "jwks-down"},
		{"rotate", map[string]string{"missed": "1"}, "takes no parameters"},
		{"rotate-partial-distribution", map[string]string{"mised": "1"}, "missed, early_removal"},
		{"rotate-partial-distribution", map[string]string{"missed": "9"}, "1 to 2"},
		{"rotate-partial-distribution", map[string]string{"missed": "user,nobody"}, "order,user"},
		{"rotate-partial-distribution", map[string]string{"reopen_after": "soon"}, "duration"},
		{"clock-skew", map[string]string{"service": "nobody"}, "user, order"},
		{"random-kid-flood", map[string]string{"rate": "0"}, "1 to 1000"},
		{"wrong-audience", map[string]string{"issuer": "perhaps"}, "true or false"},
	} {
		_, err := w.Inject(t.Context(), c.fault, c.params)
		if prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v; want an invalid error with %q", c.fault, c.params, err, c.want)
		}
	}
	for _, c := range []struct {
		spec lab.Spec
		want string
	}{
		{lab.Spec{Profile: "marble"}, "distributed or cached"},
		{lab.Spec{Alg: "none"}, "RS256 or ES256"},
		{lab.Spec{ServiceCount: 99}, "1 to 16"},
		{lab.Spec{TokenLifetime: time.Second}, "5s"},
		{lab.Spec{Services: []lab.ServiceSpec{{Name: "a", Kind: "x"}}}, "whole-set"},
		{lab.Spec{Services: []lab.ServiceSpec{{Name: "auth", Kind: lab.JWX}}}, "auth"},
	} {
		if _, err := lab.Start(t.Context(), c.spec); prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want an invalid error with %q", c.spec, err, c.want)
		}
	}
}

func TestEveryProcessOnItsOwn(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Processes: true, ServiceCount: 3, Rate: 60, Seed: 2})
	rec, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "order"})
	if err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	if err := w.Revert(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec, err = w.Inject(t.Context(), "bad-deploy", map[string]string{"service": "user"})
	if err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	if err := w.Revert(t.Context()); err != nil {
		t.Fatal(err)
	}
	noneFails(t, w, 50)
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, parentArg)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var inv prunella.Inventory
	if err := json.NewDecoder(out).Decode(&inv); err != nil {
		t.Fatal(err)
	}
	urls := []string{inv.Issuers[0].URL, inv.Services[0].URL, inv.Services[1].URL}
	for _, u := range urls {
		if res := get(t, u+"/healthz", ""); res.StatusCode != http.StatusOK {
			t.Fatalf("%s is not alive: %s", u, res.Status)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for _, u := range urls {
		eventually(t, 5*time.Second, u+" refuses connections", func() bool {
			c, err := net.Dial("tcp", strings.TrimPrefix(u, "http://"))
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
}
