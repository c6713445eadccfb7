package connector

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// place is where something is in a request.
type place struct {
	text  string // as the catalogue spells it
	kind  placeKind
	steps []step // of mail and of paths, one
}

type placeKind string

const (
	inPath  placeKind = "path"
	inQuery placeKind = "query"
	inBody  placeKind = "body"
	inMail  placeKind = "mail"
	// of a field that a GraphQL document selects: argument.FIELD.NAME
	inArgument placeKind = "argument"
)

// step is one step on the way to a place.
type step struct {
	key  string
	each bool // and from there into every element of a list
}

var stepShape = regexp.MustCompile(`^[A-Za-z0-9_$@-]+(\[\])?$`)

// readPlace reads a place that begins with where it is: path.owner.
func readPlace(text string) (place, error) {
	kind, rest, ok := strings.Cut(text, ".")
	p := place{text: text, kind: placeKind(kind)}
	if !ok {
		return p, fmt.Errorf("%q is not path.NAME, query.NAME, body.NAME, mail.from or mail.recipients", text)
	}
	for name := range strings.SplitSeq(rest, ".") {
		if !stepShape.MatchString(name) {
			return p, fmt.Errorf("%q is not a place: %q is not NAME or NAME[]", text, name)
		}
		key, each := strings.CutSuffix(name, "[]")
		p.steps = append(p.steps, step{key: key, each: each})
	}
	switch p.kind {
	case inBody:
		return p, nil
	case inArgument:
		if len(p.steps) < 2 {
			return p, fmt.Errorf("%q is not argument.FIELD.NAME", text)
		}
		return p, nil
	case inQuery, inPath, inMail:
		if len(p.steps) > 1 || p.steps[0].each && p.kind != inQuery || p.kind == inMail && rest != mailFrom && rest != mailRecipients {
			return p, fmt.Errorf("%q is not a place: there is nothing within it", text)
		}
		return p, nil
	default:
		return p, fmt.Errorf("%q is not path.NAME, query.NAME, body.NAME, mail.from or mail.recipients", text)
	}
}

// readBodyPlace reads a place that is in the body where it does not say otherwise.
func readBodyPlace(text string) (place, error) {
	kind, _, ok := strings.Cut(text, ".")
	if ok && (placeKind(kind) == inQuery || placeKind(kind) == inBody) {
		return readPlace(text)
	}
	p, err := readPlace("body." + text)
	p.text = text
	return p, err
}

// deep reports whether the place goes on into JSON.
func (p *place) deep() bool { return p.kind == inBody && (len(p.steps) > 1 || p.steps[0].each) }

// found is one value at a place: a piece of checked JSON, or a text. Where an object lacks what is looked for, that is
// found, too.
type found struct {
	raw     []byte
	text    string
	missing bool
}

// errKind is what is at a place where something else was expected.
var errKind = errors.New("it is not what it should be there: an object, a list or a text")

// visit shows every value at a place. Whole lists and objects are not shown for a place that goes into them.
func (call *Call) visit(p *place, show func(found) error) error {
	name := p.steps[0].key
	switch p.kind {
	case inPath:
		if value, ok := call.parameter(name); ok {
			return show(found{text: value})
		}
	case inQuery:
		for _, q := range call.query {
			if q.name == name {
				if err := show(found{text: q.value}); err != nil {
					return err
				}
			}
		}
	case inBody:
		if raw := call.find(name); raw != nil {
			return call.within(p, raw, show)
		}
		for _, q := range call.form {
			if q.name == name {
				return call.withinText(p, q.value, show)
			}
		}
	case inMail:
		return call.mail.visit(name, show)
	case inArgument:
		return call.visitArgument(p, show)
	}
	return nil
}

// within goes on from a parameter of a JSON body.
func (call *Call) within(p *place, raw []byte, show func(found) error) error {
	if text, ok := textOf(raw); ok && p.deep() {
		return call.withinText(p, text, show)
	}
	return walk(raw, p.steps, show)
}

// withinText goes on from a text: into its JSON, if the place does.
func (call *Call) withinText(p *place, text string, show func(found) error) error {
	trimmed := strings.TrimSpace(text)
	switch {
	case !p.deep():
		return show(found{text: text})
	case trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[':
		if len(p.steps) == 1 { // one text where a list of them could be
			return show(found{text: text})
		}
		return errKind
	}
	doc := []byte(trimmed)
	if err := checkValue(doc); err != nil {
		return err
	}
	return walk(doc, p.steps, show)
}

// walk goes from the value of the first step to those of the last one.
func walk(raw []byte, steps []step, show func(found) error) error {
	here, rest := steps[0], steps[1:]
	if here.each {
		if string(raw) == "null" {
			return nil
		}
		if raw[0] != '[' {
			return errKind
		}
		for element := range elementsOf(raw) {
			if err := descend(element, rest, show); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rest) > 0 && string(raw) == "null" {
		return nil
	}
	return descend(raw, rest, show)
}

// descend shows a value, or goes on into it.
func descend(raw []byte, rest []step, show func(found) error) error {
	if len(rest) == 0 {
		return show(found{raw: raw})
	}
	if raw[0] != '{' {
		return errKind
	}
	var value []byte
	for _, m := range membersOf(raw) {
		switch {
		case m.key == rest[0].key:
			value = m.value
		case strings.EqualFold(m.key, rest[0].key):
			return fmt.Errorf("a member is called %q, which could be taken for %q", m.key, rest[0].key)
		}
	}
	if value == nil {
		return show(found{missing: true})
	}
	return walk(value, rest, show)
}
