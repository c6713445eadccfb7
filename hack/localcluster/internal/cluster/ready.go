// This file knows when a part of the cluster works.

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// waitFor waits until ready says so. A daemon that has ended, or is not ready in time, is an error with the end of its log.
func waitFor(ctx context.Context, daemon string, ready func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ready(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !host.Alive(daemon):
			return fmt.Errorf("%s has ended; the end of its log:\n%s", daemon, logTail(daemon))
		case time.Now().After(deadline):
			return fmt.Errorf("not ready after %s: %w; the end of %s's log:\n%s", patience, err, daemon, logTail(daemon))
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
