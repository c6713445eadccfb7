package gateway

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// A key goes into one place of a request, and the gateway puts it there. Where else a request has one, or what stands
// for one, somebody is having an agent pass its keys on.

// The rules by which such a request is refused.
const (
	rulePlaceholder = "placeholder"
	ruleKey         = "key"
)

// findKeys refuses placeholders and keys of this Claw that are elsewhere than in the slot.
func (ex *exchange) findKeys() error {
	return ex.s.p.findKeys(ex.texts(), ex.s.p.cfg.Source.Current())
}

func (p *Proxy) findKeys(t *texts, snap *state.Snapshot) error {
	if p.fakes.of(p.catalogue(snap)).in(t) {
		return denied(rulePlaceholder, "the request carries the placeholder of a key where no key belongs")
	}
	if p.secretsOf(snap).spelled.in(t) {
		return denied(ruleKey, "the request carries a key of this Claw where no key belongs")
	}
	return nil
}

// texts are what keys are looked for in.
type texts struct {
	short []string
	long  [][]byte
}

// texts are all parts of a request that are passed on as the agent wrote them, and what they say where they are encoded.
func (ex *exchange) texts() *texts {
	t := texts{short: make([]string, 0, 8), long: make([][]byte, 0, 2)}
	for _, part := range [...]string{ex.call.Path, ex.call.Query} {
		t.short = append(t.short, part)
		if strings.ContainsAny(part, "%+") {
			if plain, err := url.QueryUnescape(part); err == nil {
				t.short = append(t.short, plain)
			}
		}
	}
	for _, f := range ex.h.fields {
		if passed(ex.connector, f.name) {
			t.short = append(t.short, f.value)
		}
	}
	t.add(ex.call.Body)
	return &t
}

// add adds a body, or a message.
func (t *texts) add(body []byte) {
	if len(body) == 0 {
		return
	}
	t.long = append(t.long, body)
	if plain := unescaped(body); plain != nil {
		t.long = append(t.long, plain)
	}
}

// needles are what is looked for.
type needles struct {
	values []string
	bytes  [][]byte // the same
}

func (n *needles) add(v []byte) {
	n.values, n.bytes = append(n.values, string(v)), append(n.bytes, v)
}

// in reports whether any of them is in any of the texts.
func (n *needles) in(t *texts) bool {
	for i, v := range n.values {
		for _, s := range t.short {
			if strings.Contains(s, v) {
				return true
			}
		}
		for _, b := range t.long {
			if bytes.Contains(b, n.bytes[i]) {
				return true
			}
		}
	}
	return false
}

// unescaped is what a JSON text says where it spells out characters that need not be: nobody's encoder writes letters
// so. It is nil where there are none.
func unescaped(body []byte) []byte {
	if !bytes.Contains(body, []byte(`\u00`)) {
		return nil
	}
	out := make([]byte, 0, len(body))
	for rest := body; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 || i+1 >= len(rest) {
			return append(out, rest...)
		}
		out = append(out, rest[:i]...)
		n := 2
		if rest[i+1] == 'u' && i+6 <= len(rest) {
			n = 6
		}
		var s string
		if json.Unmarshal(slices.Concat([]byte{'"'}, rest[i:i+n], []byte{'"'}), &s) == nil {
			out = append(out, s...)
		}
		rest = rest[i+n:]
	}
}

// spellings are the ways in which a key stands in a form, a path or a JSON text.
func spellings(key []byte) [][]byte {
	quoted, _ := json.Marshal(string(key)) // a string can always be written
	out := [][]byte{key}
	for _, s := range [][]byte{[]byte(url.QueryEscape(string(key))), []byte(url.PathEscape(string(key))), quoted[1 : len(quoted)-1]} {
		if !slices.ContainsFunc(out, func(o []byte) bool { return bytes.Equal(o, s) }) {
			out = append(out, s)
		}
	}
	return out
}

// placeholders are what stands for keys in agents, of a catalogue.
type placeholders struct {
	needles
	common needles // what all of them have in them: mostly one look at a text is enough
}

func (f *placeholders) in(t *texts) bool {
	return len(f.values) > 0 && f.common.in(t) && f.needles.in(t)
}

// fakes keeps the placeholders of the catalogue that is in force.
type fakes struct {
	current atomic.Pointer[struct {
		catalogue *connector.Catalogue
		placeholders
	}]
}

func (f *fakes) of(c *connector.Catalogue) *placeholders {
	if now := f.current.Load(); now != nil && now.catalogue == c {
		return &now.placeholders
	}
	next := &struct {
		catalogue *connector.Catalogue
		placeholders
	}{catalogue: c}
	for _, p := range c.Placeholders() {
		next.add([]byte(p))
	}
	next.common.add(common(next.bytes))
	f.current.Store(next)
	return &next.placeholders
}

// common is the longest text that all values contain.
func common(values [][]byte) []byte {
	if len(values) == 0 {
		return nil
	}
	first := values[0]
	for size := len(first); size > 0; size-- {
		for i := 0; i+size <= len(first); i++ {
			part := first[i : i+size]
			if !slices.ContainsFunc(values, func(v []byte) bool { return !bytes.Contains(v, part) }) {
				return part
			}
		}
	}
	return nil
}

// cutKey takes the key's segment out of the path of a service that has its key there, whatever is in it: what is matched
// and recorded has none.
func (ex *exchange) cutKey() error {
	_, auth := ex.connector.AuthAt(ex.site)
	if !auth.Path {
		return nil
	}
	begin, _, _ := strings.Cut(auth.Format, "{{")
	rest, ok := strings.CutPrefix(strings.TrimPrefix(ex.path, ex.site.Base), "/"+begin)
	_, rest, more := strings.Cut(rest, "/")
	if !ok || !more {
		ex.path = ex.site.Base + "/"
		return denied("catalogue", "the path of this service begins with a segment for its key, and goes on after it")
	}
	ex.path = ex.site.Base + "/" + rest
	return nil
}

// sentPath is the path as it is sent: with the key, where that is in it.
func (ex *exchange) sentPath(auth connector.Auth) string {
	if !auth.Path {
		return ex.call.Path
	}
	return ex.site.Base + "/" + ex.key + strings.TrimPrefix(ex.call.Path, ex.site.Base)
}

// fits reports whether a key can be written where it belongs.
func fits(auth connector.Auth, key []byte) bool {
	if !auth.Path {
		return auth.Basic || isHeaderValue(key)
	}
	return len(bytes.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_-")) == 0
}

// shownPath is a path as it is recorded. A key may be in it, and spelled in another way.
func shownPath(path string, hide func(string) string) string {
	if plain, err := url.PathUnescape(path); err == nil && hide(plain) != plain {
		return hide(plain)
	}
	return hide(path)
}

// keyWords are in the names of headers that carry keys.
var keyWords = []string{"authorization", "api-key", "apikey", "token", "secret", "cookie", "credential", "password", "signature"}

// neverPassed are headers that no connector can let through: they would carry a key of somebody else's, or make the
// request another than was judged.
func neverPassed(name string) bool {
	switch name {
	case "host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "content-length", "content-encoding", "expect",
		"keep-alive", "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url", "forwarded", "mcp-method", "mcp-name":
		return true
	}
	return strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "sec-websocket-") || strings.HasPrefix(name, "x-forwarded-") ||
		slices.ContainsFunc(keyWords, func(w string) bool { return strings.Contains(name, w) })
}
