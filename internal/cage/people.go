package cage

import (
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// People are whom a Claw belongs to, as the API server knows them.
type People struct {
	// Usernames the owner has. Where there are none, nobody is bound.
	Usernames []string
	// Credentials that are for this Claw and this owner, by name.
	Credentials []string
}

// people let the owner look after their own Claw, by name: nobody lists Claws of others by it, and so a
// Private Claw stays unseen. They are there as long as the Claw is, revoked or not.
func people(in ClawInput) []Object {
	claw := in.Claw
	name := OwnerName(claw.Name)
	group := v1alpha1.GroupVersion.Group
	allow := func(resource string, names []string, verbs ...string) *rbacv1ac.PolicyRuleApplyConfiguration {
		return rbacv1ac.PolicyRule().WithAPIGroups(group).WithResources(resource).WithResourceNames(names...).WithVerbs(verbs...)
	}
	write := []string{"get", "watch", "update", "patch", "delete"}
	rules := []*rbacv1ac.PolicyRuleApplyConfiguration{
		allow("claws", []string{claw.Name}, write...),
		allow("clawgrants", []string{claw.Name}, "get", "watch"),
	}
	// A rule without names would be a rule about all of them.
	if len(in.People.Credentials) > 0 {
		rules = append(rules, allow("clawcredentials", in.People.Credentials, write...))
	}
	objects := []Object{child(rbacv1ac.Role(name, claw.Namespace), claw, "").WithRules(rules...)}
	if len(in.People.Usernames) == 0 {
		return objects
	}
	binding := child(rbacv1ac.RoleBinding(name, claw.Namespace), claw, "").
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(name))
	for _, username := range in.People.Usernames {
		binding.WithSubjects(rbacv1ac.Subject().WithAPIGroup("rbac.authorization.k8s.io").WithKind("User").WithName(username))
	}
	return append(objects, binding)
}
