package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// claims say which identities of a directory are whose. They are gathered once for all Claws.
type claims struct {
	usernames  map[string][]v1alpha1.MemberName
	connectors map[v1alpha1.ConnectorName]*connectorClaims
}

// connectorClaims are those at one connector.
type connectorClaims struct {
	principals []string        // identities of exactly one member, in order
	contested  []contest       // identities of several, in order
	disputed   map[string]bool // the same, to look up
	alike      map[string]bool // identities in lower case that several members have, however each writes it
}

// contest is an identity that several members claim.
type contest struct {
	id      string
	members []string
}

func newClaims(members map[v1alpha1.MemberName]v1alpha1.Member) *claims {
	c := &claims{usernames: map[string][]v1alpha1.MemberName{}, connectors: map[v1alpha1.ConnectorName]*connectorClaims{}}
	by := map[v1alpha1.ConnectorName]map[string][]v1alpha1.MemberName{}
	for name, m := range members {
		for _, username := range m.Kubernetes {
			claim(c.usernames, username, name)
		}
		for connector, ids := range m.Identities {
			at := v1alpha1.ConnectorName(connector)
			if by[at] == nil {
				by[at] = map[string][]v1alpha1.MemberName{}
			}
			for _, id := range ids {
				claim(by[at], id, name)
			}
		}
	}
	for connector, ids := range by {
		c.connectors[connector] = settle(ids)
	}
	return c
}

// claim notes that a member claims an id. All claims of one member come one after another.
func claim(by map[string][]v1alpha1.MemberName, id string, name v1alpha1.MemberName) {
	if names := by[id]; id != "" && (len(names) == 0 || names[len(names)-1] != name) {
		by[id] = append(names, name)
	}
}

// settle parts the ids of one member from those of several.
func settle(ids map[string][]v1alpha1.MemberName) *connectorClaims {
	c := &connectorClaims{disputed: map[string]bool{}, alike: map[string]bool{}}
	first := map[string]v1alpha1.MemberName{}
	for id, names := range ids {
		lower := strings.ToLower(id)
		if by, ok := first[lower]; ok && by != names[0] || len(names) > 1 {
			c.alike[lower] = true
		}
		first[lower] = names[0]
		if len(names) == 1 {
			c.principals = append(c.principals, id)
			continue
		}
		members := make([]string, 0, len(names))
		for _, n := range names {
			members = append(members, string(n))
		}
		slices.Sort(members)
		c.disputed[id] = true
		c.contested = append(c.contested, contest{id: id, members: members})
	}
	slices.Sort(c.principals)
	slices.SortFunc(c.contested, func(a, b contest) int { return strings.Compare(a.id, b.id) })
	return c
}

// at returns the claims at a connector; none where nobody has an identity there.
func (c *claims) at(connector v1alpha1.ConnectorName) *connectorClaims {
	if found := c.connectors[connector]; found != nil {
		return found
	}
	return &connectorClaims{}
}

func (c contest) message(connector v1alpha1.ConnectorName) string {
	return fmt.Sprintf("%s identity %q is claimed by %s, so it is nobody's: leave it with one of them in the directory of the ClawOrganization",
		connector, c.id, strings.Join(c.members, " and "))
}
