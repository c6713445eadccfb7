// This file writes a Ruleset as one nftables table. The table is replaced whole, in one transaction: the kernel changes from
// the old rules to the new ones between two packets.

package netpol

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// Network is where the enforcer stands.
type Network struct {
	Table       string
	PodCIDR     string
	PodLinks    string   // prefix of the host's ends of pods' links
	OtherLinks  []string // links of the cluster that are not pods'
	ClusterNets []string // addresses that nobody outside the cluster may speak to
}

// Install replaces the table.
func Install(ctx context.Context, network Network, rules Ruleset) error {
	nft, err := knftables.New(knftables.InetFamily, network.Table)
	if err != nil {
		return fmt.Errorf("nftables cannot be used: %w", err)
	}
	tx := nft.NewTransaction()
	write(tx, network, rules)
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("writing the rules of table %s: %w", network.Table, err)
	}
	return nil
}

// Installed tells whether the table is there.
func Installed(ctx context.Context, network Network) bool {
	nft, err := knftables.New(knftables.InetFamily, network.Table)
	if err != nil {
		return false
	}
	chains, err := nft.List(ctx, "chains")
	return err == nil && len(chains) > 0
}

func write(tx *knftables.Transaction, network Network, rules Ruleset) {
	tx.Add(&knftables.Table{}) // so that the next line has something to delete
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("NetworkPolicies of the local cluster; replaced by its enforcer")})
	writeSets(tx, rules)
	writeChains(tx, rules)
	writeJudge(tx, network)
	writeHooks(tx, network)
}

func writeSets(tx *knftables.Transaction, rules Ruleset) {
	for _, name := range slices.Sorted(maps.Keys(rules.Sets)) {
		tx.Add(&knftables.Set{Name: name, Type: "ipv4_addr"})
		for _, ip := range rules.Sets[name] {
			tx.Add(&knftables.Element{Set: name, Key: []string{ip.String()}})
		}
	}
}

func writeChains(tx *knftables.Transaction, rules Ruleset) {
	for _, name := range slices.Sorted(maps.Keys(rules.Chains)) {
		tx.Add(&knftables.Chain{Name: name})
		side, _, _ := strings.Cut(name, "-")
		for _, match := range rules.Chains[name] {
			tx.Add(&knftables.Rule{Chain: name, Rule: match.rule(direction(side))})
		}
		tx.Add(&knftables.Rule{Chain: name, Rule: "drop"})
	}
	for d, verdicts := range map[direction]map[netip.Addr]string{egress: rules.Egress, ingress: rules.Ingress} {
		pods := string(d) + "-pods"
		tx.Add(&knftables.Map{Name: pods, Type: "ipv4_addr : verdict"})
		for _, ip := range slices.SortedFunc(maps.Keys(verdicts), netip.Addr.Compare) {
			verdict := "return"
			if chain := verdicts[ip]; chain != "" {
				verdict = "goto " + chain
			}
			tx.Add(&knftables.Element{Map: pods, Key: []string{ip.String()}, Value: []string{verdict}})
		}
	}
}

const (
	opener   = "ct original ip saddr"
	answerer = "ct reply ip saddr"
	port     = "ct reply proto-src"
)

// rule is the match in nftables' language. "return" goes back to the judge, which asks the other side's chain next.
func (m Match) rule(d direction) string {
	other := opener
	if d == egress {
		other = answerer
	}
	var parts []string
	if m.Peers != "" {
		parts = append(parts, other, "@"+m.Peers)
	}
	if m.CIDR.IsValid() && m.CIDR.Bits() > 0 {
		parts = append(parts, other, m.CIDR.String())
	}
	for _, except := range m.Except {
		parts = append(parts, other, "!=", except.String())
	}
	if m.Servers != "" {
		parts = append(parts, answerer, "@"+m.Servers)
	}
	if m.Protocol != "" {
		parts = append(parts, "meta l4proto", m.Protocol)
	}
	if m.From > 0 {
		ports := fmt.Sprint(m.From)
		if m.To != m.From {
			ports = fmt.Sprintf("%d-%d", m.From, cmp.Or(m.To, m.From))
		}
		parts = append(parts, port, ports)
	}
	return strings.Join(append(parts, "return"), " ")
}

// writeJudge makes the chain that every packet of a pod's connection passes.
func writeJudge(tx *knftables.Transaction, network Network) {
	for _, d := range []direction{egress, ingress} {
		tx.Add(&knftables.Chain{Name: string(d)})
	}
	tx.Add(&knftables.Chain{Name: "judge"})
	add := func(chain, rule string) { tx.Add(&knftables.Rule{Chain: chain, Rule: rule}) }
	add("egress", opener+" vmap @egress-pods")
	add("egress", "drop") // a pod address that nobody has vouched for
	add("ingress", answerer+" vmap @ingress-pods")
	add("ingress", "drop")
	add("judge", "ct state invalid drop")
	add("judge", "ct state related accept") // ICMP errors about an allowed connection
	add("judge", opener+" "+network.PodCIDR+" jump egress")
	add("judge", answerer+" "+network.PodCIDR+" jump ingress")
}

// writeHooks puts the table on the packets' way: pods must be who they say, stay inside, and be judged.
func writeHooks(tx *knftables.Transaction, network Network) {
	base := func(name string, hook knftables.BaseChainHook, priority knftables.BaseChainPriority) {
		tx.Add(&knftables.Chain{Name: name, Type: knftables.PtrTo(knftables.FilterType), Hook: &hook, Priority: &priority})
	}
	add := func(chain string, rule ...string) {
		tx.Add(&knftables.Rule{Chain: chain, Rule: strings.Join(rule, " ")})
	}
	pods := fmt.Sprintf("iifname %q", network.PodLinks+"*")
	toPods := fmt.Sprintf("oifname %q", network.PodLinks+"*")

	tx.Add(&knftables.Chain{Name: "from-pod"})
	tx.Add(&knftables.Chain{Name: "stay-inside"})
	base("prerouting", knftables.PreroutingHook, knftables.RawPriority)
	add("prerouting", pods, "goto from-pod")
	add("from-pod", "meta nfproto ipv6 drop") // or the link-local address of the host would be a way round
	add("from-pod", "ip saddr !=", network.PodCIDR, "drop")
	add("from-pod", "fib saddr . iif oif missing drop") // another pod's address
	for _, link := range append([]string{"lo"}, network.OtherLinks...) {
		add("prerouting", fmt.Sprintf("iifname %q return", link))
	}
	for _, net := range network.ClusterNets {
		add("prerouting", "ip daddr", net, "drop") // the machine's neighbours have no business here
	}

	base("forward", knftables.ForwardHook, knftables.FilterPriority) // after the Services' translation of addresses
	add("forward", pods, "jump stay-inside")
	for _, link := range network.OtherLinks {
		add("forward", fmt.Sprintf("iifname %q jump stay-inside", link))
		add("stay-inside", fmt.Sprintf("oifname %q return", link))
	}
	add("stay-inside", toPods, "return")
	add("stay-inside", "drop") // never out to a real network
	add("forward", "jump judge")

	base("input", knftables.InputHook, knftables.FilterPriority)
	add("input", pods, "ct direction original jump judge") // answers to the node, such as to its probes, pass
	base("output", knftables.OutputHook, knftables.FilterPriority)
	add("output", toPods, "ct direction reply jump judge") // and the node's answers to a pod whose leave has ended do not
}
