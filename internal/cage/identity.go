package cage

import (
	"slices"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// serviceAccount mounts no token by itself. The agent gets none at all; the gateway gets its own explicitly.
func serviceAccount(claw *v1alpha1.Claw, name, component string) Object {
	return child(corev1ac.ServiceAccount(name, claw.Namespace), claw, component).WithAutomountServiceAccountToken(false)
}

// role lets the gateway read what it enforces, by name, and write its word into the grant's status.
// It cannot list, and sees nothing of a sibling.
func role(claw *v1alpha1.Claw) []Object {
	name := GatewayName(claw.Name)
	read := func(group, resource string, names ...string) *rbacv1ac.PolicyRuleApplyConfiguration {
		return rbacv1ac.PolicyRule().WithAPIGroups(group).WithResources(resource).WithResourceNames(names...).WithVerbs("get", "list", "watch")
	}
	group := v1alpha1.GroupVersion.Group
	rules := []*rbacv1ac.PolicyRuleApplyConfiguration{
		read(group, "claws", claw.Name),
		read(group, "clawgrants", claw.Name),
		rbacv1ac.PolicyRule().WithAPIGroups(group).WithResources("clawgrants/status").WithResourceNames(claw.Name).WithVerbs("patch", "update"),
		read("", "secrets", name),
	}
	// A rule without names would be a rule about all of them.
	if credentials := CredentialNames(claw); len(credentials) > 0 {
		rules = append(rules, read(group, "clawcredentials", credentials...))
	}
	return []Object{
		child(rbacv1ac.Role(name, claw.Namespace), claw, v1alpha1.ComponentGateway).WithRules(rules...),
		child(rbacv1ac.RoleBinding(name, claw.Namespace), claw, v1alpha1.ComponentGateway).
			WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(name)).
			WithSubjects(rbacv1ac.Subject().WithKind("ServiceAccount").WithName(name).WithNamespace(claw.Namespace)),
	}
}

// CredentialNames lists the credentials a Claw names, once each, in order.
func CredentialNames(claw *v1alpha1.Claw) []string {
	var names []string
	for _, e := range claw.Spec.Channels {
		names = append(names, string(e.Credential))
	}
	for _, e := range claw.Spec.Tools {
		names = append(names, string(e.Credential))
	}
	for _, e := range claw.Spec.Models {
		names = append(names, string(e.Credential))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ConnectorNames lists the connectors a Claw asks for, once each, in order.
func ConnectorNames(claw *v1alpha1.Claw) []string {
	var names []string
	for _, e := range claw.Spec.Channels {
		names = append(names, string(e.Connector))
	}
	for _, e := range claw.Spec.Tools {
		names = append(names, string(e.Connector))
	}
	for _, e := range claw.Spec.Models {
		names = append(names, string(e.Connector))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
