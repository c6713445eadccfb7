package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// known judges whether the catalogue has the connector of an entry.
func (n *narrowing) known(path string, connector v1alpha1.ConnectorName) bool {
	if n.has(connector) {
		return true
	}
	n.report(path+".connector", v1alpha1.WithheldUnknownConnector, "",
		fmt.Sprintf("asked for connector %q; %s", connector, n.Own.Missing(connector)))
	return false
}

// Missing says why there is no such connector, and what to do.
func (o OwnConnectors) Missing(connector v1alpha1.ConnectorName) string {
	var about, unclear []string
	for _, p := range o.Problems {
		switch p.Connector {
		case connector:
			about = append(about, p.Message)
		case "":
			unclear = append(unclear, p.Message)
		}
	}
	switch {
	case len(about) > 0:
		return "the organization's own connector of that name cannot be used: " + strings.Join(about, "; ")
	case len(unclear) > 0:
		return "there is no such connector: correct the name, or mend what the organization says of its own, if it is there: " + strings.Join(unclear, "; ")
	default:
		return "the catalogue has no such connector: correct the name"
	}
}

// connectors lists the organization's own connectors that the entries of the grant are about, in the order of their
// names.
func (n *narrowing) connectors(grant *v1alpha1.ClawGrantSpec) []v1alpha1.GrantConnector {
	if len(n.Own.Definitions) == 0 {
		return nil
	}
	var names []v1alpha1.ConnectorName
	for _, e := range grant.Channels {
		names = append(names, e.Connector)
	}
	for _, e := range grant.Tools {
		names = append(names, e.Connector)
	}
	for _, e := range grant.Models {
		names = append(names, e.Connector)
	}
	slices.Sort(names)
	var out []v1alpha1.GrantConnector
	for _, name := range slices.Compact(names) {
		if definition, ok := n.Own.Definitions[name]; ok {
			out = append(out, v1alpha1.GrantConnector{Name: name, Definition: definition})
		}
	}
	return out
}

// definitionSize is how many bytes definitions are.
func definitionSize(connectors []v1alpha1.GrantConnector) int {
	n := 0
	for _, c := range connectors {
		n += len(c.Definition)
	}
	return n
}
