package policy

import (
	"fmt"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// kindModel is the kind of name in an entry of models.
const kindModel = "model"

// modelAsk is one entry of models.
type modelAsk struct {
	v1alpha1.ModelRequest
	path   string
	region region
}

// placeModels gives each entry its place.
func (n *narrowing) placeModels() {
	n.modelSpaces = map[v1alpha1.ConnectorName]*space{}
	for i, ask := range n.Claw.Spec.Models {
		s := n.modelSpaces[ask.Connector]
		if s == nil {
			s = &space{}
			n.modelSpaces[ask.Connector] = s
		}
		e := modelAsk{ModelRequest: ask, path: fmt.Sprintf("spec.models[%d]", i), region: s.take(len(ask.Models))}
		e.Models = n.kindOf(ask.Connector, ResourceModel).foldAll(ask.Models)
		for m, p := range e.Models {
			s.add(e.region, kindModel, p, m)
		}
		n.modelAsks = append(n.modelAsks, e)
	}
}

// modelCover is what a rule covers, or a denial overlaps, of all entries at its connector.
type modelCover struct {
	by    source
	names set
}

func modelConnector(r *v1alpha1.ModelRule) v1alpha1.ConnectorName { return r.Connector }

// models cuts one entry of models down.
func (n *narrowing) models(ask *modelAsk) []v1alpha1.ModelRequest {
	if !n.known(ask.path, ask.Connector) {
		return nil
	}
	s, kind := n.modelSpaces[ask.Connector], n.kindOf(ask.Connector, ResourceModel)
	denials := lookUp(&n.modelDeny, ask.Connector, n.ceiling.deny.models, modelConnector, func(r from[v1alpha1.ModelRule]) modelCover {
		if len(r.rule.Models) == 0 {
			return modelCover{r.by, s.all(nil, kindModel)}
		}
		return modelCover{r.by, s.overlapped(nil, kindModel, kind.foldAll(r.rule.Models))}
	})
	allows := lookUp(&n.modelAllow, ask.Connector, n.ceiling.allow.models, modelConnector, func(r from[v1alpha1.ModelRule]) modelCover {
		return modelCover{r.by, s.covered(nil, kindModel, kind.foldAll(r.rule.Models))}
	})
	barred, granted := newSet(len(ask.Models)), newSet(len(ask.Models))
	for _, d := range denials { // reported first, being the stronger reason
		ask.region.of(d.names).without(barred).each(func(i int) bool {
			barred.add(i)
			if !n.full() {
				n.denied(at(ask.path, "models", i), d.by, fmt.Sprintf("%s model %q", ask.Connector, ask.Models[i]))
			}
			return true
		})
	}
	for _, a := range allows {
		granted.or(ask.region.of(a.names))
	}
	n.notAllowedModels(ask, barred, granted)
	entry := v1alpha1.ModelRequest{Credential: ask.Credential}
	entry.Connector = ask.Connector
	granted.without(barred).each(func(i int) bool {
		entry.Models = append(entry.Models, ask.Models[i])
		return true
	})
	if len(entry.Models) == 0 {
		return nil
	}
	entry.Models = tidy(entry.Models)
	return []v1alpha1.ModelRequest{entry}
}

func (n *narrowing) notAllowedModels(ask *modelAsk, barred, granted set) {
	kind := fmt.Sprintf("%s models", ask.Connector)
	for i, model := range ask.Models {
		if granted.has(i) || barred.has(i) || n.full() {
			continue
		}
		n.notAllowed(at(ask.path, "models", i), fmt.Sprintf("%s model %q", ask.Connector, model), kind, n.offered(kind, func(o *offer) {
			for _, a := range n.ceiling.allow.models {
				if a.rule.Connector == ask.Connector {
					o.addPatterns(a.by, a.rule.Models)
				}
			}
		}))
	}
}
