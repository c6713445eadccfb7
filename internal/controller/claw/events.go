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

// tell emits an event when Ready changes to something worth telling.
func tell(recorder events.EventRecorder, claw *v1alpha1.Claw, after v1alpha1.ClawStatus) {
	if !apply.Changed(claw.Status.Conditions, after.Conditions, v1alpha1.ConditionReady) {
		return
	}
	ready := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	kind, reason := corev1.EventTypeWarning, ready.Reason
	switch {
	case quiet[reason]:
		return
	case ready.Status == metav1.ConditionTrue:
		kind, reason = corev1.EventTypeNormal, v1alpha1.ReasonProvisioned
	case reason == v1alpha1.ReasonRevoked || reason == v1alpha1.ReasonStopped:
		kind = corev1.EventTypeNormal
	}
	recorder.Eventf(claw, nil, kind, reason, "Reconcile", "%s", ready.Message)
}
