package policy

import (
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// TeamsOf lists the teams a member is in, in order.
func (d *Directory) TeamsOf(name v1alpha1.MemberName) []v1alpha1.TeamName {
	var out []v1alpha1.TeamName
	for team := range d.teams {
		if d.InTeam(name, team) {
			out = append(out, team)
		}
	}
	slices.Sort(out)
	return out
}
