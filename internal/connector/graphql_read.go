package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// graphReader goes through a document, and writes it anew.
type graphReader struct {
	call      *Call
	doc       *ast.QueryDocument
	op        *ast.OperationDefinition
	variables []byte // an object, null or nil
	out       []byte
	count     int
	open      []string // fragments around
}

var errNotListed = errors.New("it is not one of those that are known here")

func (r *graphReader) read(root *graphField) error {
	if root == nil {
		return fmt.Errorf("a %s is not allowed here", r.op.Operation)
	}
	if len(r.op.Directives) > 0 {
		return errors.New("directives are not allowed")
	}
	r.write(string(r.op.Operation))
	if r.op.Name != "" {
		r.write(" ", r.op.Name)
	}
	if err := r.definitions(); err != nil {
		return err
	}
	before := r.count
	if err := r.selections(r.op.SelectionSet, root, nil); err != nil {
		return err
	}
	if r.op.Operation != ast.Mutation {
		return nil
	}
	f, ok := r.op.SelectionSet[0].(*ast.Field)
	if !ok || len(r.op.SelectionSet) != 1 || r.count == before || f.Name == "__typename" {
		return errors.New("a mutation has exactly one field, so that it is one action")
	}
	r.call.Action = root.fields[f.Name].action
	return nil
}

// definitions writes the variables' definitions.
func (r *graphReader) definitions() error {
	for i, d := range r.op.VariableDefinitions {
		if len(d.Directives) > 0 || r.definition(d.Variable) != d {
			return fmt.Errorf("variable %.60q has directives, or is there twice", d.Variable)
		}
		separator := ", "
		if i == 0 {
			separator = "("
		}
		r.write(separator, "$", d.Variable, ": ", d.Type.String())
		if d.DefaultValue != nil {
			if _, err := r.resolve(d.DefaultValue, 0); err != nil || hasVariable(d.DefaultValue) {
				return fmt.Errorf("variable %.60q: its default is not a value", d.Variable)
			}
			r.write(" = ")
			r.value(d.DefaultValue)
		}
	}
	if len(r.op.VariableDefinitions) > 0 {
		r.write(")")
	}
	return nil
}

// selections reads what is selected of a field, at a path from the root.
func (r *graphReader) selections(set ast.SelectionSet, of *graphField, path []string) error {
	if len(path)+len(r.open) > maxGraphDepth {
		return fmt.Errorf("it is deeper than %d fields and fragments", maxGraphDepth)
	}
	r.write(" {")
	for _, s := range set {
		if r.count++; r.count > maxGraphFields || len(r.out) > maxGraphWritten {
			return fmt.Errorf("it selects more than %d fields, or is too long", maxGraphFields)
		}
		r.write(" ")
		var err error
		switch s := s.(type) {
		case *ast.Field:
			err = r.field(s, of, path)
		case *ast.InlineFragment:
			r.open = append(r.open, "")
			err = r.fragment(s.TypeCondition, s.Directives, s.SelectionSet, of, path)
			r.open = r.open[:len(r.open)-1]
		case *ast.FragmentSpread:
			err = r.spread(s, of, path)
		}
		if err != nil {
			return err
		}
	}
	r.write(" }")
	return nil
}

func (r *graphReader) field(f *ast.Field, of *graphField, path []string) error {
	path = append(slices.Clip(path), f.Name)
	where := strings.Join(path, ".")
	switch {
	case f.Alias != f.Name:
		return fmt.Errorf("%.200s: aliases are not allowed: ask for it by its name", where)
	case len(f.Directives) > 0:
		return fmt.Errorf("%.200s: directives are not allowed", where)
	case f.Name == "__typename" && len(f.Arguments) == 0 && len(f.SelectionSet) == 0:
		r.write(f.Name)
		return nil
	}
	known := of.fields[f.Name]
	if known == nil || len(f.SelectionSet) == 0 && !known.leaf {
		return fmt.Errorf("field %.200s: %w", where, errNotListed)
	}
	r.write(f.Name)
	if err := r.arguments(f, known, where); err != nil {
		return fmt.Errorf("field %.200s: %w", where, err)
	}
	if len(f.SelectionSet) == 0 {
		return nil
	}
	return r.selections(f.SelectionSet, known, path)
}

func (r *graphReader) spread(s *ast.FragmentSpread, of *graphField, path []string) error {
	var def *ast.FragmentDefinition
	for _, f := range r.doc.Fragments {
		if f.Name == s.Name && def != nil {
			return fmt.Errorf("fragment %.60q is there twice", s.Name)
		} else if f.Name == s.Name {
			def = f
		}
	}
	if def == nil || slices.Contains(r.open, s.Name) || len(s.Directives) > 0 || len(def.VariableDefinition) > 0 {
		return fmt.Errorf("fragment %.60q is not there, is within itself, or has directives or variables", s.Name)
	}
	r.open = append(r.open, s.Name)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	return r.fragment(def.TypeCondition, def.Directives, def.SelectionSet, of, path)
}

// fragment writes what a fragment selects where it is used. Fields are judged by their path, whatever type they are of.
func (r *graphReader) fragment(on string, directives ast.DirectiveList, set ast.SelectionSet, of *graphField, path []string) error {
	if len(directives) > 0 {
		return errors.New("directives are not allowed")
	}
	r.write("...")
	if on != "" {
		r.write(" on ", on)
	}
	return r.selections(set, of, path)
}

func (r *graphReader) arguments(f *ast.Field, known *graphField, where string) error {
	given := map[string]bool{}
	for i, a := range f.Arguments {
		if _, ok := known.arguments[a.Name]; !ok || given[a.Name] {
			return fmt.Errorf("argument %.60q: %w, or it is there twice", a.Name, errNotListed)
		}
		value, err := r.resolve(a.Value, 0)
		if err != nil {
			return fmt.Errorf("argument %.60q: %w", a.Name, err)
		}
		if err := r.note(where+"."+a.Name, value); err != nil {
			return err
		}
		given[a.Name] = value != nil && !isNull(value)
		separator := ", "
		if i == 0 {
			separator = "("
		}
		r.write(separator, a.Name, ": ")
		r.value(a.Value)
	}
	if len(f.Arguments) > 0 {
		r.write(")")
	}
	for name, must := range known.arguments {
		if must && !given[name] {
			return fmt.Errorf("argument %q is missing", name)
		}
	}
	return nil
}

// note keeps what an argument is, for the resources that are found in it.
func (r *graphReader) note(key string, value []byte) error {
	i := slices.IndexFunc(r.call.arguments, func(m member) bool { return m.key == key })
	switch {
	case i >= 0 && !bytes.Equal(r.call.arguments[i].value, value):
		return errors.New("it is selected twice, with different arguments")
	case i < 0:
		r.call.arguments = append(r.call.arguments, member{key: key, value: value})
	}
	return nil
}

func (r *graphReader) definition(name string) *ast.VariableDefinition {
	for _, d := range r.op.VariableDefinitions {
		if d.Variable == name {
			return d
		}
	}
	return nil
}

func (r *graphReader) write(parts ...string) {
	for _, p := range parts {
		r.out = append(r.out, p...)
	}
}

// quote writes a text as JSON does, and as GraphQL reads it, too.
func quote(text string) []byte {
	quoted, _ := json.Marshal(text) // a string can always be written
	return quoted
}
