package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A request to sign that is not understood whole is refused with what to do: a
// token without the claims that were meant is worse than none.
func TestSigningIsStrict(t *testing.T) {
	url, _ := keysServer(t, "[]")
	for body, want := range map[string]int{
		`{"typ": "at+jwt", "claims": {"sub": "ada"}}`: http.StatusOK,
		``:                              http.StatusBadRequest,
		`{"claims": `:                   http.StatusBadRequest,
		`{"claims": {}} {"claims": {}}`: http.StatusBadRequest,
		`{"clams": {"sub": "ada"}}`:     http.StatusBadRequest,
		`{"claims": {"exp": "soon"}}`:   http.StatusBadRequest,
		`{"claims": {"exp": 1e400}}`:    http.StatusBadRequest,
		`{"claims": {"iss": null}}`:     http.StatusBadRequest,
		`{"claims": {"a": "` + strings.Repeat("a", maxClaims) + `"}}`: http.StatusRequestEntityTooLarge,
	} {
		req, err := http.NewRequest(http.MethodPost, url+"/keys/sign", strings.NewReader(body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+clientToken)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		var said map[string]string
		if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
			t.Errorf("%.40s: %v", body, err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || want != http.StatusOK && (said["detail"] == "" || said["remedy"] == "") {
			t.Errorf("%.40s: %s %v, want %d", body, resp.Status, said, want)
		}
	}
	resp, err := http.Get(url + "/keys/sign")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
}

// What is made at the first start is made once, by whoever is first, and never
// half.
func TestSecretsAreMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	var done sync.WaitGroup
	texts := make([]string, 16)
	for n := range texts {
		done.Go(func() {
			var err error
			if texts[n], err = kept(file, newMasterKey); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	for _, text := range texts {
		if text != texts[0] || text == "" {
			t.Fatalf("%q and %q", texts[0], text)
		}
	}
	list, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// What a full disk or a wrong hand left behind is said, with what to do.
func TestSecretsThatAreWrong(t *testing.T) {
	for file, text := range map[string]string{"operator.token": "", "secret": "", "secret ": "key:AAAA"} {
		data := t.TempDir()
		must(t, os.WriteFile(filepath.Join(data, strings.TrimSpace(file)), []byte(text), 0o600))
		code, _, complaint := command(t, "keys", "serve", "--data", data, "--listen", "127.0.0.1:0")
		if code != exitUsage || !strings.Contains(complaint, "(") {
			t.Errorf("%s of %q: exit %d: %s", file, text, code, complaint)
		}
	}
}

// A node that cannot open the keys of the others says so at once.
func TestAServerWithAnotherSecret(t *testing.T) {
	data := t.TempDir()
	t.Setenv("KEYS_TEST_SECRET", "correct horse battery")
	config := keysFile(t, "keys.yaml", "algorithm: ES256\nsecret: env:KEYS_TEST_SECRET\ndata: "+data)
	out, stop := background(t, "keys", "serve", "--config", config, "--listen", "127.0.0.1:0")
	out.await(t, `key promote`)
	stop()
	t.Setenv("KEYS_TEST_SECRET", "another horse altogether")
	if code, _, complaint := command(t, "keys", "serve", "--config", config, "--listen", "127.0.0.1:0"); code != exitError || !strings.Contains(complaint, "is the secret the one") {
		t.Errorf("exit %d: %s", code, complaint)
	}
}
