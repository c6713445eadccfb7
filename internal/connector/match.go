package connector

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Request is what an agent asked a service for, taken apart.
type Request struct {
	Method      string
	Host        *Host  // whose base the path begins with; the connector's first where nil
	Path        string // as it was sent, still encoded, without the segment that is a key
	Query       string // as it was sent, without the question mark
	ContentType string
	Body        []byte // without a content encoding
}

// Call is a request whose meaning is known, built anew from what was understood.
type Call struct {
	Operation *Operation
	// Action is what is judged and recorded: the operation's, but for MCP, where it is that of the tool.
	Action    v1alpha1.Action
	Resources []policy.Resource

	// What is to be sent. Query and body hold no parameter that could carry a key. The path is encoded, in the only way
	// in which its parameters are written: it is the RawPath of a URL.
	Method      string
	Path        string
	Query       string
	ContentType string // empty without a body
	Body        []byte

	connector *Connector
	values    []string // of the path's parameters
	query     []param
	kind      BodyKind
	form      []param  // texts of a form, also of one in parts
	files     []file   // of a form in parts
	members   []member // of JSON
	media     *file    // that JSON describes
	mail      *message
	rpc       *rpc     // of MCP
	arguments []member // of the fields a GraphQL document selects, by argument.FIELD.NAME
}

// Refusal is why a request is refused without asking the policy.
type Refusal struct {
	// Unlisted is set where the request is well-formed but no operation of the catalogue, or one that the catalogue
	// denies; the call's operation tells which.
	Unlisted bool
	// Reason is a sentence for the agent's owner. It quotes nothing secret.
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refuse(err error) error { return &Refusal{Reason: err.Error()} }

// Match finds the operation and the resources of a request. An error is a Refusal; the call that comes with it
// is never nil and holds what was found so far, for the record.
func (c *Connector) Match(r Request) (*Call, error) {
	call := &Call{Method: r.Method, Path: r.Path, connector: c}
	b, err := c.open()
	if err != nil {
		return call, refuse(err)
	}
	if err := call.route(b, r); err != nil {
		return call, err
	}
	if err := call.read(b, r); err != nil {
		return call, refuse(err)
	}
	return call, nil
}

// route finds the operation by method, path and query.
func (call *Call) route(b *book, r Request) error {
	host := r.Host
	if host == nil {
		if len(call.connector.Hosts) == 0 {
			return refuse(errors.New("the connector is at no host"))
		}
		host = &call.connector.Hosts[0]
	}
	if err := checkPath(r.Path); err != nil {
		return refuse(err)
	}
	if !isBelow(r.Path, host.Base) {
		return refuse(errors.New("the path does not begin as all paths of the connector do"))
	}
	tree := b.tree(host)
	found, err := tree.find(r.Path[len(host.Base):])
	if err != nil {
		return refuse(err)
	}
	if len(found.ops) == 0 {
		return &Refusal{Unlisted: true, Reason: "this is not an operation of connector " + call.connector.Name}
	}
	call.values = found.values
	if err := call.readQuery(b, r.Query); err != nil {
		call.Operation = choose(found.ops, r.Method, nil)
		return refuse(fmt.Errorf("query: %w", err))
	}
	if call.Operation = choose(found.ops, r.Method, call.query); call.Operation == nil {
		return &Refusal{Unlisted: true, Reason: "the operation of connector " + call.connector.Name + " is not asked for in this way"}
	}
	call.Action = call.Operation.Action
	if call.Operation.Deny != "" {
		return &Refusal{Unlisted: true, Reason: call.Operation.Deny}
	}
	if !found.plain {
		return call.rewrite(tree, host.Base)
	}
	return nil
}

// rewrite writes the path anew, and makes sure that it is the same to whoever reads it.
func (call *Call) rewrite(tree *node, base string) error {
	call.Path = call.Operation.write(base, call.values)
	again, err := tree.find(call.Path[len(base):])
	if err != nil || !slices.Contains(again.ops, call.Operation) || !slices.Equal(again.values, call.values) {
		return refuse(errors.New("the path can be read in two ways"))
	}
	return nil
}

// choose returns the operation of a method, and of a query that has what the operation wants of it.
func choose(ops []*Operation, method string, query []param) (chosen *Operation) {
	for _, op := range ops {
		if op.has(method) && op.wanted(query) && (chosen == nil || len(op.When) > len(chosen.When)) {
			chosen = op
		}
	}
	return chosen
}

func (op *Operation) wanted(query []param) bool {
	for name, value := range op.When {
		if !slices.Contains(query, param{name: name, value: value}) {
			return false
		}
	}
	return true
}

func (call *Call) readQuery(b *book, raw string) error {
	params, err := readParams(raw)
	if err != nil {
		return err
	}
	call.query, err = call.clean(b, params)
	return err
}

// clean takes the parameters out that could carry a key, and refuses those that look like them.
func (call *Call) clean(b *book, params []param) ([]param, error) {
	for _, p := range params {
		if err := b.disguised(p.name); err != nil {
			return nil, err
		}
	}
	strip := call.connector.Strip
	return slices.DeleteFunc(params, func(p param) bool { return slices.Contains(strip, p.name) }), nil
}

// read reads query and body as the operation takes them, and finds the resources in them.
func (call *Call) read(b *book, r Request) error {
	if err := call.checkQuery(b); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if err := call.readBody(b, r); err != nil {
		return err
	}
	if err := call.readMailMember(); err != nil {
		return err
	}
	if err := call.checkRules(); err != nil {
		return err
	}
	if err := call.findResources(); err != nil {
		return err
	}
	return call.set()
}

// checkQuery refuses parameters the operation does not take, and those that are there twice where that means something.
func (call *Call) checkQuery(b *book) error {
	op := call.Operation
	for _, p := range call.query {
		if !slices.Contains(op.judged.query, p.name) {
			return fmt.Errorf("parameter %q is not one of %s", p.name, op.ID)
		}
	}
	err := checkTwice(call.query, func(name string) bool {
		return len(b.guarded[strings.ToLower(name)]) == 0 || slices.Contains(op.judged.often, name)
	})
	if err != nil {
		return err
	}
	call.Query = writeParams(call.query)
	return nil
}
