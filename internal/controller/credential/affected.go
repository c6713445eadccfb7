package credential

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/controller/watch"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// ofPolicy enqueues the credentials for Claws that a policy selects, or did, where it says something about
// credentials, or did.
func (r *Reconciler) ofPolicy() handler.EventHandler {
	return watch.Changes(func(ctx context.Context, before, after *v1alpha1.ClawPolicy) []reconcile.Request {
		if before != nil && after != nil && sameRules(before, after) {
			return nil
		}
		policies := slices.DeleteFunc(watch.Both(before, after), func(p *v1alpha1.ClawPolicy) bool { return !aboutCredentials(p) })
		if len(policies) == 0 {
			return nil
		}
		requests, err := r.selected(ctx, policies[0].Namespace, policies)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "find the credentials of a policy", "policy", client.ObjectKeyFromObject(policies[0]))
		}
		return requests
	})
}

// aboutCredentials tells whether a policy says anything about credentials.
func aboutCredentials(p *v1alpha1.ClawPolicy) bool {
	return len(p.Spec.Allow.Stores)+len(p.Spec.Deny.Stores) > 0 ||
		!equality.Semantic.DeepEqual(p.Spec.Require.Credentials, v1alpha1.CredentialRequirements{})
}

// sameRules tells whether two versions of a policy say the same about the same credentials.
func sameRules(a, b *v1alpha1.ClawPolicy) bool {
	return equality.Semantic.DeepEqual(a.Spec.Selector, b.Spec.Selector) &&
		equality.Semantic.DeepEqual(a.Spec.Allow.Stores, b.Spec.Allow.Stores) &&
		equality.Semantic.DeepEqual(a.Spec.Deny.Stores, b.Spec.Deny.Stores) &&
		equality.Semantic.DeepEqual(a.Spec.Require.Credentials, b.Spec.Require.Credentials) &&
		a.DeletionTimestamp.IsZero() == b.DeletionTimestamp.IsZero()
}

// selected finds the credentials of a namespace that are for a Claw which any of some policies selects.
func (r *Reconciler) selected(ctx context.Context, namespace string, policies []*v1alpha1.ClawPolicy) ([]reconcile.Request, error) {
	org, err := index.OrganizationOf(ctx, r.Client, namespace)
	if err != nil || org == nil {
		return nil, err
	}
	dir, _, err := r.Directory.Of(ctx, org)
	if err != nil {
		return nil, err
	}
	var list v1alpha1.ClawCredentialList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	return requests(slices.DeleteFunc(list.Items, func(c v1alpha1.ClawCredential) bool {
		claw := awaited(&c)
		return !slices.ContainsFunc(policies, func(p *v1alpha1.ClawPolicy) bool { return policy.Binds(p, dir, claw) })
	})), nil
}

// ofOrganization enqueues the credentials of a cage when its baseline says something else about them, or when
// its directory has changed, by which policies select.
func (r *Reconciler) ofOrganization() handler.EventHandler {
	return watch.Changes(func(ctx context.Context, before, after *v1alpha1.ClawOrganization) []reconcile.Request {
		switch {
		case before == nil || after == nil || !sameBaseline(before, after):
			return r.in(ctx, watch.Both(after, before)[0].Cage())
		case !sameTeams(before, after):
			return r.byTeam(ctx, after)
		default:
			return nil
		}
	})
}

func sameBaseline(a, b *v1alpha1.ClawOrganization) bool {
	return a.Status.Namespace == b.Status.Namespace &&
		equality.Semantic.DeepEqual(a.Spec.Baseline.Deny.Stores, b.Spec.Baseline.Deny.Stores) &&
		equality.Semantic.DeepEqual(a.Spec.Baseline.Require.Credentials, b.Spec.Baseline.Require.Credentials)
}

// sameTeams compares what decides who is in which team: who is a member, too.
func sameTeams(a, b *v1alpha1.ClawOrganization) bool {
	names := func(o *v1alpha1.ClawOrganization) (out []v1alpha1.MemberName) {
		for _, m := range o.Spec.Members {
			out = append(out, m.Name)
		}
		return out
	}
	return equality.Semantic.DeepEqual(a.Spec.Teams, b.Spec.Teams) && slices.Equal(names(a), names(b)) &&
		equality.Semantic.DeepEqual(a.Spec.DirectoryRefs, b.Spec.DirectoryRefs)
}

// byTeam finds the credentials of an organization that depend on who is in which team: all, if a policy about
// credentials selects by teams, and else none.
func (r *Reconciler) byTeam(ctx context.Context, org *v1alpha1.ClawOrganization) []reconcile.Request {
	var list v1alpha1.ClawPolicyList
	if err := r.Client.List(ctx, &list, client.InNamespace(org.Cage())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the policies of an organization", "organization", org.Name)
		return nil
	}
	if !slices.ContainsFunc(list.Items, func(p v1alpha1.ClawPolicy) bool { return len(p.Spec.Selector.Teams) > 0 && aboutCredentials(&p) }) {
		return nil
	}
	return r.in(ctx, org.Cage())
}

// ofDirectory finds the credentials that may depend on a ConfigMap of the operator's namespace.
func (r *Reconciler) ofDirectory(ctx context.Context, cm *corev1.ConfigMap) []reconcile.Request {
	var list v1alpha1.ClawOrganizationList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index.OrganizationDirectory: cm.Name}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the organizations of a directory", "configMap", cm.Name)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, r.byTeam(ctx, &list.Items[i])...)
	}
	return out
}
