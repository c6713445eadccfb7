package claw

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/policy"
)

const image = "gateway:test"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func theClaw() *v1alpha1.Claw {
	return &v1alpha1.Claw{
		ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme", UID: "claw", Generation: 3},
		Spec:       v1alpha1.ClawSpec{Owner: "sarah@acme.example"},
	}
}

func pod(name, component, owner string) corev1.Pod {
	yes := true
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: "uid-" + "gateway", Labels: map[string]string{v1alpha1.LabelComponent: component},
			OwnerReferences: []metav1.OwnerReference{{Kind: owner, UID: "set", Controller: &yes}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

func agentPod() corev1.Pod {
	p := pod("triage-agent-0", v1alpha1.ComponentAgent, "StatefulSet")
	p.Spec = corev1.PodSpec{
		ServiceAccountName: "triage-agent", NodeName: "node",
		InitContainers: []corev1.Container{{Name: cage.ContainerProbe, Image: image, Command: []string{"/probe"},
			Env: []corev1.EnvVar{{Name: cage.EnvProbePlan, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: cage.ProbeName("triage")}}}}}}},
	}
	p.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.9"}, {IP: "fd00::9"}}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: cage.ContainerProbe, ContainerID: "c://1", ImageID: "sha256:1",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}},
	}}
	return p
}

func gatewayPod() corev1.Pod {
	p := pod("triage-gateway-1", v1alpha1.ComponentGateway, "ReplicaSet")
	p.Spec.NodeName = "node"
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: cage.ContainerGateway, ImageID: "sha256:1"}}
	return p
}

// running are the facts of a Claw of which everything is as it should be.
func running(changes ...func(*facts)) facts {
	f := facts{
		organization: &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}},
		result:       policy.Result{Grant: v1alpha1.ClawGrantSpec{Hash: "h", State: v1alpha1.GrantActive}, OwnerPresent: true},
		grant: &v1alpha1.ClawGrant{Status: v1alpha1.ClawGrantStatus{Gateways: []v1alpha1.GrantGateway{
			{PodUID: "uid-gateway", Enforcing: "h", State: v1alpha1.GrantActive}}}},
		gatewayPods: []corev1.Pod{gatewayPod()},
		agentPods:   []corev1.Pod{agentPod()},
		statefulSet: "set",
	}
	for _, change := range changes {
		change(&f)
	}
	f.proof = prove(theClaw(), &f, image)
	return f
}

func TestComputeStatus(t *testing.T) {
	withheld := func(reason v1alpha1.WithheldReason, path string) func(*facts) {
		return func(f *facts) {
			f.result.Withheld = append(f.result.Withheld, v1alpha1.Withheld{Path: path, Reason: reason, Message: "why"})
		}
	}
	for name, c := range map[string]struct {
		facts    facts
		claw     func(*v1alpha1.Claw)
		applyErr error
		phase    v1alpha1.ClawPhase
		reason   string // of Ready
		part     string // that is not True
		stalled  bool
		says     string
	}{
		"ready": {facts: running(), phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonReady},
		"not a cage": {
			facts: facts{blocked: cageObstacle(theClaw(), nil)}, phase: v1alpha1.PhasePending,
			reason: v1alpha1.ReasonNotACage, part: v1alpha1.ConditionGatewayReady, stalled: true, says: "spec.namespace",
		},
		"a cage to come": {
			facts: facts{blocked: cageObstacle(theClaw(), &v1alpha1.ClawOrganization{})}, phase: v1alpha1.PhasePending,
			reason: v1alpha1.ReasonDependencyNotReady, part: v1alpha1.ConditionGatewayReady,
		},
		"out of scope, and running": {
			facts: running(withheld(v1alpha1.WithheldDenied, "spec.tools[0]")), phase: v1alpha1.PhaseActive,
			reason: v1alpha1.ReasonOutOfScope, part: v1alpha1.ConditionInScope, stalled: true, says: "spec.tools[0]: why",
		},
		"much out of scope": {
			facts: running(withheld(v1alpha1.WithheldDenied, "a"), withheld(v1alpha1.WithheldDenied, "b"),
				withheld(v1alpha1.WithheldDenied, "c"), withheld(v1alpha1.WithheldDenied, "d")),
			phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonOutOfScope, part: v1alpha1.ConditionInScope, stalled: true, says: "and 1 more",
		},
		"owner left": {
			facts: running(withheld(v1alpha1.WithheldNotMember, "spec.owner"), func(f *facts) { f.result.OwnerPresent = false }),
			phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonOwnerNotMember, part: v1alpha1.ConditionOwnerPresent, stalled: true, says: "why",
		},
		"credential to come": {
			facts: running(withheld(v1alpha1.WithheldCredential, "spec.tools[0].credential"), func(f *facts) {
				f.credentials = []credentialFact{{name: "x", reason: v1alpha1.ReasonDependencyNotReady, message: "it does not exist"}}
			}),
			phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonDependencyNotReady, part: v1alpha1.ConditionCredentialsReady, says: "it does not exist",
		},
		"a shared key explains more than one to come": {
			facts: running(func(f *facts) {
				f.credentials = []credentialFact{{name: "x", reason: v1alpha1.ReasonDependencyNotReady, message: "a"}, {name: "y", reason: v1alpha1.ReasonCredentialShared, message: "b"}}
			}),
			phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonCredentialShared, part: v1alpha1.ConditionCredentialsReady, stalled: true, says: "a; b",
		},
		"of another connector": {
			facts: running(withheld(v1alpha1.WithheldCredential, "spec.tools[0].credential")),
			phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonClawMismatch, part: v1alpha1.ConditionCredentialsReady, stalled: true,
		},
		"no gateway yet": {
			facts: running(func(f *facts) { f.gatewayPods = nil }), phase: v1alpha1.PhasePending,
			reason: v1alpha1.ReasonProgressing, part: v1alpha1.ConditionGatewayReady,
		},
		"a gateway behind": {
			facts: running(func(f *facts) { f.grant.Status.Gateways[0].Enforcing = "old" }), phase: v1alpha1.PhasePending,
			reason: v1alpha1.ReasonProgressing, part: v1alpha1.ConditionGatewayReady, says: "enforce",
		},
		"a word of another pod": {
			facts: running(func(f *facts) { f.grant.Status.Gateways[0].PodUID = "other" }), phase: v1alpha1.PhasePending,
			reason: v1alpha1.ReasonProgressing, part: v1alpha1.ConditionGatewayReady,
		},
		"no proof": {
			facts: running(func(f *facts) { f.agentPods[0].Status.InitContainerStatuses = nil }), phase: v1alpha1.PhasePending,
			reason: v1alpha1.ReasonProgressing, part: v1alpha1.ConditionNetworkEnforced,
		},
		"an open network explains more than a gateway to come": {
			facts: running(func(f *facts) {
				f.gatewayPods = nil
				f.agentPods[0].Status.InitContainerStatuses[0].State.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Message: "the agent reaches DNS\nmore"}
			}),
			phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonNetworkNotEnforced, part: v1alpha1.ConditionNetworkEnforced, stalled: true,
			says: "the agent reaches DNS: the agent is not started",
		},
		"no sandbox": {
			facts: running(func(f *facts) {
				f.agentPods, f.hold = nil, &obstacle{reason: v1alpha1.ReasonRuntimeClassMissing, message: "m"}
			}),
			phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonRuntimeClassMissing, part: v1alpha1.ConditionRuntimeReady, stalled: true,
		},
		"an image that is not there": {
			facts: running(func(f *facts) {
				f.agentPods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{Name: cage.ContainerAgent, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
			}),
			phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonAgentFailing, part: v1alpha1.ConditionRuntimeReady, stalled: true, says: "cannot be pulled",
		},
		"stopped": {
			facts: running(func(f *facts) {
				f.result.Grant.State, f.grant.Status.Gateways[0].State, f.agentPods = v1alpha1.GrantStopped, v1alpha1.GrantStopped, nil
			}),
			phase: v1alpha1.PhaseStopped, reason: v1alpha1.ReasonStopped, part: v1alpha1.ConditionRuntimeReady,
		},
		"expired": {
			facts: running(func(f *facts) {
				f.result.Expired, f.result.Grant.ExpiresAt = true, &metav1.Time{Time: now.Add(-time.Hour)}
				f.result.Grant.State, f.grant.Status.Gateways[0].State, f.agentPods = v1alpha1.GrantStopped, v1alpha1.GrantStopped, nil
			}),
			phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonExpired, part: v1alpha1.ConditionRuntimeReady, stalled: true,
			says: "ended at 2026-11-24T11:00:00Z: a later spec.expiresAt",
		},
		"expired by a policy": {
			facts: running(func(f *facts) {
				f.result.Expired, f.result.Grant.State = true, v1alpha1.GrantStopped
				f.result.Withheld = []v1alpha1.Withheld{{Path: "spec.expiresAt", Reason: v1alpha1.WithheldRequired, Policy: "ninety-days"}}
			}),
			phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonExpired, part: v1alpha1.ConditionNetworkEnforced, stalled: true, says: `as policy "ninety-days" requires`,
		},
		"expired in a stopped organization": {
			facts: running(func(f *facts) {
				f.organization = f.organization.DeepCopy()
				f.organization.Spec.State = v1alpha1.OrganizationStopped
				f.result.Expired, f.result.Grant.State = true, v1alpha1.GrantStopped
			}),
			phase: v1alpha1.PhaseStopped, reason: v1alpha1.ReasonStopped, part: v1alpha1.ConditionNetworkEnforced,
		},
		"closed by its schedule": {
			facts: running(func(f *facts) { f.closed, f.opens = true, now.Add(time.Hour) }), phase: v1alpha1.PhaseClosed, reason: v1alpha1.ReasonScheduleClosed,
			says: "closed now, and everything is refused until it opens, at " + now.Add(time.Hour).Format(time.RFC3339),
		},
		"closed and out of scope": {
			facts: running(withheld(v1alpha1.WithheldDenied, "spec.tools[0]"), func(f *facts) { f.closed = true }), phase: v1alpha1.PhaseClosed,
			reason: v1alpha1.ReasonOutOfScope, part: v1alpha1.ConditionInScope, stalled: true,
		},
		"suspended": {
			facts: running(suspended), phase: v1alpha1.PhaseClosed, reason: v1alpha1.ReasonScheduleClosed, part: v1alpha1.ConditionRuntimeReady,
			says: "the agent is suspended, because its schedule is closed",
		},
		"being suspended": {
			facts: running(func(f *facts) { pods := f.agentPods; suspended(f); f.agentPods = pods }), phase: v1alpha1.PhaseClosed,
			reason: v1alpha1.ReasonScheduleClosed, part: v1alpha1.ConditionNetworkEnforced, says: "suspended",
		},
		"suspended without a gateway": {
			facts: running(suspended, func(f *facts) { f.gatewayPods = nil }), phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonProgressing,
			part: v1alpha1.ConditionGatewayReady,
		},
		"suspended and out of scope": {
			facts: running(suspended, withheld(v1alpha1.WithheldDenied, "spec.tools[0]")), phase: v1alpha1.PhaseClosed,
			reason: v1alpha1.ReasonOutOfScope, part: v1alpha1.ConditionInScope, stalled: true,
		},
		"suspended, and what it runs is not allowed": {
			facts: running(suspended, withheld(v1alpha1.WithheldRequired, "spec.runtime.container.image"), func(f *facts) {
				f.hold = &obstacle{reason: v1alpha1.ReasonRuntimeNotAllowed, message: "m"}
			}),
			phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonRuntimeNotAllowed, part: v1alpha1.ConditionRuntimeReady, stalled: true,
		},
		"suspended and revoked": {
			facts: running(suspended), claw: func(c *v1alpha1.Claw) { c.Spec.State = v1alpha1.ClawRevoked },
			phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonRevoked, part: v1alpha1.ConditionRuntimeReady,
		},
		"an image that is not allowed": {
			facts: running(withheld(v1alpha1.WithheldRequired, "spec.runtime.container.image"), func(f *facts) {
				f.agentPods, f.hold = nil, &obstacle{reason: v1alpha1.ReasonRuntimeNotAllowed, message: "m"}
			}),
			phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonRuntimeNotAllowed, part: v1alpha1.ConditionInScope, stalled: true, says: "spec.runtime.container.image: why",
		},
		"a key that is too old": {
			facts: running(withheld(v1alpha1.WithheldRequired, "spec.models[0].credential"), func(f *facts) {
				f.credentials = []credentialFact{{name: "x", barred: true, reason: v1alpha1.ReasonKeyTooOld, message: "rotate it"}}
			}),
			phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonOutOfScope, part: v1alpha1.ConditionCredentialsReady, stalled: true, says: "spec.models[0]",
		},
		"revoked": {
			facts: running(), claw: func(c *v1alpha1.Claw) { c.Spec.State = v1alpha1.ClawRevoked },
			phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonRevoked, part: v1alpha1.ConditionGatewayReady,
		},
		"not applied": {facts: running(), applyErr: errors.New("boom"), phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonApplyFailed, says: "boom"},
		"waiting": {
			facts: running(), applyErr: fmt.Errorf("Secret x: %w", apply.ErrWaiting), phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonDependencyNotReady,
		},
	} {
		t.Run(name, func(t *testing.T) {
			claw := theClaw()
			if c.claw != nil {
				c.claw(claw)
			}
			status := computeStatus(claw, c.facts, c.applyErr, now)
			ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
			if status.State != c.phase || ready.Reason != c.reason || !strings.Contains(ready.Message, c.says) {
				t.Errorf("state %s, Ready %s: %s; want %s, %s, %q", status.State, ready.Reason, ready.Message, c.phase, c.reason, c.says)
			}
			if c.part != "" && meta.IsStatusConditionTrue(status.Conditions, c.part) {
				t.Errorf("%s is True", c.part)
			}
			if meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) != c.stalled {
				t.Errorf("Stalled is %v, want %v", !c.stalled, c.stalled)
			}
			for _, kind := range append([]string{v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling}, parts...) {
				if x := meta.FindStatusCondition(status.Conditions, kind); x == nil || x.ObservedGeneration != 3 {
					t.Errorf("%s is not set for this generation: %v", kind, x)
				}
			}
			// Nothing new is nothing to write, whatever the time is.
			claw.Status = status
			if diff := cmp.Diff(status, computeStatus(claw, c.facts, c.applyErr, now.Add(time.Hour))); diff != "" {
				t.Errorf("the same facts make another status later:\n%s", diff)
			}
		})
	}
}

// TestProve is I6: nothing but an end of our own probe, in a pod of our own making, is a proof.
func TestProve(t *testing.T) {
	if got := running().proof; len(got.addresses) != 2 || got.pending != 0 {
		t.Fatalf("a good pod proves nothing: %+v", got)
	}
	spec := func(change func(*corev1.PodSpec)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { change(&p.Spec) }
	}
	probe := func(change func(*corev1.ContainerStatus)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { change(&p.Status.InitContainerStatuses[0]) }
	}
	always := corev1.ContainerRestartPolicyAlways
	for name, change := range map[string]func(*corev1.Pod){
		"not ended": probe(func(s *corev1.ContainerStatus) {
			s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
		}),
		"ended badly":   probe(func(s *corev1.ContainerStatus) { s.State.Terminated.ExitCode = 1 }),
		"never started": probe(func(s *corev1.ContainerStatus) { s.ContainerID = "" }),
		"another image": probe(func(s *corev1.ContainerStatus) { s.ImageID = "sha256:2" }),
		"another probe": probe(func(s *corev1.ContainerStatus) { s.Name = "prob" }),
		"image in spec": spec(func(s *corev1.PodSpec) { s.InitContainers[0].Image = "mine" }),
		"command":       spec(func(s *corev1.PodSpec) { s.InitContainers[0].Command = []string{"/bin/true"} }),
		"mounted over": spec(func(s *corev1.PodSpec) {
			s.InitContainers[0].VolumeMounts = []corev1.VolumeMount{{MountPath: "/probe"}}
		}),
		"another plan": spec(func(s *corev1.PodSpec) { s.InitContainers[0].Env[0].ValueFrom.ConfigMapKeyRef.Name = "mine" }),
		"a plain plan": spec(func(s *corev1.PodSpec) {
			s.InitContainers[0].Env[0] = corev1.EnvVar{Name: cage.EnvProbePlan, Value: "{}"}
		}),
		"no plan": spec(func(s *corev1.PodSpec) { s.InitContainers[0].Env = nil }),
		"two plans": spec(func(s *corev1.PodSpec) {
			s.InitContainers[0].Env = append(s.InitContainers[0].Env, s.InitContainers[0].Env[0])
		}),
		"arguments": spec(func(s *corev1.PodSpec) { s.InitContainers[0].Args = []string{"--lie"} }),
		"not first": spec(func(s *corev1.PodSpec) {
			s.InitContainers = append([]corev1.Container{{Name: "x"}}, s.InitContainers...)
		}),
		"a sidecar":       spec(func(s *corev1.PodSpec) { s.InitContainers[0].RestartPolicy = &always }),
		"none":            spec(func(s *corev1.PodSpec) { s.InitContainers = nil }),
		"host network":    spec(func(s *corev1.PodSpec) { s.HostNetwork = true }),
		"service account": spec(func(s *corev1.PodSpec) { s.ServiceAccountName = "default" }),
		"entered":         spec(func(s *corev1.PodSpec) { s.EphemeralContainers = []corev1.EphemeralContainer{{}} }),
		"another's pod":   func(p *corev1.Pod) { p.OwnerReferences[0].UID = "other" },
		"nobody's pod":    func(p *corev1.Pod) { p.OwnerReferences = nil },
		"a ReplicaSet's":  func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet" },
	} {
		if got := running(func(f *facts) { change(&f.agentPods[0]) }).proof; len(got.addresses) != 0 || got.pending != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"going": func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} },
		"ended": func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
	} {
		if got := running(func(f *facts) { change(&f.agentPods[0]) }).proof; len(got.addresses) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// An address that only others of its kind have is not taken for ours: no StatefulSet, no proof.
	if got := running(func(f *facts) { f.statefulSet = "" }).proof; len(got.addresses) != 0 {
		t.Errorf("without a StatefulSet: %+v", got)
	}
}

// When the Claw is looked at again is the first moment at which something changes by itself.
func TestSooner(t *testing.T) {
	at := now.Add
	for name, c := range map[string]struct {
		again   time.Duration
		moments []time.Time
		want    time.Duration
	}{
		"never":            {},
		"no moment":        {0, []time.Time{{}, {}}, 0},
		"the first":        {0, []time.Time{at(time.Hour), at(time.Minute)}, time.Minute},
		"waiting":          {5 * time.Second, []time.Time{at(time.Hour)}, 5 * time.Second},
		"before the wait":  {time.Hour, []time.Time{at(time.Minute)}, time.Minute},
		"what just passed": {0, []time.Time{at(-time.Minute)}, time.Second},
	} {
		if got := sooner(c.again, now, c.moments...); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// An edit of an organization that only gives members other usernames is about the Claws of those who have, or
// had, one of them.
func TestRenamed(t *testing.T) {
	org := func(usernames ...[]string) *v1alpha1.ClawOrganization {
		o := &v1alpha1.ClawOrganization{}
		for i, u := range usernames {
			o.Spec.Members = append(o.Spec.Members, v1alpha1.Member{Name: v1alpha1.MemberName(rune('a' + i)), Kubernetes: u})
		}
		return o
	}
	before := org([]string{"x"}, []string{"y"}, []string{"z"})
	for name, c := range map[string]struct {
		after *v1alpha1.ClawOrganization
		want  string
	}{
		"nothing":   {org([]string{"x"}, []string{"y"}, []string{"z"}), ""},
		"another":   {org([]string{"w"}, []string{"y"}, []string{"z"}), "a"},
		"none":      {org([]string{"x"}, nil, []string{"z"}), "b"},
		"contested": {org([]string{"x", "y"}, []string{"y"}, []string{"z"}), "ab"},
	} {
		if !onlyUsernames(before, c.after) {
			t.Errorf("%s: it is taken for more", name)
		}
		got := ""
		for _, m := range before.Spec.Members {
			if renamed(before, c.after)[m.Name] {
				got += string(m.Name)
			}
		}
		if got != c.want {
			t.Errorf("%s: about %q, want %q", name, got, c.want)
		}
	}
	for name, change := range map[string]func(*v1alpha1.ClawOrganization){
		"a member":    func(o *v1alpha1.ClawOrganization) { o.Spec.Members = o.Spec.Members[1:] },
		"an identity": func(o *v1alpha1.ClawOrganization) { o.Spec.Members[0].Identities = map[string][]string{"slack": {"U"}} },
		"a team":      func(o *v1alpha1.ClawOrganization) { o.Spec.Teams = []v1alpha1.Team{{Name: "t"}} },
		"state":       func(o *v1alpha1.ClawOrganization) { o.Spec.State = v1alpha1.OrganizationStopped },
		"a file": func(o *v1alpha1.ClawOrganization) {
			o.Spec.DirectoryRefs = []v1alpha1.ConfigMapReference{{ConfigMap: "x"}}
		},
		"baseline": func(o *v1alpha1.ClawOrganization) { o.Spec.Baseline.Require.MaxLifetimeDays = 1 },
	} {
		after := before.DeepCopy()
		change(after)
		if onlyUsernames(before, after) {
			t.Errorf("%s: it is about every Claw, and taken for less", name)
		}
	}
	quota := before.DeepCopy()
	quota.Spec.Quota.Claws = new(int32)
	if !onlyUsernames(before, quota) || len(renamed(before, quota)) != 0 {
		t.Error("a quota is taken to be about Claws")
	}
}

// TestObserveTime: what opens and closes by the clock is looked at again at the next turn of any schedule.
func TestObserveTime(t *testing.T) {
	window := func(start, end string) v1alpha1.Schedule {
		days := []v1alpha1.Day{v1alpha1.Monday, v1alpha1.Tuesday, v1alpha1.Wednesday, v1alpha1.Thursday, v1alpha1.Friday, v1alpha1.Saturday, v1alpha1.Sunday}
		return v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: days, Start: start, End: end}}}
	}
	suspend, deny := v1alpha1.OutsideSuspend, v1alpha1.OutsideDeny
	for name, c := range map[string]struct {
		schedules    []v1alpha1.Schedule
		outside      v1alpha1.Outside
		state        v1alpha1.GrantState
		closed       bool
		suspended    bool
		turns, opens time.Duration // after now; never where none
	}{
		"always":           {nil, suspend, v1alpha1.GrantActive, false, false, 0, 0},
		"open":             {[]v1alpha1.Schedule{window("08:00", "18:00")}, suspend, v1alpha1.GrantActive, false, false, 6 * time.Hour, 0},
		"closed":           {[]v1alpha1.Schedule{window("13:00", "18:00")}, deny, v1alpha1.GrantActive, true, false, time.Hour, time.Hour},
		"closed by policy": {[]v1alpha1.Schedule{window("13:00", "18:00")}, "", v1alpha1.GrantActive, true, false, time.Hour, time.Hour},
		"suspended":        {[]v1alpha1.Schedule{window("13:00", "18:00")}, suspend, v1alpha1.GrantActive, true, true, time.Hour, time.Hour},
		"one of two":       {[]v1alpha1.Schedule{window("08:00", "18:00"), window("14:00", "15:00")}, suspend, v1alpha1.GrantActive, true, true, 2 * time.Hour, 2 * time.Hour},
		"until the second": {[]v1alpha1.Schedule{window("12:30", "18:00"), window("17:00", "19:00")}, suspend, v1alpha1.GrantActive, true, true, 30 * time.Minute, 5 * time.Hour},
		"never both":       {[]v1alpha1.Schedule{window("08:00", "10:00"), window("14:00", "15:00")}, suspend, v1alpha1.GrantActive, true, true, 2 * time.Hour, 0},
		"no schedule":      {[]v1alpha1.Schedule{{TimeZone: "Nowhere/Land"}}, suspend, v1alpha1.GrantActive, true, true, 0, 0},
		"not running":      {[]v1alpha1.Schedule{window("13:00", "18:00")}, suspend, v1alpha1.GrantStopped, false, false, 0, 0},
		"revoked":          {[]v1alpha1.Schedule{window("13:00", "18:00")}, suspend, v1alpha1.GrantRevoked, false, false, 0, 0},
	} {
		claw := &v1alpha1.Claw{}
		if c.outside != "" {
			claw.Spec.Schedule = &v1alpha1.ClawSchedule{Outside: c.outside}
		}
		after := func(d time.Duration) time.Time {
			if d == 0 {
				return time.Time{}
			}
			return now.Add(d)
		}
		f := facts{result: policy.Result{Grant: v1alpha1.ClawGrantSpec{State: c.state, Schedules: c.schedules}}}
		f.observeTime(claw, now)
		if f.closed != c.closed || f.suspended != c.suspended || !f.turns.Equal(after(c.turns)) || !f.opens.Equal(after(c.opens)) {
			t.Errorf("%s: closed %v, suspended %v, turns at %s, opens at %s", name, f.closed, f.suspended, f.turns, f.opens)
		}
	}
}

// suspended is a Claw whose agent waits for its schedule.
func suspended(f *facts) {
	f.closed, f.suspended, f.agentPods, f.agentIPs, f.proof = true, true, nil, nil, proof{}
}
