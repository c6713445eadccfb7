package controller_test

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

var workdays = []v1alpha1.Day{v1alpha1.Monday, v1alpha1.Tuesday, v1alpha1.Wednesday, v1alpha1.Thursday, v1alpha1.Friday}

// suspendedOutside gives a Claw a schedule in Berlin, outside of which its agent does not run.
func suspendedOutside(start, end string, on ...v1alpha1.Day) func(*v1alpha1.Claw) {
	return func(claw *v1alpha1.Claw) {
		claw.Spec.Schedule = &v1alpha1.ClawSchedule{Outside: v1alpha1.OutsideSuspend, Schedule: v1alpha1.Schedule{
			TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{{Days: on, Start: start, End: end}}}}
	}
}

// before sets the manager's clock to shortly before a moment, and has it look at a Claw then: what happens at the moment
// itself it must see to without being asked.
func before(t *testing.T, claw *v1alpha1.Claw, moment string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, moment)
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, at.Add(-3*time.Second))
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Purpose = "seen before " + moment })
	eventually(t, func() string {
		get(t, claw)
		for _, c := range claw.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.ObservedGeneration == claw.Generation {
				return ""
			}
		}
		return "it is not looked at"
	})
}

// inSummer is a Wednesday, noon in Berlin.
const inSummer = "2026-07-01T10:00:00Z"

func agentSet(t *testing.T, claw *v1alpha1.Claw) *appsv1.StatefulSet {
	t.Helper()
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: cage.AgentName(claw.Name)}}
	if !get(t, set) {
		t.Fatal("there is no StatefulSet")
	}
	return set
}

// addresses waits until the gateway takes calls from so many addresses.
func addresses(t *testing.T, claw *v1alpha1.Claw, want int) {
	t.Helper()
	eventually(t, func() string {
		if got := grantOf(t, claw).Spec.AgentIPs; len(got) != want {
			return fmt.Sprintf("calls are taken from %v", got)
		}
		return ""
	})
}

// eventOf waits for an event.
func eventOf(t *testing.T, claw *v1alpha1.Claw, reason string) {
	t.Helper()
	eventually(t, func() string {
		if !told(t, claw, reason) {
			return "no event says " + reason
		}
		return ""
	})
}

// isSuspended waits until a Claw is closed and its agent does not run, which asks nobody to do anything.
func isSuspended(t *testing.T, claw *v1alpha1.Claw) {
	t.Helper()
	agentsOf(t, claw, 0)
	addresses(t, claw, 0)
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionNetworkEnforced, v1alpha1.ConditionRuntimeReady, v1alpha1.ConditionReconciling} {
		condition(t, claw, kind, v1alpha1.ReasonScheduleClosed)
	}
	eventually(t, func() string {
		get(t, claw)
		for _, c := range claw.Status.Conditions {
			if c.Reason == v1alpha1.ReasonScheduleClosed && c.Status != metav1.ConditionFalse {
				return "not at rest: " + brief(claw.Status.Conditions)
			}
		}
		if claw.Status.State != v1alpha1.PhaseClosed {
			return "its state is " + string(claw.Status.State)
		}
		return ""
	})
}

// TestSuspend: an agent ends when its schedule closes and starts when it opens, by the clock alone; what is its own
// stays, and its gateway; and it is proved anew before a call of it is taken.
func TestSuspend(t *testing.T) {
	at, err := time.Parse(time.RFC3339, inSummer)
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, at)
	c := newCage(t)
	c.policy()
	claw := c.running("triage", suspendedOutside("08:00", "18:00", workdays...))
	addresses(t, claw, 1)
	hash := grantOf(t, claw).Spec.Hash
	agent := podWith(t, claw, v1alpha1.ComponentAgent)

	t.Log("it closes")
	before(t, claw, "2026-07-01T16:00:00Z")
	agentsOf(t, claw, 1)
	agentsOf(t, claw, 0)
	addresses(t, claw, 0)
	condition(t, claw, v1alpha1.ConditionReconciling, v1alpha1.ReasonScheduleClosed)
	remove(t, agent) // as its StatefulSet's controller does
	isSuspended(t, claw)
	eventOf(t, claw, v1alpha1.ReasonScheduleClosed)
	if grant := grantOf(t, claw).Spec; grant.State != v1alpha1.GrantActive || grant.Hash != hash {
		t.Errorf("the grant is %s, and its hash changes: %v", grant.State, grant.Hash != hash)
	}
	set := agentSet(t, claw)
	if p := set.Spec.PersistentVolumeClaimRetentionPolicy; len(set.Spec.VolumeClaimTemplates) != 1 || p != nil && p.WhenScaled != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Errorf("the workspace is not kept: %+v", p)
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	if !get(t, deployment) || *deployment.Spec.Replicas != 1 {
		t.Error("the gateway is gone")
	}
	source := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	get(t, source)
	gatewayHas(t, claw, "credential.triage-slack.botToken", string(source.Data["bot"]))

	t.Log("at rest nothing is written")
	settled(t)
	asked, noted := writesAbout(c.name), looks.of(claw)
	update(t, podWith(t, claw, v1alpha1.ComponentGateway), func(pod *corev1.Pod) { pod.Annotations = map[string]string{"example.com/touched": "yes"} })
	eventually(t, func() string {
		if looks.of(claw) == noted {
			return "it is not looked at"
		}
		return ""
	})
	settled(t)
	if n := writesAbout(c.name) - asked; n != 0 {
		t.Errorf("the manager asked %d times to write:\n%s", n, lastWrites())
	}

	t.Log("what is changed while it is closed is what starts")
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Runtime.Container.Image = "agent:next" })
	eventually(t, func() string {
		if image := agentSet(t, claw).Spec.Template.Spec.Containers[0].Image; image != "agent:next" {
			return "it would start " + image
		}
		return ""
	})
	agentsOf(t, claw, 0)

	t.Log("it opens")
	before(t, claw, "2026-07-02T06:00:00Z")
	agentsOf(t, claw, 0)
	agentsOf(t, claw, 1)
	eventOf(t, claw, v1alpha1.ReasonScheduleOpened)
	again := agentPod(t, claw, func(s *corev1.PodStatus) { ready(s, cage.ContainerAgent) })
	condition(t, claw, v1alpha1.ConditionNetworkEnforced, v1alpha1.ReasonProgressing)
	addresses(t, claw, 0) // a proof of before is none of this pod's
	kubelet(t, again, proved)
	addresses(t, claw, 1)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if get(t, claw); claw.Status.State != v1alpha1.PhaseActive {
		t.Errorf("state %s", claw.Status.State)
	}
}

// TestSuspendedFromTheStart: an agent whose Claw is created while it is closed is not started, until somebody wants it to.
func TestSuspendedFromTheStart(t *testing.T) {
	at, err := time.Parse(time.RFC3339, inSummer)
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, at)
	c := newCage(t)
	p := c.policy()
	claw := c.claw("triage", suspendedOutside("13:00", "14:00", v1alpha1.Sunday))
	enforce(t, claw, gatewayPod(t, claw))
	isSuspended(t, claw)
	if set := agentSet(t, claw); set.Generation != 1 {
		t.Errorf("the StatefulSet was written %d times", set.Generation)
	}

	t.Log("Deny lets it run")
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Schedule.Outside = v1alpha1.OutsideDeny })
	agentsOf(t, claw, 1)
	agent := agentPod(t, claw, proved)
	addresses(t, claw, 1)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonScheduleClosed)
	if get(t, claw); claw.Status.State != v1alpha1.PhaseClosed {
		t.Errorf("state %s", claw.Status.State)
	}

	t.Log("a schedule that a policy requires suspends as its own does")
	update(t, claw, suspendedOutside("12:00", "18:00", workdays...))
	eventually(t, func() string {
		if grantOf(t, claw).Spec.Schedules[0].Windows[0].Start != "12:00" {
			return "the gateway is not told"
		}
		return ""
	})
	enforce(t, claw, podWith(t, claw, v1alpha1.ComponentGateway))
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	update(t, p, func(p *v1alpha1.ClawPolicy) {
		p.Spec.Require.Schedule = &v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: workdays, Start: "09:00", End: "09:30"}}}
	})
	agentsOf(t, claw, 0)
	addresses(t, claw, 0)
	remove(t, agent)
	condition(t, claw, v1alpha1.ConditionRuntimeReady, v1alpha1.ReasonScheduleClosed)
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Schedule = nil })
	agentsOf(t, claw, 1)
}

// TestSuspendedAndOver: what ends a Claw ends one that is suspended.
func TestSuspendedAndOver(t *testing.T) {
	at, err := time.Parse(time.RFC3339, inSummer)
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, at)
	c := newCage(t)
	c.policy()
	claw := c.claw("triage", suspendedOutside("13:00", "14:00", v1alpha1.Sunday))
	gateway := gatewayPod(t, claw)
	enforce(t, claw, gateway)
	isSuspended(t, claw)

	end := metav1.NewTime(at)
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.ExpiresAt = &end })
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonExpired)
	gatewayHas(t, claw, "credential.triage-slack.botToken", "")
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.ExpiresAt = nil })
	enforce(t, claw, gateway)
	isSuspended(t, claw)

	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.State = v1alpha1.ClawRevoked })
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonRevoked)
	enforce(t, claw, gateway)
	eventually(t, func() string {
		if get(t, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}) {
			return "the StatefulSet is still there"
		}
		return ""
	})
	if get(t, claw); claw.Status.State != v1alpha1.PhaseRevoked {
		t.Errorf("state %s", claw.Status.State)
	}
}

// TestSuspendByTheWallClock: windows over midnight, an hour that comes twice and one that does not come.
func TestSuspendByTheWallClock(t *testing.T) {
	at, err := time.Parse(time.RFC3339, inSummer)
	if err != nil {
		t.Fatal(err)
	}
	setClock(t, at)
	c := newCage(t)
	c.policy()
	claw := c.claw("triage")
	days := append([]v1alpha1.Day{v1alpha1.Saturday, v1alpha1.Sunday}, workdays...)
	for _, step := range []struct {
		start, end, moment string
		runs               int32 // from then on
	}{
		{"22:00", "06:00", "2026-07-01T20:00:00Z", 1},
		{"22:00", "06:00", "2026-07-02T04:00:00Z", 0},
		{"01:00", "02:30", "2026-10-24T23:00:00Z", 1},
		{"01:00", "02:30", "2026-10-25T00:30:00Z", 0},
		{"01:00", "02:30", "2026-10-25T01:00:00Z", 1}, // two o'clock once more
		{"01:00", "02:30", "2026-10-25T01:30:00Z", 0},
		{"01:00", "02:30", "2027-03-28T00:00:00Z", 1},
		{"01:00", "02:30", "2027-03-28T01:00:00Z", 0}, // from two it is three
		{"22:00", "02:30", "2027-03-27T21:00:00Z", 1},
	} {
		t.Logf("%s to %s, at %s", step.start, step.end, step.moment)
		update(t, claw, suspendedOutside(step.start, step.end, days...))
		before(t, claw, step.moment)
		agentsOf(t, claw, 1-step.runs)
		agentsOf(t, claw, step.runs)
		if now := managersClock.Now(); now.Format(time.RFC3339) < step.moment {
			t.Errorf("it happens at %s", now)
		}
	}
}
