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
func (n *narrowing) tools(ask *toolAsk) []v1alpha1.ToolRequest {
	if !n.known(ask.path, ask.Connector) {
		return nil
	}
	told := newSet(len(ask.names))
	barred := n.barredTools(ask, told) // reported first, being the stronger reason
	allowed := n.allowedTools(ask, told)
	if n.large {
		return nil
	}

	byScope := map[string]*toolScope{}
	for a := range ask.Actions {
		if barred[a] == nil {
			continue
		}
		for i, names := range allowed[a] {
			allowed[a][i] = names.without(barred[a])
		}
		for _, names := range widest(allowed[a]) {
			key := names.key()
			if byScope[key] == nil {
				byScope[key] = &toolScope{names: names}
			}
			byScope[key].actions = append(byScope[key].actions, ask.Actions[a])
		}
	}
	var out []v1alpha1.ToolRequest
	for _, scope := range byScope {
		out = append(out, scope.entry(ask))
	}
	slices.SortFunc(out, func(a, b v1alpha1.ToolRequest) int {
		return cmp.Or(slices.Compare(a.Actions, b.Actions), slices.CompareFunc(a.Resources, b.Resources, compareScopes))
	})
	return out
}

func compareScopes(a, b v1alpha1.ResourceScope) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), slices.Compare(a.Names, b.Names), slices.Compare(a.Domains, b.Domains))
}

// toolScope is some actions on some of the names of an entry.
type toolScope struct {
	actions []v1alpha1.Action
	names   set
}

// entry writes the scope as an entry of a grant.
func (s *toolScope) entry(ask *toolAsk) v1alpha1.ToolRequest {
	entry := v1alpha1.ToolRequest{Credential: ask.Credential, Schedule: ask.Schedule.DeepCopy()}
	entry.Connector = ask.Connector
	entry.Actions = tidy(s.actions)
	byType := map[string]*v1alpha1.ResourceScope{}
	s.names.each(func(i int) bool {
		name := &ask.names[i]
		scope := byType[name.kind]
		if scope == nil {
			scope = &v1alpha1.ResourceScope{Type: name.kind}
			byType[name.kind] = scope
		}
		if name.domain {
			scope.Domains = append(scope.Domains, v1alpha1.Domain(name.pattern))
		} else {
			scope.Names = append(scope.Names, name.pattern)
		}
		return true
	})
	for _, scope := range byType {
		scope.Names, scope.Domains = tidy(scope.Names), tidy(scope.Domains)
		entry.Resources = append(entry.Resources, *scope)
	}
	slices.SortFunc(entry.Resources, compareScopes)
	return entry
}

// barredTools tells for each action which names are barred from it, whatever is allowed, and reports them;
// nil where the action is barred altogether.
func (n *narrowing) barredTools(ask *toolAsk, told set) []set {
	barred := make([]set, len(ask.Actions))
	for a := range barred {
		barred[a] = make(set, len(told))
	}
	n.beyondOwner(ask, told, barred)
	for _, d := range n.toolDenials(ask.Connector) {
		hit := ask.region.of(d.names)
		for a, action := range ask.Actions {
			switch {
			case barred[a] == nil || len(d.rule.Actions) > 0 && !slices.Contains(d.rule.Actions, action):
			case len(d.rule.Resources) == 0:
				n.denied(at(ask.path, "actions", a), d.by, fmt.Sprintf("%s action %s", ask.Connector, action))
				barred[a] = nil
			default:
				n.deniedNames(ask, told, d.by, action, hit)
				barred[a].or(hit)
			}
		}
	}
	return barred
}

func (n *narrowing) deniedNames(ask *toolAsk, told set, by source, action v1alpha1.Action, hit set) {
	hit.without(told).each(func(i int) bool {
		told.add(i)
		n.denied(ask.namePath(i), by, fmt.Sprintf("%s %s %s to %s", ask.Connector, ask.names[i].kind, ask.names[i], action))
		return !n.full()
	})
}

// beyondOwner bars a Private Claw from the places where others than its owner would read it.
func (n *narrowing) beyondOwner(ask *toolAsk, told set, barred []set) {
	if n.Claw.Spec.Visibility != v1alpha1.VisibilityPrivate {
		return
	}
	for i, name := range ask.names {
		if name.kind != ResourceChannel || direct(ask.Connector, name.pattern) {
			continue
		}
		for a := range barred {
			barred[a].add(i)
		}
		if !n.full() {
			n.report(ask.namePath(i), v1alpha1.WithheldVisibility, "", notDirect(ask.Connector, name.pattern))
		}
		told.add(i)
	}
}

// allowedTools tells for each action which names each rule allows it on, and reports what no rule allows.
func (n *narrowing) allowedTools(ask *toolAsk, told set) [][]set {
	allowed := make([][]set, len(ask.Actions))
	some := make(set, len(told))
	for _, a := range n.toolAllows(ask.Connector) {
		within := ask.region.of(a.names)
		some.or(within)
		for i, action := range ask.Actions {
			if slices.Contains(a.rule.Actions, action) {
				allowed[i] = append(allowed[i], within)
			}
		}
	}
	for i, action := range ask.Actions {
		if len(allowed[i]) == 0 && !n.full() {
			kind := fmt.Sprintf("%s actions", ask.Connector)
			n.notAllowed(at(ask.path, "actions", i), fmt.Sprintf("%s action %s", ask.Connector, action), kind,
				n.offered(kind, func(o *offer) { n.offerActions(o, ask.Connector) }))
		}
	}
	for i, name := range ask.names {
		if !some.has(i) && !told.has(i) && !n.full() {
			n.notAllowed(ask.namePath(i), fmt.Sprintf("%s %s %s", ask.Connector, name.kind, name),
				fmt.Sprintf("%s %s", ask.Connector, name.kind), n.offeredNames(ask.Connector, name.kind, nil))
			told.add(i)
		}
	}
	n.notOnAll(ask, told, allowed, some)
	return allowed
}

// notOnAll reports names that are allowed, but not for this action.
func (n *narrowing) notOnAll(ask *toolAsk, told set, allowed [][]set, some set) {
	for a, action := range ask.Actions {
		if len(allowed[a]) == 0 || n.full() {
			continue
		}
		here := make(set, len(told))
		for _, within := range allowed[a] {
			here.or(within)
		}
		some.without(here).without(told).each(func(i int) bool {
			told.add(i)
			name := ask.names[i]
			n.notAllowed(ask.namePath(i), fmt.Sprintf("%s %s %s to %s", ask.Connector, name.kind, name, action),
				fmt.Sprintf("%s %s to %s", ask.Connector, name.kind, action), n.offeredNames(ask.Connector, name.kind, &action))
			return !n.full()
		})
	}
}

func (n *narrowing) offerActions(o *offer, connector v1alpha1.ConnectorName) {
	for i := range n.ceiling.allow.tools {
		if a := &n.ceiling.allow.tools[i]; a.rule.Connector == connector {
			for _, action := range a.rule.Actions {
				o.add(a.by, string(action))
			}
		}
	}
}

// offeredNames lists the names of a type of resource that the policies allow, for an action or for any.
func (n *narrowing) offeredNames(connector v1alpha1.ConnectorName, kind string, action *v1alpha1.Action) *offer {
	key := fmt.Sprintf("%s resources %q", connector, kind)
	if action != nil {
		key += " " + string(*action)
	}
	return n.offered(key, func(o *offer) {
		for i := range n.ceiling.allow.tools {
			a := &n.ceiling.allow.tools[i]
			if a.rule.Connector != connector || action != nil && !slices.Contains(a.rule.Actions, *action) {
				continue
			}
			for _, scope := range a.rule.Resources {
				if scope.Type == kind {
					o.addPatterns(a.by, scope.Names)
					for _, d := range scope.Domains {
						o.add(a.by, "domain "+string(d))
					}
				}
			}
		}
	})
}

// widest leaves out each set that another one holds, and all but one of equal ones. It stops where there are
// more than any grant can hold.
func widest(sets []set) []set {
	seen := map[string]bool{}
	byCount := make([][]set, 0, 64)
	for _, s := range sets {
		if key := s.key(); !seen[key] {
			seen[key] = true
			n := s.count()
			for len(byCount) <= n {
				byCount = append(byCount, nil)
			}
			byCount[n] = append(byCount[n], s)
		}
	}
	var out []set
	for n := len(byCount) - 1; n >= 0; n-- { // a set is held only by greater ones
		greater := out
		for _, s := range byCount[n] {
			if !slices.ContainsFunc(greater, s.within) {
				out = append(out, s)
			}
			if len(out) > maxGrant/leastEntry {
				return out
			}
		}
	}
	return out
}
