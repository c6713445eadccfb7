package claw

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// gatewayPatience is how long a gateway is given to say that it has cut everything, before its pod is
// removed anyway. It has cut everything long before: it watches the Claw itself.
const gatewayPatience = 5 * time.Second

// revoke writes the grant that says so, waits for the gateway's word, and removes what ran. The grant,
// the workspace, the walls and the records stay.
func (r *Reconciler) revoke(ctx context.Context, applier apply.Applier, claw *v1alpha1.Claw, f facts) (time.Duration, error) {
	objects, err := cage.Remains(r.input(claw, f))
	if err != nil {
		return 0, err
	}
	if err := applier.Children(ctx, claw.UID, objects); err != nil {
		return 0, err
	}
	if err := r.unbind(ctx, applier, claw, f); err != nil {
		return 0, err
	}
	if !f.gatewaysSay(v1alpha1.GrantRevoked) {
		now := r.Clock.Now()
		if left := r.revoking.begin(claw.UID, now).Add(gatewayPatience).Sub(now); left > 0 {
			return left, nil
		}
	}
	r.revoking.end(claw.UID)
	return 0, deleteAll(ctx, applier, r.Client, append(agentWorkload(claw), gatewayWorkload(claw)...))
}

// grantAlone writes the grant where nothing else can be made. An organization that is gone closes the Claw by
// it, so that all goes on when the organization is there again. A cage that is merely not ready keeps what runs
// in it, and yet whatever narrows a grant narrows it now.
func (r *Reconciler) grantAlone(ctx context.Context, applier apply.Applier, claw *v1alpha1.Claw, f facts) error {
	if f.grant == nil {
		return nil
	}
	spec := f.result.Grant
	if spec.State == v1alpha1.GrantActive {
		spec.AgentIPs = f.grant.Spec.AgentIPs // proved before
	}
	grant, err := cage.Grant(claw, spec)
	if err != nil {
		return err
	}
	if err := applier.Children(ctx, claw.UID, []cage.Object{grant}); err != nil {
		return err
	}
	return r.unbind(ctx, applier, claw, f)
}

// unbind takes from a former owner, who is no member any more or has no username, what they had.
func (r *Reconciler) unbind(ctx context.Context, applier apply.Applier, claw *v1alpha1.Claw, f facts) error {
	if len(f.people.Usernames) > 0 {
		return nil
	}
	return deleteAll(ctx, applier, r.Client, []client.Object{&rbacv1.RoleBinding{ObjectMeta: named(claw, cage.OwnerName(claw.Name))}})
}

// agentWorkload is what runs of an agent, and what only it needs.
func agentWorkload(claw *v1alpha1.Claw) []client.Object {
	return []client.Object{
		&appsv1.StatefulSet{ObjectMeta: named(claw, cage.AgentName(claw.Name))},
		&corev1.ConfigMap{ObjectMeta: named(claw, cage.ProbeName(claw.Name))},
	}
}

// gatewayWorkload is everything else of a Claw, but for its grant, its walls and its workspace.
func gatewayWorkload(claw *v1alpha1.Claw) []client.Object {
	gateway, agent := cage.GatewayName(claw.Name), cage.AgentName(claw.Name)
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: named(claw, gateway)},
		&corev1.Secret{ObjectMeta: named(claw, gateway)},
		&corev1.Secret{ObjectMeta: named(claw, agent)},
		&corev1.Service{ObjectMeta: named(claw, gateway)},
		&corev1.Service{ObjectMeta: named(claw, agent)},
		&rbacv1.RoleBinding{ObjectMeta: named(claw, gateway)},
		&rbacv1.Role{ObjectMeta: named(claw, gateway)},
		&corev1.ServiceAccount{ObjectMeta: named(claw, gateway)},
		&corev1.ServiceAccount{ObjectMeta: named(claw, agent)},
	}
}

// remains is what stays of a revoked Claw until the Claw itself is deleted.
func remains(claw *v1alpha1.Claw) []client.Object {
	return []client.Object{
		&rbacv1.RoleBinding{ObjectMeta: named(claw, cage.OwnerName(claw.Name))},
		&rbacv1.Role{ObjectMeta: named(claw, cage.OwnerName(claw.Name))},
		&networkingv1.NetworkPolicy{ObjectMeta: named(claw, cage.GatewayName(claw.Name))},
		&networkingv1.NetworkPolicy{ObjectMeta: named(claw, cage.AgentName(claw.Name))},
		&corev1.PersistentVolumeClaim{ObjectMeta: named(claw, cage.WorkspaceClaim(claw.Name))},
		&v1alpha1.ClawGrant{ObjectMeta: named(claw, claw.Name)},
	}
}

func named(claw *v1alpha1.Claw, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: claw.Namespace, Name: name}
}

// deleteAll deletes what is there.
func deleteAll(ctx context.Context, applier apply.Applier, reader client.Reader, objects []client.Object) error {
	for _, o := range objects {
		if err := applier.DeleteIfThere(ctx, reader, o); err != nil {
			return fmt.Errorf("delete %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// finalize takes everything down and lets the Claw go when its pods are gone: an orphaning delete must
// not leave an agent running, and the garbage collector may be slow, or told not to.
func (r *Reconciler) finalize(ctx context.Context, claw *v1alpha1.Claw) (ctrl.Result, error) {
	if !apply.HasFinalizer(claw) {
		return ctrl.Result{}, nil
	}
	applier := apply.Applier{Client: r.Client, Live: r.Live}
	if err := deleteAll(ctx, applier, r.Live, append(agentWorkload(claw), gatewayWorkload(claw)...)); err != nil {
		return ctrl.Result{}, err
	}
	// Live, like the reads above: a cache may not know yet what was made a moment ago.
	var list corev1.PodList
	if err := r.Live.List(ctx, &list, client.InNamespace(claw.Namespace), client.MatchingLabels{v1alpha1.LabelClaw: claw.Name}); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the pods of the Claw: %w", err)
	}
	pods := list.Items
	for i := range pods {
		// Their controllers are gone, and where those were orphaned nobody else deletes them.
		if pods[i].DeletionTimestamp == nil {
			if err := client.IgnoreNotFound(r.Client.Delete(ctx, &pods[i])); err != nil {
				return ctrl.Result{}, fmt.Errorf("delete pod %s: %w", pods[i].Name, err)
			}
		}
	}
	if len(pods) > 0 {
		return ctrl.Result{}, r.finish(ctx, claw, goingStatus(claw, r.Clock.Now()))
	}
	if settled, err := r.credentialsSettled(ctx, claw); err != nil || !settled {
		return ctrl.Result{}, err
	}
	if err := deleteAll(ctx, applier, r.Live, remains(claw)); err != nil {
		return ctrl.Result{}, err
	}
	r.revoking.end(claw.UID)
	r.told.forget(claw.UID)
	return ctrl.Result{}, apply.Finalizer(ctx, r.Client, claw, false)
}

// credentialsSettled waits until the keys of a revoked Claw are known to be revoked: a Claw of the same
// name that comes after it must not get them.
func (r *Reconciler) credentialsSettled(ctx context.Context, claw *v1alpha1.Claw) (bool, error) {
	if claw.Spec.State != v1alpha1.ClawRevoked {
		return true, nil
	}
	// Live: one that was bound a moment ago may not be in the cache as bound.
	var list v1alpha1.ClawCredentialList
	if err := r.Live.List(ctx, &list, client.InNamespace(claw.Namespace)); err != nil {
		return false, fmt.Errorf("list the credentials of the Claw: %w", err)
	}
	for i := range list.Items {
		c := &list.Items[i]
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		if c.DeletionTimestamp == nil && c.Status.ClawUID == string(claw.UID) && (ready == nil || ready.Reason != v1alpha1.ReasonRevoked) {
			return false, nil
		}
	}
	return true, nil
}
