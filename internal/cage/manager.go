package cage

import (
	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const (
	// ManagerRole is the ClusterRole that holds what the manager does inside a cage. It is bound cage by cage.
	ManagerRole = "clawstaff-manager-cage"
	// ManagerBinding is the RoleBinding that gives it to the manager, in every cage.
	ManagerBinding = "clawstaff-manager"
)

// ForManager is what gives the manager its rights in a cage. Held, it stays until the manager lets it go,
// even where the whole namespace is deleted: without it, nobody could take the cage's Claws down.
func ForManager(org *v1alpha1.ClawOrganization, operatorNamespace string, held bool) Object {
	binding := rbacv1ac.RoleBinding(ManagerBinding, org.Cage()).
		WithLabels(cageLabels(org)).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(ManagerRole)).
		WithSubjects(rbacv1ac.Subject().WithKind(rbacv1.ServiceAccountKind).WithName(v1alpha1.ManagedBy).WithNamespace(operatorNamespace))
	if held {
		binding.WithFinalizers(v1alpha1.Finalizer)
	}
	return binding
}

// IsManagerBinding tells whether a RoleBinding gives the manager its rights in a cage, and gives nobody
// else anything.
func IsManagerBinding(b *rbacv1.RoleBinding, operatorNamespace string) bool {
	return b.Name == ManagerBinding && b.Labels[v1alpha1.LabelOrganization] != "" &&
		b.RoleRef == rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: ManagerRole} &&
		len(b.Subjects) == 1 &&
		b.Subjects[0] == rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: v1alpha1.ManagedBy, Namespace: operatorNamespace}
}
