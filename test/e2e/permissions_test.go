package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/test/journey"
)

// TestPermissionsOverTime narrows what a Claw that runs may do, by the platform's baseline, and widens it again:
// each takes effect at once, and the agent is only stopped where what it runs may not run.
func TestPermissionsOverTime(t *testing.T) {
	must(t, fresh(t))
	t.Cleanup(func() { _ = baseline(context.WithoutCancel(t.Context()), v1alpha1.Baseline{}) })
	t.Run("a schedule that is closed", scheduleCloses)
	t.Run("an image that may not run", imageIsBarred)
	t.Run("a key as a file", keyIsDelivered)
}

// baseline is what the platform says over every Claw of the organization.
func baseline(ctx context.Context, b v1alpha1.Baseline) error {
	org := &v1alpha1.ClawOrganization{}
	if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Name: journey.Namespace}, org); err != nil {
		return err
	}
	before := org.DeepCopy()
	org.Spec.Baseline = b
	return j.Client.Patch(ctx, org, ctrlclient.MergeFrom(before))
}

// scheduleCloses asks while everything is closed, and again when it is not.
func scheduleCloses(t *testing.T) {
	ctx := t.Context()
	agent := podOf(t, "agent").UID
	yesterday := v1alpha1.Day(time.Now().UTC().AddDate(0, 0, -1).Weekday().String()[:3])
	closed := v1alpha1.Baseline{Require: v1alpha1.PolicyRequirements{Schedule: &v1alpha1.Schedule{
		TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{yesterday}, Start: "00:00", End: "00:01"}},
	}}}
	before, err := j.Records(ctx, journey.Claw)
	must(t, err)
	must(t, baseline(ctx, closed))
	must(t, j.Eventually(ctx, 30*time.Second, "the grant to have the schedule", func(ctx context.Context) error {
		return enforced(ctx, func(g *v1alpha1.ClawGrantSpec) bool { return len(g.Schedules) == 1 })
	}))
	_, err = j.Write(ctx, journey.Claw, journey.Lee, journey.Support, "is anybody there at this hour?")
	must(t, err)
	record, err := j.Await(ctx, journey.Claw, uint64(len(before)), "the message, out of hours", func(r audit.Record) bool {
		return r.Kind == audit.KindMessage && r.Rule == "schedule"
	})
	must(t, err)
	if record.Decision == audit.Allowed || !strings.Contains(record.Reason, "schedule") {
		t.Errorf("the record says %s: %s", record.Decision, record.Reason)
	}

	must(t, baseline(ctx, v1alpha1.Baseline{}))
	must(t, j.Eventually(ctx, 30*time.Second, "the grant to be open", func(ctx context.Context) error {
		return enforced(ctx, func(g *v1alpha1.ClawGrantSpec) bool { return len(g.Schedules) == 0 })
	}))
	_, err = j.Ask(ctx, journey.Claw, journey.Lee, journey.Support, "and now?", 30*time.Second)
	must(t, err)
	if podOf(t, "agent").UID != agent {
		t.Error("the agent was started anew for a schedule")
	}
}

// imageIsBarred stops the agent while its image is not one of those that may run.
func imageIsBarred(t *testing.T) {
	ctx := t.Context()
	gateway := podOf(t, "gateway").UID
	must(t, baseline(ctx, v1alpha1.Baseline{Require: v1alpha1.PolicyRequirements{Runtime: v1alpha1.RuntimeRequirements{
		Images: []v1alpha1.Pattern{"registry.example/approved:*"},
	}}}))
	must(t, j.Eventually(ctx, time.Minute, "the agent to be gone", func(ctx context.Context) error {
		pods, err := j.Pods(ctx, journey.Claw)
		if _, runs := pods["agent"]; err == nil && runs {
			err = errors.New("it is still there")
		}
		return err
	}))
	// What is said follows what is done: the status is written after the agent is gone.
	must(t, j.Eventually(ctx, 30*time.Second, "the Claw to say which images may run", func(ctx context.Context) error {
		var claw v1alpha1.Claw
		if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: journey.Namespace, Name: journey.Claw}, &claw); err != nil {
			return err
		}
		if text := fmt.Sprint(claw.Status.Withheld); !strings.Contains(text, "registry.example/approved:*") {
			return fmt.Errorf("it says %s", text)
		}
		return nil
	}))
	must(t, baseline(ctx, v1alpha1.Baseline{}))
	must(t, j.Eventually(ctx, 30*time.Second, "the grant to have its channel again", func(ctx context.Context) error {
		return enforced(ctx, func(g *v1alpha1.ClawGrantSpec) bool { return len(g.Channels) > 0 })
	}))
	must(t, j.AwaitReady(ctx, journey.Claw))
	_, err := j.Ask(ctx, journey.Claw, journey.Lee, journey.Support, "back again?", 30*time.Second)
	must(t, err)
	if podOf(t, "gateway").UID != gateway {
		t.Error("the gateway was started anew for an image of the agent")
	}
}

// keyIsDelivered finds the key in the agent once its credential says so, and not before.
func keyIsDelivered(t *testing.T) {
	ctx := t.Context()
	var source corev1.Secret
	must(t, j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: journey.Namespace, Name: "triage-anthropic"}, &source))
	key := string(source.Data["key"])
	read := func(ctx context.Context) (string, error) {
		return j.Kubectl(ctx, "-n", journey.Namespace, "exec", podOf(t, "agent").Name, "-c", "agent", "--",
			"node", "-e", `process.stdout.write(require("fs").readFileSync("/run/clawstaff/credentials/triage-anthropic/apiKey","utf8"))`)
	}
	if got, err := read(ctx); err == nil {
		t.Fatalf("a key of %d bytes is in the agent, whose credential says Gateway", len(got))
	}
	deliver(t, v1alpha1.DeliveryContainer)
	defer deliver(t, v1alpha1.DeliveryGateway)
	// The kubelet looks after mounted Secrets about once a minute.
	must(t, j.Eventually(ctx, 3*time.Minute, "the key to be in the agent", func(ctx context.Context) error {
		got, err := read(ctx)
		if err == nil && got != key {
			err = errors.New("it is another one")
		}
		return err
	}))
}

func deliver(t *testing.T, to v1alpha1.Delivery) {
	t.Helper()
	credential := &v1alpha1.ClawCredential{}
	credential.Namespace, credential.Name = journey.Namespace, "triage-anthropic"
	patch := ctrlclient.RawPatch("application/merge-patch+json", []byte(fmt.Sprintf(`{"spec":{"delivery":%q}}`, to)))
	must(t, j.Client.Patch(t.Context(), credential, patch))
}

// enforced tells whether the grant is as wanted and the gateway says that it enforces it.
func enforced(ctx context.Context, want func(*v1alpha1.ClawGrantSpec) bool) error {
	var grant v1alpha1.ClawGrant
	if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: journey.Namespace, Name: journey.Claw}, &grant); err != nil {
		return err
	}
	if !want(&grant.Spec) {
		return errors.New("it is not")
	}
	for _, g := range grant.Status.Gateways {
		if g.Enforcing == grant.Spec.Hash {
			return nil
		}
	}
	return errors.New("no gateway says that it enforces it")
}

func podOf(t *testing.T, component string) corev1.Pod {
	t.Helper()
	pods, err := j.Pods(t.Context(), journey.Claw)
	must(t, err)
	return pods[component]
}
