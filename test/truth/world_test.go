package truth

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

const (
	sarah = v1alpha1.MemberName("sarah@acme.example")
	lee   = v1alpha1.MemberName("lee@acme.example")

	sarahAtSlack = "T01ACME/U01SARAH"
	leeAtSlack   = "T01ACME/U01LEE"
	annAtSlack   = "T02CUSTOMER/U02ANN"
	annsMail     = "ann@customers.example"
)

// noon is a Wednesday.
var noon = time.Date(2026, time.June, 3, 12, 0, 0, 0, time.UTC)

// world is an organization with a policy, a Claw, and its credentials. Everything that is asked is allowed.
type world struct {
	organization *v1alpha1.ClawOrganization
	claw         *v1alpha1.Claw
	policy       *v1alpha1.ClawPolicy
	slack, model *v1alpha1.ClawCredential
	// grant is what the gateway is given; compiled from the rest unless a case is about it.
	grant *v1alpha1.ClawGrantSpec
	// now is when it is looked at, and rotated when the keys were last changed.
	now, rotated time.Time
}

func newWorld() *world {
	w := &world{now: noon, rotated: noon.AddDate(0, 0, -10)}
	w.organization = &v1alpha1.ClawOrganization{
		ObjectMeta: metav1.ObjectMeta{Name: "acme", UID: "organization-uid"},
		Spec: v1alpha1.ClawOrganizationSpec{
			State: v1alpha1.OrganizationActive,
			Members: []v1alpha1.Member{
				{Name: sarah, Identities: map[string][]string{"slack": {sarahAtSlack}}, Kubernetes: []string{"sarah"}},
				{Name: lee, Identities: map[string][]string{"slack": {leeAtSlack}}, Kubernetes: []string{"lee"}},
			},
			Teams: []v1alpha1.Team{
				{Name: "support", Members: []v1alpha1.MemberName{sarah, lee}},
				{Name: "sales", Members: []v1alpha1.MemberName{sarah}},
			},
		},
	}
	w.policy = &v1alpha1.ClawPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "ceiling", Namespace: "acme"},
		Spec: v1alpha1.ClawPolicySpec{
			Selector: v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"support"}},
			Allow: v1alpha1.PolicyRules{
				Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam},
				Channels: []v1alpha1.ChannelRule{{Connector: "slack", Channels: patterns("C0*"), Users: patterns("*"),
					Correspondents: v1alpha1.Correspondents{Users: patterns("T02CUSTOMER/*"), Domains: []v1alpha1.Domain{"customers.example"}}}},
				Tools: []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
					Resources: []v1alpha1.ResourceScope{{Type: "user", Names: patterns("*")}}}},
				Models: []v1alpha1.ModelRule{{Connector: "anthropic", Models: patterns("claude-*")}},
				Stores: []v1alpha1.StoreRule{{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, Keys: patterns("acme/*")}},
			},
		},
	}
	w.slack = keyFor("triage-slack", "slack", v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{
		Name: "triage-slack", Keys: map[string]string{"botToken": "bot", "signingSecret": "signing"}}})
	w.model = keyFor("triage-anthropic", "anthropic", v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{
		Name: "triage-anthropic", Keys: map[string]string{"apiKey": "key"}}})
	w.claw = &v1alpha1.Claw{
		ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme", UID: "claw-uid", CreationTimestamp: metav1.NewTime(noon.AddDate(0, 0, -20))},
		Spec: v1alpha1.ClawSpec{
			Owner: sarah, Purpose: "Triages tickets.", Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"},
			Channels: []v1alpha1.ChannelRequest{{Credential: "triage-slack", ChannelRule: v1alpha1.ChannelRule{
				Connector: "slack", Channels: patterns("C0SUPPORT"), Users: patterns("*")}}},
			Tools: []v1alpha1.ToolRequest{{Credential: "triage-slack", ToolRule: v1alpha1.ToolRule{
				Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead},
				Resources: []v1alpha1.ResourceScope{{Type: "user", Names: patterns("U01LEE")}}}}},
			Models: []v1alpha1.ModelRequest{{Credential: "triage-anthropic", ModelRule: v1alpha1.ModelRule{
				Connector: "anthropic", Models: patterns("claude-sonnet-5")}}},
			State: v1alpha1.ClawActive,
			Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{
				Image: "example.com/agent:1", Port: 8080, InboundPath: "/messages", Workspace: v1alpha1.Workspace{SizeGiB: 1},
			}},
		},
	}
	return w
}

func keyFor(name string, connector v1alpha1.ConnectorName, source v1alpha1.CredentialSource) *v1alpha1.ClawCredential {
	return &v1alpha1.ClawCredential{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "acme"},
		Spec: v1alpha1.ClawCredentialSpec{
			Claw: v1alpha1.CredentialClaw{Name: "triage", Owner: sarah}, Connector: connector, Source: source,
			Delivery: v1alpha1.DeliveryGateway, State: v1alpha1.CredentialActive,
		},
	}
}

// fromVault takes the model's key from a store of External Secrets.
func fromVault(w *world) {
	w.model.Spec.Source = v1alpha1.CredentialSource{ExternalSecret: &v1alpha1.ExternalSecretSource{
		SecretStoreRef:         v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"},
		RefreshIntervalSeconds: 3600,
		Data:                   []v1alpha1.ExternalSecretData{{Slot: "apiKey", Key: "acme/anthropic", Property: "key"}},
	}}
}

func patterns(texts ...v1alpha1.Pattern) []v1alpha1.Pattern { return texts }

func (w *world) credentials() []*v1alpha1.ClawCredential {
	return []*v1alpha1.ClawCredential{w.slack, w.model}
}

// objects are the world's, as JSON, by kind and name.
func (w *world) objects() map[string]map[string]any {
	of := map[string]any{"ClawOrganization acme": w.organization, "ClawPolicy ceiling": w.policy, "Claw triage": w.claw}
	for _, c := range w.credentials() {
		of["ClawCredential "+c.Name] = c
	}
	if w.grant != nil {
		of["ClawGrant triage"] = &v1alpha1.ClawGrant{Spec: *w.grant}
	}
	out := map[string]map[string]any{}
	for name, object := range of {
		data, err := json.Marshal(object)
		if err != nil {
			panic(err) // our own types
		}
		tree := map[string]any{}
		if err := json.Unmarshal(data, &tree); err != nil {
			panic(err)
		}
		out[name] = tree
	}
	return out
}

var catalogue = policy.Connectors{
	"slack": {policy.ResourceChannel: {}, "user": {}}, "anthropic": {policy.ResourceModel: {}}, "openai": {policy.ResourceModel: {}},
}

func (w *world) input() policy.Input {
	in := policy.Input{
		Organization: w.organization, Claw: w.claw, Policies: []v1alpha1.ClawPolicy{*w.policy}, Now: w.now,
		Catalogue:        catalogue,
		RuntimeClassName: string(w.organization.Spec.Sandbox.RuntimeClassName),
	}
	for _, c := range w.credentials() {
		u := policy.UsableCredential{Source: c.Spec.Source, RotatedAt: w.rotated, GrantCredential: v1alpha1.GrantCredential{
			Name: v1alpha1.ObjectName(c.Name), Connector: c.Spec.Connector, Version: "1", Delivery: c.Spec.Delivery,
		}}
		if from := c.Spec.Source.Secret; from != nil {
			u.Slots = slices.Sorted(maps.Keys(from.Keys))
		}
		if from := c.Spec.Source.ExternalSecret; from != nil {
			for _, d := range from.Data {
				u.Slots = append(u.Slots, d.Slot)
			}
		}
		in.Credentials = append(in.Credentials, u)
	}
	return in
}

// granted is what the gateway is given.
func (w *world) granted() *v1alpha1.ClawGrantSpec {
	if w.grant != nil {
		return w.grant
	}
	grant := policy.Compile(w.input()).Grant
	return &grant
}

// compiled fixes the grant, for cases that change it.
func compiled(w *world) { w.grant = w.granted() }
