package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// checkRules refuses parameters, and values of them, that the operation does not take.
func (call *Call) checkRules() error {
	if call.kind == BodyMCP {
		return nil // who read it judged all of it
	}
	op := call.Operation
	for i := range op.judged.forbid {
		p := &op.judged.forbid[i]
		err := call.visit(p, func(f found) error {
			if f.missing {
				return nil
			}
			return fmt.Errorf("%q may not be given: it would act where no gateway sees it", p.text)
		})
		if err != nil || call.file(p.steps[0].key) {
			return errors.Join(fmt.Errorf("%q may not be given", p.text), err)
		}
	}
	if err := call.checkNames(); err != nil {
		return err
	}
	if err := call.checkFields(); err != nil {
		return err
	}
	for i := range op.Values {
		rule := &op.Values[i]
		if err := call.visit(&rule.place, rule.check); err != nil {
			return fmt.Errorf("%s: %w", rule.At, err)
		}
	}
	for i := range op.Keys {
		rule := &op.Keys[i]
		if err := call.visit(&rule.place, rule.check); err != nil {
			return fmt.Errorf("%s: %w", rule.At, err)
		}
	}
	return call.checkNested()
}

// checkNames refuses body parameters that are not known.
func (call *Call) checkNames() error {
	op := call.Operation
	for name := range call.names() {
		if !op.takes(name, call.kind) {
			return fmt.Errorf("parameter %q is not one of %s that are known here", name, op.ID)
		}
	}
	return nil
}

// notTaken are names that change how the whole body is read.
const notTaken = "_charset_"

func (op *Operation) takes(name string, kind BodyKind) bool {
	if slices.Contains(op.judged.takes, name) {
		return true
	}
	if kind == BodyGraphQL && slices.Contains(graphQLParams, name) {
		return true
	}
	return op.judged.any && name != notTaken
}

// graphQLParams are the parameters of a query (GraphQL over HTTP).
var graphQLParams = []string{"query", "variables", "operationName", "extensions"}

// names goes through those of the body's parameters; files that may have any name are none.
func (call *Call) names() func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, p := range call.form {
			if !yield(p.name) {
				return
			}
		}
		for _, m := range call.members {
			if !yield(m.key) {
				return
			}
		}
		for _, f := range call.files {
			if !call.Operation.Files && !yield(f.name) {
				return
			}
		}
	}
}

// file reports whether a file of that name is in the body.
func (call *Call) file(name string) bool {
	return slices.ContainsFunc(call.files, func(f file) bool { return f.name == name })
}

func (call *Call) checkFields() error {
	for i := range call.Operation.Fields {
		rule := &call.Operation.Fields[i]
		if err := call.visit(&rule.place, rule.check); err != nil {
			return fmt.Errorf("%s: %w", rule.Path, err)
		}
	}
	return nil
}

func (rule *FieldRule) check(f found) error {
	if f.missing {
		if rule.Required {
			return errors.New("missing")
		}
		return nil
	}
	text, ok := f.scalar()
	if !ok || !slices.ContainsFunc(rule.Allow, func(p v1alpha1.Pattern) bool { return policy.Matches(p, text) }) {
		return fmt.Errorf("not one of the values allowed (%s): others act where no gateway sees it", join(rule.Allow))
	}
	return nil
}

// scalar returns a string, a number or a boolean as it is written.
func (f found) scalar() (string, bool) {
	if f.raw == nil {
		return f.text, true
	}
	if text, ok := textOf(f.raw); ok {
		return text, true
	}
	return string(f.raw), f.raw[0] != '{' && f.raw[0] != '[' && f.raw[0] != 'n'
}

func (rule *ValueRule) check(f found) error {
	if f.missing || f.raw != nil && string(f.raw) == "null" {
		return nil
	}
	text, ok := f.scalar()
	if !ok || rule.shape != nil && !rule.shape.MatchString(text) || rule.except != nil && rule.except.MatchString(text) {
		return errors.New("the value is not one that is allowed here: it could act where no gateway sees it")
	}
	return nil
}

func (rule *KeyRule) check(f found) error {
	if f.missing || f.raw != nil && string(f.raw) == "null" {
		return nil
	}
	raw := f.raw
	if f.raw == nil { // of a form
		raw = []byte(strings.TrimSpace(f.text))
		if err := checkValue(raw); err != nil {
			return err
		}
	}
	if raw[0] != '{' {
		return errKind
	}
	for _, m := range membersOf(raw) {
		if !slices.Contains(rule.Allow, m.key) {
			return fmt.Errorf("%q is not one of the members that are known here", m.key)
		}
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
func (call *Call) set() error {
	settings := call.Operation.judged.set
	if len(settings) == 0 {
		return nil
	}
	isSet := func(name string) bool {
		return slices.ContainsFunc(settings, func(s setting) bool { return s.name == name })
	}
	if call.kind == "" { // there is no body yet
		call.kind = call.Operation.Bodies[0]
	}
	if call.kind == BodyForm || call.kind == BodyMultipart {
		call.form = slices.DeleteFunc(call.form, func(p param) bool { return isSet(p.name) })
		for _, s := range settings {
			text, ok := textOf(s.raw)
			if !ok {
				text = string(s.raw)
			}
			call.form = append(call.form, param{name: s.name, value: text})
		}
	} else {
		call.members = slices.DeleteFunc(call.members, func(m member) bool { return isSet(m.key) })
		for _, s := range settings {
			call.members = append(call.members, member{key: s.name, value: s.raw})
		}
	}
	return call.write()
}

// write writes the body of what is known of it.
func (call *Call) write() error {
	switch call.kind {
	case BodyForm:
		call.writeForm()
	case BodyMultipart:
		return call.writeMultipart()
	case BodyRelated:
		return call.writeRelated()
	default:
		call.Body, call.ContentType = writeObject(call.members), jsonMedia+"; charset=utf-8"
	}
	return nil
}

func (call *Call) writeForm() {
	call.Body, call.ContentType = []byte(writeParams(call.form)), formMedia
}

func writeObject(members []member) []byte {
	size := 2
	for _, m := range members {
		size += len(m.key) + len(m.value) + 4
	}
	out := append(make([]byte, 0, size), '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		key, _ := json.Marshal(m.key) // a string can always be written
		out = append(append(append(out, key...), ':'), m.value...)
	}
	return append(out, '}')
}
