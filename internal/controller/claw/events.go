package claw

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// quiet reasons are steps on a way; nobody needs an event for them.
var quiet = map[string]bool{v1alpha1.ReasonProgressing: true, v1alpha1.ReasonDependencyNotReady: true}

// tell emits events on what changed: whether anything is withheld, and whether the Claw is ready.
func tell(recorder events.EventRecorder, claw *v1alpha1.Claw, after v1alpha1.ClawStatus) {
	before := claw.Status.Conditions
	scope := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionInScope)
	left := scope != nil && scope.Status == metav1.ConditionFalse && !meta.IsStatusConditionFalse(before, v1alpha1.ConditionInScope) && scope.Reason != v1alpha1.ReasonRevoked
	if left {
		recorder.Eventf(claw, nil, corev1.EventTypeWarning, v1alpha1.ReasonOutOfScope, "Reconcile", "%s", scope.Message)
	}
	if !apply.Changed(before, after.Conditions, v1alpha1.ConditionReady) {
		return
	}
	ready := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	kind, reason := corev1.EventTypeWarning, ready.Reason
	switch was := meta.FindStatusCondition(before, v1alpha1.ConditionReady); {
	case quiet[reason] || reason == v1alpha1.ReasonOutOfScope: // the latter was told above
		return
	case reason == v1alpha1.ReasonScheduleClosed || reason == v1alpha1.ReasonRevoked || reason == v1alpha1.ReasonStopped:
		kind = corev1.EventTypeNormal
	case ready.Status == metav1.ConditionTrue && was != nil && was.Reason == v1alpha1.ReasonScheduleClosed:
		kind, reason = corev1.EventTypeNormal, v1alpha1.ReasonScheduleOpened
	case ready.Status == metav1.ConditionTrue:
		kind, reason = corev1.EventTypeNormal, v1alpha1.ReasonProvisioned
	}
	recorder.Eventf(claw, nil, kind, reason, "Reconcile", "%s", ready.Message)
}
