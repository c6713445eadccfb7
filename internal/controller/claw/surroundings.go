package claw

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// observeSandbox finds the runtime class the organization asks for.
func (r *Reconciler) observeSandbox(ctx context.Context, f *facts) error {
	if f.organization == nil || f.organization.Spec.Sandbox.RuntimeClassName == "" {
		return nil
	}
	sandbox := f.organization.Spec.Sandbox
	var class nodev1.RuntimeClass
	err := r.Client.Get(ctx, client.ObjectKey{Name: string(sandbox.RuntimeClassName)}, &class)
	switch {
	case err == nil:
		f.runtimeClass, f.wantedClass = class.Name, class.Name
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read RuntimeClass %s: %w", sandbox.RuntimeClassName, err)
	case sandbox.RuntimeClass != v1alpha1.RuntimeClassPreferred:
		f.wantedClass = string(sandbox.RuntimeClassName)
		f.hold = &obstacle{reason: v1alpha1.ReasonRuntimeClassMissing, message: fmt.Sprintf(
			"ClawOrganization %q requires RuntimeClass %q, which this cluster does not have: install it, or have the platform set spec.sandbox.runtimeClass to Preferred",
			f.organization.Name, sandbox.RuntimeClassName)}
	}
	return nil
}

// observeWorkspace holds the agent while there is a volume claim of its workspace's name that is not its
// own: of a former Claw, perhaps of another owner, whose data it would find. Once there is a StatefulSet,
// that was looked at.
func (r *Reconciler) observeWorkspace(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	if f.statefulSet != "" || f.hold != nil {
		return nil
	}
	var claim corev1.PersistentVolumeClaim
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: claw.Namespace, Name: cage.WorkspaceClaim(claw.Name)}, &claim)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the workspace's volume claim: %w", err)
	}
	if !slices.ContainsFunc(claim.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == claw.UID }) {
		f.hold = &obstacle{waiting: true, reason: v1alpha1.ReasonDependencyNotReady, message: fmt.Sprintf(
			"volume claim %q is not this Claw's: waiting for it to be gone; one of a former Claw goes by itself", claim.Name)}
	}
	return nil
}

// siblingOf names another Claw of the cage whose gateway is up, to prove that it cannot be reached; or "".
func (r *Reconciler) siblingOf(ctx context.Context, claw *v1alpha1.Claw) (string, error) {
	var claws v1alpha1.ClawList
	if err := r.Client.List(ctx, &claws, client.InNamespace(claw.Namespace)); err != nil {
		return "", fmt.Errorf("list the Claws of the cage: %w", err)
	}
	sibling := ""
	for i := range claws.Items {
		c := &claws.Items[i]
		up := meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionGatewayReady) && c.DeletionTimestamp == nil
		if c.Name != claw.Name && up && (sibling == "" || c.Name < sibling) {
			sibling = c.Name
		}
	}
	if sibling == "" {
		return "", nil
	}
	var service corev1.Service
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: claw.Namespace, Name: cage.GatewayName(sibling)}, &service)
	if err != nil {
		return "", client.IgnoreNotFound(err)
	}
	return service.Spec.ClusterIP, nil
}
