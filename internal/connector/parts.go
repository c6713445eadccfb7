package connector

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A body in parts is taken apart by one reading of its boundary and put together again with another boundary. So nothing
// of what it was made of decides what the service sees, and no reader finds more parts in it than we did.

const (
	maxParts      = 128
	maxPartHeader = 4 << 10
)

// part is one part of a body.
type part struct {
	header map[string]string // by name in lower case
	data   []byte
}

var errParts = errors.New("its parts are not put together in the only way that everybody reads alike (RFC 2046, 5.1), without anything before, between or after them")

// readParts takes a body apart. Lines end with CRLF; for clients of little care, all of them with LF.
func readParts(body []byte, boundary string) ([]part, error) {
	if err := checkBoundary(boundary); err != nil {
		return nil, err
	}
	delimiter := []byte("--" + boundary)
	rest, ok := bytes.CutPrefix(body, delimiter)
	if !ok {
		return nil, errParts
	}
	eol := lineEnd(rest)
	var parts []part
	for {
		if after, ok := bytes.CutPrefix(rest, []byte("--")); ok {
			if len(after) > 0 && string(after) != eol || len(parts) == 0 {
				return nil, errParts
			}
			return parts, nil
		}
		if rest, ok = bytes.CutPrefix(rest, []byte(eol)); !ok || len(parts) == maxParts {
			return nil, errParts
		}
		end := bytes.Index(rest, append([]byte("\n"), delimiter...))
		if end < 0 {
			return nil, errParts
		}
		raw := rest[:end]
		if cr := bytes.HasSuffix(raw, []byte("\r")); cr != (eol == "\r\n") {
			return nil, errParts
		}
		p, err := readPart(raw[:end+1-len(eol)], eol)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		rest = rest[end+1+len(delimiter):]
	}
}

// checkBoundary checks a boundary (RFC 2046, 5.1.1).
func checkBoundary(boundary string) error {
	wrong := func(r rune) bool { return r > 0x7e || !plainChar[r] && !strings.ContainsRune("'()+,/:=?", r) }
	if boundary == "" || len(boundary) > 70 || strings.ContainsFunc(boundary, wrong) {
		return errors.New("the content type has no proper boundary")
	}
	return nil
}

func readPart(raw []byte, eol string) (part, error) {
	head, data, ok := bytes.Cut(raw, []byte(eol+eol))
	if bytes.HasPrefix(raw, []byte(eol)) || !ok || len(head) > maxPartHeader {
		return part{}, errors.New("a part has no header, or too large a one")
	}
	p := part{header: map[string]string{}, data: data}
	for line := range strings.SplitSeq(string(head), eol) {
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(name)
		_, twice := p.header[name]
		if !ok || twice || !isMailName(name) || checkMailLine(line) != nil {
			return part{}, errors.New("a part's header has a line that is no field, or is there twice")
		}
		switch name {
		case "content-disposition", "content-type", "content-transfer-encoding":
		case "mime-version", "content-length":
			continue
		default:
			return part{}, fmt.Errorf("a part has a header %q, which is not known", name)
		}
		p.header[name] = strings.Trim(value, " \t")
	}
	switch strings.ToLower(p.header["content-transfer-encoding"]) {
	case "", "7bit", "8bit", "binary":
		return p, nil
	default:
		return part{}, errors.New("a part is encoded: send it as it is")
	}
}

// media returns the content type of a part; empty if it has none.
func (p *part) media() (media string, params map[string]string, err error) {
	text, ok := p.header["content-type"]
	if !ok {
		return "", nil, nil
	}
	if media, params, err = readContentType(text); err != nil {
		return "", nil, errors.New("a part has a wrong content type")
	}
	if _, err := formatContentType(media, params); err != nil {
		return "", nil, errors.New("a part has a wrong content type")
	}
	if strings.HasPrefix(media, "multipart/") || media == "message/partial" || media == "message/external-body" {
		return "", nil, errors.New("a part has parts itself")
	}
	return media, params, nil
}

// partWriter puts a body together.
type partWriter struct {
	out      []byte
	boundary string
}

// newPartWriter returns one for contents, with a boundary that is in none of them.
func newPartWriter(size int, contents ...[]byte) (*partWriter, error) {
	sum := sha256.New()
	for _, c := range contents {
		sum.Write(c)
	}
	w := &partWriter{boundary: fmt.Sprintf("clawstaff-%x", sum.Sum(nil)[:16])}
	for _, c := range contents {
		if bytes.Contains(c, []byte(w.boundary)) {
			return nil, errors.New("the body has its own boundary in it")
		}
	}
	w.out = make([]byte, 0, size+len(contents)*256)
	return w, nil
}

func (w *partWriter) part(data []byte, header ...string) {
	w.out = append(append(append(w.out, "--"...), w.boundary...), "\r\n"...)
	for _, line := range header {
		w.out = append(append(w.out, line...), "\r\n"...)
	}
	w.out = append(append(append(w.out, "\r\n"...), data...), "\r\n"...)
}

func (w *partWriter) end() []byte {
	return append(append(append(w.out, "--"...), w.boundary...), "--\r\n"...)
}

// readDisposition reads the disposition of a part of a form (RFC 7578, 4.2). Names in other character sets, escapes and
// whatever is there twice are refused.
func readDisposition(text string) (name, filename string, isFile bool, err error) {
	wrong := errors.New(`a part's disposition is not form-data; name="…"; filename="…"`)
	kind, rest, _ := strings.Cut(text, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "form-data") {
		return "", "", false, wrong
	}
	for rest = strings.TrimLeft(rest, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			return "", "", false, wrong
		}
		if value, rest, ok = cutValue(value); !ok || !isFormText(value) {
			return "", "", false, wrong
		}
		switch key = strings.ToLower(key); {
		case key == "name" && name == "" && value != "" && len(value) <= maxParamName && !strings.Contains(value, "%"):
			name = value
		case key == "filename" && !isFile:
			filename, isFile = value, true
		default:
			return "", "", false, wrong
		}
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			break
		}
		if rest, ok = strings.CutPrefix(rest, ";"); !ok || strings.TrimSpace(rest) == "" {
			return "", "", false, wrong
		}
	}
	if name == "" {
		return "", "", false, wrong
	}
	return name, filename, isFile, nil
}

// cutValue takes a parameter's value, quoted or not, off a text.
func cutValue(text string) (value, rest string, ok bool) {
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		return strings.Cut(quoted, `"`)
	}
	end := strings.IndexAny(text, "; \t")
	if end < 0 {
		end = len(text)
	}
	value = text[:end]
	return value, text[end:], value != "" && !strings.ContainsAny(value, `"'()<>@,:/[]?={}`)
}

func isFormText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == '"' })
}
