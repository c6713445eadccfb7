package connector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"
)

// book is all operations of a connector, ready to match. It is made when it is first needed: a service may have a
// thousand operations, and a gateway has little memory and few services.
type book struct {
	once  sync.Once
	read  func(yield func(Operation) error) error // shows the operations of all files
	err   error
	ops   []*Operation
	trees map[string]*node // of the operations at a host, by its id; the others know those without
	host  map[string]bool  // ids of hosts
	// guarded are names of parameters that mean something to us, by themselves in lower case; see params.go.
	guarded map[string][]string
	shapes  map[string]*regexp.Regexp // by expression: many say the same
}

// open returns the connector's operations, and makes them ready when it is first called.
func (c *Connector) open() (*book, error) {
	c.book.once.Do(func() {
		if c.book.err = c.prepareOperations(); c.book.err != nil {
			c.book.err = fmt.Errorf("connector %s: %w", c.Name, c.book.err)
		}
	})
	return c.book, c.book.err
}

// List returns the connector's operations, in the order of its files.
func (c *Connector) List() ([]*Operation, error) {
	b, err := c.open()
	return b.ops, err
}

// Operation returns the operation of that id, or nil.
func (c *Connector) Operation(id string) *Operation {
	ops, _ := c.List()
	if i := slices.IndexFunc(ops, func(op *Operation) bool { return op.ID == id }); i >= 0 {
		return ops[i]
	}
	return nil
}

// prepareOperations reads, checks and files all operations.
func (c *Connector) prepareOperations() error {
	b := c.book
	b.trees, b.host, b.guarded, b.shapes = map[string]*node{"": {}}, map[string]bool{}, map[string][]string{}, map[string]*regexp.Regexp{}
	for _, name := range c.Strip {
		b.guard(name)
	}
	ids := map[string]bool{}
	err := b.read(func(read Operation) error {
		op := &read
		if op.ID == "" || ids[op.ID] {
			return fmt.Errorf("operations[%d].id: %q is empty or exists already", len(b.ops), op.ID)
		}
		ids[op.ID] = true
		if err := c.prepareOperation(op); err != nil {
			return fmt.Errorf("operations[%s].%w", op.ID, err)
		}
		if op.Host != "" {
			b.host[op.Host] = true
		}
		b.ops = append(b.ops, op)
		return nil
	})
	if err != nil {
		return err
	}
	for id := range b.host {
		b.trees[id] = &node{}
	}
	for _, op := range b.ops {
		for id, tree := range b.trees {
			if op.Host != "" && op.Host != id {
				continue
			}
			if err := tree.add(op, op.segments); err != nil {
				return fmt.Errorf("operations[%s].%w", op.ID, err)
			}
		}
	}
	return nil
}

// tree returns the paths at a host.
func (b *book) tree(h *Host) *node {
	if tree := b.trees[h.ID]; tree != nil {
		return tree
	}
	return b.trees[""]
}

// guard notes a parameter's name.
func (b *book) guard(name string) {
	lower := strings.ToLower(name)
	if !slices.Contains(b.guarded[lower], name) {
		b.guarded[lower] = append(b.guarded[lower], name)
	}
}

// shape compiles an expression that a whole text must match.
func (b *book) shape(expression string) (*regexp.Regexp, error) {
	if re := b.shapes[expression]; re != nil {
		return re, nil
	}
	re, err := wholeMatch(expression)
	if err == nil {
		b.shapes[expression] = re
	}
	return re, err
}

// wholeMatch compiles an expression that a whole id must match.
func wholeMatch(shape string) (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + shape + `)$`) }

const operationsKey = "operations:"

// cut splits a connector's file into what it says of the connector and the items of its list of operations, if that
// is the last key and is written one item after the other from the beginning of a line. What is not so stays together.
func cut(file []byte) (head, items []byte) {
	i := bytes.Index(file, []byte("\n"+operationsKey))
	if bytes.HasPrefix(file, []byte(operationsKey)) {
		i = -1 // a file of operations only
	} else if i < 0 {
		return file, nil
	}
	head, items = file[:i+1], file[i+1+len(operationsKey):]
	line, items, _ := bytes.Cut(items, []byte("\n"))
	if len(bytes.TrimSpace(line)) > 0 {
		return file, nil
	}
	for rest := items; len(rest) > 0; {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if len(line) > 0 && !strings.ContainsRune(" -#\r", rune(line[0])) {
			return file, nil
		}
	}
	return head, items
}

// readItems shows each operation of a list. It is decoded item by item, since a YAML document takes a hundred times
// its size while it is read.
func readItems(items []byte, show func(Operation) error) error {
	for len(items) > 0 {
		end := len(items)
		if i := bytes.Index(items, []byte("\n- ")); i >= 0 {
			end = i + 1
		}
		item := items[:end]
		items = items[end:]
		ops, err := readItem(item)
		if err != nil {
			line, _, _ := bytes.Cut(item, []byte("\n"))
			return fmt.Errorf("operations: %.60s: %w", line, err)
		}
		for _, op := range ops {
			if err := show(op); err != nil {
				return err
			}
		}
	}
	return nil
}

func readItem(item []byte) (ops []Operation, err error) {
	line, more, _ := bytes.Cut(item, []byte("\n"))
	if doc, ok := bytes.CutPrefix(line, []byte("- ")); ok && bytes.HasPrefix(doc, []byte(`{"`)) && len(bytes.TrimSpace(more)) == 0 {
		if _, err := readObject(doc); err != nil {
			return nil, err
		}
		ops = make([]Operation, 1)
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.DisallowUnknownFields()
		return ops, decoder.Decode(&ops[0])
	}
	return ops, yaml.UnmarshalStrict(item, &ops)
}

// reader returns what shows the operations of a connector's files.
func reader(listed []Operation, files ...[]byte) func(func(Operation) error) error {
	return func(show func(Operation) error) error {
		for _, op := range listed {
			if err := show(op); err != nil {
				return err
			}
		}
		for _, items := range files {
			if err := readItems(items, show); err != nil {
				return err
			}
		}
		return nil
	}
}

// hostIDs returns the ids operations name, sorted.
func (b *book) hostIDs() []string { return slices.Sorted(maps.Keys(b.host)) }
