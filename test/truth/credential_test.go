package truth

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/credential"
)

func credentialTruths() []truth {
	spec := func(w *world) *v1alpha1.ClawCredentialSpec { return &w.model.Spec }
	cases := []truth{
		{field: "ClawCredential spec.claw.name", change: func(w *world) { spec(w).Claw.Name = "other" },
			see: keyIs, before: v1alpha1.ReasonReady, after: v1alpha1.ReasonDependencyNotReady},
		{field: "ClawCredential spec.claw.owner", change: func(w *world) { spec(w).Claw.Owner = lee },
			see: keyIs, before: v1alpha1.ReasonReady, after: "refused: spec.claw.owner"},
		{field: "ClawCredential spec.connector", change: func(w *world) { spec(w).Connector = "slack" },
			see: readsKey, before: "one", after: "refused: " + v1alpha1.ReasonSecretRefused},
		{field: "ClawCredential spec.state", change: func(w *world) { spec(w).State = v1alpha1.CredentialRevoked },
			see: keyIs, before: v1alpha1.ReasonReady, after: v1alpha1.ReasonRevoked},
		{field: "ClawCredential spec.delivery", change: func(w *world) { spec(w).Delivery = v1alpha1.DeliveryContainer },
			see: agentKeys, before: "no key", after: "a key"},
		{field: "ClawCredential spec.source.secret.name", change: func(w *world) { spec(w).Source.Secret.Name = "elsewhere" },
			see: keyIs, before: v1alpha1.ReasonReady, after: v1alpha1.ReasonSecretNotFound},
		{field: "ClawCredential spec.source.secret.keys", change: func(w *world) { spec(w).Source.Secret.Keys = map[string]string{"apiKey": "other"} },
			see: readsKey, before: "one", after: "two"},
	}
	external := func(name, path, before, after string, change func(*v1alpha1.ExternalSecretSource)) truth {
		return truth{field: "ClawCredential spec.source.externalSecret." + name, with: fromVault,
			change: func(w *world) { change(spec(w).Source.ExternalSecret) }, see: external(path), before: before, after: after}
	}
	return append(cases,
		external("secretStoreRef.kind", "spec.secretStoreRef.kind", "ClusterSecretStore", "SecretStore",
			func(s *v1alpha1.ExternalSecretSource) { s.SecretStoreRef.Kind = v1alpha1.StoreInCage }),
		external("secretStoreRef.name", "spec.secretStoreRef.name", "vault", "safe",
			func(s *v1alpha1.ExternalSecretSource) { s.SecretStoreRef.Name = "safe" }),
		external("refreshIntervalSeconds", "spec.refreshInterval", "3600s", "60s",
			func(s *v1alpha1.ExternalSecretSource) { s.RefreshIntervalSeconds = 60 }),
		external("data[].slot", "spec.data.0.secretKey", "apiKey", "token",
			func(s *v1alpha1.ExternalSecretSource) { s.Data[0].Slot = "token" }),
		external("data[].key", "spec.data.0.remoteRef.key", "acme/anthropic", "acme/other",
			func(s *v1alpha1.ExternalSecretSource) { s.Data[0].Key = "acme/other" }),
		external("data[].property", "spec.data.0.remoteRef.property", "key", "token",
			func(s *v1alpha1.ExternalSecretSource) { s.Data[0].Property = "token" }),
	)
}

// readsKey shows what is read from a Secret for the model.
var readsKey = view{what: "what is read from the model's Secret", pure: func(w *world) string {
	connectors, err := connector.Builtin()
	if err != nil {
		return err.Error()
	}
	source := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "triage-anthropic", Annotations: map[string]string{v1alpha1.AnnotationCredential: w.model.Name}},
		Type:       v1alpha1.SecretTypeCredential, Data: map[string][]byte{"key": []byte("one"), "other": []byte("two")},
	}
	slots, err := credential.FromSecret(w.model, source, connectors.Get(string(w.model.Spec.Connector)))
	var refusal *credential.Refusal
	if errors.As(err, &refusal) {
		return "refused: " + refusal.Reason
	}
	return string(slots["apiKey"].Reveal())
}}

// external shows a part of what External Secrets Operator is asked for.
func external(path string) view {
	return view{what: path + " of the ExternalSecret", pure: func(w *world) string {
		data, err := json.Marshal(credential.ExternalSecret(w.model))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(dig(data, path))
	}}
}
