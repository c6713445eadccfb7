package policy

import (
	"fmt"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// resourceKind is what the catalogue says of a type of resource.
type resourceKind struct {
	ResourceFacts
	known bool
}

// kindOf looks a type of a connector up.
func kindOf(c Catalogue, connector v1alpha1.ConnectorName, resourceType string) resourceKind {
	if c == nil {
		return resourceKind{}
	}
	facts, ok := c.Type(string(connector), resourceType)
	return resourceKind{facts, ok}
}

func (n *narrowing) kindOf(connector v1alpha1.ConnectorName, resourceType string) resourceKind {
	return kindOf(n.Catalogue, connector, resourceType)
}

// folded reports whether ids are judged in lower case. Mail addresses always are: who is denied chooses how to
// write their own.
func (k resourceKind) folded() bool { return k.IgnoreCase || k.Address }

// fold is a pattern as it is judged.
func (k resourceKind) fold(p v1alpha1.Pattern) v1alpha1.Pattern {
	if !k.folded() {
		return p
	}
	return v1alpha1.Pattern(strings.ToLower(string(p)))
}

// foldAll is fold for each of some patterns.
func (k resourceKind) foldAll(patterns []v1alpha1.Pattern) []v1alpha1.Pattern {
	if !k.folded() {
		return patterns
	}
	return folded(patterns)
}

// unknownType says that a connector has no such type, and which it has.
func (n *narrowing) unknownType(connector v1alpha1.ConnectorName, resourceType string) string {
	remedy := "it has none: leave resources out"
	if types := n.Catalogue.Types(string(connector)); len(types) > 0 {
		remedy = fmt.Sprintf("it has %s: correct the type", list(types))
	}
	return fmt.Sprintf("asked for %s resources of type %q; connector %s has no such type, %s", connector, resourceType, connector, remedy)
}
