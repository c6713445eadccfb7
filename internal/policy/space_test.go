package policy

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// What is looked up for all entries together is what the algebra says of each name and each pattern.
func TestSpaceAgainstPatternAlgebra(t *testing.T) {
	texts := append(words("ab", 3), "a*b", "*a", "**")
	var all []v1alpha1.Pattern
	for _, w := range texts {
		all = append(all, v1alpha1.Pattern(w), v1alpha1.Pattern(w+"*"))
	}
	for seed := range 3000 {
		r := rand.New(rand.NewSource(int64(seed)))
		random := func(most int) []v1alpha1.Pattern {
			var out []v1alpha1.Pattern
			for range 1 + r.Intn(most) {
				out = append(out, all[r.Intn(len(all))])
			}
			return out
		}
		var s space
		var asks [][]v1alpha1.Pattern
		var regions []region
		for range 1 + r.Intn(3) {
			ask := random(80)
			place := s.take(len(ask))
			for i, p := range ask {
				s.add(place, "kind", p, i)
			}
			asks, regions = append(asks, ask), append(regions, place)
		}
		rule := random(3)
		covered, overlapped := s.covered(nil, "kind", rule), s.overlapped(nil, "kind", rule)
		if s.covered(nil, "other", rule) != nil || s.overlapped(nil, "other", rule) != nil || s.all(nil, "other") != nil {
			t.Fatal("a kind that nobody asks for was found")
		}
		for e, ask := range asks {
			c, o, every := regions[e].of(covered), regions[e].of(overlapped), regions[e].of(s.all(nil, "kind"))
			for i, asked := range ask {
				wantC, wantO := false, false
				for _, p := range rule {
					wantC, wantO = wantC || Covers(p, asked), wantO || Overlaps(p, asked)
				}
				if c.has(i) != wantC || o.has(i) != wantO || !every.has(i) {
					t.Fatalf("seed %d: %q of %q: covered %t, want %t; overlapped %t, want %t", seed, asked, rule, c.has(i), wantC, o.has(i), wantO)
				}
			}
		}
	}
}

// The widest of many sets are those that no other one holds, each once.
func TestWidestAgainstBruteForce(t *testing.T) {
	for seed := range 2000 {
		r := rand.New(rand.NewSource(int64(seed)))
		var sets []set
		for range r.Intn(12) {
			s := newSet(70)
			for _, i := range []int{0, 1, 63, 64, 69} {
				if r.Intn(2) == 0 {
					s.add(i)
				}
			}
			sets = append(sets, s)
		}
		want := map[string]bool{}
		for _, s := range sets {
			held := false
			for _, other := range sets {
				held = held || s.within(other) && !other.within(s)
			}
			if !held {
				want[fmt.Sprint(s)] = true
			}
		}
		got := map[string]bool{}
		for _, s := range widest(sets) {
			if got[fmt.Sprint(s)] || !want[fmt.Sprint(s)] {
				t.Fatalf("seed %d: %v is twice, or held by another", seed, s)
			}
			got[fmt.Sprint(s)] = true
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d sets, want %d", seed, len(got), len(want))
		}
	}
}
