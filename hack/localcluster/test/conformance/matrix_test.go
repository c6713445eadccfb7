//go:build cluster

package conformance

import (
	"strings"
	"testing"
)

type allowed = func(from, to place, s service) bool

func any3(place, place, service) bool { return true }

// matrix is what each set of policies must mean, said a second time without the words of policies.
var matrix = []struct {
	name     string
	policies []string
	allowed  allowed
}{
	{"none", nil, any3},
	{"deny all of x", []string{`x: {podSelector: {}, policyTypes: [Ingress, Egress]}`},
		func(from, to place, _ service) bool { return from.namespace != "x" && to.namespace != "x" }},
	{"deny ingress of x", []string{`x: {podSelector: {}}`},
		func(_, to place, _ service) bool { return to.namespace != "x" }},
	{"deny egress of x", []string{`x: {podSelector: {}, policyTypes: [Egress]}`},
		func(from, _ place, _ service) bool { return from.namespace != "x" }},
	{"deny ingress of one pod", []string{`x: {podSelector: {matchLabels: {pod: a}}}`},
		func(_, to place, _ service) bool { return to != place{"x", "a"} }},
	{"allow overrides deny", []string{`x: {podSelector: {}}`, `x: {podSelector: {}, ingress: [{}]}`}, any3},
	{"from a pod of the same namespace", []string{`x: {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`},
		func(from, to place, _ service) bool { return to != place{"x", "a"} || from == place{"x", "b"} }},
	{"from a namespace", []string{`x: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}}]}]}`},
		func(from, to place, _ service) bool { return to.namespace != "x" || from.namespace == "y" }},
	{"from a gVisor pod of a namespace", []string{`x: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}, podSelector: {matchLabels: {pod: c}}}]}]}`},
		func(from, to place, _ service) bool { return to.namespace != "x" || from == place{"y", "c"} }},
	{"from a namespace or a pod", []string{`x: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}}, {podSelector: {matchLabels: {pod: a}}}]}]}`},
		func(from, to place, _ service) bool {
			return to.namespace != "x" || from.namespace == "y" || from == place{"x", "a"}
		}},
	{"from namespaces by expression", []string{`x: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: ["y", "z"]}]}}]}]}`},
		func(from, to place, _ service) bool { return to.namespace != "x" || from.namespace != "x" }},
	{"from a namespace by its name", []string{`x: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: netpol-z}}}]}]}`},
		func(from, to place, _ service) bool { return to.namespace != "x" || from.namespace == "z" }},
	{"by port", []string{`x: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}`},
		func(_, to place, s service) bool { return to.namespace != "x" || s == service{"tcp", 80} }},
	{"by a range of ports", []string{`x: {podSelector: {}, ingress: [{ports: [{port: 80, endPort: 81}]}]}`},
		func(_, to place, s service) bool { return to.namespace != "x" || s.protocol == "tcp" }},
	{"by protocol", []string{`x: {podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`},
		func(_, to place, s service) bool { return to.namespace != "x" || s.protocol == "udp" }},
	{"by name", []string{`x: {podSelector: {}, ingress: [{ports: [{port: alt}]}]}`},
		func(_, to place, s service) bool { return to.namespace != "x" || s == service{"tcp", 81} }},
	{"egress by name", []string{`x: {podSelector: {matchLabels: {pod: c}}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}`},
		func(from, _ place, s service) bool { return from != place{"x", "c"} || s == service{"tcp", 80} }},
	{"by a name of the other protocol", []string{`x: {podSelector: {}, ingress: [{ports: [{port: web, protocol: UDP}]}]}`},
		func(_, to place, _ service) bool { return to.namespace != "x" }},
	{"egress to a namespace and port", []string{`x: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: "y"}}}], ports: [{port: 81}]}]}`},
		func(from, to place, s service) bool {
			return from.namespace != "x" || to.namespace == "y" && s == service{"tcp", 81}
		}},
	{"both sides must agree", []string{
		`x: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: "y"}}}]}]}`,
		`y: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "x"}}, podSelector: {matchLabels: {pod: a}}}]}]}`},
		func(from, to place, _ service) bool {
			return (from.namespace != "x" || to.namespace == "y") && (to.namespace != "y" || from == place{"x", "a"})
		}},
	{"two rules", []string{`x: {podSelector: {}, ingress: [
		{from: [{podSelector: {matchLabels: {pod: a}}}], ports: [{port: 80}]}, {from: [{namespaceSelector: {matchLabels: {ns: "y"}}}], ports: [{port: 81}]}]}`},
		func(from, to place, s service) bool {
			return to.namespace != "x" || from == place{"x", "a"} && s == service{"tcp", 80} || from.namespace == "y" && s == service{"tcp", 81}
		}},
	{"a block that is no pod's", []string{`x: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}`},
		func(from, _ place, _ service) bool { return from.namespace != "x" }},
	{"the pods' block", []string{`x: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.77.0.0/20}}]}]}`}, any3},
	{"everything but the pods' block", []string{`x: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.77.0.0/20]}}]}]}`},
		func(_, to place, _ service) bool { return to.namespace != "x" }},
}

func TestMatrix(t *testing.T) {
	w := start(t)
	for _, test := range matrix {
		t.Run(test.name, func(t *testing.T) {
			apply(t, test.policies...)
			eventually(t, func() []string { return w.matrix(test.allowed) })
		})
	}
	t.Run("labels of a pod change", func(t *testing.T) {
		apply(t, `x: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {friend: "yes"}}}]}]}`)
		friends := func(friend place) allowed {
			return func(from, to place, _ service) bool { return to.namespace != "x" || from == friend }
		}
		eventually(t, func() []string { return w.matrix(friends(place{})) })
		kubectl(t, "", "-n", prefix+"x", "label", "pod", "c", "friend=yes")
		eventually(t, func() []string { return w.matrix(friends(place{"x", "c"})) })
		kubectl(t, "", "-n", prefix+"x", "label", "pod", "c", "friend-")
		eventually(t, func() []string { return w.matrix(friends(place{})) })
	})
	t.Run("labels of a namespace change", func(t *testing.T) {
		apply(t, `x: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {friend: "yes"}}}]}]}`)
		kubectl(t, "", "label", "namespace", prefix+"z", "friend=yes")
		eventually(t, func() []string {
			return w.matrix(func(from, to place, _ service) bool { return to.namespace != "x" || from.namespace == "z" })
		})
	})
	t.Run("Services", func(t *testing.T) { w.services(t) })
	t.Run("ways round", func(t *testing.T) { w.waysRound(t) })
	t.Run("first instruction", func(t *testing.T) { w.firstInstruction(t) })
	t.Run("an open connection", func(t *testing.T) { w.openConnection(t) })
}

// services: an address of a Service means its pods, to policies too.
func (w *world) services(t *testing.T) {
	apply(t, `x: {podSelector: {}, policyTypes: [Ingress, Egress]}`,
		`x: {podSelector: {matchLabels: {pod: c}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: "y"}}, podSelector: {matchLabels: {pod: a}}}], ports: [{port: 80}]}]}`)
	tests := []struct {
		from, to place
		s        service
		want     bool
	}{
		{place{"x", "c"}, place{"y", "a"}, service{"tcp", 80}, true},
		{place{"x", "c"}, place{"y", "a"}, service{"tcp", 81}, false},
		{place{"x", "c"}, place{"y", "a"}, service{"udp", 80}, false},
		{place{"x", "c"}, place{"y", "b"}, service{"tcp", 80}, false},
		{place{"x", "a"}, place{"y", "a"}, service{"tcp", 80}, false},
		{place{"y", "a"}, place{"x", "a"}, service{"tcp", 80}, false},
		{place{"y", "a"}, place{"z", "c"}, service{"udp", 80}, true},
	}
	eventually(t, func() (problems []string) {
		for _, test := range tests {
			target := test.s.at(w.cluster[test.to])
			blocked, err := check(test.from, []string{target})
			if err != nil || blocked[target] == test.want {
				problems = append(problems, strings.Join([]string{test.from.String(), "to", test.s.at(test.to.String())}, " "))
			}
		}
		return problems
	})
}
