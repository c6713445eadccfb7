package cel

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// in puts an object into the cage.
func in(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: cage} }

func owned(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Claw", Name: "triage", UID: "1"}}
	return meta
}

func labelled(meta metav1.ObjectMeta, key, value string) metav1.ObjectMeta {
	meta.Labels = map[string]string{key: value}
	return meta
}

func secret(meta metav1.ObjectMeta, kind corev1.SecretType) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: meta, Type: kind, StringData: map[string]string{"bot": "x"}}
}

// pod is a gateway's of the Claw triage, as Kubernetes would make it.
func pod(name string) *corev1.Pod {
	nonRoot, escalate := true, false
	meta := in(name)
	meta.Labels = map[string]string{v1alpha1.LabelClaw: "triage", v1alpha1.LabelComponent: v1alpha1.ComponentGateway}
	meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "triage-gateway-5d4f", UID: "1", Controller: new(true)}}
	return &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		ServiceAccountName: "triage-gateway",
		SecurityContext:    &corev1.PodSecurityContext{RunAsNonRoot: &nonRoot, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}}, SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &escalate, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
	}}
}

func template() corev1.PodTemplateSpec {
	p := pod("")
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}, Spec: p.Spec}
}

func finite(t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	return t
}

// children makes once what the manager would make for a Claw, and returns nothing: tests name them.
func children(t *testing.T) {
	t.Helper()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	for _, obj := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: in("triage-gateway")},
		pod("triage-gateway-0"),
		&corev1.Service{ObjectMeta: in("triage-gateway"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 3128}}}},
		&networkingv1.NetworkPolicy{ObjectMeta: in("clawstaff-default-deny")},
		&appsv1.Deployment{ObjectMeta: in("triage-gateway"), Spec: appsv1.DeploymentSpec{Selector: selector, Template: template()}},
		&appsv1.StatefulSet{ObjectMeta: in("triage-agent"), Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template()}},
		secret(owned(in("triage-gateway")), "clawstaff.dev/gateway"),
		&corev1.ConfigMap{ObjectMeta: owned(in("triage-probe"))},
		&corev1.ConfigMap{ObjectMeta: in("kube-root-ca.crt"), Data: map[string]string{"ca.crt": "x"}},
	} {
		if err := k8s.Create(t.Context(), obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
		}
	}
	for _, name := range []string{"triage", "sibling"} {
		if err := as(chart.ManagerUser).Create(t.Context(), grant(name)); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("create grant %s: %v", name, err)
		}
	}
}

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: in(name), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
}

func merge(patch string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(patch)) }

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

func grant(name string) *v1alpha1.ClawGrant {
	return &v1alpha1.ClawGrant{ObjectMeta: in(name), Spec: v1alpha1.ClawGrantSpec{
		ClawUID: "1", Hash: "h", State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityPrivate,
	}}
}

// What people are there to write, they can write: with the manager and the webhook away, too.
func TestPeopleWriteWhatIsTheirs(t *testing.T) {
	children(t)
	key := secret(in("key"), v1alpha1.SecretTypeCredential)
	key.Annotations = map[string]string{v1alpha1.AnnotationCredential: "triage-slack", v1alpha1.AnnotationOwner: "sarah@acme.example"}
	for _, user := range []string{"edit", "admin", "mallory"} {
		t.Run(user, func(t *testing.T) {
			c := as(user)
			generated := metav1.ObjectMeta{GenerateName: "generated-", Namespace: cage}
			for _, obj := range []client.Object{claw(), claw(func(c *v1alpha1.Claw) { c.ObjectMeta = generated }), clawPolicy(), credential(), key,
				configMap(cage, "notes"), &corev1.ConfigMap{ObjectMeta: generated}, secret(generated, v1alpha1.SecretTypeCredential)} {
				obj = obj.DeepCopyObject().(client.Object)
				if err := c.Create(t.Context(), obj); err != nil {
					t.Errorf("create %T: %v", obj, err)
					continue
				}
				if err := c.Patch(t.Context(), obj, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"team":"a"}}}`))); err != nil {
					t.Errorf("patch %T: %v", obj, err)
				}
				if err := c.Delete(t.Context(), obj); err != nil {
					t.Errorf("delete %T: %v", obj, err)
				}
			}
			for _, obj := range []client.Object{&v1alpha1.Claw{}, &v1alpha1.ClawPolicy{}} {
				if err := c.DeleteAllOf(t.Context(), obj, client.InNamespace("acme"), client.MatchingLabels{"team": "a"}); err != nil {
					t.Errorf("delete a collection of %T: %v", obj, err)
				}
			}
		})
	}
}

// Deleting many at once spares what is not the user's to delete.
func TestDeletingManySecretsSparesTheManagers(t *testing.T) {
	children(t)
	err := as("mallory").DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(cage))
	if !refusedBy(err, closedCage) {
		t.Errorf("got %v, want a refusal by %s", err, closedCage)
	}
	if err := k8s.Get(t.Context(), client.ObjectKey{Namespace: cage, Name: "triage-gateway"}, &corev1.Secret{}); err != nil {
		t.Errorf("the gateway's Secret: %v", err)
	}
}

// Namespaces that are no cages are none of our business.
func TestOtherNamespacesAreLeftAlone(t *testing.T) {
	for _, obj := range []client.Object{
		secret(metav1.ObjectMeta{Name: "mine", Namespace: open}, corev1.SecretTypeOpaque),
		configMap(open, "x-gateway"),
	} {
		if err := k8s.Create(t.Context(), obj); err != nil {
			t.Error(err)
		}
	}
}
