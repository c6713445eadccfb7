package cel

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// What Kubernetes' own controllers do in every namespace, they can do in a cage.
func TestKubernetesControllersStillWork(t *testing.T) {
	const kubeSystem = "system:serviceaccount:kube-system:"
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	set := &appsv1.ReplicaSet{ObjectMeta: in("x-1"), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template()}}
	replica := pod("x-1-a")
	for _, step := range []struct {
		user string
		obj  client.Object
	}{
		{kubeSystem + "deployment-controller", set},
		{kubeSystem + "replicaset-controller", replica},
		{kubeSystem + "endpointslice-controller", &discoveryv1.EndpointSlice{ObjectMeta: in("x-1"), AddressType: discoveryv1.AddressTypeIPv4}},
		{kubeSystem + "root-ca-cert-publisher", &corev1.ConfigMap{ObjectMeta: in("kube-root-ca.crt")}},
		{kubeSystem + "service-account-controller", &corev1.ServiceAccount{ObjectMeta: in("default")}},
	} {
		if err := as(step.user).Create(t.Context(), step.obj); client.IgnoreAlreadyExists(err) != nil {
			t.Errorf("%s: %v", step.user, err)
		}
	}
	gc := as(kubeSystem + "generic-garbage-collector")
	for _, obj := range []client.Object{replica, set} {
		if err := gc.Delete(t.Context(), obj); err != nil {
			t.Errorf("garbage collector: %v", err)
		}
	}
}

// A kubelet fetches the tokens of its pods and says how they are.
func TestNodesStillWork(t *testing.T) {
	children(t)
	kubelet := clientset(node)
	eventually(t, "token", func() error {
		_, err := kubelet.CoreV1().ServiceAccounts(cage).CreateToken(t.Context(), "triage-gateway", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	})
	p, err := kubelet.CoreV1().Pods(cage).Get(t.Context(), "triage-gateway-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Status.Phase = corev1.PodRunning
	if _, err := kubelet.CoreV1().Pods(cage).UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Errorf("status: %v", err)
	}
}

// A controller that the chart lists may write what people may not.
func TestTrustedControllers(t *testing.T) {
	const trusted = "system:serviceaccount:external-secrets:external-secrets"
	policies, err := chart.Render("templates/closed-cage.yaml", "cage.trustedControllers[0]="+trusted)
	if err != nil {
		t.Fatal(err)
	}
	if err := k8s.Create(t.Context(), clusterBind(trusted, "cluster-admin-without-breakglass")); err != nil {
		t.Fatal(err)
	}
	if err := k8s.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "cluster-admin-without-breakglass"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"*"}, Verbs: []string{"*"}}}}); err != nil {
		t.Fatal(err)
	}
	write := func() error {
		return as(trusted).Create(t.Context(), secret(in("synced"), corev1.SecretTypeOpaque), client.DryRunAll)
	}
	eventually(t, "refused while it is not listed", func() error {
		if err := write(); !refusedBy(err, closedCage) {
			return errStill{err}
		}
		return nil
	})
	for _, obj := range policies {
		if obj.GetName() == closedCage && obj.GetObjectKind().GroupVersionKind().Kind == "ValidatingAdmissionPolicy" {
			replacePolicy(t, obj)
		}
	}
	eventually(t, "admitted once it is listed", write)
}

// replacePolicy puts another policy in the place of one of the same name, until the test ends.
func replacePolicy(t *testing.T, obj client.Object) {
	t.Helper()
	before := obj.DeepCopyObject().(client.Object)
	if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(obj), before); err != nil {
		t.Fatal(err)
	}
	obj.SetResourceVersion(before.GetResourceVersion())
	if err := k8s.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		before.SetResourceVersion(obj.GetResourceVersion())
		if err := k8s.Update(context.Background(), before); err != nil {
			t.Error(err)
		}
	})
}

// Who may enter a cage by the right of that name may mend it too; cluster administrators are among them.
func TestBreakglass(t *testing.T) {
	ctx := t.Context()
	obj := func() client.Object { return &corev1.ServiceAccount{ObjectMeta: in("mended")} }
	if err := as("mallory").Create(ctx, obj()); !refusedBy(err, closedCage) {
		t.Errorf("without the right: got %v, want a refusal", err)
	}
	right := &rbacv1.Role{ObjectMeta: in("enter"), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"breakglass.clawstaff.dev"}, Resources: []string{"cages"}, Verbs: []string{"enter"}}}}
	given := &rbacv1.RoleBinding{ObjectMeta: in("enter"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "enter"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "oncall"}}}
	for _, o := range []client.Object{right, given, bind("oncall", "everything-there-is")} {
		if err := k8s.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the right", func() error { return as("oncall").Create(ctx, obj()) })
	if err := k8s.Delete(ctx, obj()); err != nil {
		t.Errorf("cluster administrator: %v", err)
	}
}
