package cage

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/probe"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, objects []Object) {
	t.Helper()
	var got bytes.Buffer
	for _, o := range objects {
		data, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("---\n")
		got.Write(data)
	}
	path := filepath.Join("testdata", name+".yaml")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", path, diff)
	}
}

func organization(change func(*v1alpha1.ClawOrganization)) *v1alpha1.ClawOrganization {
	o := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	if change != nil {
		change(o)
	}
	return o
}

func TestForOrganization(t *testing.T) {
	claws := int32(50)
	cpu, memory, storage := resource.MustParse("40"), resource.MustParse("80Gi"), resource.MustParse("500Gi")
	golden(t, "organization", ForOrganization(organization(nil)))
	golden(t, "organization-quota", ForOrganization(organization(func(o *v1alpha1.ClawOrganization) {
		o.Spec.Namespace = "acme-cage"
		o.Spec.Quota = v1alpha1.Quota{Claws: &claws, CPU: &cpu, Memory: &memory, Storage: &storage}
	})))
}

func clawInput(change func(*ClawInput)) ClawInput {
	in := ClawInput{
		Settings: Settings{
			OperatorNamespace: "clawstaff-system", GatewayImage: "clawstaff.dev/gateway:dev", PullPolicy: corev1.PullIfNotPresent,
			LedgerURL: "https://clawstaff-ledger.clawstaff-system.svc:4318",
		},
		Platform: Platform{APIServerPorts: []int32{6443}},
		Claw: &v1alpha1.Claw{
			ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme", UID: "claw-uid"},
			Spec: v1alpha1.ClawSpec{
				Owner: "sarah@acme.example", Purpose: "p", Visibility: v1alpha1.VisibilityPrivate,
				Channels: []v1alpha1.ChannelRequest{{ChannelRule: v1alpha1.ChannelRule{Connector: "slack"}, Credential: "triage-slack"}},
				Models:   []v1alpha1.ModelRequest{{ModelRule: v1alpha1.ModelRule{Connector: "anthropic"}, Credential: "triage-anthropic"}},
				Runtime:  v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "agent:1"}},
			},
		},
		Grant: v1alpha1.ClawGrantSpec{
			ClawUID: "claw-uid", Hash: "h", State: v1alpha1.GrantActive, AgentIPs: []string{"10.0.0.9"},
			AgentPort: 8080, AgentPath: "/messages", Visibility: v1alpha1.VisibilityPrivate,
		},
		Keys:        Keys{CACert: []byte("CERT"), CAKey: []byte("KEY"), ProxyPassword: []byte("pw"), ResignSecret: []byte("rs")},
		Credentials: map[string][]byte{CredentialKey("triage-slack", "botToken"): []byte("xoxb")},
		LedgerCA:    []byte("LEDGER"),
		GatewayIP:   "10.96.0.7",
		People:      People{Usernames: []string{"sarah", "sarah@acme.example"}, Credentials: []string{"triage-anthropic", "triage-slack"}},
		Agent: Agent{
			Replicas: 1, RuntimeClassName: "gvisor", ProbePlan: "{}",
			Files: []File{{Credential: "triage-anthropic", Slot: "apiKey"}, {Credential: "triage-slack", Slot: "botToken"}},
			Placeholders: []Placeholder{
				{Name: "SLACK_BOT_TOKEN", Value: "xoxb-claw-placeholder"},
				{Name: "SLACK_SIGNING_SECRET", Resign: true},
				{Name: "ANTHROPIC_API_KEY", Value: "sk-ant-claw-placeholder"},
			},
		},
	}
	if change != nil {
		change(&in)
	}
	return in
}

func build(t *testing.T, in ClawInput) []Object {
	t.Helper()
	objects, err := ForClaw(in)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Names of children are derived from names of Claws, which people choose: no two Claws have a child in common,
// nor one with the cage.
func TestNoTwoClawsShareAChild(t *testing.T) {
	of := map[string]string{}
	add := func(claw string, objects []Object) {
		for _, o := range objects {
			key := *o.GetKind() + " " + *o.GetName()
			if other, taken := of[key]; taken {
				t.Errorf("%s is of %s and of %s", key, other, claw)
			}
			of[key] = claw
		}
	}
	add("the cage", ForOrganization(organization(nil)))
	for _, name := range []string{"a", "a-gateway", "a-agent", "a-probe", "a-gateway-gateway", "a-agent-0", "gateway", "agent", "workspace-a", "clawstaff", "clawstaff-default-deny"} {
		in := clawInput(func(in *ClawInput) { in.Claw.Name = name })
		add(name, build(t, in))
		if key := "PersistentVolumeClaim " + WorkspaceClaim(name); of[key] != "" {
			t.Errorf("%s is of %s and of %s", key, of[key], name)
		} else {
			of[key] = name
		}
	}
}

// Whatever an agent writes to, somebody has bounded.
func TestNoVolumeIsWithoutBound(t *testing.T) {
	for _, v := range agentPod(clawInput(nil)).Volumes {
		if v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
			t.Errorf("volume %s fills the node's disk", *v.Name)
		}
	}
}

// A limit of zero is none to the kubelet, and to a quota it is nothing: the agent gets the limits of one that asks for nothing.
func TestLimitsOfZero(t *testing.T) {
	zero := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0"), corev1.ResourceMemory: resource.MustParse("0")}
	got := resourcesOf(corev1.ResourceRequirements{Limits: zero}, resources("100m", "256Mi"), resources("1", "1Gi"))
	want := resourcesOf(corev1.ResourceRequirements{}, resources("100m", "256Mi"), resources("1", "1Gi"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestForClaw(t *testing.T) {
	for name, change := range map[string]func(*ClawInput){
		"claw": nil,
		"claw-all": func(in *ClawInput) {
			in.Settings.Resolve = []string{"slack.com=203.0.113.10:443", "api.openai.com=10.1.2.3:8443"}
			in.Settings.InboundFrom = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": "ingress"}}}}
			in.Settings.GatewayPriorityClass = "clawstaff-gateway"
			in.Settings.GatewayResources = corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("96Mi")}}
			in.Platform.DNSHosts = []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("fd00::53")}
			in.UpstreamCA = []byte("ROOTS")
			in.PrivateNetworks = prefixes("10.20.0.0/16", "100.64.0.0/10", "fd12:3456::/32")
			in.Claw.Spec.Resources = corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}}
			run := in.Claw.Spec.Runtime.Container
			run.Command = []string{"node", "agent.js"}
			run.Workspace.SizeGiB = 5
			// What an author sets never displaces what the cage needs.
			run.Env = []v1alpha1.EnvVar{{Name: "LOG_LEVEL", Value: "debug"}, {Name: "ANTHROPIC_API_KEY", Value: "mine"}, {Name: "https_proxy", Value: "http://evil"}, {Name: "HOME", Value: "/tmp"}}
			in.Agent.Replicas, in.Agent.RuntimeClassName = 0, ""
		},
		"claw-without-address": func(in *ClawInput) { in.GatewayIP = "" },
		"claw-held":            func(in *ClawInput) { in.Agent.Hold = true },
		// One key is delivered into the container; its owner has no username, and nobody is bound.
		"claw-container": func(in *ClawInput) {
			in.AgentCredentials = map[string][]byte{CredentialKey("triage-slack", "botToken"): []byte("xoxb")}
			in.People.Usernames = nil
		},
		// A Claw that asks for nothing has no credentials: of no owner, and in no file.
		"claw-alone": func(in *ClawInput) {
			in.Claw.Spec.Channels, in.Claw.Spec.Models = nil, nil
			in.Credentials, in.Agent.Files, in.Agent.Placeholders, in.People.Credentials = nil, nil, nil, nil
			// What the grant says of time and limits is the gateway's to read.
			in.Grant.Schedules = []v1alpha1.Schedule{{TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{v1alpha1.Monday}, Start: "08:00", End: "18:00"}}}}
			in.Grant.ExpiresAt = &metav1.Time{Time: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
			in.Grant.Limits.RequestsPerMinute = 60
		},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, build(t, clawInput(change))) })
	}
}

// TestProbeReadsItsPlan keeps the two names of one variable together: the probe is small, and imports nothing of ours.
func TestProbeReadsItsPlan(t *testing.T) {
	if EnvProbePlan != probe.EnvPlan {
		t.Errorf("the manager writes %s, the probe reads %s", EnvProbePlan, probe.EnvPlan)
	}
}

func TestRemains(t *testing.T) {
	objects, err := Remains(clawInput(func(in *ClawInput) { in.Grant.State, in.Grant.AgentIPs = v1alpha1.GrantRevoked, nil }))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "claw-revoked", objects)
}

// TestNoKeyForTheAgent is I3: whatever the gateway's Secret holds, nothing the agent is given does.
func TestNoKeyForTheAgent(t *testing.T) {
	for _, o := range build(t, clawInput(nil)) {
		if *o.GetName() == GatewayName("triage") && *o.GetKind() == "Secret" {
			continue
		}
		data, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"eG94Yg==", "S0VZ", "xoxb\n"} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s %s holds a secret of the gateway's:\n%s", *o.GetKind(), *o.GetName(), data)
			}
		}
	}
}

// TestDeliveredKeys: a key that is delivered into the container is in the agent's Secret, mounted into the agent
// and never into its probe, which runs before anything is proved.
func TestDeliveredKeys(t *testing.T) {
	key := CredentialKey("triage-slack", "botToken")
	in := clawInput(func(in *ClawInput) { in.AgentCredentials = map[string][]byte{key: []byte("xoxb")} })
	for _, o := range build(t, in) {
		if s, ok := o.(*corev1ac.SecretApplyConfiguration); ok && *s.GetName() == AgentName("triage") && string(s.Data[key]) != "xoxb" {
			t.Errorf("the agent's Secret holds %q", s.Data[key])
		}
	}
	pod := agentPod(in)
	if mounts := pod.InitContainers[0].VolumeMounts; len(mounts) != 0 {
		t.Errorf("the probe mounts %v", mounts)
	}
	var at string
	for _, m := range pod.Containers[0].VolumeMounts {
		if *m.Name == credentialsVolume && *m.ReadOnly {
			at = *m.MountPath
		}
	}
	for _, v := range pod.Volumes {
		if *v.Name != credentialsVolume {
			continue
		}
		for _, item := range v.Secret.Items {
			if *item.Key == key {
				at += "/" + *item.Path
			}
		}
	}
	if want := "/run/clawstaff/credentials/triage-slack/botToken"; at != want {
		t.Errorf("the key is at %q, want %q", at, want)
	}
}

// What an organization's own connectors say of where they are opens exactly that, and never what is nobody's to open.
func TestPrivateNetworks(t *testing.T) {
	for network, want := range map[string]string{
		"10.20.0.0/16": "10.20.0.0/16 []", "10.20.30.40/32": "10.20.30.40/32 []", "10.20.1.2/16": "10.20.0.0/16 []", "192.168.0.0/16": "192.168.0.0/16 []",
		"fd12::/16": "fd12::/16 []", "100.64.0.0/10": "100.64.0.0/10 [100.100.100.200/32]", "fd00::/8": "fd00::/8 [fd00:ec2::/32 fd20:ce::254/128]",
		"0.0.0.0/0": "", "::/0": "", "127.0.0.0/8": "", "127.0.0.1/32": "", "169.254.0.0/16": "", "169.254.169.254/32": "", "100.100.100.200/32": "",
		"fd00:ec2::/32": "", "fd00:ec2::254/128": "", "fe80::/10": "", "::1/128": "", "168.63.129.16/32": "", "8.0.0.0/8": "", "10.0.0.0/7": "", "64:ff9b::/96": "",
	} {
		got := ""
		for _, p := range privatePeers(prefixes(network)) {
			got += fmt.Sprintf("%s %v", *p.IPBlock.CIDR, p.IPBlock.Except)
		}
		if got != want {
			t.Errorf("%s opens %q, want %q", network, got, want)
		}
	}
}

// The agent reaches its gateway by TCP, and by UDP for names alone: there is no QUIC, on no port. What the Service leads to
// are the ports that the policies open, and the container's.
func TestAgentPorts(t *testing.T) {
	opened := map[string]bool{}
	for _, p := range agentPorts() {
		opened[fmt.Sprint(*p.Protocol, p.Port.IntValue())] = true
	}
	if diff := cmp.Diff(map[string]bool{"TCP3128": true, "TCP8443": true, "TCP8080": true, "UDP5353": true, "TCP5353": true}, opened); diff != "" {
		t.Error(diff)
	}
	listens := map[string]bool{}
	for _, p := range gatewayContainer(clawInput(nil)).Ports {
		listens[fmt.Sprint(*p.Protocol, *p.ContainerPort)] = true
		if *p.ContainerPort < 1024 {
			t.Errorf("port %d takes a right the gateway has not", *p.ContainerPort)
		}
	}
	for _, o := range services(clawInput(nil).Claw) {
		s := o.(*corev1ac.ServiceApplyConfiguration)
		for _, p := range s.Spec.Ports {
			target := fmt.Sprint(*p.Protocol, p.TargetPort.IntValue())
			if !listens[target] || *p.Name != "inbound" && !opened[target] {
				t.Errorf("port %s leads to %s, where nothing is", *p.Name, target)
			}
		}
	}
}

// TestStableAgent is I10: neither a grant, nor its addresses, nor a sibling changes the agent's pod.
func TestStableAgent(t *testing.T) {
	template := func(change func(*ClawInput)) string {
		for _, o := range build(t, clawInput(change)) {
			if *o.GetKind() == "StatefulSet" {
				data, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
		}
		t.Fatal("no StatefulSet")
		return ""
	}
	before := template(nil)
	for name, change := range map[string]func(*ClawInput){
		"grant":       func(in *ClawInput) { in.Grant.Hash, in.Grant.AgentIPs = "other", nil },
		"sibling":     func(in *ClawInput) { in.Agent.ProbePlan = "{other}" },
		"credentials": func(in *ClawInput) { in.Credentials = nil },
		"delivery": func(in *ClawInput) {
			in.AgentCredentials = map[string][]byte{CredentialKey("triage-slack", "botToken"): []byte("xoxb")}
		},
		"owner": func(in *ClawInput) { in.People = People{Usernames: []string{"lee"}} },
	} {
		if diff := cmp.Diff(before, template(change)); diff != "" {
			t.Errorf("a change of the %s restarts the agent:\n%s", name, diff)
		}
	}
}
