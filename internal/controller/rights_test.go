package controller_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/installation"
)

// The rest of this package shows that the manager's rights are enough, for it runs with them; and when all of
// it has run, that none is given which was never used (see record). These are the ones that matter most.
func TestTheManagerMayNoMore(t *testing.T) {
	c := newCage(t)
	for _, ask := range []authorizationv1.ResourceAttributes{
		// Outside of cages.
		{Verb: "get", Resource: "secrets"},
		{Verb: "list", Resource: "secrets"},
		{Verb: "watch", Resource: "secrets"},
		{Verb: "get", Resource: "secrets", Namespace: operatorNamespace, Name: "somebody-elses"},
		{Verb: "patch", Resource: "configmaps", Namespace: operatorNamespace},
		{Verb: "create", Group: "apps", Resource: "deployments", Namespace: "default"},
		{Verb: "delete", Resource: "pods", Namespace: "kube-system"},
		{Verb: "patch", Group: "clawstaff.dev", Resource: "claws", Namespace: "default"},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: "default"},
		{Verb: "delete", Resource: "namespaces"},
		{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Name: "cluster-admin"},
		{Verb: "patch", Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Name: cage.ManagerRole},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
		{Verb: "patch", Group: "clawstaff.dev", Resource: "clawpolicies", Namespace: c.name},
		{Verb: "create", Group: "clawstaff.dev", Resource: "claws", Namespace: c.name},
		{Verb: "impersonate", Resource: "users"},
		{Verb: "patch", Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies", Name: "clawstaff-closed-cage"},
		{Verb: "update", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: "another"},
		// In a cage.
		{Verb: "update", Resource: "secrets", Namespace: c.name},
		{Verb: "create", Resource: "pods", Namespace: c.name},
		{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: c.name},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: c.name},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: c.name},
		{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: c.name},
		{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: c.name},
		{Verb: "create", Group: "apps", Resource: "daemonsets", Namespace: c.name},
		{Verb: "enter", Group: "breakglass.clawstaff.dev", Resource: "cages", Namespace: c.name},
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

// TestSecretsInCagesOnly reads, as the manager, Secrets that are there.
func TestSecretsInCagesOnly(t *testing.T) {
	plain := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain-" + rand.String(5)}}
	create(t, plain)
	c := newCage(t)
	read := func(namespace string) error {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a-secret-of-" + c.name}}
		if !get(t, s) {
			create(t, s)
		}
		return asManager.Get(context.Background(), client.ObjectKeyFromObject(s), s)
	}
	for _, namespace := range []string{"default", "kube-system", operatorNamespace, plain.Name} {
		if err := read(namespace); !apierrors.IsForbidden(err) {
			t.Errorf("a Secret in namespace %s: got %v, want a refusal", namespace, err)
		}
	}
	if err := read(c.name); err != nil {
		t.Errorf("a Secret in its cage: %v", err)
	}
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	remove(t, org)
	gone(t, org)
	eventually(t, func() string {
		if err := read(c.name); !apierrors.IsForbidden(err) {
			return "the organization is gone, and the manager still reads its Secrets"
		}
		return ""
	})
}

func bindingIn(c cageOf) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.ManagerBinding}}
}

// bindingBack waits for another binding than the one with a UID.
func bindingBack(t *testing.T, c cageOf, old types.UID) {
	t.Helper()
	b := bindingIn(c)
	eventually(t, func() string {
		if !get(t, b) || b.UID == old || !cage.IsManagerBinding(b, operatorNamespace) {
			return "the manager's rights in the cage are not back"
		}
		return ""
	})
}

// TestRightsComeBack: whoever takes the manager's rights in a cage stops it for a moment; what happened to
// Secrets meanwhile is seen, and what happens after.
func TestRightsComeBack(t *testing.T) {
	c := newCage(t)
	rightsTaken.Store(c.name, true)
	b := bindingIn(c)
	for _, with := range []string{"no Claw", "a Claw"} {
		get(t, b)
		old := b.UID
		remove(t, b)
		bindingBack(t, c, old)
		if with == "no Claw" {
			c.policy()
			c.running("triage")
		}
	}
	// Changed by hand, too.
	for _, spoil := range []func(*rbacv1.RoleBinding){
		func(b *rbacv1.RoleBinding) { b.Subjects[0].Name = "somebody" },
		func(b *rbacv1.RoleBinding) {
			b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"})
		},
		func(b *rbacv1.RoleBinding) { b.Labels = nil },
	} {
		update(t, b, spoil)
		bindingBack(t, c, "")
	}
	c.organizationReady(v1alpha1.ReasonReady)
	// A key that is rotated, and a child that is deleted.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	key := "xoxb-" + rand.String(20)
	update(t, secret, func(s *corev1.Secret) { s.StringData = map[string]string{"bot": key} })
	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	rotated := func() string {
		if !get(t, keys) || string(keys.Data["credential.triage-slack.botToken"]) != key {
			cred := credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady)
			return "the gateway does not have the new key: " + brief(cred.Status.Conditions)
		}
		return ""
	}
	eventually(t, rotated)
	remove(t, keys)
	eventually(t, rotated)
}

// Where the roles differ nothing can be changed in place: the binding is made anew, if the manager still may.
func TestRightsBoundToAnotherRole(t *testing.T) {
	c := newCage(t)
	rightsTaken.Store(c.name, true)
	b := bindingIn(c)
	get(t, b)
	other := bindingIn(c)
	other.Labels, other.Subjects = b.Labels, b.Subjects
	other.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}
	remove(t, b)
	eventually(t, func() string {
		other.ResourceVersion = ""
		if err := api.Create(context.Background(), other); apierrors.IsAlreadyExists(err) {
			remove(t, b) // the manager was faster
			return "not planted yet"
		} else if err != nil {
			return err.Error()
		}
		return ""
	})
	bindingBack(t, c, other.UID)
	c.organizationReady(v1alpha1.ReasonReady)
}

// TestNamespaceDeletedWithItsRights: whoever deletes a namespace deletes everything in it at once. The manager
// keeps its rights until it has taken the Claws down, and then lets the namespace end.
func TestNamespaceDeletedWithItsRights(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	b := bindingIn(c)
	eventually(t, func() string {
		if !get(t, b) || len(b.Finalizers) == 0 {
			return "the rights are not held while there is a Claw"
		}
		return ""
	})
	remove(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.name}})
	c.organizationReady(v1alpha1.ReasonDependencyNotReady)
	// What the namespace controller does; the API server alone has none.
	remove(t, b)
	remove(t, claw)
	if !get(t, b) {
		t.Fatal("the rights went before the Claw")
	}
	removePods(t, claw)
	gone(t, claw)
	gone(t, b)
}

// TestRightsEndWithTheLastClaw: an organization that was made to go without us leaves Claws that are closed,
// and the manager's rights until the last one is gone.
func TestRightsEndWithTheLastClaw(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	remove(t, org)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Finalizers = nil })
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonNotACage)
	removePods(t, claw)
	remove(t, claw)
	gone(t, claw)
	gone(t, bindingIn(c))
}

// TestPlantedRights: what lies in a labelled namespace before it is a cage must give nobody anything.
func TestPlantedRights(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.Claw, *rbacv1.RoleBinding){
		"with the manager's name": func(_ *v1alpha1.Claw, b *rbacv1.RoleBinding) { b.Name = cage.ManagerBinding },
		"that says it is a Claw's": func(claw *v1alpha1.Claw, b *rbacv1.RoleBinding) {
			yes := true
			b.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Claw", Name: claw.Name, UID: claw.UID, Controller: &yes}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cageOf{t, "planted-" + rand.String(5)}
			rightsTaken.Store(c.name, true)
			create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.name, Labels: map[string]string{v1alpha1.LabelOrganization: c.name}}})
			claw := c.clawOf("triage")
			create(t, claw)
			planted := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "planted"},
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
				Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"}}}
			change(claw, planted)
			create(t, planted)
			create(t, organizationOf(c.name))
			org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
			eventually(t, func() string {
				get(t, org)
				if problem := wants(org.Status.Conditions, v1alpha1.ConditionCageReady, v1alpha1.ReasonNamespaceNotEmpty); problem != "" {
					return problem
				}
				return ""
			})
			remove(t, planted)
		})
	}
}

// TestRightsLag: rights that are given come into force a moment later. That is waited for, and nobody is alarmed.
func TestRightsLag(t *testing.T) {
	name := "org-" + rand.String(6)
	lag := refuse("/namespaces/" + name + "/secrets")
	create(t, organizationOf(name))
	c := cageOf{t, name}
	org := c.organizationReady(v1alpha1.ReasonDependencyNotReady)
	if problem := wants(org.Status.Conditions, v1alpha1.ConditionCageReady, v1alpha1.ReasonDependencyNotReady); problem != "" {
		t.Error(problem)
	}
	since := time.Now()
	lag()
	c.organizationReady(v1alpha1.ReasonReady)
	if took := time.Since(since); took > 10*time.Second {
		t.Errorf("it took %s to see that the rights are in force", took)
	}
	if told(t, org, v1alpha1.ReasonDependencyNotReady) || told(t, org, v1alpha1.ReasonApplyFailed) {
		t.Error("an event tells of what ends by itself")
	}
	// Refused once more by an API server that does not know yet.
	name = "org-" + rand.String(6)
	lag = refuse("/namespaces/" + name + "/networkpolicies")
	create(t, organizationOf(name))
	c = cageOf{t, name}
	c.organizationReady(v1alpha1.ReasonDependencyNotReady)
	lag()
	org = c.organizationReady(v1alpha1.ReasonReady)
	if told(t, org, v1alpha1.ReasonApplyFailed) {
		t.Error("an event tells of what ends by itself")
	}
}

// What the manager keeps in its own namespace it makes, and renews, with its own rights too.
func TestTheManagerKeepsTheInstallation(t *testing.T) {
	ctx := context.Background()
	keeper := installation.Keeper{Client: own, Live: own, Namespace: operatorNamespace}
	if err := keeper.WebhookSecret(ctx); err != nil {
		t.Error(err)
	}
	if _, err := keeper.Hasher(ctx); err != nil {
		t.Error(err)
	}
	// The certificate, and its authority.
	for _, days := range []time.Duration{80, 9 * 365} {
		if wrote, err := keeper.LedgerTLS(ctx, time.Now().Add(days*24*time.Hour)); err != nil || !wrote {
			t.Errorf("in %d days: wrote %v, %v", days, wrote, err)
		}
	}
}

// The webhook's configuration names the authority that signed what the manager serves.
func TestTheManagerKeepsItsWebhook(t *testing.T) {
	hooks := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "clawstaff"}}
	signed := func() string {
		get(t, hooks)
		for _, w := range hooks.Webhooks {
			if len(w.ClientConfig.CABundle) == 0 {
				return w.Name + " has no authority"
			}
		}
		return ""
	}
	eventually(t, signed)
	update(t, hooks, func(h *admissionregistrationv1.ValidatingWebhookConfiguration) {
		h.Webhooks[0].ClientConfig.CABundle = nil
	})
	eventually(t, signed)
}

// The webhook asks with the manager's rights, and refuses for the right reason.
func TestTheManagerAnswersAdmission(t *testing.T) {
	c := newCage(t)
	claw := c.clawOf("triage")
	create(t, claw)
	cred := c.credential("triage", "triage-slack")
	eventually(t, func() string {
		response := review(t, "ClawCredential", cred, "mallory")
		if response.Allowed || response.Result == nil || !strings.Contains(response.Result.Message, "mallory") {
			return "mallory may draw a key that is not theirs: " + response.String()
		}
		return ""
	})
	response := review(t, "Claw", claw, "mallory")
	if response.Allowed || response.Result == nil || !strings.Contains(response.Result.Message, "spec.owner") {
		t.Errorf("mallory may write a Claw of %s: %v", claw.Spec.Owner, response)
	}
}

// review asks the webhook about an object that a user creates.
func review(t *testing.T, kind string, o client.Object, user string) *admissionv1.AdmissionResponse {
	t.Helper()
	object, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	gvk := metav1.GroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Kind: gvk, Operation: admissionv1.Create, Namespace: o.GetNamespace(), Name: o.GetName(),
			UserInfo: authenticationv1.UserInfo{Username: user}, Object: runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := "/validate-clawstaff-dev-v1alpha1-" + strings.ToLower(kind)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	webhooks.WebhookMux().ServeHTTP(w, r)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("%s answers %d %s: %v", path, w.Code, w.Body, err)
	}
	return answer.Response
}
