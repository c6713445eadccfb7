package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// contest is an identity, or a username of the API server, that several members claim.
type contest struct {
	claim
	members []string
}

// claim names an identity at a connector, or a username of the API server.
type claim struct {
	username      bool
	connector, id string
}

func (c contest) message() string {
	what := c.connector + " identity"
	if c.username {
		what = "Kubernetes username"
	}
	return fmt.Sprintf("%s %q is claimed by %s, so it is nobody's: leave it with one of them", what, c.id, strings.Join(c.members, " and "))
}

// contested finds what several members claim. A member who is named twice counts as named first.
func contested(org *v1alpha1.ClawOrganization, files []policy.DirectoryFile) []contest {
	parts := [][]v1alpha1.Member{org.Spec.Members}
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b policy.DirectoryFile) int { return strings.Compare(a.Name, b.Name) }) {
		parts = append(parts, f.Members)
	}
	seen := map[v1alpha1.MemberName]bool{}
	first, several := map[claim]v1alpha1.MemberName{}, map[claim][]string{}
	note := func(m *v1alpha1.Member, c claim) {
		by, ok := first[c]
		switch {
		case c.id == "":
		case !ok:
			first[c] = m.Name
		case by != m.Name && len(several[c]) == 0:
			several[c] = []string{string(by), string(m.Name)}
		case by != m.Name && !slices.Contains(several[c], string(m.Name)):
			several[c] = append(several[c], string(m.Name))
		}
	}
	for _, members := range parts {
		for i := range members {
			m := &members[i]
			if seen[m.Name] {
				continue
			}
			seen[m.Name] = true
			for connector, ids := range m.Identities {
				for _, id := range ids {
					note(m, claim{connector: connector, id: id})
				}
			}
			for _, username := range m.Kubernetes {
				note(m, claim{username: true, id: username})
			}
		}
	}
	out := make([]contest, 0, len(several))
	for c, members := range several {
		slices.Sort(members)
		out = append(out, contest{claim: c, members: members})
	}
	slices.SortFunc(out, func(a, b contest) int {
		return cmp.Or(strings.Compare(a.connector, b.connector), strings.Compare(a.id, b.id))
	})
	return out
}
