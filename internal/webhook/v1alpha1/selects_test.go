package v1alpha1

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Whatever selects a Claw is found by its index.
func TestPoliciesAreFoundByWhomTheySelect(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	name := func() string { return string(rune('a' + r.IntN(4))) }
	selected, left := 0, 0
	for range 20000 {
		org := &v1alpha1.ClawOrganization{}
		for _, m := range []string{"a", "b", "c"} {
			org.Spec.Members = append(org.Spec.Members, v1alpha1.Member{Name: v1alpha1.MemberName(m)})
		}
		for _, team := range []string{"a", "b", "c"} {
			if r.IntN(2) == 0 {
				org.Spec.Teams = append(org.Spec.Teams, v1alpha1.Team{Name: v1alpha1.TeamName(team), Members: []v1alpha1.MemberName{v1alpha1.MemberName(name())}})
			}
		}
		dir := policy.NewDirectory(org)
		c := claw(func(c *v1alpha1.Claw) { c.Name, c.Spec.Owner = name()+name(), v1alpha1.MemberName(name()) })
		p := clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
			p.Spec.Selector = v1alpha1.PolicySelector{All: r.IntN(10) == 0}
			for range r.IntN(3) {
				p.Spec.Selector.Claws = append(p.Spec.Selector.Claws, v1alpha1.Pattern(name()+[]string{"", "*", name(), "*" + name()}[r.IntN(4)]))
			}
			if r.IntN(4) == 0 {
				p.Spec.Selector.Owners = []v1alpha1.MemberName{v1alpha1.MemberName(name())}
			}
			if r.IntN(4) == 0 {
				p.Spec.Selector.Teams = []v1alpha1.TeamName{v1alpha1.TeamName(name())}
			}
		})
		keys := keysFor(dir, c)
		found := slices.ContainsFunc(selectorKeys(p), func(k string) bool { return slices.Contains(keys, k) })
		switch selects := policy.Selects(p, dir, c); {
		case selects && !found:
			t.Fatalf("%v selects Claw %q of %q and is not found: %v", p.Spec.Selector, c.Name, c.Spec.Owner, keys)
		case selects:
			selected++
		case !found:
			left++
		}
	}
	if selected < 1000 || left < 1000 {
		t.Error(fmt.Sprint("the cases are lopsided: ", selected, " selected, ", left, " left aside"))
	}
}

// onePolicy is a reader of one policy that selects by team, found by no index but that team's.
type onePolicy struct{ client.Reader }

func (onePolicy) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	policies, ok := list.(*v1alpha1.ClawPolicyList)
	if !ok {
		return errors.New("not policies")
	}
	policies.Items = nil
	if o.FieldSelector == nil || o.FieldSelector.String() == policySelects+"=team/trials" {
		policies.Items = []v1alpha1.ClawPolicy{*clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
			p.Spec.Selector = v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"trials"}}
		})}
	}
	return nil
}

// While a part of the directory cannot be read, policies that select by team are looked at for every Claw.
func TestPoliciesOfTeamsThatCannotBeRead(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		j := &judge{cached: onePolicy{}}
		s := &surroundings{reader: j.cached, directory: policy.NewDirectory(&v1alpha1.ClawOrganization{}, policy.DirectoryFile{TeamsUnknown: unknown})}
		got, err := j.policiesOver(t.Context(), s, claw())
		if err != nil || (len(got) == 1) != unknown {
			t.Errorf("teams unknown %t: %d policies, %v", unknown, len(got), err)
		}
	}
}
