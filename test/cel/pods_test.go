package cel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

const (
	replicaSets  = "system:serviceaccount:kube-system:replicaset-controller"
	statefulSets = "system:serviceaccount:kube-system:statefulset-controller"
)

// built are the pods of a golden file of the cage's builders, as Kubernetes' controllers make them: of the
// gateway's Deployment and of the agent's StatefulSet, in a namespace.
func built(file, namespace string) (gateway, agent *corev1.Pod, err error) {
	data, err := os.ReadFile(filepath.Join(controlplane.Root(), "internal", "cage", "testdata", file))
	if err != nil {
		return nil, nil, err
	}
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := d.Decode(u); errors.Is(err, io.EOF) {
			return gateway, agent, nil
		} else if err != nil {
			return nil, nil, err
		}
		switch u.GetKind() {
		case "Deployment":
			var o appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
				return nil, nil, err
			}
			gateway = controlled("ReplicaSet", o.Name+"-5d4f8c", o.Name+"-5d4f8c-x7k2p", namespace, o.Spec.Template)
			gateway.Labels["pod-template-hash"] = "5d4f8c"
		case "StatefulSet":
			var o appsv1.StatefulSet
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
				return nil, nil, err
			}
			agent = controlled("StatefulSet", o.Name, o.Name+"-0", namespace, o.Spec.Template)
			agent.Labels["statefulset.kubernetes.io/pod-name"] = agent.Name
			for _, claim := range o.Spec.VolumeClaimTemplates {
				agent.Spec.Volumes = append(agent.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + agent.Name}}})
			}
		}
	}
}

func controlled(kind, owner, name, namespace string, template corev1.PodTemplateSpec) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	p.Name, p.Namespace = name, namespace
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner, UID: "1", Controller: new(true), BlockOwnerDeletion: new(true)}}
	return p
}

// mustBuild is built for tables; a golden file that cannot be read fails the first test that needs it.
func mustBuild(namespace string) (gateway, agent *corev1.Pod) {
	gateway, agent, err := built("claw.yaml", namespace)
	if err != nil || gateway == nil || agent == nil {
		panic(fmt.Sprintf("no pods in the golden file of the cage's builders: %v", err))
	}
	return gateway, agent
}

// The pods that the cage's builders ask for are taken, in every golden file, as Kubernetes' controllers make them.
func TestThePodsOfClawsAreTaken(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(controlplane.Root(), "internal", "cage", "testdata", "claw*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	agents := 0
	for _, path := range files {
		file := filepath.Base(path)
		for _, namespace := range []string{strict, lenient, cage} {
			gateway, agent, err := built(file, namespace)
			if err != nil {
				t.Fatal(err)
			}
			if gateway != nil {
				take(t, file, replicaSets, gateway)
			}
			// The sandbox is the organization's; a golden file has one or none.
			if agent == nil || (namespace == strict) != (agent.Spec.RuntimeClassName != nil) && namespace != lenient {
				continue
			}
			take(t, file, statefulSets, agent)
			agents++
		}
	}
	if agents < 3 {
		t.Errorf("only %d agents were tried", agents)
	}
}

func take(t *testing.T, file, user string, p *corev1.Pod) {
	t.Helper()
	if err := as(user).Create(t.Context(), p, client.DryRunAll); err != nil {
		t.Errorf("%s of %s in namespace %s: %v", p.Name, file, p.Namespace, err)
	}
}

// pods makes attacks of changed pods.
func changed(p *corev1.Pod, changes map[string]func(*corev1.Pod)) []attack {
	var out []attack
	for name, change := range changes {
		rogue := p.DeepCopy()
		change(rogue)
		out = append(out, attack{name, create(rogue)})
	}
	return out
}

// first gives a change of the first container of a pod.
func first(change func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { change(&p.Spec.Containers[0]) }
}

// secured gives a change of the first container's security context.
func secured(change func(*corev1.SecurityContext)) func(*corev1.Pod) {
	return first(func(c *corev1.Container) { change(c.SecurityContext) })
}

func volume(source corev1.VolumeSource) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "rogue", VolumeSource: source})
	}
}

func podRefusals() []refusal {
	gateway, agent := mustBuild(strict)
	for _, p := range []*corev1.Pod{gateway, agent} {
		p.Name += "-rogue"
	}
	// Whoever makes pods in a cage is one of these, by right or not.
	makers := []string{robot, glazier, node}
	onlySecret := func(name string) []attack {
		ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "ca.key"}
		return changed(agent, map[string]func(*corev1.Pod){
			"mount the Secret " + name: volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}),
			"the Secret " + name + " in a variable": first(func(c *corev1.Container) {
				c.Env = append(c.Env, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}})
			}),
			"the Secret " + name + " in all variables": first(func(c *corev1.Container) {
				c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref.LocalObjectReference}}}
			}),
			"the Secret " + name + " in the probe's variables": func(p *corev1.Pod) {
				p.Spec.InitContainers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref.LocalObjectReference}}}
			},
		})
	}
	return []refusal{
		{podsPolicy, "nobody enters a cage", []string{"mallory", robot}, true, []attack{{"ephemeral container", ephemeralContainer}}},
		{podsPolicy, "say what the pod may reach, and are never", makers, false, []attack{
			{"relabel a gateway as an agent", patch(&corev1.Pod{ObjectMeta: in("triage-gateway-0")}, `{"metadata":{"labels":{"clawstaff.dev/component":"agent"}}}`)},
			{"relabel a gateway as a sibling's", patch(&corev1.Pod{ObjectMeta: in("triage-gateway-0")}, `{"metadata":{"labels":{"clawstaff.dev/claw":"sibling"}}}`)},
			{"take the labels off a gateway", patch(&corev1.Pod{ObjectMeta: in("triage-gateway-0")}, `{"metadata":{"labels":null}}`)},
		}},
		{podsPolicy, "only gateways and agents of Claws run there", makers, false, append(
			changed(gateway, map[string]func(*corev1.Pod){
				"a pod of no Claw":                       func(p *corev1.Pod) { delete(p.Labels, v1alpha1.LabelClaw) },
				"a pod of no component":                  func(p *corev1.Pod) { delete(p.Labels, v1alpha1.LabelComponent) },
				"a pod of another component":             func(p *corev1.Pod) { p.Labels[v1alpha1.LabelComponent] = "owner" },
				"a pod with a sibling's account":         func(p *corev1.Pod) { p.Spec.ServiceAccountName = "sibling-gateway" },
				"a gateway with the agent's account":     func(p *corev1.Pod) { p.Spec.ServiceAccountName = "triage-agent" },
				"a gateway with the default account":     func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" },
				"a gateway of a Claw named like another": func(p *corev1.Pod) { p.Labels[v1alpha1.LabelClaw] = "triage-gateway" },
			}), changed(agent, map[string]func(*corev1.Pod){
				"an agent with the gateway's account":  func(p *corev1.Pod) { p.Spec.ServiceAccountName = "triage-gateway" },
				"an agent with a sibling's account":    func(p *corev1.Pod) { p.Spec.ServiceAccountName = "sibling-agent" },
				"an agent that calls itself a sibling": func(p *corev1.Pod) { p.Labels[v1alpha1.LabelClaw] = "sibling" },
			})...)},
		{podsPolicy, "the one resolver of an agent", makers, false, changed(agent, map[string]func(*corev1.Pod){
			"the cluster's resolver": func(p *corev1.Pod) { p.Spec.DNSPolicy, p.Spec.DNSConfig = corev1.DNSClusterFirst, nil },
			"the cluster's, besides": func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSClusterFirst },
			"the node's resolver":    func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSDefault },
			"a second resolver":      func(p *corev1.Pod) { p.Spec.DNSConfig.Nameservers = append(p.Spec.DNSConfig.Nameservers, "10.96.0.10") },
			"a domain to search in":  func(p *corev1.Pod) { p.Spec.DNSConfig.Searches = []string{"evil.example"} },
			"a name that leads inside": func(p *corev1.Pod) {
				p.Spec.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"slack.com"}}}
			},
		})},
		{podsPolicy, "its one owner is to be", makers, false, append(
			changed(gateway, map[string]func(*corev1.Pod){
				"a pod of nobody":      func(p *corev1.Pod) { p.OwnerReferences = nil },
				"a pod of a DaemonSet": func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" },
				"a pod of a Job":       func(p *corev1.Pod) { p.OwnerReferences[0].Kind, p.OwnerReferences[0].APIVersion = "Job", "batch/v1" },
				"a pod of a node": func(p *corev1.Pod) {
					p.OwnerReferences[0] = metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "one", UID: "1"}
				},
				"a gateway of another's set":   func(p *corev1.Pod) { p.OwnerReferences[0].Name = "sibling-gateway-5d4f8c" },
				"a gateway of a longer name":   func(p *corev1.Pod) { p.OwnerReferences[0].Name = "triage-gateway-gateway-5d4f8c" },
				"a gateway that is owned only": func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil },
				"a gateway with two owners": func(p *corev1.Pod) {
					p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "2"})
				},
			}), changed(agent, map[string]func(*corev1.Pod){
				"an agent of a ReplicaSet":  func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet" },
				"an agent of another's set": func(p *corev1.Pod) { p.OwnerReferences[0].Name = "sibling-agent" },
				"an agent of the same name": func(p *corev1.Pod) { p.OwnerReferences[0].APIVersion = "example.com/v1" },
				"an agent of nobody":        func(p *corev1.Pod) { p.OwnerReferences = nil },
			})...)},
		{podsPolicy, "would take it out of its cage and onto the node", makers, false, changed(agent, map[string]func(*corev1.Pod){
			"host network": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
			"host PID":     func(p *corev1.Pod) { p.Spec.HostPID = true },
			"host IPC":     func(p *corev1.Pod) { p.Spec.HostIPC = true },
			"host port":    first(func(c *corev1.Container) { c.Ports[0].HostPort = 8080 }),
			"a device": func(p *corev1.Pod) {
				p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new("gpu")}}
			},
		})},
		{podsPolicy, "an agent has no token", makers, false, changed(agent, map[string]func(*corev1.Pod){
			"a token by default": func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = nil },
			"a token":            func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(true) },
			"a projected token": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
				ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "vault"}}}}}),
		})},
		{podsPolicy, "its volumes may be emptyDir, configMap and secret", makers, false, append(
			changed(agent, map[string]func(*corev1.Pod){
				"the node's files":      volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}),
				"a file server":         volume(corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}),
				"a driver":              volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "secrets-store.csi.k8s.io"}}),
				"a sibling's workspace": volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "workspace-sibling-agent-0"}}),
				"an ephemeral volume": volume(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
					Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: storage}}}}}),
				"a projected Secret": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
					Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "triage-gateway"}}}}}}),
			}), changed(gateway, map[string]func(*corev1.Pod){
				"the workspace in the gateway": volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "workspace-triage-agent-0"}}),
				"a sibling's Secret, projected": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
					Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "sibling-gateway"}}}}}}),
			})...)},
		{podsPolicy, "because each other one is a key of somebody else", makers, false, append(append(onlySecret("triage-gateway"), onlySecret("sibling-agent")...), onlySecret("key")...)},
		{podsPolicy, "its containers are to run unprivileged", makers, false, append(changed(agent, map[string]func(*corev1.Pod){
			"privileged": secured(func(s *corev1.SecurityContext) { s.Privileged, s.AllowPrivilegeEscalation = new(true), nil }),
			"escalation": secured(func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = nil }),
			"added capabilities": secured(func(s *corev1.SecurityContext) {
				s.Capabilities.Add = []corev1.Capability{"NET_BIND_SERVICE"}
			}),
			"kept capabilities":     secured(func(s *corev1.SecurityContext) { s.Capabilities = nil }),
			"no security context":   first(func(c *corev1.Container) { c.SecurityContext = nil }),
			"root":                  secured(func(s *corev1.SecurityContext) { s.RunAsUser = new(int64(0)) }),
			"root, for all":         func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsUser = new(int64(0)) },
			"perhaps root":          secured(func(s *corev1.SecurityContext) { s.RunAsNonRoot = new(false) }),
			"perhaps root, for all": func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsNonRoot = nil },
			"unconfined": secured(func(s *corev1.SecurityContext) {
				s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
			}),
			"no seccomp profile": func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile = nil },
			"no AppArmor": secured(func(s *corev1.SecurityContext) {
				s.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
			}),
			"another SELinux type": secured(func(s *corev1.SecurityContext) { s.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"} }),
			"a sysctl": func(p *corev1.Pod) {
				p.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}
			},
			"a privileged init container": func(p *corev1.Pod) {
				p.Spec.InitContainers[0].SecurityContext.Privileged, p.Spec.InitContainers[0].SecurityContext.AllowPrivilegeEscalation = new(true), nil
			},
		}), attack{"an unmasked /proc", func(ctx context.Context, c client.Client, k *kubernetes.Clientset) error {
			p := agent.DeepCopy()
			unmasked := corev1.UnmaskedProcMount
			p.Spec.HostUsers, p.Spec.Containers[0].SecurityContext.ProcMount = new(false), &unmasked
			return create(p)(ctx, c, k)
		}})},
		{podsPolicy, "agents run in the sandbox of their organization", makers, false, changed(agent, map[string]func(*corev1.Pod){
			"no sandbox where one is required": func(p *corev1.Pod) { p.Spec.RuntimeClassName = nil },
			"another sandbox":                  func(p *corev1.Pod) { p.Spec.RuntimeClassName = new("runc") },
			"another sandbox where one is preferred": func(p *corev1.Pod) {
				p.Namespace, p.Spec.RuntimeClassName = lenient, new("runc")
			},
			"a sandbox where there is none": func(p *corev1.Pod) { p.Namespace = cage },
		})},
	}
}

// A pod that was taken goes on when the rules change: its status is written, and it is labelled and deleted.
func TestPodsThatRunAreLeftInPeace(t *testing.T) {
	p := pod("triage-gateway-old")
	if err := k8s.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := as(robot).Patch(t.Context(), p, merge(`{"metadata":{"labels":{"example.com/seen":"yes"},"ownerReferences":null}}`)); err != nil {
		t.Errorf("labels and owners: %v", err)
	}
	if err := as(robot).Patch(t.Context(), p, merge(`{"spec":{"activeDeadlineSeconds":3600}}`)); err != nil {
		t.Errorf("a change of the spec that is within the rules: %v", err)
	}
	if err := as(node).Status().Patch(t.Context(), p, merge(`{"status":{"phase":"Running"}}`)); err != nil {
		t.Errorf("status: %v", err)
	}
	// Whoever breaks the glass looks into it, as restricted as the pod is.
	if err := ephemeralIn(t.Context(), clientset(glazier), p.Name); err != nil {
		t.Errorf("who breaks the glass: %v", err)
	}
	if err := as(robot).Delete(t.Context(), p); err != nil {
		t.Errorf("delete: %v", err)
	}
}
