package cage

import (
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Admission holds agent pods to the sandbox by labels of the namespace.
func TestTheCageSaysItsSandbox(t *testing.T) {
	with := func(s v1alpha1.Sandbox) []Object {
		return ForOrganization(organization(func(o *v1alpha1.ClawOrganization) { o.Spec.Sandbox = s }))[:1]
	}
	golden(t, "organization-sandbox", with(v1alpha1.Sandbox{RuntimeClassName: "gvisor"}))
	golden(t, "organization-sandbox-preferred", with(v1alpha1.Sandbox{RuntimeClassName: "gvisor", RuntimeClass: v1alpha1.RuntimeClassPreferred}))
}
