package connector

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// prepareAnswer checks what an operation says of its answers, and of what is said over a connection it opens.
func (c *Connector) prepareAnswer(op *Operation) error {
	if slices.Contains(op.Bodies, BodyGraphQL) {
		if err := op.prepareQueries(); err != nil {
			return fmt.Errorf("queries: %w", err)
		}
	}
	if err := op.checkArguments(); err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	if slices.Contains(op.Bodies, BodyMCP) {
		if op.Response == nil {
			op.Response = &Response{}
		}
		op.Response.MCP = true
	}
	if op.Response != nil {
		if err := c.prepareResponse(op.Response); err != nil {
			return fmt.Errorf("response: %w", err)
		}
	}
	if op.Usage != nil {
		if err := op.Usage.prepare(); err != nil {
			return fmt.Errorf("usage: %w", err)
		}
	}
	if op.WebSocket != nil {
		if err := op.WebSocket.prepare(c, op); err != nil {
			return fmt.Errorf("websocket: %w", err)
		}
	}
	return nil
}

func (c *Connector) prepareResponse(r *Response) error {
	if r.MCP {
		if len(r.Filters)+len(r.Remove) > 0 {
			return errors.New("what is kept of messages of MCP follows from the connector's tools: there are no filters")
		}
		return c.checkToolType()
	}
	if len(r.Filters)+len(r.Remove) == 0 {
		return errors.New("it has no filter and removes nothing")
	}
	r.view = &view{}
	for i := range r.Filters {
		if err := c.prepareFilter(r.view, &r.Filters[i]); err != nil {
			return fmt.Errorf("filters[%d]: %w", i, err)
		}
	}
	for _, text := range r.Remove {
		hops, err := readInnerHops(text)
		if err != nil {
			return fmt.Errorf("remove: %w", err)
		}
		v, err := r.view.at(hops, "")
		if err != nil {
			return fmt.Errorf("remove: %q: %w", text, err)
		}
		v.remove = true
	}
	return nil
}

func (c *Connector) prepareFilter(root *view, f *Filter) error {
	hops, err := readHops(f.At)
	if err != nil {
		return fmt.Errorf("at: %w", err)
	}
	if f.Author == nil && f.Resource == nil {
		return errors.New("an author or a resource is needed: without them nothing tells what to keep")
	}
	if f.Author != nil {
		if err := f.Author.prepare(); err != nil {
			return fmt.Errorf("author: %w", err)
		}
	}
	if f.Resource != nil {
		if f.names, err = c.prepareNames(f.Resource); err != nil {
			return fmt.Errorf("resource: %w", err)
		}
	}
	required := f.At
	if f.Optional {
		required = ""
	}
	v, err := root.at(hops, required)
	if err != nil {
		return fmt.Errorf("at: %q: %w", f.At, err)
	}
	v.filters = append(v.filters, f)
	return nil
}

// at returns the view of a place, and makes those on the way. Where it is required it is noted on the way.
func (v *view) at(hops []hop, required string) (*view, error) {
	for _, h := range hops {
		if h.each() && v.members != nil || !h.each() && v.elements != nil {
			return nil, errors.New("another place has an object where this has a list")
		}
		if h.each() {
			if v.elements == nil {
				v.elements = &view{}
			}
			v = v.elements
			continue
		}
		if v.members == nil {
			v.members = map[string]*view{}
		}
		if v.members[h.key] == nil {
			v.members[h.key] = &view{}
		}
		v = v.members[h.key]
		if required != "" {
			v.required = append(v.required, required)
		}
	}
	return v, nil
}

// names is where in what is filtered a resource is named, and how it is spelled.
type names struct {
	source *ResourceSource
	places [][][]hop // of each place, its parts
}

// prepareNames checks a resource of a filter. Names are spelled as in a request; only where they are is another matter.
func (c *Connector) prepareNames(r *ResourceSource) (*names, error) {
	if len(r.From) == 0 && r.Value == "" {
		return nil, fmt.Errorf("%s is found nowhere", r.Type)
	}
	ready := ResourceSource{Type: r.Type, Capture: r.Capture, Except: r.Except, Value: cmp.Or(r.Value, string(v1alpha1.Wildcard))}
	if err := c.prepareResource(&Operation{}, &ready); err != nil {
		return nil, err
	}
	r.shape, r.fold, r.capture, r.except = ready.shape, ready.fold, ready.capture, ready.except
	n := &names{source: r}
	for _, text := range r.From {
		var parts [][]hop
		for part := range strings.SplitSeq(text, "/") {
			p, err := readHops(part)
			if err != nil {
				return nil, err
			}
			if strings.Contains(text, "/") && slices.Contains(p, hop{}) {
				return nil, fmt.Errorf("from: %q would make one name of lists", text)
			}
			parts = append(parts, p)
		}
		n.places = append(n.places, parts)
	}
	return n, nil
}

// covered reports whether the grant covers all a filter's resource names in a value.
func (f *filtering) covered(filter *Filter, value []byte) (bool, error) {
	found, err := filter.names.in(value)
	if err != nil {
		return false, nil // an id that is none of the service's is covered by nothing
	}
	if len(found) == 0 {
		return filter.Resource.Optional, nil
	}
	for _, name := range found {
		if !f.sight.resource(policy.Resource{Type: filter.Resource.Type, Name: name}) {
			return false, nil
		}
	}
	return true, nil
}

// in returns all names in a value.
func (n *names) in(value []byte) (found []string, err error) {
	for _, parts := range n.places {
		if len(parts) > 1 {
			var texts []string
			for _, p := range parts {
				text := textAt(value, p)
				if text == "" || strings.Contains(text, "/") {
					return nil, errShape
				}
				texts = append(texts, text)
			}
			if found, err = n.source.accept(found, strings.Join(texts, "/")); err != nil {
				return nil, err
			}
			continue
		}
		err := eachAt(value, parts[0], func(raw []byte) error {
			if isNull(raw) {
				return nil
			}
			text, ok := nameOf(raw)
			if !ok {
				return errShape
			}
			pieces := []string{text}
			if n.source.Split != "" {
				pieces = strings.Split(text, n.source.Split)
			}
			for _, piece := range pieces {
				if found, err = n.source.accept(found, piece); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(found) == 0 && n.source.Value != "" {
		return []string{n.source.Value}, nil
	}
	return found, nil
}
