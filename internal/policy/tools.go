package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// tools cuts one entry of tools down. A rule is a product: its actions, each on all of its resources.
// A call may touch several resources at once, so what two rules allow is not mixed: what is granted is
// one set of resources for each rule and action, and actions that have the same sets share an entry.
func (n *narrowing) tools(path string, ask v1alpha1.ToolRequest) []v1alpha1.ToolRequest {
	if !n.known(path, ask.Connector) {
		return nil
	}
	names := flatten(ask.Resources)
	barred := n.barredTools(path, ask, names) // reported first, being the stronger reason
	allowed := n.allowedTools(path, ask, names)

	byScope := map[string]*toolScope{}
	for a := range ask.Actions {
		if barred[a] == nil {
			continue
		}
		for _, scope := range widest(without(allowed[a], barred[a])) {
			key := bits(scope)
			if byScope[key] == nil {
				byScope[key] = &toolScope{resources: scope}
			}
			byScope[key].actions = append(byScope[key].actions, ask.Actions[a])
		}
	}
	var out []v1alpha1.ToolRequest
	for _, scope := range byScope {
		out = append(out, scope.entry(ask, names))
	}
	slices.SortFunc(out, func(a, b v1alpha1.ToolRequest) int {
		return cmp.Or(slices.Compare(a.Actions, b.Actions), strings.Compare(fmt.Sprint(a.Resources), fmt.Sprint(b.Resources)))
	})
	return out
}

// toolScope is some actions on some of the resources an entry names.
type toolScope struct {
	actions   []v1alpha1.Action
	resources []bool
}

// entry writes the scope as an entry of a grant.
func (s *toolScope) entry(ask v1alpha1.ToolRequest, names []resourceName) v1alpha1.ToolRequest {
	entry := v1alpha1.ToolRequest{Credential: ask.Credential}
	entry.Connector = ask.Connector
	entry.Actions = slices.Compact(slices.Sorted(slices.Values(s.actions)))
	byType := map[string][]v1alpha1.Pattern{}
	for i, name := range names {
		if s.resources[i] {
			byType[name.kind] = append(byType[name.kind], name.pattern)
		}
	}
	for kind, patterns := range byType {
		slices.Sort(patterns)
		entry.Resources = append(entry.Resources, v1alpha1.ResourceScope{Type: kind, Names: slices.Compact(patterns)})
	}
	slices.SortFunc(entry.Resources, func(a, b v1alpha1.ResourceScope) int { return strings.Compare(a.Type, b.Type) })
	return entry
}

// resourceName is one name of one scope of an entry, and where it stands there.
type resourceName struct {
	kind    string
	pattern v1alpha1.Pattern
	path    string // resources[1].names[0]
}

func flatten(scopes []v1alpha1.ResourceScope) []resourceName {
	var out []resourceName
	for s, scope := range scopes {
		for i, p := range scope.Names {
			out = append(out, resourceName{kind: scope.Type, pattern: p, path: fmt.Sprintf("resources[%d].names[%d]", s, i)})
		}
	}
	return out
}

// barredTools tells for each action which resources are barred from it, whatever is allowed, and
// reports them; nil where the action is barred altogether.
func (n *narrowing) barredTools(path string, ask v1alpha1.ToolRequest, names []resourceName) [][]bool {
	barred := make([][]bool, len(ask.Actions))
	for a := range barred {
		barred[a] = n.beyondOwner(path, ask, names)
	}
	for _, d := range n.ceiling.deny.tools {
		if d.rule.Connector != ask.Connector {
			continue
		}
		hit := touched(names, d.rule.Resources)
		for a, action := range ask.Actions {
			switch {
			case barred[a] == nil || len(d.rule.Actions) > 0 && !slices.Contains(d.rule.Actions, action):
			case len(d.rule.Resources) == 0:
				n.denied(at(path, "actions", a), d.policy, fmt.Sprintf("%s action %s", ask.Connector, action))
				barred[a] = nil
			default:
				n.deniedResources(path, d.policy, action, ask.Connector, names, hit)
				mark(barred[a], hit)
			}
		}
	}
	return barred
}

func (n *narrowing) deniedResources(path, policy string, action v1alpha1.Action, connector v1alpha1.ConnectorName, names []resourceName, hit []bool) {
	for i, name := range names {
		if hit[i] && !n.full() {
			n.denied(path+"."+name.path, policy, fmt.Sprintf("%s %s %q to %s", connector, name.kind, name.pattern, action))
		}
	}
}

// beyondOwner bars a Private Claw from the places where others than its owner would read it.
func (n *narrowing) beyondOwner(path string, ask v1alpha1.ToolRequest, names []resourceName) []bool {
	out := make([]bool, len(names))
	if n.Claw.Spec.Visibility != v1alpha1.VisibilityPrivate {
		return out
	}
	for i, name := range names {
		if name.kind == ResourceChannel && !direct(ask.Connector, name.pattern) {
			out[i] = true
			n.report(path+"."+name.path, v1alpha1.WithheldVisibility, "", beyondPrivate(ask.Connector, name.pattern))
		}
	}
	return out
}

// allowedTools tells for each action which resources each rule allows it on, and reports what no rule allows.
func (n *narrowing) allowedTools(path string, ask v1alpha1.ToolRequest, names []resourceName) [][][]bool {
	allowed := make([][][]bool, len(ask.Actions))
	some := make([]bool, len(names))
	var actions offer
	for _, a := range n.ceiling.allow.tools {
		if a.rule.Connector != ask.Connector {
			continue
		}
		within := covered(names, a.rule.Resources)
		mark(some, within)
		for i, action := range ask.Actions {
			if slices.Contains(a.rule.Actions, action) {
				allowed[i] = append(allowed[i], within)
			}
		}
		for _, action := range a.rule.Actions {
			actions.add(a.policy, string(action))
		}
	}
	for i, action := range ask.Actions {
		if len(allowed[i]) == 0 {
			n.notAllowed(at(path, "actions", i), fmt.Sprintf("%s action %s", ask.Connector, action), fmt.Sprintf("%s actions", ask.Connector), actions)
		}
	}
	for i, name := range names {
		if !some[i] && !n.full() {
			n.notAllowed(path+"."+name.path, fmt.Sprintf("%s %s %q", ask.Connector, name.kind, name.pattern),
				fmt.Sprintf("%s %s", ask.Connector, name.kind), n.offeredNames(ask.Connector, name.kind, nil))
		}
	}
	n.notOnAll(path, ask, names, allowed, some)
	return allowed
}

// notOnAll reports resources that are allowed, but not for this action.
func (n *narrowing) notOnAll(path string, ask v1alpha1.ToolRequest, names []resourceName, allowed [][][]bool, some []bool) {
	for a, action := range ask.Actions {
		if len(allowed[a]) == 0 {
			continue
		}
		here := make([]bool, len(names))
		for _, within := range allowed[a] {
			mark(here, within)
		}
		for i, name := range names {
			if some[i] && !here[i] && !n.full() {
				n.notAllowed(path+"."+name.path, fmt.Sprintf("%s %s %q to %s", ask.Connector, name.kind, name.pattern, action),
					fmt.Sprintf("%s %s to %s", ask.Connector, name.kind, action), n.offeredNames(ask.Connector, name.kind, &ask.Actions[a]))
			}
		}
	}
}

// offeredNames lists the names of a type of resource that the policies allow, for an action or for any.
func (n *narrowing) offeredNames(connector v1alpha1.ConnectorName, kind string, action *v1alpha1.Action) offer {
	var out offer
	for _, a := range n.ceiling.allow.tools {
		if a.rule.Connector == connector && (action == nil || slices.Contains(a.rule.Actions, *action)) {
			out.addPatterns(a.policy, namesOf(a.rule.Resources, kind))
		}
	}
	return out
}

// covered tells for each name whether one of its type in scopes covers it.
func covered(names []resourceName, scopes []v1alpha1.ResourceScope) []bool {
	out := make([]bool, len(names))
	for i, name := range names {
		out[i] = coveredBy([]v1alpha1.Pattern{name.pattern}, namesOf(scopes, name.kind))[0]
	}
	return out
}

// touched tells for each name whether a denial of scopes touches it; a scope without names denies its whole type.
func touched(names []resourceName, scopes []v1alpha1.ResourceScope) []bool {
	out := make([]bool, len(names))
	for i, name := range names {
		out[i] = slices.ContainsFunc(scopes, func(s v1alpha1.ResourceScope) bool {
			return s.Type == name.kind && overlappedBy([]v1alpha1.Pattern{name.pattern}, s.Names)[0]
		})
	}
	return out
}

// namesOf returns the names scopes have of a type.
func namesOf(scopes []v1alpha1.ResourceScope, kind string) []v1alpha1.Pattern {
	var out []v1alpha1.Pattern
	for _, s := range scopes {
		if s.Type == kind {
			out = append(out, s.Names...)
		}
	}
	return out
}

// without takes barred out of each set.
func without(sets [][]bool, barred []bool) [][]bool {
	out := make([][]bool, len(sets))
	for i, set := range sets {
		out[i] = slices.Clone(set)
		for j := range out[i] {
			out[i][j] = out[i][j] && !barred[j]
		}
	}
	return out
}

// widest leaves out each set that another one holds, and all but one of equal ones.
func widest(sets [][]bool) [][]bool {
	var out [][]bool
	for i, set := range sets {
		held := false
		for j, other := range sets {
			held = held || i != j && within(set, other) && (!within(other, set) || j < i)
		}
		if !held {
			out = append(out, set)
		}
	}
	return out
}

// within reports whether all that is set in a is set in b.
func within(a, b []bool) bool {
	for i := range a {
		if a[i] && !b[i] {
			return false
		}
	}
	return true
}
