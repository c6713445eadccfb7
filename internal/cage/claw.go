package cage

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// ClawInput is everything the objects of a Claw follow from.
type ClawInput struct {
	Settings Settings
	Platform Platform
	Claw     *v1alpha1.Claw
	// Grant is compiled; its agentIPs are those of pods that have proved their cage.
	Grant v1alpha1.ClawGrantSpec
	Keys  Keys
	// Credentials holds the slots the gateway may use, under their CredentialKey.
	Credentials map[string][]byte
	// AgentCredentials are those of them that the agent has as files too, because their credential says so.
	AgentCredentials map[string][]byte
	// People are whom the Claw belongs to.
	People People
	// UpstreamCA is PEM, of the organization; LedgerCA of the installation.
	UpstreamCA, LedgerCA []byte
	// GatewayIP is the address of the gateway's Service. Without one there is neither a gateway yet, which tells it to its
	// agent under every name, nor an agent.
	GatewayIP string
	// PrivateNetworks are those in which services of the organization's own are that the grant has.
	PrivateNetworks []netip.Prefix
	// Agent says how the agent runs.
	Agent Agent
}

// Platform is what the cluster itself looks like.
type Platform struct {
	// APIServerPorts are the ports of the API server's endpoints.
	APIServerPorts []int32
	// DNSHosts are resolvers of the cluster that are no pods.
	DNSHosts []netip.Addr
}

// Keys are made once for a Claw and kept.
type Keys struct {
	// CACert and CAKey are PEM: the CA that only this Claw's agent trusts.
	CACert, CAKey []byte
	// ProxyPassword opens the gateway's proxy port, ResignSecret signs messages to the agent. Both are text.
	ProxyPassword, ResignSecret []byte
}

// Agent says how an agent runs.
type Agent struct {
	// Hold keeps the agent from being made at all.
	Hold bool
	// Replicas is 1, or 0 while it is stopped.
	Replicas int32
	// RuntimeClassName is the sandbox, or empty for the cluster's default runtime.
	RuntimeClassName string
	// Placeholders stand where software expects keys.
	Placeholders []Placeholder
	// Files are where a key would be, if its credential is delivered into the container.
	Files []File
	// ProbePlan is what the probe must and must not reach.
	ProbePlan string
}

// File is one slot of one credential.
type File struct{ Credential, Slot string }

// Placeholder is a variable by which software expects a key.
type Placeholder struct {
	Name, Value string
	// Resign gives it the Claw's own re-signing secret instead of Value.
	Resign bool
}

// ForClaw is all that runs for a Claw, in the order it is made: closed before open, gateway before agent.
func ForClaw(in ClawInput) ([]Object, error) {
	claw := in.Claw
	objects, err := Remains(in)
	if err != nil {
		return nil, err
	}
	objects = append(objects,
		serviceAccount(claw, GatewayName(claw.Name), v1alpha1.ComponentGateway),
		serviceAccount(claw, AgentName(claw.Name), v1alpha1.ComponentAgent))
	objects = append(objects, role(claw)...)
	objects = append(objects, services(claw)...)
	objects = append(objects, gatewaySecret(in))
	// The API server gives the Service its address, with the Service or soon after it.
	if in.GatewayIP == "" {
		return objects, nil
	}
	objects = append(objects, gatewayDeployment(in), agentSecret(in))
	if in.Agent.Hold {
		return objects, nil
	}
	return append(objects, probePlan(in), agentStatefulSet(in)), nil
}

// Remains is what stays of a Claw that is over: the grant that says so, the walls, and whose it was.
func Remains(in ClawInput) ([]Object, error) {
	grant, err := Grant(in.Claw, in.Grant)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]Object{grant}, networkPolicies(in), people(in)), nil
}

func gatewaySecret(in ClawInput) Object {
	data := map[string][]byte{
		KeyCACert:        in.Keys.CACert,
		KeyCAKey:         in.Keys.CAKey,
		KeyProxyPassword: in.Keys.ProxyPassword,
		KeyResignSecret:  in.Keys.ResignSecret,
		KeyLedgerCA:      in.LedgerCA,
	}
	if len(in.UpstreamCA) > 0 {
		data[KeyUpstreamCA] = in.UpstreamCA
	}
	for key, value := range in.Credentials {
		data[key] = value
	}
	return child(corev1ac.Secret(GatewayName(in.Claw.Name), in.Claw.Namespace), in.Claw, v1alpha1.ComponentGateway).
		WithType(SecretTypeGateway).WithData(data)
}

// agentSecret holds nothing that opens anything but the agent's own gateway, but for keys whose owner has
// them delivered into the container.
func agentSecret(in ClawInput) Object {
	data := map[string][]byte{
		KeyCACert:       in.Keys.CACert,
		KeyResignSecret: in.Keys.ResignSecret,
		KeyProxyURL:     []byte(proxyURL(in)),
	}
	maps.Copy(data, in.AgentCredentials)
	return child(corev1ac.Secret(AgentName(in.Claw.Name), in.Claw.Namespace), in.Claw, v1alpha1.ComponentAgent).
		WithType(SecretTypeAgent).WithData(data)
}

func proxyURL(in ClawInput) string {
	host := netip.AddrPort{}
	if a, err := netip.ParseAddr(in.GatewayIP); err == nil {
		host = netip.AddrPortFrom(a, ProxyPort)
	}
	u := url.URL{Scheme: "http", User: url.UserPassword("claw", string(in.Keys.ProxyPassword)), Host: host.String()}
	return u.String()
}

// probePlan is apart from the pod, so that a new sibling does not restart an agent.
func probePlan(in ClawInput) Object {
	return child(corev1ac.ConfigMap(ProbeName(in.Claw.Name), in.Claw.Namespace), in.Claw, v1alpha1.ComponentAgent).
		WithData(map[string]string{KeyProbePlan: in.Agent.ProbePlan})
}

func selector(labels map[string]string, expressions []metav1.LabelSelectorRequirement) *metav1ac.LabelSelectorApplyConfiguration {
	out := metav1ac.LabelSelector().WithMatchLabels(labels)
	for _, e := range expressions {
		out.WithMatchExpressions(metav1ac.LabelSelectorRequirement().WithKey(e.Key).WithOperator(e.Operator).WithValues(e.Values...))
	}
	return out
}
