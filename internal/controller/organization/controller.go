// Package organization makes an organization's cage and keeps it closed.
package organization

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
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
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/cages"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/directory"
)

// Reconciler reconciles organizations.
type Reconciler struct {
	Client client.Client
	// Live reads past the caches: a namespace is judged once, and nothing of strangers is cached.
	Live   client.Reader
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// OperatorNamespace can be no cage.
	OperatorNamespace string
	// Cages knows where the manager has its rights.
	Cages *cages.Watcher
	// Directory reads who is who.
	Directory *directory.Reader
}

// SetupWithManager watches what an organization follows from. Operator is a cache of ConfigMaps in the
// operator's own namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, operator cache.Cache) error {
	ofLabel := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		if name := o.GetLabels()[v1alpha1.LabelOrganization]; name != "" {
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
		}
		return nil
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("organization").
		For(&v1alpha1.ClawOrganization{}, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, deleting(),
			apply.StatusChanged(func(o *v1alpha1.ClawOrganization) v1alpha1.ClawOrganizationStatus { return o.Status })))).
		// The cage: its labels come back when somebody takes them, and so does what closes it.
		Watches(&corev1.Namespace{}, r.ofNamespace(), builder.OnlyMetadata).
		Watches(&networkingv1.NetworkPolicy{}, ofLabel).
		Watches(&corev1.ResourceQuota{}, ofLabel).
		Watches(&corev1.LimitRange{}, ofLabel).
		// The manager's rights in it: made anew when somebody takes them, waited for when they are new, and given
		// up with the organization.
		Watches(&rbacv1.RoleBinding{}, ofLabel).
		WatchesRawSource(r.Cages.Entries(r.claiming)).
		// The number of Claws, and the last one to go.
		Watches(&v1alpha1.Claw{}, handler.EnqueueRequestsFromMapFunc(r.ofClaw), builder.WithPredicates(cameOrWent())).
		// The rest of the directory.
		WatchesRawSource(source.Kind(operator, &corev1.ConfigMap{}, handler.TypedEnqueueRequestsFromMapFunc(r.ofDirectory))).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(r.leavingOthers(reconcile.AsReconciler(r.Client, r)))
}

// deleting passes the moment an object is asked to go, which is no new generation for all kinds of change.
func deleting() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
}

func cameOrWent() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
}

func (r *Reconciler) ofClaw(ctx context.Context, o client.Object) []reconcile.Request {
	return append(r.claiming(ctx, o.GetNamespace()), r.ofBinding(ctx, o.GetNamespace())...)
}

// ofNamespace finds organizations by the namespace they ask for, labelled or not: what waits for one
// that was in the way goes on when it is gone.
func (r *Reconciler) ofNamespace() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		return r.claiming(ctx, o.GetName())
	})
}

func (r *Reconciler) claiming(ctx context.Context, namespace string) []reconcile.Request {
	var list v1alpha1.ClawOrganizationList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index.OrganizationCage: namespace}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the organizations of a namespace", "namespace", namespace)
		return nil
	}
	return requests(list.Items)
}

func requests(organizations []v1alpha1.ClawOrganization) []reconcile.Request {
	var out []reconcile.Request
	for i := range organizations {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&organizations[i])})
	}
	return out
}

// Reconcile implements reconcile.ObjectReconciler.
func (r *Reconciler) Reconcile(ctx context.Context, org *v1alpha1.ClawOrganization) (ctrl.Result, error) {
	facts, err := r.observe(ctx, org)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !org.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.finalize(ctx, org, facts)
	}
	applyErr := r.apply(ctx, org, &facts)
	now := r.Clock.Now()
	if reentering(org, facts, applyErr, now) {
		return ctrl.Result{RequeueAfter: waitInterval}, nil
	}
	status := computeStatus(org, facts, applyErr, now)
	if err := r.finish(ctx, org, status); err != nil {
		return ctrl.Result{}, errors.Join(applyErr, err)
	}
	switch {
	case facts.blocked != nil && facts.blocked.reason == v1alpha1.ReasonNamespaceNotEmpty:
		// Nothing of strangers is watched, so nothing tells that they are gone.
		return ctrl.Result{RequeueAfter: 30 * time.Second}, nil
	case lags(applyErr, facts, now):
		return ctrl.Result{RequeueAfter: lagRetry}, nil
	case waiting(applyErr):
		return ctrl.Result{RequeueAfter: waitInterval}, nil
	case applyErr != nil:
		return ctrl.Result{}, applyErr
	}
	again, err := r.recount(ctx, facts.uncounted)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// waitInterval is how often what is being deleted is looked for: not all of it is watched.
const waitInterval = 5 * time.Second

// waiting tells errors that end by themselves.
func waiting(err error) bool {
	return errors.Is(err, apply.ErrWaiting) || errors.Is(err, errEntering) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// apply makes the cage: the namespace, the manager's rights in it, and then what takes those rights.
func (r *Reconciler) apply(ctx context.Context, org *v1alpha1.ClawOrganization, facts *facts) error {
	if facts.blocked != nil {
		return r.letGo(ctx, facts)
	}
	if err := apply.Finalizer(ctx, r.Client, org, true); err != nil {
		return err
	}
	if facts.namespace == nil {
		// Created, not applied: a namespace that somebody made in the meantime is judged first.
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: org.Cage(), Labels: map[string]string{
			v1alpha1.LabelOrganization: org.Name,
		}}}
		if err := r.Client.Create(ctx, namespace, apply.FieldOwner); err != nil {
			return fmt.Errorf("create namespace %s: %w", org.Cage(), err)
		}
		facts.taken = true
	}
	applier := apply.Applier{Client: r.Client, Live: r.Live}
	if err := r.enter(ctx, applier, org, facts); err != nil || facts.blocked != nil {
		return err
	}
	if err := r.adopt(ctx, org, facts); err != nil || facts.blocked != nil {
		return err
	}
	objects := cage.ForOrganization(org)
	if err := applier.Shared(ctx, objects[0]); err != nil {
		return fmt.Errorf("namespace %s: %w", org.Cage(), err)
	}
	if err := applier.Children(ctx, "", objects[1:]); err != nil {
		return err
	}
	if len(objects) == 3 && facts.quota {
		return applier.DeleteIfThere(ctx, r.Client, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: cage.QuotaName, Namespace: org.Cage()}})
	}
	return nil
}

// letGo lets a namespace end that somebody deletes, once the manager has nothing to do there any more.
func (r *Reconciler) letGo(ctx context.Context, facts *facts) error {
	if facts.namespace == nil || facts.namespace.DeletionTimestamp == nil || facts.claws > 0 || facts.binding == nil {
		return nil
	}
	return apply.Finalizer(ctx, r.Client, facts.binding, false)
}

// finalize lets an organization go when no Claw of it is left. The namespace is kept, closed as it is, and
// the manager gives up its rights there.
func (r *Reconciler) finalize(ctx context.Context, org *v1alpha1.ClawOrganization, facts facts) error {
	if facts.claws > 0 && facts.adopted(org) {
		return r.finish(ctx, org, computeStatus(org, facts, nil, r.Clock.Now()))
	}
	if facts.adopted(org) {
		if err := r.leave(ctx, facts.binding); err != nil {
			return err
		}
	}
	return apply.Finalizer(ctx, r.Client, org, false)
}

// finish applies the status if it differs, then tells of transitions.
func (r *Reconciler) finish(ctx context.Context, org *v1alpha1.ClawOrganization, status v1alpha1.ClawOrganizationStatus) error {
	if reflect.DeepEqual(org.Status, status) {
		return nil
	}
	ac := v1alpha1ac.ClawOrganizationStatus()
	if err := cage.Convert(status, ac); err != nil {
		return err
	}
	if err := apply.Status(ctx, r.Client, v1alpha1ac.ClawOrganization(org.Name).WithUID(org.UID).WithStatus(ac)); err != nil {
		return client.IgnoreNotFound(err)
	}
	tell(r.Events, org, org.Status.Conditions, status.Conditions)
	return nil
}
