package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const (
	sarah = v1alpha1.MemberName("sarah@acme.example")
	lee   = v1alpha1.MemberName("lee@acme.example")
	kim   = v1alpha1.MemberName("kim@acme.example")
)

// example is a Claw that gets all it asks for.
func example() Input {
	all := []v1alpha1.Pattern{v1alpha1.Wildcard}
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.ClawOrganizationSpec{
		Members: []v1alpha1.Member{
			{Name: sarah, Identities: map[string][]string{"slack": {"T01/U01SARAH", "T01/U02SARAH"}}},
			{Name: lee, Identities: map[string][]string{"slack": {"T01/U01LEE"}, "github": {"lee"}}},
			{Name: kim, Identities: map[string][]string{"slack": {"T01/U01KIM"}}},
		},
		Teams: []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{sarah, lee, "gone@acme.example"}}},
	}}
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme", UID: "uid"}, Spec: v1alpha1.ClawSpec{
		Owner: sarah, Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"}, State: v1alpha1.ClawActive,
		Channels: []v1alpha1.ChannelRequest{{Credential: "slack-key", ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C1", "C2"}, Users: all}}},
		Tools: []v1alpha1.ToolRequest{{Credential: "slack-key", ToolRule: v1alpha1.ToolRule{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionWrite, v1alpha1.ActionRead},
			Resources: []v1alpha1.ResourceScope{{Type: "user", Names: all}, {Type: ResourceChannel, Names: []v1alpha1.Pattern{"C1"}}}}}},
		Models: []v1alpha1.ModelRequest{{Credential: "model-key", ModelRule: v1alpha1.ModelRule{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5"}}}},
	}}
	p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: "support-agents", Namespace: "acme"}, Spec: v1alpha1.ClawPolicySpec{
		Selector: v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"support"}},
		Allow: v1alpha1.PolicyRules{
			Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam},
			Channels:   []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"C*", "D*"}, Users: all}},
			Tools: []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
				Resources: []v1alpha1.ResourceScope{{Type: ResourceChannel, Names: []v1alpha1.Pattern{"C*", "D*"}}, {Type: "user", Names: all}}}},
			Models: []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}},
		},
	}}
	return Input{
		Organization: org, Claw: claw, Policies: []v1alpha1.ClawPolicy{p},
		Credentials: []UsableCredential{
			{GrantCredential: v1alpha1.GrantCredential{Name: "model-key", Connector: "anthropic", Slots: []string{"apiKey"}, Version: "v1"}},
			{GrantCredential: v1alpha1.GrantCredential{Name: "slack-key", Connector: "slack", Slots: []string{"signingSecret", "botToken"}, Version: "v1"}},
			{GrantCredential: v1alpha1.GrantCredential{Name: "unused", Connector: "slack", Slots: []string{"botToken"}, Version: "v1"}},
		},
		Catalogue: Connectors{"slack": {ResourceChannel: {}, "user": {}}, "anthropic": {ResourceModel: {}}},
	}
}

func TestCompileGivesWhatIsAllowed(t *testing.T) {
	got := Compile(example())
	want := v1alpha1.ClawGrantSpec{
		ClawUID: "uid", State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityTeam, AgentPort: 8080, AgentPath: "/messages",
		Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T01/U01LEE", "T01/U01SARAH", "T01/U02SARAH"}}},
		Channels: []v1alpha1.ChannelRequest{{Credential: "slack-key", ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C1", "C2"}, Users: []v1alpha1.Pattern{"*"}}}},
		Tools: []v1alpha1.ToolRequest{{Credential: "slack-key", ToolRule: v1alpha1.ToolRule{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
			Resources: []v1alpha1.ResourceScope{{Type: ResourceChannel, Names: []v1alpha1.Pattern{"C1"}}, {Type: "user", Names: []v1alpha1.Pattern{"*"}}}}}},
		Models: []v1alpha1.ModelRequest{{Credential: "model-key", ModelRule: v1alpha1.ModelRule{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5"}}}},
		Credentials: []v1alpha1.GrantCredential{
			{Name: "model-key", Connector: "anthropic", Slots: []string{"apiKey"}, Version: "v1"},
			{Name: "slack-key", Connector: "slack", Slots: []string{"botToken", "signingSecret"}, Version: "v1"},
		},
	}
	want.Hash = Hash(&want)
	if diff := cmp.Diff(Result{Grant: want, OwnerPresent: true, RuntimeAllowed: true}, got); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
}

// withheldOf writes what is withheld in lines: path, reason, policy.
func withheldOf(r Result) []string {
	var out []string
	for _, w := range r.Withheld {
		out = append(out, strings.TrimSpace(w.Path+" "+string(w.Reason)+" "+w.Policy))
	}
	return out
}

func TestCompileWithholds(t *testing.T) {
	everything := []string{"spec.visibility NotAllowed", "spec.channels[0].channels[0] NotAllowed", "spec.channels[0].channels[1] NotAllowed",
		"spec.channels[0].users[0] NotAllowed", "spec.tools[0].actions[0] NotAllowed", "spec.tools[0].actions[1] NotAllowed",
		"spec.tools[0].resources[0].names[0] NotAllowed", "spec.tools[0].resources[1].names[0] NotAllowed", "spec.models[0].models[0] NotAllowed"}
	for _, tt := range []struct {
		name   string
		mutate func(in *Input, spec *v1alpha1.ClawSpec, policy *v1alpha1.ClawPolicySpec)
		want   []string
		grant  string // what is left: channels, tools, models
	}{
		{"no policy", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) { in.Policies = nil }, everything, "0 0 0"},
		{"a policy of another namespace", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) { in.Policies[0].Namespace = "other" }, everything, "0 0 0"},
		{"a policy that selects nothing", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Selector = v1alpha1.PolicySelector{}
		}, everything, "0 0 0"},
		{"a policy that allows nothing", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) { p.Allow = v1alpha1.PolicyRules{} }, everything, "0 0 0"},
		{"an owner who left the team keeps no policy of the team", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) {
			in.Organization.Spec.Teams[0].Members = nil
		}, append([]string{"spec.teams[0] NotAMember"}, everything...), "0 0 0"},
		{"an owner who left", func(in *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			in.Organization.Spec.Members, p.Selector.All = in.Organization.Spec.Members[1:], true
		}, []string{"spec.owner NotAMember"}, "0 0 0"},
		{"no organization", func(in *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			in.Organization, p.Selector.All = nil, true
		},
			[]string{"spec.owner NotAMember"}, "0 0 0"},
		{"another organization's cage", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) {
			in.Organization.Spec.Namespace = "elsewhere"
		},
			[]string{"spec.owner NotAMember"}, "0 0 0"},
		{"no catalogue", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) { in.Catalogue = nil },
			[]string{"spec.channels[0].connector UnknownConnector", "spec.tools[0].connector UnknownConnector", "spec.models[0].connector UnknownConnector"}, "0 0 0"},
		{"empty lists ask for nothing", func(_ *Input, s *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) {
			s.Channels[0].Users, s.Tools[0].Actions, s.Models[0].Models = nil, nil, nil
		}, nil, "0 0 0"},
		{"an allow's empty users allow nobody", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) { p.Allow.Channels[0].Users = nil },
			[]string{"spec.channels[0].users[0] NotAllowed"}, "0 1 1"},
		{"a narrower user", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Allow.Channels[0].Users = []v1alpha1.Pattern{"T01/*"}
		}, []string{"spec.channels[0].users[0] NotAllowed"}, "0 1 1"},
		{"two rules are not mixed", func(_ *Input, s *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			s.Channels[0].Users = []v1alpha1.Pattern{"T01/U1", "T01/U2"}
			p.Allow.Channels = []v1alpha1.ChannelRule{
				{Connector: "slack", Channels: []v1alpha1.Pattern{"C1"}, Users: []v1alpha1.Pattern{"T01/U1"}},
				{Connector: "slack", Channels: []v1alpha1.Pattern{"C2"}, Users: []v1alpha1.Pattern{"T01/U2"}},
			}
		}, []string{"spec.channels[0].channels[0] NotAllowed", "spec.channels[0].channels[1] NotAllowed"}, "2 1 1"},
		{"actions are not mixed with resources of another rule", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			user, channel := p.Allow.Tools[0], p.Allow.Tools[0]
			user.Actions, user.Resources = []v1alpha1.Action{v1alpha1.ActionRead}, user.Resources[1:]
			channel.Actions, channel.Resources = []v1alpha1.Action{v1alpha1.ActionWrite}, channel.Resources[:1]
			p.Allow.Tools = []v1alpha1.ToolRule{user, channel}
		}, []string{"spec.tools[0].resources[0].names[0] NotAllowed", "spec.tools[0].resources[1].names[0] NotAllowed"}, "1 2 1"},
		{"a denied action", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionWrite}, Resources: []v1alpha1.ResourceScope{{Type: "user"}}}}
		}, []string{"spec.tools[0].resources[0].names[0] DeniedByPolicy support-agents"}, "1 2 1"},
		{"a denied connector is denied to channels as well", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack"}}
		}, []string{"spec.channels[0] DeniedByPolicy support-agents", "spec.tools[0].actions[0] DeniedByPolicy support-agents", "spec.tools[0].actions[1] DeniedByPolicy support-agents"}, "0 0 1"},
		{"a denied channel is denied to tools as well", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Deny.Channels = []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"C1*"}}}
		}, []string{"spec.channels[0].channels[0] DeniedByPolicy support-agents", "spec.tools[0].resources[1].names[0] DeniedByPolicy support-agents"}, "1 1 1"},
		{"a denied user takes the pattern he is of", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Deny.Channels = []v1alpha1.ChannelRule{{Connector: "slack", Users: []v1alpha1.Pattern{"X/U9"}}}
		}, []string{"spec.channels[0].users[0] DeniedByPolicy support-agents"}, "0 1 1"},
		{"all models denied", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Deny.Models = []v1alpha1.ModelRule{{Connector: "anthropic"}}
		}, []string{"spec.models[0].models[0] DeniedByPolicy support-agents"}, "1 1 0"},
		{"a denied visibility", func(_ *Input, _ *v1alpha1.ClawSpec, p *v1alpha1.ClawPolicySpec) {
			p.Deny.Visibility = []v1alpha1.Visibility{v1alpha1.VisibilityTeam}
		}, []string{"spec.visibility DeniedByPolicy support-agents"}, "0 0 0"},
		{"private, in a channel others read", func(_ *Input, s *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) {
			s.Visibility, s.Teams = v1alpha1.VisibilityPrivate, nil
			s.Channels[0].Channels = []v1alpha1.Pattern{"C1", "D*", "*", "D1"}
		}, []string{"spec.channels[0].channels[0] BeyondVisibility", "spec.channels[0].channels[1] BeyondVisibility", "spec.channels[0].channels[2] BeyondVisibility",
			"spec.tools[0].resources[1].names[0] BeyondVisibility"}, "1 1 1"},
		{"a credential that is not usable", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) { in.Credentials = in.Credentials[1:] },
			[]string{"spec.models[0].credential CredentialNotUsable"}, "1 1 0"},
		{"another connector's credential", func(_ *Input, s *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) { s.Models[0].Credential = "slack-key" },
			[]string{"spec.models[0].credential CredentialNotUsable"}, "1 1 0"},
		{"credentials that may come later", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) {
			in.Credentials, in.SkipCredentials = nil, true
		}, nil, "1 1 1"},
		{"an identity of two", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.ClawPolicySpec) {
			in.Organization.Spec.Members[2].Identities["slack"] = []string{"T01/U01LEE"}
		}, []string{"spec.visibility IdentityContested"}, "1 1 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := example()
			tt.mutate(&in, &in.Claw.Spec, &in.Policies[0].Spec)
			got := Compile(in)
			if diff := cmp.Diff(tt.want, withheldOf(got)); diff != "" {
				t.Errorf("withheld (-want +got):\n%s", diff)
			}
			if left := countsOf(got.Grant); left != tt.grant {
				t.Errorf("left: %s channels, tools, models; want %s", left, tt.grant)
			}
			for _, w := range got.Withheld {
				if w.Message == "" || len(w.Message) > maxMessage+3 {
					t.Errorf("%s: message of %d bytes", w.Path, len(w.Message))
				}
			}
		})
	}
}

func countsOf(g v1alpha1.ClawGrantSpec) string {
	digit := func(n int) string { return string(rune('0' + n)) }
	return digit(len(g.Channels)) + " " + digit(len(g.Tools)) + " " + digit(len(g.Models))
}

// Whom the visibility admits, and that an identity two members claim is nobody's.
func TestAudience(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mutate func(in *Input)
		want   []string
	}{
		{"private", func(in *Input) {
			in.Claw.Spec.Visibility, in.Claw.Spec.Teams = v1alpha1.VisibilityPrivate, nil
			in.Claw.Spec.Channels[0].Channels = []v1alpha1.Pattern{"D1"}
		}, []string{"T01/U01SARAH", "T01/U02SARAH"}},
		{"team", func(*Input) {}, []string{"T01/U01LEE", "T01/U01SARAH", "T01/U02SARAH"}},
		{"organization", func(in *Input) {
			in.Claw.Spec.Visibility, in.Claw.Spec.Teams = v1alpha1.VisibilityOrganization, nil
			in.Policies[0].Spec.Allow.Visibility = []v1alpha1.Visibility{v1alpha1.VisibilityOrganization}
		}, []string{"T01/U01KIM", "T01/U01LEE", "T01/U01SARAH", "T01/U02SARAH"}},
		{"claimed by a member outside the team", func(in *Input) { in.Organization.Spec.Members[2].Identities["slack"] = []string{"T01/U01LEE"} },
			[]string{"T01/U01SARAH", "T01/U02SARAH"}},
		{"claimed twice by the same member", func(in *Input) {
			in.Organization.Spec.Members[1].Identities["slack"] = []string{"T01/U01LEE", "T01/U01LEE"}
		},
			[]string{"T01/U01LEE", "T01/U01SARAH", "T01/U02SARAH"}},
		{"the empty identity", func(in *Input) { in.Organization.Spec.Members[1].Identities["slack"] = []string{""} },
			[]string{"T01/U01SARAH", "T01/U02SARAH"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := example()
			tt.mutate(&in)
			want := []v1alpha1.GrantAudience{{Connector: "slack", Principals: tt.want}}
			if diff := cmp.Diff(want, Compile(in).Grant.Audience); diff != "" {
				t.Errorf("audience (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGrantState(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mutate func(in *Input)
		want   v1alpha1.GrantState
	}{
		{"active", func(*Input) {}, v1alpha1.GrantActive},
		{"revoked", func(in *Input) { in.Claw.Spec.State = v1alpha1.ClawRevoked }, v1alpha1.GrantRevoked},
		{"stopped", func(in *Input) { in.Organization.Spec.State = v1alpha1.OrganizationStopped }, v1alpha1.GrantStopped},
		{"revoked and stopped", func(in *Input) {
			in.Claw.Spec.State, in.Organization.Spec.State = v1alpha1.ClawRevoked, v1alpha1.OrganizationStopped
		}, v1alpha1.GrantRevoked},
		{"no organization", func(in *Input) { in.Organization = nil }, v1alpha1.GrantStopped},
		{"no Claw", func(in *Input) { in.Claw = nil }, v1alpha1.GrantRevoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := example()
			tt.mutate(&in)
			got := Compile(in)
			if got.Grant.State != tt.want {
				t.Errorf("state %s, want %s", got.Grant.State, tt.want)
			}
			if tt.want == v1alpha1.GrantRevoked && (countsOf(got.Grant) != "0 0 0" || len(got.Grant.Credentials) > 0) {
				t.Errorf("a revoked grant still holds %+v", got.Grant)
			}
			if got.Grant.Hash == "" {
				t.Error("no hash")
			}
		})
	}
}

// Reports are bounded, or a Claw could ask for so much that its grant fits into no object.
// A grant that could not be stored would leave the one before it in force: it gives nothing instead.
func TestGrantFitsIntoAnObject(t *testing.T) {
	in := example()
	types := map[string]ResourceFacts{}
	in.Catalogue = Connectors{"slack": types}
	ask := v1alpha1.ToolRule{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead}}
	for kind := range 8 {
		scope := v1alpha1.ResourceScope{Type: fmt.Sprintf("t%d", kind)}
		types[scope.Type] = ResourceFacts{}
		for i := range 128 {
			scope.Names = append(scope.Names, v1alpha1.Pattern(fmt.Sprintf("C%05d", i)))
		}
		ask.Resources = append(ask.Resources, scope)
	}
	for range 16 {
		in.Claw.Spec.Tools = append(in.Claw.Spec.Tools, v1alpha1.ToolRequest{ToolRule: ask, Credential: "slack-key"})
	}
	// Each rule leaves out another name, so that none has all that another has.
	allow := &in.Policies[0].Spec.Allow
	for left := range 32 {
		rule := *ask.DeepCopy()
		for i := range rule.Resources {
			rule.Resources[i].Names = slices.Delete(rule.Resources[i].Names, left, left+1)
		}
		allow.Tools = append(allow.Tools, rule)
	}
	got := Compile(in)
	data, err := json.Marshal(got.Grant)
	if err != nil || len(data) > 1<<20 {
		t.Errorf("the grant has %d bytes, %v", len(data), err)
	}
	if len(got.Grant.Tools)+len(got.Grant.Channels)+len(got.Grant.Models)+len(got.Grant.Credentials) > 0 {
		t.Error("part of it is given")
	}
	if len(got.Withheld) == 0 || got.Withheld[0].Path != "spec" || !strings.Contains(got.Withheld[0].Message, "too large") {
		t.Errorf("it does not say why: %+v", got.Withheld)
	}
}

func TestWithheldIsBounded(t *testing.T) {
	in := example()
	in.Policies = nil
	for range 32 {
		in.Claw.Spec.Tools = append(in.Claw.Spec.Tools, in.Claw.Spec.Tools[0])
	}
	got := Compile(in).Withheld
	if len(got) != maxWithheld+1 || got[maxWithheld].Path != "spec" || got[maxWithheld].Message != "and more: mend these first to see the rest" {
		t.Errorf("%d reports, the last %+v", len(got), got[len(got)-1])
	}
}

func TestHash(t *testing.T) {
	base := Compile(example()).Grant
	same := base.DeepCopy()
	same.AgentIPs, same.Withheld, same.Hash = []string{"10.0.0.1"}, []v1alpha1.Withheld{{Path: "spec"}}, "x"
	if got := Hash(same); got != base.Hash {
		t.Errorf("what allows nothing changed the hash to %s", got)
	}
	for name, mutate := range map[string]func(*v1alpha1.ClawGrantSpec){
		"state":      func(g *v1alpha1.ClawGrantSpec) { g.State = v1alpha1.GrantStopped },
		"audience":   func(g *v1alpha1.ClawGrantSpec) { g.Audience[0].Principals = nil },
		"channels":   func(g *v1alpha1.ClawGrantSpec) { g.Channels[0].Channels = nil },
		"tools":      func(g *v1alpha1.ClawGrantSpec) { g.Tools[0].Actions = nil },
		"models":     func(g *v1alpha1.ClawGrantSpec) { g.Models = nil },
		"credential": func(g *v1alpha1.ClawGrantSpec) { g.Credentials[0].Version = "v2" },
		"port":       func(g *v1alpha1.ClawGrantSpec) { g.AgentPort = 1 },
		"visibility": func(g *v1alpha1.ClawGrantSpec) { g.Visibility = v1alpha1.VisibilityPrivate },
		"Claw":       func(g *v1alpha1.ClawGrantSpec) { g.ClawUID = "other" },
	} {
		changed := base.DeepCopy()
		mutate(changed)
		if Hash(changed) == base.Hash {
			t.Errorf("%s is not in the hash", name)
		}
	}
}

func TestSelects(t *testing.T) {
	for _, tt := range []struct {
		name     string
		selector v1alpha1.PolicySelector
		want     bool
	}{
		{"empty", v1alpha1.PolicySelector{}, false},
		{"all", v1alpha1.PolicySelector{All: true}, true},
		{"its name", v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"triage"}}, true},
		{"a pattern of it", v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"tri*"}}, true},
		{"another name", v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"tri"}}, false},
		{"its owner", v1alpha1.PolicySelector{Owners: []v1alpha1.MemberName{sarah}}, true},
		{"another owner", v1alpha1.PolicySelector{Owners: []v1alpha1.MemberName{lee}}, false},
		{"its owner's team", v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"support"}}, true},
		{"a team that its author merely writes", v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"sales"}}, false},
		{"any of them", v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"x"}, Owners: []v1alpha1.MemberName{sarah}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := example()
			in.Claw.Spec.Teams = append(in.Claw.Spec.Teams, "sales")
			in.Policies[0].Spec.Selector = tt.selector
			if got := Selects(&in.Policies[0], NewDirectory(in.Organization), in.Claw); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
