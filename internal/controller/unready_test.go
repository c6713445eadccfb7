package controller_test

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// TestAnUnreadyCageNarrowsToo: a cage that cannot be put right, because somebody's own admission policy is in the
// way, keeps what runs in it. What security takes away is taken away all the same.
func TestAnUnreadyCageNarrowsToo(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.running("triage")
	ips := grantOf(t, claw).Spec.AgentIPs

	obstruct(t, c.name)
	remove(t, &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.QuotaName}})
	c.organizationReady(v1alpha1.ReasonApplyFailed)

	update(t, p, noModels)
	eventually(t, func() string {
		spec := grantOf(t, claw).Spec
		if len(spec.Models) > 0 || spec.State != v1alpha1.GrantActive || len(spec.AgentIPs) != len(ips) {
			return "the grant is not narrowed, or cut off"
		}
		return ""
	})
}

// obstruct refuses LimitRanges in a namespace until the test is over.
func obstruct(t *testing.T, namespace string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "obstruct-" + namespace}
	create(t, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"limitranges"}},
			}}},
		},
		Validations: []admissionregistrationv1.Validation{{Expression: "false", Message: "no LimitRanges here"}},
	}}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: meta.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}})
	t.Cleanup(func() {
		remove(t, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta})
		remove(t, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta})
	})
	// In force a moment after it is there.
	eventually(t, func() string {
		trial := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "trial"}}
		if err := api.Create(t.Context(), trial, client.DryRunAll); err == nil {
			return "LimitRanges are still taken"
		}
		return ""
	})
}
