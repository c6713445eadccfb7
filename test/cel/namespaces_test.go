package cel

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

func labelRefusals() []refusal {
	var labels []attack
	for _, tt := range []struct{ name, namespace, patch string }{
		{"no cage any more", cage, `{"metadata":{"labels":{"clawstaff.dev/organization":null}}}`},
		{"another organization's", cage, `{"metadata":{"labels":{"clawstaff.dev/organization":"other"}}}`},
		{"privileged pods", cage, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`},
		{"any pods", cage, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}`},
		{"an older profile", cage, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce-version":"v1.20"}}}`},
		{"no sandbox", strict, `{"metadata":{"labels":{"clawstaff.dev/runtime-class":null}}}`},
		{"a sandbox one may do without", strict, `{"metadata":{"labels":{"clawstaff.dev/runtime-class-mode":"Preferred"}}}`},
		{"another reserved label", cage, `{"metadata":{"labels":{"clawstaff.dev/other":"x"}}}`},
		{"a reserved annotation", cage, `{"metadata":{"annotations":{"clawstaff.dev/applied":"x"}}}`},
		{"all labels", cage, `{"metadata":{"labels":null}}`},
		{"made a cage of", open, `{"metadata":{"labels":{"clawstaff.dev/organization":"acme"}}}`},
	} {
		labels = append(labels,
			attack{tt.name, patch(namespaceOf(tt.namespace), tt.patch)},
			attack{tt.name + ", by way of status", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
				return c.Status().Patch(ctx, namespaceOf(tt.namespace), merge(tt.patch))
			}})
	}
	labels = append(labels, attack{"another organization's, by way of finalize", func(ctx context.Context, _ client.Client, k *kubernetes.Clientset) error {
		ns := cageNamespace(cage, map[string]string{v1alpha1.LabelOrganization: "other"})
		_, err := k.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
		return err
	}})
	return []refusal{
		{cageLabels, "cannot be set, changed or removed by anybody else", []string{"mallory", robot}, false, labels},
		{cageLabels, "is a cage and is not deleted", []string{"mallory", robot}, false, []attack{
			{"delete the namespace", remove(namespaceOf(cage))},
			{"delete the namespace, leaving what is in it", func(ctx context.Context, c client.Client, _ *kubernetes.Clientset) error {
				return c.Delete(ctx, namespaceOf(cage), client.PropagationPolicy(metav1.DeletePropagationOrphan))
			}},
		}},
	}
}

// A cage's namespace is somebody's to label, too; and who breaks the glass deletes it.
func TestNamespacesThatPeopleMayChange(t *testing.T) {
	if err := as("mallory").Patch(t.Context(), namespaceOf(cage), merge(`{"metadata":{"labels":{"team":"b"},"annotations":{"team":"b"}}}`)); err != nil {
		t.Errorf("a label of its own: %v", err)
	}
	if err := as(chart.ManagerUser).Patch(t.Context(), namespaceOf(cage), merge(`{"metadata":{"labels":{"pod-security.kubernetes.io/warn":"restricted"}}}`)); err != nil {
		t.Errorf("the manager: %v", err)
	}
	gone := cageNamespace("gone", nil)
	if err := as("mallory").Create(t.Context(), gone); err != nil {
		t.Fatalf("a namespace to be adopted: %v", err)
	}
	if err := as("mallory").Delete(t.Context(), gone); !refusedBy(err, cageLabels) {
		t.Errorf("deleted by whoever made it: got %v, want a refusal by %s", err, cageLabels)
	}
	if err := as(glazier).Delete(t.Context(), gone); err != nil {
		t.Errorf("who breaks the glass: %v", err)
	}
	for _, plain := range []string{open, "kube-public"} {
		if err := as("mallory").Patch(t.Context(), namespaceOf(plain), merge(`{"metadata":{"labels":{"pod-security.kubernetes.io/warn":"baseline"}}}`)); err != nil {
			t.Errorf("namespace %s, which is no cage: %v", plain, err)
		}
	}
}
