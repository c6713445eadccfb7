package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Selects reports whether a policy is about a Claw: they share a namespace, and any part of the
// selector names the Claw, its owner, or a team its owner is in. An empty selector selects nothing.
func Selects(p *v1alpha1.ClawPolicy, dir *Directory, claw *v1alpha1.Claw) bool {
	if p == nil || claw == nil || p.Namespace != claw.Namespace {
		return false
	}
	s := p.Spec.Selector
	return s.All ||
		matchesAny(s.Claws, claw.Name) ||
		slices.Contains(s.Owners, claw.Spec.Owner) ||
		dir != nil && slices.ContainsFunc(s.Teams, func(t v1alpha1.TeamName) bool { return dir.InTeam(claw.Spec.Owner, t) })
}

// Binds reports whether a policy is over a Claw: it selects it, or nobody can say that it does not. Of what
// only may select the Claw the denials and requirements count, and nothing is allowed by it: a directory that
// cannot be read must not take a denial away.
func Binds(p *v1alpha1.ClawPolicy, dir *Directory, claw *v1alpha1.Claw) bool {
	return Selects(p, dir, claw) ||
		p != nil && claw != nil && dir != nil && !dir.TeamsKnown() && len(p.Spec.Selector.Teams) > 0 && p.Namespace == claw.Namespace
}

// ceiling is what the policies over one Claw say, flattened: the organization's baseline, then the policies in
// the order of their names.
type ceiling struct {
	policies    []string // those of the cage, without the baseline
	allow, deny rules
	require     []from[v1alpha1.PolicyRequirements]
	catalogue   Catalogue
}

type rules struct {
	visibility []from[v1alpha1.Visibility]
	channels   []from[v1alpha1.ChannelRule]
	tools      []from[v1alpha1.ToolRule]
	models     []from[v1alpha1.ModelRule]
	stores     []from[v1alpha1.StoreRule]
}

// from is a rule and who says it.
type from[T any] struct {
	by   source
	rule T
}

// source is who says a rule: a ClawPolicy, or the baseline of an organization. The two may have the same name.
type source struct {
	name     string
	baseline bool
	// unsure means that it may not be about the Claw at all.
	unsure bool
}

// policy names the source in a report. No ClawPolicy has a name with a space, so none can be taken for a baseline.
func (s source) policy() string {
	if s.baseline {
		return fmt.Sprintf("baseline of ClawOrganization %q", s.name)
	}
	return s.name
}

// String names the source in a sentence.
func (s source) String() string {
	if s.baseline {
		return "the " + s.policy()
	}
	if s.unsure {
		return fmt.Sprintf("ClawPolicy %q (which is over everybody's Claws until the directory's teams can be read)", s.name)
	}
	return fmt.Sprintf("ClawPolicy %q", s.name)
}

// change says who could change the rule.
func (s source) change() string {
	if s.baseline {
		return "have the platform change that baseline"
	}
	return "have security change that policy"
}

// newCeiling flattens the baseline and the policies that select the Claw.
func newCeiling(in *Input, dir *Directory, claw *v1alpha1.Claw) ceiling {
	org, policies := in.Organization, in.Policies
	var over []*v1alpha1.ClawPolicy
	for i := range policies {
		if Binds(&policies[i], dir, claw) {
			over = append(over, &policies[i])
		}
	}
	slices.SortStableFunc(over, func(a, b *v1alpha1.ClawPolicy) int { return strings.Compare(a.Name, b.Name) })

	c := ceiling{catalogue: in.Catalogue}
	if org != nil {
		c.narrow(source{name: org.Name, baseline: true}, org.Spec.Baseline.Deny, org.Spec.Baseline.Require)
	}
	for _, p := range over {
		by := source{name: p.Name, unsure: !Selects(p, dir, claw)}
		if !by.unsure {
			c.policies = append(c.policies, p.Name)
			c.allow.add(by, p.Spec.Allow)
		}
		c.narrow(by, p.Spec.Deny, p.Spec.Require)
	}
	return c
}

// narrow adds what a source denies and requires.
func (c *ceiling) narrow(by source, deny v1alpha1.PolicyRules, require v1alpha1.PolicyRequirements) {
	c.deny.add(by, deny)
	c.deny.tools = append(c.deny.tools, closeTools(by, deny)...)
	c.deny.channels = append(c.deny.channels, c.closeChannels(by, deny)...)
	c.require = append(c.require, from[v1alpha1.PolicyRequirements]{by, require})
}

func (r *rules) add(by source, add v1alpha1.PolicyRules) {
	r.visibility = tag(r.visibility, by, add.Visibility)
	r.channels = tag(r.channels, by, add.Channels)
	r.tools = tag(r.tools, by, add.Tools)
	r.models = tag(r.models, by, add.Models)
	r.stores = tag(r.stores, by, add.Stores)
}

// everybody reports whether a denial of channels is about whoever is there.
func everybody(rule *v1alpha1.ChannelRule) bool {
	return len(rule.Users) == 0 && len(rule.Correspondents.Users) == 0 && len(rule.Correspondents.Domains) == 0
}

// closeTools turns the channels that are denied to everybody into denials of tools as well, so that a
// channel that is closed cannot be read or written through a tool either.
func closeTools(by source, denied v1alpha1.PolicyRules) []from[v1alpha1.ToolRule] {
	var out []from[v1alpha1.ToolRule]
	for _, rule := range denied.Channels {
		if !everybody(&rule) {
			continue
		}
		out = append(out, from[v1alpha1.ToolRule]{by, v1alpha1.ToolRule{
			Connector: rule.Connector,
			Resources: []v1alpha1.ResourceScope{{Type: ResourceChannel, Names: rule.Channels}},
		}})
	}
	return out
}

// closeChannels turns the channels that are denied to tools into denials of channels as well: being
// reached in one is to read there, and to answer is to write.
func (c *ceiling) closeChannels(by source, denied v1alpha1.PolicyRules) []from[v1alpha1.ChannelRule] {
	var out []from[v1alpha1.ChannelRule]
	deny := func(rule v1alpha1.ToolRule, channels []v1alpha1.Pattern) {
		out = append(out, from[v1alpha1.ChannelRule]{by, v1alpha1.ChannelRule{Connector: rule.Connector, Channels: channels}})
	}
	for _, rule := range denied.Tools {
		switch {
		case len(rule.Actions) > 0 && !slices.ContainsFunc(rule.Actions, inChannels):
		case len(rule.Resources) == 0:
			deny(rule, nil)
		default:
			for _, scope := range rule.Resources {
				switch kind := kindOf(c.catalogue, rule.Connector, scope.Type); {
				case scope.Type == ResourceChannel && len(scope.Domains) == 0:
					deny(rule, scope.Names)
				case scope.Type == ResourceChannel, !kind.known:
					deny(rule, nil) // nobody can say that channels were not meant
				}
			}
		}
	}
	return out
}

// inChannels reports whether an entry of channels gives an action.
func inChannels(a v1alpha1.Action) bool { return a == v1alpha1.ActionRead || a == v1alpha1.ActionWrite }

func tag[T any](out []from[T], by source, rules []T) []from[T] {
	for _, r := range rules {
		out = append(out, from[T]{by, r})
	}
	return out
}
