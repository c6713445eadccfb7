package connector

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Services fetch what a body refers to: an image by its URL, a page for a preview. For an agent that may reach nothing
// itself that would be a way out, in whichever corner of the body the reference is.

// checkNested refuses values the operation's rules about what is within parameters do not allow.
func (call *Call) checkNested() error {
	if len(call.Operation.Nested) == 0 {
		return nil
	}
	for name := range call.names() {
		rules := within(call.Operation.Nested, func(r NestedRule) bool { return slices.Contains(r.In, name) })
		if len(rules) == 0 {
			continue
		}
		value, err := call.document(name)
		if err == nil {
			err = look(value, rules)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func within(rules []NestedRule, keep func(NestedRule) bool) []NestedRule {
	if !slices.ContainsFunc(rules, func(r NestedRule) bool { return !keep(r) }) {
		return rules
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r NestedRule) bool { return !keep(r) })
}

// document returns a body parameter as checked JSON, or nil.
func (call *Call) document(name string) ([]byte, error) {
	value := call.find(name)
	text, isText := textOf(value)
	for _, p := range call.form {
		if p.name == name {
			text, isText = p.value, true
		}
	}
	if !isText {
		return value, nil
	}
	text = strings.TrimSpace(text)
	if text == "" || text[0] != '[' && text[0] != '{' {
		return nil, nil // plain text
	}
	return []byte(text), checkValue([]byte(text))
}

// look goes through a value of any depth.
func look(value []byte, rules []NestedRule) error {
	if len(value) == 0 || len(rules) == 0 || value[0] != '[' && value[0] != '{' {
		return nil
	}
	for e := range elementsOf(value) {
		if err := look(e, rules); err != nil {
			return err
		}
	}
	for _, m := range membersOf(value) {
		for _, rule := range rules {
			if err := rule.check(m); err != nil {
				return err
			}
		}
		if err := look(m.value, within(rules, func(r NestedRule) bool { return !slices.Contains(r.Except, m.key) })); err != nil {
			return err
		}
	}
	return nil
}

// check checks one member of an object.
func (rule NestedRule) check(m member) error {
	key, name, inside := strings.Cut(rule.Key, ".")
	if m.key != key || string(m.value) == "null" {
		return nil
	}
	value := m.value
	if inside {
		if value[0] != '{' {
			return nil
		}
		value = nil
		for _, inner := range membersOf(m.value) {
			if inner.key == name {
				value = inner.value
			}
		}
	}
	text, ok := textOf(value)
	switch {
	case !ok && !inside && len(rule.Allow) > 0: // an object, which has a rule of its own
		return nil
	case !ok || !slices.ContainsFunc(rule.Allow, func(p v1alpha1.Pattern) bool { return policy.Matches(p, text) }):
		return fmt.Errorf("%s is not one of the values allowed (%s): the service would fetch it for the agent, or hand out what is not the agent's", rule.Key, join(rule.Allow))
	}
	return nil
}
