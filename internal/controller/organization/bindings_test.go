package organization

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A namespace that is adopted may hold what people may bind in a cage, and no other right.
func TestRoleBindingsInANamespaceToBeAdopted(t *testing.T) {
	binding := func(change func(*rbacv1.RoleBinding)) *rbacv1.RoleBinding {
		b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "members", Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "clawstaff-member"},
			Subjects: []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "support"}}}
		if change != nil {
			change(b)
		}
		return b
	}
	for _, tt := range []struct {
		name   string
		change func(*rbacv1.RoleBinding)
		want   bool
	}{
		{"members", nil, true},
		{"security", func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "clawstaff-security" }, true},
		{"auditors", func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "clawstaff-auditor" }, true},
		{"administrators", func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "clawstaff-admin" }, true},
		{"edit", func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "edit" }, false},
		{"the manager's rights, to somebody", func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "clawstaff-manager-cage" }, false},
		{"a Role of that name", func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "Role" }, false},
		{"owned", func(b *rbacv1.RoleBinding) { b.OwnerReferences = []metav1.OwnerReference{{UID: types.UID("1")}} }, false},
		{"labelled as a child", func(b *rbacv1.RoleBinding) { b.Labels["clawstaff.dev/claw"] = "triage" }, false},
		{"labelled as the manager's", func(b *rbacv1.RoleBinding) { b.Labels["app.kubernetes.io/managed-by"] = "clawstaff-manager" }, false},
		{"where the manager's will be", func(b *rbacv1.RoleBinding) { b.Name = "clawstaff-manager" }, false},
		{"where a gateway's will be", func(b *rbacv1.RoleBinding) { b.Name = "triage-gateway" }, false},
		{"where an owner's will be", func(b *rbacv1.RoleBinding) { b.Name = "triage-owner" }, false},
	} {
		b := binding(tt.change)
		k := known{operatorNamespace: "clawstaff-system", owners: map[types.UID]bool{}, rights: map[string]types.UID{}}
		if got := k.belongs(b); got != tt.want {
			t.Errorf("%s: may be there: %t, want %t", tt.name, got, tt.want)
		}
	}
}
