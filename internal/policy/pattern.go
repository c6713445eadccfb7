package policy

import (
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// A pattern is an exact value, or a prefix and one trailing "*". Nothing else is
// a pattern: whatever is malformed covers nothing, matches nothing, and as a
// denial overlaps everything, so that a mistake never widens.

// maxPattern is how long a pattern is at most, in bytes: as the schema says.
const maxPattern = 256

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
