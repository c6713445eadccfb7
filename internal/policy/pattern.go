package policy

import (
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// A pattern is an exact value, or a prefix and one trailing "*". Nothing else is
// a pattern: whatever is malformed covers nothing, matches nothing, and as a
// denial overlaps everything, so that a mistake never widens.

// Matches reports whether value is one of those p stands for. The empty value is never one.
func Matches(p v1alpha1.Pattern, value string) bool {
	text, prefix, ok := split(p)
	switch {
	case !ok || value == "":
		return false
	case prefix:
		return strings.HasPrefix(value, text)
	default:
		return value == text
	}
}

// Covers reports whether every value of asked is also one of allowed.
func Covers(allowed, asked v1alpha1.Pattern) bool {
	allowedText, allowedPrefix, ok := split(allowed)
	askedText, askedPrefix, askedOK := split(asked)
	switch {
	case !ok || !askedOK:
		return false
	case allowedPrefix:
		return strings.HasPrefix(askedText, allowedText)
	default:
		return !askedPrefix && askedText == allowedText
	}
}

// Overlaps reports whether some value is one of both.
func Overlaps(a, b v1alpha1.Pattern) bool {
	aText, aPrefix, aOK := split(a)
	bText, bPrefix, bOK := split(b)
	switch {
	case !aOK || !bOK:
		return true
	case aPrefix && bPrefix:
		return strings.HasPrefix(aText, bText) || strings.HasPrefix(bText, aText)
	case aPrefix:
		return strings.HasPrefix(bText, aText)
	case bPrefix:
		return strings.HasPrefix(aText, bText)
	default:
		return aText == bText
	}
}

// split takes a pattern apart; ok is false where it is none.
func split(p v1alpha1.Pattern) (text string, prefix, ok bool) {
	text, prefix = strings.CutSuffix(string(p), "*")
	return text, prefix, p != "" && !strings.Contains(text, "*")
}

// matchesAny reports whether one of patterns matches value.
func matchesAny(patterns []v1alpha1.Pattern, value string) bool {
	return slices.ContainsFunc(patterns, func(p v1alpha1.Pattern) bool { return Matches(p, value) })
}

// coveredBy tells for each of asked whether one of allowed covers it. That is exact: as values are
// strings of any length, no finite union of other patterns covers a pattern that none of them covers.
func coveredBy(asked, allowed []v1alpha1.Pattern) []bool {
	out := make([]bool, len(asked))
	for i, a := range asked {
		out[i] = slices.ContainsFunc(allowed, func(p v1alpha1.Pattern) bool { return Covers(p, a) })
	}
	return out
}

// overlappedBy tells for each of asked whether one of denied overlaps it; an empty list denies all.
func overlappedBy(asked, denied []v1alpha1.Pattern) []bool {
	out := make([]bool, len(asked))
	for i, a := range asked {
		out[i] = len(denied) == 0 ||
			slices.ContainsFunc(denied, func(p v1alpha1.Pattern) bool { return Overlaps(p, a) })
	}
	return out
}

// pick returns the values that are chosen, each once, in order of their text.
func pick(values []v1alpha1.Pattern, chosen []bool) []v1alpha1.Pattern {
	var out []v1alpha1.Pattern
	for i, v := range values {
		if chosen[i] {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mark sets in dst what is set in src.
func mark(dst, src []bool) {
	for i := range src {
		dst[i] = dst[i] || src[i]
	}
}

// bits writes a choice as text, so that choices can be compared and sorted.
func bits(chosen []bool) string {
	out := make([]byte, len(chosen))
	for i, c := range chosen {
		out[i] = '0'
		if c {
			out[i] = '1'
		}
	}
	return string(out)
}
