package claw

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// quiet reasons are steps on a way; nobody needs an event for them.
var quiet = map[string]bool{v1alpha1.ReasonProgressing: true, v1alpha1.ReasonDependencyNotReady: true}

// said is what was last told of a Claw. It is remembered, because a cache may not know yet what was written a
// moment ago, and nothing is told twice.
type said struct {
	scope, ready, reason string
	suspended            bool
}

func saidOf(conditions []metav1.Condition) said {
	var out said
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionInScope); c != nil {
		out.scope = string(c.Status)
	}
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); c != nil {
		out.ready, out.reason = string(c.Status), c.Reason
	}
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionRuntimeReady); c != nil {
		out.suspended = c.Reason == v1alpha1.ReasonScheduleClosed
	}
	return out
}

// memory is what was last told of each Claw. A manager that starts again begins with what is written.
type memory struct {
	mu sync.Mutex
	by map[types.UID]said
}

// swap remembers what is told now, and returns what was before.
func (m *memory) swap(claw *v1alpha1.Claw, now said) said {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[types.UID]said{}
	}
	before, ok := m.by[claw.UID]
	if !ok {
		before = saidOf(claw.Status.Conditions)
	}
	m.by[claw.UID] = now
	return before
}

func (m *memory) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, uid)
}

// tell emits events on what changed: whether anything is withheld, and whether the Claw is ready.
func tell(recorder events.EventRecorder, claw *v1alpha1.Claw, before said, conditions []metav1.Condition) {
	now := saidOf(conditions)
	if now.scope == string(metav1.ConditionFalse) && before.scope != now.scope && now.reason != v1alpha1.ReasonRevoked {
		scope := meta.FindStatusCondition(conditions, v1alpha1.ConditionInScope)
		recorder.Eventf(claw, nil, corev1.EventTypeWarning, v1alpha1.ReasonOutOfScope, "Reconcile", "%s", scope.Message)
	}
	if before.suspended && !now.suspended && (quiet[now.reason] || now.reason == v1alpha1.ReasonOutOfScope) {
		recorder.Eventf(claw, nil, corev1.EventTypeNormal, v1alpha1.ReasonScheduleOpened, "Reconcile", "the schedule is open: the agent is being started")
	}
	again := before.suspended && now.suspended && now.reason == v1alpha1.ReasonScheduleClosed
	// What is out of scope was told already.
	if before.ready == now.ready && before.reason == now.reason || again || quiet[now.reason] || now.reason == v1alpha1.ReasonOutOfScope {
		return
	}
	kind, reason := corev1.EventTypeWarning, now.reason
	switch {
	case reason == v1alpha1.ReasonScheduleClosed || reason == v1alpha1.ReasonRevoked || reason == v1alpha1.ReasonStopped:
		kind = corev1.EventTypeNormal
	case now.ready == string(metav1.ConditionTrue) && before.reason == v1alpha1.ReasonScheduleClosed:
		kind, reason = corev1.EventTypeNormal, v1alpha1.ReasonScheduleOpened
	case now.ready == string(metav1.ConditionTrue):
		kind, reason = corev1.EventTypeNormal, v1alpha1.ReasonProvisioned
	}
	recorder.Eventf(claw, nil, kind, reason, "Reconcile", "%s", meta.FindStatusCondition(conditions, v1alpha1.ConditionReady).Message)
}
