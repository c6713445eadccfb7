package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/journey"
)

// TestAnOpenCageIsNotStartedIn makes the network of the cage one that does not isolate, as a cluster is whose
// network plugin ignores NetworkPolicies. An agent that starts then must not get past its probe, the Claw
// says why, and once the hole is shut it goes on by itself.
func TestAnOpenCageIsNotStartedIn(t *testing.T) {
	must(t, fresh(t))
	ctx := t.Context()
	saboteur, err := j.Saboteur()
	must(t, err)
	hole := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: journey.Namespace, Name: "hole"},
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress},
			Egress:      []networkingv1.NetworkPolicyEgressRule{{}},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{}},
		},
	}
	must(t, saboteur.Create(ctx, hole))
	t.Cleanup(func() { _ = saboteur.Delete(context.WithoutCancel(ctx), hole) }) // gone already if all went well
	pods, err := j.Pods(ctx, journey.Claw)
	must(t, err)
	agent := pods["agent"]
	must(t, saboteur.Delete(ctx, &agent, ctrlclient.GracePeriodSeconds(0)))

	must(t, j.Eventually(ctx, time.Minute, "the Claw to say that its cage is open", func(ctx context.Context) error {
		var claw v1alpha1.Claw
		if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: journey.Namespace, Name: journey.Claw}, &claw); err != nil {
			return err
		}
		condition := meta.FindStatusCondition(claw.Status.Conditions, v1alpha1.ConditionNetworkEnforced)
		if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != v1alpha1.ReasonNetworkNotEnforced {
			return fmt.Errorf("it says %+v", condition)
		}
		if !strings.Contains(condition.Message, "API server") {
			return fmt.Errorf("it does not say what can be reached: %s", condition.Message)
		}
		t.Log(condition.Message)
		return nil
	}))
	pods, err = j.Pods(ctx, journey.Claw)
	must(t, err)
	for _, status := range pods["agent"].Status.ContainerStatuses {
		if status.State.Waiting == nil || status.LastTerminationState.Terminated != nil {
			t.Errorf("the agent has started in an open cage: %+v", status.State)
		}
	}
	var grant v1alpha1.ClawGrant
	must(t, j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: journey.Namespace, Name: journey.Claw}, &grant))
	if len(grant.Spec.AgentIPs) > 0 {
		t.Errorf("the gateway serves %v, of a pod that proved nothing", grant.Spec.AgentIPs)
	}

	must(t, saboteur.Delete(ctx, hole))
	must(t, j.AwaitReady(ctx, journey.Claw))
	must(t, j.Eventually(ctx, time.Minute, "the agent to run", func(ctx context.Context) error {
		pods, err := j.Pods(ctx, journey.Claw)
		if err == nil && pods["agent"].Status.Phase != corev1.PodRunning {
			err = errors.New(string(pods["agent"].Status.Phase))
		}
		return err
	}))
}
