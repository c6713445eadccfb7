package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Directory answers who is who in an organization. It is read only, and can be shared.
type Directory struct {
	members  map[v1alpha1.MemberName]v1alpha1.Member
	teams    map[v1alpha1.TeamName]map[v1alpha1.MemberName]bool
	problems []string
	// teamsUnknown means that there may be more in teams than is known.
	teamsUnknown bool
	// claims are made when they are first asked for: who only asks for teams pays nothing.
	claims func() *claims
}

// DirectoryFile is a part of a directory that is kept beside the organization's spec.
type DirectoryFile struct {
	// Name of the file in messages: acme-directory/members.yaml.
	Name    string            `json:"-"`
	Members []v1alpha1.Member `json:"members,omitempty"`
	Teams   []v1alpha1.Team   `json:"teams,omitempty"`
	// TeamsUnknown means that the file may name teams that could not be read.
	TeamsUnknown bool `json:"-"`
}

// NewDirectory joins an organization's own members and teams with those of files. Who is named twice is
// whom the spec, and then the first file by name, says; the others count for nothing and are a problem.
// A team is the union of what all say. A name in a team that is no member's counts for nothing.
func NewDirectory(org *v1alpha1.ClawOrganization, files ...DirectoryFile) *Directory {
	d := &Directory{
		members: map[v1alpha1.MemberName]v1alpha1.Member{},
		teams:   map[v1alpha1.TeamName]map[v1alpha1.MemberName]bool{},
	}
	d.claims = sync.OnceValue(func() *claims { return newClaims(d.members) })
	if org == nil {
		return d
	}
	parts := slices.SortedFunc(slices.Values(files), func(a, b DirectoryFile) int { return strings.Compare(a.Name, b.Name) })
	parts = slices.Insert(parts, 0, DirectoryFile{Name: "spec.members", Members: org.Spec.Members, Teams: org.Spec.Teams})
	for _, part := range parts {
		d.teamsUnknown = d.teamsUnknown || part.TeamsUnknown
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
				if !d.IsMember(name) {
					continue
				}
				if d.teams[t.Name] == nil {
					d.teams[t.Name] = map[v1alpha1.MemberName]bool{}
				}
				d.teams[t.Name][name] = true
			}
		}
	}
	return d
}

// Problems are what was left aside when the directory was read, in words for the platform's administrator.
func (d *Directory) Problems() []string { return d.problems }

// TeamsKnown reports whether everything that names teams could be read. Until it can, nobody can be said not to
// be in a team.
func (d *Directory) TeamsKnown() bool { return !d.teamsUnknown }

// Size is the number of members.
func (d *Directory) Size() int { return len(d.members) }

// HasTeam reports whether a team has a member.
func (d *Directory) HasTeam(team v1alpha1.TeamName) bool { return len(d.teams[team]) > 0 }

// Usernames are those a member has at the API server.
func (d *Directory) Usernames(name v1alpha1.MemberName) []string { return d.members[name].Kubernetes }

// MemberOf is the member a username of the API server belongs to. One that two members claim is nobody's.
func (d *Directory) MemberOf(username string) (v1alpha1.MemberName, bool) {
	by := d.claims().usernames[username]
	if username == "" || len(by) != 1 {
		return "", false
	}
	return by[0], true
}

// IsMember reports whether a member has the name.
func (d *Directory) IsMember(name v1alpha1.MemberName) bool {
	_, ok := d.members[name]
	return ok
}

// InTeam reports whether a member is in a team.
func (d *Directory) InTeam(name v1alpha1.MemberName, team v1alpha1.TeamName) bool {
	return d.teams[team][name]
}

// audience lists the identities at a connector of the members a Claw's visibility admits. An identity
// that two members claim is nobody's, because it cannot be told whose messages it writes; such
// identities are returned apart, each with who claims it.
func (d *Directory) audience(spec *v1alpha1.ClawSpec, connector v1alpha1.ConnectorName) (principals []string, contested []contest) {
	all := d.claims().at(connector)
	if spec.Visibility == v1alpha1.VisibilityOrganization {
		return slices.Clone(all.principals), all.contested
	}
	admitted := d.admitted(spec)
	for name := range admitted {
		for _, id := range d.members[name].Identities[string(connector)] {
			if id != "" && !all.disputed[id] {
				principals = append(principals, id)
			}
		}
	}
	for _, c := range all.contested {
		if slices.ContainsFunc(c.members, func(m string) bool { return admitted[v1alpha1.MemberName(m)] }) {
			contested = append(contested, c)
		}
	}
	slices.Sort(principals)
	return slices.Compact(principals), contested
}

// admitted lists the members that a visibility other than Organization admits.
func (d *Directory) admitted(spec *v1alpha1.ClawSpec) map[v1alpha1.MemberName]bool {
	out := map[v1alpha1.MemberName]bool{}
	switch spec.Visibility {
	case v1alpha1.VisibilityPrivate:
		if d.IsMember(spec.Owner) {
			out[spec.Owner] = true
		}
	case v1alpha1.VisibilityTeam:
		for _, team := range spec.Teams {
			for name := range d.teams[team] {
				out[name] = true
			}
		}
	}
	return out
}

// identitiesOf lists the identities of a member at a connector that are nobody else's, in order: in lower case where
// they are judged so. What could be taken for a pattern, or is too long for one, is left out.
func (d *Directory) identitiesOf(name v1alpha1.MemberName, connector v1alpha1.ConnectorName, fold bool) []string {
	claims := d.claims().at(connector)
	var out []string
	for _, id := range d.members[name].Identities[string(connector)] {
		taken := claims.disputed[id]
		if fold {
			id = strings.ToLower(id)
			taken = claims.alike[id]
		}
		if id != "" && len(id) <= maxPattern && !taken && !strings.Contains(id, string(v1alpha1.Wildcard)) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
