package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// decide returns an operation for every method of the package, in its order, and what is decided besides. Everything that
// is missing or too much is said at once.
func decide(pkg published, rules ruleBook) ([]operation, error) {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	decided := map[string]rule{}
	for _, r := range rules.Operations {
		if _, twice := decided[r.ID]; twice {
			complain("%s is decided twice", r.ID)
		}
		decided[r.ID] = r
	}
	used := map[string]bool{}
	var out []operation
	for _, m := range pkg.Methods {
		r, allowed := decided[m.ID]
		denials := rules.denials(m.ID, used)
		switch {
		case allowed && len(denials) > 0, len(denials) > 1:
			complain("%s is decided twice", m.ID)
		case allowed:
			for _, w := range r.arguments(m, &rules) {
				complain("%s: %s", m.ID, w)
			}
			out = append(out, r.operation.complete())
		case len(denials) == 1:
			out = append(out, operation{ID: m.ID, Action: denials[0].Action, Deny: denials[0].Why}.complete())
		default:
			complain("%s is not decided", m.ID)
		}
		delete(decided, m.ID)
	}
	for id := range maps.Keys(decided) {
		complain("%s is no method of the package", id)
	}
	for _, d := range rules.Deny {
		for _, name := range d.Methods {
			if !used[name] {
				complain("%s is no method of the package", name)
			}
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return nil, fmt.Errorf("%w:\n  %s", errDecided, strings.Join(wrong, "\n  "))
	}
	return append(out, rules.Others...), nil
}

// denials returns those of a method, and notes which names were of use.
func (b *ruleBook) denials(id string, used map[string]bool) []denial {
	var out []denial
	for _, d := range b.Deny {
		for _, name := range d.Methods {
			prefix, group := strings.CutSuffix(name, "*")
			if name == id || group && strings.HasPrefix(id, prefix) {
				used[name] = true
				out = append(out, d)
			}
		}
	}
	return out
}

// arguments compares what a rule takes and refuses with what the method has.
func (r rule) arguments(m method, b *ruleBook) []string {
	var wrong []string
	takes := map[string]bool{}
	for _, name := range slices.Concat(r.Params, slices.Collect(maps.Keys(r.Set))) {
		takes[name] = true
	}
	for _, source := range r.Resources {
		for _, from := range source.From {
			name, _, _ := strings.Cut(from, "[")
			takes[name] = true
		}
	}
	for _, name := range m.Arguments {
		refused := slices.Contains(r.Refuse, name) || slices.Contains(b.Stripped, name) || slices.Contains(b.Refused, name)
		switch {
		case takes[name] && refused:
			wrong = append(wrong, fmt.Sprintf("argument %s is taken and refused", name))
		case !takes[name] && !refused:
			wrong = append(wrong, fmt.Sprintf("argument %s is not decided", name))
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(takes)), r.Refuse) {
		if !slices.Contains(m.Arguments, name) && !slices.Contains(r.Extra, name) {
			wrong = append(wrong, fmt.Sprintf("argument %s is none of the package's", name))
		}
	}
	return wrong
}

// complete adds what all of Slack's methods have in common: the path, how they are asked, and that an argument may be in
// the query as well as in the body.
func (op operation) complete() operation {
	reads := op.Action == "Read"
	op.Host, op.Path = "api", "/"+op.ID
	op.Methods = []string{"POST"}
	if reads || op.Deny != "" {
		op.Methods = []string{"GET", "POST"}
	}
	if op.Deny != "" {
		return op
	}
	if reads {
		op.Query = op.Params
	}
	if op.Bodies == nil {
		op.Bodies = []string{"Form", "JSON"}
		if reads {
			op.Bodies = []string{"Form"}
		}
	}
	op.Resources = slices.Clone(op.Resources)
	for i, source := range op.Resources {
		var from []string
		for _, name := range source.From {
			if !strings.Contains(name, "[") {
				from = append(from, "query."+name)
			}
			from = append(from, "body."+name)
		}
		op.Resources[i].From = from
	}
	return op
}
