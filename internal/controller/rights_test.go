package controller_test

import (
	"context"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/clawstaff/clawstaff/internal/installation"
)

// The rest of this package shows that the manager's rights are enough: it runs with them. This shows that
// they are not more.
func TestTheManagerMayNoMore(t *testing.T) {
	for _, ask := range []authorizationv1.ResourceAttributes{
		{Verb: "patch", Group: "clawstaff.dev", Resource: "clawcredentials", Namespace: "acme"},
		{Verb: "patch", Group: "clawstaff.dev", Resource: "clawpolicies", Namespace: "acme"},
		{Verb: "update", Group: "clawstaff.dev", Resource: "claws", Namespace: "acme"},
		{Verb: "delete", Group: "clawstaff.dev", Resource: "claws", Namespace: "acme"},
		{Verb: "delete", Resource: "namespaces"},
		{Verb: "update", Resource: "secrets", Namespace: "acme"},
		{Verb: "create", Resource: "pods", Namespace: "acme"},
		{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "acme"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "acme"},
		{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: "acme"},
		{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: "acme"},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
		{Verb: "create", Group: "apps", Resource: "daemonsets", Namespace: "acme"},
		{Verb: "impersonate", Resource: "users"},
		{Verb: "enter", Group: "breakglass.clawstaff.dev", Resource: "cages", Namespace: "acme"},
		{Verb: "patch", Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies", Name: "clawstaff-closed-cage"},
		{Verb: "patch", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: "another"},
	} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &ask}}
		if err := asManager.Create(context.Background(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed {
			t.Errorf("the manager may %s %s/%s %s in namespace %q", ask.Verb, ask.Resource, ask.Subresource, ask.Name, ask.Namespace)
		}
	}
}

// What the manager keeps in its own namespace it makes, and renews, with its own rights too.
func TestTheManagerKeepsTheInstallation(t *testing.T) {
	ctx := context.Background()
	keeper := installation.Keeper{Client: asManager, Live: asManager, Namespace: operatorNamespace}
	if err := keeper.WebhookSecret(ctx); err != nil {
		t.Error(err)
	}
	if _, err := keeper.Hasher(ctx); err != nil {
		t.Error(err)
	}
	if wrote, err := keeper.LedgerTLS(ctx, time.Now().Add(80*24*time.Hour)); err != nil || !wrote {
		t.Errorf("wrote %v, %v", wrote, err)
	}
}
