package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"prunella/lab"
)

func kubeClient(t *testing.T, w *lab.World) (*kubernetes.Clientset, string) {
	t.Helper()
	k := w.Inventory().Kubernetes
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := &rest.Config{Host: k.Server, BearerToken: k.Token, Transport: transport, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON}}
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, k.Namespace
}

// rolledOut is what `kubectl rollout status` waits for.
func rolledOut(d *appsv1.Deployment) (bool, error) {
	if d.Generation > d.Status.ObservedGeneration {
		return false, nil
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return false, fmt.Errorf("deployment %q exceeded its progress deadline: %s", d.Name, c.Message)
		}
	}
	s := d.Status
	return s.UpdatedReplicas >= *d.Spec.Replicas && s.Replicas <= s.UpdatedReplicas && s.AvailableReplicas >= s.UpdatedReplicas, nil
}

// waitRollout follows a rollout by watching.
func waitRollout(t *testing.T, c *kubernetes.Clientset, ns, name string) (*appsv1.Deployment, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	events, err := c.AppsV1().Deployments(ns).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		d, ok := e.Object.(*appsv1.Deployment)
		if !ok {
			t.Fatalf("watched %T", e.Object)
		}
		done, err := rolledOut(d)
		if done || err != nil {
			return d, err
		}
	}
	t.Fatal("rollout did not end")
	return nil, nil
}

func restartPatch() []byte {
	return fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
}

func TestRolloutRestartLosesTheCache(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Profile: "cached", Seed: 1, Rate: 60})
	c, ns := kubeClient(t, w)
	rec, err := w.Inject(t.Context(), "stale-cache-double-rotation", nil)
	if err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	stale := refusers(t, w, token(t, w))
	if len(stale) < 3 {
		t.Fatalf("only %v are stale", stale)
	}
	began := time.Now()
	for _, name := range stale {
		if _, err := c.AppsV1().Deployments(ns).Patch(t.Context(), name, types.StrategicMergePatchType, restartPatch(), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := waitRollout(t, c, ns, name); err != nil {
			t.Fatal(err)
		}
	}
	if got := refusers(t, w, token(t, w)); len(got) > 0 {
		t.Errorf("after the restart still refused by %v", got)
	}
	for _, f := range w.Counts(began).Failures {
		if f.Status != http.StatusUnauthorized && f.Status != http.StatusBadGateway {
			t.Errorf("a rolling restart lost a call: %+v", f)
		}
	}
	noneFails(t, w, 50)
}

func TestConfigMapPatchTakesEffectAtRestart(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Profile: "cached", ServiceCount: 1, Rate: -1})
	c, ns := kubeClient(t, w)
	s := w.Inventory().Services[0]
	cm, err := c.CoreV1().ConfigMaps(ns).Get(t.Context(), s.ConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(cm.Data[s.ConfigKey], "cache_ttl_seconds: 86400") {
		t.Fatalf("configuration is %q", cm.Data)
	}
	patch := func(text string) {
		t.Helper()
		b, _ := json.Marshal(map[string]any{"data": map[string]string{s.ConfigKey: text}})
		if _, err := c.CoreV1().ConfigMaps(ns).Patch(t.Context(), s.ConfigMap, types.MergePatchType, b, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() error {
		t.Helper()
		if _, err := c.AppsV1().Deployments(ns).Patch(t.Context(), s.Deployment, types.MergePatchType, restartPatch(), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := waitRollout(t, c, ns, s.Deployment)
		return err
	}
	patch(strings.Replace(cm.Data[s.ConfigKey], "86400", "1", 1))
	if err := restart(); err != nil {
		t.Fatal(err)
	}
	refusers(t, w, token(t, w)) // fills the cache
	a := admin{t, w.Inventory().Issuers[0].Admin}
	for range 2 {
		a.do(http.MethodPost, "/api/v2/keys/signing/rotate", "", nil, http.StatusCreated)
	}
	fresh := token(t, w)
	eventually(t, 5*time.Second, "the set to be fetched again after its new TTL of 1 s", func() bool { return len(refusers(t, w, fresh)) == 0 })

	patch("auth: [not, a, mapping")
	if err := restart(); err == nil || !strings.Contains(err.Error(), "read configuration") {
		t.Errorf("a rollout with a broken configuration ended with %v", err)
	}
	if got := refusers(t, w, fresh); len(got) > 0 {
		t.Errorf("the old instance should go on, but %v refuse", got)
	}
	patch(cm.Data[s.ConfigKey])
	if err := restart(); err != nil {
		t.Error(err)
	}
}

// undo does what `kubectl rollout undo` does: the template of the ReplicaSet
// with the revision before, as a JSON patch.
func undo(t *testing.T, c *kubernetes.Clientset, ns, name string) {
	t.Helper()
	d, err := c.AppsV1().Deployments(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sets, err := c.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
	if err != nil {
		t.Fatal(err)
	}
	const revision = "deployment.kubernetes.io/revision"
	var last *appsv1.ReplicaSet
	for i, rs := range sets.Items {
		if metav1.IsControlledBy(&sets.Items[i], d) && rs.Annotations[revision] != d.Annotations[revision] && (last == nil || rs.Annotations[revision] > last.Annotations[revision]) {
			last = &sets.Items[i]
		}
	}
	if last == nil {
		t.Fatalf("no earlier revision among %d replica sets", len(sets.Items))
	}
	delete(last.Spec.Template.Labels, "pod-template-hash")
	b, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template", "value": last.Spec.Template}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AppsV1().Deployments(ns).Patch(t.Context(), name, types.JSONPatchType, b, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestRolloutUndoMendsABadDeploy(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 3, Rate: -1})
	c, ns := kubeClient(t, w)
	rec, err := w.Inject(t.Context(), "bad-deploy", map[string]string{"service": "payment"})
	if err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	var list []map[string]any
	for _, r := range w.Inventory().Releases {
		if r.Service == "payment" {
			if err := json.NewDecoder(get(t, r.URL+"/releases", "").Body).Decode(&list); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(list) != 2 || list[0]["tag_name"] != "v1.9.0" || list[0]["author"].(map[string]any)["login"] == "" {
		t.Errorf("releases are %v", list)
	}
	undo(t, c, ns, "payment")
	d, err := waitRollout(t, c, ns, "payment")
	if err != nil {
		t.Fatal(err)
	}
	if img := d.Spec.Template.Spec.Containers[0].Image; !strings.HasSuffix(img, ":v1.8.2") {
		t.Errorf("runs %s after the undo", img)
	}
	for range 10 {
		if got := refusers(t, w, token(t, w)); len(got) > 0 {
			t.Fatalf("refused by %v after the undo", got)
		}
	}
}

func TestKubernetesRefuses(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 1, Rate: -1})
	c, ns := kubeClient(t, w)
	if _, err := c.AppsV1().Deployments(ns).Get(t.Context(), "nobody", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("unknown deployment: %v", err)
	}
	if _, err := c.AppsV1().Deployments("elsewhere").Get(t.Context(), "user", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("unknown namespace: %v", err)
	}
	stale := []byte(`{"metadata":{"resourceVersion":"1"},"data":{"config.yaml":""}}`)
	if _, err := c.CoreV1().ConfigMaps(ns).Patch(t.Context(), "user-config", types.MergePatchType, stale, metav1.PatchOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("patch of an older version: %v", err)
	}
	if _, err := c.AppsV1().Deployments(ns).Patch(t.Context(), "user", types.JSONPatchType, []byte(`[{"op":"remove","path":"/nowhere"}]`), metav1.PatchOptions{}); !apierrors.IsBadRequest(err) {
		t.Errorf("broken patch: %v", err)
	}
	if _, err := c.AppsV1().Deployments(ns).Patch(t.Context(), "user", types.MergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"user","image":"registry.acme.example/user:v0"}]}}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := waitRollout(t, c, ns, "user"); err == nil || !strings.Contains(err.Error(), "cannot be pulled") {
		t.Errorf("rollout of an unknown image: %v", err)
	}
	if got := refusers(t, w, token(t, w)); len(got) > 0 {
		t.Errorf("the old instance should go on, but %v refuse", got)
	}
	if res := get(t, w.Inventory().Kubernetes.Server+"/apis/apps/v1/namespaces/"+ns+"/deployments", "guess"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong token: %s", res.Status)
	}
}

// TestKubernetesIsFoundByDiscovery reaches the API as kubectl does: by a
// kubeconfig, over TLS, knowing no resource beforehand.
func TestKubernetesIsFoundByDiscovery(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 2, Rate: -1})
	b, err := w.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	objects, err := dynamic.NewForConfigAndClient(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, legacy := range []bool{false, true} {
		d, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, client)
		if err != nil {
			t.Fatal(err)
		}
		d.UseLegacyDiscovery = legacy
		groups, err := restmapper.GetAPIGroupResources(d)
		if err != nil {
			t.Fatalf("legacy %v: %v", legacy, err)
		}
		resources := restmapper.NewShortcutExpander(restmapper.NewDiscoveryRESTMapper(groups), d, nil)
		for short, want := range map[string]schema.GroupVersionKind{
			"deploy": appsv1.SchemeGroupVersion.WithKind("Deployment"), "rs": appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
			"configmap": corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		} {
			found, err := resources.ResourceFor(schema.GroupVersionResource{Resource: short})
			if err != nil {
				t.Fatalf("legacy %v: %s: %v", legacy, short, err)
			}
			kind, err := resources.KindFor(found)
			if err != nil || kind != want {
				t.Errorf("legacy %v: %s is %v (%v), want %v", legacy, short, kind, err, want)
			}
			list, err := objects.Resource(found).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(list.Items) != 2 || list.Items[0].GroupVersionKind() != want {
				t.Errorf("%s: %v, %+v", short, err, list)
			}
		}
	}
	if res := get(t, w.Inventory().Kubernetes.Server+"/apis", "guess"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong token: %s", res.Status)
	}
}
