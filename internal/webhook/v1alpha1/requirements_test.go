package v1alpha1

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// strict is a cage whose policies require what can be required.
func strict(t *testing.T, name string) {
	t.Helper()
	vault := v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}
	create(t,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelOrganization: name}}},
		organization(name, func(o *v1alpha1.ClawOrganization) {
			o.Spec.Sandbox.RuntimeClassName = "gvisor"
			o.Spec.Baseline.Require.Runtime.Digests = v1alpha1.DigestsRequired
		}))
	create(t, clawPolicy(name, func(p *v1alpha1.ClawPolicy) {
		p.Spec.Allow.Stores = []v1alpha1.StoreRule{{StoreReference: vault, Keys: []v1alpha1.Pattern{"strict/*"}}}
		p.Spec.Require.Runtime.RuntimeClassNames = []v1alpha1.ObjectName{"kata"}
		p.Spec.Require.Credentials = v1alpha1.CredentialRequirements{
			Sources: []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}, Delivery: []v1alpha1.Delivery{v1alpha1.DeliveryGateway}, MaxAgeDays: 30}
	}))
}

func external(mutate func(*v1alpha1.ExternalSecretSource)) func(*v1alpha1.ClawCredential) {
	return func(c *v1alpha1.ClawCredential) {
		e := &v1alpha1.ExternalSecretSource{SecretStoreRef: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"},
			Data: []v1alpha1.ExternalSecretData{{Slot: "botToken", Key: "strict/slack", Property: "bot"}, {Slot: "signingSecret", Key: "strict/slack", Property: "signing"}}}
		mutate(e)
		c.Namespace, c.Spec.Source = "strict", v1alpha1.CredentialSource{ExternalSecret: e}
	}
}

func TestWhatIsRequiredOfACredential(t *testing.T) {
	strict(t, "strict")
	const (
		of     = `ClawCredential.clawstaff.dev "triage-slack" is invalid: `
		change = `, or have security change that policy`
		stores = `; allowed stores and keys: ClusterSecretStore/vault strict/* (by support-agents): ask for what is allowed, or have security allow more`
	)
	for _, tt := range []struct {
		name   string
		mutate func(*v1alpha1.ClawCredential)
		want   string
	}{
		{"as required", external(func(*v1alpha1.ExternalSecretSource) {}), ""},
		{"a Secret", func(c *v1alpha1.ClawCredential) { c.Namespace = "strict" },
			`spec.source: Forbidden: asked for a key from source Secret; ClawPolicy "support-agents" requires one of the sources ExternalSecret: take the key from there` + change},
		{"into the container", func(c *v1alpha1.ClawCredential) {
			external(func(*v1alpha1.ExternalSecretSource) {})(c)
			c.Spec.Delivery = v1alpha1.DeliveryContainer
		}, `spec.delivery: Forbidden: asked for delivery Container; ClawPolicy "support-agents" requires one of the deliveries Gateway: set spec.delivery to that` + change},
		{"another store", external(func(e *v1alpha1.ExternalSecretSource) { e.SecretStoreRef.Name = "other" }),
			`spec.source.externalSecret.secretStoreRef: Forbidden: asked for store ClusterSecretStore/other` + stores},
		{"another key", external(func(e *v1alpha1.ExternalSecretSource) { e.Data[1].Key = "globex/slack" }),
			`spec.source.externalSecret.data[1].key: Forbidden: asked for key "globex/slack" of store ClusterSecretStore/vault` + stores},
		{"another slot, and one too few", external(func(e *v1alpha1.ExternalSecretSource) { e.Data[1].Slot = "token" }),
			`[spec.source.externalSecret.data[token]: Forbidden: connector "slack" has no such slot; its slots are botToken, signingSecret, ` +
				`spec.source.externalSecret.data: Forbidden: connector "slack" needs slot signingSecret: say where in the store it is; its slots are botToken, signingSecret]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, want := credential(tt.mutate), tt.want
			if want != "" {
				want = of + want
			}
			refusal(t, as(admin).Create(t.Context(), c, client.DryRunAll), want)
		})
	}
}

// A cage whose policies nobody asked would have no store at all.
func TestStoresThatNobodyAllows(t *testing.T) {
	c := credential(external(func(*v1alpha1.ExternalSecretSource) {}), func(c *v1alpha1.ClawCredential) { c.Namespace = "acme" })
	refusal(t, as(sarah).Create(t.Context(), c, client.DryRunAll),
		`ClawCredential.clawstaff.dev "triage-slack" is invalid: spec.source.externalSecret.secretStoreRef: Forbidden: asked for store ClusterSecretStore/vault; the policies over Claw "triage" (support-agents) allow no stores and keys: remove it, or have security allow it`)
}

func TestWhatIsRequiredOfAClaw(t *testing.T) {
	strict(t, "exacting")
	old := credential(external(func(*v1alpha1.ExternalSecretSource) {}), func(c *v1alpha1.ClawCredential) { c.Name, c.Namespace = "old", "exacting" })
	create(t, old)
	rotated := metav1.Date(2020, 1, 2, 3, 4, 5, 0, metav1.Now().UTC().Location())
	old.Status.LastRotatedAt = &rotated
	if err := as(admin).Status().Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	c := claw(func(c *v1alpha1.Claw) { c.Namespace, c.Spec.Channels[0].Credential = "exacting", "old" })
	err := as(sarah).Create(t.Context(), c, client.DryRunAll)
	refusal(t, err, `Claw.clawstaff.dev "triage" is invalid: [`+strings.Join([]string{
		`spec.runtime.container.image: Forbidden: asked to run image "example.com/agent:1", a tag that can be pointed elsewhere; the baseline of ClawOrganization "exacting" requires an image that is named by its digest: write example.com/agent@sha256:..., or have the platform change that baseline`,
		`spec.runtime: Forbidden: would run in runtime class "gvisor", which spec.sandbox.runtimeClassName of ClawOrganization "exacting" says; ClawPolicy "support-agents" requires one of the runtime classes kata: have the platform set that to one of them, or have security change that policy`,
		`spec.channels[0].credential: Forbidden: ClawCredential "old", status.lastRotatedAt: the key was last changed at 2020-01-02T03:04:05Z; ClawPolicy "support-agents" requires a change every 30 days: replace the key's value at its source, or have security change that policy`,
	}, `, `)+`]`)
}
