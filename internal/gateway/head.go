package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/clawstaff/clawstaff/internal/gateway/websocket"
)

// The head of a request is read by a reader of our own: net/http accepts bare line feeds, folded lines, repeated
// lengths and a length beside an encoding, and then cannot tell that they were there. Here each is refused.

const (
	maxHead   = 32 << 10
	maxFields = 100
)

// field is one header field, its name in lower case.
type field struct{ name, value string }

// head is the head of a request, of which nothing is ambiguous.
type head struct {
	method string
	target string
	host   string // in lower case, as it was given
	fields []field

	length   int64 // of the body; 0 without one, -1 if it is chunked
	expects  bool  // the client waits for 100 Continue before it sends the body
	upgrade  bool  // the client wants to go on with WebSocket
	closes   bool  // the client wants the connection closed afterwards
	received int   // bytes of the head
}

// get returns the value of a field, empty if there is none.
func (h *head) get(name string) string {
	for _, f := range h.fields {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// mayRepeat are fields that clients repeat and nobody acts upon. No other may be there twice.
var mayRepeat = map[string]bool{"accept": true, "accept-encoding": true, "accept-language": true, "cache-control": true, "cookie": true, "via": true}

// readHead reads a head. It returns io.EOF if the connection ended before one began, another error of the
// connection as it is, and a denial for what may not be.
func readHead(r *bufio.Reader, h *head) error {
	*h = head{fields: h.fields[:0]}
	raw, err := readHeadBytes(r)
	if err != nil {
		return err
	}
	h.received = len(raw)
	lines := string(raw)
	line, rest, _ := strings.Cut(lines, "\r\n")
	if err := h.requestLine(line); err != nil {
		return err
	}
	for {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if line == "" {
			break
		}
		if err := h.field(line); err != nil {
			return err
		}
	}
	return h.framing()
}

// readHeadBytes returns everything up to the empty line, that one included.
func readHeadBytes(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	for {
		line, err := r.ReadSlice('\n')
		if len(raw)+len(line) > maxHead {
			return nil, malformed(http.StatusRequestHeaderFieldsTooLarge, "the request's head is too long")
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			raw = append(raw, line...)
			continue
		case errors.Is(err, io.EOF) && len(raw)+len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		if raw == nil && r.Buffered() > 0 {
			raw = make([]byte, 0, len(line)+r.Buffered()) // mostly the whole head is there already
		}
		raw = append(raw, line...)
		if !bytes.HasSuffix(raw, []byte("\r\n")) {
			return nil, malformed(http.StatusBadRequest, "a line of the request's head does not end as HTTP demands")
		}
		if len(line) == 2 && (len(raw) == 2 || bytes.HasSuffix(raw, []byte("\r\n\r\n"))) {
			return raw, nil
		}
	}
}

func (h *head) requestLine(line string) error {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if method == "" || len(method) > 20 || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return malformed(http.StatusBadRequest, "the method is not one of capital letters")
	}
	if version != "HTTP/1.1" {
		return malformed(http.StatusHTTPVersionNotSupported, "only HTTP/1.1 is spoken here")
	}
	if target == "" {
		return malformed(http.StatusBadRequest, "the request has no target")
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>' {
			return malformed(http.StatusBadRequest, "the target has a character that may not be in one")
		}
	}
	h.method, h.target = method, target
	return nil
}

func (h *head) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || len(h.fields) == maxFields {
		return malformed(http.StatusBadRequest, "a header field has no name, or there are too many")
	}
	for i := range len(name) {
		if !tokenChar[name[i]] { // a folded line and a space before the colon are refused here
			return malformed(http.StatusBadRequest, "a header field's name has a character that may not be in one")
		}
	}
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return malformed(http.StatusBadRequest, "a header field's value has a character that may not be in one")
		}
	}
	name = strings.ToLower(name)
	if !mayRepeat[name] && slicesHas(h.fields, name) {
		return malformed(http.StatusBadRequest, "a header field is there twice: "+name)
	}
	h.fields = append(h.fields, field{name, value})
	return nil
}

func slicesHas(fields []field, name string) bool {
	for _, f := range fields {
		if f.name == name {
			return true
		}
	}
	return false
}

// framing finds out how the body is delimited, and refuses every doubt about it.
func (h *head) framing() error {
	var hasLength, hasEncoding, hasHost, hasUpgrade, asksUpgrade bool
	for _, f := range h.fields {
		switch f.name {
		case "host":
			if strings.ContainsAny(f.value, " \t") {
				return malformed(http.StatusBadRequest, "the Host header has a space in it")
			}
			hasHost, h.host = f.value != "", strings.ToLower(f.value)
		case "content-length":
			n, err := strconv.ParseUint(f.value, 10, 62)
			if err != nil || len(f.value) > 18 {
				return malformed(http.StatusBadRequest, "the content length is not a number")
			}
			hasLength, h.length = true, int64(n)
		case "transfer-encoding":
			if !strings.EqualFold(f.value, "chunked") {
				return malformed(http.StatusNotImplemented, "the only transfer encoding understood is chunked")
			}
			hasEncoding, h.length = true, -1
		case "upgrade":
			hasUpgrade, h.upgrade = true, strings.EqualFold(f.value, "websocket")
		case "http2-settings":
			return malformed(http.StatusBadRequest, "HTTP/2 is not spoken here")
		case "trailer":
			return malformed(http.StatusBadRequest, "trailers are not taken here")
		case "expect":
			if !strings.EqualFold(f.value, "100-continue") {
				return malformed(http.StatusExpectationFailed, "the only expectation understood is 100-continue")
			}
			h.expects = true
		case "connection":
			h.closes = hasToken(f.value, "close")
			asksUpgrade = hasToken(f.value, "upgrade")
		}
	}
	switch {
	case !hasHost:
		return malformed(http.StatusBadRequest, "the request names no host")
	case hasUpgrade != asksUpgrade || hasUpgrade && !h.isWebSocket():
		return malformed(http.StatusBadRequest, "the only other protocol is WebSocket, and is asked for as RFC 6455 says")
	case hasLength && hasEncoding:
		return malformed(http.StatusBadRequest, "the request has a content length and a transfer encoding")
	}
	return nil
}

// isWebSocket reports whether the request is the beginning of a WebSocket (RFC 6455, 4.1). It has no body.
func (h *head) isWebSocket() bool {
	return h.upgrade && h.method == http.MethodGet && h.length == 0 && websocket.IsKey(h.get("sec-websocket-key")) &&
		h.get("sec-websocket-version") == websocket.Version
}

func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(t), token) {
			return true
		}
	}
	return false
}

// tokenChar are the characters of a header field's name.
var tokenChar = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") {
		t[c] = true
	}
	return t
}()
