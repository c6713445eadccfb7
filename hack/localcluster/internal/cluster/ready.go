// This file knows when a part of the cluster works.

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/host"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
	"github.com/clawstaff/clawstaff/hack/localcluster/netpol"
)

// waitFor waits until ready says so. If one of the daemons that it takes ends, or time runs out, that is an error with the
// end of the log.
func waitFor(ctx context.Context, daemons []host.Daemon, ready func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ready(attempt)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		for _, daemon := range daemons {
			if !host.Alive(daemon.Name) {
				return fmt.Errorf("%s has ended; the end of its log:\n%s", daemon.Name, logTail(daemon.Name))
			}
		}
		if time.Now().After(deadline) {
			last := daemons[len(daemons)-1].Name
			return fmt.Errorf("not ready after %s: %w; the end of %s's log:\n%s", patience, err, last, logTail(last))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func logTail(daemon string) string {
	data, err := os.ReadFile(host.LogFile(daemon))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

func client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", layout.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.Timeout = 5 * time.Second
	return kubernetes.NewForConfig(config)
}

func apiReady(ctx context.Context) error {
	client, err := client()
	if err != nil {
		return err
	}
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func containerdReady(ctx context.Context) error {
	command := exec.CommandContext(ctx, program("ctr"), "--address", layout.ContainerdSocket(), "version")
	return command.Run()
}

func netpolReady(ctx context.Context) error { return netpol.Ready(ctx, NetworkPolicies().Socket) }

func nodeReady(ctx context.Context) error {
	client, err := client()
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, layout.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue &&
			time.Since(condition.LastHeartbeatTime.Time) < 6*time.Minute { // not the word of a kubelet long dead
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready", layout.NodeName)
}

// healthy is nil when everything that `up` starts works.
func healthy(ctx context.Context) error {
	if err := errors.Join(apiReady(ctx), containerdReady(ctx), netpolReady(ctx)); err != nil {
		return err
	}
	if err := nodeReady(ctx); err != nil {
		return err
	}
	client, err := client()
	if err != nil {
		return err
	}
	dns, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if dns.Status.AvailableReplicas == 0 || dns.Status.ObservedGeneration < dns.Generation {
		return errors.New("CoreDNS is not available; see `kubectl -n kube-system describe pods`")
	}
	return dnsReady(ctx)
}

// dnsReady asks for one name of the cluster and one of the fake internet, as a pod would: by the Service.
func dnsReady(ctx context.Context) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(layout.DNSServiceIP, "53"))
	}}
	for name, want := range map[string]string{
		"kubernetes.default.svc." + layout.ClusterDomain + ".": layout.APIServiceIP,
		layout.InternetHosts[0].Names[0] + ".":                 layout.InternetHosts[0].IP,
	} {
		addresses, err := resolver.LookupHost(ctx, name)
		if err != nil {
			return fmt.Errorf("asking the cluster's DNS: %w", err)
		}
		if !slices.Contains(addresses, want) {
			return fmt.Errorf("the cluster's DNS says that %s is %v instead of %s", name, addresses, want)
		}
	}
	return nil
}

func applyAddons() error {
	manifest, err := render("addons.yaml")
	if err != nil {
		return err
	}
	file := layout.In("addons.yaml")
	if err := os.WriteFile(file, manifest, 0o644); err != nil {
		return err
	}
	return host.Run(program("kubectl"), "--kubeconfig", layout.Kubeconfig(), "apply", "--server-side", "--force-conflicts", "-f", file)
}

func runningDaemons() int {
	running := 0
	for _, daemon := range allDaemons() {
		if host.Alive(daemon.Name) {
			running++
		}
	}
	return running
}
