package connector

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/ast"
)

// errValue is a value that others could read in another way.
var errValue = errors.New("its value is not understood: put it into a variable")

// resolve returns what a value comes to, as JSON; nil for a variable that has no value.
func (r *graphReader) resolve(v *ast.Value, depth int) ([]byte, error) {
	if v == nil || depth > maxGraphDepth {
		return nil, errValue
	}
	switch v.Kind {
	case ast.Variable:
		return r.variable(v.Raw, depth)
	case ast.IntValue, ast.FloatValue, ast.BooleanValue, ast.NullValue:
		if checkValue([]byte(v.Raw)) != nil {
			return nil, errValue
		}
		return []byte(v.Raw), nil
	case ast.StringValue, ast.BlockValue, ast.EnumValue:
		if !utf8.ValidString(v.Raw) || strings.ContainsRune(v.Raw, utf8.RuneError) {
			return nil, errValue
		}
		return quote(v.Raw), nil
	case ast.ListValue:
		w := openWith(nil, '[')
		for _, c := range v.Children {
			value, err := r.resolve(c.Value, depth+1)
			if err != nil {
				return nil, err
			}
			if value == nil {
				value = []byte("null")
			}
			w.out = append(w.next(), value...)
		}
		return append(w.out, ']'), nil
	case ast.ObjectValue:
		return r.resolveObject(v, depth)
	default:
		return nil, errValue
	}
}

func (r *graphReader) resolveObject(v *ast.Value, depth int) ([]byte, error) {
	var members []member
	seen := map[string]bool{}
	for _, c := range v.Children {
		value, err := r.resolve(c.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("%.60q is there twice", c.Name)
		}
		if seen[c.Name] = true; value != nil {
			members = append(members, member{key: c.Name, value: value})
		}
	}
	return writeObject(members), nil
}

func (r *graphReader) variable(name string, depth int) ([]byte, error) {
	def := r.definition(name)
	if def == nil {
		return nil, fmt.Errorf("variable %.60q is not defined", name)
	}
	if value := memberOf(r.variables, name); value != nil {
		return value, nil
	}
	if def.DefaultValue == nil {
		return nil, nil
	}
	if hasVariable(def.DefaultValue) {
		return nil, errValue
	}
	return r.resolve(def.DefaultValue, depth+1)
}

// hasVariable reports whether there is a variable in a value.
func hasVariable(v *ast.Value) bool {
	if v.Kind == ast.Variable {
		return true
	}
	for _, c := range v.Children {
		if hasVariable(c.Value) {
			return true
		}
	}
	return false
}

// value writes a value that has been resolved, and so is one we understand.
func (r *graphReader) value(v *ast.Value) {
	switch v.Kind {
	case ast.Variable:
		r.write("$", v.Raw)
	case ast.StringValue, ast.BlockValue:
		r.out = append(r.out, quote(v.Raw)...)
	case ast.ListValue:
		r.write("[")
		for i, c := range v.Children {
			if i > 0 {
				r.write(", ")
			}
			r.value(c.Value)
		}
		r.write("]")
	case ast.ObjectValue:
		r.write("{")
		for i, c := range v.Children {
			if i > 0 {
				r.write(", ")
			}
			r.write(c.Name, ": ")
			r.value(c.Value)
		}
		r.write("}")
	default:
		r.write(v.Raw)
	}
}
