package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// Start measures how long a Claw takes from apply to Ready, beside a bare pod.
func (b *Bench) Start(ctx context.Context, rounds int) (report.Section, error) {
	var claws, pods []time.Duration
	stages := map[string][]time.Duration{}
	for round := range rounds {
		took, seen, err := b.startClaw(ctx)
		if err != nil {
			return report.Section{}, err
		}
		bare, err := b.startPod(ctx)
		if err != nil {
			return report.Section{}, err
		}
		b.say("start: %d of %d: Claw %s, bare pod %s", round+1, rounds, stats.Round(took), stats.Round(bare))
		if round == 0 {
			continue // the first of each finds nothing in any cache
		}
		claws, pods = append(claws, took), append(pods, bare)
		for stage, at := range seen {
			stages[stage] = append(stages[stage], at)
		}
	}
	own, bare := stats.Median(claws), stats.Median(pods)
	figure := report.Figure{Name: "apply → Ready, median", Value: stats.Round(own).String(), Baseline: "bare pod " + stats.Round(bare).String(),
		Compared: fmt.Sprintf("+%s, %.2g×", stats.Round(own-bare), stats.Ratio(own, bare)), Goal: "≤ bare pod + 1s", Met: own <= bare+time.Second}
	worst := report.Figure{Name: "apply → Ready, slowest", Value: stats.Round(stats.Percentile(claws, 100)).String(),
		Baseline: "bare pod " + stats.Round(stats.Percentile(pods, 100)).String()}
	return report.Section{
		Part: "start", Title: "Start of a Claw", Machine: b.machine(), Text: startText,
		Figures: []report.Figure{figure, worst},
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
from sending its apply until a watch shows it Ready. Claw, pod, Claw, pod: one at a time, on an otherwise idle cluster.`

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

// startPod returns how long a bare pod took.
func (b *Bench) startPod(ctx context.Context) (time.Duration, error) {
	b.serial++
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: bareSpace, Name: fmt.Sprintf("bare-%d", b.serial)},
		Spec: corev1.PodSpec{
			RuntimeClassName:              ptr.To(sandbox),
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](10),
			Containers: []corev1.Container{{
				Name: "agent", Image: agentImage, ImagePullPolicy: corev1.PullIfNotPresent, Resources: footprint,
				Env: []corev1.EnvVar{{Name: "PORT", Value: fmt.Sprint(agentPort)}},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 3, ProbeHandler: corev1.ProbeHandler{
					TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(agentPort)}}},
			}},
		},
	}
	watched, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	changes, err := b.changes(watched, bareSpace, &corev1.PodList{})
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := b.apply(ctx, pod); err != nil {
		return 0, err
	}
	for object := range changes {
		if shown, ok := object.(*corev1.Pod); !ok || shown.Name != pod.Name || !podReady(shown) {
			continue
		}
		took := time.Since(begun)
		return took, errors.Join(b.Client.Delete(ctx, pod), b.podsGone(ctx, bareSpace))
	}
	return 0, errors.New("the watch of a bare pod ended before it was Ready")
}

func (b *Bench) podsGone(ctx context.Context, in string) error {
	return b.Eventually(ctx, time.Minute, "pods to be gone", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := b.Client.List(ctx, &pods, ctrlclient.InNamespace(in)); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d are left", len(pods.Items))
		}
		return nil
	})
}
