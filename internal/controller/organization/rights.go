package organization

import (
	"context"
	"errors"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/index"
)

// errEntering says that the manager's rights in a cage are not in force yet; when they are, we are woken.
var errEntering = errors.New("waiting for the manager's rights in the cage")

// lag is how long after the binding was made a refusal is taken for one that ends by itself: of several API
// servers, some know of it later than the one that showed us the cage's Secrets.
const (
	lag      = 10 * time.Second
	lagRetry = 50 * time.Millisecond
)

// lags tells a refusal of a right that the manager was given a moment ago.
func lags(err error, f facts, now time.Time) bool {
	return apierrors.IsForbidden(err) && f.justBound(now)
}

// justBound tells whether the manager's rights in the cage are so new, or so shortly gone, that what they
// allow may still be refused.
func (f facts) justBound(now time.Time) bool {
	return f.binding == nil || f.binding.DeletionTimestamp != nil || now.Before(f.binding.CreationTimestamp.Add(lag))
}

// reentering tells of a closed cage in which the manager's rights are being made anew: it is as closed as before.
func reentering(org *v1alpha1.ClawOrganization, f facts, err error, now time.Time) bool {
	return errors.Is(err, errEntering) && f.justBound(now) && meta.IsStatusConditionTrue(org.Status.Conditions, v1alpha1.ConditionCageReady)
}

// observeBinding reads what gives the manager its rights in the organization's cage.
func (r *Reconciler) observeBinding(ctx context.Context, reader client.Reader, org *v1alpha1.ClawOrganization) (*rbacv1.RoleBinding, error) {
	var b rbacv1.RoleBinding
	err := reader.Get(ctx, client.ObjectKey{Namespace: org.Cage(), Name: cage.ManagerBinding}, &b)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read RoleBinding %s: %w", cage.ManagerBinding, err)
	}
	return &b, nil
}

// enter gives the manager its rights in the cage. They are held while there are Claws, so that whoever
// deletes the namespace, and with it the binding, does not keep the manager from taking the Claws down.
func (r *Reconciler) enter(ctx context.Context, applier apply.Applier, org *v1alpha1.ClawOrganization, f *facts) error {
	if f.binding != nil && f.binding.DeletionTimestamp != nil {
		// Deleted by hand: it cannot be kept, only made anew.
		if err := apply.Finalizer(ctx, r.Client, f.binding, false); err != nil {
			return err
		}
		return errEntering
	}
	err := applier.Shared(ctx, cage.ForManager(org, r.OperatorNamespace, f.claws > 0))
	if apierrors.IsInvalid(err) {
		return r.displace(ctx, org, f)
	}
	if err != nil {
		return fmt.Errorf("give the manager its rights in the cage: %w", err)
	}
	if !r.Cages.Entered(org.Cage()) {
		return errEntering
	}
	return nil
}

// displace removes a RoleBinding of the manager's name that is bound to another role, which cannot be changed.
// Somebody put it there; that it gives the manager the right to remove it would be a coincidence.
func (r *Reconciler) displace(ctx context.Context, org *v1alpha1.ClawOrganization, f *facts) error {
	b, err := r.observeBinding(ctx, r.Live, org)
	if err != nil || b == nil {
		return errors.Join(errEntering, err)
	}
	err = r.leave(ctx, b)
	if apierrors.IsForbidden(err) {
		f.blocked = notEmpty(org, []string{fmt.Sprintf("RoleBinding %s of role %s", b.Name, b.RoleRef.Name)})
		return nil
	}
	if err != nil {
		return err
	}
	return errEntering
}

// leave takes the manager's rights in a cage away: exactly the binding that was seen.
func (r *Reconciler) leave(ctx context.Context, b *rbacv1.RoleBinding) error {
	if b == nil {
		return nil
	}
	if err := apply.Finalizer(ctx, r.Client, b, false); err != nil {
		return err
	}
	err := r.Client.Delete(ctx, b, client.Preconditions{UID: &b.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take the manager's rights in namespace %s away: %w", b.Namespace, err)
	}
	return nil
}

// leavingOthers reconciles an organization after the manager has left the cages that were the organization's
// once: it may have gone without us, and then its cage is left when the last Claw there is taken down.
func (r *Reconciler) leavingOthers(next reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
		var org v1alpha1.ClawOrganization
		if err := r.Client.Get(ctx, request.NamespacedName, &org); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		} else if err != nil {
			org.Name = "" // its cage is none
		}
		var bindings rbacv1.RoleBindingList
		if err := r.Client.List(ctx, &bindings, client.MatchingFields{index.BindingOrganization: request.Name}); err != nil {
			return ctrl.Result{}, fmt.Errorf("find the cages of an organization: %w", err)
		}
		for i := range bindings.Items {
			if b := &bindings.Items[i]; b.Namespace != org.Cage() {
				if err := r.leaveEmpty(ctx, b); err != nil {
					return ctrl.Result{}, err
				}
			}
		}
		return next.Reconcile(ctx, request)
	})
}

func (r *Reconciler) leaveEmpty(ctx context.Context, b *rbacv1.RoleBinding) error {
	claws, err := countClaws(ctx, r.Live, b.Namespace)
	if err != nil || claws > 0 {
		return err
	}
	return r.leave(ctx, b)
}

// ofBinding finds the organization a namespace is the cage of by what gives the manager its rights there,
// for the organization itself may be gone.
func (r *Reconciler) ofBinding(ctx context.Context, namespace string) []reconcile.Request {
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cage.ManagerBinding}}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil || b.Labels[v1alpha1.LabelOrganization] == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: b.Labels[v1alpha1.LabelOrganization]}}}
}
