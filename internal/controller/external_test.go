package controller_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/credential"
)

// externalSecretsKind is the CustomResourceDefinition of ExternalSecrets.
func externalSecretsKind(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "externalsecrets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var o unstructured.Unstructured
	if err := yaml.Unmarshal(text, &o.Object); err != nil {
		t.Fatal(err)
	}
	return &o
}

// installExternalSecrets has the cluster know ExternalSecrets, if it does not.
func installExternalSecrets(t *testing.T) {
	t.Helper()
	kind := externalSecretsKind(t)
	if !get(t, kind.DeepCopy()) {
		create(t, kind)
	}
	eventually(t, func() string {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(credential.ExternalSecretKind)
		if err := api.List(context.Background(), list); err != nil {
			return err.Error()
		}
		return ""
	})
}

// removeExternalSecrets has the cluster know them no more.
func removeExternalSecrets(t *testing.T) {
	t.Helper()
	kind := externalSecretsKind(t)
	remove(t, kind)
	gone(t, kind)
}

// fromVault takes a credential's slots from a store instead of a Secret.
func fromVault(slots ...string) func(*v1alpha1.ClawCredential, *corev1.Secret) {
	return func(cred *v1alpha1.ClawCredential, s *corev1.Secret) {
		external := &v1alpha1.ExternalSecretSource{
			SecretStoreRef: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, RefreshIntervalSeconds: 600,
		}
		for _, slot := range slots {
			external.Data = append(external.Data, v1alpha1.ExternalSecretData{Slot: slot, Key: "acme/" + cred.Name, Property: slot})
		}
		cred.Spec.Source = v1alpha1.CredentialSource{ExternalSecret: external}
		s.Name = "" // there is none to create
	}
}

// vault allows the store.
func vault(p *v1alpha1.ClawPolicy) {
	p.Spec.Allow.Stores = []v1alpha1.StoreRule{{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, Keys: []v1alpha1.Pattern{"acme/*"}}}
}

func externalOf(cred *v1alpha1.ClawCredential) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(credential.ExternalSecretKind)
	o.SetNamespace(cred.Namespace)
	o.SetName(cred.Name)
	return o
}

// readStore plays External Secrets Operator: it makes the Secret that is asked for, and says so.
func readStore(t *testing.T, cred *v1alpha1.ClawCredential, former types.UID) (*unstructured.Unstructured, *corev1.Secret) {
	t.Helper()
	external := externalOf(cred)
	eventually(t, func() string {
		if !get(t, external) || external.GetUID() == former {
			get(t, cred)
			return "there is no new ExternalSecret: " + brief(cred.Status.Conditions)
		}
		return ""
	})
	// It notes things on the object itself, too.
	update(t, external, func(o *unstructured.Unstructured) {
		o.SetFinalizers(nil)
		o.SetAnnotations(mapWith(o.GetAnnotations(), "external-secrets.io/noted", "yes"))
	})
	target, _, err := unstructured.NestedMap(external.Object, "spec", "target")
	if err != nil {
		t.Fatal(err)
	}
	template, _, _ := unstructured.NestedMap(target, "template")
	annotations, _, _ := unstructured.NestedStringMap(template, "metadata", "annotations")
	yes := true
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cred.Namespace, Name: target["name"].(string), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: external.GetName(), UID: external.GetUID(), Controller: &yes}},
		},
		Type: corev1.SecretType(template["type"].(string)), StringData: map[string]string{},
	}
	data, _, _ := unstructured.NestedSlice(external.Object, "spec", "data")
	for _, d := range data {
		secret.StringData[d.(map[string]any)["secretKey"].(string)] = "xoxb-" + rand.String(20)
	}
	remove(t, secret)
	create(t, secret)
	says(t, external, metav1.ConditionTrue, "secret synced")
	return external, secret
}

func mapWith(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// says plays External Secrets Operator: it writes its status.
func says(t *testing.T, external *unstructured.Unstructured, status metav1.ConditionStatus, message string) {
	t.Helper()
	eventually(t, func() string {
		get(t, external)
		condition := map[string]any{"type": "Ready", "status": string(status), "message": message}
		if err := unstructured.SetNestedSlice(external.Object, []any{condition}, "status", "conditions"); err != nil {
			return err.Error()
		}
		if err := api.Status().Update(context.Background(), external); err != nil {
			return err.Error()
		}
		return ""
	})
}

// TestExternalSecretsComeLater: without External Secrets a key from a store is waited for, and nothing else
// suffers; it is read when they come.
func TestExternalSecretsComeLater(t *testing.T) {
	removeExternalSecrets(t)
	c := newCage(t)
	c.policy(vault)
	claw := c.clawOf("triage")
	create(t, claw)
	c.credential("triage", "triage-anthropic", anthropic)
	cred := c.credential("triage", "triage-slack", fromVault("botToken", "signingSecret"))
	waiting := credentialReady(t, c.name, cred.Name, v1alpha1.ReasonDependencyNotReady)
	if m := meta.FindStatusCondition(waiting.Status.Conditions, v1alpha1.ConditionReady).Message; !strings.Contains(m, "install External Secrets") {
		t.Errorf("it does not say how to go on: %s", m)
	}
	credentialReady(t, c.name, "triage-anthropic", v1alpha1.ReasonReady)
	gatewayHas(t, claw, "credential.triage-slack.botToken", "")
	eventually(t, func() string {
		if grant := grantOf(t, claw); len(grant.Spec.Models) != 1 || len(grant.Spec.Channels) != 0 {
			return "the grant gives too much, or too little"
		}
		return ""
	})

	installExternalSecrets(t)
	readStore(t, cred, "")
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonReady)
}

// TestExternalSecret: a key from a store is asked for as the credential says, read, rotated, and taken back.
func TestExternalSecret(t *testing.T) {
	installExternalSecrets(t)
	c := newCage(t)
	c.policy(vault)
	claw := c.clawOf("triage")
	create(t, claw)
	c.credential("triage", "triage-anthropic", anthropic)
	cred := c.credential("triage", "triage-slack", fromVault("botToken", "signingSecret"))

	t.Log("a Secret that somebody else puts there is not read")
	planted := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: credential.TargetName(cred.Name), Annotations: map[string]string{v1alpha1.AnnotationCredential: cred.Name}},
		Type:       v1alpha1.SecretTypeCredential, StringData: map[string]string{"botToken": "xoxb-planted", "signingSecret": "planted"},
	}
	create(t, planted)
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonDependencyNotReady)

	t.Log("what External Secrets Operator makes is")
	external, secret := readStore(t, cred, "")
	got := credentialReady(t, c.name, cred.Name, v1alpha1.ReasonReady)
	if got.Status.LastRotatedAt == nil || !got.Status.LastRotatedAt.Equal(&secret.CreationTimestamp) {
		t.Errorf("last rotated at %v, and the Secret was made at %v", got.Status.LastRotatedAt, secret.CreationTimestamp)
	}
	gatewayHas(t, claw, "credential.triage-slack.botToken", secret.StringData["botToken"])

	t.Log("a rotation in the store")
	rotated := "xoxb-" + rand.String(20)
	update(t, secret, func(s *corev1.Secret) { s.StringData = map[string]string{"botToken": rotated} })
	gatewayHas(t, claw, "credential.triage-slack.botToken", rotated)

	t.Log("a store that cannot be read for a while takes nothing away")
	says(t, external, metav1.ConditionFalse, "could not reach vault")
	update(t, secret, func(s *corev1.Secret) { s.Labels = map[string]string{"touched": "yes"} }) // it is looked at now
	eventually(t, func() string {
		get(t, got)
		if wants(got.Status.Conditions, v1alpha1.ConditionSourceSynced, v1alpha1.ReasonDependencyNotReady) != "" ||
			!strings.Contains(brief(got.Status.Conditions), "could not reach vault") ||
			!meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionReady) {
			return brief(got.Status.Conditions)
		}
		return ""
	})

	t.Log("somebody asks for more in its name, and it is made anew")
	old := external.GetUID()
	if err := api.Patch(context.Background(), external, client.RawPatch("application/merge-patch+json",
		[]byte(`{"spec":{"dataFrom":[{"extract":{"key":"everybody's"}}]}}`)), client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	update(t, secret, func(s *corev1.Secret) { s.Labels = map[string]string{"touched": "again"} })
	external, _ = readStore(t, cred, old)
	if _, found, _ := unstructured.NestedSlice(external.Object, "spec", "dataFrom"); found {
		t.Error("it still asks for more")
	}
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonReady)

	t.Log("another key of the store is another request, and the former value is not taken for it")
	old = external.GetUID()
	update(t, cred, func(cred *v1alpha1.ClawCredential) { cred.Spec.Source.ExternalSecret.Data[0].Key = "acme/other" })
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonDependencyNotReady)
	_, secret = readStore(t, cred, old)
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonReady)
	gatewayHas(t, claw, "credential.triage-slack.botToken", secret.StringData["botToken"])

	t.Log("another source, and nothing is asked for any more")
	byHand := "xoxb-" + rand.String(20)
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "by-hand", Annotations: map[string]string{v1alpha1.AnnotationCredential: cred.Name}},
		Type:       v1alpha1.SecretTypeCredential, StringData: map[string]string{"bot": byHand, "signing": "signing-" + byHand},
	})
	update(t, cred, func(cred *v1alpha1.ClawCredential) {
		cred.Spec.Source = v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: "by-hand", Keys: map[string]string{"botToken": "bot", "signingSecret": "signing"}}}
	})
	gone(t, externalOf(cred))
	gatewayHas(t, claw, "credential.triage-slack.botToken", byHand)
}

// TestStoresAreAllowed: a store is read where a policy allows it and for as long as one does, and a key is taken
// back with its store.
func TestStoresAreAllowed(t *testing.T) {
	installExternalSecrets(t)
	c := newCage(t)
	p := c.policy()
	claw := c.clawOf("triage")
	create(t, claw)
	c.credential("triage", "triage-anthropic", anthropic)
	cred := c.credential("triage", "triage-slack", fromVault("botToken", "signingSecret"))
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonStoreNotAllowed)
	if get(t, externalOf(cred)) {
		t.Error("a store that nobody allows is read")
	}

	update(t, p, vault)
	_, secret := readStore(t, cred, "")
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonReady)
	gatewayHas(t, claw, "credential.triage-slack.botToken", secret.StringData["botToken"])
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonReady)

	update(t, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Baseline.Deny.Stores = p.Spec.Allow.Stores
	})
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonStoreNotAllowed)
	gone(t, externalOf(cred))
	gatewayHas(t, claw, "credential.triage-slack.botToken", "")
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldDenied, "baseline")

	update(t, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Baseline.Deny.Stores = nil
	})
	remove(t, secret) // as the garbage collector does
	readStore(t, cred, "")
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonReady)

	t.Log("a revoked credential asks for nothing")
	update(t, cred, func(cred *v1alpha1.ClawCredential) { cred.Spec.State = v1alpha1.CredentialRevoked })
	credentialReady(t, c.name, cred.Name, v1alpha1.ReasonRevoked)
	gone(t, externalOf(cred))
}

// gatewayHas waits until the gateway's Secret has a value under a key; "" is none.
func gatewayHas(t *testing.T, claw *v1alpha1.Claw, key, want string) {
	t.Helper()
	holds(t, claw.Namespace, cage.GatewayName(claw.Name), key, want)
}

func holds(t *testing.T, namespace, name, key, want string) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	eventually(t, func() string {
		if !get(t, s) {
			return "there is no Secret " + name
		}
		if got := string(s.Data[key]); got != want {
			return "Secret " + name + " holds another " + key
		}
		return ""
	})
}

// withheldBy waits until a Claw is told that something is withheld for a reason, by a policy whose name has a part.
func withheldBy(t *testing.T, claw *v1alpha1.Claw, reason v1alpha1.WithheldReason, policy string) {
	t.Helper()
	eventually(t, func() string {
		get(t, claw)
		for _, w := range claw.Status.Withheld {
			if w.Reason == reason && strings.Contains(w.Policy, policy) {
				return ""
			}
		}
		return "nothing is withheld by " + policy + brief(claw.Status.Conditions)
	})
}
