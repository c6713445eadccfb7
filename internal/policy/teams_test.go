package policy

import (
	"slices"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestTeamsOf(t *testing.T) {
	d := NewDirectory(&v1alpha1.ClawOrganization{Spec: v1alpha1.ClawOrganizationSpec{
		Members: []v1alpha1.Member{{Name: "sarah"}, {Name: "lee"}},
		Teams:   []v1alpha1.Team{{Name: "b", Members: []v1alpha1.MemberName{"sarah", "lee"}}, {Name: "a", Members: []v1alpha1.MemberName{"sarah", "nobody"}}},
	}})
	for name, want := range map[v1alpha1.MemberName][]v1alpha1.TeamName{"sarah": {"a", "b"}, "lee": {"b"}, "nobody": nil} {
		if got := d.TeamsOf(name); !slices.Equal(got, want) {
			t.Errorf("%s is in %v, want %v", name, got, want)
		}
	}
}
