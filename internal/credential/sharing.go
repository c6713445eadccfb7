package credential

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Holder returns another Claw's credential that already holds one of the same values, or nil. Who holds
// a value keeps it: that is written in its status, so a restart of the manager does not change it. Should
// two hold it, because a backup was restored, the older one does.
func Holder(cred *v1alpha1.ClawCredential, fingerprints []string, same []v1alpha1.ClawCredential) *v1alpha1.ClawCredential {
	var holders []*v1alpha1.ClawCredential
	for i := range same {
		other := &same[i]
		if other.UID == cred.UID || sameClaw(cred, other) || !holds(other, fingerprints) {
			continue
		}
		if holds(cred, fingerprints) && older(cred, other) < 0 {
			continue
		}
		holders = append(holders, other)
	}
	if len(holders) == 0 {
		return nil
	}
	slices.SortFunc(holders, older)
	return holders[0]
}

// holds tells whether a credential is known to have one of the values to itself.
func holds(c *v1alpha1.ClawCredential, fingerprints []string) bool {
	return c.Spec.State != v1alpha1.CredentialRevoked &&
		meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionIsolated) &&
		slices.ContainsFunc(c.Status.Fingerprints, func(f string) bool { return slices.Contains(fingerprints, f) })
}

func sameClaw(a, b *v1alpha1.ClawCredential) bool {
	return a.Namespace == b.Namespace && a.Spec.Claw.Name == b.Spec.Claw.Name
}

func older(a, b *v1alpha1.ClawCredential) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name))
}
