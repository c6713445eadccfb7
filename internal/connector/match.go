package connector

import (
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/internal/policy"
)

// Request is what an agent asked a service for, taken apart.
type Request struct {
	Method      string
	Host        *Host  // whose base the path begins with; the connector's first where nil
	Path        string // as it was sent, still encoded
	Query       string // as it was sent, without the question mark
	ContentType string
	Body        []byte // without a content encoding
}

// Call is a request whose meaning is known, built anew from what was understood.
type Call struct {
	Operation *Operation
	Resources []policy.Resource

	// What is to be sent. Query and body hold no parameter that could carry a key.
	Method      string
	Path        string
	Query       string
	ContentType string // empty without a body
	Body        []byte

	query   []param
	form    []param
	members []member
	values  map[string]string // of the path's parameters
}

// Refusal is why a request is refused without asking the policy.
type Refusal struct {
	// Unlisted is set where the request is well-formed but no operation of the catalogue.
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
	call := &Call{Method: r.Method, Path: r.Path}
	if err := checkPath(r.Path); err != nil {
		return call, refuse(err)
	}
	op, values, known := c.find(r.Method, c.below(r))
	if op == nil {
		reason := "this is not an operation of connector " + c.Name
		if known {
			reason = "the operation of connector " + c.Name + " is not asked for with this method"
		}
		return call, &Refusal{Unlisted: true, Reason: reason}
	}
	call.Operation, call.values = op, values
	if err := c.readQuery(call, r.Query); err != nil {
		return call, refuse(fmt.Errorf("query: %w", err))
	}
	if err := c.readBody(call, r); err != nil {
		return call, refuse(err)
	}
	if err := call.checkFields(); err != nil {
		return call, refuse(err)
	}
	if err := c.findResources(call); err != nil {
		return call, refuse(err)
	}
	call.set()
	return call, nil
}

// below is the path after the base of its host.
func (c *Connector) below(r Request) string {
	host := r.Host
	if host == nil {
		host = &c.Hosts[0]
	}
	return strings.TrimPrefix(r.Path, host.Base)
}

func (c *Connector) readQuery(call *Call, raw string) error {
	params, err := readParams(raw)
	if err != nil {
		return err
	}
	if call.query, err = c.clean(params); err != nil {
		return err
	}
	for _, p := range call.query {
		if !slices.Contains(call.Operation.Query, p.name) {
			return fmt.Errorf("parameter %q is not one of %s", p.name, call.Operation.ID)
		}
	}
	call.Query = writeParams(call.query)
	return nil
}

// clean takes the parameters out that could carry a key, and refuses those that look like them.
func (c *Connector) clean(params []param) ([]param, error) {
	for _, p := range params {
		if err := c.disguised(p.name); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(params, func(p param) bool { return slices.Contains(c.Strip, p.name) }), nil
}

func (c *Connector) readBody(call *Call, r Request) error {
	if len(r.Body) == 0 {
		return nil
	}
	if r.Method == "GET" || r.Method == "HEAD" {
		return errors.New("a request to read has no body")
	}
	kind, err := bodyKind(r.ContentType)
	if err != nil {
		return err
	}
	if !slices.Contains(call.Operation.Bodies, kind) {
		return fmt.Errorf("%s does not take a body of this content type", call.Operation.ID)
	}
	if kind == BodyForm {
		return c.readForm(call, r.Body)
	}
	return c.readJSON(call, r.Body)
}

func bodyKind(contentType string) (BodyKind, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", errors.New("the body has no content type, or a wrong one")
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return "", errors.New("the content type has a parameter other than charset=utf-8")
		}
	}
	switch media {
	case "application/x-www-form-urlencoded":
		return BodyForm, nil
	case "application/json":
		return BodyJSON, nil
	default:
		return "", errors.New("bodies of this content type are not understood, so they are refused")
	}
}

// maxForm is how large a form may be: it is written anew, and may grow threefold by that.
const maxForm = 1 << 20

func (c *Connector) readForm(call *Call, body []byte) error {
	if len(body) > maxForm {
		return errors.New("form: it is too large; send JSON")
	}
	params, err := readParams(string(body))
	if err != nil {
		return fmt.Errorf("form: %w", err)
	}
	if call.form, err = c.clean(params); err != nil {
		return fmt.Errorf("form: %w", err)
	}
	call.writeForm()
	return nil
}

func (c *Connector) readJSON(call *Call, body []byte) error {
	members, err := readObject(body)
	if err != nil {
		return err
	}
	strip := false
	for _, m := range members {
		if err := c.disguised(m.key); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		strip = strip || slices.Contains(c.Strip, m.key)
	}
	call.ContentType = "application/json; charset=utf-8"
	if !strip {
		call.members, call.Body = members, body
		return nil
	}
	call.members = slices.DeleteFunc(members, func(m member) bool { return slices.Contains(c.Strip, m.key) })
	call.Body = writeObject(call.members)
	return nil
}

// findResources reads every resource of the operation from all places that may name it.
func (c *Connector) findResources(call *Call) error {
	for _, source := range call.Operation.Resources {
		id := ""
		for _, from := range source.From {
			found, there, err := call.lookup(from)
			switch {
			case err != nil:
				return err
			case !there:
			case !c.shapes[source.Type].MatchString(found):
				return fmt.Errorf("%s is not the id of a %s", from, source.Type)
			case source.except != nil && source.except.MatchString(found):
				return fmt.Errorf("%s names a %s that acts where no gateway sees it", from, source.Type)
			case id != "" && id != found:
				return fmt.Errorf("the request names two different %ss", source.Type)
			default:
				id = found
			}
		}
		if id == "" {
			return fmt.Errorf("the request names no %s", source.Type)
		}
		call.Resources = append(call.Resources, policy.Resource{Type: source.Type, Name: id})
	}
	return nil
}

// lookup returns what is in one place of the request.
func (call *Call) lookup(from string) (value string, there bool, err error) {
	place, name, _ := strings.Cut(from, ".")
	params := call.query
	switch place {
	case "path":
		value, there = call.values[name]
		return value, there, nil
	case "body":
		for _, m := range call.members {
			if m.key != name {
				continue
			}
			text, ok := textOf(m.value)
			if !ok {
				return "", true, fmt.Errorf("%s is not a string", from)
			}
			return text, true, nil
		}
		params = call.form
	}
	for _, p := range params {
		if p.name == name {
			return p.value, true, nil
		}
	}
	return "", false, nil
}
