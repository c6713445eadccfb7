package cage

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// What is not public: a gateway has no business there, and checks addresses again when it dials.
var (
	notPublic4 = []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"168.63.129.16/32", // a cloud's own services behind a public address
		"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
	}
	notPublic6 = []string{
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", // IPv4 in other clothes
		"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	}
)

// services give the gateway an address that stays while its pods change, and the StatefulSet its domain.
func services(claw *v1alpha1.Claw) []Object {
	gateway, agent := GatewayName(claw.Name), AgentName(claw.Name)
	port := func(name string, protocol corev1.Protocol, number, target int32) *corev1ac.ServicePortApplyConfiguration {
		return corev1ac.ServicePort().WithName(name).WithProtocol(protocol).WithPort(number).WithTargetPort(intstr.FromInt32(target))
	}
	return []Object{
		child(corev1ac.Service(gateway, claw.Namespace), claw, v1alpha1.ComponentGateway).
			WithSpec(corev1ac.ServiceSpec().
				WithType(corev1.ServiceTypeClusterIP).
				WithSelector(podLabels(claw, v1alpha1.ComponentGateway)).
				WithPorts(
					port("proxy", corev1.ProtocolTCP, ProxyPort, ProxyPort),
					port("inbound", corev1.ProtocolTCP, InboundPort, InboundPort),
					port("https", corev1.ProtocolTCP, 443, TLSPort),
					port("http", corev1.ProtocolTCP, 80, PlainPort),
					port("dns", corev1.ProtocolUDP, 53, DNSPort),
					port("dns-tcp", corev1.ProtocolTCP, 53, DNSPort))),
		child(corev1ac.Service(agent, claw.Namespace), claw, v1alpha1.ComponentAgent).
			WithSpec(corev1ac.ServiceSpec().
				WithType(corev1.ServiceTypeClusterIP).
				WithClusterIP(corev1.ClusterIPNone).
				WithSelector(podLabels(claw, v1alpha1.ComponentAgent))),
	}
}

// networkPolicies open the cage's default deny for one Claw: the agent to its gateway, the gateway to
// what it needs, and nothing else.
func networkPolicies(in ClawInput) []Object {
	claw := in.Claw
	gateway := networkingv1ac.NetworkPolicyPeer().WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(podLabels(claw, v1alpha1.ComponentGateway)))
	agent := networkingv1ac.NetworkPolicyPeer().WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(podLabels(claw, v1alpha1.ComponentAgent)))
	return []Object{
		policy(claw, v1alpha1.ComponentAgent, AgentName(claw.Name)).WithSpec(policySpec(claw, v1alpha1.ComponentAgent).
			WithEgress(networkingv1ac.NetworkPolicyEgressRule().WithTo(gateway).WithPorts(agentPorts()...)).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().WithFrom(gateway).WithPorts(tcp(in.Grant.AgentPort)))),
		policy(claw, v1alpha1.ComponentGateway, GatewayName(claw.Name)).WithSpec(policySpec(claw, v1alpha1.ComponentGateway).
			WithIngress(
				networkingv1ac.NetworkPolicyIngressRule().WithFrom(agent).WithPorts(agentPorts()...),
				inboundRule(in.Settings.InboundFrom)).
			WithEgress(gatewayEgress(in, agent)...)),
	}
}

// agentPorts are those of the gateway's pod that are for its agent. Policies are about pods, past their Services.
func agentPorts() []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return []*networkingv1ac.NetworkPolicyPortApplyConfiguration{tcp(ProxyPort), tcp(TLSPort), tcp(PlainPort), udp(DNSPort), tcp(DNSPort)}
}

func policy(claw *v1alpha1.Claw, component, name string) *networkingv1ac.NetworkPolicyApplyConfiguration {
	return child(networkingv1ac.NetworkPolicy(name, claw.Namespace), claw, component)
}

func policySpec(claw *v1alpha1.Claw, component string) *networkingv1ac.NetworkPolicySpecApplyConfiguration {
	return networkingv1ac.NetworkPolicySpec().
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(podLabels(claw, component))).
		WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
}

// inboundRule admits providers, or what an installation puts before the gateways.
func inboundRule(from []networkingv1.NetworkPolicyPeer) *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyIngressRule().WithPorts(tcp(InboundPort))
	for _, p := range from {
		rule.WithFrom(peer(p))
	}
	return rule
}

func gatewayEgress(in ClawInput, agent *networkingv1ac.NetworkPolicyPeerApplyConfiguration) []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyEgressRule
	rules := []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{
		rule().WithTo(agent).WithPorts(tcp(in.Grant.AgentPort)),
		rule().WithTo(dnsPeers(in.Platform)...).WithPorts(udp(53), tcp(53)),
		rule().WithTo(publicPeers()...).WithPorts(tcp(443)),
		rule().WithTo(networkingv1ac.NetworkPolicyPeer().
			WithNamespaceSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: in.Settings.OperatorNamespace})).
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{"app.kubernetes.io/name": LedgerName}))).
			WithPorts(tcp(LedgerPort)),
	}
	if private := privatePeers(in.PrivateNetworks); len(private) > 0 {
		rules = append(rules, rule().WithTo(private...).WithPorts(tcp(443)))
	}
	rules = append(rules, overrideRules(in.Settings.Resolve)...)
	// By port only: on Cilium an ipBlock never matches a node, which is where API servers often are.
	if len(in.Platform.APIServerPorts) > 0 {
		api := rule()
		for _, port := range in.Platform.APIServerPorts {
			api.WithPorts(tcp(port))
		}
		rules = append(rules, api)
	}
	return rules
}

// dnsPeers are the pods of kube-system, and resolvers that are no pods.
func dnsPeers(p Platform) []*networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	peers := []*networkingv1ac.NetworkPolicyPeerApplyConfiguration{
		networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{corev1.LabelMetadataName: "kube-system"})),
	}
	for _, address := range p.DNSHosts {
		peers = append(peers, networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR(single(address))))
	}
	return peers
}

func publicPeers() []*networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return []*networkingv1ac.NetworkPolicyPeerApplyConfiguration{
		networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR("0.0.0.0/0").WithExcept(notPublic4...)),
		networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR("::/0").WithExcept(notPublic6...)),
	}
}

// neverPrivate are networks in which no service of an organization's own is, whatever it says: the machine itself, what
// is linked to it, and where clouds tell machines their secrets.
var neverPrivate = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32",
	"::1/128", "fe80::/10", "fd00:ec2::/32", "fd20:ce::254/128")

// private are the networks that are nobody's on the internet.
var private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// privatePeers are the networks that an organization's own connectors say they are in, as far as anybody may say that.
// What is public is open anyway.
func privatePeers(networks []netip.Prefix) []*networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	var peers []*networkingv1ac.NetworkPolicyPeerApplyConfiguration
	for _, n := range networks {
		n = n.Masked()
		isWithin := func(p netip.Prefix) bool { return p.Bits() <= n.Bits() && p.Contains(n.Addr()) }
		if !slices.ContainsFunc(private, isWithin) || slices.ContainsFunc(neverPrivate, isWithin) {
			continue
		}
		block := networkingv1ac.IPBlock().WithCIDR(n.String())
		for _, never := range neverPrivate {
			if n.Overlaps(never) {
				block.WithExcept(never.String())
			}
		}
		peers = append(peers, networkingv1ac.NetworkPolicyPeer().WithIPBlock(block))
	}
	return peers
}

// overrideRules open exactly the addresses an installation gives to hosts, which may be private.
func overrideRules(resolve []string) []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	var rules []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration
	for _, override := range resolve {
		_, address, _ := strings.Cut(override, "=")
		if a, err := netip.ParseAddrPort(address); err == nil {
			rules = append(rules, networkingv1ac.NetworkPolicyEgressRule().
				WithTo(networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR(single(a.Addr())))).
				WithPorts(tcp(int32(a.Port()))))
		}
	}
	return rules
}

func single(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

// peer turns what an installation configures into what is applied.
func peer(p networkingv1.NetworkPolicyPeer) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	out := networkingv1ac.NetworkPolicyPeer()
	if b := p.IPBlock; b != nil {
		out.WithIPBlock(networkingv1ac.IPBlock().WithCIDR(b.CIDR).WithExcept(b.Except...))
	}
	if p.PodSelector != nil {
		out.WithPodSelector(selector(p.PodSelector.MatchLabels, p.PodSelector.MatchExpressions))
	}
	if p.NamespaceSelector != nil {
		out.WithNamespaceSelector(selector(p.NamespaceSelector.MatchLabels, p.NamespaceSelector.MatchExpressions))
	}
	return out
}

func tcp(port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt32(port))
}

func udp(port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolUDP).WithPort(intstr.FromInt32(port))
}
