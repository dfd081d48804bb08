package action_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"prunella"
	"prunella/action"
)

const kubeToken = "kube-token-0123456789"

// cluster is an API server with one Deployment and one ConfigMap. Its
// controller needs as many reads as pace says to roll a new template out.
type cluster struct {
	*httptest.Server
	mu        sync.Mutex
	d         apps.Deployment
	sets      []apps.ReplicaSet
	cm        core.ConfigMap
	pace      int
	left      int
	stuck     bool
	patches   []string       // content types
	intervene func(*cluster) // runs once before the next ConfigMap patch
	drop      bool           // take the next patch and cut the connection
	asked     func()         // runs at each read of the Deployment
}

func newCluster(t testing.TB, config string) *cluster {
	t.Helper()
	two := int32(2)
	c := &cluster{pace: 2}
	c.d = apps.Deployment{TypeMeta: meta.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"},
		ObjectMeta: meta.ObjectMeta{Name: "user", Namespace: "prod", UID: "u1", Generation: 1, ResourceVersion: "1"},
		Spec: apps.DeploymentSpec{Replicas: &two, Selector: &meta.LabelSelector{MatchLabels: map[string]string{"app": "user"}},
			Template: core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"app": "user"}, Annotations: map[string]string{"team": "a"}},
				Spec: core.PodSpec{Containers: []core.Container{{Name: "user", Image: "user:v1"}}}}}}
	c.rollOut()
	c.cm = core.ConfigMap{TypeMeta: meta.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: meta.ObjectMeta{Name: "user-config", Namespace: "prod", ResourceVersion: "7"}, Data: map[string]string{"config.yaml": config, "other": "kept"}}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*http.Request) (any, int)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if r.Header.Get("Authorization") != "Bearer "+kubeToken {
				reply(w, 401, meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: meta.StatusReasonUnauthorized, Code: 401, Message: "Unauthorized"})
				return
			}
			v, code := h(r)
			if c.drop && r.Method == "PATCH" {
				c.drop = false
				if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
					conn.Close()
				}
				return
			}
			reply(w, code, v)
		})
	}
	const deployments, configmaps = "/apis/apps/v1/namespaces/prod/deployments/{name}", "/api/v1/namespaces/prod/configmaps/{name}"
	handle("GET "+deployments, c.getDeployment)
	handle("PATCH "+deployments, c.patchDeployment)
	handle("GET /apis/apps/v1/namespaces/prod/replicasets", func(*http.Request) (any, int) {
		return apps.ReplicaSetList{TypeMeta: meta.TypeMeta{Kind: "ReplicaSetList", APIVersion: "apps/v1"}, Items: c.sets}, 200
	})
	handle("GET "+configmaps, func(r *http.Request) (any, int) {
		if r.PathValue("name") != c.cm.Name {
			return notFound("configmaps", r)
		}
		return c.cm, 200
	})
	handle("PATCH "+configmaps, c.patchConfigMap)
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func notFound(what string, r *http.Request) (any, int) {
	return meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: meta.StatusReasonNotFound, Code: 404,
		Message: fmt.Sprintf("%s %q not found", what, r.PathValue("name"))}, 404
}

// rollOut is the controller's work: a ReplicaSet for the template, everything available.
func (c *cluster) rollOut() {
	n := int32(*c.d.Spec.Replicas)
	rev := strconv.Itoa(len(c.sets) + 1)
	rs := apps.ReplicaSet{ObjectMeta: meta.ObjectMeta{Name: "user-" + rev, Namespace: "prod", Annotations: map[string]string{"deployment.kubernetes.io/revision": rev},
		OwnerReferences: []meta.OwnerReference{{Kind: "Deployment", Name: "user", UID: "u1", Controller: new(true)}}}}
	c.d.Spec.Template.DeepCopyInto(&rs.Spec.Template)
	rs.Spec.Template.Labels = maps.Clone(rs.Spec.Template.Labels)
	rs.Spec.Template.Labels["pod-template-hash"] = rev
	c.sets = append(c.sets, rs)
	if c.d.Annotations == nil {
		c.d.Annotations = map[string]string{}
	}
	c.d.Annotations["deployment.kubernetes.io/revision"] = rev
	c.d.Status = apps.DeploymentStatus{ObservedGeneration: c.d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
}

func (c *cluster) getDeployment(r *http.Request) (any, int) {
	if r.PathValue("name") != c.d.Name {
		return notFound("deployments.apps", r)
	}
	if c.asked != nil {
		c.asked()
	}
	if c.d.Generation > c.d.Status.ObservedGeneration || c.left > 0 {
		switch c.left--; {
		case c.stuck:
			c.d.Status.ObservedGeneration = c.d.Generation
			c.d.Status.Conditions = []apps.DeploymentCondition{{Type: apps.DeploymentProgressing, Status: "False", Reason: "ProgressDeadlineExceeded"}}
		case c.left > 0:
			c.d.Status = apps.DeploymentStatus{ObservedGeneration: c.d.Generation, Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2}
		default:
			c.rollOut()
		}
	}
	return c.d, 200
}

func (c *cluster) patchDeployment(r *http.Request) (any, int) {
	body, _ := io.ReadAll(r.Body)
	typ := r.Header.Get("Content-Type")
	c.patches = append(c.patches, typ)
	now, _ := json.Marshal(c.d)
	var err error
	switch typ {
	case "application/strategic-merge-patch+json":
		now, err = strategicpatch.StrategicMergePatch(now, body, apps.Deployment{})
	case "application/json-patch+json":
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(body); err == nil {
			now, err = p.Apply(now)
		}
	}
	if err != nil {
		return meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: meta.StatusReasonInvalid, Code: 422, Message: err.Error()}, 422
	}
	c.d = apps.Deployment{}
	_ = json.Unmarshal(now, &c.d)
	c.d.Generation++
	c.left = c.pace
	return c.d, 200
}

func (c *cluster) patchConfigMap(r *http.Request) (any, int) {
	if c.intervene != nil {
		f := c.intervene
		c.intervene = nil
		f(c)
	}
	body, _ := io.ReadAll(r.Body)
	var pre struct {
		Metadata struct{ ResourceVersion string }
	}
	_ = json.Unmarshal(body, &pre)
	if pre.Metadata.ResourceVersion != c.cm.ResourceVersion {
		return meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: meta.StatusReasonConflict, Code: 409,
			Message: "the object has been modified"}, 409
	}
	now, _ := json.Marshal(c.cm)
	now, err := jsonpatch.MergePatch(now, body)
	if err != nil {
		return nil, 500
	}
	c.cm = core.ConfigMap{}
	_ = json.Unmarshal(now, &c.cm)
	n, _ := strconv.Atoi(c.cm.ResourceVersion)
	c.cm.ResourceVersion = strconv.Itoa(n + 1)
	return c.cm, 200
}

func (c *cluster) world(t *testing.T) *action.World {
	t.Helper()
	return world(t, prunella.Inventory{Kubernetes: &prunella.Kubernetes{Server: c.URL, Token: kubeToken, Namespace: "prod"},
		Services: []prunella.Service{{Name: "user", Deployment: "user", ConfigMap: "user-config", ConfigKey: "config.yaml"}}}, nil, action.Options{})
}

var userDeployment = map[string]any{"deployment": "user"}

func TestRolloutRestart(t *testing.T) {
	c := newCluster(t, "")
	w := c.world(t)
	ctx := t.Context()
	before, err := w.Before(ctx, "kubernetes.rollout-restart", userDeployment)
	if err != nil {
		t.Fatal(err)
	}
	if h, _, err := w.Happened(ctx, "kubernetes.rollout-restart", "step-1", userDeployment, before); h != action.No || err != nil {
		t.Errorf("not yet: %s, %v", h, err)
	}
	out, err := w.Do(ctx, "kubernetes.rollout-restart", "step-1", userDeployment)
	if err != nil || !strings.HasPrefix(out, "restarted user: 2 of 2 replicas are new and available") {
		t.Fatalf("%q, %v", out, err)
	}
	a := c.d.Spec.Template.Annotations
	if _, err := time.Parse(time.RFC3339, a["kubectl.kubernetes.io/restartedAt"]); err != nil || a["prunella.dev/step"] != "step-1" || a["team"] != "a" {
		t.Errorf("template annotations %v", a)
	}
	if h, _, err := w.Happened(ctx, "kubernetes.rollout-restart", "step-1", userDeployment, before); h != action.Yes || err != nil {
		t.Errorf("done: %s, %v", h, err)
	}
	// The same step again only waits.
	if _, err := w.Do(ctx, "kubernetes.rollout-restart", "step-1", userDeployment); err != nil || len(c.patches) != 1 {
		t.Errorf("repeated: %d patches, %v", len(c.patches), err)
	}
	if _, err := w.Do(ctx, "kubernetes.rollout-restart", "step-2", userDeployment); err != nil || len(c.patches) != 2 {
		t.Errorf("another step: %d patches, %v", len(c.patches), err)
	}
	if h, _, _ := w.Happened(ctx, "kubernetes.rollout-restart", "step-1", userDeployment, before); h != action.Unclear {
		t.Errorf("overtaken by another step: %s", h)
	}
	res, err := w.Read(ctx, "kubernetes.rollout", userDeployment, action.Incident{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"known": true, "complete": true, "waiting": "", "replicas": 2.0, "ready": 2.0, "updated": 2.0,
		"restarted_at": c.d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"], "image": "user:v1", "revision": "3"}
	if d := cmp.Diff(want, res); d != "" {
		t.Error(d)
	}
}

func TestRolloutThatDoesNotEnd(t *testing.T) {
	c := newCluster(t, "")
	c.pace = 1 << 30
	w := c.world(t)
	// Time is over at the third look: one finds the Deployment, one that its rollout goes on.
	limited := func() context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked = func() {
			if looks++; looks == 3 {
				cancel()
			}
		}
		return ctx
	}
	_, err := w.Do(limited(), "kubernetes.rollout-restart", "s", userDeployment)
	if !errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "1 of 2 new replicas to be updated") {
		t.Errorf("time over: %v", err)
	}
	if h, text, err := w.Happened(limited(), "kubernetes.rollout-restart", "s", userDeployment, nil); h != action.Unclear || err != nil || !strings.Contains(text, "not rolled out yet") {
		t.Errorf("still going: %s (%s), %v", h, text, err)
	}
	c.mu.Lock()
	c.left, c.stuck = 1, true
	c.mu.Unlock()
	_, err = w.Do(t.Context(), "kubernetes.rollout-restart", "s", userDeployment)
	if !errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "progress deadline") {
		t.Errorf("stuck: %v", err)
	}
}

func TestLostPatchIsSeenInTheWorld(t *testing.T) {
	c := newCluster(t, "")
	c.drop = true
	w := c.world(t)
	_, err := w.Do(t.Context(), "kubernetes.rollout-restart", "s", userDeployment)
	if !errors.Is(err, action.ErrLost) {
		t.Fatalf("a cut connection: %v", err)
	}
	if h, _, err := w.Happened(t.Context(), "kubernetes.rollout-restart", "s", userDeployment, map[string]any{"step": ""}); h != action.Yes || err != nil {
		t.Errorf("%s, %v", h, err)
	}
}

func TestRolloutUndo(t *testing.T) {
	c := newCluster(t, "")
	w := c.world(t)
	ctx := t.Context()
	_, err := w.Do(ctx, "kubernetes.rollout-undo", "s0", userDeployment)
	if prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("nothing to return to: %v", err)
	}
	c.mu.Lock()
	c.d.Spec.Template.Spec.Containers[0].Image = "user:v2"
	c.d.Generation++
	c.rollOut()
	c.mu.Unlock()
	out, err := w.Do(ctx, "kubernetes.rollout-undo", "s1", userDeployment)
	if err != nil || !strings.Contains(out, "returned user to revision 1") {
		t.Fatalf("%q, %v", out, err)
	}
	tpl := c.d.Spec.Template
	if tpl.Spec.Containers[0].Image != "user:v1" || tpl.Labels["pod-template-hash"] != "" || tpl.Annotations["prunella.dev/step"] != "s1" {
		t.Errorf("template %+v", tpl)
	}
	if _, err := w.Do(ctx, "kubernetes.rollout-undo", "s1", userDeployment); err != nil || len(c.patches) != 1 {
		t.Errorf("the same step again: %d patches, %v; it must not go back and forth", len(c.patches), err)
	}
}

func TestKubernetesRefusals(t *testing.T) {
	c := newCluster(t, "")
	w := c.world(t)
	_, err := w.Do(t.Context(), "kubernetes.rollout-restart", "s", map[string]any{"deployment": "nobody"})
	if prunella.KindOf(err) != prunella.NotFound || errors.Is(err, action.ErrLost) {
		t.Errorf("unknown deployment: %v", err)
	}
	wrong := world(t, prunella.Inventory{Kubernetes: &prunella.Kubernetes{Server: c.URL, Token: "another-kube-token", Namespace: "prod"}}, nil, action.Options{})
	_, err = wrong.Do(t.Context(), "kubernetes.rollout-restart", "s", userDeployment)
	if prunella.KindOf(err) != prunella.Unauthorized || strings.Contains(err.Error(), "another-kube-token") {
		t.Errorf("wrong token: %v", err)
	}
	res, err := wrong.Read(t.Context(), "kubernetes.rollout", userDeployment, action.Incident{})
	if err != nil || res["known"] != false {
		t.Errorf("a read with a wrong token: %v, %v", res, err)
	}
	if _, err := action.NewWorld(prunella.Inventory{Kubernetes: &prunella.Kubernetes{Server: "http://10.0.0.1:6443", Token: kubeToken}}, nil, action.Options{}); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("a token in clear text over a network: %v", err)
	}
}
