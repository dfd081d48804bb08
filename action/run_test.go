package action_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"prunella"
	"prunella/action"
)

func TestHTTP(t *testing.T) {
	var got *http.Request
	other := site(t, map[string]string{"/": "secret place"})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusTemporaryRedirect)
		case "/big":
			_, _ = w.Write(make([]byte, 2<<20))
		case "/slow":
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client go
			<-r.Context().Done()
		case "/broken":
			http.Error(w, "half done", 500)
		case "/no":
			reply(w, 422, map[string]string{"title": "Unprocessable", "detail": "the zone is not known, " + r.Header.Get("Authorization")})
		default:
			reply(w, 200, map[string]any{"n": 1, "token": adminToken})
		}
	}))
	t.Cleanup(s.Close)
	inv := prunella.Inventory{Issuers: []prunella.Issuer{{Name: "a", URL: "https://a.example", Admin: &prunella.Admin{Kind: "keys", URL: "https://a.example", Token: adminToken}}}}
	w := world(t, inv, nil, action.Options{})
	get := func(path string) map[string]any {
		t.Helper()
		res, err := w.Read(t.Context(), "http.get", map[string]any{"url": s.URL + path, "header": map[string]any{"X-A": 1}}, action.Incident{})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := get("/ok")
	if res["status"] != 200.0 || res["json"].(map[string]any)["n"] != 1.0 || strings.Contains(res["body"].(string), adminToken) || got.Header.Get("X-A") != "1" {
		t.Errorf("%v", res)
	}
	if res := get("/away"); res["known"] != false || !strings.Contains(res["reason"].(string), "another host") || strings.Contains(res["body"].(string), "secret") {
		t.Errorf("redirected away: %v", res)
	}
	if res := get("/round"); res["known"] != false || !strings.Contains(res["reason"].(string), "more than three times") {
		t.Errorf("redirected round: %v", res)
	}
	if res := get("/big"); len(res["body"].(string)) > 70<<10 || !strings.HasSuffix(res["body"].(string), "[cut after 64 KiB]") {
		t.Errorf("big body of %d bytes", len(res["body"].(string)))
	}
	for _, bad := range []string{"http://10.1.2.3/", "ftp://127.0.0.1/", "nowhere"} {
		if _, err := w.Read(t.Context(), "http.get", map[string]any{"url": bad}, action.Incident{}); prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	post := func(ctx context.Context, path string) (string, error) {
		return w.Do(ctx, "http.request", "step-9", map[string]any{"method": "post", "url": s.URL + path + "?token=query-secret", "body": map[string]any{"a": 1.0},
			"header": map[string]any{"Authorization": "Bearer abcdefghijklmnopqrstuvwxyz"}})
	}
	if out, err := post(t.Context(), "/ok"); err != nil || !strings.HasPrefix(out, "200 in") || got.Header.Get("Idempotency-Key") != "step-9" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%q, %v, %v", out, err, got.Header)
	}
	_, err := post(t.Context(), "/no")
	if prunella.KindOf(err) != prunella.Invalid || errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "the zone is not known") {
		t.Errorf("422: %v", err)
	}
	if _, err := post(t.Context(), "/broken"); !errors.Is(err, action.ErrLost) {
		t.Errorf("500: %v", err)
	}
	if _, err := post(t.Context(), "/away"); err == nil || errors.Is(err, action.ErrLost) || got.Host != strings.TrimPrefix(s.URL, "http://") {
		t.Errorf("a mutation that is redirected: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, lost := post(short, "/slow"); !errors.Is(lost, action.ErrLost) || strings.Contains(lost.Error(), "query-secret") {
		t.Errorf("no answer in time: %v", lost)
	}
	if strings.Contains(err.Error(), "abcdefghijklmnop") {
		t.Errorf("the error shows a token: %v", err)
	}
	if h, _, err := w.Happened(t.Context(), "http.request", "step-9", map[string]any{"method": "POST", "url": s.URL}, nil); h != action.Unclear || err != nil {
		t.Errorf("happened: %s, %v", h, err)
	}
}

func TestShell(t *testing.T) {
	t.Setenv("NOT_PASSED_ON", "x")
	w := world(t, prunella.Inventory{Kubernetes: &prunella.Kubernetes{Server: "https://k.example", Token: kubeToken}}, nil, action.Options{})
	do := func(ctx context.Context, env map[string]any, argv ...any) (string, error) {
		return w.Do(ctx, "shell.run", "step-7", map[string]any{"run": argv, "env": env})
	}
	out, err := do(t.Context(), map[string]any{"SERVICE": "a; echo b"}, "sh", "-c", `echo "$SERVICE/$1/$NOT_PASSED_ON/$PRUNELLA_STEP"`, "sh", "$(id)")
	if err != nil || out != "a; echo b/$(id)//step-7" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := do(t.Context(), nil, "echo", kubeToken); err != nil || out != "[secret]" {
		t.Errorf("a secret: %q, %v", out, err)
	}
	if _, err := do(t.Context(), nil, "sh", "-c", "echo bad luck >&2; exit 3"); err == nil || errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "exit status 3: bad luck") {
		t.Errorf("exit 3: %v", err)
	}
	if _, err := do(t.Context(), nil, "no-such-program-here"); prunella.KindOf(err) != prunella.Invalid || errors.Is(err, action.ErrLost) {
		t.Errorf("no program: %v", err)
	}
	if _, err := do(t.Context(), map[string]any{"A=B": "x"}, "true"); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("a bad variable: %v", err)
	}
	res, err := w.Read(t.Context(), "shell.run-read", map[string]any{"run": []string{"sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x; exit 4"}}, action.Incident{})
	if err != nil || res["exit"] != 4.0 || len(res["stdout"].(string)) > 66<<10 || !strings.HasSuffix(res["stdout"].(string), "[cut after 64 KiB]") {
		t.Errorf("exit %v, %d bytes, %v", res["exit"], len(res["stdout"].(string)), err)
	}
}

func TestShellTimeoutEndsTheWholeGroup(t *testing.T) {
	w := world(t, prunella.Inventory{}, nil, action.Options{})
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() { // its time is over once it has a child
		for ctx.Err() == nil {
			if b, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(b), "\n") {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	start := time.Now()
	_, err := w.Do(ctx, "shell.run", "s", map[string]any{"run": []string{"sh", "-c", `sleep 60 & echo $! >"$1"; wait`, "sh", file}})
	if !errors.Is(err, action.ErrLost) || time.Since(start) > 15*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 { // the grandchild is reaped by whoever adopts it
		if syscall.Kill(pid, 0) != nil || zombie(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the grandchild %d lives on", pid)
}

func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z ")
}
