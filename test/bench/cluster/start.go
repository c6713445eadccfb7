package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// Start measures how long a Claw takes from apply to Ready, beside a bare pod, without and with a volume.
func (b *Bench) Start(ctx context.Context, rounds int) (report.Section, error) {
	var claws, pods, volumes []time.Duration
	stages := map[string][]time.Duration{}
	for round := range rounds {
		took, seen, err := b.startClaw(ctx)
		if err != nil {
			return report.Section{}, err
		}
		bare, err := b.startPod(ctx, false)
		if err != nil {
			return report.Section{}, err
		}
		volume, err := b.startPod(ctx, true)
		if err != nil {
			return report.Section{}, err
		}
		b.say("start: %d of %d: Claw %s, bare pod %s, with a volume %s", round+1, rounds, stats.Round(took), stats.Round(bare), stats.Round(volume))
		if round == 0 {
			continue // the first of each finds nothing in any cache
		}
		claws, pods, volumes = append(claws, took), append(pods, bare), append(volumes, volume)
		for stage, at := range seen {
			stages[stage] = append(stages[stage], at)
		}
	}
	own, bare := stats.Median(claws), stats.Median(pods)
	beside := func(what string, other []time.Duration) report.Figure {
		median := stats.Median(other)
		return report.Figure{Name: "apply → Ready, median", Value: stats.Round(own).String(), Baseline: what + " " + stats.Round(median).String(),
			Compared: fmt.Sprintf("+%s, %.2g×", stats.Round(own-median), stats.Ratio(own, median))}
	}
	figure := beside("bare pod", pods)
	figure.Goal, figure.Met = "≤ bare pod + 1s", own <= bare+time.Second
	worst := report.Figure{Name: "apply → Ready, slowest", Value: stats.Round(stats.Percentile(claws, 100)).String(),
		Baseline: "bare pod " + stats.Round(stats.Percentile(pods, 100)).String()}
	return report.Section{
		Part: "start", Title: "Start of a Claw", Machine: b.machine(), Text: startText,
		Figures: []report.Figure{figure, beside("bare pod with a volume", volumes), worst},
		Notes: []string{
			fmt.Sprintf("%d starts of each, in turn; one more of each before them is not counted", len(claws)),
			"where the time goes, median since apply: " + timeline(stages),
		},
	}, nil
}

const startText = `
Time from sending the apply of a Claw, whose credential is there already, until a watch shows it Ready: its gateway runs and
enforces its grant, its agent's pod has proved from the inside that it reaches nothing but its gateway, the agent runs and
answers its readiness probe. The baseline is a bare pod of the same image, sandbox (gVisor), resources and readiness probe,
from sending its apply until a watch shows it Ready; the second baseline is such a pod with a volume as a Claw's agent has
one, because the scheduler alone looks only once a second whether a volume is there. One at a time, in turn, on an otherwise
idle cluster. The proof waits a second for answers that must not come, and its end is seen when the kubelet looks, also once
a second: of what a Claw costs beyond a pod, that is the greater part.`

// The stages of a start, in the order they are told.
var stageNames = []string{"gateway's pod made", "agent's pod made", "scheduled", "gateway ready", "proof begun", "proof done",
	"agent running", "agent ready", "Claw Ready"}

func timeline(stages map[string][]time.Duration) string {
	var parts []string
	for _, name := range stageNames {
		if times := stages[name]; len(times) > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", name, stats.Round(stats.Median(times))))
		}
	}
	return strings.Join(parts, ", ")
}

// startClaw returns how long a Claw took, and when it came to each stage.
func (b *Bench) startClaw(ctx context.Context) (time.Duration, map[string]time.Duration, error) {
	claw, err := b.design(ctx, "start", false)
	if err != nil {
		return 0, nil, err
	}
	if err := b.synced(ctx, claw.Name); err != nil {
		return 0, nil, err
	}
	watched, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	changes, err := b.changes(watched, namespace, &v1alpha1.ClawList{}, &corev1.PodList{})
	if err != nil {
		return 0, nil, err
	}
	begun := time.Now()
	if err := b.apply(ctx, claw); err != nil {
		return 0, nil, err
	}
	seen := map[string]time.Duration{}
	for object := range changes {
		for _, stage := range reached(object, claw.Name) {
			if _, known := seen[stage]; !known {
				seen[stage] = time.Since(begun)
			}
		}
		if took, done := seen["Claw Ready"]; done {
			return took, seen, b.remove(ctx, claw.Name)
		}
	}
	return 0, nil, fmt.Errorf("the watch of Claw %s ended before it was Ready; it got to: %v", claw.Name, seen)
}

// synced waits until a credential's key has been read.
func (b *Bench) synced(ctx context.Context, name string) error {
	return b.Eventually(ctx, time.Minute, "credential "+name+" to be read", func(ctx context.Context) error {
		var credential v1alpha1.ClawCredential
		if err := b.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: namespace, Name: name}, &credential); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(credential.Status.Conditions, v1alpha1.ConditionSourceSynced) {
			return fmt.Errorf("it is not: %+v", credential.Status.Conditions)
		}
		return nil
	})
}

// reached says which stages of a Claw's start an object shows.
func reached(object runtime.Object, claw string) (stages []string) {
	switch object := object.(type) {
	case *v1alpha1.Claw:
		if object.Name == claw && meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
			return []string{"Claw Ready"}
		}
	case *corev1.Pod:
		if object.Labels[v1alpha1.LabelClaw] != claw {
			return nil
		}
		if object.Labels[v1alpha1.LabelComponent] == v1alpha1.ComponentGateway {
			stages = append(stages, "gateway's pod made")
			if podReady(object) {
				stages = append(stages, "gateway ready")
			}
			return stages
		}
		stages = append(stages, "agent's pod made")
		if object.Spec.NodeName != "" {
			stages = append(stages, "scheduled")
		}
		for _, status := range object.Status.InitContainerStatuses {
			if status.Name == cage.ContainerProbe && status.State.Running != nil {
				stages = append(stages, "proof begun")
			}
			if status.Name == cage.ContainerProbe && status.State.Terminated != nil && status.State.Terminated.ExitCode == 0 {
				stages = append(stages, "proof done")
			}
		}
		for _, status := range object.Status.ContainerStatuses {
			if status.State.Running != nil {
				stages = append(stages, "agent running")
			}
		}
		if podReady(object) {
			stages = append(stages, "agent ready")
		}
	}
	return stages
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// changes watches all objects of some kinds in a namespace, until ctx ends; then the channel is closed.
func (b *Bench) changes(ctx context.Context, in string, kinds ...ctrlclient.ObjectList) (<-chan runtime.Object, error) {
	out := make(chan runtime.Object)
	var watches sync.WaitGroup
	for _, kind := range kinds {
		watch, err := b.watcher.Watch(ctx, kind, ctrlclient.InNamespace(in))
		if err != nil {
			return nil, err
		}
		watches.Go(func() {
			defer watch.Stop()
			for event := range watch.ResultChan() {
				select {
				case out <- event.Object:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		watches.Wait()
		close(out)
	}()
	return out, nil
}
