package claw

import (
	"fmt"
	"slices"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// An owner has rights on the credentials that are theirs and the Claw's, and cannot have so many that the Role
// which says so fits into no object.
func TestOwned(t *testing.T) {
	claw := &v1alpha1.Claw{}
	claw.Name, claw.Spec.Owner = "triage", "sarah@acme.example"
	claw.Spec.Models = []v1alpha1.ModelRequest{{Credential: "zz-named"}}
	credential := func(name string, owner v1alpha1.MemberName) v1alpha1.ClawCredential {
		var c v1alpha1.ClawCredential
		c.Name, c.Spec.Claw = name, v1alpha1.CredentialClaw{Name: "triage", Owner: owner}
		return c
	}
	few := []v1alpha1.ClawCredential{credential("zz-named", claw.Spec.Owner), credential("b", claw.Spec.Owner), credential("foreign", "lee@acme.example")}
	if got, want := owned(claw, few), []string{"b", "zz-named"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	many := few
	for i := range 30000 {
		many = append(many, credential(fmt.Sprintf("key-%05d", i), claw.Spec.Owner))
	}
	got := owned(claw, many)
	if len(got) != maxOwned || !slices.Contains(got, "zz-named") || slices.Contains(got, "foreign") || !slices.IsSorted(got) {
		t.Errorf("%d credentials, %v ...", len(got), got[:3])
	}
}
