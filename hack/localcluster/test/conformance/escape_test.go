//go:build cluster

package conformance

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// waysRound: under deny, a pod of either runtime reaches neither the node, by any address, nor anything beyond it.
func (w *world) waysRound(t *testing.T) {
	host, err := net.Listen("tcp", ":0") // all addresses of the node, IPv6 too
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	go func() {
		for {
			connection, err := host.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(host.Addr().String())
	targets := func(p place) []string {
		all := []string{
			"tcp://" + layout.APIServiceIP + ":443",
			"tcp://" + net.JoinHostPort(layout.NodeIP, "6443"),
			"tcp://" + net.JoinHostPort(layout.NodeIP, "10250"),
			"tcp://" + layout.DNSServiceIP + ":53",
			"tcp://169.254.169.254:80",
			"tcp://" + layout.InternetHosts[0].IP + ":443",
			"tcp://198.51.100.200:443", // of the fake internet's range, but nobody
			"tcp://10.77.0.1:" + port, // the node's end of the pod's link
		}
		for _, address := range nodeAddresses(t, w.address[p]) {
			all = append(all, "tcp://"+net.JoinHostPort(address, port))
		}
		return all
	}
	apply(t, `x: {podSelector: {}, policyTypes: [Ingress, Egress]}`)
	for _, p := range []place{{"x", "a"}, {"x", "c"}} {
		eventually(t, func() (problems []string) {
			blocked, err := check(p, targets(p))
			if err != nil {
				return []string{err.Error()}
			}
			for _, target := range targets(p) {
				if !blocked[target] {
					problems = append(problems, p.String()+" reaches "+target)
				}
			}
			return problems
		})
	}
	// And with no policy at all, what must stay shut stays shut, and what is open shows that the test can see.
	apply(t)
	for _, p := range []place{{"x", "a"}, {"x", "c"}} {
		open, shut := "tcp://"+layout.APIServiceIP+":443", []string{"tcp://169.254.169.254:80", "tcp://198.51.100.200:443"}
		for _, address := range nodeAddresses(t, w.address[p]) {
			if strings.HasPrefix(address, "fe80") {
				shut = append(shut, "tcp://"+net.JoinHostPort(address, port))
			}
		}
		eventually(t, func() (problems []string) {
			blocked, err := check(p, append(shut, open))
			if err != nil {
				return []string{err.Error()}
			}
			if blocked[open] {
				problems = append(problems, p.String()+" does not reach the API server")
			}
			for _, target := range shut {
				if !blocked[target] {
					problems = append(problems, p.String()+" reaches "+target)
				}
			}
			return problems
		})
	}
}

// nodeAddresses are all of the node's, and the link-local one of the pod's own link.
func nodeAddresses(t *testing.T, pod string) []string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ip", "-o", "route", "get", pod).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), " dev ")
	link := strings.Fields(rest)[0]
	var all []string
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range addresses {
			ip := address.(*net.IPNet).IP
			switch {
			case ip.IsLoopback():
			case ip.IsLinkLocalUnicast() && i.Name == link:
				all = append(all, ip.String()+"%eth0")
			case !ip.IsLinkLocalUnicast():
				all = append(all, ip.String())
			}
		}
	}
	return all
}

// firstInstruction: pods that connect before anything else are stopped like all others, and let through like all others.
func (w *world) firstInstruction(t *testing.T) {
	apply(t, `x: {podSelector: {matchLabels: {early: "yes"}}, policyTypes: [Ingress, Egress],
		egress: [{to: [{podSelector: {matchLabels: {pod: a}}}], ports: [{port: 80}]}]}`)
	yes := service{"tcp", 80}.at(w.address[place{"x", "a"}])
	no := []string{service{"tcp", 81}.at(w.address[place{"x", "a"}]), service{"tcp", 80}.at(w.address[place{"y", "a"}]),
		service{"udp", 80}.at(w.address[place{"y", "c"}]), "tcp://" + layout.APIServiceIP + ":443"}
	const each = 6
	var names, manifest []string
	for i := range 2 * each {
		runtime := []string{"", "runtimeClassName: gvisor, "}[i%2]
		names = append(names, fmt.Sprintf("early-%d", i))
		manifest = append(manifest, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {early: "yes"}},
			spec: {%srestartPolicy: Never, containers: [{name: probe, image: %q, args: [check, %q, "%s"],
			env: [{name: PATIENCE, value: 4s}]}]}}`,
			names[i], prefix+"x", runtime, layout.ProbeImage, yes, strings.Join(no, `", "`)))
	}
	kubectl(t, strings.Join(manifest, "\n---\n"), "apply", "-f", "-")
	for _, name := range names {
		kubectl(t, "", "-n", prefix+"x", "wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", "pod/"+name)
		said := kubectl(t, "", "-n", prefix+"x", "logs", name)
		if !strings.Contains(said, yes+" reached") || strings.Count(said, "blocked") != len(no) {
			t.Errorf("%s says\n%s\nwant %s reached, all else blocked", name, said, yes)
		}
	}
}

// openConnection: a policy that comes later cuts what is open.
func (w *world) openConnection(t *testing.T) {
	apply(t)
	target := service{"tcp", 80}.at(w.address[place{"y", "a"}])
	for _, runtime := range []string{"", "runtimeClassName: gvisor, "} {
		name := "hold-" + map[bool]string{true: "runc", false: "gvisor"}[runtime == ""]
		kubectl(t, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s},
			spec: {%srestartPolicy: Never, containers: [{name: probe, image: %q, args: [hold, %q]}]}}`,
			name, prefix+"x", runtime, layout.ProbeImage, target), "apply", "-f", "-")
		log := func(want string) func() []string {
			return func() []string {
				if said, err := try("", "-n", prefix+"x", "logs", name); err != nil || !strings.Contains(said, want) {
					return []string{fmt.Sprintf("%s says %q, %v; want %q", name, said, err, want)}
				}
				return nil
			}
		}
		eventually(t, log("open"))
		apply(t, `y: {podSelector: {}}`)
		eventually(t, log("cut"))
		apply(t)
	}
}
