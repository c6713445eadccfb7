package v1alpha1

import (
	"context"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func organization(name string, mutate ...func(*v1alpha1.ClawOrganization)) *v1alpha1.ClawOrganization {
	o := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ClawOrganizationSpec{
		Members: []v1alpha1.Member{
			{Name: sarah, Identities: map[string][]string{"slack": {"T01ACME/U01SARAH"}}, Kubernetes: []string{sarah}},
			{Name: lee, Identities: map[string][]string{"slack": {"T01ACME/U01LEE"}}, Kubernetes: []string{lee}},
		},
		Teams: []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{sarah, lee}}, {Name: "sales", Members: []v1alpha1.MemberName{lee}}},
	}}
	for _, m := range mutate {
		m(o)
	}
	return o
}

func clawPolicy(namespace string, mutate ...func(*v1alpha1.ClawPolicy)) *v1alpha1.ClawPolicy {
	p := &v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: "support-agents", Namespace: namespace}, Spec: v1alpha1.ClawPolicySpec{
		Selector: v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"support"}},
		Allow: v1alpha1.PolicyRules{
			Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityTeam},
			Channels:   []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT", "C0TRIAGE"}, Users: []v1alpha1.Pattern{"*"}}},
			Tools: []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
				Resources: []v1alpha1.ResourceScope{{Type: "user", Names: []v1alpha1.Pattern{"*"}}}}},
			Models: []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}},
		},
		Deny: v1alpha1.PolicyRules{Tools: []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionDelete}}}},
	}}
	for _, m := range mutate {
		m(p)
	}
	return p
}

func claw(mutate ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	c := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme"}, Spec: v1alpha1.ClawSpec{
		Owner: sarah, Purpose: "Triages tickets.", Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"},
		Channels: []v1alpha1.ChannelRequest{{Credential: "triage-slack", ChannelRule: v1alpha1.ChannelRule{
			Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT"}, Users: []v1alpha1.Pattern{"*"}}}},
		Tools: []v1alpha1.ToolRequest{{Credential: "triage-slack", ToolRule: v1alpha1.ToolRule{
			Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead},
			Resources: []v1alpha1.ResourceScope{{Type: "user", Names: []v1alpha1.Pattern{"*"}}}}}},
		Models: []v1alpha1.ModelRequest{{Credential: "triage-anthropic", ModelRule: v1alpha1.ModelRule{
			Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5"}}}},
		Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "example.com/agent:1"}},
	}}
	for _, m := range mutate {
		m(c)
	}
	return c
}

func credential(mutate ...func(*v1alpha1.ClawCredential)) *v1alpha1.ClawCredential {
	c := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Name: "triage-slack", Namespace: "acme"}, Spec: v1alpha1.ClawCredentialSpec{
		Claw: v1alpha1.CredentialClaw{Name: "triage", Owner: sarah}, Connector: "slack",
		Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: "triage-slack", Keys: map[string]string{"botToken": "bot", "signingSecret": "signing"}}},
	}}
	for _, m := range mutate {
		m(c)
	}
	return c
}

// wise is a Claw that nothing is said about.
func wise(mutate ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	return claw(append([]func(*v1alpha1.Claw){func(c *v1alpha1.Claw) {
		end := metav1.NewTime(time.Now().Add(30 * 24 * time.Hour))
		c.Name, c.Spec.ExpiresAt = "wise", &end
		c.Spec.Runtime.Container.Image = "example.com/agent@sha256:" + strings.Repeat("a", 64)
		c.Spec.Channels[0].Credential, c.Spec.Tools[0].Credential, c.Spec.Models[0].Credential = "wise-slack", "wise-slack", "wise-anthropic"
		c.Spec.Channels[0].Users = []v1alpha1.Pattern{"T01ACME/U01SARAH"}
		c.Spec.Tools[0].Resources[0].Names = []v1alpha1.Pattern{"U01SARAH"}
	}}, mutate...)...)
}

// credentials are those of the wise Claw, and some that are for no other use of it.
func credentials() []client.Object {
	of := func(name string, mutate func(*v1alpha1.ClawCredential)) client.Object {
		return credential(func(c *v1alpha1.ClawCredential) {
			c.Name, c.Spec.Claw.Name, c.Spec.Source.Secret.Name = name, "wise", v1alpha1.ObjectName(name)
			mutate(c)
		})
	}
	return []client.Object{
		of("wise-slack", func(*v1alpha1.ClawCredential) {}),
		of("wise-anthropic", func(c *v1alpha1.ClawCredential) {
			c.Spec.Connector, c.Spec.Source.Secret.Keys = "anthropic", map[string]string{"apiKey": "key"}
		}),
		of("of-another-claw", func(c *v1alpha1.ClawCredential) { c.Spec.Claw.Name = "other" }),
		of("of-another-owner", func(c *v1alpha1.ClawCredential) { c.Spec.Claw.Owner = lee }),
		of("revoked", func(c *v1alpha1.ClawCredential) { c.Spec.State = v1alpha1.CredentialRevoked }),
		of("shared", func(*v1alpha1.ClawCredential) {}),
	}
}

// share says of a credential what its controller says when another Claw has the key.
func share(ctx context.Context, name string) error {
	c := &v1alpha1.ClawCredential{}
	if err := as(admin).Get(ctx, client.ObjectKey{Namespace: "acme", Name: name}, c); err != nil {
		return err
	}
	c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonCredentialShared, Message: "shared", LastTransitionTime: metav1.Now()}}
	return as(admin).Status().Update(ctx, c)
}
