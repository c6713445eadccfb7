//go:build recovery

// Package recovery damages the local cluster in every way that was thought of, and wants `hack/cluster up` to repair it and
// `hack/cluster down` to leave the machine as it was. It ends the cluster that is running, so it has a tag of its own:
//
//	go -C hack/localcluster test -tags recovery -count=1 ./test/recovery
package recovery

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

const limit = time.Minute // for `up`, once everything is built

// damage is what happens to a running cluster, or to what is left of one.
var damage = []struct {
	name   string
	script string
}{
	{"nothing", `true`},
	{"everything killed", killAll},
	{"everything killed, links and namespaces gone, as after a reboot", killAll + `
		ip link delete claw0; ip netns delete clawstaff-internet
		for link in $(ip -o link show type veth | sed 's/^[0-9]*: \([^@:]*\).*/\1/' | grep ^veth); do ip link delete "$link"; done
		nft delete table inet clawstaff; nft delete table ip kube-proxy`},
	{"everything killed, state directory deleted as far as it goes", killAll + `rm -rf --one-file-system "$STATE" 2>/dev/null; true`},
	{"daemons killed, pods running", `for file in "$STATE"/run/*.pid; do kill -9 "$(cut -d' ' -f1 "$file")"; done`},
	{"pid files of other processes", killAll + `
		for file in "$STATE"/run/*.pid; do echo "$$ 1" >"$file"; done`},
	{"kubelet killed", kill("kubelet")},
	{"containerd killed", kill("containerd")},
	{"API server and etcd killed", kill("kube-apiserver") + kill("etcd")},
	{"etcd's data destroyed", kill("etcd") + `find "$STATE/etcd" -type f -exec truncate --size=100 {} +`},
	{"enforcer killed, its socket a directory", kill("netpol") + `rm "$STATE/run/netpol.sock"; mkdir "$STATE/run/netpol.sock"`},
	{"bridge deleted", `ip link delete claw0`},
	{"fake internet's namespace unmounted", `umount -l /run/netns/clawstaff-internet`},
	{"table of the policies deleted", `nft delete table inet clawstaff`},
	{"certificates half written", killAll + `rm "$STATE/pki/complete" "$STATE/pki/ca.key"`},
}

const killAll = `
	for round in 1 2 3; do
		for group in $(find /sys/fs/cgroup -path '*/clawstaff*' -name cgroup.procs); do
			for pid in $(cat "$group"); do kill -9 "$pid"; done
		done
	done 2>/dev/null
	`

func kill(daemon string) string {
	return `kill -9 "$(cut -d' ' -f1 "$STATE/run/` + daemon + `.pid")"
	`
}

func TestUpFromAnyStateAndDownLeavesNothing(t *testing.T) {
	cluster(t, "down")
	before := machine(t)
	cluster(t, "up")
	startPods(t)
	for _, test := range damage {
		t.Run(test.name, func(t *testing.T) {
			script := exec.Command("bash", "-c", test.script)
			script.Env = append(os.Environ(), "STATE="+layout.State())
			if out, err := script.CombinedOutput(); err != nil {
				t.Logf("the damage ended with %v: %s", err, out)
			}
			start := time.Now()
			cluster(t, "up")
			if took := time.Since(start); took > limit {
				t.Errorf("up took %s, want less than %s", took, limit)
			}
			cluster(t, "status")
			startPods(t)
		})
	}
	t.Run("killed in the middle of up", func(t *testing.T) {
		cluster(t, "down")
		for _, after := range []time.Duration{time.Second / 4, 2 * time.Second, 5 * time.Second, 8 * time.Second} {
			interrupted(t, after)
		}
		cluster(t, "up")
		startPods(t)
	})
	cluster(t, "down")
	if diff := difference(before, machine(t)); diff != "" {
		t.Errorf("down leaves the machine changed:\n%s", diff)
	}
}

func hackCluster() string {
	path, _ := filepath.Abs("../../../cluster")
	return path
}

func cluster(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command(hackCluster(), command).CombinedOutput(); err != nil {
		t.Fatalf("hack/cluster %s: %v\n%s", command, err, out)
	}
}

func interrupted(t *testing.T, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	command := exec.CommandContext(ctx, hackCluster(), "up")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGKILL) }
	_ = command.Run() // killed, or done before
}

// startPods wants a pod of either runtime to start, with DNS in reach of both.
func startPods(t *testing.T) {
	t.Helper()
	const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  RUNTIME
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: probe, image: "clawstaff.dev/probe:dev", args: [check, "tcp://kube-dns.kube-system.svc.cluster.local:53"],
    env: [{name: PATIENCE, value: 10s}]}]
---
`
	kubectl := func(stdin string, args ...string) string {
		command := exec.Command(layout.In("bin", "kubectl"), append([]string{"--kubeconfig", layout.Kubeconfig()}, args...)...)
		command.Stdin = strings.NewReader(stdin)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	pods := strings.NewReplacer("NAME", "runc", "RUNTIME", "").Replace(manifest) +
		strings.NewReplacer("NAME", "gvisor", "RUNTIME", "runtimeClassName: gvisor").Replace(manifest)
	kubectl("", "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
	kubectl(pods, "delete", "--ignore-not-found", "--wait", "--timeout=60s", "-f", "-")
	kubectl(pods, "apply", "-f", "-")
	kubectl("", "wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", "pod/runc", "pod/gvisor")
	for _, pod := range []string{"runc", "gvisor"} {
		if said := kubectl("", "logs", pod); !strings.Contains(said, " reached") {
			t.Errorf("pod %s does not reach DNS: %s", pod, said)
		}
	}
}

// machine lists all of the machine's state that a cluster could change and leave changed.
func machine(t *testing.T) []string {
	t.Helper()
	const script = `
		ip -o link | sed 's/^[0-9]*: \([^:]*\):.*/link \1/'
		ip -o address | awk '{print "address", $2, $4}'
		ip route show table all | sed 's/^/route /; s/ expires .*//'
		nft list tables | sed 's/^/nft /'
		awk '{print "mount", $5}' /proc/self/mountinfo
		find /sys/fs/cgroup -type d -path '*clawstaff*'
		find /run /var/run/ /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods /etc/cni /opt/containerd /usr/libexec/kubernetes \
			-xdev 2>/dev/null | grep -E 'netns|containerd|kube|cni|runsc|runc|pods|containers|nri'
		ls -d "$STATE" 2>/dev/null
		for name in net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys; do
			sysctl "$name"
		done
		grep -l "$STATE" /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -vE "/($$|$PPID|self)/"
		true`
	command := exec.Command("bash", "-c", script)
	command.Env = append(os.Environ(), "STATE="+layout.State())
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	slices.Sort(lines)
	// The processes of this very look carry the directory's name in their environment.
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "/proc/") && gone(line) })
}

func gone(file string) bool {
	_, err := os.Stat(file)
	return err != nil
}

func difference(before, after []string) string {
	var out []string
	for _, line := range after {
		if !slices.Contains(before, line) {
			out = append(out, "+ "+line)
		}
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			out = append(out, "- "+line)
		}
	}
	return strings.Join(out, "\n")
}
