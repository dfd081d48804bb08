package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"prunella/rotation"
	"prunella/rotation/signer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func secret() signer.Secret {
	return must(signer.ParseSecret("key:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))))
}

func sealed(t *testing.T, dir string) *signer.Sealed {
	t.Helper()
	return must(signer.NewSealed(must(signer.OpenDir(dir)), secret(), 0))
}

// signers are one of each kind; the remote one is served.
func signers(t *testing.T) map[string]rotation.Signer {
	server := httptest.NewServer(signer.Serve(sealed(t, filepath.Join(t.TempDir(), "keys")), "s3cret"))
	t.Cleanup(server.Close)
	return map[string]rotation.Signer{
		"memory": &signer.Memory{},
		"sealed": sealed(t, filepath.Join(t.TempDir(), "keys")),
		"remote": must(signer.NewRemote(server.URL, "s3cret", server.Client())),
	}
}

// Every algorithm's signature is accepted by another library.
func TestSignaturesAreJWS(t *testing.T) {
	for name, s := range signers(t) {
		for _, alg := range rotation.Algorithms {
			id := rotation.KeyID("k-" + string(alg))
			pub, err := s.Create(t.Context(), id, alg)
			if err != nil {
				t.Fatalf("%s %s: %v", name, alg, err)
			}
			j, err := rotation.NewJWK(id, alg, pub)
			if err != nil {
				t.Fatal(err)
			}
			if again := must(s.Create(t.Context(), id, alg)); must(rotation.NewJWK(id, alg, again)).Thumbprint() != j.Thumbprint() {
				t.Errorf("%s %s: created twice, it is another key", name, alg)
			}
			for range 4 { // r and s of an EC signature are short now and then
				input := "head.payload" + rand.Text()
				sig, err := s.Sign(t.Context(), id, alg, []byte(input))
				if err != nil {
					t.Fatalf("%s %s: %v", name, alg, err)
				}
				if err := jwt.GetSigningMethod(string(alg)).Verify(input, sig, pub); err != nil {
					t.Errorf("%s %s: %v", name, alg, err)
				}
			}
			for range 2 {
				if err := s.Destroy(t.Context(), id); err != nil {
					t.Errorf("%s %s: %v", name, alg, err)
				}
			}
			if _, err := s.Sign(t.Context(), id, alg, []byte("x")); !errors.Is(err, rotation.NotFound) {
				t.Errorf("%s %s: a destroyed key says %v", name, alg, err)
			}
		}
	}
}

func TestIDsAreNoPaths(t *testing.T) {
	for name, s := range signers(t) {
		for _, id := range []rotation.KeyID{"", "../up", ".hidden", "a/b", "a\x00", rotation.KeyID(strings.Repeat("a", 129))} {
			if _, err := s.Create(t.Context(), id, "ES256"); !errors.Is(err, rotation.Invalid) {
				t.Errorf("%s: the id %q says %v", name, id, err)
			}
		}
		if _, err := s.Create(t.Context(), "k", "HS256"); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%s: HS256 says %v", name, err)
		}
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	for _, bits := range []int{1024, 16384} {
		m := &signer.Memory{RSABits: bits}
		if _, err := m.Create(t.Context(), "k", "RS256"); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	m := &signer.Memory{RSABits: 3072}
	if pub := must(m.Create(t.Context(), "k", "PS384")).(*rsa.PublicKey); pub.N.BitLen() != 3072 {
		t.Errorf("%d bits", pub.N.BitLen())
	}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for alg, key := range map[rotation.Algorithm]crypto.Signer{"ES256": rsaKey, "RS256": p256, "ES384": p256, "EdDSA": p256} {
		if _, err := signer.SignJWS(key, alg, []byte("x")); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%T for %s: %v", key, alg, err)
		}
	}
}

func TestImport(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var m signer.Memory
	if err := m.Import("k", must(x509.MarshalPKCS8PrivateKey(key))); err != nil {
		t.Fatal(err)
	}
	if pub := must(m.Create(t.Context(), "k", "EdDSA")); !key.Public().(ed25519.PublicKey).Equal(pub) {
		t.Error("another key was made")
	}
	for _, bad := range [][]byte{nil, []byte("no key")} {
		if err := m.Import("bad", bad); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%v", err)
		}
	}
}

func TestSealedKeysAreEncryptedAndSurvive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first := sealed(t, dir)
	pub := must(first.Create(t.Context(), "k", "EdDSA")).(ed25519.PublicKey)
	raw := must(os.ReadFile(filepath.Join(dir, "k.box")))
	if info := must(os.Stat(filepath.Join(dir, "k.box"))); info.Mode().Perm() != 0o600 {
		t.Errorf("the box has mode %v", info.Mode())
	}
	if left := must(os.ReadDir(dir)); len(left) != 1 {
		t.Errorf("the folder has %v", left)
	}
	if !pub.Equal(must(sealed(t, dir).Create(t.Context(), "k", "EdDSA"))) {
		t.Error("a second process has another key")
	}

	var box map[string]any
	if err := json.Unmarshal(raw, &box); err != nil {
		t.Fatal(err)
	}
	plain := must(base64.StdEncoding.DecodeString(box["sealed"].(string)))
	if _, err := x509.ParsePKCS8PrivateKey(plain); err == nil {
		t.Error("the key is not encrypted")
	}
	damage := func(what string, kind rotation.Kind, change func(map[string]any)) {
		t.Helper()
		var b map[string]any
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		change(b)
		other := filepath.Join(t.TempDir(), "keys")
		s := sealed(t, other)
		if err := os.WriteFile(filepath.Join(other, "k.box"), must(json.Marshal(b)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(t.Context(), "k", "EdDSA", nil); !errors.Is(err, kind) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := s.Create(t.Context(), "k", "EdDSA"); !errors.Is(err, kind) { // never replaced by a new one
			t.Errorf("%s: create: %v", what, err)
		}
	}
	damage("a changed bit", rotation.Damaged, func(b map[string]any) {
		plain[9] ^= 1
		b["sealed"] = base64.StdEncoding.EncodeToString(plain)
	})
	damage("another algorithm", rotation.Damaged, func(b map[string]any) { b["alg"] = "ES256" })
	damage("another name", rotation.Damaged, func(b map[string]any) { b["kid"] = "j" })
	damage("another version", rotation.Damaged, func(b map[string]any) { b["v"] = 2 })
	damage("no nonce", rotation.Damaged, func(b map[string]any) { delete(b, "nonce") })
	damage("a passphrase's box", rotation.Invalid, func(b map[string]any) { b["kdf"] = "scrypt-15" })
}

func TestPassphrase(t *testing.T) {
	dir := must(signer.OpenDir(filepath.Join(t.TempDir(), "keys")))
	open := func(passphrase string) *signer.Sealed {
		return must(signer.NewSealed(dir, must(signer.ParseSecret(passphrase)), 0))
	}
	pub := must(open("a long passphrase").Create(t.Context(), "k", "ES256")).(*ecdsa.PublicKey)
	if !pub.Equal(must(open(" a long passphrase\n").Create(t.Context(), "k", "ES256"))) {
		t.Error("the same passphrase opens another key")
	}
	if _, err := open("another passphrase").Sign(t.Context(), "k", "ES256", nil); !errors.Is(err, rotation.Damaged) {
		t.Errorf("a wrong passphrase says %v", err)
	}
}

func TestSecretsComeFromSafePlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("a long passphrase"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROTATION_TEST_SECRET", "key:"+base64.StdEncoding.EncodeToString(make([]byte, 31)))
	for _, where := range []string{"file:" + file, "file:/does/not/exist", "env:ROTATION_TEST_NONE", "env:ROTATION_TEST_SECRET", "a long passphrase", ""} {
		if _, err := signer.SecretFrom(where); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%q: %v", where, err)
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	must(signer.SecretFrom("file:" + file))
	if _, err := signer.ParseSecret("short"); !errors.Is(err, rotation.Invalid) {
		t.Errorf("%v", err)
	}
	if _, err := signer.NewSealed(signer.Dir{}, signer.Secret{}, 0); !errors.Is(err, rotation.Invalid) {
		t.Errorf("%v", err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.OpenDir(open); !errors.Is(err, rotation.Invalid) {
		t.Errorf("%v", err)
	}
}

// Two nodes that create one key at once have the same.
func TestOneOfTwoCreates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	nodes := []*signer.Sealed{sealed(t, dir), sealed(t, dir), sealed(t, dir)}
	for round := range 5 {
		id := rotation.KeyID(fmt.Sprint("k", round))
		var done sync.WaitGroup
		got := make([]crypto.PublicKey, len(nodes))
		for n, s := range nodes {
			done.Go(func() {
				var err error
				if got[n], err = s.Create(context.Background(), id, "ES256"); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		for _, pub := range got[1:] {
			if !got[0].(*ecdsa.PublicKey).Equal(pub) {
				t.Fatal("two nodes have different keys")
			}
		}
	}
}

func TestARemoteSignerIsNotBelieved(t *testing.T) {
	inner := &signer.Memory{}
	fault := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch fault {
		case "lies":
			if strings.HasSuffix(r.URL.Path, "/sign") {
				fmt.Fprint(w, `{"signature":"AAAA"}`)
				return
			}
		case "fails":
			http.Error(w, "boom", http.StatusBadGateway)
			return
		case "moves":
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusTemporaryRedirect)
			return
		case "floods":
			for range 100 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
			return
		}
		signer.Serve(inner, "s3cret").ServeHTTP(w, r)
	}))
	defer server.Close()
	s := must(signer.NewRemote(server.URL+"/", "s3cret", server.Client()))
	must(s.Create(t.Context(), "k", "ES256"))
	must(s.Sign(t.Context(), "k", "ES256", []byte("x")))
	for _, fault = range []string{"lies", "fails", "moves", "floods"} {
		if _, err := s.Sign(t.Context(), "k", "ES256", []byte("x")); !errors.Is(err, rotation.Unavailable) {
			t.Errorf("it %s: %v", fault, err)
		}
	}
	fault = ""
	fresh := must(signer.NewRemote(server.URL, "s3cret", server.Client()))
	must(fresh.Sign(t.Context(), "k", "ES256", []byte("x"))) // made before this process began
	stranger := must(signer.NewRemote(server.URL, "wrong", server.Client()))
	if _, err := stranger.Sign(t.Context(), "k", "ES256", nil); !errors.Is(err, rotation.Unauthorized) {
		t.Errorf("a stranger: %v", err)
	}
	server.Close()
	if _, err := s.Sign(t.Context(), "k", "ES256", nil); !errors.Is(err, rotation.Unavailable) {
		t.Errorf("a dead signer: %v", err)
	}
	for _, bad := range []string{"", "ftp://x", "://"} {
		if _, err := signer.NewRemote(bad, "", nil); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestServeRefusesBadRequests(t *testing.T) {
	for body, want := range map[string]int{"": 400, "{": 400, `{"alg":"none"}`: 400, strings.Repeat(" ", 1<<20): 400, `{"alg":"ES256"}`: 200} {
		r := httptest.NewRequest(http.MethodPost, "/k", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer s3cret")
		w := httptest.NewRecorder()
		signer.Serve(&signer.Memory{}, "s3cret").ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%.20q: %d, want %d", body, w.Code, want)
		}
	}
	open := httptest.NewRecorder()
	signer.Serve(&signer.Memory{}, "").ServeHTTP(open, httptest.NewRequest(http.MethodPost, "/k", strings.NewReader(`{"alg":"ES256"}`)))
	if open.Code != http.StatusUnauthorized {
		t.Errorf("without a token it serves: %d", open.Code)
	}
}
