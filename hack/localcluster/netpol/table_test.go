package netpol

import (
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/knftables"
)

// TestTable compares the whole table with testdata/table.nft, which is meant to be read. UPDATE=1 writes it anew.
func TestTable(t *testing.T) {
	rules := Compile(world(
		`{metadata: {namespace: a, name: deny}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}`,
		`{metadata: {namespace: a, name: web}, spec: {podSelector: {matchLabels: {app: web}},
			ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: http}, {port: 53, protocol: UDP}]}],
			egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.0.2.0/24]}}], ports: [{port: 443, endPort: 444}]}],
			policyTypes: [Ingress, Egress]}}`,
	))
	network := Network{Table: "test", PodCIDR: "10.0.0.0/16", PodLinks: "veth", OtherLinks: []string{"bridge0"},
		ClusterNets: []string{"10.0.0.0/16", "10.1.0.0/16"}}
	fake := knftables.NewFake(knftables.InetFamily, network.Table)
	tx := fake.NewTransaction()
	write(tx, network, rules)
	if err := fake.Run(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	got := fake.Dump()
	const golden = "testdata/table.nft"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the table differs from %s:\n%s", golden, diff)
	}
}

func TestRule(t *testing.T) {
	tests := map[string]struct {
		match     Match
		direction direction
		want      string
	}{
		"everything":            {Match{}, ingress, "return"},
		"who opens":             {Match{Peers: "s"}, ingress, opener + " @s return"},
		"who answers":           {Match{Peers: "s"}, egress, answerer + " @s return"},
		"the port is answering": {Match{Protocol: "tcp", From: 80, To: 80}, ingress, "meta l4proto tcp " + port + " 80 return"},
		"to the last port":      {Match{Protocol: "udp", From: 1, To: 65535}, egress, "meta l4proto udp " + port + " 1-65535 return"},
		"all addresses but": {Match{CIDR: netip.MustParsePrefix("0.0.0.0/0"), Except: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, egress,
			answerer + " != 10.0.0.0/8 return"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.match.rule(test.direction); got != test.want {
				t.Errorf("rule is %q, want %q", got, test.want)
			}
		})
	}
}
