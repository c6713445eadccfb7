package connector

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	hostShape   = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	headerShape = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	envShape    = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	slotShape   = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
)

// ours are headers no connector may pass on: the gateway writes them itself or drops them.
var ours = []string{
	"authorization", "proxy-authorization", "cookie", "host", "content-length", "content-type", "content-encoding",
	"transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect", "accept-encoding",
	"forwarded", "x-forwarded-for", "x-forwarded-host", "x-http-method-override", "api-key", "x-api-key",
}

// prepare checks what is said of the connector itself and cannot wait for its first call: where it is, and which
// values stand for its keys.
func (c *Connector) prepare() error {
	if !nameShape.MatchString(c.Name) {
		return fmt.Errorf("connector: %q is not a name", c.Name)
	}
	if (len(c.Hosts) == 0) != c.Template {
		return errors.New("hosts: there must be one; only a template has none")
	}
	for i := range c.Hosts {
		if err := c.checkHost(i); err != nil {
			return fmt.Errorf("hosts[%d].%w", i, err)
		}
	}
	if c.From != "" && (len(c.Slots)+len(c.Headers)+len(c.Strip)+len(c.Resources)+len(c.Operations) > 0 || c.Denial != "" || c.Self != nil || c.Template) {
		return errFrom
	}
	return nil
}

var errFrom = errors.New("from: a connector made from a template gives its hosts and tools, and nothing else")

func (c *Connector) checkHost(i int) error {
	h := &c.Hosts[i]
	switch {
	case h.ID != "" && !nameShape.MatchString(h.ID):
		return fmt.Errorf("id: %q is not a name", h.ID)
	case !hostShape.MatchString(h.Name):
		return fmt.Errorf("host: %q is not a host name in lower case", h.Name)
	case h.Base != "" && (checkPath(h.Base) != nil || strings.HasSuffix(h.Base, "/") || !isLiteral(h.Base)):
		return fmt.Errorf("base: %q is not a path", h.Base)
	}
	for _, other := range c.Hosts[:i] {
		if other.Name == h.Name && other.Base == h.Base {
			return fmt.Errorf("host: %q is there twice", h.Name+h.Base)
		}
	}
	for _, cidr := range h.PrivateCIDRs {
		if err := checkPrivate(cidr); err != nil {
			return fmt.Errorf("privateCIDRs: %w", err)
		}
	}
	return nil
}

func isLiteral(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool { return r > 0x7f || !literalChar[r] })
}

// private are the networks in which a service of an organization's own may be: not the node's, nor the cloud's metadata.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

func checkPrivate(cidr string) error {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || p != p.Masked() {
		return fmt.Errorf("%q is not a network: write 10.1.0.0/16", cidr)
	}
	within := func(net netip.Prefix) bool { return net.Bits() <= p.Bits() && net.Contains(p.Addr()) }
	if !slices.ContainsFunc(private, within) {
		return fmt.Errorf("%q is not within a private network (%v)", cidr, private)
	}
	return nil
}

// Check returns what is wrong with a connector, its operations included.
func (c *Connector) Check() error {
	if err := c.check(); err != nil {
		return fmt.Errorf("connector %s: %w", c.Name, err)
	}
	b, err := c.open()
	if err != nil {
		return err
	}
	ids := b.hostIDs()
	for _, h := range c.Hosts {
		if h.ID != "" && !slices.Contains(ids, h.ID) {
			return fmt.Errorf("connector %s: hosts: no operation is at a host with id %q; they name %q", c.Name, h.ID, ids)
		}
	}
	for _, id := range ids {
		if c.From == "" && !c.Template && !slices.ContainsFunc(c.Hosts, func(h Host) bool { return h.ID == id }) {
			return fmt.Errorf("connector %s: hosts: operations are at one with id %q, and there is none", c.Name, id)
		}
	}
	if c.Self != nil && c.Operation(c.Self.Operation) == nil {
		return fmt.Errorf("connector %s: self: there is no operation %q", c.Name, c.Self.Operation)
	}
	return nil
}

func (c *Connector) check() error {
	switch c.Denial {
	case DenialSlack, DenialTelegram, DenialGoogle, DenialMessage, DenialMCP, DenialProblem:
	default:
		return fmt.Errorf("denial: %q is unknown", c.Denial)
	}
	if err := c.checkSlots(); err != nil {
		return err
	}
	for _, h := range c.Headers {
		if !headerShape.MatchString(h) || slices.Contains(ours, strings.ToLower(h)) || c.carriesKey(h) {
			return fmt.Errorf("headers: %q cannot be passed on", h)
		}
	}
	for kind, t := range c.Resources {
		if _, err := wholeMatch(t.Shape); err != nil || !nameShape.MatchString(kind) || t.Shape == "" {
			return fmt.Errorf("resources.%s: not a regular expression of a resource's ids: %q", kind, t.Shape)
		}
		if t.Address && !t.IgnoreCase {
			return fmt.Errorf("resources.%s: addresses are compared in lower case: say ignoreCase: true", kind)
		}
	}
	for _, p := range c.Strip {
		if !paramShape.MatchString(p) {
			return fmt.Errorf("strip: %q is not a parameter", p)
		}
	}
	return c.checkTools()
}

// carriesKey reports whether a header is where a key is put.
func (c *Connector) carriesKey(header string) bool {
	at := func(a *Auth) bool { return a != nil && strings.EqualFold(a.Header, header) }
	for _, s := range c.Slots {
		if at(&s.Auth) {
			return true
		}
	}
	return slices.ContainsFunc(c.Hosts, func(h Host) bool { return at(h.Auth) })
}

func (c *Connector) checkTools() error {
	for i, tool := range c.Tools {
		text, _ := strings.CutSuffix(string(tool.Name), "*")
		switch {
		case tool.Name == "" || strings.Contains(text, "*"):
			return fmt.Errorf("tools[%d].name: %q is not a name, or the beginning of one with a * after it", i, tool.Name)
		case slices.ContainsFunc(c.Tools[:i], func(t Tool) bool { return t.Name == tool.Name }):
			return fmt.Errorf("tools[%d].name: %q is there twice", i, tool.Name)
		case !isAction(tool.Action):
			return fmt.Errorf("tools[%d].action: %q is unknown", i, tool.Action)
		}
	}
	return nil
}

func isAction(a v1alpha1.Action) bool {
	switch a {
	case v1alpha1.ActionRead, v1alpha1.ActionWrite, v1alpha1.ActionDelete, v1alpha1.ActionAdmin:
		return true
	}
	return false
}

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
			if len(s.Placeholder) < 8 {
				return fmt.Errorf("slots.%s: a placeholder is needed", name)
			}
			if err := s.check(); err != nil {
				return fmt.Errorf("slots.%s: %w", name, err)
			}
		case s.Use == SlotVerify:
			if s.Auth != (Auth{}) || s.Placeholder != "" {
				return fmt.Errorf("slots.%s: a key that verifies has no header, format or placeholder", name)
			}
		default:
			return fmt.Errorf("slots.%s.use: %q is unknown", name, s.Use)
		}
	}
	if inject != 1 {
		return fmt.Errorf("slots: exactly one must have use: %s, not %d", SlotInject, inject)
	}
	for _, h := range c.Hosts {
		if h.Auth != nil {
			if err := h.Auth.check(); err != nil {
				return fmt.Errorf("hosts: auth of %s: %w", h.Name, err)
			}
		}
	}
	return nil
}

// check checks how a key is put into a request.
func (a Auth) check() error {
	switch {
	case strings.Count(a.Format, slotValue) != 1:
		return fmt.Errorf("format: %q must have %s once", a.Format, slotValue)
	case a.Path && (a.Header != "" || a.Basic || !isLiteral(strings.Replace(a.Format, slotValue, "", 1)) || strings.Contains(a.Format, "/")):
		return errors.New("a key in the path is one segment, and in no header")
	case a.Basic && a.Format != slotValue && !strings.Contains(a.Format, ":"):
		return errors.New("format: a name and a password have a colon between them; where the key has both, it is the key alone")
	case a.Basic && !strings.EqualFold(a.Header, "Authorization"):
		return errors.New("header: a name and a password go into Authorization")
	case !a.Path && (!headerShape.MatchString(a.Header) || a.Header != http.CanonicalHeaderKey(a.Header) && a.Header != strings.ToLower(a.Header)):
		return fmt.Errorf("header: %q is not a header's name", a.Header)
	}
	return nil
}
