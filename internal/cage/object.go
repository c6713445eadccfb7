package cage

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Object is one desired object in full: what it does not say, the manager does not want.
type Object interface {
	runtime.ApplyConfiguration
	GetAPIVersion() *string
	GetKind() *string
	GetNamespace() *string
	GetName() *string
}

// Settings are the installation's, the same for every cage.
type Settings struct {
	// OperatorNamespace is where the manager and the ledger run.
	OperatorNamespace string
	// GatewayImage holds the gateway and the probe.
	GatewayImage string
	// PullPolicy of our own images.
	PullPolicy corev1.PullPolicy
	// LedgerURL is where gateways send their records.
	LedgerURL string
	// Resolve overrides name resolution in gateways: host=address:port.
	Resolve []string
	// InboundFrom narrows who may reach the gateways' inbound port. Empty means anywhere.
	InboundFrom []networkingv1.NetworkPolicyPeer
	// GatewayResources of the gateway's container; the built-in ones if empty.
	GatewayResources corev1.ResourceRequirements
	// GatewayPriorityClass of gateway pods; the cluster's default if empty.
	GatewayPriorityClass string
}

// metaBuilder is what the generated builders of top-level objects have in common.
type metaBuilder[T any] interface {
	WithLabels(map[string]string) T
	WithOwnerReferences(...*metav1ac.OwnerReferenceApplyConfiguration) T
}

// child labels an object as a part of a Claw and makes the Claw its controller.
func child[T metaBuilder[T]](object T, claw *v1alpha1.Claw, component string) T {
	return object.WithLabels(childLabels(claw, component)).WithOwnerReferences(ownerReference(claw).WithController(true).WithBlockOwnerDeletion(true))
}

func ownerReference(claw *v1alpha1.Claw) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("Claw").
		WithName(claw.Name).WithUID(claw.UID)
}

func childLabels(claw *v1alpha1.Claw, component string) map[string]string {
	labels := map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelClaw:      claw.Name,
	}
	if component != "" {
		labels[v1alpha1.LabelComponent] = component
	}
	return labels
}

// podLabels are those that Services and NetworkPolicies select by.
func podLabels(claw *v1alpha1.Claw, component string) map[string]string {
	return map[string]string{v1alpha1.LabelClaw: claw.Name, v1alpha1.LabelComponent: component}
}
