package policy

import (
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// oracle says what should be allowed, by looking at one event against the request and the policies
// as they are written. It knows nothing of grants.
type oracle struct{ Input }

func (o oracle) policies() []v1alpha1.ClawPolicy {
	var out []v1alpha1.ClawPolicy
	for _, p := range o.Policies {
		s := p.Spec.Selector
		hit := s.All || slices.Contains(s.Owners, o.Claw.Spec.Owner)
		for _, c := range s.Claws {
			hit = hit || Matches(c, o.Claw.Name)
		}
		for _, team := range o.Organization.Spec.Teams {
			hit = hit || slices.Contains(s.Teams, team.Name) && o.member(o.Claw.Spec.Owner) && slices.Contains(team.Members, o.Claw.Spec.Owner)
		}
		if hit && p.Namespace == o.Claw.Namespace {
			out = append(out, p)
		}
	}
	return out
}

func (o oracle) member(name v1alpha1.MemberName) bool {
	return slices.ContainsFunc(o.Organization.Spec.Members, func(m v1alpha1.Member) bool { return m.Name == name })
}

func (o oracle) inTeams(name v1alpha1.MemberName, any bool) bool {
	hits := 0
	for _, t := range o.Organization.Spec.Teams {
		if slices.Contains(o.Claw.Spec.Teams, t.Name) && slices.Contains(t.Members, name) && o.member(name) {
			hits++
		}
	}
	return any && hits > 0 || hits == len(o.Claw.Spec.Teams)
}

// open tells whether anything at all can be allowed.
func (o oracle) open() bool {
	spec, allowed := o.Claw.Spec, false
	for _, p := range o.policies() {
		if slices.Contains(p.Spec.Deny.Visibility, spec.Visibility) {
			return false
		}
		allowed = allowed || slices.Contains(p.Spec.Allow.Visibility, spec.Visibility)
	}
	return allowed && spec.State != v1alpha1.ClawRevoked && o.Organization.Spec.State != v1alpha1.OrganizationStopped &&
		o.member(spec.Owner) && o.inTeams(spec.Owner, false)
}

func (o oracle) usable(connector v1alpha1.ConnectorName, credential v1alpha1.ObjectName) bool {
	return o.KnownConnector(string(connector)) && (o.SkipCredentials || slices.ContainsFunc(o.Credentials, func(c UsableCredential) bool {
		return c.Name == credential && c.Connector == connector
	}))
}

// private tells whether a Private Claw may not be there.
func (o oracle) beyond(connector, channel string) bool {
	return o.Claw.Spec.Visibility == v1alpha1.VisibilityPrivate && (connector != "slack" || channel[0] != 'D')
}

func toolRuleFits(rule v1alpha1.ToolRule, call Call) bool {
	if string(rule.Connector) != call.Connector || !slices.Contains(rule.Actions, call.Action) {
		return false
	}
	for _, r := range call.Resources {
		if !slices.ContainsFunc(rule.Resources, func(s v1alpha1.ResourceScope) bool { return s.Type == r.Type && matchesAny(s.Names, r.Name) }) {
			return false
		}
	}
	return true
}

func (o oracle) toolDenied(call Call) bool {
	for _, p := range o.policies() {
		for _, rule := range p.Spec.Deny.Tools {
			if string(rule.Connector) != call.Connector || len(rule.Actions) > 0 && !slices.Contains(rule.Actions, call.Action) {
				continue
			}
			if len(rule.Resources) == 0 {
				return true
			}
			for _, s := range rule.Resources {
				for _, r := range call.Resources {
					if s.Type == r.Type && (len(s.Names) == 0 || matchesAny(s.Names, r.Name)) {
						return true
					}
				}
			}
		}
		for _, rule := range p.Spec.Deny.Channels {
			for _, r := range call.Resources {
				if string(rule.Connector) == call.Connector && len(rule.Users) == 0 && r.Type == ResourceChannel &&
					(len(rule.Channels) == 0 || matchesAny(rule.Channels, r.Name)) {
					return true
				}
			}
		}
	}
	return false
}

func (o oracle) tool(call Call) bool {
	for _, r := range call.Resources {
		if r.Type == ResourceChannel && o.beyond(call.Connector, r.Name) {
			return false
		}
	}
	asked := slices.ContainsFunc(o.Claw.Spec.Tools, func(t v1alpha1.ToolRequest) bool {
		return toolRuleFits(t.ToolRule, call) && o.usable(t.Connector, t.Credential)
	})
	allowed := slices.ContainsFunc(o.policies(), func(p v1alpha1.ClawPolicy) bool {
		return slices.ContainsFunc(p.Spec.Allow.Tools, func(r v1alpha1.ToolRule) bool { return toolRuleFits(r, call) })
	})
	return o.open() && asked && allowed && !o.toolDenied(call)
}

// model tells whether each model is asked for and allowed; one entry must ask for all of them.
func (o oracle) model(call Call) bool {
	fits := func(connector v1alpha1.ConnectorName, models []v1alpha1.Pattern, r Resource) bool {
		return string(connector) == call.Connector && r.Type == ResourceModel && matchesAny(models, r.Name)
	}
	asked := slices.ContainsFunc(o.Claw.Spec.Models, func(m v1alpha1.ModelRequest) bool {
		return o.usable(m.Connector, m.Credential) && !slices.ContainsFunc(call.Resources, func(r Resource) bool { return !fits(m.Connector, m.Models, r) })
	})
	if !o.open() || !asked || len(call.Resources) == 0 {
		return false
	}
	for _, r := range call.Resources {
		allowed := false
		for _, p := range o.policies() {
			for _, rule := range p.Spec.Allow.Models {
				allowed = allowed || fits(rule.Connector, rule.Models, r)
			}
			for _, rule := range p.Spec.Deny.Models {
				if string(rule.Connector) == call.Connector && (len(rule.Models) == 0 || matchesAny(rule.Models, r.Name)) {
					return false
				}
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

func channelRuleFits(rule v1alpha1.ChannelRule, m Message) bool {
	return string(rule.Connector) == m.Connector && matchesAny(rule.Channels, m.Channel) && matchesAny(rule.Users, m.Actor)
}

// channel tells whether a channel is open to a user, visibility aside.
func (o oracle) channel(m Message) bool {
	asked := slices.ContainsFunc(o.Claw.Spec.Channels, func(c v1alpha1.ChannelRequest) bool {
		return channelRuleFits(c.ChannelRule, m) && o.usable(c.Connector, c.Credential)
	})
	allowed := false
	for _, p := range o.policies() {
		allowed = allowed || slices.ContainsFunc(p.Spec.Allow.Channels, func(r v1alpha1.ChannelRule) bool { return channelRuleFits(r, m) })
		for _, rule := range p.Spec.Deny.Channels {
			if string(rule.Connector) == m.Connector && (len(rule.Channels) == 0 || matchesAny(rule.Channels, m.Channel)) &&
				(len(rule.Users) == 0 || matchesAny(rule.Users, m.Actor)) {
				return false
			}
		}
	}
	closed := func(a v1alpha1.Action) bool {
		return o.toolDenied(Call{Connector: m.Connector, Action: a, Resources: []Resource{{Type: ResourceChannel, Name: m.Channel}}})
	}
	return o.open() && asked && allowed && !o.beyond(m.Connector, m.Channel) && !closed(v1alpha1.ActionRead) && !closed(v1alpha1.ActionWrite)
}

func (o oracle) message(m Message) bool {
	var claims []v1alpha1.MemberName
	for _, member := range o.Organization.Spec.Members {
		if slices.Contains(member.Identities[m.Connector], m.Actor) {
			claims = append(claims, member.Name)
		}
	}
	if len(claims) != 1 || !o.channel(m) {
		return false
	}
	switch o.Claw.Spec.Visibility {
	case v1alpha1.VisibilityPrivate:
		return claims[0] == o.Claw.Spec.Owner
	case v1alpha1.VisibilityTeam:
		return o.inTeams(claims[0], true)
	default:
		return true
	}
}

// speech tells whether the Claw may speak in the one channel a call names: there, somebody is heard.
func (o oracle) speech(call Call) bool {
	if len(call.Resources) != 1 || call.Resources[0].Type != ResourceChannel || !inChannels(call.Action) {
		return false
	}
	return slices.ContainsFunc(append([]string{"anybody else"}, worldUsers...), func(actor string) bool {
		return o.channel(Message{Connector: call.Connector, Channel: call.Resources[0].Name, Actor: actor})
	})
}
