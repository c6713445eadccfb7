package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// judged is what an operation's rules come to.
type judged struct {
	query  []string // parameters that may be given
	often  []string // of them, those of which all values are judged
	takes  []string // parameters of a body
	any    bool     // and all others
	forbid []place
	set    []setting
	mail   *place // of a message in JSON
}

// setting is a parameter with the value it always has.
type setting struct {
	name string
	raw  json.RawMessage
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// prepareOperation checks an operation and makes what matching needs.
func (c *Connector) prepareOperation(op *Operation) (err error) {
	if op.segments, err = readTemplate(op.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if op.Path != "" && op.Path[0] != '/' {
		return fmt.Errorf("path: %q does not start with a slash", op.Path)
	}
	if len(op.Methods) == 0 || slices.ContainsFunc(op.Methods, func(m string) bool { return !slices.Contains(methods, m) }) {
		return fmt.Errorf("methods: %q are not some of %q", op.Methods, methods)
	}
	if !isAction(op.Action) {
		return fmt.Errorf("action: %q is unknown", op.Action)
	}
	for _, name := range slices.Sorted(maps.Keys(op.When)) {
		c.book.guard(name)
		op.judged.query = append(op.judged.query, name)
	}
	for _, q := range op.Query {
		op.judged.query = append(op.judged.query, strings.TrimSuffix(q, "[]"))
	}
	if op.Deny != "" {
		return nil
	}
	switch op.Authority {
	case policy.AuthorityTool, policy.AuthorityChannel, policy.AuthorityModel, policy.AuthorityConnector:
	case "":
		op.Authority = policy.AuthorityTool
	default:
		return fmt.Errorf("authority: %q is unknown", op.Authority)
	}
	if err := op.checkBodies(); err != nil {
		return fmt.Errorf("bodies: %w", err)
	}
	if err := c.prepareMail(op); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	for i := range op.Resources {
		if err := c.prepareResource(op, &op.Resources[i]); err != nil {
			return fmt.Errorf("resources: %w", err)
		}
	}
	if err := c.prepareRules(op); err != nil {
		return err
	}
	return c.prepareAnswer(op)
}

// alone are kinds of body an operation has no other with: what is judged in them is in no other, and a service may
// tell them by something else than their content type.
var alone = []BodyKind{BodyMail, BodyRaw, BodyGraphQL, BodyMCP}

func (op *Operation) checkBodies() error {
	for _, b := range op.Bodies {
		switch b {
		case BodyForm, BodyJSON, BodyMultipart, BodyRelated:
		case BodyMail, BodyRaw, BodyGraphQL, BodyMCP:
			if len(op.Bodies) > 1 {
				return fmt.Errorf("%s stands alone (so do %v): make it an operation of its own, which when tells apart", b, alone)
			}
		default:
			return fmt.Errorf("%q is unknown", b)
		}
	}
	switch {
	case slices.Contains(op.Bodies, BodyGraphQL) != (len(op.Queries) > 0):
		return errors.New("a body of kind GraphQL comes with queries, and only that")
	case op.Files && !slices.Contains(op.Bodies, BodyMultipart):
		return errors.New("files: only a body of kind Multipart has any")
	}
	return nil
}

// takesBody reports whether the operation has a body in which there are parameters.
func (op *Operation) takesBody() bool {
	return slices.ContainsFunc(op.Bodies, func(b BodyKind) bool { return b != BodyRaw && b != BodyMail })
}

func (c *Connector) prepareMail(op *Operation) error {
	switch {
	case op.Mail == "":
		if slices.Contains(op.Bodies, BodyMail) {
			return errors.New("a body of kind Mail is a message: say mail: body")
		}
		return nil
	case op.Mail == "body":
		if !slices.Equal(op.Bodies, []BodyKind{BodyMail}) && !slices.Equal(op.Bodies, []BodyKind{BodyRelated}) {
			return errors.New("the body is a message for bodies [Mail], and its second part for [Related]")
		}
		return nil
	}
	p, err := readPlace(op.Mail)
	if err != nil || p.kind != inBody || !slices.Equal(op.Bodies, []BodyKind{BodyJSON}) || slices.ContainsFunc(p.steps, func(s step) bool { return s.each }) {
		return fmt.Errorf("%q is not body.NAME or body.NAME.NAME, with bodies [JSON]", op.Mail)
	}
	op.judged.mail = &p
	c.know(op, &p)
	return nil
}

// know notes that a place means something to us.
func (c *Connector) know(op *Operation, p *place) {
	name := p.steps[0].key
	switch p.kind {
	case inQuery:
		c.book.guard(name)
		op.judged.query = append(op.judged.query, name)
		if p.steps[0].each {
			op.judged.often = append(op.judged.often, name)
		}
	case inBody:
		c.book.guard(name)
		op.judged.takes = append(op.judged.takes, name)
	}
}

// known checks that a place can be there at all, and notes it.
func (c *Connector) known(op *Operation, p *place) error {
	name := p.steps[0].key
	switch {
	case p.kind == inPath && !slices.ContainsFunc(op.segments, func(s segment) bool { return s.name == name }):
		return fmt.Errorf("the path has no {%s}", name)
	case p.kind == inBody && !op.takesBody():
		return fmt.Errorf("%q, but the operation has no body with parameters", p.text)
	case p.kind == inMail && op.Mail == "":
		return fmt.Errorf("%q, but the operation has no mail", p.text)
	case p.kind == inArgument && len(op.Queries) == 0:
		return fmt.Errorf("%q, but the operation has no queries", p.text)
	}
	c.know(op, p)
	return nil
}

func (c *Connector) prepareResource(op *Operation, r *ResourceSource) (err error) {
	t, ok := c.Resources[r.Type]
	if !ok {
		return fmt.Errorf("type %q has no shape in the connector's resources", r.Type)
	}
	r.fold = t.IgnoreCase
	if r.shape, err = c.book.shape(t.Shape); err != nil {
		return fmt.Errorf("the shape of %s is no regular expression: %q", r.Type, t.Shape)
	}
	if r.except, err = c.book.optional(r.Except); err != nil {
		return fmt.Errorf("except: %w", err)
	}
	if r.capture, err = c.book.optional(r.Capture); err != nil || r.capture != nil && r.capture.NumSubexp() != 1 {
		return fmt.Errorf("capture: %q is not a regular expression with one group", r.Capture)
	}
	if len(r.From) == 0 && (r.Value == "" || r.Optional) {
		return fmt.Errorf("%s is found nowhere", r.Type)
	}
	if r.Value != "" && r.Value != string(v1alpha1.Wildcard) && (!r.shape.MatchString(r.Value) || r.fold && r.Value != strings.ToLower(r.Value)) {
		return fmt.Errorf("value: %q is not the id of a %s", r.Value, r.Type)
	}
	for _, from := range r.From {
		var parts []place
		for text := range strings.SplitSeq(from, "/") {
			p, err := readPlace(text)
			if err == nil {
				err = c.known(op, &p)
			}
			if err != nil {
				return err
			}
			if p.steps[0].each && strings.Contains(from, "/") || strings.Contains(from, "/") && strings.Contains(text, "[]") {
				return fmt.Errorf("from: %q would make one name of lists", from)
			}
			parts = append(parts, p)
		}
		r.places = append(r.places, parts)
	}
	return nil
}

// optional compiles an expression that may be empty.
func (b *book) optional(expression string) (*regexp.Regexp, error) {
	if expression == "" {
		return nil, nil
	}
	return b.shape(expression)
}

// prepareRules checks what an operation says of parameters, and gathers their names.
func (c *Connector) prepareRules(op *Operation) error {
	for _, name := range op.Params {
		if name == "*" {
			op.judged.any = true
			continue
		}
		if !stepShape.MatchString(name) || strings.HasSuffix(name, "[]") {
			return fmt.Errorf("params: %q is not a parameter", name)
		}
		op.judged.takes = append(op.judged.takes, name)
	}
	if len(op.Set) > 0 && (!op.takesBody() || op.has("GET") || op.has("HEAD")) {
		return errors.New("set: a request to read, or one without parameters in a body, has nothing to set")
	}
	for _, name := range slices.Sorted(maps.Keys(op.Set)) {
		if !stepShape.MatchString(name) || strings.HasSuffix(name, "[]") || checkValue(op.Set[name]) != nil {
			return fmt.Errorf("set: %q is not a parameter, or has no value", name)
		}
		op.judged.takes = append(op.judged.takes, name)
		op.judged.set = append(op.judged.set, setting{name: name, raw: op.Set[name]})
	}
	if err := c.prepareFields(op); err != nil {
		return err
	}
	for _, text := range op.Forbid {
		p, err := readBodyPlace(text)
		if err != nil || p.kind != inBody || !p.deep() && slices.Contains(op.judged.takes, p.steps[0].key) {
			return fmt.Errorf("forbid: %q is not a parameter, or may be given", text)
		}
		c.book.guard(p.steps[0].key)
		op.judged.forbid = append(op.judged.forbid, p)
	}
	for _, n := range op.Nested {
		takes := func(name string) bool { return op.judged.any || slices.Contains(op.judged.takes, name) }
		if !nestedShape.MatchString(n.Key) || len(n.In) == 0 || slices.ContainsFunc(n.In, func(name string) bool { return !takes(name) }) {
			return fmt.Errorf("nested: %q must be KEY or KEY.NAME, in parameters of the operation", n.Key)
		}
	}
	return nil
}

var nestedShape = regexp.MustCompile(`^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)?$`)

func (c *Connector) prepareFields(op *Operation) (err error) {
	for i := range op.Fields {
		f := &op.Fields[i]
		if f.place, err = readBodyPlace(f.Path); err == nil {
			err = c.known(op, &f.place)
		}
		if err == nil && len(f.Allow) == 0 {
			err = errors.New("there are no values to allow")
		}
		if err != nil {
			return fmt.Errorf("fields: %q must be NAME, NAME[].NAME, and the like: %w", f.Path, err)
		}
	}
	for i := range op.Values {
		v := &op.Values[i]
		if v.place, err = readPlace(v.At); err == nil {
			err = c.known(op, &v.place)
		}
		if err == nil {
			v.shape, err = c.book.optional(v.Shape)
		}
		if err == nil {
			v.except, err = c.book.optional(v.Except)
		}
		if err == nil && v.shape == nil && v.except == nil {
			err = errors.New("there is no shape and no except")
		}
		if err != nil {
			return fmt.Errorf("values: %q: %w", v.At, err)
		}
	}
	for i := range op.Keys {
		k := &op.Keys[i]
		if k.place, err = readBodyPlace(k.At); err == nil {
			err = c.known(op, &k.place)
		}
		if err == nil && (k.place.kind != inBody || len(k.Allow) == 0) {
			err = errors.New("it must be a place of objects in the body, with the names their members may have")
		}
		if err != nil {
			return fmt.Errorf("keys: %q: %w", k.At, err)
		}
	}
	return nil
}
