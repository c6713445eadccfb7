package policy

import (
	"fmt"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// models cuts one entry of models down.
func (n *narrowing) models(path string, ask v1alpha1.ModelRequest) []v1alpha1.ModelRequest {
	if !n.known(path, ask.Connector) {
		return nil
	}
	granted := make([]bool, len(ask.Models))
	var allowed offer
	for _, a := range n.ceiling.allow.models {
		if a.rule.Connector == ask.Connector {
			mark(granted, coveredBy(ask.Models, a.rule.Models))
			allowed.addPatterns(a.policy, a.rule.Models)
		}
	}
	for _, d := range n.ceiling.deny.models {
		if d.rule.Connector != ask.Connector {
			continue
		}
		for i, hit := range overlappedBy(ask.Models, d.rule.Models) {
			if hit {
				n.denied(at(path, "models", i), d.policy, fmt.Sprintf("%s model %q", ask.Connector, ask.Models[i]))
				granted[i] = false
			}
		}
	}
	for i, ok := range granted {
		if !ok { // a denial is reported already, and the first reason stands
			n.notAllowed(at(path, "models", i), fmt.Sprintf("%s model %q", ask.Connector, ask.Models[i]),
				fmt.Sprintf("%s models", ask.Connector), allowed)
		}
	}
	entry := v1alpha1.ModelRequest{Credential: ask.Credential}
	entry.Connector = ask.Connector
	entry.Models = pick(ask.Models, granted)
	if len(entry.Models) == 0 {
		return nil
	}
	return []v1alpha1.ModelRequest{entry}
}
