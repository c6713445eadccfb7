package policy

import (
	"maps"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Catalogue is what the permission model has to know of connectors: which there are, and of what types their
// resources are.
type Catalogue interface {
	// Known reports whether there is such a connector.
	Known(connector string) bool
	// Type returns what all resources of a type have in common; ok is false where the connector has no such type.
	Type(connector, resourceType string) (facts ResourceFacts, ok bool)
	// Types lists the names of a connector's types, sorted.
	Types(connector string) []string
}

// ResourceFacts are what all resources of a type have in common.
type ResourceFacts struct {
	// IgnoreCase is set where the service does. Ids are judged in lower case, and so are patterns of them.
	IgnoreCase bool
	// Address is set where ids are mail addresses.
	Address bool
	// Identity names the identities of the directory that ids are of, where they are of people; empty where they are not.
	Identity string
}

// OwnConnectors are those an organization adds to the catalogue.
type OwnConnectors struct {
	// Definitions by name, as a grant carries them. All of them are in the catalogue too.
	Definitions map[v1alpha1.ConnectorName]string
	// Problems are what keeps others from being there.
	Problems []ConnectorProblem
}

// ConnectorProblem is one thing that is wrong with an organization's own connectors.
type ConnectorProblem struct {
	// Connector that is not there for it; empty where that cannot be told.
	Connector v1alpha1.ConnectorName
	// Message says where it is, what is wrong and how to mend it.
	Message string
}

// Connectors is a catalogue in memory: the types of resource of each connector.
type Connectors map[string]map[string]ResourceFacts

// Known reports whether there is such a connector.
func (c Connectors) Known(connector string) bool {
	_, ok := c[connector]
	return ok
}

// Type returns what is said of a type.
func (c Connectors) Type(connector, resourceType string) (ResourceFacts, bool) {
	facts, ok := c[connector][resourceType]
	return facts, ok
}

// Types lists the names of a connector's types.
func (c Connectors) Types(connector string) []string { return slices.Sorted(maps.Keys(c[connector])) }
