package connector

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// checkFields refuses body parameters, and values of them, that the operation does not take.
func (call *Call) checkFields() error {
	for _, name := range call.Operation.Forbid {
		if call.find(name) != nil || slices.ContainsFunc(call.form, func(p param) bool { return p.name == name }) {
			return fmt.Errorf("%q may not be given: it would act where no gateway sees it", name)
		}
	}
	for _, name := range call.names() {
		if !call.Operation.takes[name] {
			return fmt.Errorf("parameter %q is not one of %s that are known here", name, call.Operation.ID)
		}
	}
	for _, rule := range call.Operation.Fields {
		list, field, isList := strings.Cut(rule.Path, "[].")
		value := call.find(list)
		if value == nil {
			continue
		}
		if !isList {
			if err := rule.check(value); err != nil {
				return err
			}
			continue
		}
		if err := rule.checkList(value, field); err != nil {
			return err
		}
	}
	return call.checkNested()
}

// names returns those of the body's parameters.
func (call *Call) names() []string {
	var names []string
	for _, p := range call.form {
		names = append(names, p.name)
	}
	for _, m := range call.members {
		names = append(names, m.key)
	}
	return names
}

// checkList checks a field of every object in a list.
func (rule FieldRule) checkList(list []byte, field string) error {
	if string(list) == "null" {
		return nil
	}
	if list[0] != '[' {
		return fmt.Errorf("%s: not a list", rule.Path)
	}
	for element := range elementsOf(list) {
		if element[0] != '{' {
			return fmt.Errorf("%s: not a list of objects", rule.Path)
		}
		there := false
		for _, m := range membersOf(element) {
			if m.key != field {
				continue
			}
			there = true
			if err := rule.check(m.value); err != nil {
				return err
			}
		}
		if !there && rule.Required {
			return fmt.Errorf("%s: missing", rule.Path)
		}
	}
	return nil
}

func (rule FieldRule) check(value []byte) error {
	text, ok := textOf(value)
	if !ok || !slices.ContainsFunc(rule.Allow, func(p v1alpha1.Pattern) bool { return policy.Matches(p, text) }) {
		return fmt.Errorf("%s: not one of the values allowed (%s): others act where no gateway sees it", rule.Path, join(rule.Allow))
	}
	return nil
}

func join(patterns []v1alpha1.Pattern) string {
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = string(p)
	}
	return strings.Join(out, ", ")
}

// find returns a member of the body, or nil.
func (call *Call) find(key string) []byte {
	for _, m := range call.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// set gives parameters the values they always have, and writes the body anew for that.
func (call *Call) set() {
	values := call.Operation.Set
	if len(values) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(values))
	if call.members != nil {
		call.members = slices.DeleteFunc(call.members, func(m member) bool { _, ok := values[m.key]; return ok })
		for _, name := range names {
			call.members = append(call.members, member{key: name, value: strconv.AppendBool(nil, values[name])})
		}
		call.Body = writeObject(call.members)
		return
	}
	call.form = slices.DeleteFunc(call.form, func(p param) bool { _, ok := values[p.name]; return ok })
	for _, name := range names {
		call.form = append(call.form, param{name: name, value: strconv.FormatBool(values[name])})
	}
	call.writeForm()
}

func (call *Call) writeForm() {
	call.Body, call.ContentType = []byte(writeParams(call.form)), "application/x-www-form-urlencoded"
}

func writeObject(members []member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		key, _ := json.Marshal(m.key) // a string can always be written
		out = append(append(append(out, key...), ':'), m.value...)
	}
	return append(out, '}')
}
