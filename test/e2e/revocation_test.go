package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/journey"
)

// TestRevokedWithTheManagerDown: the gateway needs no manager to be cut off.
func TestRevokedWithTheManagerDown(t *testing.T) {
	must(t, fresh(t))
	ctx := t.Context()
	openWebhook := withoutManager(t)
	cut, err := j.CutStream(ctx, func(ctx context.Context) error {
		asked := time.Now()
		err := j.Revoke(ctx)
		t.Logf("the API server took %s", time.Since(asked))
		return err
	})
	must(t, err)
	t.Logf("last byte from the provider after %s, to the agent after %s, of %d connections %d refused", cut.ToProvider, cut.ToClient, cut.Connections, cut.Refusals)
	if cut.ToProvider > journey.Promise || cut.ToClient > journey.Promise {
		t.Errorf("bytes passed for longer than %s", journey.Promise)
	}
	openWebhook()
	must(t, j.Remains(ctx))
	_, err = j.Verify(ctx, journey.Claw)
	must(t, err)
}

// TestRevokedCredential takes one key away: its model is gone, its channel stays.
func TestRevokedCredential(t *testing.T) {
	must(t, fresh(t))
	ctx := t.Context()
	cut, err := j.CutStream(ctx, func(ctx context.Context) error {
		credential := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: journey.Namespace, Name: "triage-anthropic"}}
		return j.Client.Patch(ctx, credential, ctrlclient.RawPatch("application/merge-patch+json", []byte(`{"spec":{"state":"Revoked"}}`)))
	})
	must(t, err)
	if cut.ToProvider > journey.Promise || cut.ToClient > journey.Promise {
		t.Errorf("bytes passed for longer than %s: %+v", journey.Promise, cut)
	}
	if _, err := j.Ask(ctx, journey.Claw, journey.Lee, journey.Support, "!attack", time.Minute); err != nil {
		t.Errorf("the channel should have stayed: %v", err)
	}
	must(t, j.Revoke(ctx)) // so that the next test makes another Claw
}

// withoutManager scales the manager to nothing, webhook included: a revocation does not ask it. The function it
// returns, and the end of the test, bring it back.
func withoutManager(t *testing.T) (restore func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	manager := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: journey.SystemNS, Name: "clawstaff-manager"}}
	must(t, j.Client.Get(ctx, ctrlclient.ObjectKeyFromObject(manager), manager))
	replicas := *manager.Spec.Replicas
	scale := func(n int32) error {
		return j.Client.Patch(ctx, manager, ctrlclient.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)))
	}
	must(t, scale(0))
	done := false
	restore = func() {
		if !done {
			done = true
			if err := scale(replicas); err != nil {
				t.Errorf("the manager is not back: %v", err)
			}
		}
	}
	t.Cleanup(restore)
	must(t, j.Eventually(ctx, time.Minute, "the managers to be gone", func(ctx context.Context) error {
		var pods corev1.PodList
		err := j.Client.List(ctx, &pods, ctrlclient.InNamespace(journey.SystemNS), ctrlclient.MatchingLabels{"app.kubernetes.io/name": "clawstaff-manager"})
		if err == nil && len(pods.Items) > 0 {
			err = errors.New("there are some")
		}
		return err
	}))
	return restore
}
