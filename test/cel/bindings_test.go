package cel

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// peopleRoles are the ClusterRoles of the chart for people.
var peopleRoles = []string{"clawstaff-member", "clawstaff-security", "clawstaff-auditor", "clawstaff-admin"}

// binding is a RoleBinding in the cage, of a ClusterRole, to lee.
func binding(name, role string, change ...func(*rbacv1.RoleBinding)) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{ObjectMeta: in(name), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "lee"}}}
	for _, c := range change {
		c(b)
	}
	return b
}

func roleBindings() []attack {
	return []attack{
		{"bind any role", create(binding("rogue", "everything-there-is"))},
		{"bind edit", create(binding("rogue", "edit"))},
		{"bind the manager's role", create(binding("rogue", "clawstaff-manager-cage"))},
		{"bind the manager's other role", create(binding("rogue", "clawstaff-manager"))},
		{"bind a role of a name that begins like ours", create(binding("rogue", "clawstaff-member-and-more"))},
		{"bind a Role of the name of ours", create(binding("rogue", "clawstaff-member", func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "Role" }))},
		{"bind the gateway's Role", create(binding("rogue", "triage-gateway", func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "Role" }))},
		{"bind with an owner", create(binding("rogue", "clawstaff-member", func(b *rbacv1.RoleBinding) { b.ObjectMeta = owned(b.ObjectMeta) }))},
		{"bind with a label of ours", create(binding("rogue", "clawstaff-member", func(b *rbacv1.RoleBinding) { b.ObjectMeta = labelled(b.ObjectMeta, v1alpha1.LabelClaw, "triage") }))},
		{"bind as the manager", create(binding("rogue", "clawstaff-member", func(b *rbacv1.RoleBinding) {
			b.ObjectMeta = labelled(b.ObjectMeta, v1alpha1.LabelManagedBy, v1alpha1.ManagedBy)
		}))},
		{"bind where the manager's will be", create(binding("next-gateway", "clawstaff-member"))},
		{"bind where the owner's will be", create(binding("next-owner", "clawstaff-member"))},
		{"bind where the manager's own will be", create(binding("clawstaff-manager", "clawstaff-member"))},
		{"add oneself to another binding", patch(binding("mallory-is-everything-there-is", ""), `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"eve"}]}`)},
		{"delete another binding", remove(binding("mallory-is-everything-there-is", ""))},
		{"delete every binding", removeAll(&rbacv1.RoleBinding{})},
	}
}

// People give each other the roles for people, to whom they like.
func TestPeopleBindTheRolesForPeople(t *testing.T) {
	for _, role := range peopleRoles {
		b := binding("lee-is-"+role, role)
		c := as("mallory")
		if err := c.Create(t.Context(), b); err != nil {
			t.Errorf("bind %s: %v", role, err)
			continue
		}
		group := `{"metadata":{"labels":{"team":"a"}},"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"support"}]}`
		if err := c.Patch(t.Context(), b, merge(group)); err != nil {
			t.Errorf("rebind %s: %v", role, err)
		}
		// What is bound stays what it is: nobody's child, without our labels.
		checkRefusedBy(t, c.Patch(t.Context(), b.DeepCopy(), merge(bogusOwner)), closedCage, "people bind only the ClusterRoles")
		if err := c.Delete(t.Context(), b); err != nil {
			t.Errorf("unbind %s: %v", role, err)
		}
	}
	if err := as(glazier).Create(t.Context(), binding("mended", "edit"), client.DryRunAll); err != nil {
		t.Errorf("who breaks the glass: %v", err)
	}
}
