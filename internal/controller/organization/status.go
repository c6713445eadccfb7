package organization

import (
	"fmt"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// computeStatus says how an organization is, from facts alone.
func computeStatus(org *v1alpha1.ClawOrganization, f facts, applyErr error, now time.Time) v1alpha1.ClawOrganizationStatus {
	status := *org.Status.DeepCopy()
	c := apply.Conditions{List: status.Conditions, Generation: org.Generation, Now: now}
	reason, message, stalled := judgement(org, f, applyErr)
	switch reason {
	case v1alpha1.ReasonReady:
		status.Namespace = org.Cage()
		c.True(v1alpha1.ConditionCageReady, reason, message)
		c.True(v1alpha1.ConditionReady, reason, message)
	case v1alpha1.ReasonStopped, v1alpha1.ReasonHasClaws:
		status.Namespace = org.Cage()
		c.True(v1alpha1.ConditionCageReady, v1alpha1.ReasonReady, "the cage is closed")
		c.False(v1alpha1.ConditionReady, reason, message)
	default:
		c.False(v1alpha1.ConditionCageReady, reason, message)
		c.False(v1alpha1.ConditionReady, reason, message)
	}
	settled := stalled || reason == v1alpha1.ReasonReady || reason == v1alpha1.ReasonStopped
	set(&c, v1alpha1.ConditionStalled, stalled, reason, message)
	set(&c, v1alpha1.ConditionReconciling, !settled, reason, message)
	status.Claws = int32(f.claws)
	status.Conditions = c.List
	return status
}

func set(c *apply.Conditions, kind string, on bool, reason, message string) {
	if on {
		c.True(kind, reason, message)
	} else {
		c.False(kind, v1alpha1.ReasonReady, "")
	}
}

// judgement is the one reason an organization is, or is not, ready.
func judgement(org *v1alpha1.ClawOrganization, f facts, applyErr error) (reason, message string, stalled bool) {
	switch {
	case !org.DeletionTimestamp.IsZero():
		return v1alpha1.ReasonHasClaws, fmt.Sprintf("the organization cannot go while it has Claws: delete the Claws in namespace %s", org.Cage()), true
	case f.blocked != nil:
		return f.blocked.reason, f.blocked.message, !f.blocked.waiting
	case waiting(applyErr):
		return v1alpha1.ReasonDependencyNotReady, "waiting for what is being deleted in the namespace", false
	case applyErr != nil:
		return v1alpha1.ReasonApplyFailed, applyErr.Error(), false
	case org.Spec.State == v1alpha1.OrganizationStopped:
		return v1alpha1.ReasonStopped, "every Claw of the organization is closed because spec.state is Stopped", false
	default:
		return v1alpha1.ReasonReady, "the cage is closed", false
	}
}
