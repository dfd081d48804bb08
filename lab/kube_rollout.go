package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// patch changes a Deployment or ConfigMap by a strategic merge, merge or JSON
// patch, and sets going what follows from it.
func (k *kube) patch(w http.ResponseWriter, r *http.Request, res kubeResource) {
	name := r.PathValue("name")
	gr := schema.GroupResource{Group: res.group, Resource: res.plural}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		kubeError(w, apierrors.NewRequestEntityTooLargeError(err.Error()))
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old, ok := k.objects[res.plural][name]
	if !ok || r.PathValue("ns") != namespace {
		kubeError(w, apierrors.NewNotFound(gr, name))
		return
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	next, err := patched(old, res.empty(), types.PatchType(contentType), body)
	if err != nil {
		kubeError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	if next.GetResourceVersion() != old.GetResourceVersion() {
		kubeError(w, apierrors.NewConflict(gr, name, errors.New("the object has been modified; apply your changes to the latest version")))
		return
	}
	next.SetName(name)
	next.SetUID(old.GetUID())
	next.SetCreationTimestamp(old.GetCreationTimestamp())
	next.SetGeneration(old.GetGeneration())
	switch next := next.(type) {
	case *corev1.ConfigMap:
		if err := k.mount(next); err != nil {
			kubeError(w, apierrors.NewInternalError(err))
			return
		}
		k.put(resConfigMaps, next)
	case *appsv1.Deployment:
		k.change(old.(*appsv1.Deployment), next)
	}
	reply(w, http.StatusOK, next)
}

// patched applies a patch to the JSON of old and reads it into into.
func patched(old, into kubeObject, kind types.PatchType, body []byte) (kubeObject, error) {
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	var after []byte
	switch kind {
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, body, into)
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, body)
	case types.JSONPatchType:
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(body); err == nil {
			after, err = p.Apply(before)
		}
	default:
		return nil, fmt.Errorf("content type %q is not a patch; send %s, %s or %s", kind, types.StrategicMergePatchType, types.MergePatchType, types.JSONPatchType)
	}
	if err != nil {
		return nil, err
	}
	return into, json.Unmarshal(after, into)
}

// mount writes a service's configuration where its next instance reads it.
func (k *kube) mount(cm *corev1.ConfigMap) error {
	for _, n := range k.nodes {
		if configMapName(n.spec.Name) == cm.Name {
			return n.mount(cm.Data[configFileName])
		}
	}
	return nil
}

// change stores a Deployment's new spec and starts a rollout when its template
// is another one. The status is the controller's, not the caller's; k.mu is held.
func (k *kube) change(old, next *appsv1.Deployment) {
	old.Status.DeepCopyInto(&next.Status)
	if !reflect.DeepEqual(old.Spec, next.Spec) {
		next.Generation = old.Generation + 1
	}
	k.put(resDeployments, next)
	if next.Generation != old.Generation && !k.rolling[next.Name] {
		k.rolling[next.Name] = true
		k.wg.Go(func() { k.reconcile(next.Name) })
	}
}

// reconcile rolls a Deployment until what runs is what its spec says.
func (k *kube) reconcile(name string) {
	for {
		k.mu.Lock()
		d := k.deployment(name).DeepCopy()
		if k.settled[name] == d.Generation || k.ctx.Err() != nil {
			k.rolling[name] = false
			k.mu.Unlock()
			return
		}
		rs := k.replicaSet(d)
		wanted := d.Spec.Template.Spec.Containers[0].Image
		img, pullable := k.registry[wanted]
		changed := k.running[name] != rs.Name
		if changed {
			k.beginRollout(d)
		}
		k.mu.Unlock()

		var err error
		switch {
		case !changed:
		case !pullable:
			err = fmt.Errorf("image %q cannot be pulled", wanted)
		default:
			ctx, cancel := context.WithTimeout(k.ctx, time.Minute)
			err = k.nodes[name].roll(ctx, img, k.podName(name))
			cancel()
		}
		k.mu.Lock()
		k.completeRollout(d, rs, err)
		k.mu.Unlock()
	}
}

// replicaSet returns the ReplicaSet of the Deployment's template, making it when
// the template is new; k.mu is held.
func (k *kube) replicaSet(d *appsv1.Deployment) *appsv1.ReplicaSet {
	hash := templateHash(d.Spec.Template)
	name := d.Name + "-" + hash
	if rs, ok := k.objects["replicasets"][name].(*appsv1.ReplicaSet); ok {
		return rs.DeepCopy()
	}
	template := *d.Spec.Template.DeepCopy()
	template.Labels[hashLabel] = hash
	labels := maps.Clone(template.Labels)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}},
		Spec: appsv1.ReplicaSetSpec{Replicas: ptr(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}
}

// beginRollout shows a new pod beside the old one; k.mu is held.
func (k *kube) beginRollout(d *appsv1.Deployment) {
	d = d.DeepCopy()
	d.Status.ObservedGeneration = d.Generation
	d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.UnavailableReplicas = 2, 1, 1
	setProgress(d, corev1.ConditionTrue, "ReplicaSetUpdated", "ReplicaSet is progressing.")
	k.put(resDeployments, d)
}

// completeRollout records how the rollout of d's generation ended; k.mu is held.
func (k *kube) completeRollout(d *appsv1.Deployment, rs *appsv1.ReplicaSet, err error) {
	now := k.deployment(d.Name).DeepCopy()
	now.Status.ObservedGeneration = d.Generation
	k.settled[d.Name] = d.Generation
	if err != nil {
		now.Status.Replicas, now.Status.UpdatedReplicas, now.Status.ReadyReplicas, now.Status.AvailableReplicas, now.Status.UnavailableReplicas = 2, 1, 1, 1, 1
		setProgress(now, corev1.ConditionFalse, "ProgressDeadlineExceeded", "ReplicaSet "+rs.Name+" does not start: "+err.Error())
		k.put(resDeployments, now)
		return
	}
	k.running[d.Name] = rs.Name
	revision := 0
	for name, o := range k.objects["replicasets"] {
		other := o.(*appsv1.ReplicaSet)
		if !metav1.IsControlledBy(other, now) {
			continue
		}
		n, _ := strconv.Atoi(other.Annotations[revisionKey])
		revision = max(revision, n)
		if name != rs.Name && *other.Spec.Replicas != 0 {
			other = other.DeepCopy()
			other.Spec.Replicas, other.Status = ptr(int32(0)), appsv1.ReplicaSetStatus{}
			k.put(resReplicaSets, other)
		}
	}
	if current := rs.Annotations[revisionKey]; current == "" || current != strconv.Itoa(revision) {
		rs.Annotations[revisionKey] = strconv.Itoa(revision + 1)
	}
	if cause, ok := now.Annotations[changeCauseKey]; ok {
		rs.Annotations[changeCauseKey] = cause
	}
	rs.Spec.Replicas = ptr(int32(1))
	rs.Status = appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, FullyLabeledReplicas: 1}
	k.put(resReplicaSets, rs)

	now.Annotations = maps.Clone(now.Annotations)
	if now.Annotations == nil {
		now.Annotations = map[string]string{}
	}
	now.Annotations[revisionKey] = rs.Annotations[revisionKey]
	now.Status.Replicas, now.Status.UpdatedReplicas, now.Status.ReadyReplicas, now.Status.AvailableReplicas, now.Status.UnavailableReplicas = 1, 1, 1, 1, 0
	setProgress(now, corev1.ConditionTrue, "NewReplicaSetAvailable", fmt.Sprintf("ReplicaSet %q has successfully progressed.", rs.Name))
	k.put(resDeployments, now)
}

func setProgress(d *appsv1.Deployment, status corev1.ConditionStatus, reason, message string) {
	at := metav1.Now()
	d.Status.Conditions = []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", Message: "Deployment has minimum availability.", LastUpdateTime: at},
		{Type: appsv1.DeploymentProgressing, Status: status, Reason: reason, Message: message, LastUpdateTime: at},
	}
}

// edit changes a Deployment as an operator's patch would and waits until the
// rollout has ended.
func (k *kube) edit(ctx context.Context, name string, f func(*appsv1.Deployment)) error {
	k.mu.Lock()
	old := k.deployment(name)
	next := old.DeepCopy()
	f(next)
	k.change(old, next)
	for {
		d := k.deployment(name)
		settled, changed := k.settled[name] == d.Generation, k.changed
		k.mu.Unlock()
		if settled {
			for _, c := range d.Status.Conditions {
				if c.Type == appsv1.DeploymentProgressing && c.Status != corev1.ConditionTrue {
					return fmt.Errorf("rollout of %s: %s", name, c.Message)
				}
			}
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("rollout of %s: %w", name, ctx.Err())
		}
		k.mu.Lock()
	}
}

// restart restarts a Deployment the way kubectl does.
func (k *kube) restart(ctx context.Context, name string) error {
	return k.edit(ctx, name, func(d *appsv1.Deployment) {
		if d.Spec.Template.Annotations == nil {
			d.Spec.Template.Annotations = map[string]string{}
		}
		d.Spec.Template.Annotations[restartedAtKey] = time.Now().UTC().Format(time.RFC3339Nano)
	})
}

// push makes a container image available.
func (k *kube) push(name string, img image) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.registry[name] = img
}

// editConfig replaces text in the configuration file of a ConfigMap.
func (k *kube) editConfig(name, from, to string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	cm := k.objects["configmaps"][name].(*corev1.ConfigMap).DeepCopy()
	cm.Data[configFileName] = strings.ReplaceAll(cm.Data[configFileName], from, to)
	if err := k.mount(cm); err != nil {
		return err
	}
	k.put(resConfigMaps, cm)
	return nil
}
