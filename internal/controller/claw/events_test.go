package claw

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// TestTell: events are about what changed, each once, even where the cache still has what was before.
func TestTell(t *testing.T) {
	recorder := events.NewFakeRecorder(20)
	var told memory
	claw := theClaw() // as the cache has it: nothing was written yet
	runtime := v1alpha1.ReasonReady
	step := func(name string, scope, ready metav1.ConditionStatus, reason string, want ...string) {
		t.Helper()
		conditions := []metav1.Condition{
			{Type: v1alpha1.ConditionInScope, Status: scope, Message: "scope"},
			{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, Message: "ready"},
			{Type: v1alpha1.ConditionRuntimeReady, Reason: runtime},
		}
		tell(recorder, claw, told.swap(claw, saidOf(conditions)), conditions)
		var got []string
		for len(recorder.Events) > 0 {
			got = append(got, strings.Join(strings.Fields(<-recorder.Events)[:2], " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", name, got, want)
		}
	}
	yes, no := metav1.ConditionTrue, metav1.ConditionFalse
	step("on its way", yes, no, v1alpha1.ReasonProgressing)
	step("ready", yes, yes, v1alpha1.ReasonReady, "Normal Provisioned")
	step("still ready", yes, yes, v1alpha1.ReasonReady)
	step("closed", yes, yes, v1alpha1.ReasonScheduleClosed, "Normal ScheduleClosed")
	step("still closed", yes, yes, v1alpha1.ReasonScheduleClosed)
	step("open", yes, yes, v1alpha1.ReasonReady, "Normal ScheduleOpened")
	runtime = v1alpha1.ReasonScheduleClosed
	step("suspended", yes, no, v1alpha1.ReasonScheduleClosed, "Normal ScheduleClosed")
	step("the gateway is made anew", yes, no, v1alpha1.ReasonProgressing)
	step("still suspended", yes, no, v1alpha1.ReasonScheduleClosed)
	runtime = v1alpha1.ReasonProgressing
	step("started", yes, no, v1alpha1.ReasonProgressing, "Normal ScheduleOpened")
	step("still being started", yes, no, v1alpha1.ReasonProgressing)
	runtime = v1alpha1.ReasonReady
	step("ready again", yes, yes, v1alpha1.ReasonReady, "Normal Provisioned")
	runtime = v1alpha1.ReasonScheduleClosed
	step("suspended again", yes, no, v1alpha1.ReasonScheduleClosed, "Normal ScheduleClosed")
	runtime = v1alpha1.ReasonReady
	step("and at once ready", yes, yes, v1alpha1.ReasonReady, "Normal ScheduleOpened")
	step("out of scope", no, no, v1alpha1.ReasonOutOfScope, "Warning OutOfScope")
	step("the gateway is behind", no, no, v1alpha1.ReasonOutOfScope)
	step("and the owner left", no, no, v1alpha1.ReasonOwnerNotMember, "Warning OwnerNotMember")
	step("and is there again", no, no, v1alpha1.ReasonOutOfScope)
	step("in scope", yes, no, v1alpha1.ReasonProgressing)
	step("an image not allowed", no, no, v1alpha1.ReasonRuntimeNotAllowed, "Warning OutOfScope", "Warning RuntimeNotAllowed")
	step("expired", yes, no, v1alpha1.ReasonExpired, "Warning Expired")
	step("revoked", no, no, v1alpha1.ReasonRevoked, "Normal Revoked")
	told.forget(claw.UID)
	claw.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: no, Reason: v1alpha1.ReasonRevoked}}
	step("a manager that starts again", no, no, v1alpha1.ReasonRevoked)
}
