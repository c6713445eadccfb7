package v1alpha1

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// asked counts how often the API server has asked the webhook.
func asked(t *testing.T) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() != "controller_runtime_webhook_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			total += m.GetCounter().GetValue()
		}
	}
	return total
}

// What changes nothing that is judged does not even ask: status, the same once more, the manager's and the
// garbage collector's housekeeping, revoking, deleting, and everything else in the cluster.
func TestQuickExits(t *testing.T) {
	ctx := t.Context()
	c := claw(func(c *v1alpha1.Claw) { c.Name = "quick" })
	if err := as(sarah).Create(ctx, c); err != nil {
		t.Fatal(err)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "unrelated", Namespace: "acme"}}
	patch := func(user, patch string) func() error {
		return func() error {
			return as(user).Patch(ctx, c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
		}
	}
	for _, tt := range []struct {
		name string
		do   func() error
		asks float64
	}{
		{"a new purpose", patch(sarah, `{"spec":{"purpose":"Another."}}`), 1},
		{"a label", patch(sarah, `{"metadata":{"labels":{"a":"b"}}}`), 1},
		{"an annotation", patch(sarah, `{"metadata":{"annotations":{"a":"b"}}}`), 1},
		{"a finalizer", patch(sarah, `{"metadata":{"finalizers":["example.com/a"]}}`), 1},
		{"an owner", patch(sarah, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]}}`), 1},
		{"the same", patch(sarah, `{"spec":{"purpose":"Triages tickets."}}`), 0},
		{"the same, applied", func() error {
			same := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"purpose": "Triages tickets."}}}
			same.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Claw"))
			same.SetName("quick")
			same.SetNamespace("acme")
			return as(sarah).Apply(ctx, client.ApplyConfigurationFromUnstructured(same), client.FieldOwner("gitops"), client.ForceOwnership, client.DryRunAll)
		}, 0},
		{"status", func() error {
			return as(chart.ManagerUser).Status().Patch(ctx, c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"state":"Pending"}}`)), client.DryRunAll)
		}, 0},
		{"the manager's finalizer", patch(chart.ManagerUser, `{"metadata":{"finalizers":["clawstaff.dev/teardown"]}}`), 0},
		{"the garbage collector", patch("system:serviceaccount:kube-system:generic-garbage-collector", `{"metadata":{"finalizers":["foregroundDeletion"]}}`), 0},
		{"who says to be the garbage collector and changes a spec", patch("system:serviceaccount:kube-system:generic-garbage-collector", `{"spec":{"owner":"lee@acme.example"}}`), 1},
		{"revoking", patch(lee, `{"spec":{"state":"Revoked"}}`), 0},
		{"deleting", func() error { return as(lee).Delete(ctx, c.DeepCopy(), client.DryRunAll) }, 0},
		{"another kind", func() error { return as(admin).Create(ctx, cm.DeepCopy(), client.DryRunAll) }, 0},
		{"a grant, which the manager writes", func() error {
			g := &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Name: "quick", Namespace: "acme"},
				Spec: v1alpha1.ClawGrantSpec{ClawUID: "u", Hash: "h", State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityTeam}}
			return as(admin).Create(ctx, g, client.DryRunAll)
		}, 0},
	} {
		before := asked(t)
		err := tt.do()
		if err != nil && (tt.asks == 0 || !strings.Contains(err.Error(), " denied the request: ")) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := asked(t) - before; got != tt.asks {
			t.Errorf("%s: the webhook was asked %v times, want %v", tt.name, got, tt.asks)
		}
	}
	if err := as(admin).Delete(ctx, c); err != nil {
		t.Error(err)
	}
}

// The webhook has no side effects, and says so: whoever asks what would happen changes nothing by it.
func TestDryRunChangesNothing(t *testing.T) {
	ctx := t.Context()
	before := everything(t)
	for _, user := range []string{admin, sarah, lee, stranger, gitops} {
		for _, obj := range []client.Object{
			claw(), claw(func(c *v1alpha1.Claw) { c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityOrganization, nil }),
			credential(), credential(func(c *v1alpha1.ClawCredential) { c.Spec.Source.Secret.Name = "other" }),
			clawPolicy("acme", func(p *v1alpha1.ClawPolicy) { p.Name = "new" }),
			organization("new"), organization("new", func(o *v1alpha1.ClawOrganization) { o.Spec.Namespace = "acme" }),
		} {
			if err := as(user).Create(ctx, obj, client.DryRunAll); err != nil && !strings.Contains(err.Error(), " denied the request: ") {
				t.Error(err)
			}
		}
		_ = as(user).Delete(ctx, organization("acme"), client.DryRunAll) // refused, or not done
	}
	if after := everything(t); after != before {
		t.Errorf("something was changed:\nbefore %s\nafter  %s", before, after)
	}
}

// everything is what is stored, with its versions.
func everything(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, gvk := range []string{
		"clawstaff.dev/v1alpha1 Claw", "clawstaff.dev/v1alpha1 ClawPolicy", "clawstaff.dev/v1alpha1 ClawCredential",
		"clawstaff.dev/v1alpha1 ClawOrganization", "clawstaff.dev/v1alpha1 ClawGrant", "v1 Namespace", "v1 Secret", "v1 ConfigMap",
		"v1 ServiceAccount", "events.k8s.io/v1 Event", "rbac.authorization.k8s.io/v1 Role", "rbac.authorization.k8s.io/v1 RoleBinding",
	} {
		version, kind, _ := strings.Cut(gvk, " ")
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: kind + "List"}}
		if err := as(admin).List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			fmt.Fprintf(&out, "%s %s/%s %s\n", kind, o.Namespace, o.Name, o.ResourceVersion)
		}
	}
	return out.String()
}

// In a namespace that is going, nothing new is made and nothing that goes is held up.
func TestTerminatingNamespace(t *testing.T) {
	ctx := t.Context()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going", Labels: map[string]string{v1alpha1.LabelOrganization: "going"}}}
	org := organization("going")
	c := claw(func(c *v1alpha1.Claw) {
		c.Name, c.Namespace, c.Finalizers = "left", "going", []string{v1alpha1.Finalizer}
	})
	for _, obj := range []client.Object{ns, org, clawPolicy("going"), c} {
		if err := as(admin).Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = as(admin).Delete(context.Background(), org) })
	if err := as(admin).Delete(ctx, ns); err != nil {
		t.Fatal(err)
	}
	err := as(sarah).Create(ctx, claw(func(c *v1alpha1.Claw) { c.Name, c.Namespace = "late", "going" }), client.DryRunAll)
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("a new Claw: %v, want what the API server says", err)
	}
	for _, patch := range []string{`{"metadata":{"labels":{"a":"b"}}}`, `{"spec":{"purpose":"Another."}}`} {
		if err := as(sarah).Patch(ctx, c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Errorf("%s: %v", patch, err)
		}
	}
	if err := as(admin).Delete(ctx, c); err != nil {
		t.Error(err)
	}
	for _, patch := range []string{`{"spec":{"owner":"nobody"}}`, `{"metadata":{"finalizers":null}}`} {
		if err := as(stranger).Patch(ctx, c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Errorf("%s while it is deleted: %v", patch, err)
		}
	}
}
