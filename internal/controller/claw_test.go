package controller_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/internal/probe"
)

func grantOf(t *testing.T, claw *v1alpha1.Claw) *v1alpha1.ClawGrant {
	t.Helper()
	g := &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: claw.Name}}
	if !get(t, g) {
		t.Fatal("there is no grant")
	}
	return g
}

func TestClawBecomesReady(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	if claw.Status.State != v1alpha1.PhaseActive || claw.Status.GrantRef != "triage" || len(claw.Status.Withheld) != 0 {
		t.Errorf("state %s, grant %q, withheld %v", claw.Status.State, claw.Status.GrantRef, claw.Status.Withheld)
	}
	grant := grantOf(t, claw)
	if diff := cmp.Diff([]string{"10.0.0.9"}, grant.Spec.AgentIPs); diff != "" {
		t.Errorf("agentIPs: %s", diff)
	}
	if len(grant.Spec.Channels) != 1 || len(grant.Spec.Models) != 1 || len(grant.Spec.Credentials) != 2 {
		t.Errorf("the grant is not what was asked: %+v", grant.Spec)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	get(t, secret)
	for _, key := range []string{cage.KeyCACert, cage.KeyCAKey, cage.KeyProxyPassword, cage.KeyResignSecret, cage.KeyLedgerCA,
		"credential.triage-slack.botToken", "credential.triage-slack.signingSecret", "credential.triage-anthropic.apiKey"} {
		if len(secret.Data[key]) == 0 {
			t.Errorf("the gateway's Secret has no %s", key)
		}
	}
}

// TestProof is I6: only what the kubelet wrote of exactly our pod lets an address into the grant.
func TestProof(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.claw("triage")
	enforce(t, claw, gatewayPod(t, claw))
	condition(t, claw, v1alpha1.ConditionGatewayReady, v1alpha1.ReasonReady)

	// A pod that carries the labels, and whose containers ended well, but that the StatefulSet did not make.
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}
	get(t, set)
	impostor := podOf(claw, "impostor", set.Spec.Template, "StatefulSet", types.UID("not-ours"))
	create(t, impostor)
	kubelet(t, impostor, proved)
	condition(t, claw, v1alpha1.ConditionNetworkEnforced, v1alpha1.ReasonProgressing)

	// One that says it is of the StatefulSet, but whose probe was told something else, or is another program.
	for name, change := range map[string]func(*corev1.Container){
		"another-plan": func(probe *corev1.Container) { probe.Env = []corev1.EnvVar{{Name: cage.EnvProbePlan, Value: "{}"}} },
		"two-plans": func(probe *corev1.Container) {
			probe.Env = append(probe.Env, corev1.EnvVar{Name: cage.EnvProbePlan, Value: "{}"})
		},
		"another-program": func(probe *corev1.Container) {
			probe.VolumeMounts = []corev1.VolumeMount{{Name: "tmp", MountPath: "/probe", SubPath: "probe"}}
		},
	} {
		forged := podOf(claw, name, set.Spec.Template, "StatefulSet", set.UID)
		change(&forged.Spec.InitContainers[0])
		create(t, forged)
		kubelet(t, forged, func(s *corev1.PodStatus) {
			proved(s)
			s.PodIP, s.PodIPs = "10.0.0.66", []corev1.PodIP{{IP: "10.0.0.66"}}
		})
		// A change of the Claw is a moment at which all of this was looked at.
		update(t, claw, func(c *v1alpha1.Claw) { c.Spec.Purpose = name })
		eventually(t, func() string {
			get(t, claw)
			if got := meta.FindStatusCondition(claw.Status.Conditions, v1alpha1.ConditionNetworkEnforced); got.ObservedGeneration != claw.Generation {
				return "not looked at"
			}
			return ""
		})
		if ips := grantOf(t, claw).Spec.AgentIPs; len(ips) != 0 {
			t.Errorf("%s: the grant names %v", name, ips)
		}
		remove(t, forged, client.GracePeriodSeconds(0))
	}

	agent := agentPod(t, claw, func(s *corev1.PodStatus) {
		s.PodIP, s.PodIPs = "10.0.0.9", []corev1.PodIP{{IP: "10.0.0.9"}}
		s.InitContainerStatuses = []corev1.ContainerStatus{{Name: cage.ContainerProbe, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	})
	remove(t, impostor, client.GracePeriodSeconds(0))

	// What the probe found reaches the Claw's owner in its own words.
	kubelet(t, agent, func(s *corev1.PodStatus) {
		s.InitContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Message: "the agent reaches the API server (tcp 10.96.0.1:443)"}
	})
	condition(t, claw, v1alpha1.ConditionNetworkEnforced, v1alpha1.ReasonNetworkNotEnforced)
	condition(t, claw, v1alpha1.ConditionStalled, v1alpha1.ReasonNetworkNotEnforced)
	if ips := grantOf(t, claw).Spec.AgentIPs; len(ips) != 0 {
		t.Errorf("the grant names %v before the proof", ips)
	}
	// Another network, and the proof is given.
	kubelet(t, agent, proved)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if ips := grantOf(t, claw).Spec.AgentIPs; len(ips) != 1 {
		t.Errorf("the grant names %v after the proof", ips)
	}
	// A pod that goes takes its address with it.
	remove(t, agent, client.GracePeriodSeconds(0))
	eventually(t, func() string {
		if ips := grantOf(t, claw).Spec.AgentIPs; len(ips) != 0 {
			return strings.Join(ips, ",")
		}
		return ""
	})
}

// TestWordsOfTheDead: what a gateway has said is forgotten when its pod is gone, and the next one's counts.
func TestWordsOfTheDead(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	first := podWith(t, claw, v1alpha1.ComponentGateway)
	remove(t, first, client.GracePeriodSeconds(0))
	condition(t, claw, v1alpha1.ConditionGatewayReady, v1alpha1.ReasonProgressing)
	eventually(t, func() string {
		if words := grantOf(t, claw).Status.Gateways; len(words) != 0 {
			return words[0].PodName + " is gone and still heard"
		}
		return ""
	})
	enforce(t, claw, gatewayPod(t, claw))
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

func TestAgentFailing(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	agent := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-agent-0"}}
	kubelet(t, agent, func(s *corev1.PodStatus) {
		s.Conditions[0].Status = corev1.ConditionFalse
		s.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		s.ContainerStatuses[0].LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}
	})
	condition(t, claw, v1alpha1.ConditionRuntimeReady, v1alpha1.ReasonAgentFailing)
	condition(t, claw, v1alpha1.ConditionNetworkEnforced, v1alpha1.ReasonReady)
	if claw.Status.State != v1alpha1.PhasePending {
		t.Errorf("state %s", claw.Status.State)
	}
}

func children(claw *v1alpha1.Claw) []client.Object {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: claw.Namespace, Name: name} }
	gateway, agent := cage.GatewayName(claw.Name), cage.AgentName(claw.Name)
	return []client.Object{
		&v1alpha1.ClawGrant{ObjectMeta: named(claw.Name)},
		&corev1.ServiceAccount{ObjectMeta: named(gateway)}, &corev1.ServiceAccount{ObjectMeta: named(agent)},
		&rbacv1.Role{ObjectMeta: named(gateway)}, &rbacv1.RoleBinding{ObjectMeta: named(gateway)},
		&rbacv1.Role{ObjectMeta: named(cage.OwnerName(claw.Name))}, &rbacv1.RoleBinding{ObjectMeta: named(cage.OwnerName(claw.Name))},
		&corev1.Secret{ObjectMeta: named(gateway)}, &corev1.Secret{ObjectMeta: named(agent)},
		&corev1.Service{ObjectMeta: named(gateway)}, &corev1.Service{ObjectMeta: named(agent)},
		&networkingv1.NetworkPolicy{ObjectMeta: named(gateway)}, &networkingv1.NetworkPolicy{ObjectMeta: named(agent)},
		&appsv1.Deployment{ObjectMeta: named(gateway)}, &appsv1.StatefulSet{ObjectMeta: named(agent)},
		&corev1.ConfigMap{ObjectMeta: named(cage.ProbeName(claw.Name))},
	}
}

// TestProbePlan: what an agent is probed against is what this cluster really has, and a sibling.
func TestProbePlan(t *testing.T) {
	c := newCage(t)
	c.policy()
	sibling := c.running("sibling")
	claw := c.claw("triage")
	gatewayPod(t, claw)
	plan := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.ProbeName(claw.Name)}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName(sibling.Name)}}
	get(t, service)
	eventually(t, func() string {
		if !get(t, plan) {
			return "there is no plan"
		}
		p, err := probe.ParsePlan(plan.Data[cage.KeyProbePlan])
		if err != nil {
			return err.Error()
		}
		found := map[string]bool{}
		for _, f := range p.Forbidden {
			found[f.Name] = true
			if f.Name == "a sibling's gateway" && f.Address.Addr().String() != service.Spec.ClusterIP {
				return "the sibling is at " + f.Address.String()
			}
		}
		for _, name := range []string{"the API server", "the gateway's inbound port", "the gateway's health port", "a sibling's gateway"} {
			if !found[name] {
				return name + " is not probed: " + plan.Data[cage.KeyProbePlan]
			}
		}
		if len(p.NodePorts) == 0 {
			return "the API server's port is not tried on the node"
		}
		return ""
	})
}

// TestUpstreamCAs: an organization's own roots reach its gateways, whenever they come, and nothing else
// of what lies beside them does.
func TestUpstreamCAs(t *testing.T) {
	roots := "roots-" + rand.String(5)
	c := newCage(t, func(o *v1alpha1.ClawOrganization) {
		o.Spec.UpstreamCAs = &v1alpha1.ConfigMapReference{ConfigMap: v1alpha1.ObjectName(roots)}
	})
	c.policy()
	claw := c.running("triage")
	eventually(t, func() string {
		get(t, claw)
		if !strings.Contains(brief(claw.Status.Conditions), roots) {
			return "nobody is told that the roots are missing"
		}
		return ""
	})
	ca, err := pki.NewCA("corporate", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: roots},
		Data:       map[string]string{"ca.crt": "# ours\n" + string(ca.Cert)},
	})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	eventually(t, func() string {
		get(t, secret)
		if string(secret.Data[cage.KeyUpstreamCA]) != string(ca.Cert) {
			return "the gateway does not have the roots"
		}
		return ""
	})
}

// TestNotACage: the manager has no right where it has made no cage, and does nothing there. Admission says so
// to whoever puts a Claw there.
func TestNotACage(t *testing.T) {
	namespace := "plain-" + rand.String(5)
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	c := cageOf{t, namespace}
	claw := c.clawOf("triage")
	create(t, claw)
	p := c.policy()
	cred := c.credential("triage", "triage-slack")
	// The organization comes later, and must not adopt what it did not ask for: the namespace is not labelled.
	create(t, organizationOf(namespace))
	c.organizationReady(v1alpha1.ReasonNamespaceNotOurs)
	settled(t)
	for _, o := range []client.Object{claw, p, cred} {
		before := o.GetResourceVersion()
		if !get(t, o) || o.GetResourceVersion() != before {
			t.Errorf("something was written into %s %s", kindOf(o), o.GetName())
		}
	}
	for _, child := range children(claw) {
		if get(t, child) {
			t.Errorf("%s %s was made", kindOf(child), child.GetName())
		}
	}
	remove(t, claw)
	gone(t, claw)
}

func TestOutOfScope(t *testing.T) {
	c := newCage(t)
	c.policy(func(p *v1alpha1.ClawPolicy) { p.Spec.Allow.Models = nil })
	claw := c.claw("triage")
	gateway := gatewayPod(t, claw)
	agentPod(t, claw, proved)
	enforce(t, claw, gateway)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonOutOfScope)
	// It runs, on what is allowed.
	eventually(t, func() string {
		get(t, claw)
		if claw.Status.State != v1alpha1.PhaseActive || len(claw.Status.Withheld) == 0 {
			return string(claw.Status.State) + brief(claw.Status.Conditions)
		}
		return ""
	})
	if grant := grantOf(t, claw); len(grant.Spec.Models) != 0 || len(grant.Spec.Channels) != 1 {
		t.Errorf("the grant is not the intersection: %+v", grant.Spec)
	}
}

// TestPolicyEdit: a policy that is narrowed narrows the grant, the gateway has to say so again, the key
// that is needed no more is taken away, and the agent is not restarted.
func TestPolicyEdit(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.running("triage")
	before := grantOf(t, claw)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}
	get(t, set)
	generation := set.Generation

	update(t, p, func(p *v1alpha1.ClawPolicy) {
		p.Spec.Deny.Models = []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}}
	})
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	condition(t, claw, v1alpha1.ConditionGatewayReady, v1alpha1.ReasonProgressing)
	after := grantOf(t, claw)
	if after.Spec.Hash == before.Spec.Hash || len(after.Spec.Models) != 0 || after.Spec.Withheld[0].Policy != "everything" {
		t.Errorf("the grant was not narrowed: %+v", after.Spec)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	eventually(t, func() string {
		get(t, secret)
		if len(secret.Data["credential.triage-anthropic.apiKey"]) > 0 {
			return "the gateway keeps a key it may not use"
		}
		return ""
	})
	get(t, set)
	if set.Generation != generation {
		t.Error("the agent is restarted")
	}
}

func TestRuntimeClass(t *testing.T) {
	class := "sandbox-" + rand.String(5)
	required := func(o *v1alpha1.ClawOrganization) { o.Spec.Sandbox.RuntimeClassName = v1alpha1.ObjectName(class) }
	c := newCage(t, required)
	c.policy()
	claw := c.claw("triage")
	condition(t, claw, v1alpha1.ConditionStalled, v1alpha1.ReasonRuntimeClassMissing)
	gatewayPod(t, claw)
	if get(t, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}) {
		t.Error("the agent is started without its sandbox")
	}
	// With Preferred it runs with the default runtime.
	preferred := newCage(t, required, func(o *v1alpha1.ClawOrganization) { o.Spec.Sandbox.RuntimeClass = v1alpha1.RuntimeClassPreferred })
	preferred.policy()
	agent := agentPod(t, preferred.claw("triage"), proved)
	if agent.Spec.RuntimeClassName != nil {
		t.Errorf("runtime class %s", *agent.Spec.RuntimeClassName)
	}
	// The class comes, and so does the agent.
	create(t, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Handler: "runsc"})
	agent = agentPod(t, claw, proved)
	if agent.Spec.RuntimeClassName == nil || *agent.Spec.RuntimeClassName != class {
		t.Error("the agent has no sandbox")
	}
}

func TestStopped(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.State = v1alpha1.OrganizationStopped })
	c.organizationReady(v1alpha1.ReasonStopped)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonStopped)
	if claw.Status.State != v1alpha1.PhaseStopped {
		t.Errorf("state %s", claw.Status.State)
	}
	eventually(t, func() string {
		grant := grantOf(t, claw)
		set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}
		get(t, set)
		if grant.Spec.State != v1alpha1.GrantStopped || len(grant.Spec.AgentIPs) > 0 || *set.Spec.Replicas != 0 {
			return "the agent is not stopped"
		}
		return ""
	})
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.State = v1alpha1.OrganizationActive })
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)
	eventually(t, func() string {
		if grantOf(t, claw).Spec.State != v1alpha1.GrantActive {
			return "the grant is not Active again"
		}
		return ""
	})
}

func TestOwnerLeaves(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	update(t, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Members = o.Spec.Members[1:]
	})
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonOwnerNotMember)
	if grant := grantOf(t, claw); len(grant.Spec.Channels)+len(grant.Spec.Models) > 0 {
		t.Errorf("the grant still gives something: %+v", grant.Spec)
	}
}

func TestQuotaExceeded(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.claw("triage")
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	eventually(t, func() string {
		if !get(t, d) {
			return "there is no Deployment"
		}
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "x" is forbidden: exceeded quota: clawstaff`}}
		if err := api.Status().Update(context.Background(), d); err != nil {
			return err.Error()
		}
		return ""
	})
	condition(t, claw, v1alpha1.ConditionGatewayReady, v1alpha1.ReasonQuotaExceeded)
}
