package connector

import (
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"
)

//go:embed catalogue/*.yaml
var builtin embed.FS

// Catalogue is a set of connectors. It never changes.
type Catalogue struct {
	byName map[string]*Connector
	byHost map[string][]Site
}

// Site is a connector at one of its hosts.
type Site struct {
	Connector *Connector
	Host      *Host
}

// Builtin returns the catalogue that is part of the program.
func Builtin() (*Catalogue, error) { return loadBuiltin() }

var loadBuiltin = sync.OnceValues(func() (*Catalogue, error) {
	entries, err := builtin.ReadDir("catalogue")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = builtin.ReadFile(path.Join("catalogue", e.Name())); err != nil {
			return nil, err
		}
	}
	return Load(files)
})

// Load reads a catalogue from YAML files, one connector each, by name of the file. An unknown or repeated
// field is an error, as is everything that would make a request match twice.
func Load(files map[string][]byte) (*Catalogue, error) {
	c := &Catalogue{byName: map[string]*Connector{}, byHost: map[string][]Site{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		conn := &Connector{}
		if err := yaml.UnmarshalStrict(files[name], conn); err != nil {
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
		if err := c.add(conn); err != nil {
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Catalogue) add(conn *Connector) error {
	if err := conn.prepare(); err != nil {
		return err
	}
	if _, ok := c.byName[conn.Name]; ok {
		return fmt.Errorf("connector: %q exists already", conn.Name)
	}
	for i := range conn.Hosts {
		host := &conn.Hosts[i]
		for _, other := range c.byHost[host.Name] {
			if within := isBelow(host.Base, other.Host.Base) || isBelow(other.Host.Base, host.Base); within {
				return fmt.Errorf("hosts: %q is of connector %s already", host.Name+host.Base, other.Connector.Name)
			}
		}
		c.byHost[host.Name] = append(c.byHost[host.Name], Site{Connector: conn, Host: host})
	}
	c.byName[conn.Name] = conn
	return nil
}

// Known reports whether there is a connector of that name.
func (c *Catalogue) Known(name string) bool { return c.byName[name] != nil }

// Get returns the connector of that name, or nil.
func (c *Catalogue) Get(name string) *Connector { return c.byName[name] }

// At returns the connectors at a host, which is in lower case and has no port, and where each is there.
func (c *Catalogue) At(host string) []Site { return c.byHost[host] }

// Find returns the connector of a host whose paths begin as this one does; nothing where there is none.
func (c *Catalogue) Find(host, path string) (Site, bool) {
	for _, site := range c.byHost[host] {
		if isBelow(path, site.Host.Base) {
			return site, true
		}
	}
	return Site{}, false
}

// isBelow reports whether a path is base, or goes on from there.
func isBelow(path, base string) bool {
	rest, ok := strings.CutPrefix(path, base)
	return ok && (rest == "" || rest[0] == '/')
}

// Names returns the names of all connectors, sorted.
func (c *Catalogue) Names() []string { return slices.Sorted(maps.Keys(c.byName)) }

// Placeholders returns every value that stands for a key in an agent.
func (c *Catalogue) Placeholders() []string {
	var out []string
	for _, name := range c.Names() {
		for _, slot := range c.byName[name].Slots {
			if slot.Placeholder != "" {
				out = append(out, slot.Placeholder)
			}
		}
	}
	slices.Sort(out)
	return out
}
