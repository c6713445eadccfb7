package policy

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// space holds the names that all entries of one list name at one connector, so that each pattern of a policy
// is looked up once, for all of them together. Each entry has a region of its own in it.
type space struct {
	kinds map[string]*names
	words int
}

// region is an entry's part of the sets of a space.
type region struct{ from, to int }

// of returns an entry's part of a set; nil is the empty set.
func (r region) of(s set) set {
	if s == nil {
		return make(set, r.to-r.from)
	}
	return s[r.from:r.to:r.to]
}

// names are those of one kind, in order: of the same text, the exact one is before the one with a "*".
type names struct {
	sorted  []name
	lengths []int // of the texts that have a "*", each once
	odd     []int // the places of what is no pattern
	exact   map[string]stretch
	open    map[string]stretch // those with a "*"
}

type name struct {
	text   string
	prefix bool
	place  int
}

// take reserves a region for an entry of n names.
func (s *space) take(n int) region {
	r := region{s.words, s.words + wordsFor(n)}
	s.words = r.to
	return r
}

// add puts a pattern at a place of a region.
func (s *space) add(r region, kind string, p v1alpha1.Pattern, i int) {
	text, prefix, ok := split(p)
	s.put(r, kind, name{text: text, prefix: prefix, place: i}, ok)
}

// put is add for what is taken apart already; what is not ok is no pattern.
func (s *space) put(r region, kind string, n name, ok bool) {
	if s.kinds == nil {
		s.kinds = map[string]*names{}
	}
	at := s.kinds[kind]
	if at == nil {
		at = &names{}
		s.kinds[kind] = at
	}
	n.place += r.from * 64
	if !ok {
		at.odd = append(at.odd, n.place)
		return
	}
	at.sorted = append(at.sorted, n)
}

// covered adds the names of a kind that one of the patterns covers to out, which is made when the first is found.
func (s *space) covered(out set, kind string, allowed []v1alpha1.Pattern) set {
	n := s.kinds[kind]
	if n == nil {
		return out
	}
	n.prepare()
	found := make([]stretch, 0, len(allowed))
	for _, p := range allowed {
		text, prefix, ok := split(p)
		switch {
		case !ok:
		case prefix:
			found = append(found, n.startingWith(text))
		default:
			found = append(found, n.exact[text])
		}
	}
	return s.fill(out, n, found)
}

// overlapped adds the names of a kind that one of the patterns overlaps to out. What is no pattern, here or
// there, overlaps everything.
func (s *space) overlapped(out set, kind string, denied []v1alpha1.Pattern) set {
	n := s.kinds[kind]
	if n == nil || len(denied) == 0 {
		return out
	}
	n.prepare()
	found := make([]stretch, 0, len(denied))
	for _, p := range denied {
		text, prefix, ok := split(p)
		if !ok {
			return s.all(out, kind)
		}
		if prefix {
			found = append(found, n.startingWith(text))
		} else {
			found = append(found, n.exact[text])
		}
		for _, l := range n.lengths {
			if l > len(text) {
				break
			}
			found = append(found, n.open[text[:l]])
		}
	}
	return s.mark(s.fill(out, n, found), n.odd)
}

// all adds every name of a kind to out.
func (s *space) all(out set, kind string) set {
	n := s.kinds[kind]
	if n == nil {
		return out
	}
	return s.mark(s.fill(out, n, []stretch{{0, len(n.sorted)}}), n.odd)
}

// everything adds every name of every kind to out.
func (s *space) everything(out set) set {
	for kind := range s.kinds {
		out = s.all(out, kind)
	}
	return out
}

// stretch is a part of the sorted names.
type stretch struct{ from, to int }

func (n *names) prepare() {
	if n.exact != nil {
		return
	}
	n.exact, n.open = map[string]stretch{}, map[string]stretch{}
	slices.SortFunc(n.sorted, func(a, b name) int {
		return cmp.Or(strings.Compare(a.text, b.text), compareBool(a.prefix, b.prefix))
	})
	lengths := map[int]bool{}
	for from := 0; from < len(n.sorted); {
		one, to := n.sorted[from], from+1
		for to < len(n.sorted) && n.sorted[to].text == one.text && n.sorted[to].prefix == one.prefix {
			to++
		}
		if one.prefix {
			n.open[one.text] = stretch{from, to}
			lengths[len(one.text)] = true
		} else {
			n.exact[one.text] = stretch{from, to}
		}
		from = to
	}
	for l := range lengths {
		n.lengths = append(n.lengths, l)
	}
	slices.Sort(n.lengths)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// startingWith finds the names whose text begins so.
func (n *names) startingWith(text string) stretch {
	if text == "" {
		return stretch{0, len(n.sorted)}
	}
	from := sort.Search(len(n.sorted), func(i int) bool { return n.sorted[i].text >= text })
	to := from + sort.Search(len(n.sorted)-from, func(i int) bool { return !strings.HasPrefix(n.sorted[from+i].text, text) })
	return stretch{from, to}
}

// fill adds stretches to a set, each name once however many stretches it is in.
func (s *space) fill(out set, n *names, found []stretch) set {
	found = slices.DeleteFunc(found, func(f stretch) bool { return f.from == f.to })
	if len(found) == 0 {
		return out
	}
	slices.SortFunc(found, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	if out == nil {
		out = make(set, s.words)
	}
	next := 0
	for _, f := range found {
		for i := max(next, f.from); i < f.to; i++ {
			out.add(n.sorted[i].place)
		}
		next = max(next, f.to)
	}
	return out
}

func (s *space) mark(out set, places []int) set {
	if len(places) > 0 && out == nil {
		out = make(set, s.words)
	}
	for _, i := range places {
		out.add(i)
	}
	return out
}
