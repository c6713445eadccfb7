package connector

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// node is a place in the tree of all paths: one for every segment. What is spelled out wins over a parameter, in each
// segment, and there is no way back: services do not agree on what a path is that begins like one and ends like another.
type node struct {
	literals map[string]*node
	folded   map[string]bool // literals in lower case
	affixes  []*affix        // the most specific first
	param    *node
	rest     *node // where a path ends in {name...}
	ops      []*Operation
}

// affix is a segment of which a part is a parameter.
type affix struct {
	prefix, suffix string
	node           node
}

// add files an operation under its path, and refuses one that could be mistaken for another.
func (n *node) add(op *Operation, segments []segment) error {
	if len(segments) == 0 {
		return n.end(op)
	}
	s := segments[0]
	next, err := n.next(s)
	if err != nil {
		return err
	}
	if s.rest {
		return next.end(op)
	}
	return next.add(op, segments[1:])
}

func (n *node) next(s segment) (*node, error) {
	switch {
	case s.rest:
		if n.rest == nil {
			n.rest = &node{}
		}
		return n.rest, nil
	case s.name == "":
		return n.literal(s.text), nil
	case s.prefix+s.suffix == "":
		if n.param == nil {
			n.param = &node{}
		}
		return n.param, nil
	default:
		return n.affix(s.prefix, s.suffix)
	}
}

func (n *node) literal(text string) *node {
	if n.literals == nil {
		n.literals, n.folded = map[string]*node{}, map[string]bool{}
	}
	if n.literals[text] == nil {
		n.literals[text], n.folded[strings.ToLower(text)] = &node{}, true
	}
	return n.literals[text]
}

func (n *node) affix(prefix, suffix string) (*node, error) {
	added := &affix{prefix: prefix, suffix: suffix}
	at := len(n.affixes)
	for i, other := range n.affixes {
		switch {
		case other.prefix == prefix && other.suffix == suffix:
			return &other.node, nil
		case other.within(added) || added.within(other):
			if added.within(other) {
				at = min(at, i)
			}
		case (strings.HasPrefix(prefix, other.prefix) || strings.HasPrefix(other.prefix, prefix)) &&
			(strings.HasSuffix(suffix, other.suffix) || strings.HasSuffix(other.suffix, suffix)):
			return nil, fmt.Errorf("path: a segment could be both %s{}%s and %s{}%s", prefix, suffix, other.prefix, other.suffix)
		}
	}
	n.affixes = slices.Insert(n.affixes, at, added)
	return &added.node, nil
}

// within reports whether all that is of one is of the other, too.
func (a *affix) within(other *affix) bool {
	return strings.HasPrefix(a.prefix, other.prefix) && strings.HasSuffix(a.suffix, other.suffix)
}

// end files an operation where its path ends.
func (n *node) end(op *Operation) error {
	for _, other := range n.ops {
		if slices.ContainsFunc(op.Methods, other.has) && !apart(op, other) {
			return fmt.Errorf("path: %q with the same method is operation %s already", op.Path, other.ID)
		}
	}
	n.ops = append(n.ops, op)
	return nil
}

// apart reports whether what the operations say of their query tells one from the other: they want different values of
// a parameter, or one wants what the other may not be asked with.
func apart(a, b *Operation) bool {
	for name, value := range a.When {
		if other, ok := b.When[name]; ok && other != value || !ok && !b.asks(name) {
			return true
		}
	}
	for name := range b.When {
		if _, ok := a.When[name]; !ok && !a.asks(name) {
			return true
		}
	}
	return false
}

// asks reports whether a query parameter may be given.
func (op *Operation) asks(name string) bool {
	return slices.Contains(op.Query, name) || slices.Contains(op.judged.query, name)
}

func (op *Operation) has(method string) bool {
	for _, m := range op.Methods {
		if m == method {
			return true
		}
	}
	return false
}

// errEncoded is that a path hides a part that decides what it is.
var errEncoded = errors.New("the path has an escape where an operation's path is spelled out")

// route is where a path leads, with the values of its parameters.
type route struct {
	ops    []*Operation // nil if there are none
	values []string
	plain  bool // no value is written in another way than it was sent
}

// find goes through the tree by a path after its host's base.
func (n *node) find(path string) (route, error) {
	r := route{plain: true}
	if path == "" || path == "/" && n.literals[""] == nil {
		r.ops = n.ops
		return r, nil
	}
	for left, more := path[1:], true; more; {
		var raw string
		whole := left
		raw, left, more = strings.Cut(left, "/")
		if next := n.literals[raw]; next != nil {
			n = next
			continue
		}
		if raw == "" { // a parameter is never empty
			return route{}, nil
		}
		value, err := decodeSegment(raw)
		if err != nil {
			return route{}, err
		}
		if n.literals[value] != nil {
			return route{}, errEncoded
		}
		next, value, err := n.parameter(raw, value)
		if err != nil {
			return route{}, err
		}
		if next == nil {
			if n.rest == nil {
				return route{}, nil
			}
			n, more = n.rest, false
			if value, err = decodeRest(whole); err != nil {
				return route{}, err
			}
			raw = whole
		} else {
			n = next
		}
		r.plain = r.plain && strings.IndexByte(raw, '%') < 0 && isPlain(strings.ReplaceAll(value, "/", ""))
		r.values = append(r.values, value)
	}
	r.ops = n.ops
	return r, nil
}

// parameter finds what a segment is that is not spelled out.
func (n *node) parameter(raw, value string) (next *node, parameter string, err error) {
	if n.param == nil && n.rest == nil && len(n.affixes) == 0 {
		return nil, "", nil
	}
	if n.folded[strings.ToLower(value)] {
		return nil, "", errors.New("the path spells a part of an operation's path in another case")
	}
	slash := strings.ContainsAny(value, `/\`)
	for _, a := range n.affixes {
		if len(value) <= len(a.prefix)+len(a.suffix) || !strings.HasPrefix(value, a.prefix) || !strings.HasSuffix(value, a.suffix) {
			continue
		}
		if len(raw) <= len(a.prefix)+len(a.suffix) || !strings.HasPrefix(raw, a.prefix) || !strings.HasSuffix(raw, a.suffix) {
			return nil, "", errEncoded
		}
		value = value[len(a.prefix) : len(value)-len(a.suffix)]
		if slash {
			return nil, "", errSlash
		}
		return &a.node, value, nil
	}
	switch {
	case slash && n.rest == nil && n.param != nil:
		return nil, "", errSlash
	case slash:
		return nil, "", nil
	default:
		return n.param, value, nil
	}
}

var errSlash = errors.New("the path has an encoded slash or backslash in a parameter that is one segment")

// decodeRest decodes what is left of a path.
func decodeRest(raw string) (string, error) {
	value, err := decodeSegment(raw)
	if err != nil {
		return "", err
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(value, `\`, "/"), "/") {
		if segment == "" {
			return "", errors.New("the path has an empty segment, or ends with a slash")
		}
		if isDots(segment) {
			return "", errDots
		}
	}
	return value, nil
}
