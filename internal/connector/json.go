package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
)

// JSON is read by a scanner of our own, because two readers of one document must never disagree about what it
// says: a key that is there twice (at any depth), bytes after the document, invalid UTF-8, half a surrogate
// pair in a key and nesting without end are errors here, where encoding/json and many a service let them pass.

const (
	maxDepth = 64
	maxKey   = 1024
	maxKeys  = 4096 // of one object: each takes far more memory than it has bytes
)

// member is one key and its value in an object.
type member struct {
	key   string
	value []byte // as it was written, without white space around it
}

// readObject checks a whole document, which must be an object, and returns its members.
func readObject(doc []byte) ([]member, error) {
	s := scanner{data: doc}
	s.space()
	if s.peek() != '{' {
		return nil, errors.New("the body is not a JSON object")
	}
	var members []member
	if err := s.object(0, &members); err != nil {
		return nil, fmt.Errorf("the body is not acceptable JSON: %w (at byte %d)", err, s.pos)
	}
	s.space()
	if s.pos != len(doc) {
		return nil, fmt.Errorf("the body has something after its JSON (at byte %d)", s.pos)
	}
	return members, nil
}

// checkValue checks a whole document of any kind.
func checkValue(doc []byte) error {
	s := scanner{data: doc}
	s.space()
	if err := s.value(0); err != nil {
		return fmt.Errorf("it is not acceptable JSON: %w (at byte %d)", err, s.pos)
	}
	s.space()
	if s.pos != len(doc) {
		return fmt.Errorf("it has something after its JSON (at byte %d)", s.pos)
	}
	return nil
}

// membersOf returns the members of a value that is part of a checked document; nil if it is no object.
func membersOf(value []byte) []member {
	if len(value) == 0 || value[0] != '{' {
		return nil
	}
	var members []member
	s := scanner{data: value, checked: true}
	if s.object(0, &members) != nil {
		return nil
	}
	return members
}

// elementsOf goes through the elements of a value that is part of a checked document; there are none if it is no list.
// It does not gather them: a list of digits would become twelve times as large.
func elementsOf(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(value) > 0 && value[0] == '[' {
			s := scanner{data: value, checked: true}
			_ = s.array(0, yield)
		}
	}
}

// textOf decodes a value that is part of a checked document; ok is false if it is no string.
func textOf(value []byte) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	return text, json.Unmarshal(value, &text) == nil
}
