package lab_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"prunella"
	"prunella/lab"
)

// TestAnIssuerOnRotationRefusesWhatWouldBreak is the partial distribution of the
// other tests: the promotion is refused by the names of those who would refuse
// its tokens, nobody is hurt meanwhile, and once the key gets there it signs.
func TestAnIssuerOnRotationRefusesWhatWouldBreak(t *testing.T) {
	for name, spec := range map[string]lab.Spec{
		"files":     {},
		"mixed":     {ServiceCount: 4, Keyset: "2"},
		"processes": {ServiceCount: 3, Processes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec.Issuer, spec.Rate = "rotation", 40
			w := start(t, spec)
			began := time.Now()
			rec, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "user,order", "reopen_after": "500ms"})
			if err != nil {
				t.Fatal(err)
			}
			t.Log(rec.Proof)
			if !rec.Proven || rec.Params["blocked"] != "order,user" {
				t.Errorf("blocked by %q (proven: %v): %s", rec.Params["blocked"], rec.Proven, rec.Proof)
			}
			eventually(t, 20*time.Second, "the key signs when everybody can verify it", func() bool { return signer(t, w) == rec.Params["next_kid"] })
			if refused := refusers(t, w, token(t, w)); len(refused) > 0 {
				t.Errorf("tokens of the new key are refused by %v", refused)
			}
			if c := w.Counts(began); c.Failed > 0 || c.Total == 0 {
				t.Errorf("%d of %d calls failed: %v", c.Failed, c.Total, c.Failures)
			}
		})
	}
}

func TestAnIssuerOnRotationRotates(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Issuer: "rotation", ServiceCount: 3, Rate: 40})
	old := signer(t, w)
	restartOne(t, w, "user") // the agent of the instance that is gone must not be waited for
	rec, err := w.Inject(t.Context(), "rotate", nil)
	if err != nil || !rec.Proven {
		t.Fatalf("%v: %s", err, rec.Proof)
	}
	if now := signer(t, w); now == old {
		t.Errorf("%s signs on", old)
	}
	if err := w.Revert(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := w.Inject(t.Context(), "same-kid-new-material", nil); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("same kid, new material: %v", err)
	}
}

// TestVerifiersThatCannotAnswerHoldARotationUp: a day's cache is a day's wait.
func TestVerifiersThatCannotAnswerHoldARotationUp(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Issuer: "rotation", Rate: -1, Services: []lab.ServiceSpec{{Name: "user", Kind: lab.WholeSet}, {Name: "order", Kind: lab.KeySet}}})
	iss := w.Inventory().Issuers[0]
	var k struct{ Kid string }
	if status := post(t, iss.URL+"/keys/v1/keys", iss.Admin.Token, "{}", &k); status != http.StatusCreated {
		t.Fatalf("create answered %d", status)
	}
	var refused struct{ Detail string }
	if status := post(t, iss.URL+"/keys/v1/keys/"+k.Kid+"/activate", iss.Admin.Token, "{}", &refused); status != http.StatusConflict ||
		!strings.Contains(refused.Detail, "refreshes within 24h") {
		t.Errorf("activate answered %d: %s", status, refused.Detail)
	}
	if res := get(t, iss.URL+"/keys/verifiers", iss.Admin.Token); res.StatusCode != http.StatusOK {
		t.Errorf("rotation's own API answered %s", res.Status)
	}
}

func TestKeysetServicesNeedNothingToRideOutKeyFaults(t *testing.T) {
	for _, fault := range []string{"stale-cache-double-rotation", "rotate-partial-distribution", "jwks-down"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := start(t, lab.Spec{Profile: "cached", Keyset: "all", ServiceCount: 3, Rate: 60})
			began := time.Now()
			rec, err := w.Inject(t.Context(), fault, nil)
			if err != nil || !rec.Proven {
				t.Fatalf("%v: %s", err, rec.Proof)
			}
			if refused := refusers(t, w, token(t, w)); len(refused) > 0 {
				t.Errorf("a good token is refused by %v", refused)
			}
			if c := w.Counts(began); c.Failed > 0 {
				t.Errorf("%d of %d calls failed: %v", c.Failed, c.Total, c.Failures)
			}
			for _, s := range w.Inventory().Services {
				if res := get(t, s.URL+"/readyz", ""); res.StatusCode != http.StatusOK {
					t.Errorf("%s is not ready: %s", s.Name, res.Status)
				}
			}
		})
	}
}

func TestWhichServicesAreOnKeyset(t *testing.T) {
	for keyset, wrong := range map[string]bool{"": false, "none": false, "0": false, "2": false, "user,order": false, "all": false, "4": true, "-1": true, "user,nobody": true} {
		w, err := lab.Start(t.Context(), lab.Spec{Keyset: keyset, ServiceCount: 3, Alg: "ES256", Rate: -1})
		if err == nil {
			defer func() { _ = w.Stop(t.Context()) }()
		}
		if wrong != (prunella.KindOf(err) == prunella.Invalid) {
			t.Errorf("keyset %q: %v", keyset, err)
		}
	}
	if !slices.Contains(lab.Kinds(), lab.KeySet) {
		t.Error("keyset is no kind")
	}
}

func signer(t *testing.T, w *lab.World) string {
	t.Helper()
	iss := w.Inventory().Issuers[0]
	var list struct{ Signer string }
	if err := json.NewDecoder(get(t, iss.URL+"/keys/v1/keys", iss.Admin.Token).Body).Decode(&list); err != nil || list.Signer == "" {
		t.Fatalf("no signer: %v", err)
	}
	return list.Signer
}

func post(t *testing.T, url, token, body string, out any) int {
	t.Helper()
	res := send(t, http.MethodPost, url, token, strings.NewReader(body))
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

func restartOne(t *testing.T, w *lab.World, name string) {
	t.Helper()
	c, ns := kubeClient(t, w)
	if _, err := c.AppsV1().Deployments(ns).Patch(t.Context(), name, types.StrategicMergePatchType, restartPatch(), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := waitRollout(t, c, ns, name); err != nil {
		t.Fatal(err)
	}
}
