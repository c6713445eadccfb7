package credential

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/cages"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/controller/watch"
)

// SetupWithManager watches what a credential follows from. Operator is a cache of ConfigMaps in the
// operator's own namespace; inCages tells of Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, operator cache.Cache, inCages *cages.Watcher) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("credential").
		For(&v1alpha1.ClawCredential{}, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{},
			apply.StatusChanged(func(c *v1alpha1.ClawCredential) v1alpha1.ClawCredentialStatus { return c.Status })))).
		// Who waits for a key that another Claw holds goes on when it is let go.
		Watches(&v1alpha1.ClawCredential{}, r.ofSameKey()).
		// A Claw that comes, goes, or is revoked.
		Watches(&v1alpha1.Claw{}, handler.EnqueueRequestsFromMapFunc(r.ofClaw), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		// What policies say about credentials, and whom they select.
		Watches(&v1alpha1.ClawPolicy{}, r.ofPolicy()).
		Watches(&v1alpha1.ClawOrganization{}, r.ofOrganization()).
		WatchesRawSource(source.Kind(operator, &corev1.ConfigMap{}, handler.TypedEnqueueRequestsFromMapFunc(r.ofDirectory))).
		// A key that is rotated.
		WatchesRawSource(inCages.Secrets(func(ctx context.Context, s *metav1.PartialObjectMetadata) []reconcile.Request {
			return r.find(ctx, s.Namespace, index.CredentialSecret, s.Name)
		})).
		// Only where the manager has its rights.
		WatchesRawSource(inCages.Entries(r.in)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(inCages.Inside(reconcile.AsReconciler(r.Client, r)))
}

func (r *Reconciler) ofClaw(ctx context.Context, o client.Object) []reconcile.Request {
	return r.find(ctx, o.GetNamespace(), index.CredentialClaw, o.GetName())
}

func (r *Reconciler) find(ctx context.Context, namespace, field, value string) []reconcile.Request {
	var list v1alpha1.ClawCredentialList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{field: value}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find credentials", field, value)
		return nil
	}
	return requests(list.Items)
}

// in lists the credentials of a cage.
func (r *Reconciler) in(ctx context.Context, namespace string) []reconcile.Request {
	var list v1alpha1.ClawCredentialList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the credentials of a namespace", "namespace", namespace)
		return nil
	}
	return requests(list.Items)
}

func requests(credentials []v1alpha1.ClawCredential) []reconcile.Request {
	var out []reconcile.Request
	for _, c := range credentials {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: c.Namespace, Name: c.Name}})
	}
	return out
}

// ofSameKey enqueues the others that have a value which a credential had and has no longer.
func (r *Reconciler) ofSameKey() handler.EventHandler {
	return watch.Changes(func(ctx context.Context, before, after *v1alpha1.ClawCredential) []reconcile.Request {
		if before == nil {
			return nil
		}
		var out []reconcile.Request
		for _, f := range before.Status.Fingerprints {
			if after != nil && slices.Contains(after.Status.Fingerprints, f) {
				continue
			}
			var list v1alpha1.ClawCredentialList
			if err := r.Client.List(ctx, &list, client.MatchingFields{index.CredentialFingerprint: f}); err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "find credentials with the same key")
				break
			}
			out = append(out, requests(list.Items)...)
		}
		return out
	})
}
