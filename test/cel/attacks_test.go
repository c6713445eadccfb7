package cel

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// attack is something nobody may do, whatever RBAC gives them.
type attack struct {
	name string
	do   func(ctx context.Context, c client.Client, k *kubernetes.Clientset) error
}

func create(obj client.Object) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
		return c.Create(ctx, obj.DeepCopyObject().(client.Object))
	}
}

func remove(obj client.Object) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error { return c.Delete(ctx, obj) }
}

func removeAll(obj client.Object) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
		return c.DeleteAllOf(ctx, obj, client.InNamespace(cage))
	}
}

func patch(obj client.Object, merge string) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
		return c.Patch(ctx, obj.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(merge)))
	}
}

// connect opens a subresource that leads into a pod or service.
func connect(verb, resource, name, sub string) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
		req := k.CoreV1().RESTClient().Verb(verb).Namespace(cage).Resource(resource).Name(name).SubResource(strings.Split(sub, "/")...)
		if sub == "exec" {
			req = req.Param("command", "sh").Param("container", "c").Param("stdout", "true")
		}
		return req.Do(ctx).Error()
	}
}

// entering are the ways into what runs.
func entering() []attack {
	return []attack{
		{"exec", connect("POST", "pods", "triage-gateway-0", "exec")},
		{"exec by GET", connect("GET", "pods", "triage-gateway-0", "exec")},
		{"attach", connect("POST", "pods", "triage-gateway-0", "attach")},
		{"port-forward", connect("POST", "pods", "triage-gateway-0", "portforward")},
		{"pod proxy", connect("GET", "pods", "triage-gateway-0", "proxy")},
		{"pod proxy with a path", connect("GET", "pods", "triage-gateway-0", "proxy/healthz")},
		{"service proxy", connect("GET", "services", "triage-gateway", "proxy")},
		{"service proxy with a port", connect("POST", "services", "triage-gateway:3128", "proxy")},
	}
}

// owning a ClawStaff kind, or letting go of it, is the manager's.
func owning() []attack {
	return []attack{
		{"create a Claw with an owner", create(claw(func(c *v1alpha1.Claw) { c.ObjectMeta = owned(in("rogue")) }))},
		{"give a Claw an owner", patch(&v1alpha1.Claw{ObjectMeta: in("kept")}, bogusOwner)},
		{"give a policy an owner", patch(&v1alpha1.ClawPolicy{ObjectMeta: in("kept")}, bogusOwner)},
		{"give a credential an owner", patch(&v1alpha1.ClawCredential{ObjectMeta: in("kept")}, bogusOwner)},
	}
}

func lettingGo() []attack {
	return []attack{
		{"take the finalizer off a Claw", patch(&v1alpha1.Claw{ObjectMeta: in("kept")}, `{"metadata":{"finalizers":null}}`)},
		{"apply a Claw without the finalizer as the manager's field manager", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Apply(ctx, v1alpha1ac.Claw("kept", cage).WithFinalizers(), client.FieldOwner(v1alpha1.ManagedBy), client.ForceOwnership)
		}},
	}
}

// Bogus owners: Kubernetes deletes what is owned by something that is not there.
const bogusOwner = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"1"}]}}`

func ephemeralContainer(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
	return ephemeralIn(ctx, k, "triage-gateway-0")
}

func ephemeralIn(ctx context.Context, k *kubernetes.Clientset, name string) error {
	p, err := k.CoreV1().Pods(cage).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "e", Image: "i", SecurityContext: p.Spec.Containers[0].SecurityContext}}}
	_, err = k.CoreV1().Pods(cage).UpdateEphemeralContainers(ctx, p.Name, p, metav1.UpdateOptions{})
	return err
}

// mint asks for a token of a service account.
func mint(account string) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
		_, err := k.CoreV1().ServiceAccounts(cage).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	}
}

var storage = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}

// everythingElse is what the manager makes and people do not.
func everythingElse() []attack {
	gatewayPod, deny := &corev1.Pod{ObjectMeta: in("triage-gateway-0")}, &networkingv1.NetworkPolicy{ObjectMeta: in("clawstaff-default-deny")}
	root, probe := &corev1.ConfigMap{ObjectMeta: in("kube-root-ca.crt")}, &corev1.ConfigMap{ObjectMeta: in("triage-probe")}
	return []attack{
		{"create a pod", create(pod("rogue"))},
		{"evict", func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
			return k.PolicyV1().Evictions(cage).Evict(ctx, &policyv1.Eviction{ObjectMeta: in("triage-gateway-0")})
		}},
		{"bind a pod to a node", func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
			return k.CoreV1().Pods(cage).Bind(ctx, &corev1.Binding{ObjectMeta: in("triage-gateway-0"), Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}, metav1.CreateOptions{})
		}},
		{"create a Deployment", create(&appsv1.Deployment{ObjectMeta: in("rogue"), Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}, Template: template()}})},
		{"create a Job", create(&batchv1.Job{ObjectMeta: in("rogue"), Spec: batchv1.JobSpec{Template: finite(template())}})},
		{"create a Service", create(&corev1.Service{ObjectMeta: in("rogue"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}})},
		{"create a NetworkPolicy", create(&networkingv1.NetworkPolicy{ObjectMeta: in("open")})},
		{"create a ServiceAccount", create(&corev1.ServiceAccount{ObjectMeta: in("rogue")})},
		{"create a Role", create(&rbacv1.Role{ObjectMeta: in("rogue")})},
		{"create a volume claim", create(&corev1.PersistentVolumeClaim{ObjectMeta: in("rogue"), Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: storage}}})},
		{"delete a NetworkPolicy", remove(deny)},
		{"delete every NetworkPolicy", removeAll(deny)},
		{"open a NetworkPolicy", patch(deny, `{"spec":{"egress":[{}]}}`)},
		{"give a NetworkPolicy an owner that is gone", patch(deny, bogusOwner)},
		{"put an end to a pod", patch(gatewayPod, `{"spec":{"activeDeadlineSeconds":1}}`)},
		{"delete a pod", remove(gatewayPod)},
		{"delete every pod", removeAll(gatewayPod)},
		{"change a Deployment", patch(&appsv1.Deployment{ObjectMeta: in("triage-gateway")}, `{"spec":{"paused":true}}`)},
		{"scale a Deployment", func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
			_, err := k.AppsV1().Deployments(cage).Patch(ctx, "triage-gateway", types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{}, "scale")
			return err
		}},
		{"delete a StatefulSet, leaving its pods", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Delete(ctx, &appsv1.StatefulSet{ObjectMeta: in("triage-agent")}, client.PropagationPolicy(metav1.DeletePropagationOrphan))
		}},
		{"create an Opaque Secret", create(secret(in("rogue"), corev1.SecretTypeOpaque))},
		{"create a service account's token Secret", create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "rogue", Namespace: cage,
			Annotations: map[string]string{corev1.ServiceAccountNameKey: "triage-gateway"}}, Type: corev1.SecretTypeServiceAccountToken})},
		{"create a gateway's Secret", create(secret(in("other"), "clawstaff.dev/gateway"))},
		{"create a Secret where the manager's will be", create(secret(in("next-gateway"), v1alpha1.SecretTypeCredential))},
		{"create a Secret with an owner", create(secret(owned(in("rogue")), v1alpha1.SecretTypeCredential))},
		{"create a Secret labelled as a child", create(secret(labelled(in("rogue"), v1alpha1.LabelClaw, "triage"), v1alpha1.SecretTypeCredential))},
		{"create a Secret labelled as the manager's", create(secret(labelled(in("rogue"), v1alpha1.LabelManagedBy, v1alpha1.ManagedBy), v1alpha1.SecretTypeCredential))},
		{"change the gateway's Secret", patch(secret(in("triage-gateway"), ""), `{"stringData":{"ca.key":"mine"}}`)},
		{"delete the gateway's Secret", remove(secret(in("triage-gateway"), ""))},
		{"change what pods trust", patch(root, `{"data":{"ca.crt":"mine"}}`)},
		{"delete what pods trust", remove(root)},
		{"change what the probe must not reach", patch(probe, `{"data":{"plan":"{}"}}`)},
		{"take the owner off a child", patch(probe, `{"metadata":{"ownerReferences":null}}`)},
		{"create a ConfigMap where the manager's will be", create(&corev1.ConfigMap{ObjectMeta: in("next-probe")})},
		{"create a ConfigMap with an owner", create(&corev1.ConfigMap{ObjectMeta: owned(in("rogue"))})},
		// What a Service or a claim can be made to point to, and what can starve or stop a pod, without touching it.
		{"create an EndpointSlice of the gateway's Service", create(&discoveryv1.EndpointSlice{ObjectMeta: labelled(in("rogue"), discoveryv1.LabelServiceName, "triage-gateway"),
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"203.0.113.66"}}}})},
		{"create Endpoints of the gateway's Service", create(&corev1.Endpoints{ObjectMeta: in("triage-gateway"), //nolint:staticcheck // still served, so still an attack
			Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "203.0.113.66"}}}}})}, //nolint:staticcheck // as above
		{"create a Lease", create(&coordinationv1.Lease{ObjectMeta: in("rogue")})},
		{"create a ResourceQuota", create(&corev1.ResourceQuota{ObjectMeta: in("rogue"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}})},
		{"create a LimitRange", create(&corev1.LimitRange{ObjectMeta: in("rogue")})},
		{"create a PodDisruptionBudget", create(&policyv1.PodDisruptionBudget{ObjectMeta: in("rogue")})},
		{"create a PodTemplate", create(&corev1.PodTemplate{ObjectMeta: in("rogue"), Template: template()})},
		{"create a CronJob", create(&batchv1.CronJob{ObjectMeta: in("rogue"), Spec: batchv1.CronJobSpec{Schedule: "* * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: finite(template())}}}})},
		{"create a ReplicationController", create(&corev1.ReplicationController{ObjectMeta: in("rogue"), Spec: corev1.ReplicationControllerSpec{Selector: map[string]string{"app": "x"}, Template: new(template())}})},
		{"forge a pod's status", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Status().Patch(ctx, gatewayPod.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Running","podIP":"10.0.0.66","podIPs":[{"ip":"10.0.0.66"}]}}`)))
		}},
		{"resize a pod", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.SubResource("resize").Patch(ctx, gatewayPod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType,
				[]byte(`{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"9"}}}]}}`)))
		}},
		{"apply a NetworkPolicy as the manager's field manager", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Apply(ctx, networkingv1ac.NetworkPolicy("clawstaff-default-deny", cage).WithLabels(map[string]string{"a": "b"}),
				client.FieldOwner(v1alpha1.ManagedBy), client.ForceOwnership)
		}},
		{"create an Event", create(&corev1.Event{ObjectMeta: in("rogue"), InvolvedObject: corev1.ObjectReference{Namespace: cage}})},
		{"write the status of a Claw", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Status().Patch(ctx, &v1alpha1.Claw{ObjectMeta: in("kept")}, client.RawPatch(types.MergePatchType, []byte(`{"status":{"state":"Active"}}`)))
		}},
		{"write the status of a credential", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Status().Patch(ctx, &v1alpha1.ClawCredential{ObjectMeta: in("kept")}, client.RawPatch(types.MergePatchType, []byte(`{"status":{"clawUID":"1"}}`)))
		}},
		{"write the status of a policy", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
			return c.Status().Patch(ctx, &v1alpha1.ClawPolicy{ObjectMeta: in("kept")}, client.RawPatch(types.MergePatchType, []byte(`{"status":{"selectedClaws":1}}`)))
		}},
	}
}
