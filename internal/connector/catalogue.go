package connector

import (
	"embed"
	"errors"
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
	byName    map[string]*Connector
	byHost    map[string][]Site // the longest base first
	templates map[string]*Connector
}

// Site is a connector at one of its hosts.
type Site struct {
	Connector *Connector
	Host      *Host
}

// Builtin returns the catalogue that is part of the program. What it says of operations is not read before a connector's
// first call; that all of it is right is a test.
func Builtin() (*Catalogue, error) { return loadBuiltin() }

var loadBuiltin = sync.OnceValues(readBuiltin)

func readBuiltin() (*Catalogue, error) {
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
	return read(files)
}

// Load reads a catalogue from YAML files, one connector each, by name of the file: NAME.yaml, and NAME.operations.yaml
// for more of its operations. An unknown or repeated field is an error, as is everything that would make a request
// match twice.
func Load(files map[string][]byte) (*Catalogue, error) {
	c, err := read(files)
	if err != nil {
		return nil, err
	}
	for _, name := range c.Names() {
		if err := c.byName[name].Check(); err != nil {
			return nil, err
		}
	}
	for _, name := range c.TemplateNames() {
		if err := c.templates[name].Check(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

const moreOperations = ".operations.yaml"

// read reads a catalogue whose operations are read when they are needed.
func read(files map[string][]byte) (*Catalogue, error) {
	c := &Catalogue{byName: map[string]*Connector{}, byHost: map[string][]Site{}, templates: map[string]*Connector{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, moreOperations) {
			if _, ok := files[strings.TrimSuffix(name, moreOperations)+".yaml"]; !ok {
				return nil, fmt.Errorf("%s: there is no connector's file of that name", name)
			}
			continue
		}
		conn, err := readConnector(files[name], files[strings.TrimSuffix(name, ".yaml")+moreOperations])
		if err == nil {
			err = c.add(conn)
		}
		if err != nil {
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
	}
	return c, nil
}

// readConnector reads what a connector's file says of the connector itself.
func readConnector(file, more []byte) (*Connector, error) {
	head, items := cut(file)
	conn := &Connector{}
	if err := yaml.UnmarshalStrict(head, conn); err != nil {
		return nil, err
	}
	if len(more) > 0 {
		if rest, operations := cut(more); len(operations) == 0 || strings.TrimSpace(uncommented(rest)) != "" {
			return nil, errors.New("operations: the file of operations must have nothing but operations, one item after the other")
		}
		_, more = cut(more)
	}
	if conn.From != "" && len(items) > 0 {
		return nil, errFrom
	}
	conn.book = &book{read: reader(conn.Operations, items, more)}
	return conn, conn.prepare()
}

func uncommented(text []byte) string {
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func (c *Catalogue) add(conn *Connector) error {
	if c.byName[conn.Name] != nil || c.templates[conn.Name] != nil {
		return fmt.Errorf("connector: %q exists already", conn.Name)
	}
	if conn.Template {
		c.templates[conn.Name] = conn
		return nil
	}
	if other := c.clash(conn); other != "" {
		return fmt.Errorf("hosts: %s already", other)
	}
	c.place(conn)
	return nil
}

// clash tells whose place a connector would take.
func (c *Catalogue) clash(conn *Connector) string {
	for i := range conn.Hosts {
		host := &conn.Hosts[i]
		for _, other := range c.byHost[host.Name] {
			if isBelow(host.Base, other.Host.Base) || isBelow(other.Host.Base, host.Base) {
				return fmt.Sprintf("%q is of connector %s", host.Name+host.Base, other.Connector.Name)
			}
		}
	}
	return ""
}

func (c *Catalogue) place(conn *Connector) {
	c.byName[conn.Name] = conn
	for i := range conn.Hosts {
		host := &conn.Hosts[i]
		sites := append(slices.Clone(c.byHost[host.Name]), Site{Connector: conn, Host: host})
		slices.SortStableFunc(sites, func(a, b Site) int { return len(b.Host.Base) - len(a.Host.Base) })
		c.byHost[host.Name] = sites
	}
}

// Known reports whether there is a connector of that name.
func (c *Catalogue) Known(name string) bool { return c.byName[name] != nil }

// Get returns the connector of that name, or nil. A template is none.
func (c *Catalogue) Get(name string) *Connector { return c.byName[name] }

// Template returns what connectors are made from, or nil.
func (c *Catalogue) Template(name string) *Connector { return c.templates[name] }

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

// TemplateNames returns the names of all templates, sorted.
func (c *Catalogue) TemplateNames() []string { return slices.Sorted(maps.Keys(c.templates)) }

// Placeholders returns every value that stands for a key in an agent.
func (c *Catalogue) Placeholders() []string {
	var out []string
	for _, set := range []map[string]*Connector{c.byName, c.templates} {
		for _, conn := range set {
			for _, slot := range conn.Slots {
				if slot.Placeholder != "" {
					out = append(out, slot.Placeholder)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
