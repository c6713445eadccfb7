package policy

import (
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Selects reports whether a policy is about a Claw: they share a namespace, and any part of the
// selector names the Claw, its owner, or a team its owner is in. An empty selector selects nothing.
func Selects(p *v1alpha1.ClawPolicy, dir *Directory, claw *v1alpha1.Claw) bool {
	s := p.Spec.Selector
	return p.Namespace == claw.Namespace && (s.All ||
		matchesAny(s.Claws, claw.Name) ||
		slices.Contains(s.Owners, claw.Spec.Owner) ||
		slices.ContainsFunc(s.Teams, func(t v1alpha1.TeamName) bool { return dir.InTeam(claw.Spec.Owner, t) }))
}

// ceiling is what the policies over one Claw say, flattened, in the order of their names.
type ceiling struct {
	policies    []string
	allow, deny rules
}

type rules struct {
	visibility []from[v1alpha1.Visibility]
	channels   []from[v1alpha1.ChannelRule]
	tools      []from[v1alpha1.ToolRule]
	models     []from[v1alpha1.ModelRule]
}

// from is a rule and the policy it is from.
type from[T any] struct {
	policy string
	rule   T
}

// newCeiling flattens the policies that select the Claw.
func newCeiling(policies []v1alpha1.ClawPolicy, dir *Directory, claw *v1alpha1.Claw) ceiling {
	var over []*v1alpha1.ClawPolicy
	for i := range policies {
		if Selects(&policies[i], dir, claw) {
			over = append(over, &policies[i])
		}
	}
	slices.SortStableFunc(over, func(a, b *v1alpha1.ClawPolicy) int { return strings.Compare(a.Name, b.Name) })

	var c ceiling
	for _, p := range over {
		c.policies = append(c.policies, p.Name)
		c.allow.add(p.Name, p.Spec.Allow)
		c.deny.add(p.Name, p.Spec.Deny)
		c.deny.tools = append(c.deny.tools, closeTools(p)...)
		c.deny.channels = append(c.deny.channels, closeChannels(p)...)
	}
	return c
}

func (r *rules) add(policy string, add v1alpha1.PolicyRules) {
	r.visibility = tag(r.visibility, policy, add.Visibility)
	r.channels = tag(r.channels, policy, add.Channels)
	r.tools = tag(r.tools, policy, add.Tools)
	r.models = tag(r.models, policy, add.Models)
}

// closeTools turns the channels a policy denies to everybody into denials of tools as well, so
// that a channel that is closed cannot be read or written through a tool either.
func closeTools(p *v1alpha1.ClawPolicy) []from[v1alpha1.ToolRule] {
	var out []from[v1alpha1.ToolRule]
	for _, rule := range p.Spec.Deny.Channels {
		if len(rule.Users) > 0 {
			continue
		}
		out = append(out, from[v1alpha1.ToolRule]{policy: p.Name, rule: v1alpha1.ToolRule{
			Connector: rule.Connector,
			Resources: []v1alpha1.ResourceScope{{Type: ResourceChannel, Names: rule.Channels}},
		}})
	}
	return out
}

// closeChannels turns the channels a policy denies to tools into denials of channels as well: being
// reached in one is to read there, and to answer is to write.
func closeChannels(p *v1alpha1.ClawPolicy) []from[v1alpha1.ChannelRule] {
	var out []from[v1alpha1.ChannelRule]
	deny := func(rule v1alpha1.ToolRule, channels []v1alpha1.Pattern) {
		out = append(out, from[v1alpha1.ChannelRule]{policy: p.Name, rule: v1alpha1.ChannelRule{Connector: rule.Connector, Channels: channels}})
	}
	for _, rule := range p.Spec.Deny.Tools {
		switch {
		case len(rule.Actions) > 0 && !slices.ContainsFunc(rule.Actions, inChannels):
		case len(rule.Resources) == 0:
			deny(rule, nil)
		default:
			for _, scope := range rule.Resources {
				if scope.Type == ResourceChannel {
					deny(rule, scope.Names)
				}
			}
		}
	}
	return out
}

// inChannels reports whether an entry of channels gives an action.
func inChannels(a v1alpha1.Action) bool { return a == v1alpha1.ActionRead || a == v1alpha1.ActionWrite }

func tag[T any](out []from[T], policy string, rules []T) []from[T] {
	for _, r := range rules {
		out = append(out, from[T]{policy: policy, rule: r})
	}
	return out
}
