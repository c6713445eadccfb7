// Package policy reports on ClawPolicies: how many Claws each is about.
package policy

import (
	"context"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
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
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Reconciler reconciles policies.
type Reconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
	// Directory reads who is who.
	Directory *directory.Reader
}

// SetupWithManager watches what a policy's status follows from. Operator is a cache of ConfigMaps in the
// operator's own namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, operator cache.Cache, inCages *cages.Watcher) error {
	specOnly := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("policy").
		For(&v1alpha1.ClawPolicy{}, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{},
			apply.StatusChanged(func(p *v1alpha1.ClawPolicy) v1alpha1.ClawPolicyStatus { return p.Status })))).
		// A Claw that comes, goes, or changes its owner is counted by other policies of its namespace.
		Watches(&v1alpha1.Claw{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
			return r.in(ctx, o.GetNamespace())
		}), specOnly).
		// Teams are the organization's.
		Watches(&v1alpha1.ClawOrganization{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
			if org, ok := o.(*v1alpha1.ClawOrganization); ok {
				return r.in(ctx, org.Cage())
			}
			return nil
		}), specOnly).
		WatchesRawSource(source.Kind(operator, &corev1.ConfigMap{}, handler.TypedEnqueueRequestsFromMapFunc(r.ofDirectory))).
		// Only where the manager has its rights.
		WatchesRawSource(inCages.Entries(r.in)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(inCages.Inside(reconcile.AsReconciler(r.Client, r)))
}

func (r *Reconciler) in(ctx context.Context, namespace string) []reconcile.Request {
	var list v1alpha1.ClawPolicyList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the policies of a namespace", "namespace", namespace)
		return nil
	}
	var out []reconcile.Request
	for _, p := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}})
	}
	return out
}

// ofDirectory finds the policies that select by teams which a ConfigMap of the operator's namespace may say.
func (r *Reconciler) ofDirectory(ctx context.Context, cm *corev1.ConfigMap) []reconcile.Request {
	var list v1alpha1.ClawOrganizationList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index.OrganizationDirectory: cm.Name}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the organizations of a directory", "configMap", cm.Name)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, r.in(ctx, list.Items[i].Cage())...)
	}
	return out
}

// Reconcile implements reconcile.ObjectReconciler.
func (r *Reconciler) Reconcile(ctx context.Context, p *v1alpha1.ClawPolicy) (ctrl.Result, error) {
	if !p.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	org, err := index.OrganizationOf(ctx, r.Client, p.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	var claws v1alpha1.ClawList
	if err := r.Client.List(ctx, &claws, client.InNamespace(p.Namespace)); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the Claws of %s: %w", p.Namespace, err)
	}
	var dir *policy.Directory
	if org != nil {
		if dir, _, err = r.Directory.Of(ctx, org); err != nil {
			return ctrl.Result{}, fmt.Errorf("read the directory: %w", err)
		}
	}
	status := computeStatus(p, dir, claws.Items, r.Clock.Now())
	if reflect.DeepEqual(p.Status, status) {
		return ctrl.Result{}, nil
	}
	ac := v1alpha1ac.ClawPolicyStatus()
	if err := cage.Convert(status, ac); err != nil {
		return ctrl.Result{}, err
	}
	err = apply.Status(ctx, r.Client, v1alpha1ac.ClawPolicy(p.Name, p.Namespace).WithUID(p.UID).WithStatus(ac))
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// computeStatus says what a policy is about, from facts alone. There is no directory where there is no organization.
func computeStatus(p *v1alpha1.ClawPolicy, dir *policy.Directory, claws []v1alpha1.Claw, now time.Time) v1alpha1.ClawPolicyStatus {
	status := *p.Status.DeepCopy()
	c := apply.Conditions{List: status.Conditions, Generation: p.Generation, Now: now}
	status.SelectedClaws = 0
	if dir == nil {
		message := fmt.Sprintf("namespace %q is no organization's cage: create the policy in spec.namespace of its ClawOrganization", p.Namespace)
		c.False(v1alpha1.ConditionAccepted, v1alpha1.ReasonNotACage, message)
		c.False(v1alpha1.ConditionReady, v1alpha1.ReasonNotACage, message)
	} else {
		for i := range claws {
			if policy.Selects(p, dir, &claws[i]) {
				status.SelectedClaws++
			}
		}
		c.True(v1alpha1.ConditionAccepted, v1alpha1.ReasonReady, "the policy is in force")
		c.True(v1alpha1.ConditionReady, v1alpha1.ReasonReady, "the policy is in force")
	}
	status.Conditions = c.List
	return status
}
