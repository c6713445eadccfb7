package organization

import (
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// peopleRoles are the ClusterRoles of the chart that people bind in a cage.
var peopleRoles = []string{"clawstaff-member", "clawstaff-security", "clawstaff-auditor", "clawstaff-admin"}

// reservedBinding are the names the manager gives to RoleBindings.
var reservedBinding = regexp.MustCompile(`^clawstaff-manager|-(gateway|owner)$`)

// forPeople tells RoleBindings that people may write into a cage, and so may have written before: to roles
// that are made for people, belonging to nobody. It is what the admission policy of cages says.
func forPeople(b *rbacv1.RoleBinding) bool {
	for key, value := range b.Labels {
		if strings.HasPrefix(key, "clawstaff.dev/") || key == v1alpha1.LabelManagedBy && value == v1alpha1.ManagedBy {
			return false
		}
	}
	return len(b.OwnerReferences) == 0 && !reservedBinding.MatchString(b.Name) &&
		b.RoleRef.Kind == "ClusterRole" && slices.Contains(peopleRoles, b.RoleRef.Name)
}
