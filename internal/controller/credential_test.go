package controller_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// credentialReady waits for the reason of a credential's Ready condition.
func credentialReady(t *testing.T, namespace, name, reason string) *v1alpha1.ClawCredential {
	t.Helper()
	cred := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	eventually(t, func() string {
		if !get(t, cred) {
			return "there is no ClawCredential " + name
		}
		return wants(cred.Status.Conditions, v1alpha1.ConditionReady, reason)
	})
	return cred
}

func value(key, text string) func(*v1alpha1.ClawCredential, *corev1.Secret) {
	return func(_ *v1alpha1.ClawCredential, s *corev1.Secret) { s.StringData[key] = text }
}

// TestSharedKey is I4, in one cage and across two: the second is refused and the first keeps running;
// when the first lets go, the second has it.
func TestSharedKey(t *testing.T) {
	c, d := newCage(t), newCage(t)
	c.policy()
	claw := c.running("triage")
	first := credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	get(t, secret)
	key := string(secret.Data["bot"])

	create(t, c.clawOf("second"), d.clawOf("third"))
	c.credential("second", "second-slack", value("bot", key))
	// The same value in another slot of another connector is the same key.
	d.credential("third", "third-anthropic", anthropic, value("key", key))
	near := credentialReady(t, c.name, "second-slack", v1alpha1.ReasonCredentialShared)
	far := credentialReady(t, d.name, "third-anthropic", v1alpha1.ReasonCredentialShared)
	if m := messageOf(near); !strings.Contains(m, "triage") {
		t.Errorf("the message does not say whose: %s", m)
	}
	if m := messageOf(far); strings.Contains(m, "triage") || strings.Contains(m, c.name) {
		t.Errorf("the message tells another organization's names: %s", m)
	}
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	second := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "second"}}
	condition(t, second, v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonCredentialShared)

	// Two credentials of one Claw may have the same key.
	c.credential("triage", "triage-again", value("bot", key))
	credentialReady(t, c.name, "triage-again", v1alpha1.ReasonReady)
	remove(t, &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-again"}})

	update(t, first, func(c *v1alpha1.ClawCredential) { c.Spec.State = v1alpha1.CredentialRevoked })
	eventually(t, func() string {
		var ready int
		for _, name := range [][2]string{{c.name, "second-slack"}, {d.name, "third-anthropic"}} {
			cred := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: name[0], Name: name[1]}}
			get(t, cred)
			if wants(cred.Status.Conditions, v1alpha1.ConditionReady, v1alpha1.ReasonReady) == "" {
				ready++
			}
		}
		if ready != 1 {
			return "the key is let go, and not exactly one has it now"
		}
		return ""
	})
}

func messageOf(c *v1alpha1.ClawCredential) string {
	for _, x := range c.Status.Conditions {
		if x.Type == v1alpha1.ConditionIsolated {
			return x.Message
		}
	}
	return ""
}

// TestRevokedCredential: what it gave is taken, and the rest of the Claw goes on.
func TestRevokedCredential(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	update(t, credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonReady), func(c *v1alpha1.ClawCredential) {
		c.Spec.State = v1alpha1.CredentialRevoked
	})
	cred := credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonRevoked)
	if cred.Status.Version != "" || len(cred.Status.Fingerprints) > 0 {
		t.Error("hashes of a revoked key are kept")
	}
	condition(t, claw, v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonCredentialRevoked)
	grant := grantOf(t, claw)
	if len(grant.Spec.Channels) != 0 || len(grant.Spec.Models) != 1 || len(grant.Spec.Credentials) != 1 {
		t.Errorf("the grant is %+v", grant.Spec)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	eventually(t, func() string {
		get(t, secret)
		if len(secret.Data["credential.triage-slack.botToken"]) > 0 || len(secret.Data["credential.triage-anthropic.apiKey"]) == 0 {
			return "the gateway's Secret holds the wrong keys"
		}
		return ""
	})
}

func TestCredentialSources(t *testing.T) {
	c := newCage(t)
	create(t, c.clawOf("triage"))
	type change = func(*v1alpha1.ClawCredential, *corev1.Secret)
	for name, x := range map[string]struct {
		change change
		reason string
	}{
		"no-secret":  {func(_ *v1alpha1.ClawCredential, s *corev1.Secret) { s.Name = "" }, v1alpha1.ReasonSecretNotFound},
		"opaque":     {func(_ *v1alpha1.ClawCredential, s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, v1alpha1.ReasonSecretRefused},
		"borrowed":   {func(_ *v1alpha1.ClawCredential, s *corev1.Secret) { s.Annotations = nil }, v1alpha1.ReasonSecretRefused},
		"connector":  {func(cred *v1alpha1.ClawCredential, _ *corev1.Secret) { cred.Spec.Connector = "nope" }, v1alpha1.ReasonUnknownConnector},
		"owner":      {func(cred *v1alpha1.ClawCredential, _ *corev1.Secret) { cred.Spec.Claw.Owner = lee }, v1alpha1.ReasonClawMismatch},
		"no-claw":    {func(cred *v1alpha1.ClawCredential, _ *corev1.Secret) { cred.Spec.Claw.Name = "nobody" }, v1alpha1.ReasonDependencyNotReady},
		"good-after": {func(*v1alpha1.ClawCredential, *corev1.Secret) {}, v1alpha1.ReasonReady},
	} {
		c.credential("triage", name, x.change)
		credentialReady(t, c.name, name, x.reason)
	}
	// The Secret comes, and the key is read without anybody touching the credential.
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "no-secret", Namespace: c.name, Annotations: map[string]string{v1alpha1.AnnotationCredential: "no-secret"}},
		Type:       v1alpha1.SecretTypeCredential, StringData: map[string]string{"bot": "xoxb-late", "signing": "late"},
	})
	credentialReady(t, c.name, "no-secret", v1alpha1.ReasonReady)
	// And so is the one whose Secret is taken away.
	remove(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "good-after", Namespace: c.name}})
	credentialReady(t, c.name, "good-after", v1alpha1.ReasonSecretNotFound)
}
