// Package truth is the truth table of the API: for every field one case in which it, and it alone, makes a
// difference that somebody would notice. It is read off the schemas, so that a new field needs a case: a field
// nobody enforces is not in the API.
package truth

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/internal/testing/schema"
)

// truth is one case: a field, and what differs because of it.
type truth struct {
	// field is its kind and path in the schema: "Claw spec.channels[].users".
	field string
	// with makes the world the case begins in, from the ordinary one.
	with func(*world)
	// change is the change of exactly that field.
	change func(*world)
	// see is what is looked at, and before and after are what is seen there.
	see           view
	before, after string
	// also lists other fields that a change must touch for the object to be valid.
	also []string
}

// view looks at what follows from a world.
type view struct {
	what string
	// pure looks by calling what decides; live needs the whole operator, and looks until it sees want.
	pure func(*world) string
	live func(t *testing.T, w *world, want string) string
}

// descriptive are the fields that are there to be read by people, and where they are shown. A field belongs
// here only if nothing could follow from it.
var descriptive = map[string]string{
	"Claw spec.purpose":                 "people read it where they review what an agent is for: kubectl get claw -o yaml",
	"ClawGrant spec.visibility":         "the column Visibility of kubectl get clawgrants; what is enforced of it is audience",
	"ClawGrant spec.withheld[].path":    "tells the owner what was not given; also in status.withheld of the Claw",
	"ClawGrant spec.withheld[].reason":  "tells the owner why",
	"ClawGrant spec.withheld[].policy":  "tells the owner whom to ask",
	"ClawGrant spec.withheld[].message": "tells the owner what to do",
}

func table() []truth {
	return slices.Concat(clawTruths(), policyTruths(), organizationTruths(), credentialTruths(), grantTruths())
}

// TestEveryFieldMatters is I13.
func TestEveryFieldMatters(t *testing.T) {
	for _, c := range table() {
		t.Run(c.field, func(t *testing.T) {
			t.Parallel()
			c.hold(t)
		})
	}
}

// hold checks one case.
func (c truth) hold(t *testing.T) {
	if c.before == c.after {
		t.Fatalf("the case expects no difference: before and after are both %q", c.before)
	}
	base, changed := newWorld(), newWorld()
	for _, w := range []*world{base, changed} {
		if c.with != nil {
			c.with(w)
		}
	}
	c.change(changed)
	if problem := c.onlyTheField(base, changed); problem != "" {
		t.Fatal(problem)
	}
	for _, side := range []struct {
		name, want string
		w          *world
	}{{"before the change", c.before, base}, {"after the change", c.after, changed}} {
		if got := c.see.at(t, side.w, side.want); got != side.want {
			t.Errorf("%s: %s\n got %q\nwant %q", side.name, c.see.what, got, side.want)
		}
	}
}

func (v view) at(t *testing.T, w *world, want string) string {
	t.Helper()
	if v.live != nil {
		return v.live(t, w, want)
	}
	return v.pure(w)
}

// onlyTheField says what else than the field a case changes.
func (c truth) onlyTheField(base, changed *world) string {
	var touched []string
	before, after := base.objects(), changed.objects()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		kind, _, _ := strings.Cut(name, " ")
		differences(kind+" ", "spec", before[name]["spec"], after[name]["spec"], &touched)
	}
	if len(before) != len(after) {
		return "the case adds or removes an object: change a field"
	}
	found := false
	for _, path := range touched {
		switch {
		case within(path, c.field):
			found = true
		case !slices.ContainsFunc(c.also, func(other string) bool { return within(path, other) }):
			return fmt.Sprintf("the case is about %s and changes %s: change that field only, or say it in also", c.field, path)
		}
	}
	if !found {
		return fmt.Sprintf("the case does not change %s; it changes %v", c.field, touched)
	}
	return ""
}

func within(path, field string) bool {
	rest, ok := strings.CutPrefix(path, field)
	return ok && (rest == "" || strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, "{"))
}

// differences lists where two JSON values differ, by paths of the schema.
func differences(kind, path string, a, b any, out *[]string) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok || b == nil {
			for _, key := range slices.Sorted(maps.Keys(union(x, y))) {
				differences(kind, path+"."+key, x[key], y[key], out)
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok && len(x) == len(y) {
			for i := range x {
				differences(kind, path+"[]", x[i], y[i], out)
			}
			return
		}
	case nil:
		if y, ok := b.(map[string]any); ok {
			differences(kind, path, map[string]any{}, y, out)
			return
		}
		if y, ok := b.([]any); ok && len(y) == 1 {
			differences(kind, path+"[]", nil, y[0], out)
			return
		}
	}
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	if string(left) != string(right) {
		*out = append(*out, kind+path)
	}
}

func union(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// TestEveryFieldHasACase compares the table with the schemas.
func TestEveryFieldHasACase(t *testing.T) {
	kinds, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, c := range table() {
		covered[c.field] = true
	}
	inAPI := map[string]bool{}
	for _, k := range kinds {
		for _, p := range k.Spec() {
			field := k.Name + " " + p.Path
			if inAPI[field] = true; !p.Leaf() {
				continue
			}
			switch {
			case covered[field] && descriptive[field] != "":
				t.Errorf("%s has a case and is said to be descriptive: take it out of descriptive", field)
			case !covered[field] && descriptive[field] == "":
				t.Errorf("%s has no case. Add one to the table in test/truth: the world it begins in, a change of this field only, "+
					"and what is seen to differ because of it. A field that makes no difference is not in the API (I13): take it out, or, "+
					"if it is there for people to read, say where in descriptive", field)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(union(anything(covered), anything(descriptive)))) {
		if !inAPI[field] {
			t.Errorf("the table has %s, and the API has no such field: take the case out", field)
		}
	}
}

func anything[V any](m map[string]V) map[string]any {
	out := map[string]any{}
	for key, v := range m {
		out[key] = v
	}
	return out
}
