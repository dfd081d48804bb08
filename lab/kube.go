package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// kubeObject is what every stored object is.
type kubeObject interface {
	metav1.Object
	runtime.Object
}

// kubeResource is one resource of the API.
type kubeResource struct {
	group    string
	version  string
	plural   string
	kind     string
	short    string // as kubectl's users write it
	writable bool   // takes patches
	empty    func() kubeObject
}

func (r kubeResource) apiVersion() string {
	return schema.GroupVersion{Group: r.group, Version: r.version}.String()
}

var (
	resDeployments = kubeResource{"apps", "v1", "deployments", "Deployment", "deploy", true, func() kubeObject { return new(appsv1.Deployment) }}
	resReplicaSets = kubeResource{"apps", "v1", "replicasets", "ReplicaSet", "rs", false, func() kubeObject { return new(appsv1.ReplicaSet) }}
	resConfigMaps  = kubeResource{"", "v1", "configmaps", "ConfigMap", "cm", true, func() kubeObject { return new(corev1.ConfigMap) }}

	kubeResources = []kubeResource{resConfigMaps, resDeployments, resReplicaSets}
)

const (
	hashLabel      = "pod-template-hash"
	revisionKey    = "deployment.kubernetes.io/revision"
	restartedAtKey = "kubectl.kubernetes.io/restartedAt"
	changeCauseKey = "kubernetes.io/change-cause"
)

// kube is the Kubernetes API of the world: Deployments whose rollouts really
// roll the nodes, their ReplicaSets, and ConfigMaps that are really mounted.
type kube struct {
	token string
	nodes map[string]*node
	ctx   context.Context // of rollouts
	wg    sync.WaitGroup

	mu       sync.Mutex
	objects  map[string]map[string]kubeObject // plural, name
	version  int64                            // resourceVersion of the last change
	changed  chan struct{}                    // closed at each change, then replaced
	rolling  map[string]bool                  // Deployments with a reconcile under way
	settled  map[string]int64                 // Deployment to the generation whose rollout has ended
	running  map[string]string                // Deployment to the ReplicaSet that runs
	registry map[string]image                 // container images that can be pulled
}

func newKube(ctx context.Context, token string, nodes map[string]*node, order []string) (*kube, error) {
	k := &kube{token: token, nodes: nodes, ctx: ctx, changed: make(chan struct{}), rolling: map[string]bool{}, settled: map[string]int64{}, running: map[string]string{}, registry: map[string]image{},
		objects: map[string]map[string]kubeObject{"deployments": {}, "replicasets": {}, "configmaps": {}}}
	for _, name := range order {
		img := imageName(name, initialTag)
		k.registry[img] = image{version: initialTag}
		d := newDeployment(name, img)
		k.put(resDeployments, d)
		k.completeRollout(d, k.replicaSet(d), nil)
		text, err := nodes[name].config()
		if err != nil {
			return nil, err
		}
		k.put(resConfigMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: configMapName(name)}, Data: map[string]string{configFileName: text}})
	}
	return k, nil
}

func imageName(service, tag string) string { return "registry.acme.example/" + service + ":" + tag }

func newDeployment(name, image string) *appsv1.Deployment {
	one := int32(1)
	app := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app, Generation: 1, Annotations: map[string]string{}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: app}, RevisionHistoryLimit: ptr(int32(10)), ProgressDeadlineSeconds: ptr(int32(600)),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(app)},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: image,
					VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + name}}}},
					Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: configMapName(name)}}}}}},
			},
		},
	}
}

func ptr[T any](v T) *T { return &v }

// put stores an object as changed now; k.mu is held, or nobody else knows k yet.
func (k *kube) put(res kubeResource, o kubeObject) {
	k.version++
	o.SetResourceVersion(strconv.FormatInt(k.version, 10))
	o.SetNamespace(namespace)
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Group: res.group, Version: res.version, Kind: res.kind})
	if o.GetUID() == "" {
		o.SetUID(types.UID(newID(strings.ToLower(res.kind))))
		o.SetCreationTimestamp(metav1.Now())
	}
	k.objects[res.plural][o.GetName()] = o
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *kube) deployment(name string) *appsv1.Deployment {
	d, _ := k.objects["deployments"][name].(*appsv1.Deployment)
	return d
}

// routes mounts the API.
func (k *kube) routes(mux *http.ServeMux) {
	for _, res := range kubeResources {
		base := "/apis/" + res.apiVersion()
		if res.group == "" {
			base = "/api/" + res.version
		}
		list := k.guarded(func(w http.ResponseWriter, r *http.Request) { k.list(w, r, res) })
		mux.HandleFunc("GET "+base+"/"+res.plural, list)
		base += "/namespaces/{ns}/" + res.plural
		mux.HandleFunc("GET "+base, list)
		mux.HandleFunc("GET "+base+"/{name}", k.guarded(func(w http.ResponseWriter, r *http.Request) { k.get(w, r, res) }))
		if res.writable {
			mux.HandleFunc("PATCH "+base+"/{name}", k.guarded(func(w http.ResponseWriter, r *http.Request) { k.patch(w, r, res) }))
		}
	}
	k.discoveryRoutes(mux)
}

// guarded asks for the bearer token.
func (k *kube) guarded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+k.token {
			kubeError(w, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		h(w, r)
	}
}

func kubeError(w http.ResponseWriter, err *apierrors.StatusError) {
	s := err.Status()
	s.Kind, s.APIVersion = "Status", "v1"
	reply(w, int(s.Code), s)
}

func (k *kube) get(w http.ResponseWriter, r *http.Request, res kubeResource) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o, ok := k.objects[res.plural][r.PathValue("name")]
	if !ok || r.PathValue("ns") != namespace {
		kubeError(w, apierrors.NewNotFound(schema.GroupResource{Group: res.group, Resource: res.plural}, r.PathValue("name")))
		return
	}
	reply(w, http.StatusOK, o)
}

// list answers a list or, with ?watch=true, a stream of what changes.
func (k *kube) list(w http.ResponseWriter, r *http.Request, res kubeResource) {
	q := r.URL.Query()
	byLabel, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		kubeError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	byField, err := fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil {
		kubeError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	match := func(o kubeObject) bool {
		return cmp.Or(r.PathValue("ns"), namespace) == namespace && byLabel.Matches(labels.Set(o.GetLabels())) &&
			byField.Matches(fields.Set{"metadata.name": o.GetName(), "metadata.namespace": namespace})
	}
	if q.Get("watch") == "true" || q.Get("watch") == "1" {
		k.watch(w, r, res, match)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	items := []kubeObject{}
	for _, name := range slices.Sorted(maps.Keys(k.objects[res.plural])) {
		if o := k.objects[res.plural][name]; match(o) {
			items = append(items, o)
		}
	}
	reply(w, http.StatusOK, map[string]any{"kind": res.kind + "List", "apiVersion": res.apiVersion(),
		"metadata": map[string]string{"resourceVersion": strconv.FormatInt(k.version, 10)}, "items": items})
}

// watch streams a MODIFIED event (ADDED for what the caller has not seen yet)
// for every change after ?resourceVersion until the caller goes or
// ?timeoutSeconds have passed.
func (k *kube) watch(w http.ResponseWriter, r *http.Request, res kubeResource, match func(kubeObject) bool) {
	q := r.URL.Query()
	seen, _ := strconv.ParseInt(q.Get("resourceVersion"), 10, 64) // absent: from the beginning
	first := seen == 0
	seconds, err := strconv.Atoi(q.Get("timeoutSeconds"))
	if err != nil {
		seconds = 300
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	for {
		events, version, changed := k.since(res, seen, match)
		for _, e := range events {
			typ := "MODIFIED"
			if first {
				typ = "ADDED"
			}
			if json.NewEncoder(w).Encode(map[string]any{"type": typ, "object": e}) != nil {
				return // the watcher has gone
			}
		}
		seen, first = version, false
		if flush.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-k.ctx.Done():
			return
		}
	}
}

// since returns the objects changed after a resourceVersion, as JSON, and a
// channel that is closed at the next change.
func (k *kube) since(res kubeResource, seen int64, match func(kubeObject) bool) ([]json.RawMessage, int64, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []json.RawMessage
	for _, name := range slices.Sorted(maps.Keys(k.objects[res.plural])) {
		o := k.objects[res.plural][name]
		if v, _ := strconv.ParseInt(o.GetResourceVersion(), 10, 64); v > seen && match(o) {
			if b, err := json.Marshal(o); err == nil {
				out = append(out, b)
			}
		}
	}
	return out, k.version, k.changed
}

// templateHash names a pod template.
func templateHash(t corev1.PodTemplateSpec) string {
	t = *t.DeepCopy()
	delete(t.Labels, hashLabel)
	b, _ := json.Marshal(t) // a struct of plain fields
	h := fnv.New32a()
	_, _ = h.Write(b)
	return fmt.Sprintf("%08x", h.Sum32())
}

// podName makes up the name of a new pod of the deployment's present template.
func (k *kube) podName(deployment string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	tail := make([]byte, 5)
	for i := range tail {
		tail[i] = letters[rand.IntN(len(letters))]
	}
	return deployment + "-" + templateHash(k.deployment(deployment).Spec.Template) + "-" + string(tail)
}
