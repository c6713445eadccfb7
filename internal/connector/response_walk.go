package connector

import "fmt"

// view is what is done to one place of an answer, and to the places within it.
type view struct {
	filters  []*Filter         // that decide whether what is here is kept
	check    func([]byte) bool // likewise
	required []string          // places of filters that must be here or further on, for errors
	remove   bool
	members  map[string]*view
	elements *view
}

// filtering is one answer being rewritten.
type filtering struct {
	call    *Call
	sight   *Sight
	failed  bool // the answer is an error of the service: what is missing is not asked for
	removed int
}

// apply writes what may be seen of a value, which is part of a checked document. It is not kept where a filter of it,
// or of what is within it and within no list of its own, does not keep it.
func (f *filtering) apply(v *view, value, out []byte) (result []byte, keep bool, err error) {
	if v == nil || isNull(value) {
		return append(out, value...), true, nil
	}
	if v.check != nil && !v.check(value) {
		return out, false, nil
	}
	for _, filter := range v.filters {
		trimmed, err := f.judge(filter, value)
		if trimmed == nil || err != nil {
			return out, false, err
		}
		value = trimmed
	}
	switch {
	case v.elements != nil && v.members != nil:
		return out, false, errShape
	case v.elements != nil:
		return f.list(v.elements, value, out)
	case v.members != nil:
		return f.object(v, value, out)
	default:
		return append(out, value...), true, nil
	}
}

// judge returns what a filter keeps of a value, or nil.
func (f *filtering) judge(filter *Filter, value []byte) ([]byte, error) {
	if filter.Resource != nil {
		ok, err := f.covered(filter, value)
		if !ok || err != nil {
			return nil, err
		}
	}
	if filter.Author != nil {
		return f.heard(filter.Author, value)
	}
	return value, nil
}

func (f *filtering) list(elements *view, value, out []byte) ([]byte, bool, error) {
	if value[0] != '[' {
		return out, false, errShape
	}
	w := openWith(out, '[')
	for element := range elementsOf(value) {
		if elements.remove {
			f.removed++
			continue
		}
		before, none := w.out, w.none
		written, keep, err := f.apply(elements, element, w.next())
		if err != nil {
			return out, false, err
		}
		if !keep {
			f.removed++
			w.out, w.none = before, none
			continue
		}
		w.out = written
	}
	return append(w.out, ']'), true, nil
}

func (f *filtering) object(v *view, value, out []byte) (_ []byte, keep bool, err error) {
	if value[0] != '{' {
		return out, false, errShape
	}
	w := openWith(out, '{')
	found := 0
	keep = true
	eachMember(value, func(whole []byte, key string, value []byte) bool {
		next := v.members[key]
		if next != nil {
			found++
		}
		if next != nil && next.remove {
			f.removed++
			return true
		}
		w.out, keep, err = f.apply(next, value, append(w.next(), keyOf(whole, value)...))
		return keep && err == nil
	})
	if !keep || err != nil {
		return out, false, err
	}
	if found < len(v.members) && !f.failed {
		if err := v.missing(value); err != nil {
			return out, false, err
		}
	}
	return append(w.out, '}'), true, nil
}

// missing returns an error for a place that a filter must find and that is not there.
func (v *view) missing(value []byte) error {
	for key, next := range v.members {
		if len(next.required) > 0 && memberOf(value, key) == nil {
			return fmt.Errorf("%s is missing: without it nothing tells what the agent may see", next.required[0])
		}
	}
	return nil
}
