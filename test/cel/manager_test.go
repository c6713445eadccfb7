package cel

import (
	"context"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// homeRefusals are what somebody with the manager's token tries, and with every right there is: in these
// tests the manager is an administrator of the cluster.
func homeRefusals() []refusal {
	by := []string{chart.ManagerUser}
	elsewhere := func(o client.Object, namespace string) client.Object {
		o.SetNamespace(namespace)
		return o
	}
	role := func(name string, rules ...rbacv1.PolicyRule) attack {
		return attack{"a Role " + name, create(&rbacv1.Role{ObjectMeta: in(name), Rules: rules})}
	}
	mine := rbacv1.Subject{Kind: "ServiceAccount", Name: "clawstaff-manager", Namespace: chart.Namespace}
	return []refusal{
		{managerAtHome, "it writes in cages", by, false, []attack{
			{"write elsewhere", create(configMap(open, "rogue"))},
			{"write a Secret in kube-system", create(elsewhere(secret(in("rogue"), corev1.SecretTypeOpaque), "kube-system"))},
			{"take its rights in kube-system", create(elsewhere(binding("clawstaff-manager", "clawstaff-manager-cage", func(b *rbacv1.RoleBinding) { b.Subjects = []rbacv1.Subject{mine} }), "kube-system"))},
			{"write in default", create(configMap("default", "rogue"))},
			{"create a Claw outside of cages", create(elsewhere(claw(), open))},
			{"create a grant outside of cages", create(elsewhere(grant("rogue"), open))},
			{"mint a token elsewhere", func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
				_, err := k.CoreV1().ServiceAccounts(open).CreateToken(ctx, "default", tokenRequest(nil), metav1.CreateOptions{})
				return err
			}},
		}},
		{managerAtHome, "of what belongs to the cluster it writes", by, false, []attack{
			{"bind a ClusterRole", create(clusterBind("eve", "cluster-admin"))},
			{"create a ClusterRole", create(&rbacv1.ClusterRole{ObjectMeta: clusterScoped("rogue")})},
			{"listen to everything that is written", create(&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: clusterScoped("rogue")})},
			{"create an organization", create(organization(func(o *v1alpha1.ClawOrganization) { o.Name = "rogue" }))},
			{"delete an organization", remove(&v1alpha1.ClawOrganization{ObjectMeta: clusterScoped("kept")})},
		}},
		{managerAtHome, "it makes cages only", by, false, []attack{
			{"create a namespace that is no cage", create(namespaceOf("rogue"))},
			{"create a namespace of Kubernetes'", create(cageNamespace("kube-rogue", nil))},
		}},
		{managerAtHome, "a cage before and after", by, false, []attack{
			{"make a cage of a namespace", patch(namespaceOf(open), `{"metadata":{"labels":{"clawstaff.dev/organization":"acme","pod-security.kubernetes.io/enforce":"restricted"}}}`)},
			{"make a cage of kube-system", patch(namespaceOf("kube-system"), `{"metadata":{"labels":{"clawstaff.dev/organization":"acme","pod-security.kubernetes.io/enforce":"restricted"}}}`)},
			{"make no cage of one", patch(namespaceOf(cage), `{"metadata":{"labels":{"clawstaff.dev/organization":null}}}`)},
			{"give a cage to another organization", patch(namespaceOf(cage), `{"metadata":{"labels":{"clawstaff.dev/organization":"other"}}}`)},
			{"let pods do more", patch(namespaceOf(cage), `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
			{"delete a cage", remove(namespaceOf(cage))},
			{"delete a namespace", remove(namespaceOf(open))},
		}},
		{managerAtHome, "people write Claws, ClawPolicies", by, false, []attack{
			{"create a Claw", create(claw(named("rogue")))},
			{"change a Claw", patch(&v1alpha1.Claw{ObjectMeta: in("kept")}, `{"spec":{"purpose":"Another."}}`)},
			{"widen a policy", patch(&v1alpha1.ClawPolicy{ObjectMeta: in("kept")}, `{"spec":{"allow":{"visibility":["Organization"]}}}`)},
			{"point a credential at another Secret", patch(&v1alpha1.ClawCredential{ObjectMeta: in("kept")}, `{"spec":{"source":{"secret":{"name":"other"}}}}`)},
			{"delete a Claw", remove(&v1alpha1.Claw{ObjectMeta: in("kept")})},
			{"change an organization", patch(&v1alpha1.ClawOrganization{ObjectMeta: clusterScoped("kept")}, `{"spec":{"teams":null}}`)},
		}},
		{managerAtHome, "it binds ClusterRole clawstaff-manager-cage", by, false, []attack{
			{"give itself more", create(binding("clawstaff-manager", "everything-there-is", func(b *rbacv1.RoleBinding) { b.Subjects = []rbacv1.Subject{mine} }))},
			{"give its rights to somebody", create(binding("clawstaff-manager", "clawstaff-manager-cage"))},
			{"give its rights to somebody beside itself", create(binding("clawstaff-manager", "clawstaff-manager-cage", func(b *rbacv1.RoleBinding) { b.Subjects = append(b.Subjects, mine) }))},
			{"give its rights to its like elsewhere", create(binding("clawstaff-manager", "clawstaff-manager-cage", func(b *rbacv1.RoleBinding) {
				b.Subjects = []rbacv1.Subject{{Kind: "ServiceAccount", Name: "clawstaff-manager", Namespace: open}}
			}))},
			{"bind a role for people", create(binding("rogue", "clawstaff-admin"))},
			{"bind a gateway's Role to somebody", create(binding("triage-gateway", "triage-gateway", func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "Role" }))},
			{"bind a gateway's Role to a sibling's gateway", create(binding("triage-gateway", "triage-gateway", func(b *rbacv1.RoleBinding) {
				b.RoleRef.Kind, b.Subjects = "Role", []rbacv1.Subject{{Kind: "ServiceAccount", Name: "sibling-gateway", Namespace: cage}}
			}))},
			{"bind another's Role to an owner", create(binding("triage-owner", "sibling-owner", func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "Role" }))},
			{"bind an owner's Role to everybody", create(binding("triage-owner", "triage-owner", func(b *rbacv1.RoleBinding) {
				b.RoleRef.Kind, b.Subjects = "Role", []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "system:authenticated"}}
			}))},
		}},
		{managerAtHome, "it makes Roles", by, false, []attack{
			role("rogue", rbacv1.PolicyRule{APIGroups: []string{"clawstaff.dev"}, Resources: []string{"claws"}, ResourceNames: []string{"triage"}, Verbs: []string{"get"}}),
			role("secrets-owner", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"secrets-owner"}, Verbs: []string{"get"}}),
			role("secrets-gateway", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"triage-gateway"}, Verbs: []string{"get"}}),
			role("writes-gateway", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"writes-gateway"}, Verbs: []string{"update"}}),
			role("all-owner", rbacv1.PolicyRule{APIGroups: []string{"clawstaff.dev"}, Resources: []string{"claws"}, Verbs: []string{"get"}}),
			role("pods-gateway", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"pods-gateway"}, Verbs: []string{"get"}}),
		}},
	}
}

// What the manager is there for, it does: in cages, at home, and of what belongs to the cluster.
func TestTheManagerWorks(t *testing.T) {
	kept(t)
	ctx, manager := t.Context(), as(chart.ManagerUser)
	mine := rbacv1.Subject{Kind: "ServiceAccount", Name: "clawstaff-manager", Namespace: chart.Namespace}
	gatewayRole := &rbacv1.Role{ObjectMeta: in("made-gateway"), Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"clawstaff.dev"}, Resources: []string{"claws"}, ResourceNames: []string{"made"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"made-gateway"}, Verbs: []string{"get", "list", "watch"}}}}
	for _, obj := range []client.Object{
		configMap(cage, "made-probe"), configMap(chart.Namespace, "made"), cageNamespace("made", nil), gatewayRole,
		binding("clawstaff-manager", "clawstaff-manager-cage", func(b *rbacv1.RoleBinding) { b.Subjects = []rbacv1.Subject{mine} }),
		binding("made-gateway", "made-gateway", func(b *rbacv1.RoleBinding) {
			b.RoleRef.Kind, b.Subjects = "Role", []rbacv1.Subject{{Kind: "ServiceAccount", Name: "made-gateway", Namespace: cage}}
		}),
		binding("made-owner", "made-owner", func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "Role" }),
		&corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "made"}, InvolvedObject: corev1.ObjectReference{Kind: "ClawOrganization"}},
		&eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "made"}, EventTime: metav1.NowMicro(), Action: "a", Reason: "r", Type: "Normal", ReportingController: "c", ReportingInstance: "i"},
		&authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "u", ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}}},
	} {
		if err := manager.Create(ctx, obj, client.DryRunAll); err != nil {
			t.Errorf("create %T %s: %v", obj, obj.GetName(), err)
		}
	}
	org := &v1alpha1.ClawOrganization{ObjectMeta: clusterScoped("kept")}
	if err := manager.Patch(ctx, org, merge(`{"metadata":{"finalizers":["clawstaff.dev/teardown"]}}`), client.DryRunAll); err != nil {
		t.Errorf("the finalizer of an organization: %v", err)
	}
	for _, obj := range []client.Object{org, &v1alpha1.Claw{ObjectMeta: in("kept")}} {
		if err := manager.Status().Patch(ctx, obj, merge(`{"status":{"conditions":[]}}`), client.DryRunAll); err != nil {
			t.Errorf("the status of %T: %v", obj, err)
		}
	}
}

// A namespace that is a cage no more is left by the manager: it may take its own rights there away.
func TestTheManagerLeaves(t *testing.T) {
	ctx := t.Context()
	left := cageNamespace("left", nil)
	b := binding("clawstaff-manager", "clawstaff-manager-cage", func(b *rbacv1.RoleBinding) {
		b.Namespace, b.Finalizers = "left", []string{v1alpha1.Finalizer}
		b.Subjects = []rbacv1.Subject{{Kind: "ServiceAccount", Name: "clawstaff-manager", Namespace: chart.Namespace}}
	})
	for _, obj := range []client.Object{left, b} {
		if err := k8s.Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	if err := as(glazier).Patch(ctx, left, merge(`{"metadata":{"labels":{"clawstaff.dev/organization":null}}}`)); err != nil {
		t.Fatal(err)
	}
	manager := as(chart.ManagerUser)
	eventually(t, "it is no cage", func() error {
		if err := manager.Create(ctx, configMap("left", "x"), client.DryRunAll); !refusedBy(err, managerAtHome) {
			return errStill{err}
		}
		return nil
	})
	if err := manager.Patch(ctx, b, merge(`{"metadata":{"finalizers":null}}`)); err != nil {
		t.Error(err)
	}
	if err := manager.Delete(ctx, b); err != nil {
		t.Error(err)
	}
}
