package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

const (
	mebibyte = 1 << 20
	// idle is how long nobody asks anything before memory is looked at.
	idle      = 30 * time.Second
	idleClaws = 3
)

// Memory measures what an idle gateway, the manager and the ledger hold. floor is the process of a program that does next
// to nothing, to compare with.
func (b *Bench) Memory(ctx context.Context, floor int) (report.Section, error) {
	names, err := b.hire(ctx, idleClaws, "idle", false)
	if err != nil {
		return report.Section{}, err
	}
	b.say("memory: %s of silence", idle)
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return report.Section{}, ctx.Err()
	}
	var gateways []usage
	for _, name := range names {
		var pods corev1.PodList
		err := b.Client.List(ctx, &pods, ctrlclient.InNamespace(namespace),
			ctrlclient.MatchingLabels{v1alpha1.LabelClaw: name, v1alpha1.LabelComponent: v1alpha1.ComponentGateway})
		if err != nil {
			return report.Section{}, err
		}
		used, err := usageOf(pods.Items)
		if err != nil {
			return report.Section{}, err
		}
		gateways = append(gateways, used...)
	}
	base, err := usageOfProcess(floor)
	if err != nil {
		return report.Section{}, err
	}
	figures := gatewayFigures(gateways, base)
	for _, program := range []string{managerName, cage.LedgerName} {
		pods, err := b.podsOf(ctx, program)
		if err != nil {
			return report.Section{}, err
		}
		used, err := usageOf(pods)
		if err != nil {
			return report.Section{}, err
		}
		for _, u := range used {
			figures = append(figures, report.Figure{Name: program + ", anonymous / resident", Value: mib(u.anonymous) + " / " + mib(u.resident)})
		}
	}
	return report.Section{Part: "memory", Title: "Memory", Machine: b.machine(), Text: memoryText, Figures: figures}, b.remove(ctx, names...)
}

const memoryText = `
What the kernel says of the processes on the node (` + "`/proc/PID/smaps_rollup`" + `), ` + `30 seconds after the last Claw became Ready and
with no traffic since: resident memory, and the anonymous part of it, which cannot be given back and is nobody else's. The
rest is the program's own file, which all gateways of a node share. Figures of the gateway are medians of three Claws. The
baseline is the floor of the gateway's benchmark (test/bench/floor), just as idle: a Go program with net/http and TLS.`

func gatewayFigures(gateways []usage, base usage) []report.Figure {
	figure := func(what string, of func(usage) int, limit int) report.Figure {
		value := stats.Median(stats.Each(gateways, of))
		return report.Figure{Name: "gateway, " + what, Value: mib(value), Baseline: "idle floor " + mib(of(base)),
			Compared: fmt.Sprintf("%.2g×", stats.Ratio(value, of(base))), Goal: "≤ " + mib(limit), Met: value <= limit}
	}
	return []report.Figure{
		figure("anonymous", func(u usage) int { return u.anonymous }, 12*mebibyte),
		figure("resident", func(u usage) int { return u.resident }, 32*mebibyte),
	}
}

func mib(bytes int) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/mebibyte) }

// usage of memory, in bytes.
type usage struct{ resident, anonymous int }

// usageOf is that of the first container of each pod.
func usageOf(pods []corev1.Pod) ([]usage, error) {
	var all []usage
	for _, pod := range pods {
		if len(pod.Status.ContainerStatuses) == 0 {
			return nil, fmt.Errorf("pod %s has no container", pod.Name)
		}
		_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
		pid, err := processOf(id)
		if err != nil {
			return nil, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		used, err := usageOfProcess(pid)
		if err != nil {
			return nil, err
		}
		all = append(all, used)
	}
	return all, nil
}

// processOf finds the process whose cgroup is a container's.
func processOf(container string) (int, error) {
	if container == "" {
		return 0, fmt.Errorf("its container does not run")
	}
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), container) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("no process of this machine is in container %s", container)
}

func usageOfProcess(pid int) (usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return usage{}, err
	}
	return parseUsage(string(text))
}

// parseUsage reads smaps_rollup.
func parseUsage(text string) (usage, error) {
	found := map[string]int{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kib, err := strconv.Atoi(fields[1])
		if err != nil {
			return usage{}, fmt.Errorf("smaps_rollup: %q is no number", fields[1])
		}
		found[strings.TrimSuffix(fields[0], ":")] = kib * 1024
	}
	u := usage{resident: found["Rss"], anonymous: found["Anonymous"]}
	if u.resident == 0 {
		return usage{}, fmt.Errorf("smaps_rollup says nothing of resident memory")
	}
	return u, nil
}
