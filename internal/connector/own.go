package connector

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// An organization has connectors of its own: in-house services, and services that are at another host for everybody, of
// which the catalogue has a template. They come from the platform's people, and yet may take nothing away from what is
// built in: a grant for slack is for Slack.

// With returns a catalogue with an organization's own connectors added, and what is wrong with those left out, by the
// key of the definition. Two that take the same name or place are both left out: which of them would it be?
func (c *Catalogue) With(definitions map[string][]byte) (*Catalogue, map[string]error) {
	wrong, own := map[string]error{}, map[string]*Connector{}
	for key, file := range definitions {
		conn, err := c.own(file)
		if err != nil {
			wrong[key] = err
			continue
		}
		own[key] = conn
	}
	keys := slices.Sorted(maps.Keys(own))
	for _, key := range keys {
		for _, other := range keys {
			if err := compete(own[key], own[other]); err != nil && key != other {
				wrong[key] = fmt.Errorf("%w, and so is %s: both are left out", err, other)
			}
		}
	}
	out := &Catalogue{byName: maps.Clone(c.byName), byHost: maps.Clone(c.byHost), templates: c.templates}
	for _, key := range keys {
		if wrong[key] == nil {
			out.place(own[key])
		}
	}
	return out, wrong
}

// own reads and checks one connector of an organization's own.
func (c *Catalogue) own(file []byte) (*Connector, error) {
	conn, err := readConnector(file, nil)
	if err != nil {
		return nil, err
	}
	switch {
	case c.byName[conn.Name] != nil:
		return nil, fmt.Errorf("connector: %q is part of the program: give it another name", conn.Name)
	case c.templates[conn.Name] != nil && conn.From != conn.Name:
		return nil, fmt.Errorf("connector: %q is the name of a template: give it another name, or write from: %s", conn.Name, conn.Name)
	case conn.Template:
		return nil, errors.New("template: an organization's own connector is none; give its hosts")
	}
	if other := c.clash(conn); other != "" {
		return nil, fmt.Errorf("hosts: %s, which is part of the program", other)
	}
	if conn.From != "" {
		template := c.templates[conn.From]
		if template == nil {
			return nil, fmt.Errorf("from: there is no template %q; there are %q", conn.From, c.TemplateNames())
		}
		conn.inherit(template)
	}
	return conn, conn.Check()
}

// inherit makes a connector of a template.
func (c *Connector) inherit(t *Connector) {
	name, hosts, tools := c.Name, c.Hosts, c.Tools
	*c = *t
	c.Name, c.From, c.Template, c.Hosts, c.Tools = name, t.Name, false, hosts, tools
}

// compete tells what two connectors both take.
func compete(a, b *Connector) error {
	if a.Name == b.Name {
		return fmt.Errorf("connector: it is called %q", a.Name)
	}
	for _, x := range a.Hosts {
		for _, y := range b.Hosts {
			if x.Name == y.Name && (isBelow(x.Base, y.Base) || isBelow(y.Base, x.Base)) {
				return fmt.Errorf("hosts: it is at %s", x.Name+x.Base)
			}
		}
	}
	return nil
}
