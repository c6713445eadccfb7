package claw

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

// ofPolicy enqueues only the Claws a policy selects, or did before it was changed.
func (r *Reconciler) ofPolicy() handler.EventHandler {
	return watch.Changes(func(ctx context.Context, before, after *v1alpha1.ClawPolicy) []reconcile.Request {
		policies := watch.Both(before, after)
		claws, err := r.selected(ctx, policies[0].Namespace, policies)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "find the Claws of a policy", "policy", client.ObjectKeyFromObject(policies[0]))
		}
		return claws
	})
}

// selected finds the Claws of a namespace that any of some policies selects.
func (r *Reconciler) selected(ctx context.Context, namespace string, policies []*v1alpha1.ClawPolicy) ([]reconcile.Request, error) {
	org, err := index.OrganizationOf(ctx, r.Client, namespace)
	if err != nil {
		return nil, err
	}
	dir, err := r.directoryOf(ctx, org)
	if err != nil {
		return nil, err
	}
	var claws v1alpha1.ClawList
	if err := r.Client.List(ctx, &claws, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var out []reconcile.Request
	for i := range claws.Items {
		if slices.ContainsFunc(policies, func(p *v1alpha1.ClawPolicy) bool { return policy.Binds(p, dir, &claws.Items[i]) }) {
			out = append(out, request(namespace, claws.Items[i].Name))
		}
	}
	return out, nil
}

// ofOrganization enqueues the Claws of an organization that an edit of it can be about.
func (r *Reconciler) ofOrganization() handler.EventHandler {
	return watch.Changes(func(ctx context.Context, before, after *v1alpha1.ClawOrganization) []reconcile.Request {
		if before == nil || after == nil || !onlyUsernames(before, after) {
			return r.inCageOf(ctx, watch.Both(after, before)[0])
		}
		owners := renamed(before, after)
		var claws v1alpha1.ClawList
		if err := r.Client.List(ctx, &claws, client.InNamespace(after.Cage())); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "find the Claws of an organization", "organization", after.Name)
			return nil
		}
		var out []reconcile.Request
		for _, claw := range claws.Items {
			if owners[claw.Spec.Owner] {
				out = append(out, request(claw.Namespace, claw.Name))
			}
		}
		return out
	})
}

func (r *Reconciler) inCageOf(ctx context.Context, org *v1alpha1.ClawOrganization) []reconcile.Request {
	return r.list(ctx, client.InNamespace(org.Cage()))
}

// onlyUsernames tells whether nothing differs but what is no Claw's concern, and the usernames that members
// have at the API server, which are their own Claws' only. Who else has a username is not seen here where
// there are members beside the spec's.
func onlyUsernames(before, after *v1alpha1.ClawOrganization) bool {
	if ready(before) != ready(after) || len(after.Spec.DirectoryRefs) > 0 {
		return false
	}
	plain := func(o *v1alpha1.ClawOrganization) v1alpha1.ClawOrganizationSpec {
		spec := *o.Spec.DeepCopy()
		spec.Quota = v1alpha1.Quota{}
		for i := range spec.Members {
			spec.Members[i].Kubernetes = nil
		}
		return spec
	}
	return equality.Semantic.DeepEqual(plain(before), plain(after))
}

// renamed are the members who had, or have, a username that is somebody else's on the other side of an edit:
// one that two have is nobody's, so both of them are.
func renamed(before, after *v1alpha1.ClawOrganization) map[v1alpha1.MemberName]bool {
	holders := func(o *v1alpha1.ClawOrganization) map[string][]v1alpha1.MemberName {
		out := map[string][]v1alpha1.MemberName{}
		for _, m := range o.Spec.Members {
			for _, username := range m.Kubernetes {
				out[username] = append(out[username], m.Name)
			}
		}
		return out
	}
	was, is, out := holders(before), holders(after), map[v1alpha1.MemberName]bool{}
	for _, side := range []map[string][]v1alpha1.MemberName{was, is} {
		for username := range side {
			if slices.Equal(was[username], is[username]) {
				continue
			}
			for _, name := range slices.Concat(was[username], is[username]) {
				out[name] = true
			}
		}
	}
	return out
}

// ofConfigMap finds the Claws of the organizations that read a ConfigMap of the operator's namespace: their
// own roots, or a part of their directory.
func (r *Reconciler) ofConfigMap(ctx context.Context, cm *corev1.ConfigMap) []reconcile.Request {
	return slices.Concat(
		r.ofOrganizations(ctx, index.OrganizationUpstreamCAs, cm.Name),
		r.ofOrganizations(ctx, index.OrganizationDirectory, cm.Name))
}
