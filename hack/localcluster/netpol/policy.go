// Package netpol enforces Kubernetes NetworkPolicies on the one node of the local cluster with nftables.
//
// It judges connections, not packets: every rule looks at who opened a connection (the source of its original direction)
// and who answers it (the source of its reply direction, which is the pod itself even if a Service was addressed). So every
// packet of a connection, in both directions, is judged by today's rules; a connection that a policy stops allowing falls
// silent at once, with no need to find and delete it.
//
// A pod address that the enforcer does not know yet may neither send nor receive: it fails closed.
//
// This file is the pure half: pods, namespaces and policies in, rules out.
package netpol

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Pod is what policies can see of a pod.
type Pod struct {
	Namespace, Name string
	Labels          labels.Set
	IPs             []netip.Addr
	Ports           []corev1.ContainerPort
}

// Cluster is everything that decides who may talk to whom.
type Cluster struct {
	Pods       []Pod
	Namespaces map[string]labels.Set
	Policies   []*networkingv1.NetworkPolicy
}

// Ruleset is the outcome, ready to be written as nftables sets, chains and maps.
type Ruleset struct {
	Sets    map[string][]netip.Addr
	Chains  map[string][]Match
	Egress  map[netip.Addr]string // every known pod address → its chain; "" is a pod that no policy selects
	Ingress map[netip.Addr]string
	Invalid []error // policies that could not be read; what they would allow is not allowed
}

// Match is one thing that is allowed. Its empty fields match everything.
type Match struct {
	Peers    string // set of the other side's addresses
	CIDR     netip.Prefix
	Except   []netip.Prefix
	Protocol string // lower case
	From, To uint16 // the answering side's port
	Servers  string // set of the answering side's addresses, for ports that are named and so differ by pod
}

type direction string

const (
	egress  direction = "egress"
	ingress direction = "ingress"
)

type compiler struct {
	Cluster
	out Ruleset
}

// Compile is deterministic: the same cluster gives the same rules, whatever the order of its parts.
func Compile(cluster Cluster) Ruleset {
	c := &compiler{Cluster: cluster, out: Ruleset{
		Sets: map[string][]netip.Addr{}, Chains: map[string][]Match{},
		Egress: map[netip.Addr]string{}, Ingress: map[netip.Addr]string{},
	}}
	c.Policies = slices.SortedFunc(slices.Values(cluster.Policies), func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for _, pod := range c.Pods {
		out, in := c.chainFor(pod, egress), c.chainFor(pod, ingress)
		for _, ip := range pod.IPs {
			c.out.Egress[ip], c.out.Ingress[ip] = out, in
		}
	}
	return c.out
}

// chainFor returns the chain of the pod's policies in this direction. Pods with the same policies share one.
func (c *compiler) chainFor(pod Pod, d direction) string {
	var applicable []*networkingv1.NetworkPolicy
	var names []string
	for _, policy := range c.Policies {
		if policy.Namespace == pod.Namespace && governs(policy, d) && c.selects(policy, &policy.Spec.PodSelector, pod.Labels) {
			applicable = append(applicable, policy)
			names = append(names, policy.Namespace+"/"+policy.Name)
		}
	}
	if len(applicable) == 0 {
		return ""
	}
	chain := string(d) + "-" + short(strings.Join(names, " "))
	if _, done := c.out.Chains[chain]; !done {
		allowed := []Match{} // not nil: an empty chain is one that allows nothing
		for _, policy := range applicable {
			allowed = append(allowed, c.allowedBy(policy, d)...)
		}
		c.out.Chains[chain] = allowed
	}
	return chain
}

// governs follows the API's default: ingress always unless policyTypes says otherwise, egress if there are egress rules.
func governs(policy *networkingv1.NetworkPolicy, d direction) bool {
	types := policy.Spec.PolicyTypes
	if len(types) == 0 {
		return d == ingress || len(policy.Spec.Egress) > 0
	}
	if d == ingress {
		return slices.Contains(types, networkingv1.PolicyTypeIngress)
	}
	return slices.Contains(types, networkingv1.PolicyTypeEgress)
}

func (c *compiler) allowedBy(policy *networkingv1.NetworkPolicy, d direction) []Match {
	var matches []Match
	if d == ingress {
		for _, rule := range policy.Spec.Ingress {
			matches = append(matches, c.product(policy, rule.From, rule.Ports)...)
		}
		return matches
	}
	for _, rule := range policy.Spec.Egress {
		matches = append(matches, c.product(policy, rule.To, rule.Ports)...)
	}
	return matches
}

// product combines every peer with every port; no peers mean anyone, no ports mean any.
func (c *compiler) product(policy *networkingv1.NetworkPolicy, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) []Match {
	who := []Match{{}}
	if len(peers) > 0 {
		who = nil
		for _, peer := range peers {
			if match, ok := c.peer(policy, peer); ok {
				who = append(who, match)
			}
		}
	}
	if len(ports) == 0 {
		return who
	}
	var matches []Match
	for _, base := range who {
		for _, port := range ports {
			matches = append(matches, c.port(base, port)...)
		}
	}
	return matches
}

func (c *compiler) peer(policy *networkingv1.NetworkPolicy, peer networkingv1.NetworkPolicyPeer) (Match, bool) {
	if peer.IPBlock != nil {
		return c.ipBlock(policy, peer.IPBlock)
	}
	namespaces := func(name string) bool { return name == policy.Namespace }
	key := "in " + policy.Namespace
	if peer.NamespaceSelector != nil {
		namespaces = func(name string) bool { return c.selects(policy, peer.NamespaceSelector, c.Namespaces[name]) }
		key = "ns " + metav1.FormatLabelSelector(peer.NamespaceSelector)
	}
	podSelector := peer.PodSelector
	if podSelector == nil {
		podSelector = &metav1.LabelSelector{}
	}
	set := "peers-" + short(key+" pods "+metav1.FormatLabelSelector(podSelector))
	if _, done := c.out.Sets[set]; !done {
		c.out.Sets[set] = c.addresses(func(pod Pod) bool {
			return namespaces(pod.Namespace) && c.selects(policy, podSelector, pod.Labels)
		})
	}
	return Match{Peers: set}, true
}

// ipBlock skips IPv6 blocks: this cluster has no IPv6, so they match nobody.
func (c *compiler) ipBlock(policy *networkingv1.NetworkPolicy, block *networkingv1.IPBlock) (Match, bool) {
	cidr, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		c.invalid(policy, err)
		return Match{}, false
	}
	if !cidr.Addr().Is4() {
		return Match{}, false
	}
	match := Match{CIDR: cidr.Masked()}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			c.invalid(policy, err)
			return Match{}, false // an exception that cannot be read must not be lost
		}
		if except.Addr().Is4() {
			match.Except = append(match.Except, except.Masked())
		}
	}
	return match, true
}

// port narrows a match to a port, to a range, or to what pods call by a name: one match per number that they give it.
func (c *compiler) port(base Match, port networkingv1.NetworkPolicyPort) []Match {
	base.Protocol = "tcp"
	if port.Protocol != nil {
		base.Protocol = strings.ToLower(string(*port.Protocol))
	}
	if port.Port == nil {
		return []Match{base}
	}
	if port.Port.Type == intstr.Int {
		base.From, base.To = uint16(port.Port.IntVal), uint16(port.Port.IntVal)
		if port.EndPort != nil {
			base.To = uint16(*port.EndPort)
		}
		return []Match{base}
	}
	has := func(pod Pod, number int32) bool {
		return slices.ContainsFunc(pod.Ports, func(p corev1.ContainerPort) bool {
			return p.Name == port.Port.StrVal && protocolOf(p) == base.Protocol && (number == 0 || p.ContainerPort == number)
		})
	}
	var matches []Match
	for _, number := range c.numbers(port.Port.StrVal, base.Protocol) {
		set := fmt.Sprintf("port-%s-%d-%s", base.Protocol, number, short(port.Port.StrVal))
		c.out.Sets[set] = c.addresses(func(pod Pod) bool { return has(pod, number) })
		match := base
		match.Servers, match.From, match.To = set, uint16(number), uint16(number)
		matches = append(matches, match)
	}
	return matches
}

// numbers are those that any pod gives to the named port.
func (c *compiler) numbers(name, protocol string) []int32 {
	var found []int32
	for _, pod := range c.Pods {
		for _, port := range pod.Ports {
			if port.Name == name && protocolOf(port) == protocol {
				found = append(found, port.ContainerPort)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func protocolOf(port corev1.ContainerPort) string {
	return strings.ToLower(cmp.Or(string(port.Protocol), "tcp"))
}

func (c *compiler) addresses(wanted func(Pod) bool) []netip.Addr {
	addresses := []netip.Addr{}
	for _, pod := range c.Pods {
		if wanted(pod) {
			addresses = append(addresses, pod.IPs...)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}

func (c *compiler) selects(policy *networkingv1.NetworkPolicy, selector *metav1.LabelSelector, set labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		c.invalid(policy, err)
		return false
	}
	return parsed.Matches(set)
}

func (c *compiler) invalid(policy *networkingv1.NetworkPolicy, err error) {
	c.out.Invalid = append(c.out.Invalid, fmt.Errorf("NetworkPolicy %s/%s: %w", policy.Namespace, policy.Name, err))
}

func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}
