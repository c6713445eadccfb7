package v1alpha1

import (
	"fmt"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// maxCompared bounds the work a warning is worth: a policy may hold tens of thousands of patterns.
const maxCompared = 1 << 20

// warnContradictions says which allows of a policy the same policy denies whole. They are legal, as a denial
// wins over every allow, and dead.
func warnContradictions(f *findings, spec *v1alpha1.ClawPolicySpec) {
	c := &comparer{left: maxCompared}
	dead := func(path string) {
		f.warn("%s: spec.deny of this policy denies all of it, and a denial wins: it allows nothing", path)
	}
	for i, v := range spec.Allow.Visibility {
		if slices.Contains(spec.Deny.Visibility, v) {
			dead(fmt.Sprintf("spec.allow.visibility[%d]", i))
		}
	}
	for i, a := range spec.Allow.Channels {
		if slices.ContainsFunc(spec.Deny.Channels, func(d v1alpha1.ChannelRule) bool { return c.channels(&a, &d) }) {
			dead(fmt.Sprintf("spec.allow.channels[%d]", i))
		}
	}
	for i, a := range spec.Allow.Tools {
		if slices.ContainsFunc(spec.Deny.Tools, func(d v1alpha1.ToolRule) bool { return c.tools(&a, &d) }) {
			dead(fmt.Sprintf("spec.allow.tools[%d]", i))
		}
	}
	for i, a := range spec.Allow.Models {
		if slices.ContainsFunc(spec.Deny.Models, func(d v1alpha1.ModelRule) bool {
			return a.Connector == d.Connector && c.all(a.Models, d.Models)
		}) {
			dead(fmt.Sprintf("spec.allow.models[%d]", i))
		}
	}
	if sources := spec.Require.Credentials.Sources; len(spec.Allow.Stores) > 0 && len(sources) > 0 && !slices.Contains(sources, v1alpha1.SourceExternalSecret) {
		f.warn("spec.allow.stores: spec.require.credentials.sources of this policy is without ExternalSecret, and a requirement holds whatever is allowed: these allow nothing")
	}
	for i, a := range spec.Allow.Stores {
		if slices.ContainsFunc(spec.Deny.Stores, func(d v1alpha1.StoreRule) bool {
			return a.StoreReference == d.StoreReference && c.all(a.Keys, d.Keys)
		}) {
			dead(fmt.Sprintf("spec.allow.stores[%d]", i))
		}
	}
}

// comparer tells what a deny takes whole, until it has compared enough.
type comparer struct{ left int }

// all tells whether every pattern that is allowed is denied. Nothing allowed is no contradiction, and a
// list left out in a deny is all there is.
func (c *comparer) all(allowed, denied []v1alpha1.Pattern) bool {
	return len(allowed) > 0 && c.rest(allowed, denied)
}

// rest is all for a list that may be empty because something else is allowed.
func (c *comparer) rest(allowed, denied []v1alpha1.Pattern) bool {
	if len(denied) == 0 {
		return true
	}
	if c.left -= len(allowed) * len(denied); c.left < 0 {
		return false
	}
	return !slices.ContainsFunc(allowed, func(a v1alpha1.Pattern) bool {
		return !slices.ContainsFunc(denied, func(d v1alpha1.Pattern) bool { return policy.Covers(d, a) })
	})
}

// channels tells whether a denial takes a rule whole: its channels for all whom it lets in.
func (c *comparer) channels(a, d *v1alpha1.ChannelRule) bool {
	switch {
	case a.Connector != d.Connector || !c.all(a.Channels, d.Channels):
		return false
	case len(d.Users) == 0 && none(d.Correspondents):
		return true // everybody
	case len(a.Users) == 0 && none(a.Correspondents):
		return false // empty, which is told elsewhere
	}
	users := len(a.Users) == 0 || len(d.Users) > 0 && c.rest(a.Users, d.Users)
	others := none(a.Correspondents) || !none(d.Correspondents) && c.correspondents(a.Correspondents, d.Correspondents)
	return users && others
}

func (c *comparer) correspondents(a, d v1alpha1.Correspondents) bool {
	users := len(a.Users) == 0 || len(d.Users) > 0 && c.rest(a.Users, d.Users)
	return users && !slices.ContainsFunc(a.Domains, func(domain v1alpha1.Domain) bool { return !slices.Contains(d.Domains, domain) })
}

func none(c v1alpha1.Correspondents) bool { return len(c.Users)+len(c.Domains) == 0 }

// tools tells whether a denial takes a rule whole: its actions on everything.
func (c *comparer) tools(a, d *v1alpha1.ToolRule) bool {
	if a.Connector != d.Connector || len(a.Actions) == 0 || len(d.Resources) > 0 {
		return false // what is done to no resource at all is left
	}
	return len(d.Actions) == 0 || !slices.ContainsFunc(a.Actions, func(x v1alpha1.Action) bool { return !slices.Contains(d.Actions, x) })
}
