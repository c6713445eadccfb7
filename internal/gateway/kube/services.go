package kube

import (
	"fmt"
	"maps"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
)

// services makes the catalogue of a grant: what is part of the program, and the organization's own connectors, whose
// definitions are in the grant. It keeps the last one, so that a grant that changes in something else changes nothing
// here; connections under way depend on it.
type services struct {
	definitions map[string]string
	catalogue   *connector.Catalogue
}

// of returns the catalogue of a grant's connectors; nil, which is that of the program, for none. An error means that
// nothing may be allowed: what a connector would have refused is not known then.
func (s *services) of(own []v1alpha1.GrantConnector) (*connector.Catalogue, error) {
	if len(own) == 0 {
		return nil, nil
	}
	definitions := make(map[string]string, len(own))
	files := make(map[string][]byte, len(own))
	for _, c := range own {
		definitions[string(c.Name)], files[string(c.Name)] = c.Definition, []byte(c.Definition)
	}
	if s.catalogue != nil && maps.Equal(definitions, s.definitions) {
		return s.catalogue, nil
	}
	builtin, err := connector.Builtin()
	if err != nil {
		return nil, err
	}
	catalogue, wrong := builtin.With(files)
	for _, c := range own {
		name := string(c.Name)
		switch {
		case wrong[name] != nil:
			return nil, fmt.Errorf("the ClawGrant's connector %s cannot be used: %w", name, wrong[name])
		case builtin.Known(name) || !catalogue.Known(name):
			return nil, fmt.Errorf("the ClawGrant's connector %s cannot be used: its definition is of another name", name)
		}
	}
	s.definitions, s.catalogue = definitions, catalogue
	return catalogue, nil
}
