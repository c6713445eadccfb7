package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Directory answers who is who in an organization. It is read only, and can be shared.
type Directory struct {
	members  map[v1alpha1.MemberName]v1alpha1.Member
	teams    map[v1alpha1.TeamName][]v1alpha1.MemberName
	problems []string
}

// DirectoryFile is a part of a directory that is kept beside the organization's spec.
type DirectoryFile struct {
	// Name of the file in messages: acme-directory/members.yaml.
	Name    string            `json:"-"`
	Members []v1alpha1.Member `json:"members,omitempty"`
	Teams   []v1alpha1.Team   `json:"teams,omitempty"`
}

// NewDirectory joins an organization's own members and teams with those of files. Who is named twice is
// whom the spec, and then the first file by name, says; the others count for nothing and are a problem.
// A team is the union of what all say. A name in a team that is no member's counts for nothing.
func NewDirectory(org *v1alpha1.ClawOrganization, files ...DirectoryFile) *Directory {
	d := &Directory{
		members: map[v1alpha1.MemberName]v1alpha1.Member{},
		teams:   map[v1alpha1.TeamName][]v1alpha1.MemberName{},
	}
	if org == nil {
		return d
	}
	parts := slices.SortedFunc(slices.Values(files), func(a, b DirectoryFile) int { return strings.Compare(a.Name, b.Name) })
	parts = slices.Insert(parts, 0, DirectoryFile{Name: "spec.members", Members: org.Spec.Members, Teams: org.Spec.Teams})
	for _, part := range parts {
		for _, m := range part.Members {
			if _, ok := d.members[m.Name]; ok {
				d.problems = append(d.problems, fmt.Sprintf("%s: member %q is named before and counts only as there: name each once", part.Name, m.Name))
				continue
			}
			d.members[m.Name] = m
		}
	}
	for _, part := range parts {
		for _, t := range part.Teams {
			for _, name := range t.Members {
				if d.IsMember(name) && !d.InTeam(name, t.Name) {
					d.teams[t.Name] = append(d.teams[t.Name], name)
				}
			}
		}
	}
	return d
}

// Problems are what was left aside when the directory was read, in words for the platform's administrator.
func (d *Directory) Problems() []string { return d.problems }

// Size is the number of members.
func (d *Directory) Size() int { return len(d.members) }

// HasTeam reports whether a team has a member.
func (d *Directory) HasTeam(team v1alpha1.TeamName) bool { return len(d.teams[team]) > 0 }

// Usernames are those a member has at the API server.
func (d *Directory) Usernames(name v1alpha1.MemberName) []string { return d.members[name].Kubernetes }

// IsMember reports whether a member has the name.
func (d *Directory) IsMember(name v1alpha1.MemberName) bool {
	_, ok := d.members[name]
	return ok
}

// InTeam reports whether a member is in a team.
func (d *Directory) InTeam(name v1alpha1.MemberName, team v1alpha1.TeamName) bool {
	return slices.Contains(d.teams[team], name)
}

// admitted lists the members a Claw's visibility admits.
func (d *Directory) admitted(spec *v1alpha1.ClawSpec) map[v1alpha1.MemberName]bool {
	out := map[v1alpha1.MemberName]bool{}
	switch spec.Visibility {
	case v1alpha1.VisibilityPrivate:
		out[spec.Owner] = d.IsMember(spec.Owner)
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
func (d *Directory) audience(spec *v1alpha1.ClawSpec, connector v1alpha1.ConnectorName) (principals []string, contested []contest) {
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
