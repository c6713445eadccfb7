package operator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// player plays Kubernetes' controllers, a kubelet, and the gateways, as the users they are.
type player struct {
	*Operator
	replicaSets, statefulSets client.Client
	queue                     workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// Play has pods be there for each Claw as its Deployment and StatefulSet want them, all well and their cage
// proved; has gateways enforce each grant; and counts quotas, of which nothing is used. It ends with the context.
func (o *Operator) Play(ctx context.Context) error {
	p := &player{Operator: o, queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](10*time.Millisecond, time.Second))}
	var err error
	if p.replicaSets, err = client.New(o.As("system:serviceaccount:kube-system:replicaset-controller"), client.Options{Scheme: o.Scheme}); err != nil {
		return err
	}
	if p.statefulSets, err = client.New(o.As("system:serviceaccount:kube-system:statefulset-controller"), client.Options{Scheme: o.Scheme}); err != nil {
		return err
	}
	for _, watched := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}, &corev1.Pod{}, &v1alpha1.ClawGrant{}, &corev1.ResourceQuota{}} {
		informer, err := o.Seen.GetInformer(ctx, watched)
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: p.enqueue, UpdateFunc: func(_, obj any) { p.enqueue(obj) }, DeleteFunc: p.enqueue,
		}); err != nil {
			return err
		}
	}
	for range 2 {
		go p.work(ctx)
	}
	go func() {
		<-ctx.Done()
		p.queue.ShutDown()
	}()
	return nil
}

func (p *player) enqueue(obj any) {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	switch o := obj.(type) {
	case *corev1.ResourceQuota:
		p.queue.Add(types.NamespacedName{Namespace: o.Namespace})
	case *v1alpha1.ClawGrant:
		p.queue.Add(types.NamespacedName{Namespace: o.Namespace, Name: o.Name})
	case client.Object:
		if claw := o.GetLabels()[v1alpha1.LabelClaw]; claw != "" {
			p.queue.Add(types.NamespacedName{Namespace: o.GetNamespace(), Name: claw})
		}
	}
}

// maxTries are made before something is worth a word: conflicts with somebody else's write end sooner.
const maxTries = 12

func (p *player) work(ctx context.Context) {
	for {
		key, over := p.queue.Get()
		if over {
			return
		}
		var err error
		if key.Name == "" {
			err = p.quotas(ctx, key.Namespace)
		} else {
			err = p.claw(ctx, key)
		}
		if err == nil || ctx.Err() != nil {
			p.queue.Forget(key)
		} else {
			if p.queue.NumRequeues(key) == maxTries {
				p.Log.add(fmt.Sprintf("playing for %s does not come to an end: %v", key, err))
			}
			p.queue.AddRateLimited(key)
		}
		p.queue.Done(key)
	}
}

// quotas says that nothing of any quota is used.
func (p *player) quotas(ctx context.Context, namespace string) error {
	var list corev1.ResourceQuotaList
	if err := p.Seen.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		q := &list.Items[i]
		used := corev1.ResourceList{}
		for name := range q.Spec.Hard {
			used[name] = resource.MustParse("0")
		}
		// The API server counts up what is made; nobody here counts down what is gone.
		if equality.Semantic.DeepEqual(q.Status.Hard, q.Spec.Hard) && equality.Semantic.DeepEqual(q.Status.Used, used) {
			continue
		}
		q = q.DeepCopy()
		q.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: used}
		if err := p.API.Status().Update(ctx, q); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// claw makes the pods of one Claw what they should be, and its gateway speak.
func (p *player) claw(ctx context.Context, key types.NamespacedName) error {
	var deployment appsv1.Deployment
	var set appsv1.StatefulSet
	if err := p.read(ctx, types.NamespacedName{Namespace: key.Namespace, Name: cage.GatewayName(key.Name)}, &deployment); err != nil {
		return err
	}
	if err := p.read(ctx, types.NamespacedName{Namespace: key.Namespace, Name: cage.AgentName(key.Name)}, &set); err != nil {
		return err
	}
	gateway := wanted{by: p.replicaSets, claw: key.Name, component: v1alpha1.ComponentGateway, kind: "ReplicaSet", owner: deployment.UID,
		name: deployment.Name + "-" + rand.String(5), template: deployment.Spec.Template, status: gatewayStatus,
		want: deployment.UID != "" && deployment.DeletionTimestamp == nil}
	agent := wanted{by: p.statefulSets, claw: key.Name, component: v1alpha1.ComponentAgent, kind: "StatefulSet", owner: set.UID,
		name: set.Name + "-0", template: set.Spec.Template, status: agentStatus,
		want: set.UID != "" && set.DeletionTimestamp == nil && (set.Spec.Replicas == nil || *set.Spec.Replicas > 0)}
	pod, err := p.pod(ctx, key.Namespace, gateway)
	if pod != nil {
		err = errors.Join(err, p.speak(ctx, key, pod))
	}
	_, agentErr := p.pod(ctx, key.Namespace, agent)
	return errors.Join(err, agentErr)
}

func (p *player) read(ctx context.Context, key types.NamespacedName, o client.Object) error {
	return client.IgnoreNotFound(p.Seen.Get(ctx, key, o))
}

// wanted is the one pod a workload wants, or none.
type wanted struct {
	by                          client.Client
	want                        bool
	claw, component, kind, name string
	owner                       types.UID
	template                    corev1.PodTemplateSpec
	status                      func(*corev1.PodStatus)
}

const annotationTemplate = "test.example/template"

// pod makes the pod that is wanted, and removes what is not. It returns the one that runs.
func (p *player) pod(ctx context.Context, namespace string, w wanted) (*corev1.Pod, error) {
	var list corev1.PodList
	err := p.Seen.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelClaw: w.claw, v1alpha1.LabelComponent: w.component})
	if err != nil {
		return nil, err
	}
	template := digest(w.template)
	var live *corev1.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		owner := metav1.GetControllerOf(pod)
		if w.want && live == nil && pod.DeletionTimestamp == nil && owner != nil && owner.UID == w.owner && pod.Annotations[annotationTemplate] == template {
			live = pod
			continue
		}
		if err := w.by.Delete(ctx, pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		// A stopped pod goes before another one comes.
		return nil, errors.New("a former pod is going")
	}
	if !w.want {
		return nil, nil
	}
	if live == nil {
		live = w.make(namespace, template)
		if err := w.by.Create(ctx, live); err != nil {
			return nil, client.IgnoreAlreadyExists(err)
		}
	}
	if live.Status.Phase != corev1.PodRunning {
		live = live.DeepCopy()
		w.status(&live.Status)
		if err := p.API.Status().Update(ctx, live); err != nil {
			return nil, client.IgnoreNotFound(err)
		}
	}
	return live, nil
}

func (w wanted) make(namespace, template string) *corev1.Pod {
	yes := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: w.name, Labels: w.template.Labels, Annotations: maps.Clone(w.template.Annotations),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: w.kind, Name: strings.TrimSuffix(w.name, "-0"), UID: w.owner, Controller: &yes}}},
		Spec: *w.template.Spec.DeepCopy(),
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[annotationTemplate] = template
	if w.kind == "StatefulSet" {
		// A StatefulSet's controller adds what its claim templates name.
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "workspace", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: cage.WorkspaceClaim(w.claw)}}})
	}
	return pod
}

func digest(template corev1.PodTemplateSpec) string {
	data, err := json.Marshal(template)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func gatewayStatus(s *corev1.PodStatus) { running(s, cage.ContainerGateway, "10.0.0.7") }

// agentStatus is that of a pod whose probe has ended well.
func agentStatus(s *corev1.PodStatus) {
	running(s, cage.ContainerAgent, "10.0.0.9")
	s.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: cage.ContainerProbe, ContainerID: "c://0", ImageID: "sha256:1",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "c://0"}},
	}}
}

func running(s *corev1.PodStatus, container, ip string) {
	s.Phase = corev1.PodRunning
	s.PodIP, s.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	s.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	s.ContainerStatuses = []corev1.ContainerStatus{{Name: container, Ready: true, ContainerID: "c://1", ImageID: "sha256:1",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

// speak says, as the gateway of exactly that pod, that it enforces the grant as it is.
func (p *player) speak(ctx context.Context, key types.NamespacedName, pod *corev1.Pod) error {
	var grant v1alpha1.ClawGrant
	if err := p.Seen.Get(ctx, key, &grant); err != nil {
		return client.IgnoreNotFound(err)
	}
	word := v1alpha1.GrantGateway{PodUID: string(pod.UID), PodName: pod.Name, Enforcing: grant.Spec.Hash, State: grant.Spec.State, Since: metav1.Now()}
	at := slices.IndexFunc(grant.Status.Gateways, func(g v1alpha1.GrantGateway) bool { return g.PodUID == word.PodUID })
	after := grant.DeepCopy()
	switch {
	case at < 0:
		after.Status.Gateways = append(after.Status.Gateways, word)
	case after.Status.Gateways[at].Enforcing == word.Enforcing && after.Status.Gateways[at].State == word.State:
		return nil
	default:
		after.Status.Gateways[at] = word
	}
	user := fmt.Sprintf("system:serviceaccount:%s:%s", key.Namespace, cage.GatewayName(key.Name))
	config := p.As(user)
	config.Impersonate.Extra = map[string][]string{
		"authentication.kubernetes.io/pod-name": {pod.Name}, "authentication.kubernetes.io/pod-uid": {string(pod.UID)},
	}
	gateway, err := client.New(config, client.Options{Scheme: p.Scheme, Mapper: p.API.RESTMapper()})
	if err != nil {
		return err
	}
	err = gateway.Status().Patch(ctx, after, client.MergeFromWithOptions(&grant, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func serviceAccount(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	return namespace, name, ok
}
