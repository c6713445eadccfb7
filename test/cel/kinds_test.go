package cel

import (
	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// claw is a valid Claw of the cage, changed as a test needs it.
func claw(mutate ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	c := &v1alpha1.Claw{ObjectMeta: in("triage"), Spec: v1alpha1.ClawSpec{
		Owner: "sarah@acme.example", Purpose: "Triages tickets.", Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"},
		Channels: []v1alpha1.ChannelRequest{{Credential: "triage-slack", ChannelRule: v1alpha1.ChannelRule{
			Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT"}, Users: []v1alpha1.Pattern{v1alpha1.Wildcard}}}},
		Tools: []v1alpha1.ToolRequest{{Credential: "triage-slack", ToolRule: v1alpha1.ToolRule{
			Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead},
			Resources: []v1alpha1.ResourceScope{{Type: "user", Names: []v1alpha1.Pattern{v1alpha1.Wildcard}}}}}},
		Models: []v1alpha1.ModelRequest{{Credential: "triage-anthropic", ModelRule: v1alpha1.ModelRule{
			Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5"}}}},
		Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "example.com/agent:1"}},
	}}
	for _, m := range mutate {
		m(c)
	}
	return c
}

func named(name string) func(*v1alpha1.Claw) { return func(c *v1alpha1.Claw) { c.Name = name } }

func clawPolicy(mutate ...func(*v1alpha1.ClawPolicy)) *v1alpha1.ClawPolicy {
	p := &v1alpha1.ClawPolicy{ObjectMeta: in("support-agents"), Spec: v1alpha1.ClawPolicySpec{
		Selector: v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"support"}},
		Allow: v1alpha1.PolicyRules{
			Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityTeam},
			Models:     []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}},
		},
	}}
	for _, m := range mutate {
		m(p)
	}
	return p
}

func credential(mutate ...func(*v1alpha1.ClawCredential)) *v1alpha1.ClawCredential {
	c := &v1alpha1.ClawCredential{ObjectMeta: in("triage-slack"), Spec: v1alpha1.ClawCredentialSpec{
		Claw: v1alpha1.CredentialClaw{Name: "triage", Owner: "sarah@acme.example"}, Connector: "slack",
		Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: "triage-slack", Keys: map[string]string{"botToken": "bot", "signingSecret": "signing"}}},
	}}
	for _, m := range mutate {
		m(c)
	}
	return c
}

func organization(mutate ...func(*v1alpha1.ClawOrganization)) *v1alpha1.ClawOrganization {
	o := &v1alpha1.ClawOrganization{Spec: v1alpha1.ClawOrganizationSpec{
		Members: []v1alpha1.Member{{Name: "sarah@acme.example", Identities: map[string][]string{"slack": {"T01ACME/U01SARAH"}}, Kubernetes: []string{"sarah@acme.example"}}},
		Teams:   []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{"sarah@acme.example"}}},
	}}
	o.Name = "acme"
	for _, m := range mutate {
		m(o)
	}
	return o
}
