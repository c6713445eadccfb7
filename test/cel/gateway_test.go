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
func gateway(t *testing.T, claw, podName string) (c client.Client, podUID string) {
	t.Helper()
	ctx := t.Context()
	account := claw + "-gateway"
	p := pod(account + "-" + podName)
	p.Spec.ServiceAccountName, p.Labels[v1alpha1.LabelClaw], p.OwnerReferences[0].Name = account, claw, account+"-5d4f"
	for _, obj := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: in(account)}, p,
		&rbacv1.RoleBinding{ObjectMeta: in(account), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "clawstaff-kinds"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: cage}}},
	} {
		if err := k8s.Create(ctx, obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("create %T: %v", obj, err)
		}
	}
	if err := as(chart.ManagerUser).Create(ctx, grant(claw)); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	if err := k8s.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	return withToken(t, tokenFor(t, account, p)), string(p.UID)
}

// tokenFor is what the kubelet fetches for a pod of an account, or for none.
func tokenFor(t *testing.T, account string, p *corev1.Pod) string {
	t.Helper()
	token, err := clientset(node).CoreV1().ServiceAccounts(cage).CreateToken(t.Context(), account, tokenRequest(p), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}

func tokenRequest(p *corev1.Pod) *authenticationv1.TokenRequest {
	request := &authenticationv1.TokenRequest{}
	if p != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.Name, UID: p.UID}
	}
	return request
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
	mine, myUID := gateway(t, "one", "now")
	theirs, theirUID := gateway(t, "two", "now")
	refused := func(what string, err error) {
		t.Helper()
		if !refusedBy(err, grantsPolicy) {
			t.Errorf("%s: got %v, want a refusal by %s", what, err, grantsPolicy)
		}
	}
	eventually(t, "its own entry", func() error { return setGateways(t, mine, "one", myUID) })
	eventually(t, "its own entry", func() error { return setGateways(t, theirs, "two", theirUID) })
	refused("a sibling's grant", setGateways(t, mine, "two", theirUID, myUID))
	refused("another pod's entry", setGateways(t, mine, "one", "another"))
	refused("another pod's entry beside its own", setGateways(t, mine, "one", myUID, "another"))

	// The pod that was there before has spoken too: its word is not the other's to take away or to change.
	former, formerUID := gateway(t, "one", "former")
	eventually(t, "the former pod's entry", func() error { return setGateways(t, former, "one", myUID, formerUID) })
	refused("taking another's entry away", setGateways(t, mine, "one", myUID))
	if err := setGateways(t, mine, "one", formerUID); err != nil {
		t.Errorf("taking its own entry away: %v", err)
	}
	// The manager takes away what a pod that is gone has said.
	if err := setGateways(t, as(chart.ManagerUser), "one"); err != nil {
		t.Errorf("the manager: %v", err)
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
	refused("a token of no pod", setGateways(t, withToken(t, tokenFor(t, "one-gateway", nil)), "one", myUID))
	refused("saying whose pod one is", setGateways(t, as("system:serviceaccount:"+cage+":one-gateway"), "one", myUID))
}
