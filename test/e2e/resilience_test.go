package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/test/journey"
)

// TestDeletedChildrenReturn deletes every child of the Claw, one after the other, as somebody whom
// nothing keeps from it. Each is back within seconds, and in the end the Claw is Ready and answers.
func TestDeletedChildrenReturn(t *testing.T) {
	must(t, fresh(t))
	ctx := t.Context()
	children, err := j.Children(ctx)
	must(t, err)
	if len(children) < 12 {
		t.Errorf("the Claw has %d children only: %v", len(children), names(children))
	}
	saboteur, err := j.Saboteur()
	must(t, err)
	for _, child := range children {
		t.Run(child.GetKind()+"/"+child.GetName(), func(t *testing.T) {
			must(t, ctrlclient.IgnoreNotFound(saboteur.Delete(ctx, child)))
			must(t, back(ctx, child))
		})
	}
	must(t, j.AwaitReady(ctx, journey.Claw))
	_, err = j.Ask(ctx, journey.Claw, journey.Lee, journey.Support, "all there again?", time.Minute)
	must(t, err)
	_, err = j.Verify(ctx, journey.Claw)
	must(t, err)
}

// back waits for another object of the same kind and name.
func back(ctx context.Context, child *unstructured.Unstructured) error {
	return j.Eventually(ctx, 15*time.Second, child.GetKind()+" "+child.GetName()+" to be back", func(ctx context.Context) error {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(child.GroupVersionKind())
		if err := j.Client.Get(ctx, ctrlclient.ObjectKeyFromObject(child), now); err != nil {
			return err
		}
		if now.GetUID() == child.GetUID() {
			return errors.New("it is the one that was deleted")
		}
		return nil
	})
}

// TestKilledProcessesReturn kills the gateway, the agent and the managers. Each returns, the Claw
// answers again, and its history has no gap.
func TestKilledProcessesReturn(t *testing.T) {
	must(t, fresh(t))
	for _, victim := range []struct {
		name     string
		selector ctrlclient.MatchingLabels
		in       string
	}{
		{"gateway", ctrlclient.MatchingLabels{"clawstaff.dev/claw": journey.Claw, "clawstaff.dev/component": "gateway"}, journey.Namespace},
		{"agent", ctrlclient.MatchingLabels{"clawstaff.dev/claw": journey.Claw, "clawstaff.dev/component": "agent"}, journey.Namespace},
		{"manager", ctrlclient.MatchingLabels{"app.kubernetes.io/name": "clawstaff-manager"}, journey.SystemNS},
		{"ledger", ctrlclient.MatchingLabels{"app.kubernetes.io/name": "clawstaff-ledger"}, journey.SystemNS},
	} {
		t.Run(victim.name, func(t *testing.T) {
			ctx := t.Context()
			before, err := j.Records(ctx, journey.Claw)
			must(t, err)
			killed, err := kill(ctx, victim.in, victim.selector)
			must(t, err)
			begun := time.Now()
			must(t, replaced(ctx, victim.in, victim.selector, killed))
			t.Logf("replaced after %s", time.Since(begun))
			must(t, j.AwaitLeader(ctx))
			must(t, j.AwaitReady(ctx, journey.Claw))
			t.Logf("Ready after %s", time.Since(begun))
			_, err = j.Ask(ctx, journey.Claw, journey.Lee, journey.Support, "back after "+victim.name+"?", time.Minute)
			must(t, err)
			t.Logf("answers after %s", time.Since(begun))
			after, err := j.Records(ctx, journey.Claw)
			must(t, err)
			if len(after) <= len(before) || after[len(before)-1].Hash != before[len(before)-1].Hash {
				t.Errorf("the history before is not the beginning of the history after: %d records, then %d", len(before), len(after))
			}
			_, err = j.Verify(ctx, journey.Claw)
			must(t, err)
		})
	}
}

// kill deletes pods without grace, as a crash does.
func kill(ctx context.Context, namespace string, selector ctrlclient.MatchingLabels) (map[types.UID]bool, error) {
	saboteur, err := j.Saboteur()
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := j.Client.List(ctx, &pods, ctrlclient.InNamespace(namespace), selector); err != nil {
		return nil, err
	}
	killed := map[types.UID]bool{}
	for i := range pods.Items {
		killed[pods.Items[i].UID] = true
		if err := saboteur.Delete(ctx, &pods.Items[i], ctrlclient.GracePeriodSeconds(0)); err != nil {
			return nil, err
		}
	}
	if len(killed) == 0 {
		return nil, fmt.Errorf("there is no pod of %v", selector)
	}
	return killed, nil
}

// replaced waits until as many other pods are ready.
func replaced(ctx context.Context, namespace string, selector ctrlclient.MatchingLabels, killed map[types.UID]bool) error {
	return j.Eventually(ctx, 2*time.Minute, fmt.Sprintf("pods of %v to be replaced", selector), func(ctx context.Context) error {
		var pods corev1.PodList
		if err := j.Client.List(ctx, &pods, ctrlclient.InNamespace(namespace), selector); err != nil {
			return err
		}
		ready := 0
		for _, pod := range pods.Items {
			for _, condition := range pod.Status.Conditions {
				if !killed[pod.UID] && condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		if ready < len(killed) {
			return fmt.Errorf("%d of %d are ready", ready, len(killed))
		}
		return nil
	})
}

func names(objects []*unstructured.Unstructured) (all []string) {
	for _, object := range objects {
		all = append(all, object.GetKind()+"/"+object.GetName())
	}
	return all
}
