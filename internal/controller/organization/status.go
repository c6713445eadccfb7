package organization

import (
	"errors"
	"fmt"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// computeStatus says how an organization is, from facts alone.
func computeStatus(org *v1alpha1.ClawOrganization, f facts, applyErr error, now time.Time) v1alpha1.ClawOrganizationStatus {
	status := *org.Status.DeepCopy()
	c := apply.Conditions{List: status.Conditions, Generation: org.Generation, Now: now}
	j := judgement(org, f, applyErr, now)
	if j.closed {
		c.True(v1alpha1.ConditionCageReady, v1alpha1.ReasonReady, "the cage is closed")
	} else {
		c.False(v1alpha1.ConditionCageReady, j.reason, j.message)
	}
	if j.closed || f.taken {
		status.Namespace = org.Cage()
	}
	reason, message := directoryStatus(&c, f.problems)
	if j.reason == v1alpha1.ReasonReady && reason != "" {
		j = judged{reason: reason, message: message, stalled: reason != v1alpha1.ReasonDirectoryMissing}
	}
	if j.reason == v1alpha1.ReasonReady {
		c.True(v1alpha1.ConditionReady, j.reason, j.message)
	} else {
		c.False(v1alpha1.ConditionReady, j.reason, j.message)
	}
	settled := j.stalled || j.reason == v1alpha1.ReasonReady || j.reason == v1alpha1.ReasonStopped
	set(&c, v1alpha1.ConditionStalled, j.stalled, j.reason, j.message)
	set(&c, v1alpha1.ConditionReconciling, !settled, j.reason, j.message)
	status.Claws, status.Members = int32(f.claws), int32(f.members)
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

// judged is the one reason an organization is, or is not, ready.
type judged struct {
	reason, message string
	// stalled means that a person must act.
	stalled bool
	// closed means that the cage is in place.
	closed bool
}

func judgement(org *v1alpha1.ClawOrganization, f facts, applyErr error, now time.Time) judged {
	switch {
	case !org.DeletionTimestamp.IsZero():
		return judged{closed: true, stalled: true, reason: v1alpha1.ReasonHasClaws, message: fmt.Sprintf(
			"the organization cannot go while it has Claws: delete the Claws in namespace %s", org.Cage())}
	case f.blocked != nil:
		return judged{reason: f.blocked.reason, message: f.blocked.message, stalled: !f.blocked.waiting}
	case errors.Is(applyErr, errEntering) || lags(applyErr, f, now):
		return judged{reason: v1alpha1.ReasonDependencyNotReady, message: "waiting for the manager's rights in the cage to be in force"}
	case waiting(applyErr):
		return judged{reason: v1alpha1.ReasonDependencyNotReady, message: "waiting for what is being deleted in the namespace"}
	case applyErr != nil:
		return judged{reason: v1alpha1.ReasonApplyFailed, message: applyErr.Error()}
	case org.Spec.State == v1alpha1.OrganizationStopped:
		return judged{closed: true, reason: v1alpha1.ReasonStopped, message: "every Claw of the organization is closed because spec.state is Stopped"}
	default:
		return judged{closed: true, reason: v1alpha1.ReasonReady, message: "the cage is closed"}
	}
}
