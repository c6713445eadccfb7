//go:build cluster

// Package conformance shows that the local cluster enforces NetworkPolicies: a matrix of pods, of both runtimes, under many
// policies, and then the ways round. It wants the cluster up:
//
//	hack/cluster up && go -C hack/localcluster test -tags cluster -count=1 ./test/conformance
package conformance

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// Three namespaces with three pods each. Pod c of each is a gVisor pod.
var (
	namespaces = []string{"x", "y", "z"}
	pods       = []string{"a", "b", "c"}
)

const prefix = "netpol-"

// place is a pod of the matrix.
type place struct{ namespace, pod string }

func (p place) String() string { return p.namespace + "/" + p.pod }

// service is a port that each pod serves.
type service struct {
	protocol string
	port     int
}

var services = []service{{"tcp", 80}, {"tcp", 81}, {"udp", 80}}

func (s service) at(host string) string { return fmt.Sprintf("%s://%s:%d", s.protocol, host, s.port) }

// world is the running fixture.
type world struct {
	address map[place]string
	cluster map[place]string // each pod's Service
}

var everywhere = func() (all []place) {
	for _, namespace := range namespaces {
		for _, pod := range pods {
			all = append(all, place{namespace, pod})
		}
	}
	return all
}()

// start makes the fixture, anew.
func start(t *testing.T) *world {
	t.Helper()
	remove := func() {
		for _, namespace := range namespaces {
			kubectl(t, "", "delete", "namespace", prefix+namespace, "--ignore-not-found", "--timeout=90s")
		}
	}
	remove()
	t.Cleanup(remove)
	var manifest strings.Builder
	for _, namespace := range namespaces {
		fmt.Fprintf(&manifest, "{apiVersion: v1, kind: Namespace, metadata: {name: %s%s, labels: {ns: %[2]q}}}\n---\n", prefix, namespace)
	}
	kubectl(t, manifest.String(), "apply", "-f", "-")
	manifest.Reset()
	for _, p := range everywhere {
		runtime := ""
		if p.pod == "c" {
			runtime = "runtimeClassName: gvisor, "
		}
		fmt.Fprintf(&manifest, `
apiVersion: v1
kind: Pod
metadata: {name: %[2]s, namespace: %[1]s, labels: {pod: %[2]s}}
spec: {%[3]sterminationGracePeriodSeconds: 0, containers: [{name: probe, image: %[4]q, args: [serve, "tcp://:80", "tcp://:81", "udp://:80"],
  ports: [{name: web, containerPort: 80}, {name: alt, containerPort: 81}, {name: udp, containerPort: 80, protocol: UDP}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s}
spec: {selector: {pod: %[2]s}, ports: [{name: a, port: 80}, {name: b, port: 81}, {name: c, port: 80, protocol: UDP}]}
---
`, prefix+p.namespace, p.pod, runtime, layout.ProbeImage)
	}
	for _, namespace := range namespaces {
		kubectl(t, "", "-n", prefix+namespace, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
	}
	kubectl(t, manifest.String(), "apply", "-f", "-")
	w := &world{address: map[place]string{}, cluster: map[place]string{}}
	for _, p := range everywhere {
		kubectl(t, "", "-n", prefix+p.namespace, "wait", "--for=condition=Ready", "pod/"+p.pod, "--timeout=90s")
		w.address[p] = kubectl(t, "", "-n", prefix+p.namespace, "get", "pod", p.pod, "-o", "jsonpath={.status.podIP}")
		w.cluster[p] = kubectl(t, "", "-n", prefix+p.namespace, "get", "service", p.pod, "-o", "jsonpath={.spec.clusterIP}")
	}
	return w
}

func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := try(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(stdin string, args ...string) (string, error) {
	command := exec.Command(layout.In("bin", "kubectl"), append([]string{"--kubeconfig", layout.Kubeconfig()}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}

// apply puts the policies, and only those, in place. Each is the namespace and the spec.
func apply(t *testing.T, policies ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		kubectl(t, "", "-n", prefix+namespace, "delete", "networkpolicy", "--all")
	}
	var manifest strings.Builder
	for i, policy := range policies {
		namespace, spec, _ := strings.Cut(policy, ": ")
		fmt.Fprintf(&manifest, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p%d, namespace: %s%s}\nspec: %s\n---\n",
			i, prefix, namespace, spec)
	}
	if len(policies) > 0 {
		kubectl(t, manifest.String(), "apply", "-f", "-")
	}
}

// check asks one pod for all targets and returns those that it does not reach.
func check(p place, targets []string) (blocked map[string]bool, err error) {
	out, err := try("", append([]string{"-n", prefix + p.namespace, "exec", p.pod, "--", "/probe", "check"}, targets...)...)
	if err != nil {
		return nil, err
	}
	blocked = map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(out)) {
		target, result, _ := strings.Cut(strings.TrimSpace(line), " ")
		blocked[target] = strings.HasPrefix(result, "blocked")
	}
	return blocked, nil
}

// eventually gives the enforcer time to hear of a change. It is generous, since the machine may be busy.
func eventually(t *testing.T, wrong func() []string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		problems := wrong()
		if len(problems) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d wrong:\n%s", len(problems), strings.Join(problems[:min(20, len(problems))], "\n"))
			return
		}
	}
}

// matrix asks every pod for every service of every pod, and returns where that differs from allowed.
func (w *world) matrix(allowed func(from, to place, s service) bool) []string {
	var mutex sync.Mutex
	var group sync.WaitGroup
	var problems []string
	for _, from := range everywhere {
		group.Go(func() {
			var targets []string
			for _, to := range everywhere {
				for _, s := range services {
					targets = append(targets, s.at(w.address[to]))
				}
			}
			blocked, err := check(from, targets)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				problems = append(problems, err.Error())
				return
			}
			for _, to := range everywhere {
				for _, s := range services {
					want := from == to || allowed(from, to, s) // nobody stops a pod from talking to itself
					if got := !blocked[s.at(w.address[to])]; got != want {
						problems = append(problems, fmt.Sprintf("%s to %s: reaches %v, want %v", from, s.at(to.String()), got, want))
					}
				}
			}
		})
	}
	group.Wait()
	return problems
}
