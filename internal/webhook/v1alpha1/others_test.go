package v1alpha1

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestCredential(t *testing.T) {
	type cred = v1alpha1.ClawCredential
	const invalid = `ClawCredential.clawstaff.dev "triage-slack" is invalid: `
	keys := func(keys map[string]string) func(*cred) {
		return func(c *cred) { c.Spec.Source.Secret.Keys = keys }
	}
	for _, tt := range []struct {
		name   string
		mutate func(*cred)
		want   string
	}{
		{"valid", func(*cred) {}, ""},
		{"no cage", func(c *cred) { c.Namespace = "open" },
			`metadata.namespace: Forbidden: namespace "open" is no organization's cage: create the ClawCredential in the namespace of a ClawOrganization, or have the platform create a ClawOrganization with spec.namespace "open"`},
		{"an unknown connector", func(c *cred) { c.Spec.Connector = "slak" },
			`spec.connector: Forbidden: the catalogue has no connector "slak"; it has anthropic, openai, slack`},
		{"an unknown slot", keys(map[string]string{"botToken": "a", "signingSecret": "b", "token": "c"}),
			`spec.source.secret.keys[token]: Forbidden: connector "slack" has no such slot; its slots are botToken, signingSecret`},
		{"a slot missing", keys(map[string]string{"botToken": "a"}),
			`spec.source.secret.keys: Forbidden: connector "slack" needs slot signingSecret: say which key of the Secret holds it; its slots are botToken, signingSecret`},
		{"a slot of no key", keys(map[string]string{"botToken": "a", "signingSecret": ""}),
			`spec.source.secret.keys: Forbidden: connector "slack" needs slot signingSecret: say which key of the Secret holds it; its slots are botToken, signingSecret`},
		{"the key itself", keys(map[string]string{"botToken": fake("xoxb-", 20), "signingSecret": "b"}),
			`spec.source.secret.keys.botToken: Forbidden: this looks like a Slack token` + pasted},
		{"a reserved annotation", func(c *cred) { c.Annotations = map[string]string{"clawstaff.dev/x": "y"} },
			`metadata.annotations[clawstaff.dev/x]: Forbidden: keys under clawstaff.dev/ are the operator's: leave this one as it was`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := credential(tt.mutate)
			want := tt.want
			if want != "" {
				want = invalid + want
			}
			refusal(t, as(sarah).Create(t.Context(), c, client.DryRunAll), want)
		})
	}
}

// Whoever may write credentials and cannot reach a Secret does not get at the key in it by a credential
// for a Claw of their own.
func TestNobodyBorrowsASecret(t *testing.T) {
	const borrowed = `ClawCredential.clawstaff.dev "triage-slack" is invalid: spec.source.secret.name: Forbidden: asked by user "lee@acme.example", who may neither read nor write Secret "triage-slack" in namespace "acme": ` +
		`a credential draws a key only for somebody who could reach it anyway. Have the key's owner write the ClawCredential, or lend the Secret to "lee@acme.example" with the annotation clawstaff.dev/owner, or be given the verb get, update or patch on that Secret`
	mine := func(c *v1alpha1.ClawCredential) {
		c.Spec.Claw = v1alpha1.CredentialClaw{Name: "mine", Owner: lee}
	}
	refusal(t, as(lee).Create(t.Context(), credential(mine), client.DryRunAll), borrowed)
	refusal(t, as(admin).Create(t.Context(), credential(mine), client.DryRunAll), "")

	other := credential(mine, func(c *v1alpha1.ClawCredential) { c.Spec.Source.Secret.Name = "other" })
	if err := as(admin).Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(t.Context(), other); err != nil {
			t.Error(err)
		}
	}()
	change := func(patch string) error {
		return as(lee).Patch(t.Context(), other.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
	refusal(t, change(`{"spec":{"source":{"secret":{"name":"triage-slack"}}}}`), borrowed)
	refusal(t, change(`{"spec":{"source":{"secret":{"keys":{"botToken":"b"}}}}}`), strings.ReplaceAll(borrowed, `Secret "triage-slack"`, `Secret "other"`))
	refusal(t, change(`{"spec":{"state":"Revoked"}}`), "")
	refusal(t, change(`{"metadata":{"labels":{"a":"b"}}}`), "")
}

func TestPolicy(t *testing.T) {
	type pol = v1alpha1.ClawPolicy
	const invalid = `ClawPolicy.clawstaff.dev "new" is invalid: `
	for _, tt := range []struct {
		name   string
		mutate func(*pol)
		want   string
	}{
		{"valid", func(*pol) {}, ""},
		{"no cage", func(p *pol) { p.Namespace = "open" },
			`metadata.namespace: Forbidden: namespace "open" is no organization's cage: create the ClawPolicy in the namespace of a ClawOrganization, or have the platform create a ClawOrganization with spec.namespace "open"`},
		{"unknown connectors, in a denial too", func(p *pol) {
			p.Spec.Allow.Channels[0].Connector, p.Spec.Deny.Tools[0].Connector = "slak", "githb"
		}, `[spec.allow.channels[0].connector: Forbidden: the catalogue has no connector "slak"; it has anthropic, openai, slack, ` +
			`spec.deny.tools[0].connector: Forbidden: the catalogue has no connector "githb"; it has anthropic, openai, slack]`},
		{"empty lists, which allow nobody", func(p *pol) { p.Spec.Allow.Channels[0].Users = nil }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := clawPolicy("acme", func(p *pol) { p.Name = "new" }, tt.mutate)
			want := tt.want
			if want != "" {
				want = invalid + want
			}
			refusal(t, as(stranger).Create(t.Context(), p, client.DryRunAll), want)
		})
	}
}

func TestOrganization(t *testing.T) {
	type org = v1alpha1.ClawOrganization
	const own = `is Kubernetes' or the operator's own and cannot be a cage: set spec.namespace to another one`
	for _, tt := range []struct {
		name   string
		mutate func(*org)
		want   string
	}{
		{"valid", func(*org) {}, ""},
		{"another's cage", func(o *org) { o.Spec.Namespace = "acme" }, `ClawOrganization.clawstaff.dev "new" is invalid: spec.namespace: Forbidden: namespace "acme" is the cage of ClawOrganization "acme": set spec.namespace to another one`},
		{"a namespace with another's label", func(o *org) { o.Spec.Namespace = "pretender" },
			`ClawOrganization.clawstaff.dev "new" is invalid: spec.namespace: Forbidden: namespace "pretender" carries the label clawstaff.dev/organization=acme and so is another organization's: set spec.namespace to another one`},
		{"named as a namespace of Kubernetes", func(o *org) { o.Name = "kube-public" }, `ClawOrganization.clawstaff.dev "kube-public" is invalid: metadata.name: Forbidden: namespace "kube-public" ` + own},
		{"named default", func(o *org) { o.Name = "default" }, `ClawOrganization.clawstaff.dev "default" is invalid: metadata.name: Forbidden: namespace "default" ` + own},
		{"named as the operator's namespace", func(o *org) { o.Name = "clawstaff-system" }, `ClawOrganization.clawstaff.dev "clawstaff-system" is invalid: metadata.name: Forbidden: namespace "clawstaff-system" ` + own},
		{"an identity and a username of two", func(o *org) {
			o.Spec.Members[1].Identities["slack"] = []string{"T01ACME/U01LEE", "T01ACME/U01SARAH"}
			o.Spec.Members[1].Kubernetes = []string{sarah}
		}, `ClawOrganization.clawstaff.dev "new" is invalid: [` +
			`spec.members[1].identities.slack[1]: Forbidden: "T01ACME/U01SARAH" is claimed by "sarah@acme.example" already (spec.members[0]): an identity is one person's, leave it with one of them, ` +
			`spec.members[1].kubernetes[0]: Forbidden: "sarah@acme.example" is claimed by "sarah@acme.example" already (spec.members[0]): an identity is one person's, leave it with one of them]`},
		{"one name at two connectors", func(o *org) { o.Spec.Members[1].Identities["github"] = []string{"T01ACME/U01SARAH"} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refusal(t, as(stranger).Create(t.Context(), organization("new", tt.mutate), client.DryRunAll), tt.want)
		})
	}
}

// An organization is stopped whatever else is wrong with it.
func TestOrganizationCanAlwaysBeStopped(t *testing.T) {
	o := organization("directory")
	if err := as(admin).Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	change := func(patch string) error {
		return as(stranger).Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
	refusal(t, change(`{"spec":{"state":"Stopped"}}`), "")
	refusal(t, change(`{"spec":{"members":[{"name":"a","kubernetes":["x"]},{"name":"b","kubernetes":["x"]}]}}`),
		`ClawOrganization.clawstaff.dev "directory" is invalid: spec.members[1].kubernetes[0]: Forbidden: "x" is claimed by "a" already (spec.members[0]): an identity is one person's, leave it with one of them`)
}

func TestOrganizationWithClawsStays(t *testing.T) {
	ctx := t.Context()
	c := claw(func(c *v1alpha1.Claw) { c.Name = "keeps-acme" })
	if err := as(sarah).Create(ctx, c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(ctx, c); err != nil {
			t.Error(err)
		}
	}()
	err := as(admin).Delete(ctx, organization("acme"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `it still has Claws in namespace "acme", among them "`) {
		t.Errorf("got %v, want a refusal that names a Claw", err)
	}
	if err := as(admin).Delete(ctx, organization("empty"), client.DryRunAll); err != nil {
		t.Errorf("an organization without Claws: %v", err)
	}
}
