package policy

import (
	"math/bits"
	"strings"
)

// set is a set of small numbers: names of an entry, by their place in it.
type set []uint64

func newSet(n int) set { return make(set, wordsFor(n)) }

func wordsFor(n int) int { return (n + 63) / 64 }

func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// or adds what is in other, which may be the shorter one.
func (s set) or(other set) {
	for i, w := range other {
		s[i] |= w
	}
}

// without returns what is in s and not in other, as a new set.
func (s set) without(other set) set {
	out := make(set, len(s))
	for i, w := range s {
		out[i] = w &^ other[i]
	}
	return out
}

func (s set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// within reports whether all of s is in other.
func (s set) within(other set) bool {
	for i, w := range s {
		if w&^other[i] != 0 {
			return false
		}
	}
	return true
}

// each calls f with every number in order, until f returns false.
func (s set) each(f func(i int) bool) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			if !f(i*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// key is the set as text, to look it up by.
func (s set) key() string {
	var b strings.Builder
	b.Grow(len(s) * 8)
	for _, w := range s {
		for range 8 {
			b.WriteByte(byte(w))
			w >>= 8
		}
	}
	return b.String()
}
