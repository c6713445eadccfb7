package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func decidable() *v1alpha1.ClawGrantSpec {
	channel := func(credential v1alpha1.ObjectName, channels, users []v1alpha1.Pattern) v1alpha1.ChannelRequest {
		return v1alpha1.ChannelRequest{Credential: credential, ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: channels, Users: users}}
	}
	tool := func(actions []v1alpha1.Action, scopes ...v1alpha1.ResourceScope) v1alpha1.ToolRequest {
		return v1alpha1.ToolRequest{Credential: "slack-key", ToolRule: v1alpha1.ToolRule{Connector: "slack", Actions: actions, Resources: scopes}}
	}
	return &v1alpha1.ClawGrantSpec{
		State:    v1alpha1.GrantActive,
		Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T01/U1", "T01/U2"}}},
		Channels: []v1alpha1.ChannelRequest{
			channel("slack-key", []v1alpha1.Pattern{"C1"}, []v1alpha1.Pattern{"*"}),
			channel("other-key", []v1alpha1.Pattern{"C2"}, []v1alpha1.Pattern{"T01/U1", "X/*"}),
			channel("slack-key", []v1alpha1.Pattern{"C3"}, nil),
		},
		Tools: []v1alpha1.ToolRequest{
			tool([]v1alpha1.Action{v1alpha1.ActionRead}, v1alpha1.ResourceScope{Type: "user", Names: []v1alpha1.Pattern{"*"}}, v1alpha1.ResourceScope{Type: ResourceChannel, Names: []v1alpha1.Pattern{"C4"}}),
			tool([]v1alpha1.Action{v1alpha1.ActionDelete}, v1alpha1.ResourceScope{Type: ResourceChannel, Names: []v1alpha1.Pattern{"C5*"}}),
			tool([]v1alpha1.Action{v1alpha1.ActionAdmin}),
		},
		Models: []v1alpha1.ModelRequest{{Credential: "model-key", ModelRule: v1alpha1.ModelRule{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}}},
	}
}

func TestDecideCall(t *testing.T) {
	type resources = []Resource
	in := func(names ...string) (out resources) {
		for _, n := range names {
			out = append(out, Resource{Type: ResourceChannel, Name: n})
		}
		return out
	}
	const (
		read, write, remove, admin = v1alpha1.ActionRead, v1alpha1.ActionWrite, v1alpha1.ActionDelete, v1alpha1.ActionAdmin
		noSpeech                   = "no entry of channels or tools allows this in this channel"
		noAction                   = "no entry of tools allows this action"
		noResource                 = "no entry of tools allows this action on these resources"
		malformed                  = "the call names no connector, or a resource without type or name"
	)
	for _, tt := range []struct {
		name string
		call Call
		rule string // the rule that allows, or nothing
		key  string
		why  string // why it is denied
	}{
		{"speak where it is spoken to", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C1")}, "channels[0]", "slack-key", ""},
		{"with that entry's credential", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C2")}, "channels[1]", "other-key", ""},
		{"speak in another channel", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C9")}, "", "", noSpeech},
		{"speak in a channel whose name begins alike", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C12")}, "", "", noSpeech},
		{"speak in a pattern", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C*")}, "", "", noSpeech},
		{"speak in a channel spelt otherwise", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("c1")}, "", "", noSpeech},
		{"speak in a channel with a space", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C1 ")}, "", "", noSpeech},
		{"speak in two at once, one of them foreign", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C1", "C9")}, "", "", noSpeech},
		{"speak in two at once, of two entries", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: in("C1", "C2")}, "", "", noSpeech},
		{"speak nowhere", Call{Connector: "slack", Action: write, Authority: AuthorityChannel}, "", "", noSpeech},
		{"speak in a channel and do something to a user", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: append(in("C1"), Resource{Type: "user", Name: "U"})}, "", "", noSpeech},
		{"call a user a channel", Call{Connector: "slack", Action: write, Authority: AuthorityChannel, Resources: resources{{Type: "user", Name: "C1"}}}, "", "", noSpeech},
		{"delete in a channel", Call{Connector: "slack", Action: remove, Authority: AuthorityChannel, Resources: in("C1")}, "", "", noSpeech},
		{"delete in a channel by a tool", Call{Connector: "slack", Action: remove, Authority: AuthorityChannel, Resources: in("C51")}, "tools[1]", "slack-key", ""},
		{"read by a tool", Call{Connector: "slack", Action: read, Authority: AuthorityTool, Resources: resources{{Type: "user", Name: "U9"}}}, "tools[0]", "slack-key", ""},
		{"read two things of one entry", Call{Connector: "slack", Action: read, Authority: AuthorityTool, Resources: append(in("C4"), Resource{Type: "user", Name: "U9"})}, "tools[0]", "slack-key", ""},
		{"read two things of two entries", Call{Connector: "slack", Action: read, Authority: AuthorityTool, Resources: in("C4", "C5")}, "", "", noResource},
		{"another action on what may be read", Call{Connector: "slack", Action: remove, Authority: AuthorityTool, Resources: in("C4")}, "", "", noResource},
		{"an action of no entry", Call{Connector: "slack", Action: write, Authority: AuthorityTool, Resources: in("C4")}, "", "", noAction},
		{"no action", Call{Connector: "slack", Authority: AuthorityTool}, "", "", noAction},
		{"an action without resources", Call{Connector: "slack", Action: admin, Authority: AuthorityTool}, "tools[2]", "slack-key", ""},
		{"that action on a resource", Call{Connector: "slack", Action: admin, Authority: AuthorityTool, Resources: in("C1")}, "", "", noResource},
		{"speaking does not count for a tool", Call{Connector: "slack", Action: read, Authority: AuthorityTool, Resources: in("C1")}, "", "", noResource},
		{"a resource of no type", Call{Connector: "slack", Action: read, Authority: AuthorityTool, Resources: resources{{Name: "U"}}}, "", "", malformed},
		{"a resource of no name", Call{Connector: "slack", Action: read, Authority: AuthorityTool, Resources: resources{{Type: "user"}}}, "", "", malformed},
		{"no connector", Call{Action: read, Authority: AuthorityTool}, "", "", malformed},
		{"another connector", Call{Connector: "github", Action: read, Authority: AuthorityTool}, "", "", "no entry of tools has this connector"},
		{"a connector spelt otherwise", Call{Connector: "Slack", Action: read, Authority: AuthorityConnector}, "", "", "no entry of the grant has this connector"},
		{"a model", Call{Connector: "anthropic", Action: write, Authority: AuthorityModel, Resources: resources{{Type: ResourceModel, Name: "claude-x"}}}, "models[0]", "model-key", ""},
		{"another model", Call{Connector: "anthropic", Action: write, Authority: AuthorityModel, Resources: resources{{Type: ResourceModel, Name: "other"}}}, "", "", "no entry of models lists this model"},
		{"no model", Call{Connector: "anthropic", Action: write, Authority: AuthorityModel}, "", "", "no entry of models lists this model"},
		{"a harmless call", Call{Connector: "slack", Action: read, Authority: AuthorityConnector}, "channels[0]", "slack-key", ""},
		{"a harmless call of a connector of models", Call{Connector: "anthropic", Action: read, Authority: AuthorityConnector}, "models[0]", "model-key", ""},
		{"an authority that is none", Call{Connector: "slack", Action: read, Authority: "any"}, "", "", "the operation's authority is unknown"},
		{"no authority", Call{Connector: "slack", Action: read}, "", "", "the operation's authority is unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Verdict{Allowed: tt.rule != "", Rule: tt.rule, Reason: "allowed by the grant", Credential: tt.key}
			if !want.Allowed {
				want.Rule, want.Reason = RuleDefault, tt.why
			}
			if diff := cmp.Diff(want, DecideCall(decidable(), tt.call)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideMessage(t *testing.T) {
	const (
		outsider  = "the visibility does not admit who wrote this"
		noChannel = "no entry of channels lists this channel"
		noUser    = "no entry of channels lists who wrote this in this channel"
	)
	for _, tt := range []struct {
		name string
		msg  Message
		rule string
		why  string
	}{
		{"a teammate", Message{Connector: "slack", Actor: "T01/U2", Channel: "C1"}, "channels[0]", ""},
		{"a teammate the entry names", Message{Connector: "slack", Actor: "T01/U1", Channel: "C2"}, "channels[1]", ""},
		{"a teammate the entry does not name", Message{Connector: "slack", Actor: "T01/U2", Channel: "C2"}, "", noUser},
		{"an entry that names nobody", Message{Connector: "slack", Actor: "T01/U1", Channel: "C3"}, "", noUser},
		{"another channel", Message{Connector: "slack", Actor: "T01/U1", Channel: "C9"}, "", noChannel},
		{"no channel", Message{Connector: "slack", Actor: "T01/U1", Channel: ""}, "", noChannel},
		{"an outsider", Message{Connector: "slack", Actor: "T01/U3", Channel: "C1"}, "", outsider},
		{"an outsider whom an entry names", Message{Connector: "slack", Actor: "X/U3", Channel: "C2"}, "", outsider},
		{"a teammate's id in another workspace", Message{Connector: "slack", Actor: "T02/U1", Channel: "C1"}, "", outsider},
		{"an id without its workspace", Message{Connector: "slack", Actor: "U1", Channel: "C1"}, "", outsider},
		{"an id that begins alike", Message{Connector: "slack", Actor: "T01/U12", Channel: "C1"}, "", outsider},
		{"a pattern", Message{Connector: "slack", Actor: "*", Channel: "C1"}, "", outsider},
		{"nobody", Message{Connector: "slack", Actor: "", Channel: "C1"}, "", outsider},
		{"another connector", Message{Connector: "github", Actor: "T01/U1", Channel: "C1"}, "", outsider},
		{"no connector", Message{Connector: "", Actor: "T01/U1", Channel: "C1"}, "", outsider},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := DecideMessage(decidable(), tt.msg)
			if got.Allowed != (tt.rule != "") || got.Allowed && got.Rule != tt.rule || !got.Allowed && (got.Rule != RuleDefault || got.Reason != tt.why) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Only an Active grant allows anything.
func TestNoGrantNoDecision(t *testing.T) {
	call := Call{Connector: "slack", Action: v1alpha1.ActionRead, Authority: AuthorityConnector}
	msg := Message{Connector: "slack", Actor: "T01/U1", Channel: "C1"}
	grants := map[string]*v1alpha1.ClawGrantSpec{"none": nil, "empty": {}}
	for _, state := range []v1alpha1.GrantState{v1alpha1.GrantRevoked, v1alpha1.GrantStopped, "", "active", "Later"} {
		g := decidable()
		g.State = state
		grants["state "+string(state)] = g
	}
	for name, g := range grants {
		for _, v := range []Verdict{DecideCall(g, call), DecideMessage(g, msg)} {
			if v.Allowed || v.Credential != "" || v.Rule != RuleDefault || v.Reason == "" {
				t.Errorf("%s: %+v", name, v)
			}
		}
	}
}
