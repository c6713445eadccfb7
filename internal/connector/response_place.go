package connector

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// hop is one step on the way to a place in an answer: to a member, or, where its key is empty, into each element of a
// list.
type hop struct{ key string }

// each reports whether the hop goes into the elements of a list.
func (h hop) each() bool { return h.key == "" }

// readHops reads a place in an answer: messages[], items[].user.login, or [] where the answer is a list. Nothing, or a
// dot, is where one is.
func readHops(text string) (hops []hop, err error) {
	if text == "" || text == "." {
		return nil, nil
	}
	rest := text
	for strings.HasPrefix(rest, "[]") {
		hops, rest = append(hops, hop{}), strings.TrimPrefix(rest[2:], ".")
		if rest == "" {
			return hops, nil
		}
	}
	for name := range strings.SplitSeq(rest, ".") {
		if !stepShape.MatchString(name) {
			return nil, fmt.Errorf("%q is not a place in an answer: %q is not NAME or NAME[]", text, name)
		}
		key, each := strings.CutSuffix(name, "[]")
		if hops = append(hops, hop{key: key}); each {
			hops = append(hops, hop{})
		}
	}
	return hops, nil
}

// readInnerHops reads a place that is not the whole answer.
func readInnerHops(text string) ([]hop, error) {
	hops, err := readHops(text)
	if err == nil && len(hops) == 0 {
		err = fmt.Errorf("%q is not a place in an answer: NAME, NAME.NAME, NAME[].NAME", text)
	}
	return hops, err
}

// errShape is an answer that is not built as the catalogue says.
var errShape = errors.New("it is not built as the catalogue says: an object or a list is something else")

// eachAt shows every value at a place within a value that is part of a checked document. What is missing or null on the
// way is no error.
func eachAt(value []byte, hops []hop, show func([]byte) error) error {
	if len(hops) == 0 {
		return show(value)
	}
	if isNull(value) {
		return nil
	}
	here, rest := hops[0], hops[1:]
	if here.each() {
		if value[0] != '[' {
			return errShape
		}
		for element := range elementsOf(value) {
			if err := eachAt(element, rest, show); err != nil {
				return err
			}
		}
		return nil
	}
	if value[0] != '{' {
		return errShape
	}
	if found := memberOf(value, here.key); found != nil {
		return eachAt(found, rest, show)
	}
	return nil
}

// textAt returns the one text at a place, or nothing where it is missing, something else, or there several times.
func textAt(value []byte, hops []hop) string {
	found, count := "", 0
	err := eachAt(value, hops, func(raw []byte) error {
		count++
		found, _ = nameOf(raw)
		return nil
	})
	if err != nil || count != 1 {
		return ""
	}
	return found
}

// nameOf returns what a value is as a name: a string, or a whole number as its digits.
func nameOf(raw []byte) (string, bool) { return found{raw: raw}.name(false) }

// memberOf returns a member of an object, or nil.
func memberOf(value []byte, key string) (result []byte) {
	eachMember(value, func(_ []byte, k string, v []byte) bool {
		if k == key {
			result = v
		}
		return result == nil
	})
	return result
}

// textOfMember returns the text of a member of an object, or nothing.
func textOfMember(value []byte, key string) string {
	text, _ := textOf(memberOf(value, key))
	return text
}

// hasMember reports whether an object has a member that is neither null, false nor empty.
func hasMember(value []byte, key string) bool {
	switch string(memberOf(value, key)) {
	case "", "null", "false", `""`, "[]", "{}", "0":
		return false
	}
	return true
}

func isNull(value []byte) bool { return string(value) == "null" }

// eachMember shows the members of a value that is part of a checked document: all of it as it is written, its key and
// its value. There are none if it is no object.
func eachMember(value []byte, show func(whole []byte, key string, value []byte) bool) {
	if len(value) == 0 || value[0] != '{' {
		return
	}
	s := scanner{data: value, checked: true, pos: 1}
	for s.space(); s.peek() == '"'; {
		start := s.pos
		key, err := s.key()
		if err != nil {
			return
		}
		s.space()
		s.pos++
		s.space()
		from := s.pos
		if s.value(1) != nil || !show(value[start:s.pos], key, value[from:s.pos]) {
			return
		}
		if done, err := s.next('}'); done || err != nil {
			return
		}
	}
}

// commaWriter puts a list or an object together out of what is kept.
type commaWriter struct {
	out  []byte
	none bool // nothing was written yet
}

func openWith(out []byte, bracket byte) commaWriter {
	return commaWriter{out: append(out, bracket), none: true}
}

// next returns what to append the next member or element to.
func (w *commaWriter) next() []byte {
	if w.none {
		w.none = false
		return w.out
	}
	return append(w.out, ',')
}

// keyOf is how a member's key is written, with the colon.
func keyOf(whole, value []byte) []byte { return bytes.TrimSuffix(whole, value) }
