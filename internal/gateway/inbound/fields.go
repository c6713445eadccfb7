package inbound

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// fields is a JSON object read field by field, by their exact names: encoding/json would take User
// for user, which the agent's own reader does not. The first error is kept.
type fields struct {
	raw map[string]json.RawMessage
	err error
}

func readFields(doc []byte) (*fields, error) {
	f := &fields{}
	if doc = bytes.TrimSpace(doc); len(doc) == 0 || doc[0] != '{' {
		return nil, errors.New("an object is expected")
	}
	if err := json.Unmarshal(doc, &f.raw); err != nil {
		return nil, err
	}
	return f, nil
}

// has reports whether a field is there, and neither null, false nor empty.
func (f *fields) has(name string) bool {
	switch string(f.raw[name]) {
	case "", "null", "false", `""`:
		return false
	}
	return true
}

// text is a field that must be a string where it is there.
func (f *fields) text(name string) (value string) {
	f.into(name, &value)
	return value
}

// flag is a field that must be a boolean where it is there.
func (f *fields) flag(name string) (value bool) {
	f.into(name, &value)
	return value
}

// number is a field that must be a number where it is there.
func (f *fields) number(name string) (value json.Number) {
	if raw := f.raw[name]; len(raw) > 0 && raw[0] == '"' {
		f.fail(fmt.Errorf("%s is not a number", name))
		return ""
	}
	f.into(name, &value)
	return value
}

// list is a field that must be a list where it is there.
func (f *fields) list(name string) (value []json.RawMessage) {
	f.into(name, &value)
	return value
}

func (f *fields) into(name string, value any) {
	raw, ok := f.raw[name]
	if !ok {
		return
	}
	if err := json.Unmarshal(raw, value); err != nil {
		f.fail(fmt.Errorf("%s is not of the expected type", name))
	}
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}
