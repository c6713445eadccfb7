package policy

import (
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// words lists every text of at most n letters, the empty one included.
func words(letters string, n int) []string {
	out := []string{""}
	for from := 0; n > 0; n-- {
		end := len(out)
		for _, w := range out[from:end] {
			for _, l := range letters {
				out = append(out, w+string(l))
			}
		}
		from = end
	}
	return out
}

// Patterns of two letters are told apart by values of at most four, so the algebra can be checked
// against the sets themselves.
func TestPatternAlgebraAgainstBruteForce(t *testing.T) {
	values := words("ab", 4)
	var patterns []v1alpha1.Pattern
	for _, w := range words("ab", 2) {
		patterns = append(patterns, v1alpha1.Pattern(w+"*"))
		if w != "" {
			patterns = append(patterns, v1alpha1.Pattern(w))
		}
	}
	in := func(p v1alpha1.Pattern, value string) bool { // written apart from the code on purpose
		if value == "" {
			return false
		}
		if n := len(p) - 1; p[n] == '*' {
			return len(value) >= n && value[:n] == string(p[:n])
		}
		return value == string(p)
	}
	for _, a := range patterns {
		for _, v := range values {
			if got, want := Matches(a, v), in(a, v); got != want {
				t.Errorf("Matches(%q, %q) = %t, want %t", a, v, got, want)
			}
		}
		for _, b := range patterns {
			covers, overlaps := true, false
			for _, v := range values {
				covers = covers && (!in(b, v) || in(a, v))
				overlaps = overlaps || in(a, v) && in(b, v)
			}
			if got := Covers(a, b); got != covers {
				t.Errorf("Covers(%q, %q) = %t, want %t", a, b, got, covers)
			}
			if got := Overlaps(a, b); got != overlaps {
				t.Errorf("Overlaps(%q, %q) = %t, want %t", a, b, got, overlaps)
			}
		}
	}
}

// What is no pattern covers and matches nothing, and as a denial stands for everything.
func TestMalformedPatternsNeverWiden(t *testing.T) {
	for _, bad := range []v1alpha1.Pattern{"", "**", "a**", "*a", "a*b", "a*b*"} {
		for _, other := range []v1alpha1.Pattern{"*", "a", "a*", bad} {
			if Covers(bad, other) || Covers(other, bad) {
				t.Errorf("%q and %q: one covers the other", bad, other)
			}
			if !Overlaps(bad, other) || !Overlaps(other, bad) {
				t.Errorf("%q and %q do not overlap, so a denial of one would spare the other", bad, other)
			}
		}
		for _, value := range []string{"", "a", "ab", "*", "a*b", "**"} {
			if Matches(bad, value) {
				t.Errorf("Matches(%q, %q)", bad, value)
			}
		}
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add("a*", "ab", "abc")
	f.Add("*", "*", "")
	f.Add("a*b", "a", "a*b")
	f.Fuzz(func(t *testing.T, a, b, value string) {
		pa, pb := v1alpha1.Pattern(a), v1alpha1.Pattern(b)
		if Covers(pa, pb) && Matches(pb, value) && !Matches(pa, value) {
			t.Errorf("%q covers %q, but %q is only in the latter", a, b, value)
		}
		if Matches(pa, value) && Matches(pb, value) && !Overlaps(pa, pb) {
			t.Errorf("%q and %q share %q and do not overlap", a, b, value)
		}
		if Overlaps(pa, pb) != Overlaps(pb, pa) {
			t.Errorf("overlap of %q and %q depends on their order", a, b)
		}
		if Matches(pa, value) && strings.Contains(strings.TrimSuffix(a, "*"), "*") {
			t.Errorf("%q is no pattern and matches %q", a, value)
		}
	})
}
