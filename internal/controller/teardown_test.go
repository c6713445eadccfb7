package controller_test

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

func revoke(t *testing.T, claw *v1alpha1.Claw) {
	t.Helper()
	update(t, claw, func(c *v1alpha1.Claw) { c.Spec.State = v1alpha1.ClawRevoked })
}

// runs lists what is left of what ran.
func runs(t *testing.T, claw *v1alpha1.Claw) string {
	t.Helper()
	out := ""
	for _, child := range children(claw) {
		switch child.(type) {
		case *v1alpha1.ClawGrant, *networkingv1.NetworkPolicy:
			continue
		}
		if child.GetName() == cage.OwnerName(claw.Name) {
			continue // as long as there is a Claw, it is somebody's
		}
		if get(t, child) {
			out += kindOf(child) + " " + child.GetName() + "; "
		}
	}
	return out
}

// TestRevoked: the grant says so first, the gateway's word is waited for, then everything that ran goes.
// The grant, the walls and the workspace stay.
func TestRevoked(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	gateway := podWith(t, claw, v1alpha1.ComponentGateway)
	workspace := workspaceOf(claw)
	create(t, workspace)

	revoke(t, claw)
	eventually(t, func() string {
		if grantOf(t, claw).Spec.State != v1alpha1.GrantRevoked {
			return "the grant is not Revoked"
		}
		return ""
	})
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonRevoked)
	enforce(t, claw, gateway)
	eventually(t, func() string { return runs(t, claw) })
	if !get(t, workspace) || workspace.DeletionTimestamp != nil || !get(t, grantOf(t, claw)) {
		t.Error("the workspace or the grant is gone")
	}
	for _, p := range []string{cage.GatewayName("triage"), cage.AgentName("triage")} {
		if !get(t, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: p}}) {
			t.Errorf("NetworkPolicy %s is gone while pods may be there", p)
		}
	}
	if claw.Status.State != v1alpha1.PhaseRevoked {
		t.Errorf("state %s", claw.Status.State)
	}
	removePods(t, claw)
	condition(t, claw, v1alpha1.ConditionReconciling, v1alpha1.ReasonRevoked)
	eventually(t, func() string {
		get(t, claw)
		for _, x := range claw.Status.Conditions {
			if x.Type == v1alpha1.ConditionReconciling && x.Status != metav1.ConditionFalse {
				return "still reconciling"
			}
		}
		return ""
	})
	// Its keys are over with it.
	for _, name := range []string{"triage-slack", "triage-anthropic"} {
		credentialReady(t, c.name, name, v1alpha1.ReasonRevoked)
	}
	eventually(t, func() string {
		if told(t, claw, v1alpha1.ReasonRevoked) && told(t, claw, v1alpha1.ReasonProvisioned) {
			return ""
		}
		return "no event tells of it"
	})
}

// TestRevokedWithoutAWord: a gateway that says nothing is given seconds, not for ever.
func TestRevokedWithoutAWord(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	revoke(t, claw)
	eventually(t, func() string { return runs(t, claw) })
}

// TestRevokedIsNotInherited: a Claw of the same name gets none of a revoked one's keys; one that was
// merely deleted leaves them to it.
func TestRevokedIsNotInherited(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	revoke(t, claw)
	removePods(t, claw)
	remove(t, claw)
	gone(t, claw)
	create(t, c.clawOf("triage"))
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonRevoked)

	other := c.running("other")
	uid := other.UID
	removePods(t, other)
	remove(t, other)
	gone(t, other)
	again := c.clawOf("other")
	create(t, again)
	eventually(t, func() string {
		cred := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "other-slack"}}
		get(t, cred)
		if cred.Status.ClawUID != string(again.UID) || again.UID == uid {
			return "the key is not bound to the new Claw: " + brief(cred.Status.Conditions)
		}
		return ""
	})
}

// TestDelete: an orphaning delete, too, leaves nothing that runs, and the Claw stays until its pods are gone.
func TestDelete(t *testing.T) {
	for _, propagation := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan, metav1.DeletePropagationForeground} {
		t.Run(string(propagation), func(t *testing.T) {
			c := newCage(t)
			c.policy()
			claw := c.running("triage")
			workspace := workspaceOf(claw)
			create(t, workspace)
			// A pod that takes its time: somebody's finalizer holds it.
			held := podWith(t, claw, v1alpha1.ComponentAgent)
			update(t, held, func(p *corev1.Pod) { p.Finalizers = []string{"example.com/hold"} })

			remove(t, claw, client.PropagationPolicy(propagation))
			eventually(t, func() string { return runs(t, claw) })
			eventually(t, func() string {
				if !get(t, held) || held.DeletionTimestamp == nil {
					return "the agent's pod is not told to go"
				}
				return ""
			})
			if !get(t, claw) || claw.DeletionTimestamp == nil {
				t.Fatal("the Claw went before its pods")
			}
			update(t, held, func(p *corev1.Pod) { p.Finalizers = nil })
			removePods(t, claw)
			eventually(t, func() string {
				// The API server alone has no garbage collector that would take its own finalizer off.
				if get(t, claw) && len(claw.Finalizers) > 0 && claw.Finalizers[0] == v1alpha1.Finalizer {
					return "our finalizer is still there"
				}
				return ""
			})
			if get(t, &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage"}}) {
				t.Error("the grant is still there")
			}
			if get(t, workspace) && workspace.DeletionTimestamp == nil {
				t.Error("the workspace is left for the next of that name")
			}
		})
	}
}

// People choose the name that their fields are noted under; one who borrows the manager's has a Claw like any
// other, that runs and goes.
func TestBorrowedFieldManager(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.clawOf("triage")
	spec := v1alpha1ac.ClawSpec()
	if err := cage.Convert(claw.Spec, spec); err != nil {
		t.Fatal(err)
	}
	if err := api.Apply(t.Context(), v1alpha1ac.Claw(claw.Name, claw.Namespace).WithSpec(spec), client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		t.Fatal(err)
	}
	gatewayPod(t, claw)
	removePods(t, claw)
	remove(t, claw)
	gone(t, claw)
}

// The workspace of a former Claw of the same name may be there for a while: another Claw, perhaps of another
// owner, does not find it.
func TestFormerWorkspaceIsNotFound(t *testing.T) {
	c := newCage(t)
	c.policy()
	former := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.WorkspaceClaim("triage"), OwnerReferences: []metav1.OwnerReference{
			{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Claw", Name: "triage", UID: "former"}}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	create(t, former)
	claw := c.claw("triage")
	condition(t, claw, v1alpha1.ConditionRuntimeReady, v1alpha1.ReasonDependencyNotReady)
	if get(t, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}) {
		t.Error("the agent is made, and would mount the workspace of another Claw")
	}
	update(t, former, func(p *corev1.PersistentVolumeClaim) { p.Finalizers = nil }) // nothing uses it
	remove(t, former)
	agentPod(t, claw, proved)
}

func TestOrganizationWaitsForItsClaws(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	remove(t, org)
	c.organizationReady(v1alpha1.ReasonHasClaws)
	removePods(t, claw)
	remove(t, claw)
	gone(t, claw)
	gone(t, org)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	if !get(t, namespace) || namespace.DeletionTimestamp != nil || namespace.Labels[v1alpha1.LabelOrganization] != c.name {
		t.Error("the cage is gone, or open")
	}
	// And it is adopted by the organization that comes again.
	create(t, organizationOf(c.name))
	c.organizationReady(v1alpha1.ReasonReady)
}

func TestTerminatingNamespace(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	remove(t, namespace)
	// The API server alone never finishes a namespace, and refuses everything new in it.
	c.organizationReady(v1alpha1.ReasonDependencyNotReady)
	removePods(t, claw)
	remove(t, claw)
	gone(t, claw)
}

func gone(t *testing.T, o client.Object) {
	t.Helper()
	eventually(t, func() string {
		if get(t, o) {
			return kindOf(o) + " " + o.GetName() + " does not go"
		}
		return ""
	})
}

func podWith(t *testing.T, claw *v1alpha1.Claw, component string) *corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	err := api.List(context.Background(), &pods, client.InNamespace(claw.Namespace),
		client.MatchingLabels{v1alpha1.LabelClaw: claw.Name, v1alpha1.LabelComponent: component})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods of the %s: %v", len(pods.Items), component, err)
	}
	return &pods.Items[0]
}

// removePods does what kubelets do when the pods' owners are gone.
func removePods(t *testing.T, claw *v1alpha1.Claw) {
	t.Helper()
	err := api.DeleteAllOf(context.Background(), &corev1.Pod{}, client.InNamespace(claw.Namespace),
		client.MatchingLabels{v1alpha1.LabelClaw: claw.Name}, client.GracePeriodSeconds(0))
	if err != nil {
		t.Fatal(err)
	}
}

func workspaceOf(claw *v1alpha1.Claw) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: cage.WorkspaceClaim(claw.Name), Labels: map[string]string{v1alpha1.LabelClaw: claw.Name}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: gibibyte}},
		},
	}
}

func told(t *testing.T, about client.Object, reason string) bool {
	t.Helper()
	var list eventsv1.EventList
	if err := api.List(context.Background(), &list, client.InNamespace(about.GetNamespace())); err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Reason == reason && e.Regarding.UID == about.GetUID() {
			return true
		}
	}
	return false
}
