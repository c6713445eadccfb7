package cage

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// quotaClaws counts Claws in a ResourceQuota.
const quotaClaws corev1.ResourceName = "count/claws.clawstaff.dev"

// ForOrganization is an organization's cage: the namespace first, then what closes and bounds it.
// Nothing in it has an owner: the cage is kept when the organization goes, and stays closed.
func ForOrganization(org *v1alpha1.ClawOrganization) []Object {
	objects := []Object{namespace(org), defaultDeny(org), limits(org)}
	if hard := quota(org.Spec.Quota); len(hard) > 0 {
		objects = append(objects, corev1ac.ResourceQuota(QuotaName, org.Cage()).
			WithLabels(cageLabels(org)).
			WithSpec(corev1ac.ResourceQuotaSpec().WithHard(hard)))
	}
	return objects
}

func cageLabels(org *v1alpha1.ClawOrganization) map[string]string {
	return map[string]string{
		v1alpha1.LabelManagedBy:    v1alpha1.ManagedBy,
		v1alpha1.LabelOrganization: org.Name,
	}
}

func namespace(org *v1alpha1.ClawOrganization) Object {
	labels := cageLabels(org)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels["pod-security.kubernetes.io/"+mode] = "restricted"
		labels["pod-security.kubernetes.io/"+mode+"-version"] = "latest"
	}
	// What admission holds agent pods to. It can read the namespace, but not the organization.
	if sandbox := org.Spec.Sandbox; sandbox.RuntimeClassName != "" {
		labels[v1alpha1.LabelRuntimeClass] = string(sandbox.RuntimeClassName)
		labels[v1alpha1.LabelRuntimeClassMode] = string(cmp.Or(sandbox.RuntimeClass, v1alpha1.RuntimeClassRequired))
	}
	return corev1ac.Namespace(org.Cage()).WithLabels(labels)
}

// defaultDeny selects every pod, whatever its labels: a pod that no other policy covers reaches nothing.
func defaultDeny(org *v1alpha1.ClawOrganization) Object {
	return networkingv1ac.NetworkPolicy(DefaultDeny, org.Cage()).
		WithLabels(cageLabels(org)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector()).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress))
}

// limits give a container that states none a share, so that a quota on limits does not keep it out.
func limits(org *v1alpha1.ClawOrganization) Object {
	return corev1ac.LimitRange(QuotaName, org.Cage()).
		WithLabels(cageLabels(org)).
		WithSpec(corev1ac.LimitRangeSpec().WithLimits(corev1ac.LimitRangeItem().
			WithType(corev1.LimitTypeContainer).
			WithDefault(resources("1", "1Gi")).
			WithDefaultRequest(resources("50m", "128Mi"))))
}

func quota(q v1alpha1.Quota) corev1.ResourceList {
	hard := corev1.ResourceList{}
	if q.Claws != nil {
		hard[quotaClaws] = *resource.NewQuantity(int64(*q.Claws), resource.DecimalSI)
	}
	for name, limit := range map[corev1.ResourceName]*resource.Quantity{
		corev1.ResourceLimitsCPU:       q.CPU,
		corev1.ResourceLimitsMemory:    q.Memory,
		corev1.ResourceRequestsStorage: q.Storage,
	} {
		if limit != nil {
			hard[name] = *limit
		}
	}
	return hard
}

func resources(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
	}
}
