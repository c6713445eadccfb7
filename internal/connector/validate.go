package connector

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	hostShape   = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	headerShape = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	envShape    = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	slotShape   = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	fieldShape  = regexp.MustCompile(`^[A-Za-z0-9_]+(\[\]\.[A-Za-z0-9_]+)?$`)
	nestedShape = regexp.MustCompile(`^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?$`)
	sourceShape = regexp.MustCompile(`^(path|query|body)\.[A-Za-z0-9_]+$`)
	paramShape  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)

// ours are headers no connector may pass on: the gateway writes them itself or drops them.
var ours = []string{
	"authorization", "proxy-authorization", "cookie", "host", "content-length", "content-type", "content-encoding",
	"transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect", "accept-encoding",
	"forwarded", "x-forwarded-for", "x-forwarded-host", "x-http-method-override", "api-key", "x-api-key",
}

// prepare checks a connector and builds what matching needs.
func (c *Connector) prepare() error {
	if !nameShape.MatchString(c.Name) {
		return fmt.Errorf("connector: %q is not a name", c.Name)
	}
	if len(c.Hosts) == 0 {
		return errors.New("hosts: there must be one")
	}
	for _, h := range c.Hosts {
		if !hostShape.MatchString(h.Name) {
			return fmt.Errorf("hosts: %q is not a host name in lower case", h.Name)
		}
		if h.Base != "" && (checkPath(h.Base) != nil || strings.HasSuffix(h.Base, "/")) {
			return fmt.Errorf("hosts: base %q is not a path", h.Base)
		}
	}
	if c.Denial != DenialSlack && c.Denial != DenialProblem {
		return fmt.Errorf("denial: %q is unknown", c.Denial)
	}
	if err := c.checkSlots(); err != nil {
		return err
	}
	for _, h := range c.Headers {
		if !headerShape.MatchString(h) || slices.Contains(ours, strings.ToLower(h)) {
			return fmt.Errorf("headers: %q cannot be passed on", h)
		}
	}
	c.shapes = map[string]*regexp.Regexp{}
	for kind, t := range c.Resources {
		re, err := wholeMatch(t.Shape)
		if err != nil || !nameShape.MatchString(kind) {
			return fmt.Errorf("resources.%s: not a regular expression of a resource's ids: %q", kind, t.Shape)
		}
		c.shapes[kind] = re
	}
	return c.prepareOperations()
}

// wholeMatch compiles an expression that a whole id must match.
func wholeMatch(shape string) (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + shape + `)$`) }

func (c *Connector) checkSlots() error {
	inject := 0
	for name, s := range c.Slots {
		switch {
		case !slotShape.MatchString(name):
			return fmt.Errorf("slots: %q is not a name", name)
		case !envShape.MatchString(s.Env):
			return fmt.Errorf("slots.%s.env: %q is not an environment variable", name, s.Env)
		case s.Use == SlotInject:
			inject++
			if !headerShape.MatchString(s.Header) || strings.Count(s.Format, slotValue) != 1 || len(s.Placeholder) < 8 {
				return fmt.Errorf("slots.%s: header, format with one %s and a placeholder are needed", name, slotValue)
			}
		case s.Use == SlotVerify:
			if s.Header != "" || s.Format != "" || s.Placeholder != "" {
				return fmt.Errorf("slots.%s: a key that verifies has no header, format or placeholder", name)
			}
		default:
			return fmt.Errorf("slots.%s.use: %q is unknown", name, s.Use)
		}
	}
	if inject != 1 {
		return fmt.Errorf("slots: exactly one must have use: %s, not %d", SlotInject, inject)
	}
	return nil
}

func (c *Connector) prepareOperations() error {
	c.paths = map[string][]*Operation{}
	c.guarded = map[string]bool{}
	for _, p := range c.Strip {
		if !paramShape.MatchString(p) {
			return fmt.Errorf("strip: %q is not a parameter", p)
		}
		c.guarded[strings.ToLower(p)] = true
	}
	ids := map[string]bool{}
	for i := range c.Operations {
		op := &c.Operations[i]
		if op.ID == "" || ids[op.ID] {
			return fmt.Errorf("operations[%d].id: %q is empty or exists already", i, op.ID)
		}
		ids[op.ID] = true
		if err := c.checkOperation(op); err != nil {
			return fmt.Errorf("operations[%s].%w", op.ID, err)
		}
		if err := c.route(op); err != nil {
			return fmt.Errorf("operations[%s].%w", op.ID, err)
		}
	}
	return nil
}

func (c *Connector) checkOperation(op *Operation) error {
	for _, m := range op.Methods {
		if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, m) {
			return fmt.Errorf("methods: %q is unknown", m)
		}
	}
	for _, b := range op.Bodies {
		if b != BodyForm && b != BodyJSON {
			return fmt.Errorf("bodies: %q is unknown", b)
		}
	}
	switch op.Action {
	case v1alpha1.ActionRead, v1alpha1.ActionWrite, v1alpha1.ActionDelete, v1alpha1.ActionAdmin:
	default:
		return fmt.Errorf("action: %q is unknown", op.Action)
	}
	switch op.Authority {
	case policy.AuthorityTool, policy.AuthorityChannel, policy.AuthorityModel, policy.AuthorityConnector:
	default:
		return fmt.Errorf("authority: %q is unknown", op.Authority)
	}
	for i := range op.Resources {
		if err := c.checkResource(op, &op.Resources[i]); err != nil {
			return err
		}
	}
	return c.checkParams(op)
}

// checkParams checks what an operation says of its body's parameters, and gathers their names.
func (c *Connector) checkParams(op *Operation) error {
	op.takes = map[string]bool{}
	for _, name := range slices.Concat(op.Params, slices.Collect(maps.Keys(op.Set))) {
		if !paramShape.MatchString(name) {
			return fmt.Errorf("params: %q is not a parameter", name)
		}
		op.takes[name] = true
	}
	for _, r := range op.Resources {
		for _, from := range r.From {
			if name, ok := strings.CutPrefix(from, "body."); ok {
				op.takes[name] = true
			}
		}
	}
	for _, f := range op.Fields {
		if !fieldShape.MatchString(f.Path) || len(f.Allow) == 0 || slices.Contains(op.Bodies, BodyForm) {
			return fmt.Errorf("fields: %q must be NAME or NAME[].NAME of a JSON body, with values to allow", f.Path)
		}
		name, _, _ := strings.Cut(f.Path, "[")
		c.guarded[strings.ToLower(name)], op.takes[name] = true, true
	}
	for _, name := range op.Forbid {
		if !paramShape.MatchString(name) || op.takes[name] {
			return fmt.Errorf("forbid: %q is not a parameter, or may be given", name)
		}
		c.guarded[strings.ToLower(name)] = true
	}
	for _, n := range op.Nested {
		if !nestedShape.MatchString(n.Key) || len(n.In) == 0 || slices.ContainsFunc(n.In, func(name string) bool { return !op.takes[name] }) {
			return fmt.Errorf("nested: %q must be KEY or KEY.NAME, in parameters of the operation", n.Key)
		}
	}
	return nil
}

func (c *Connector) checkResource(op *Operation, r *ResourceSource) (err error) {
	if c.shapes[r.Type] == nil {
		return fmt.Errorf("resources: type %q has no shape in the connector's resources", r.Type)
	}
	if len(r.From) == 0 {
		return fmt.Errorf("resources: %s is found nowhere", r.Type)
	}
	if r.Except != "" {
		if r.except, err = wholeMatch(r.Except); err != nil {
			return fmt.Errorf("resources: except: %w", err)
		}
	}
	for _, from := range r.From {
		place, name, _ := strings.Cut(from, ".")
		switch {
		case !sourceShape.MatchString(from):
			return fmt.Errorf("resources: %q is not path.NAME, query.NAME or body.NAME", from)
		case place == "path" && !slices.Contains(strings.Split(op.Path, "/"), "{"+name+"}"):
			return fmt.Errorf("resources: the path has no {%s}", name)
		case place == "body" && len(op.Bodies) == 0:
			return fmt.Errorf("resources: %q, but the operation has no body", from)
		case place == "query":
			op.Query = append(op.Query, name)
		}
		if place != "path" {
			c.guarded[strings.ToLower(name)] = true
		}
	}
	return nil
}

// route files an operation under its path, and refuses one that could be mistaken for another.
func (c *Connector) route(op *Operation) error {
	if len(op.Methods) == 0 {
		return errors.New("methods: there must be one")
	}
	if err := checkTemplate(op.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	op.segments = strings.Split(op.Path, "/")
	for i := range c.Operations {
		other := &c.Operations[i]
		if other == op {
			break // those after it are compared when it is their turn
		}
		if overlap(op.segments, other.segments) && slices.ContainsFunc(op.Methods, func(m string) bool { return slices.Contains(other.Methods, m) }) {
			return fmt.Errorf("path: %q with the same method is operation %s already", op.Path, other.ID)
		}
	}
	if strings.Contains(op.Path, "{") {
		c.templates = append(c.templates, op)
	} else {
		c.paths[op.Path] = append(c.paths[op.Path], op)
	}
	return nil
}

// overlap reports whether some path is of both templates.
func overlap(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !isParameter(a[i]) && !isParameter(b[i]) {
			return false
		}
	}
	return true
}
