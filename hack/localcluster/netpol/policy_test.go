package netpol

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

var compareAddresses = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// world has two namespaces with a web server and a client each; web calls its port "http", by different numbers.
func world(policies ...string) Cluster {
	pod := func(namespace, name, ip string, port int32) Pod {
		p := Pod{Namespace: namespace, Name: name, Labels: labels.Set{"app": name}, IPs: []netip.Addr{netip.MustParseAddr(ip)}}
		if port > 0 {
			p.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: port}}
		}
		return p
	}
	cluster := Cluster{
		Pods: []Pod{
			pod("a", "web", "10.0.0.1", 8080), pod("a", "client", "10.0.0.2", 0),
			pod("b", "web", "10.0.1.1", 9090), pod("b", "client", "10.0.1.2", 0),
		},
		Namespaces: map[string]labels.Set{"a": {"team": "red"}, "b": {"team": "blue"}},
	}
	for _, text := range policies {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}}
		if err := yaml.UnmarshalStrict([]byte(text), policy); err != nil {
			panic(err)
		}
		cluster.Policies = append(cluster.Policies, policy)
	}
	return cluster
}

// TestCompile shows, for each policy on a/web, the rules of its ingress and egress; "open" is a direction with no policy.
func TestCompile(t *testing.T) {
	tests := []struct {
		name    string
		spec    string
		ingress string
		egress  string
	}{
		{"selects another pod", `{podSelector: {matchLabels: {app: client}}}`, "open", "open"},
		{"types default to ingress", `{podSelector: {}}`, "", "open"},
		{"types default to both when there is egress", `{podSelector: {}, egress: [{}]}`, "", "return"},
		{"types say egress only", `{podSelector: {}, policyTypes: [Egress]}`, "open", ""},
		{"types without egress ignore its rules", `{podSelector: {}, policyTypes: [Ingress], egress: [{}]}`, "", "open"},
		{"deny both", `{podSelector: {}, policyTypes: [Ingress, Egress]}`, "", ""},
		{"allow all in", `{podSelector: {}, ingress: [{}]}`, "return", "open"},
		{"empty lists of peers and ports are everyone", `{podSelector: {}, ingress: [{from: [], ports: []}]}`, "return", "open"},
		{"a pod of the namespace", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}`,
			"from{10.0.0.2} return", "open"},
		{"a namespace", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]}`,
			"from{10.0.1.1 10.0.1.2} return", "open"},
		{"all namespaces", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`,
			"from{10.0.0.1 10.0.0.2 10.0.1.1 10.0.1.2} return", "open"},
		{"a pod in a namespace", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]}]}`,
			"from{10.0.1.1} return", "open"},
		{"either", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: client}}}]}]}`,
			"from{10.0.1.1 10.0.1.2} return; from{10.0.0.2} return", "open"},
		{"nobody", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}]}]}`, "from{} return", "open"},
		{"expressions", `{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}]}]}`,
			"from{10.0.0.2} return", "open"},
		{"a block", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.4/30]}}]}]}`,
			"open", "to 192.0.2.0/24 != 192.0.2.4/30 return"},
		{"every address", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}`,
			"open", "to 0.0.0.0/0 != 10.0.0.0/8 return"},
		{"an IPv6 block matches nobody", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "::/0"}}]}]}`, "open", ""},
		{"a port", `{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}]}]}`, "tcp 80 return; udp 53 return", "open"},
		{"a range", `{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}`, "tcp 80-90 return", "open"},
		{"a protocol", `{podSelector: {}, ingress: [{ports: [{protocol: SCTP}]}]}`, "sctp return", "open"},
		{"a name means each pod's own number", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}`,
			"open", "on{10.0.0.1} tcp 8080 return; on{10.0.1.1} tcp 9090 return"},
		{"a name that no pod has", `{podSelector: {}, ingress: [{ports: [{port: gopher}]}]}`, "", "open"},
		{"a name of another protocol", `{podSelector: {}, ingress: [{ports: [{port: http, protocol: UDP}]}]}`, "", "open"},
		{"peers times ports", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}, {ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 1}, {port: 2}]}]}`,
			"from{10.0.0.2} tcp 1 return; from{10.0.0.2} tcp 2 return; from 192.0.2.0/24 tcp 1 return; from 192.0.2.0/24 tcp 2 return", "open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rules := Compile(world("spec: " + test.spec))
			web := netip.MustParseAddr("10.0.0.1")
			if got := read(rules, rules.Ingress[web], "from"); got != test.ingress {
				t.Errorf("ingress is\n  %s\nwant\n  %s", got, test.ingress)
			}
			if got := read(rules, rules.Egress[web], "to"); got != test.egress {
				t.Errorf("egress is\n  %s\nwant\n  %s", got, test.egress)
			}
			if len(rules.Invalid) > 0 {
				t.Errorf("invalid: %v", rules.Invalid)
			}
			other := netip.MustParseAddr("10.0.1.1")
			if rules.Ingress[other] != "" || rules.Egress[other] != "" {
				t.Error("a policy of namespace a governs a pod of b")
			}
		})
	}
}

// read puts a chain in words.
func read(rules Ruleset, chain, side string) string {
	if chain == "" {
		return "open"
	}
	set := func(name string) string { return strings.Trim(fmt.Sprint(rules.Sets[name]), "[]") }
	var out []string
	for _, m := range rules.Chains[chain] {
		var words []string
		if m.Peers != "" {
			words = append(words, side+"{"+set(m.Peers)+"}")
		}
		if m.CIDR.IsValid() {
			words = append(words, side, m.CIDR.String())
		}
		for _, except := range m.Except {
			words = append(words, "!=", except.String())
		}
		if m.Servers != "" {
			words = append(words, "on{"+set(m.Servers)+"}")
		}
		ports := Match{Protocol: m.Protocol, From: m.From, To: m.To}.rule(ingress)
		words = append(words, strings.NewReplacer("meta l4proto ", "", port+" ", "").Replace(ports))
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, "; ")
}

func TestPoliciesAddUp(t *testing.T) {
	rules := Compile(world(
		`{metadata: {namespace: a, name: deny}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}`,
		`{metadata: {namespace: a, name: allow}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}}`,
	))
	web, client := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	if got := read(rules, rules.Ingress[web], "from"); got != "tcp 80 return" {
		t.Errorf("web's ingress is %q", got)
	}
	if got := read(rules, rules.Ingress[client], "from"); got != "" {
		t.Errorf("client's ingress is %q, want nothing allowed", got)
	}
	if rules.Egress[web] != rules.Egress[client] {
		t.Error("pods with the same policies do not share a chain")
	}
}

func TestWhatCannotBeReadAllowsNothing(t *testing.T) {
	for name, spec := range map[string]string{
		"block":     `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: nonsense}}]}]}`,
		"exception": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [nonsense]}}]}]}`,
		"selector":  `{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Nonsense}]}}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			rules := Compile(world("spec: " + spec))
			got := read(rules, rules.Ingress[netip.MustParseAddr("10.0.0.1")], "from")
			if got != "" && got != "from{} return" {
				t.Errorf("allows %q", got)
			}
			if len(rules.Invalid) == 0 {
				t.Error("nobody is told")
			}
		})
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	cluster := world(
		`{metadata: {namespace: a, name: one}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}`,
		`{metadata: {namespace: a, name: two}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: http}]}]}}`,
		`{metadata: {namespace: b, name: two}, spec: {podSelector: {}, egress: [{to: [{podSelector: {}}]}]}}`,
	)
	want := Compile(cluster)
	for range 20 {
		rand.Shuffle(len(cluster.Pods), func(i, j int) { cluster.Pods[i], cluster.Pods[j] = cluster.Pods[j], cluster.Pods[i] })
		rand.Shuffle(len(cluster.Policies), func(i, j int) {
			cluster.Policies[i], cluster.Policies[j] = cluster.Policies[j], cluster.Policies[i]
		})
		if diff := cmp.Diff(want, Compile(cluster), compareAddresses); diff != "" {
			t.Fatalf("another order gives other rules:\n%s", diff)
		}
	}
}
