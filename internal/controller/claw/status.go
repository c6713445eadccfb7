package claw

import (
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// parts are what Ready is derived from, in the order in which the first that is not True explains it.
var parts = []string{
	v1alpha1.ConditionOwnerPresent, v1alpha1.ConditionInScope, v1alpha1.ConditionCredentialsReady,
	v1alpha1.ConditionGatewayReady, v1alpha1.ConditionNetworkEnforced, v1alpha1.ConditionRuntimeReady,
}

// computeStatus says how a Claw is, from facts alone.
func computeStatus(claw *v1alpha1.Claw, f facts, applyErr error, now time.Time) v1alpha1.ClawStatus {
	status := *claw.Status.DeepCopy()
	c := apply.Conditions{List: status.Conditions, Generation: claw.Generation, Now: now}
	status.Withheld = f.result.Withheld
	if f.blocked == nil {
		status.GrantRef = claw.Name
	}
	switch {
	case claw.Spec.State == v1alpha1.ClawRevoked:
		status.State = v1alpha1.PhaseRevoked
		setRevoked(&c, f)
	case f.blocked != nil:
		status.State = v1alpha1.PhasePending
		for _, part := range parts {
			c.Set(part, metav1.ConditionUnknown, f.blocked.reason, f.blocked.message)
		}
		derive(&c, f.blocked.reason, f.blocked.message, !f.blocked.waiting)
	default:
		setParts(&c, claw, f)
		status.State = phase(&c, f)
		deriveReady(&c, f, applyErr)
	}
	status.Conditions = c.List
	return status
}

// phase is Active when all that runs is proved to, whatever else was asked for and not given; and Closed when that
// would be so, were it not for the time.
func phase(c *apply.Conditions, f facts) v1alpha1.ClawPhase {
	switch stopped := f.stopped(); {
	case stopped != nil && stopped.reason == v1alpha1.ReasonExpired:
		return v1alpha1.PhaseExpired
	case stopped != nil:
		return v1alpha1.PhaseStopped
	case !c.Is(v1alpha1.ConditionGatewayReady, metav1.ConditionTrue):
		return v1alpha1.PhasePending
	case f.suspended && f.hold == nil:
		return v1alpha1.PhaseClosed
	case !c.Is(v1alpha1.ConditionNetworkEnforced, metav1.ConditionTrue) || !c.Is(v1alpha1.ConditionRuntimeReady, metav1.ConditionTrue):
		return v1alpha1.PhasePending
	case f.closed:
		return v1alpha1.PhaseClosed
	default:
		return v1alpha1.PhaseActive
	}
}

// setRevoked is the end: what ran is being removed, or is gone.
func setRevoked(c *apply.Conditions, f facts) {
	message := "spec.state is Revoked"
	for _, part := range parts {
		c.False(part, v1alpha1.ReasonRevoked, message)
	}
	c.False(v1alpha1.ConditionReady, v1alpha1.ReasonRevoked, message)
	c.False(v1alpha1.ConditionStalled, v1alpha1.ReasonRevoked, "")
	if len(f.gatewayPods)+len(f.agentPods) > 0 {
		c.True(v1alpha1.ConditionReconciling, v1alpha1.ReasonRevoked, "what ran for the Claw is being removed")
	} else {
		c.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonRevoked, "")
	}
}

// goingStatus is the status of a Claw that is being deleted and whose pods are not gone yet.
func goingStatus(claw *v1alpha1.Claw, now time.Time) v1alpha1.ClawStatus {
	status := *claw.Status.DeepCopy()
	c := apply.Conditions{List: status.Conditions, Generation: claw.Generation, Now: now}
	derive(&c, v1alpha1.ReasonProgressing, "the Claw is being deleted; waiting for its pods to be gone", false)
	status.Conditions = c.List
	return status
}

func setParts(c *apply.Conditions, claw *v1alpha1.Claw, f facts) {
	setOwner(c, claw, f)
	setScope(c, f)
	setCredentials(c, f)
	setGateway(c, f)
	setNetwork(c, f)
	setRuntime(c, f)
}

// Withheld entries about the owner and about credentials have conditions of their own.
func aboutOwner(w v1alpha1.Withheld) bool {
	return w.Reason == v1alpha1.WithheldNotMember && (w.Path == "spec.owner" || strings.HasPrefix(w.Path, "spec.teams"))
}

func aboutRuntime(w v1alpha1.Withheld) bool { return strings.HasPrefix(w.Path, "spec.runtime") }

func aboutScope(w v1alpha1.Withheld) bool {
	return w.Reason != v1alpha1.WithheldCredential && !aboutOwner(w)
}

func setOwner(c *apply.Conditions, claw *v1alpha1.Claw, f facts) {
	if f.result.OwnerPresent {
		c.True(v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonReady, fmt.Sprintf("%s is a member, and of the Claw's teams", claw.Spec.Owner))
		return
	}
	c.False(v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember, withheldText(f, aboutOwner))
}

func setScope(c *apply.Conditions, f facts) {
	reason := v1alpha1.ReasonOutOfScope
	if f.hold != nil && f.hold.reason == v1alpha1.ReasonRuntimeNotAllowed {
		reason = f.hold.reason
	}
	if text := withheldText(f, aboutScope); text != "" {
		c.False(v1alpha1.ConditionInScope, reason, text)
		return
	}
	c.True(v1alpha1.ConditionInScope, v1alpha1.ReasonReady, "all that is asked for is allowed")
}

// maxListed is how many things a message lists; status.withheld has them all.
const maxListed = 3

func withheldText(f facts, about func(v1alpha1.Withheld) bool) string {
	var lines []string
	for _, w := range f.result.Withheld {
		if about(w) {
			lines = append(lines, w.Path+": "+w.Message)
		}
	}
	return listed(lines)
}

func listed(lines []string) string {
	if len(lines) > maxListed {
		lines = append(lines[:maxListed:maxListed], fmt.Sprintf("and %d more", len(lines)-maxListed))
	}
	return strings.Join(lines, "; ")
}

func setCredentials(c *apply.Conditions, f facts) {
	var lines []string
	reason := ""
	for _, cred := range f.credentials {
		if cred.usable == nil {
			lines = append(lines, cred.message)
			// What a person must mend explains more than what is on its way.
			if reason == "" || reason == v1alpha1.ReasonDependencyNotReady {
				reason = cred.reason
			}
		}
	}
	// A credential of another connector than the entry's is ready, and yet of no use.
	for _, w := range f.result.Withheld {
		if w.Reason == v1alpha1.WithheldCredential && reason == "" {
			lines, reason = append(lines, w.Path+": "+w.Message), v1alpha1.ReasonClawMismatch
		}
	}
	if reason != "" {
		c.False(v1alpha1.ConditionCredentialsReady, reason, listed(lines))
		return
	}
	c.True(v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonReady, "every credential is ready")
}

// derive sets Ready to False for one reason, and says whether a person must act.
func derive(c *apply.Conditions, reason, message string, stalled bool) {
	c.False(v1alpha1.ConditionReady, reason, message)
	if stalled {
		c.True(v1alpha1.ConditionStalled, reason, message)
		c.False(v1alpha1.ConditionReconciling, reason, "")
		return
	}
	c.False(v1alpha1.ConditionStalled, v1alpha1.ReasonProgressing, "")
	c.True(v1alpha1.ConditionReconciling, reason, message)
}

// deriveReady derives Ready from the parts.
func deriveReady(c *apply.Conditions, f facts, applyErr error) {
	switch {
	case waiting(applyErr):
		derive(c, v1alpha1.ReasonDependencyNotReady, "waiting for a former object of the same name to be gone", false)
		return
	case applyErr != nil:
		derive(c, v1alpha1.ReasonApplyFailed, applyErr.Error(), apierrors.IsInvalid(applyErr))
		return
	case f.stopped() != nil:
		// Whoever stopped an organization knows; what has expired waits for its owner.
		stopped := f.stopped()
		c.False(v1alpha1.ConditionReady, stopped.reason, stopped.message)
		c.False(v1alpha1.ConditionReconciling, stopped.reason, "")
		if mustAct[stopped.reason] {
			c.True(v1alpha1.ConditionStalled, stopped.reason, stopped.message)
		} else {
			c.False(v1alpha1.ConditionStalled, stopped.reason, "")
		}
		return
	}
	condition := explanation(c)
	switch {
	case condition != nil && condition.Reason == v1alpha1.ReasonScheduleClosed:
		setSuspended(c, f, condition.Message)
		return
	case condition != nil:
		derive(c, condition.Reason, condition.Message, mustAct[condition.Reason])
		return
	}
	if f.closed {
		c.True(v1alpha1.ConditionReady, v1alpha1.ReasonScheduleClosed,
			"the agent runs, and all of it is enforced: its schedule is closed now, and everything is refused until it opens"+atOpening(f))
	} else {
		c.True(v1alpha1.ConditionReady, v1alpha1.ReasonReady, "the agent runs, and all of it is enforced")
	}
	c.False(v1alpha1.ConditionStalled, v1alpha1.ReasonReady, "")
	c.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonReady, "")
}

// setSuspended is a Claw that is as it should be, without its agent: nobody has to act.
func setSuspended(c *apply.Conditions, f facts, message string) {
	c.False(v1alpha1.ConditionReady, v1alpha1.ReasonScheduleClosed, message)
	c.False(v1alpha1.ConditionStalled, v1alpha1.ReasonScheduleClosed, "")
	if len(f.agentPods) > 0 {
		c.True(v1alpha1.ConditionReconciling, v1alpha1.ReasonScheduleClosed, "the agent is being stopped")
		return
	}
	c.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonScheduleClosed, "")
}

// explanation is the part that explains why the Claw is not ready: the first for which a person must
// act, else the first that is on its way; nil when all are True.
func explanation(c *apply.Conditions) *metav1.Condition {
	var first *metav1.Condition
	for _, part := range parts {
		condition := meta.FindStatusCondition(c.List, part)
		switch {
		case condition.Status == metav1.ConditionTrue:
		case mustAct[condition.Reason]:
			return condition
		case first == nil:
			first = condition
		}
	}
	return first
}

// mustAct are the reasons that do not end by themselves.
var mustAct = map[string]bool{
	v1alpha1.ReasonOwnerNotMember: true, v1alpha1.ReasonOutOfScope: true, v1alpha1.ReasonSecretRefused: true,
	v1alpha1.ReasonUnknownConnector: true, v1alpha1.ReasonCredentialShared: true, v1alpha1.ReasonClawMismatch: true,
	v1alpha1.ReasonCredentialRevoked: true, v1alpha1.ReasonNetworkNotEnforced: true, v1alpha1.ReasonRuntimeClassMissing: true,
	v1alpha1.ReasonQuotaExceeded: true, v1alpha1.ReasonAgentFailing: true, v1alpha1.ReasonExpired: true,
	v1alpha1.ReasonRuntimeNotAllowed: true, v1alpha1.ReasonSourceNotAllowed: true, v1alpha1.ReasonStoreNotAllowed: true,
	v1alpha1.ReasonDeliveryNotAllowed: true, v1alpha1.ReasonKeyTooOld: true,
}

// stopped says why a Claw is stopped as a whole, or nil.
func (f *facts) stopped() *obstacle {
	switch {
	case f.result.Grant.State != v1alpha1.GrantStopped:
		return nil
	case f.result.Expired && f.organization.Spec.State != v1alpha1.OrganizationStopped:
		return &obstacle{reason: v1alpha1.ReasonExpired, message: expiredMessage(f)}
	default:
		return &obstacle{reason: v1alpha1.ReasonStopped, message: fmt.Sprintf("ClawOrganization %q is Stopped", f.organization.Name)}
	}
}

// expiredMessage says when the Claw ended and by whose word, and how it can go on.
func expiredMessage(f *facts) string {
	at := ""
	if end := f.result.Grant.ExpiresAt; end != nil {
		at = " at " + end.UTC().Format(time.RFC3339)
	}
	for _, w := range f.result.Withheld {
		if w.Path == "spec.expiresAt" && w.Policy != "" {
			return fmt.Sprintf("the Claw's time ended%s, as %s requires: create another Claw, or have that give it more time", at, policyName(w.Policy))
		}
	}
	return fmt.Sprintf("the Claw's time ended%s: a later spec.expiresAt lets it go on, where policies do", at)
}

// policyName names a policy, or an organization's baseline, in a sentence.
func policyName(name string) string {
	if strings.Contains(name, " ") {
		return "the " + name
	}
	return fmt.Sprintf("policy %q", name)
}
