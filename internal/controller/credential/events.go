package credential

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// tell emits events on what changed: whether the credential can be used, and its key.
func tell(recorder events.EventRecorder, cred *v1alpha1.ClawCredential, after v1alpha1.ClawCredentialStatus) {
	before := cred.Status
	if before.Version != "" && after.Version != "" && before.Version != after.Version {
		recorder.Eventf(cred, nil, corev1.EventTypeNormal, v1alpha1.ReasonCredentialRotated, "Reconcile", "the key has another value")
	}
	if !apply.Changed(before.Conditions, after.Conditions, v1alpha1.ConditionReady) {
		return
	}
	ready := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	kind := corev1.EventTypeWarning
	if ready.Status == metav1.ConditionTrue || ready.Reason == v1alpha1.ReasonDependencyNotReady || ready.Reason == v1alpha1.ReasonRevoked {
		kind = corev1.EventTypeNormal
	}
	recorder.Eventf(cred, nil, kind, ready.Reason, "Reconcile", "%s", ready.Message)
}
