package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecide(t *testing.T) {
	pkg := published{Methods: []method{{ID: "a.get", Arguments: []string{"channel", "limit", "team_id"}}, {ID: "b.put"}}}
	book := func(change func(*ruleBook)) ruleBook {
		b := ruleBook{
			Stripped: []string{"team_id"},
			Deny:     []denial{{Methods: []string{"b.*"}, Action: "Write", Why: "no"}},
			Operations: []rule{{operation: operation{ID: "a.get", Action: "Read", Params: []string{"limit"},
				Resources: []resource{{Type: "channel", From: []string{"channel"}}}}}},
		}
		change(&b)
		return b
	}
	got, err := decide(pkg, book(func(*ruleBook) {}))
	if err != nil {
		t.Fatal(err)
	}
	want := []operation{
		{ID: "a.get", Host: "api", Methods: []string{"GET", "POST"}, Path: "/a.get", Action: "Read", Query: []string{"limit"}, Bodies: []string{"Form"},
			Params: []string{"limit"}, Resources: []resource{{Type: "channel", From: []string{"query.channel", "body.channel"}}}},
		{ID: "b.put", Host: "api", Methods: []string{"GET", "POST"}, Path: "/b.put", Action: "Write", Deny: "no"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct {
		change func(*ruleBook)
		want   string
	}{
		"a method not decided":      {func(b *ruleBook) { b.Deny = nil }, "b.put is not decided"},
		"a method decided twice":    {func(b *ruleBook) { b.Deny[0].Methods = append(b.Deny[0].Methods, "a.get") }, "a.get is decided twice"},
		"denied twice":              {func(b *ruleBook) { b.Deny = append(b.Deny, b.Deny[0]) }, "b.put is decided twice"},
		"ruled twice":               {func(b *ruleBook) { b.Operations = append(b.Operations, b.Operations[0]) }, "a.get is decided twice"},
		"a method of nobody's":      {func(b *ruleBook) { b.Operations[0].ID = "a.set" }, "a.set is no method"},
		"a denial of nothing":       {func(b *ruleBook) { b.Deny[0].Methods = append(b.Deny[0].Methods, "c.*") }, "c.* is no method"},
		"an argument not decided":   {func(b *ruleBook) { b.Operations[0].Params = nil }, "a.get: argument limit is not decided"},
		"an argument decided twice": {func(b *ruleBook) { b.Operations[0].Refuse = []string{"limit"} }, "taken and refused"},
		"an argument of nobody's":   {func(b *ruleBook) { b.Operations[0].Params = []string{"limit", "x"} }, "argument x is none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decide(pkg, book(tc.change))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
