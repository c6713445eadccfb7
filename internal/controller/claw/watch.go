package claw

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/cages"
	"github.com/clawstaff/clawstaff/internal/controller/index"
)

// SetupWithManager watches what a Claw follows from. Operator is a cache of ConfigMaps in the operator's
// own namespace; inCages tells of Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, operator cache.Cache, inCages *cages.Watcher) error {
	mapped := handler.EnqueueRequestsFromMapFunc
	specOnly := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("claw").
		For(&v1alpha1.Claw{}, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, finalizersChanged(),
			apply.StatusChanged(func(c *v1alpha1.Claw) v1alpha1.ClawStatus { return c.Status })))).
		// Children: what is deleted or changed by hand is back within seconds.
		Owns(&v1alpha1.ClawGrant{}).
		Owns(&appsv1.Deployment{}).
		Owns(&appsv1.StatefulSet{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&corev1.ConfigMap{}).
		WatchesRawSource(inCages.Secrets(ofSecret)).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&rbacv1.Role{}).
		Owns(&rbacv1.RoleBinding{}).
		// Pods belong to ReplicaSets and StatefulSets; they carry the proof, and whether anything runs.
		Watches(&corev1.Pod{}, mapped(ofPod)).
		// The request is judged by these.
		Watches(&v1alpha1.ClawPolicy{}, r.ofPolicy(), builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, deletion()))).
		Watches(&v1alpha1.ClawCredential{}, mapped(r.ofCredential)).
		Watches(&v1alpha1.ClawOrganization{}, r.ofOrganization(), builder.WithPredicates(organizationChanged())).
		// A sandbox that was missing.
		Watches(&nodev1.RuntimeClass{}, mapped(r.ofRuntimeClass), specOnly).
		// The organization's own roots, and its directory.
		WatchesRawSource(source.Kind(operator, &corev1.ConfigMap{}, handler.TypedEnqueueRequestsFromMapFunc(r.ofConfigMap))).
		// Only where the manager has its rights.
		WatchesRawSource(inCages.Entries(func(ctx context.Context, namespace string) []reconcile.Request {
			return r.list(ctx, client.InNamespace(namespace))
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).
		Complete(inCages.Inside(reconcile.AsReconciler(r.Client, r)))
}

func finalizersChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return len(e.ObjectOld.GetFinalizers()) != len(e.ObjectNew.GetFinalizers()) ||
			e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
}

func deletion() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
}

// organizationChanged passes a new spec, and a cage that became ready or is no longer; not a new count of Claws.
func organizationChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || ready(e.ObjectOld) != ready(e.ObjectNew)
	}}
}

func ready(o client.Object) bool {
	org, ok := o.(*v1alpha1.ClawOrganization)
	return ok && cageObstacle(&v1alpha1.Claw{}, org) == nil
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}
}

// ofSecret finds the Claw that a Secret is a child of.
func ofSecret(_ context.Context, s *metav1.PartialObjectMetadata) []reconcile.Request {
	owner := metav1.GetControllerOf(s)
	if owner == nil || owner.APIVersion != v1alpha1.GroupVersion.String() || owner.Kind != "Claw" {
		return nil
	}
	return []reconcile.Request{request(s.Namespace, owner.Name)}
}

func ofPod(_ context.Context, o client.Object) []reconcile.Request {
	if claw := o.GetLabels()[v1alpha1.LabelClaw]; claw != "" {
		return []reconcile.Request{request(o.GetNamespace(), claw)}
	}
	return nil
}

// ofCredential finds the Claw a credential is for, and those that name it without being so.
func (r *Reconciler) ofCredential(ctx context.Context, o client.Object) []reconcile.Request {
	out := r.list(ctx, client.InNamespace(o.GetNamespace()), client.MatchingFields{index.ClawCredential: o.GetName()})
	if c, ok := o.(*v1alpha1.ClawCredential); ok {
		// A Claw that is going waits for its keys to be revoked, named or not.
		out = append(out, request(c.Namespace, string(c.Spec.Claw.Name)))
	}
	return out
}

func (r *Reconciler) ofRuntimeClass(ctx context.Context, o client.Object) []reconcile.Request {
	return r.ofOrganizations(ctx, index.OrganizationRuntimeClass, o.GetName())
}

func (r *Reconciler) ofOrganizations(ctx context.Context, field, value string) []reconcile.Request {
	var list v1alpha1.ClawOrganizationList
	if err := r.Client.List(ctx, &list, client.MatchingFields{field: value}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find organizations", field, value)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, r.inCageOf(ctx, &list.Items[i])...)
	}
	return out
}

func (r *Reconciler) list(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.ClawList
	if err := r.Client.List(ctx, &list, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find Claws")
		return nil
	}
	var out []reconcile.Request
	for _, c := range list.Items {
		out = append(out, request(c.Namespace, c.Name))
	}
	return out
}
