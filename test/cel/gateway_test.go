package cel

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// gateway is what a Claw's gateway has: the token of its own pod. RBAC gives these more than the chart
// would, so that only the admission policy stands in their way.
func gateway(t *testing.T, claw string) (c client.Client, podUID string) {
	t.Helper()
	ctx, manager := t.Context(), as(chart.ManagerUser)
	account := claw + "-gateway"
	p := pod(account + "-pod")
	p.Spec.ServiceAccountName = account
	for _, obj := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: in(account)}, p, grant(claw),
		&rbacv1.RoleBinding{ObjectMeta: in(account), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "clawstaff-kinds"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: cage}}},
	} {
		if err := manager.Create(ctx, obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("create %T: %v", obj, err)
		}
	}
	if err := manager.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	token, err := clientset(chart.ManagerUser).CoreV1().ServiceAccounts(cage).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.Name, UID: p.UID}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return withToken(t, token.Status.Token), string(p.UID)
}

func withToken(t *testing.T, token string) client.Client {
	t.Helper()
	conf := rest.AnonymousClientConfig(config)
	conf.BearerToken = token
	c, err := client.New(conf, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setGateways writes the gateways of a grant's status.
func setGateways(t *testing.T, c client.Client, claw string, uids ...string) error {
	t.Helper()
	var g v1alpha1.ClawGrant
	if err := k8s.Get(t.Context(), client.ObjectKey{Namespace: cage, Name: claw}, &g); err != nil {
		t.Fatal(err)
	}
	g.Status.Gateways = nil
	for _, uid := range uids {
		g.Status.Gateways = append(g.Status.Gateways, v1alpha1.GrantGateway{PodUID: uid, PodName: "p", Enforcing: "h"})
	}
	return c.Status().Update(t.Context(), &g)
}

// A gateway acknowledges for itself: its own entry, of its own grant, and nothing else.
func TestGatewayWritesItsOwnEntryOnly(t *testing.T) {
	mine, myUID := gateway(t, "one")
	theirs, theirUID := gateway(t, "two")
	refused := func(what string, err error) {
		t.Helper()
		if !refusedBy(err, closedCage) {
			t.Errorf("%s: got %v, want a refusal by %s", what, err, closedCage)
		}
	}
	if err := setGateways(t, mine, "one", myUID); err != nil {
		t.Errorf("its own entry: %v", err)
	}
	if err := setGateways(t, theirs, "two", theirUID); err != nil {
		t.Errorf("its own entry: %v", err)
	}
	refused("a sibling's grant", setGateways(t, mine, "two", theirUID, myUID))
	refused("another pod's entry", setGateways(t, mine, "one", "another"))
	refused("another pod's entry beside its own", setGateways(t, mine, "one", myUID, "another"))

	// The manager may leave another pod's entry there; the gateway may not take it away or change it.
	if err := setGateways(t, as(chart.ManagerUser), "one", myUID, "former"); err != nil {
		t.Fatal(err)
	}
	refused("taking another's entry away", setGateways(t, mine, "one", myUID))
	if err := setGateways(t, mine, "one", "former"); err != nil {
		t.Errorf("taking its own entry away: %v", err)
	}

	// What it says of itself is small, and a name the manager can look for.
	for what, bad := range map[string]v1alpha1.GrantGateway{
		"a pod name that is a path": {PodUID: myUID, PodName: "../sibling"},
		"no pod name":               {PodUID: myUID},
		"a huge pod name":           {PodUID: myUID, PodName: strings.Repeat("x", 254)},
		"a huge hash":               {PodUID: myUID, PodName: "p", Enforcing: strings.Repeat("x", 129)},
	} {
		g := &v1alpha1.ClawGrant{}
		if err := k8s.Get(t.Context(), client.ObjectKey{Namespace: cage, Name: "one"}, g); err != nil {
			t.Fatal(err)
		}
		g.Status.Gateways = append(g.Status.Gateways, bad)
		if err := mine.Status().Update(t.Context(), g); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v, want a refusal by the schema", what, err)
		}
	}

	refused("widening its grant", mine.Patch(t.Context(), grant("one"), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"visibility":"Organization"}}`))))
	refused("deleting its grant", mine.Delete(t.Context(), grant("one")))
	refused("creating a grant", mine.Create(t.Context(), grant("three")))

	// A token of no pod proves nothing.
	token, err := clientset(chart.ManagerUser).CoreV1().ServiceAccounts(cage).CreateToken(t.Context(), "one-gateway", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refused("a token of no pod", setGateways(t, withToken(t, token.Status.Token), "one", myUID))
	refused("saying whose pod one is", setGateways(t, as("system:serviceaccount:"+cage+":one-gateway"), "one", myUID))
}
