package cel

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

const collector = "system:serviceaccount:kube-system:generic-garbage-collector"

func grantRefusals() []refusal {
	outside := grant("outside")
	outside.Namespace = open
	everybody := []string{"mallory", robot, glazier, collector}
	return []refusal{
		{grantsPolicy, "only the ClawStaff manager makes grants", nil, true, []attack{{"create a grant", create(grant("rogue"))}}},
		{grantsPolicy, "only the ClawStaff manager makes grants", []string{"mallory", robot, glazier}, false, []attack{
			{"create a grant that nobody spares", create(grant("rogue"))}, {"create a grant outside of cages", create(outside)},
		}},
		{grantsPolicy, "because it is what the agent", nil, true, []attack{{"widen a grant", patch(grant("triage"), `{"spec":{"visibility":"Organization"}}`)}}},
		{grantsPolicy, "because it is what the agent", everybody, false, []attack{
			{"widen a grant that nobody spares", patch(grant("triage"), `{"spec":{"visibility":"Organization"}}`)},
			{"revive a grant", patch(grant("triage"), `{"spec":{"agentIPs":["10.0.0.66"]}}`)},
		}},
		{grantsPolicy, "its labels, annotations, owners and finalizers", []string{"mallory", robot}, true, []attack{
			{"give a grant an owner that is gone", patch(grant("triage"), bogusOwner)},
			{"hold a grant with a finalizer", patch(grant("triage"), `{"metadata":{"finalizers":["example.com/mine"]}}`)},
			{"label a grant", patch(grant("triage"), `{"metadata":{"labels":{"clawstaff.dev/claw":"other"}}}`)},
			{"annotate a grant", patch(grant("triage"), `{"metadata":{"annotations":{"clawstaff.dev/applied":"x"}}}`)},
		}},
		{grantsPolicy, "it goes with its Claw", []string{"mallory", robot}, true, []attack{
			{"delete a grant", remove(grant("triage"))},
			{"delete every grant", removeAll(grant(""))},
		}},
		{grantsPolicy, "only the gateway of this Claw writes it", []string{"mallory", robot, glazier, collector, "system:serviceaccount:acme:triage-gateway"}, false, []attack{
			{"write a grant's status", sayInStatus("x")},
		}},
		{grantsPolicy, "only the gateway of this Claw writes it", nil, true, []attack{{"write a grant's status as people", sayInStatus("x")}}},
		{grantsPolicy, "it neither adds to it nor changes it", []string{chart.ManagerUser}, false, []attack{
			{"speak for a gateway", sayInStatus("x")},
		}},
	}
}

// sayInStatus writes into the status of a grant as if a gateway's pod had.
func sayInStatus(uid string) func(context.Context, client.Client, *kubernetes.Clientset) error {
	return func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
		return c.Status().Patch(ctx, grant("triage"), client.RawPatch(types.MergePatchType,
			[]byte(`{"status":{"gateways":[{"podName":"x","podUID":"`+uid+`","enforcing":"h"}]}}`)))
	}
}

// What must go on for a grant's life and end does.
func TestGrantsAreLookedAfter(t *testing.T) {
	ctx, manager := t.Context(), as(chart.ManagerUser)
	make := func() *v1alpha1.ClawGrant {
		g := grant("passing")
		if err := manager.Create(ctx, g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := make()
	if err := manager.Patch(ctx, g, merge(`{"spec":{"hash":"h2"}}`)); err != nil {
		t.Errorf("the manager: %v", err)
	}
	// The garbage collector takes owners away, and finalizers that it put there; nobody's business is changed by a no-op.
	for _, user := range []string{collector, glazier} {
		if err := as(user).Patch(ctx, g, merge(bogusOwner)); err != nil {
			t.Errorf("%s: %v", user, err)
		}
		if err := as(user).Patch(ctx, g, merge(`{"metadata":{"ownerReferences":null}}`)); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	if err := as("mallory").Update(ctx, g); err != nil {
		t.Errorf("a change of nothing: %v", err)
	}
	for _, user := range []string{chart.ManagerUser, collector, "system:serviceaccount:kube-system:namespace-controller", glazier} {
		if err := as(user).Delete(ctx, &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Namespace: cage, Name: g.Name}}); err != nil {
			t.Errorf("deleted by %s: %v", user, err)
		}
		g = make()
	}
	if err := manager.Delete(ctx, g); err != nil {
		t.Error(err)
	}
}

// The manager forgets; it does not remember otherwise than it was told.
func TestTheManagerOnlyTakesWordsAway(t *testing.T) {
	gw, uid := gateway(t, "told", "now")
	eventually(t, "the gateway's word", func() error { return setGateways(t, gw, "told", uid) })
	g := &v1alpha1.ClawGrant{}
	if err := k8s.Get(t.Context(), client.ObjectKey{Namespace: cage, Name: "told"}, g); err != nil {
		t.Fatal(err)
	}
	g.Status.Gateways[0].Enforcing = "another"
	manager := as(chart.ManagerUser)
	checkRefusedBy(t, manager.Status().Update(t.Context(), g), grantsPolicy, "it neither adds to it nor changes it")
	if err := setGateways(t, manager, "told"); err != nil {
		t.Errorf("taking it away: %v", err)
	}
}
