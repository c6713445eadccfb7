package credential

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// computeStatus says how a credential is, from facts alone.
func computeStatus(cred *v1alpha1.ClawCredential, f facts, now time.Time) v1alpha1.ClawCredentialStatus {
	status := *cred.Status.DeepCopy()
	c := apply.Conditions{List: status.Conditions, Generation: cred.Generation, Now: now}
	status.Fingerprints = f.fingerprints
	// The version and the age of a key that cannot be read just now are kept: it may come again unchanged.
	if f.version != "" {
		status.Version = f.version
		if at := status.LastRotatedAt; at == nil || !at.Time.Equal(f.rotated) {
			status.LastRotatedAt = &metav1.Time{Time: f.rotated}
		}
	}

	if why := revoked(cred, f); why != "" {
		// Nothing of the key is needed any more, and it is nobody's.
		status.Version, status.Fingerprints, status.LastRotatedAt = "", nil, nil
		for _, kind := range []string{v1alpha1.ConditionSourceSynced, v1alpha1.ConditionIsolated, v1alpha1.ConditionReady} {
			c.False(kind, v1alpha1.ReasonRevoked, why)
		}
		status.Conditions = c.List
		return status
	}
	synced(&c, f)
	isolated(&c, cred, f)
	bound(&c, &status, cred, f)
	status.Conditions = c.List
	return status
}

// revoked says why a credential is over for ever, or "". A revoked Claw takes its credentials with it,
// and what was once over stays so, even when a Claw of the same name comes.
func revoked(cred *v1alpha1.ClawCredential, f facts) string {
	switch {
	case cred.Spec.State == v1alpha1.CredentialRevoked:
		return "spec.state is Revoked: the key is used no more; create another ClawCredential with a new key"
	case f.claw != nil && f.claw.Spec.State == v1alpha1.ClawRevoked && string(f.claw.UID) == cred.Status.ClawUID, wasRevoked(cred):
		return fmt.Sprintf("Claw %q was revoked, and its keys with it: create another ClawCredential with a new key", cred.Spec.Claw.Name)
	default:
		return ""
	}
}

func wasRevoked(cred *v1alpha1.ClawCredential) bool {
	ready := meta.FindStatusCondition(cred.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonRevoked
}

func synced(c *apply.Conditions, f facts) {
	if f.refusal != nil {
		c.False(v1alpha1.ConditionSourceSynced, f.refusal.Reason, f.refusal.Message)
		return
	}
	if f.stale != "" {
		c.False(v1alpha1.ConditionSourceSynced, v1alpha1.ReasonDependencyNotReady,
			"the store cannot be read just now, and what was read before is used. External Secrets Operator says: "+f.stale)
		return
	}
	c.True(v1alpha1.ConditionSourceSynced, v1alpha1.ReasonReady, "the key was read")
}

func isolated(c *apply.Conditions, cred *v1alpha1.ClawCredential, f facts) {
	switch {
	case f.refusal != nil:
		c.Set(v1alpha1.ConditionIsolated, metav1.ConditionUnknown, f.refusal.Reason, "there is no key to compare")
	case f.holder == nil:
		c.True(v1alpha1.ConditionIsolated, v1alpha1.ReasonReady, "no other Claw has the same key")
	case f.holder.Namespace == cred.Namespace && f.holder.Spec.Claw.Owner == cred.Spec.Claw.Owner:
		c.False(v1alpha1.ConditionIsolated, v1alpha1.ReasonCredentialShared, fmt.Sprintf(
			"Claw %q already has the same key, by ClawCredential %q: a key belongs to one Claw; issue another key for this one",
			f.holder.Spec.Claw.Name, f.holder.Name))
	case f.holder.Namespace == cred.Namespace:
		// A Private Claw is unseen by others, whatever key they have.
		c.False(v1alpha1.ConditionIsolated, v1alpha1.ReasonCredentialShared,
			"a Claw of another owner already has the same key: a key belongs to one Claw; issue another key for this one")
	default:
		// Another organization's names are its own.
		c.False(v1alpha1.ConditionIsolated, v1alpha1.ReasonCredentialShared,
			"a Claw of another organization already has the same key: a key belongs to one Claw; issue another key for this one")
	}
}

// bound binds the key to the Claw there is, and derives Ready.
func bound(c *apply.Conditions, status *v1alpha1.ClawCredentialStatus, cred *v1alpha1.ClawCredential, f facts) {
	notReady := func(reason, message string) { c.False(v1alpha1.ConditionReady, reason, message) }
	switch {
	case f.refusal != nil:
		notReady(f.refusal.Reason, f.refusal.Message)
	case f.holder != nil:
		shared := meta.FindStatusCondition(c.List, v1alpha1.ConditionIsolated)
		notReady(shared.Reason, shared.Message)
	case f.claw == nil:
		notReady(v1alpha1.ReasonDependencyNotReady, fmt.Sprintf("Claw %q does not exist yet", cred.Spec.Claw.Name))
	case f.claw.Spec.Owner != cred.Spec.Claw.Owner:
		notReady(v1alpha1.ReasonClawMismatch, fmt.Sprintf(
			"Claw %q is owned by %q, and the key is for one owned by %q: create another ClawCredential for that owner",
			f.claw.Name, f.claw.Spec.Owner, cred.Spec.Claw.Owner))
	case f.claw.Spec.State == v1alpha1.ClawRevoked:
		// Never bound to it, so not revoked with it: it may serve a Claw that comes after.
		notReady(v1alpha1.ReasonClawMismatch, fmt.Sprintf("Claw %q is Revoked", f.claw.Name))
	case f.claw.DeletionTimestamp != nil && status.ClawUID != string(f.claw.UID):
		// Nobody judges what is written into a Claw that is going, so it is no word of an owner's.
		notReady(v1alpha1.ReasonDependencyNotReady, fmt.Sprintf("Claw %q is being deleted", f.claw.Name))
	case f.barred != nil:
		// Bound all the same: it is this Claw's key, and revoked with it.
		status.ClawUID = string(f.claw.UID)
		notReady(f.barred.Reason, f.barred.Message)
	default:
		status.ClawUID = string(f.claw.UID)
		c.True(v1alpha1.ConditionReady, v1alpha1.ReasonReady, fmt.Sprintf("the key is for Claw %q", f.claw.Name))
	}
}
