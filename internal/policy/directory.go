package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// directory answers who is who in an organization.
type directory struct {
	members map[v1alpha1.MemberName]v1alpha1.Member
	teams   map[v1alpha1.TeamName][]v1alpha1.MemberName
}

// newDirectory reads an organization. A name in a team that is no member's counts for nothing.
func newDirectory(org *v1alpha1.ClawOrganization) directory {
	d := directory{
		members: map[v1alpha1.MemberName]v1alpha1.Member{},
		teams:   map[v1alpha1.TeamName][]v1alpha1.MemberName{},
	}
	if org == nil {
		return d
	}
	for _, m := range org.Spec.Members {
		d.members[m.Name] = m
	}
	for _, t := range org.Spec.Teams {
		for _, name := range t.Members {
			if d.isMember(name) {
				d.teams[t.Name] = append(d.teams[t.Name], name)
			}
		}
	}
	return d
}

func (d directory) isMember(name v1alpha1.MemberName) bool {
	_, ok := d.members[name]
	return ok
}

func (d directory) inTeam(name v1alpha1.MemberName, team v1alpha1.TeamName) bool {
	return slices.Contains(d.teams[team], name)
}

// admitted lists the members a Claw's visibility admits.
func (d directory) admitted(spec *v1alpha1.ClawSpec) map[v1alpha1.MemberName]bool {
	out := map[v1alpha1.MemberName]bool{}
	switch spec.Visibility {
	case v1alpha1.VisibilityPrivate:
		out[spec.Owner] = d.isMember(spec.Owner)
	case v1alpha1.VisibilityTeam:
		for _, team := range spec.Teams {
			for _, name := range d.teams[team] {
				out[name] = true
			}
		}
	case v1alpha1.VisibilityOrganization:
		for name := range d.members {
			out[name] = true
		}
	}
	return out
}

// audience lists the identities at a connector of the members a Claw's visibility admits. An identity
// that two members claim is nobody's, because it cannot be told whose messages it writes; such
// identities are returned apart, each with who claims it.
func (d directory) audience(spec *v1alpha1.ClawSpec, connector v1alpha1.ConnectorName) (principals []string, contested []contest) {
	claims := map[string][]string{}
	for name, m := range d.members {
		ids := slices.Clone(m.Identities[string(connector)])
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			claims[id] = append(claims[id], string(name))
		}
	}
	admitted := d.admitted(spec)
	for id, names := range claims {
		slices.Sort(names)
		switch {
		case id == "" || !slices.ContainsFunc(names, func(n string) bool { return admitted[v1alpha1.MemberName(n)] }):
		case len(names) > 1:
			contested = append(contested, contest{id: id, members: names})
		default:
			principals = append(principals, id)
		}
	}
	slices.Sort(principals)
	slices.SortFunc(contested, func(a, b contest) int { return strings.Compare(a.id, b.id) })
	return principals, contested
}

// contest is an identity that several members claim.
type contest struct {
	id      string
	members []string
}

func (c contest) message(connector v1alpha1.ConnectorName) string {
	return fmt.Sprintf("%s identity %q is claimed by %s, so it is nobody's: leave it with one of them in spec.members of the ClawOrganization",
		connector, c.id, strings.Join(c.members, " and "))
}
