package journey

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

var clawKind = schema.GroupVersionKind{Group: "clawstaff.dev", Version: "v1alpha1", Kind: "Claw"}

// Cut is what a revocation did to a stream.
type Cut struct {
	// ToClient and ToProvider are the times from asking for the revocation to the last byte the agent got,
	// and to the last one the provider could send. The first is an upper bound: it includes the request.
	ToClient, ToProvider time.Duration
	// Connections the agent opened, and how many of them were refused.
	Connections, Refusals int
}

// streamed is a line of the agent's log while it streams.
type streamed struct {
	Event       string `json:"event"`
	LastByte    int64  `json:"lastByte"`
	Connections int    `json:"connections"`
	Refusals    int    `json:"refusals"`
}

// CutStream has a Claw stream, revokes it with revoke, and measures. The agent reconnects as fast as it can.
func (j *Journey) CutStream(ctx context.Context, revoke func(context.Context) error) (Cut, error) {
	calls, err := j.Fakes.Calls(ctx)
	if err != nil {
		return Cut{}, err
	}
	log, err := j.follow(ctx)
	if err != nil {
		return Cut{}, err
	}
	if _, err := j.Write(ctx, Claw, Sarah, Support, "!stream 60"); err != nil {
		return Cut{}, err
	}
	after := len(calls)
	err = j.Eventually(ctx, 30*time.Second, "the model's answer to stream", func(ctx context.Context) error {
		calls, err := j.Fakes.Calls(ctx)
		if err != nil {
			return err
		}
		for _, call := range calls[min(after, len(calls)):] {
			if call.Host == provider.AnthropicHost && call.Events > 100 && !call.Done {
				return nil
			}
		}
		return errors.New("it does not")
	})
	if err != nil {
		return Cut{}, err
	}
	asked := time.Now()
	if err := revoke(ctx); err != nil {
		return Cut{}, err
	}
	return j.measure(ctx, asked, log)
}

// measure waits until the stream is cut, and says when the last byte passed.
func (j *Journey) measure(ctx context.Context, asked time.Time, log <-chan streamed) (Cut, error) {
	var cut Cut
	err := j.Eventually(ctx, 30*time.Second, "the stream to end at the provider", func(ctx context.Context) error {
		calls, err := j.Fakes.Calls(ctx)
		if err != nil {
			return err
		}
		for _, call := range calls {
			if !call.Done {
				return errors.New("it goes on")
			}
			cut.ToProvider = max(cut.ToProvider, call.LastEvent.Sub(asked))
		}
		return nil
	})
	if err != nil {
		return cut, err
	}
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	for cut.Refusals == 0 {
		select {
		case line, ok := <-log:
			if !ok {
				return cut, nil // the pod is gone, and with it the rest of its log
			}
			cut.ToClient = max(cut.ToClient, time.UnixMilli(line.LastByte).Sub(asked))
			cut.Connections, cut.Refusals = line.Connections, line.Refusals
		case <-timeout.C:
			return cut, errors.New("the agent's log does not show that its stream was cut")
		}
	}
	return cut, nil
}

// follow reads what the agent logs about its stream from now on.
func (j *Journey) follow(ctx context.Context) (<-chan streamed, error) {
	none := int64(0)
	body, err := j.Kube.CoreV1().Pods(Namespace).GetLogs(Claw+"-agent-0",
		&corev1.PodLogOptions{Container: "agent", Follow: true, TailLines: &none}).Stream(ctx)
	if err != nil {
		return nil, err
	}
	lines := make(chan streamed, 10000)
	go func() {
		defer body.Close()
		defer close(lines)
		for scanner := bufio.NewScanner(body); scanner.Scan(); {
			var line streamed
			if json.Unmarshal(scanner.Bytes(), &line) == nil && strings.HasPrefix(line.Event, "stream") {
				lines <- line
			}
		}
	}()
	return lines, nil
}

// Revoke sets the one field.
func (j *Journey) Revoke(ctx context.Context) error {
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Claw}}
	return j.Client.Patch(ctx, claw, ctrlclient.RawPatch("application/merge-patch+json", []byte(`{"spec":{"state":"Revoked"}}`)))
}

// Promise is the longest a byte may still pass after a revocation was accepted.
const Promise = time.Second

// revocation: one field is set while a stream runs.
func (j *Journey) revocation(ctx context.Context) error {
	siblings, err := j.Pods(ctx, Sibling)
	if err != nil {
		return err
	}
	cut, err := j.CutStream(ctx, j.Revoke)
	if err != nil {
		return err
	}
	j.Tell.Show(fmt.Sprintf(`$ kubectl -n %s patch claw %s --type=merge -p '{"spec":{"state":"Revoked"}}'`, Namespace, Claw),
		fmt.Sprintf("last byte from the provider after %s, to the agent after %s; of %d connections %d were refused or broken",
			cut.ToProvider.Round(time.Millisecond), cut.ToClient.Round(time.Millisecond), cut.Connections, cut.Refusals))
	if cut.ToProvider > Promise || cut.ToClient > Promise {
		return fmt.Errorf("bytes passed for longer than %s", Promise)
	}
	if err := j.Remains(ctx); err != nil {
		return err
	}
	return j.untouched(ctx, siblings)
}

// Remains checks what is left of a revoked Claw: its workspace and its records, nothing that runs, no key.
func (j *Journey) Remains(ctx context.Context) error {
	err := j.Eventually(ctx, time.Minute, "the Claw's pods to go", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := j.Client.List(ctx, &pods, ctrlclient.InNamespace(Namespace), ctrlclient.MatchingLabels{v1alpha1.LabelClaw: Claw}); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d are left", len(pods.Items))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range []string{Claw + "-gateway", Claw + "-agent"} {
		if err := j.gone(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name}}); err != nil {
			return err
		}
	}
	if err := j.show(ctx, "-n", Namespace, "get", "claws,clawcredentials"); err != nil {
		return err
	}
	if err := j.show(ctx, "-n", Namespace, "get", "pods,persistentvolumeclaims", "-l", v1alpha1.LabelClaw+"="+Claw); err != nil {
		return err
	}
	var workspace corev1.PersistentVolumeClaim
	if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: Namespace, Name: "workspace-" + Claw + "-agent-0"}, &workspace); err != nil {
		return fmt.Errorf("the workspace is kept: %w", err)
	}
	return j.refused(ctx, []string{"-n", Namespace, "patch", "claw", Claw, "--type=merge", "-p", `{"spec":{"state":"Active"}}`}, "final")
}

// untouched checks that another Claw's pods are the same as before, and that it still answers.
func (j *Journey) untouched(ctx context.Context, before map[string]corev1.Pod) error {
	after, err := j.Pods(ctx, Sibling)
	if err != nil {
		return err
	}
	for component, pod := range before {
		now := after[component]
		if now.UID != pod.UID || restarts(now) != restarts(pod) {
			return fmt.Errorf("the sibling's %s was restarted by a revocation that is not its own", component)
		}
	}
	if _, err := j.tricksOf(ctx, Sibling, Lee, Triage, "!attack"); err != nil {
		return fmt.Errorf("the sibling does not answer any more: %w", err)
	}
	j.Tell.Say("its sibling %s runs in the same pods as before and answers", Sibling)
	return nil
}

func restarts(pod corev1.Pod) (n int32) {
	for _, status := range pod.Status.ContainerStatuses {
		n += status.RestartCount
	}
	return n
}

// records: what the ledger has of all that, and that it is whole.
func (j *Journey) records(ctx context.Context) error {
	records, err := j.Records(ctx, Claw)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return errors.New("the ledger has no records of this Claw")
	}
	shown := records
	const most = 60
	if len(shown) > most {
		shown = append(append(shown[:0:0], shown[:most/2]...), shown[len(shown)-most/2:]...)
	}
	j.Tell.Show(fmt.Sprintf("$ kubectl -n %s exec clawstaff-ledger-0 -- /ledger read --claw %s/%s   (%d of %d records)",
		SystemNS, Namespace, Claw, len(shown), len(records)), table(shown))
	for _, record := range records {
		if leak := j.Keys.in(record); leak != "" {
			return fmt.Errorf("record %d holds the %s", record.Seq, leak)
		}
	}
	out, err := j.Verify(ctx, Claw)
	if err != nil {
		return err
	}
	out = ofUID(out, records[0].Claw.UID)
	if !strings.Contains(out, "whole") {
		return fmt.Errorf("the ledger does not call the history whole: %s", out)
	}
	j.Tell.Show(fmt.Sprintf("$ kubectl -n %s exec clawstaff-ledger-0 -- /ledger verify --claw %s/%s", SystemNS, Namespace, Claw), out)
	return nil
}

// ofUID leaves the lines about one Claw; former ones of the same name have histories of their own.
func ofUID(out, uid string) string {
	var kept strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, uid) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
