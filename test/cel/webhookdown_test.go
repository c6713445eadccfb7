package cel

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// With the webhook down nothing new is admitted, and what ends something still is.
func TestRevocationNeedsNoWebhook(t *testing.T) {
	ctx := t.Context()
	ns := cageNamespace("unattended", map[string]string{"webhook": "down"})
	c := claw(func(c *v1alpha1.Claw) { c.Namespace = ns.Name })
	going := claw(func(c *v1alpha1.Claw) {
		c.Name, c.Namespace, c.Finalizers = "going", ns.Name, []string{v1alpha1.Finalizer}
	})
	cred := credential(func(c *v1alpha1.ClawCredential) { c.Namespace = ns.Name })
	for _, obj := range []client.Object{ns, c, going, cred} {
		if err := k8s.Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	deadWebhook(t)
	merge := func(user string, obj client.Object, patch string) error {
		return as(user).Patch(ctx, obj.DeepCopyObject().(client.Object), client.RawPatch("application/merge-patch+json", []byte(patch)))
	}
	down := func(err error) bool { return err != nil && strings.Contains(err.Error(), "failed calling webhook") }
	eventually(t, "the webhook is asked", func() error {
		if err := merge(chartAdmin, c, `{"spec":{"purpose":"Another."}}`); !down(err) {
			return errStill{err}
		}
		return nil
	})
	if err := merge(chartAdmin, c, `{"spec":{"state":"Revoked","purpose":"Another."}}`); !down(err) {
		t.Errorf("revoked with another change: got %v, want the webhook asked", err)
	}
	if err := merge(chartAdmin, c, `{"spec":{"state":"Revoked","tools":null}}`); !down(err) {
		t.Errorf("revoked with a field less: got %v, want the webhook asked", err)
	}
	if err := merge(chart.ManagerUser, c, `{"metadata":{"finalizers":["clawstaff.dev/teardown"]}}`); err != nil {
		t.Errorf("the manager's finalizer: %v", err)
	}
	for _, obj := range []client.Object{c, cred} {
		if err := merge(chartAdmin, obj, `{"spec":{"state":"Revoked"}}`); err != nil {
			t.Errorf("revoke %T: %v", obj, err)
		}
	}
	if err := k8s.Delete(ctx, going); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := merge(chartAdmin, going, `{"metadata":{"finalizers":null}}`); err != nil {
		t.Errorf("let go: %v", err)
	}
}

// chartAdmin is a cluster administrator under a name of his own.
const chartAdmin = "operator"

type errStill struct{ err error }

func (e errStill) Error() string {
	if e.err == nil {
		return "not asked"
	}
	return e.err.Error()
}

// deadWebhook registers the chart's webhook for namespaces labelled so, at an address where nothing is.
func deadWebhook(t *testing.T) {
	t.Helper()
	hooks := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := chart.RenderAs("templates/webhook.yaml", hooks); err != nil {
		t.Fatal(err)
	}
	nowhere := "https://127.0.0.1:1/"
	namespaced := hooks.Webhooks[:0]
	for _, w := range hooks.Webhooks {
		if *w.Rules[0].Scope == admissionregistrationv1.NamespacedScope {
			w.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &nowhere}
			w.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"webhook": "down"}}
			namespaced = append(namespaced, w)
		}
	}
	hooks.Webhooks = namespaced
	if err := k8s.Create(t.Context(), hooks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k8s.Delete(context.Background(), hooks); err != nil {
			t.Error(err)
		}
	})
	if err := k8s.Create(t.Context(), clusterBind(chartAdmin, "cluster-admin")); err != nil {
		t.Fatal(err)
	}
}
