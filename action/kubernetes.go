package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	apps "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"prunella"
)

const (
	restartedAt  = "kubectl.kubernetes.io/restartedAt" // what kubectl rollout restart writes
	stepMark     = "prunella.dev/step"                 // key of the step that changed the template
	revisionMark = "deployment.kubernetes.io/revision"
	rolloutPoll  = 250 * time.Millisecond
)

func kubernetesOperations() []operation {
	deployment := need("deployment", "text", "name of the Deployment")
	return []operation{
		{
			spec: read("kubernetes.rollout", "Where a Deployment's rollout stands.", []prunella.ParamSpec{deployment},
				"known: the API server answered and has the Deployment", "complete: the newest template runs everywhere, by the rule of kubectl rollout status",
				"replicas: wanted", "ready: ready now", "updated: running the newest template", "restarted_at: time of the last rollout restart, or empty",
				"image: of the first container", "revision: number of the newest template", "waiting: what the rollout waits for, or empty"),
			read: (*World).readRollout,
		},
		{
			spec:     does("kubernetes.rollout-restart", prunella.Reversible, "Restart a Deployment's pods as kubectl rollout restart does, and wait until they are rolled out.", deployment),
			do:       (*World).restart,
			before:   (*World).deploymentBefore,
			happened: (*World).rolled,
		},
		{
			spec:     does("kubernetes.rollout-undo", prunella.Reversible, "Return a Deployment to the template before its newest, and wait until it is rolled out.", deployment),
			do:       (*World).undoRollout,
			before:   (*World).deploymentBefore,
			happened: (*World).rolled,
		},
	}
}

// kubeClient is the part of client-go that is used.
type kubeClient struct {
	server, namespace string
	apps              appsv1.AppsV1Interface
	core              corev1.CoreV1Interface
}

func newKubeClient(k prunella.Kubernetes, t *http.Transport, timeout time.Duration) (*kubeClient, error) {
	cfg := &rest.Config{
		Host: k.Server, BearerToken: k.Token, UserAgent: "prunella", Timeout: timeout,
		QPS:            -1, // the server has its own fairness; a queue of ours would eat the step's time
		Transport:      t,  // shared, so that Close ends its connections
		WarningHandler: rest.NoWarnings{},
	}
	failed := func(err error) (*kubeClient, error) {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "connect to Kubernetes", Where: "kubernetes.server", Err: err}
	}
	a, err := appsv1.NewForConfig(cfg)
	if err != nil {
		return failed(err)
	}
	c, err := corev1.NewForConfig(cfg)
	if err != nil {
		return failed(err)
	}
	ns := k.Namespace
	if ns == "" {
		ns = "default"
	}
	return &kubeClient{k.Server, ns, a, c}, nil
}

// cluster returns the declared API server.
func (w *World) cluster() (*kubeClient, error) {
	if w.kube == nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Where: "kubernetes", Reason: "no Kubernetes API server is declared", Remedy: "declare server, token and namespace in the inventory"}
	}
	return w.kube, nil
}

// kubeError turns a client-go error into ours. wrote says that a mutation's
// request had left.
func kubeError(what string, err error, wrote bool) error {
	e := &prunella.Error{Kind: prunella.Unavailable, Where: what, Err: bare(err)}
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		wrote = wrote && status.ErrStatus.Code >= 500
	}
	switch {
	case apierrors.IsNotFound(err):
		e.Kind = prunella.NotFound
	case apierrors.IsConflict(err):
		e.Kind = prunella.Conflict
	case apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err):
		e.Kind, e.Remedy = prunella.Unauthorized, "check the token in the inventory and its role"
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsUnsupportedMediaType(err):
		e.Kind = prunella.Invalid
	}
	if wrote {
		e.Err = fmt.Errorf("%w: %w", ErrLost, e.Err)
	}
	return e
}

// written watches whether the request of a mutation left us.
func written(ctx context.Context) (context.Context, *atomic.Bool) {
	var wrote atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}), &wrote
}

func (k *kubeClient) deployment(ctx context.Context, name string) (*apps.Deployment, error) {
	d, err := k.apps.Deployments(k.namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return nil, kubeError("deployment "+name, err, false)
	}
	return d, nil
}

// waiting says what a rollout waits for, "" when it is complete, by the rule of
// kubectl rollout status. stuck is true when Kubernetes has given up.
func waiting(d *apps.Deployment) (what string, stuck bool) {
	if d.Generation > d.Status.ObservedGeneration {
		return "the change to be observed", false
	}
	for _, c := range d.Status.Conditions {
		if c.Type == apps.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return "a rollout that exceeded its progress deadline", true
		}
	}
	s, want := d.Status, wanted(d)
	switch {
	case s.UpdatedReplicas < want:
		return fmt.Sprintf("%d of %d new replicas to be updated", s.UpdatedReplicas, want), false
	case s.Replicas > s.UpdatedReplicas:
		return fmt.Sprintf("%d old replicas to end", s.Replicas-s.UpdatedReplicas), false
	case s.AvailableReplicas < s.UpdatedReplicas:
		return fmt.Sprintf("%d of %d updated replicas to be available", s.AvailableReplicas, s.UpdatedReplicas), false
	}
	return "", false
}

func wanted(d *apps.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// deploymentOf reads the Deployment that a step names, with the cluster it is in.
func (w *World) deploymentOf(ctx context.Context, p params) (*kubeClient, *apps.Deployment, error) {
	k, err := w.cluster()
	if err != nil {
		return nil, nil, err
	}
	d, err := k.deployment(ctx, p.text("deployment"))
	return k, d, err
}

func (w *World) readRollout(ctx context.Context, p params, _ Incident) (map[string]any, error) {
	_, d, err := w.deploymentOf(ctx, p)
	if err != nil {
		return map[string]any{"known": false, "reason": err.Error()}, nil
	}
	what, _ := waiting(d)
	res := describe(d)
	res["known"], res["complete"], res["waiting"] = true, what == "", what
	res["replicas"], res["ready"], res["updated"] = int(wanted(d)), int(d.Status.ReadyReplicas), int(d.Status.UpdatedReplicas)
	return res, nil
}

func describe(d *apps.Deployment) map[string]any {
	image := ""
	if cs := d.Spec.Template.Spec.Containers; len(cs) > 0 {
		image = cs[0].Image
	}
	return map[string]any{"restarted_at": d.Spec.Template.Annotations[restartedAt], "image": image, "revision": d.Annotations[revisionMark]}
}

func (w *World) deploymentBefore(ctx context.Context, p params) (map[string]any, error) {
	_, d, err := w.deploymentOf(ctx, p)
	if err != nil {
		return nil, err
	}
	res := describe(d)
	res["step"] = d.Spec.Template.Annotations[stepMark]
	return res, nil
}

func (w *World) restart(ctx context.Context, key string, p params) (string, error) {
	k, d, err := w.deploymentOf(ctx, p)
	if err != nil {
		return "", err
	}
	name := d.Name
	if d.Spec.Template.Annotations[stepMark] != key {
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
			"annotations": map[string]string{restartedAt: w.opt.Now().UTC().Format(time.RFC3339), stepMark: key}}}}})
		if err != nil {
			return "", err
		}
		if err := k.patch(ctx, name, types.StrategicMergePatchType, patch); err != nil {
			return "", err
		}
	}
	return w.await(ctx, k, name, "restarted "+name)
}

func (k *kubeClient) patch(ctx context.Context, name string, typ types.PatchType, patch []byte) error {
	traced, wrote := written(ctx)
	_, err := k.apps.Deployments(k.namespace).Patch(traced, name, typ, patch, meta.PatchOptions{FieldManager: "prunella"})
	if err != nil {
		return kubeError("deployment "+name, err, wrote.Load())
	}
	return nil
}

// await waits until the rollout is complete. When ctx ends first, or the rollout
// is stuck, the change was accepted and its outcome is open, which is ErrLost.
func (w *World) await(ctx context.Context, k *kubeClient, name, done string) (string, error) {
	tick := time.NewTicker(rolloutPoll)
	defer tick.Stop()
	start, last := w.opt.Now(), "the API server to answer"
	for {
		d, err := k.deployment(ctx, name)
		switch {
		case err == nil:
			what, stuck := waiting(d)
			if stuck {
				return "", &prunella.Error{Kind: prunella.Unavailable, Where: "deployment " + name, Err: ErrLost,
					Reason: "the change was accepted, and the new pods did not come up within the Deployment's progress deadline"}
			}
			if what == "" {
				return fmt.Sprintf("%s: %d of %d replicas are new and available after %s", done, d.Status.AvailableReplicas, wanted(d),
					w.opt.Now().Sub(start).Round(10*time.Millisecond)), nil
			}
			last = what
		case prunella.KindOf(err) != prunella.Unavailable:
			return "", err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", &prunella.Error{Kind: prunella.Unavailable, Where: "deployment " + name, Err: ErrLost,
				Reason: "the change was accepted, but the time was over while waiting for " + last}
		}
	}
}

func (w *World) rolled(ctx context.Context, key string, p params, before map[string]any) (Happened, string, error) {
	k, d, err := w.deploymentOf(ctx, p)
	if err != nil {
		return Unclear, "", err
	}
	name := d.Name
	switch mark := d.Spec.Template.Annotations[stepMark]; {
	case mark == key:
		text, err := w.await(ctx, k, name, "this step changed "+name)
		if errors.Is(err, ErrLost) {
			return Unclear, "this step changed " + name + ", and it is not rolled out yet", nil
		}
		if err != nil {
			return Unclear, "this step changed " + name, err
		}
		return Yes, text, nil
	case mark == textOf(before["step"]):
		return No, "the template of " + name + " does not carry this step's mark", nil
	}
	return Unclear, "another step has changed " + name + " since", nil
}

// undoRollout goes back to the ReplicaSet with the highest revision below the newest.
func (w *World) undoRollout(ctx context.Context, key string, p params) (string, error) {
	k, d, err := w.deploymentOf(ctx, p)
	if err != nil {
		return "", err
	}
	name := d.Name
	if d.Spec.Template.Annotations[stepMark] == key {
		return w.await(ctx, k, name, "returned "+name+" to its previous template")
	}
	selector := meta.FormatLabelSelector(d.Spec.Selector)
	list, err := k.apps.ReplicaSets(k.namespace).List(ctx, meta.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", kubeError("replicasets of "+name, err, false)
	}
	newest := revision(d.Annotations)
	var previous *apps.ReplicaSet
	for n := range list.Items {
		rs := &list.Items[n]
		if r := revision(rs.Annotations); !meta.IsControlledBy(rs, d) || r == 0 || newest != 0 && r >= newest {
			continue
		}
		if previous == nil || revision(rs.Annotations) > revision(previous.Annotations) {
			previous = rs
		}
	}
	if previous == nil {
		return "", prunella.Errorf(prunella.Conflict, "%s has no revision before revision %d to return to", name, newest)
	}
	template := previous.Spec.Template.DeepCopy()
	delete(template.Labels, apps.DefaultDeploymentUniqueLabelKey)
	if template.Annotations == nil {
		template.Annotations = map[string]string{}
	}
	template.Annotations[stepMark] = key
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template", "value": template}})
	if err != nil {
		return "", err
	}
	if err := k.patch(ctx, name, types.JSONPatchType, patch); err != nil {
		return "", err
	}
	return w.await(ctx, k, name, fmt.Sprintf("returned %s to revision %d", name, revision(previous.Annotations)))
}

func revision(annotations map[string]string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(annotations[revisionMark]), 10, 64)
	return n
}
