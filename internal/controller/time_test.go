package controller_test

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// agentsOf waits until an agent is scaled to so many.
func agentsOf(t *testing.T, claw *v1alpha1.Claw, want int32) {
	t.Helper()
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: cage.AgentName(claw.Name)}}
	eventually(t, func() string {
		if !get(t, set) || *set.Spec.Replicas != want {
			return "the agent is not scaled as it should be"
		}
		return ""
	})
}

// TestExpires: a Claw ends when its time does, without anybody touching it; its gateway stays and denies, and it
// goes on when it is given more time.
func TestExpires(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	end := metav1.NewTime(time.Now().Add(4 * time.Second).Truncate(time.Second))
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.ExpiresAt = &end })
	eventually(t, func() string {
		if at := grantOf(t, claw).Spec.ExpiresAt; at == nil || !at.Equal(&end) {
			return "the gateway is not told"
		}
		return ""
	})
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonExpired)
	condition(t, claw, v1alpha1.ConditionStalled, v1alpha1.ReasonExpired)
	if claw.Status.State != v1alpha1.PhaseExpired {
		t.Errorf("state %s", claw.Status.State)
	}
	if time.Now().Before(end.Time) {
		t.Error("it ended before its time")
	}
	agentsOf(t, claw, 0)
	grant := grantOf(t, claw)
	if grant.Spec.State != v1alpha1.GrantStopped || len(grant.Spec.AgentIPs) > 0 {
		t.Errorf("the grant is %s, for %v", grant.Spec.State, grant.Spec.AgentIPs)
	}
	gatewayHas(t, claw, "credential.triage-slack.botToken", "")
	if !get(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}) {
		t.Error("the gateway is gone")
	}
	eventually(t, func() string {
		if !told(t, claw, v1alpha1.ReasonExpired) {
			return "no event tells of it"
		}
		return ""
	})

	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(time.Hour)} })
	agentsOf(t, claw, 1)
	enforce(t, claw, podWith(t, claw, v1alpha1.ComponentGateway))
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// TestMaxLifetime: what policies give is the end, if a Claw asks for more, and moves with the policy.
func TestMaxLifetime(t *testing.T) {
	c := newCage(t)
	p := c.policy(func(p *v1alpha1.ClawPolicy) { p.Spec.Require.MaxLifetimeDays = 90 })
	claw := c.claw("triage")
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldRequired, "everything")
	ends := func(days int) {
		t.Helper()
		want := metav1.NewTime(claw.CreationTimestamp.AddDate(0, 0, days))
		eventually(t, func() string {
			if at := grantOf(t, claw).Spec.ExpiresAt; at == nil || !at.Equal(&want) {
				return "it does not end when the policy says"
			}
			return ""
		})
	}
	ends(90)
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.MaxLifetimeDays = 30 })
	ends(30)
	update(t, claw, func(claw *v1alpha1.Claw) {
		claw.Spec.ExpiresAt = &metav1.Time{Time: claw.CreationTimestamp.AddDate(0, 0, 7)}
	})
	ends(7)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
}

// shut is a schedule that opens on one other day only.
func shut() *v1alpha1.Schedule {
	days := []v1alpha1.Day{v1alpha1.Sunday, v1alpha1.Monday, v1alpha1.Tuesday, v1alpha1.Wednesday, v1alpha1.Thursday, v1alpha1.Friday, v1alpha1.Saturday}
	other := days[(int(time.Now().UTC().Weekday())+3)%7]
	return &v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{other}, Start: "08:00", End: "18:00"}}}
}

// TestScheduleIsTold: a Claw whose schedule is closed runs and is as it should be, and says that it is closed.
func TestScheduleIsTold(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.running("triage", func(claw *v1alpha1.Claw) { claw.Spec.Schedule = nil })
	generation := templateOf(t, claw)

	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Schedule = shut() })
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope) // it asks for always
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: *shut()} })
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
	enforce(t, claw, podWith(t, claw, v1alpha1.ComponentGateway))
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonScheduleClosed)
	if claw.Status.State != v1alpha1.PhaseClosed {
		t.Errorf("state %s", claw.Status.State)
	}
	if got := grantOf(t, claw).Spec.Schedules; len(got) != 1 {
		t.Errorf("the gateway is told of %d schedules", len(got))
	}
	agentsOf(t, claw, 1)

	// Looking again while it is closed writes nothing.
	settled(t)
	asked := writesAbout(c.name)
	noted := looks.of(claw)
	source := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	get(t, source)
	pod := podWith(t, claw, v1alpha1.ComponentGateway)
	update(t, pod, func(pod *corev1.Pod) { pod.Annotations = map[string]string{"example.com/touched": "yes"} })
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

	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Schedule = nil })
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Schedule = nil })
	eventually(t, func() string {
		if len(grantOf(t, claw).Spec.Schedules) > 0 {
			return "the gateway is still told of a schedule"
		}
		return ""
	})
	enforce(t, claw, pod)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	eventually(t, func() string {
		if !told(t, claw, v1alpha1.ReasonScheduleClosed) {
			return "no event tells of it"
		}
		return ""
	})
	if got := templateOf(t, claw); got != generation {
		t.Error("the agent was started anew")
	}
}

// TestKeyAge: a key's age counts from its last change, in the status; policies that want younger ones take it,
// and a rotation gives it back.
func TestKeyAge(t *testing.T) {
	c := newCage(t)
	p := c.policy(func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Credentials.MaxAgeDays = 30 })
	claw := c.running("triage")
	cred := credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady)
	source := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	get(t, source)
	if at := cred.Status.LastRotatedAt; at == nil || !at.Equal(&source.CreationTimestamp) {
		t.Errorf("last rotated at %v, and the Secret was made at %v", at, source.CreationTimestamp)
	}
	bot := string(source.Data["bot"])

	t.Log("a key that was last changed forty days ago")
	aged := metav1.NewTime(time.Now().AddDate(0, 0, -40).Truncate(time.Second))
	eventually(t, func() string {
		get(t, cred)
		cred.Status.LastRotatedAt = &aged
		if err := api.Status().Update(context.Background(), cred); err != nil {
			return err.Error()
		}
		return ""
	})
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldRequired, "everything")
	gatewayHas(t, claw, "credential.triage-slack.botToken", "")
	// Its own controller says so when it looks at it: a policy that wants even younger ones has it look.
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Credentials.MaxAgeDays = 20 })
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonKeyTooOld)
	condition(t, claw, v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonKeyTooOld)
	withheldBy(t, claw, v1alpha1.WithheldRequired, "everything")

	t.Log("taking the Secret away and putting the same value back makes no key younger")
	remove(t, source)
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonSecretNotFound)
	again := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: source.Name, Annotations: source.Annotations}, Type: source.Type, Data: source.Data}
	create(t, again)
	if cred = credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonKeyTooOld); !cred.Status.LastRotatedAt.Equal(&aged) {
		t.Errorf("last rotated at %v", cred.Status.LastRotatedAt)
	}

	t.Log("another value does")
	update(t, again, func(s *corev1.Secret) { s.StringData = map[string]string{"bot": bot + "-new"} })
	cred = credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady)
	if age := time.Since(cred.Status.LastRotatedAt.Time); age > time.Minute {
		t.Errorf("it counts as %s old", age)
	}
	gatewayHas(t, claw, "credential.triage-slack.botToken", bot+"-new")
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
}

// TestSourcesAndLoans: a policy says where keys may come from, and a Secret that is lent to a member is used by
// that member's Claws only.
func TestSourcesAndLoans(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.claw("triage")
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
	update(t, p, func(p *v1alpha1.ClawPolicy) {
		p.Spec.Require.Credentials.Sources = []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}
	})
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonSourceNotAllowed)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	condition(t, claw, v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonSourceNotAllowed)
	gives(t, claw, 0, 0)
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Credentials.Sources = nil })
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady)
	gives(t, claw, 1, 1)

	lent := func(to v1alpha1.MemberName) func(*v1alpha1.ClawCredential, *corev1.Secret) {
		return func(_ *v1alpha1.ClawCredential, s *corev1.Secret) {
			s.Annotations[v1alpha1.AnnotationOwner] = string(to)
		}
	}
	c.credential("triage", "lent-to-sarah", lent(sarah))
	c.credential("triage", "lent-to-lee", lent(lee))
	credentialReady(t, c.name, "lent-to-sarah", v1alpha1.ReasonReady)
	credentialReady(t, c.name, "lent-to-lee", v1alpha1.ReasonSecretRefused)
}
