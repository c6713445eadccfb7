package organization

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// tell emits an event when Ready changes. That a new organization's cage is being made is none.
func tell(recorder events.EventRecorder, org *v1alpha1.ClawOrganization, before, after []metav1.Condition) {
	ready := meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	if !apply.Changed(before, after, v1alpha1.ConditionReady) || len(before) == 0 && ready.Reason == v1alpha1.ReasonDependencyNotReady {
		return
	}
	kind, reason := corev1.EventTypeWarning, ready.Reason
	if ready.Status == metav1.ConditionTrue {
		kind, reason = corev1.EventTypeNormal, v1alpha1.ReasonProvisioned
	}
	recorder.Eventf(org, nil, kind, reason, "Reconcile", "%s", ready.Message)
}
