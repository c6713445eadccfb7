package controller_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// gives waits until a grant has as many channels and models, whatever else it says.
func gives(t *testing.T, claw *v1alpha1.Claw, channels, models int) {
	t.Helper()
	eventually(t, func() string {
		spec := grantOf(t, claw).Spec
		if len(spec.Channels) != channels || len(spec.Models) != models {
			return "the grant is not what is left" + brief(claw.Status.Conditions)
		}
		return ""
	})
}

// templateOf is the generation of what an agent runs from: it changes when the agent is started anew.
func templateOf(t *testing.T, claw *v1alpha1.Claw) int64 {
	t.Helper()
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: cage.AgentName(claw.Name)}}
	if !get(t, set) {
		t.Fatal("there is no StatefulSet")
	}
	return set.Generation
}

func times(t *testing.T, about client.Object, reason string) int {
	t.Helper()
	var list eventsv1.EventList
	if err := api.List(context.Background(), &list, client.InNamespace(about.GetNamespace())); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range list.Items {
		if e.Reason == reason && e.Regarding.UID == about.GetUID() {
			n++
			if e.Series != nil {
				n += int(e.Series.Count) - 1
			}
		}
	}
	return n
}

func noModels(p *v1alpha1.ClawPolicy) {
	p.Spec.Deny.Models = []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"*"}}}
}

// TestInScopeOverTime: whatever becomes of the policies over a Claw that runs, its grant is at once what is
// left, it says what was taken, it is not started anew, and it heals by itself.
func TestInScopeOverTime(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.running("triage")
	generation := templateOf(t, claw)
	whole := grantOf(t, claw).Spec.Hash

	t.Log("narrowed")
	update(t, p, noModels)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldDenied, "everything")
	gives(t, claw, 1, 0)

	t.Log("healed")
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Deny.Models = nil })
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
	gives(t, claw, 1, 1)
	if grantOf(t, claw).Spec.Hash != whole {
		t.Error("the grant is not what it was")
	}

	t.Log("held by a finalizer while it is deleted: it allows nothing any more")
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Finalizers = []string{"example.com/hold"} })
	remove(t, p)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	gives(t, claw, 0, 0)
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Finalizers = nil })
	gone(t, p)

	t.Log("made again")
	c.policy()
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
	gives(t, claw, 1, 1)

	t.Log("a second one allows what the first does, and denies something")
	second := c.policy(func(p *v1alpha1.ClawPolicy) {
		p.Name, p.Spec.Selector = "second", v1alpha1.PolicySelector{Owners: []v1alpha1.MemberName{sarah}}
	}, noModels)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldDenied, "second")

	t.Log("the first goes, and the second still gives the channel")
	remove(t, &v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "everything"}})
	gives(t, claw, 1, 0)

	t.Log("the second selects somebody else, and there is nothing left")
	update(t, second, func(p *v1alpha1.ClawPolicy) { p.Spec.Selector.Owners[0] = lee })
	gives(t, claw, 0, 0)
	remove(t, second)
	c.policy()
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)

	t.Log("a baseline comes and goes")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	update(t, org, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Baseline.Deny.Models = []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}}
	})
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldDenied, "baseline")
	gives(t, claw, 1, 0)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Baseline = v1alpha1.Baseline{} })
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)

	if got := templateOf(t, claw); got != generation {
		t.Error("the agent was started anew")
	}
	// Each time it went out of scope was told once.
	eventually(t, func() string {
		if n := times(t, claw, v1alpha1.ReasonOutOfScope); n != 4 {
			return "told " + strings.Repeat("I", n) + " times"
		}
		return ""
	})
}

// TestPolicyEditsReachOnlyWhomTheySelect: an edit of a policy is written for the Claws it selects, or did, and a
// Claw that it never selected is not even looked at.
func TestPolicyEditsReachOnlyWhomTheySelect(t *testing.T) {
	c := newCage(t)
	c.policy()
	ofSarah := c.running("of-sarah")
	ofLee := c.running("of-lee", func(claw *v1alpha1.Claw) { claw.Spec.Owner = lee })
	narrow := c.policy(func(p *v1alpha1.ClawPolicy) {
		p.Name, p.Spec.Allow = "narrow", v1alpha1.PolicyRules{}
		p.Spec.Selector = v1alpha1.PolicySelector{Owners: []v1alpha1.MemberName{sarah}}
	})
	settled(t)
	before, looked := versions(t, c.name), looks.of(ofLee)
	noted := looks.of(ofSarah)

	update(t, narrow, noModels)
	condition(t, ofSarah, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	settled(t)
	for name, version := range versions(t, c.name) {
		if strings.Contains(name, "of-lee") && before[name] != version {
			t.Errorf("%s was written", name)
		}
	}
	if n := looks.of(ofLee) - looked; n != 0 {
		t.Errorf("the Claw of somebody else was looked at %d times", n)
	}
	if looks.of(ofSarah) == noted {
		t.Error("looks at Claws are not counted")
	}

	t.Log("it selects another: both are looked at")
	update(t, narrow, func(p *v1alpha1.ClawPolicy) { p.Spec.Selector.Owners[0] = lee })
	condition(t, ofSarah, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
	condition(t, ofLee, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
}

// TestTeamChange: a Claw whose owner leaves one of its teams gives nothing; who joins the team is heard.
func TestTeamChange(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Teams[0].Members = []v1alpha1.MemberName{lee} })
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember)
	gives(t, claw, 0, 0)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Teams[0].Members = []v1alpha1.MemberName{sarah} })
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonReady)
	gives(t, claw, 1, 1)
	principals(t, claw, "T01ACME/U01SARAH")
	update(t, org, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Members = append(o.Spec.Members, v1alpha1.Member{Name: "kim@acme.example", Identities: map[string][]string{"slack": {"T01ACME/U01KIM"}}})
		o.Spec.Teams[0].Members = append(o.Spec.Teams[0].Members, "kim@acme.example")
	})
	principals(t, claw, "T01ACME/U01KIM", "T01ACME/U01SARAH")
	t.Log("the team is no more")
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Teams = nil })
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember)
}

// TestRuntimeNotAllowed: what runs something that a policy does not let run is held, gives nothing meanwhile,
// and runs again by itself.
func TestRuntimeNotAllowed(t *testing.T) {
	c := newCage(t)
	p := c.policy(func(p *v1alpha1.ClawPolicy) {
		p.Spec.Require.Runtime.Images = []v1alpha1.Pattern{"docker.io/library/agent:*"}
	})
	claw := c.running("triage")
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Runtime.Digests = v1alpha1.DigestsRequired })
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonRuntimeNotAllowed)
	condition(t, claw, v1alpha1.ConditionStalled, v1alpha1.ReasonRuntimeNotAllowed)
	withheldBy(t, claw, v1alpha1.WithheldRequired, "everything")
	gives(t, claw, 0, 0)
	gone(t, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}})
	if get(t, claw); claw.Status.State != v1alpha1.PhasePending {
		t.Errorf("state %s", claw.Status.State)
	}
	// Its gateway stays, to say so and to go on.
	if !get(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}) {
		t.Error("the gateway is gone")
	}
	remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-agent-0"}}, client.GracePeriodSeconds(0))
	update(t, claw, func(claw *v1alpha1.Claw) {
		claw.Spec.Runtime.Container.Image = "agent@sha256:" + strings.Repeat("0", 64)
	})
	agentPod(t, claw, proved)
	enforce(t, claw, podWith(t, claw, v1alpha1.ComponentGateway))
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	gives(t, claw, 1, 1)
}

// TestPolicyInATerminatingNamespace: nothing that comes too late is made, nothing is stuck, and what is left
// can still be narrowed.
func TestPolicyInATerminatingNamespace(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.running("triage")
	remove(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.name}})
	c.organizationReady(v1alpha1.ReasonDependencyNotReady)
	update(t, p, noModels)
	update(t, &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}, func(cred *v1alpha1.ClawCredential) {
		cred.Spec.State = v1alpha1.CredentialRevoked
	})
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonRevoked)
	removePods(t, claw)
	remove(t, claw)
	gone(t, claw)
}

// looks counts how often the manager looks at each Claw: each time it reads the keys of the Claw's gateway.
var looks = lookCounter{n: map[string]int{}}

type lookCounter struct {
	sync.Mutex
	n map[string]int
}

func (l *lookCounter) note(r *http.Request) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, cage.GatewayName("")) && strings.Contains(r.URL.Path, "/secrets/") {
		l.Lock()
		defer l.Unlock()
		l.n[r.URL.Path]++
	}
}

func (l *lookCounter) of(claw *v1alpha1.Claw) int {
	l.Lock()
	defer l.Unlock()
	return l.n["/api/v1/namespaces/"+claw.Namespace+"/secrets/"+cage.GatewayName(claw.Name)]
}
