package connector

import (
	"maps"
	"slices"

	"github.com/clawstaff/clawstaff/internal/policy"
)

var _ policy.Catalogue = (*Catalogue)(nil)

// Type returns what all resources of a type have in common; ok is false where the connector has no such type.
func (c *Catalogue) Type(connector, resourceType string) (facts policy.ResourceFacts, ok bool) {
	conn := c.byName[connector]
	if conn == nil {
		return policy.ResourceFacts{}, false
	}
	t, ok := conn.Resources[resourceType]
	return policy.ResourceFacts{IgnoreCase: t.IgnoreCase, Address: t.Address, Identity: t.Identity}, ok
}

// Types lists the names of a connector's types of resource, sorted.
func (c *Catalogue) Types(connector string) []string {
	conn := c.byName[connector]
	if conn == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(conn.Resources))
}
