package lab_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"prunella"
	"prunella/lab"
)

// admin drives the key API.
type admin struct {
	t *testing.T
	a *prunella.Admin
}

func (a admin) get(path string) map[string]any {
	a.t.Helper()
	return a.do(http.MethodGet, path, "", nil, http.StatusOK)
}

func (a admin) post(path string, body any, want int) map[string]any {
	a.t.Helper()
	return a.do(http.MethodPost, path, "", body, want)
}

func (a admin) do(method, path, key string, body any, want int) map[string]any {
	a.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/keys/v1/" + path
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.a.URL+path, in)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.a.Token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if res.StatusCode != want {
		a.t.Fatalf("%s %s answered %s, want %d: %s", method, path, res.Status, want, b)
	}
	if want >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%s %s: error of type %q", method, path, res.Header.Get("Content-Type"))
	}
	out := map[string]any{}
	if err := json.Unmarshal(b, &out); err != nil && b[0] != '[' {
		a.t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
	if b[0] == '[' {
		var list []any
		if err := json.Unmarshal(b, &list); err != nil {
			a.t.Fatal(err)
		}
		out["list"] = list
	}
	return out
}

func TestKeyAPI(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 1, Rate: -1})
	a := admin{t, w.Inventory().Issuers[0].Admin}

	first := a.do(http.MethodPost, "keys", "step-1", map[string]string{"alg": "RS256"}, http.StatusCreated)
	again := a.do(http.MethodPost, "keys", "step-1", map[string]string{"alg": "RS256"}, http.StatusCreated)
	if first["kid"] != again["kid"] || first["kid"] != first["thumbprint"] {
		t.Errorf("the same Idempotency-Key made %v and %v (thumbprint %v)", first["kid"], again["kid"], first["thumbprint"])
	}
	a.do(http.MethodPost, "keys/"+first["kid"].(string)+"/publish", "step-1", nil, http.StatusUnprocessableEntity)
	if _, published := first["published"]; published || first["state"] != "next" {
		t.Errorf("a new key is %v", first)
	}
	a.post("keys", map[string]string{"alg": "HS256"}, http.StatusBadRequest)
	a.post("keys/nobody/activate", nil, http.StatusNotFound)

	token(t, w)
	signer := a.get("keys")["signer"].(string)
	if u := a.get("keys/" + signer + "/usage"); u["last_issued"] == nil || u["last_expiry"] == nil {
		t.Errorf("usage of the signer: %v", u)
	}
	a.post("keys/"+first["kid"].(string)+"/redeliver", map[string]any{"services": []string{"nobody"}}, http.StatusNotFound)

	wrong := admin{t, &prunella.Admin{URL: a.a.URL, Token: "guess"}}
	wrong.do(http.MethodGet, "keys", "", nil, http.StatusUnauthorized)
}

func TestAuth0SigningKeys(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Profile: "cached", ServiceCount: 1, Rate: -1})
	a := admin{t, w.Inventory().Issuers[0].Admin}
	roles := func() (current, next, previous string) {
		for _, k := range a.do(http.MethodGet, "/api/v2/keys/signing", "", nil, http.StatusOK)["list"].([]any) {
			k := k.(map[string]any)
			switch {
			case k["current"] == true:
				current = k["kid"].(string)
			case k["next"] == true:
				next = k["kid"].(string)
			case k["previous"] == true:
				previous = k["kid"].(string)
			}
		}
		return current, next, previous
	}
	c1, n1, _ := roles()
	rotated := a.do(http.MethodPost, "/api/v2/keys/signing/rotate", "", nil, http.StatusCreated)
	c2, n2, p2 := roles()
	if rotated["kid"] != n1 || c2 != n1 || p2 != c1 || n2 == "" || n2 == n1 {
		t.Errorf("rotate made %s/%s into %s/%s, previous %s", c1, n1, c2, n2, p2)
	}
	a.do(http.MethodPut, "/api/v2/keys/signing/"+c2+"/revoke", "", nil, http.StatusConflict)
	a.do(http.MethodPut, "/api/v2/keys/signing/"+p2+"/revoke", "", nil, http.StatusOK)
	if k := a.do(http.MethodGet, "/api/v2/keys/signing/"+p2, "", nil, http.StatusOK); k["revoked"] != true || !strings.Contains(k["cert"].(string), "BEGIN CERTIFICATE") {
		t.Errorf("revoked key is %v", k)
	}
	a.post("keys/"+p2+"/publish", nil, http.StatusConflict)
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 1, Rate: -1})
	iss := w.Inventory().Issuers[0]
	for _, c := range []struct {
		body string
		want int
		code string
	}{
		{`{"grant_type":"client_credentials","client_id":"prunella","client_secret":"guess"}`, http.StatusUnauthorized, "invalid_client"},
		{`{"grant_type":"password"}`, http.StatusBadRequest, "unsupported_grant_type"},
		{`{`, http.StatusBadRequest, "invalid_request"},
	} {
		res, err := http.Post(iss.URL+"/oauth/token", "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.want || !strings.Contains(string(b), c.code) {
			t.Errorf("%s answered %s %s, want %d %s", c.body, res.Status, b, c.want, c.code)
		}
	}
}
