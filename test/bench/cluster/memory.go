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
	"github.com/clawstaff/clawstaff/test/bench/proc"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

const (
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
	var gateways []proc.Memory
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
	base, err := proc.MemoryOf(floor)
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
			figures = append(figures, report.Figure{Name: program + ", anonymous / resident", Value: proc.MiB(u.Anonymous) + " / " + proc.MiB(u.Resident)})
		}
	}
	return report.Section{Part: "memory", Title: "Memory", Machine: b.machine(), Text: memoryText, Figures: figures}, b.remove(ctx, names...)
}

const memoryText = `
What the kernel says of the processes on the node (` + "`/proc/PID/smaps_rollup`" + `), ` + `30 seconds after the last Claw became Ready and
with no traffic since: resident memory, and the anonymous part of it, which cannot be given back and is nobody else's. The
rest is the program's own file, which all gateways of a node share. Figures of the gateway are medians of three Claws. The
baseline is the floor of the gateway's benchmark (test/bench/floor), just as idle: a Go program with net/http and TLS.`

func gatewayFigures(gateways []proc.Memory, base proc.Memory) []report.Figure {
	figure := func(what string, of func(proc.Memory) int, limit int) report.Figure {
		value := stats.Median(stats.Each(gateways, of))
		return report.Figure{Name: "gateway, " + what, Value: proc.MiB(value), Baseline: "idle floor " + proc.MiB(of(base)),
			Compared: fmt.Sprintf("%.2g×", stats.Ratio(value, of(base))), Goal: "≤ " + proc.MiB(limit), Met: value <= limit}
	}
	return []report.Figure{
		figure("anonymous", func(u proc.Memory) int { return u.Anonymous }, 12*proc.Mebibyte),
		figure("resident", func(u proc.Memory) int { return u.Resident }, 32*proc.Mebibyte),
	}
}

// usageOf is that of the first container of each pod.
func usageOf(pods []corev1.Pod) ([]proc.Memory, error) {
	var all []proc.Memory
	for _, pod := range pods {
		if len(pod.Status.ContainerStatuses) == 0 {
			return nil, fmt.Errorf("pod %s has no container", pod.Name)
		}
		_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
		pid, err := processOf(id)
		if err != nil {
			return nil, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		used, err := proc.MemoryOf(pid)
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
