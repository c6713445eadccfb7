package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Records are written by hand, byte for byte as encoding/json writes them: a gateway does little else that costs as much,
// and what was written before is to be verified for ever.

// appendPlace writes a record's beginning, up to where its hash is.
func appendPlace(b []byte, r *Record) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), r.Seq, 10)
	b = append(b, `,"prev":`...)
	b = appendString(b, r.Prev)
	return append(b, `,"hash":"`...)
}

// appendRest writes what comes after its hash.
func appendRest(b []byte, r *Record) ([]byte, error) {
	b = append(b, `","time":`...)
	b, err := appendTime(b, r.Time)
	if err != nil {
		return nil, err
	}
	b = append(b, `,"claw":{"namespace":`...)
	b = appendString(b, r.Claw.Namespace)
	b = appendMember(b, `,"name":`, r.Claw.Name)
	b = appendMember(b, `,"uid":`, r.Claw.UID)
	b = append(b, '}')
	b = appendOptional(b, `,"grant":`, r.Grant)
	b = appendMember(b, `,"phase":`, r.Phase)
	b = appendMember(b, `,"direction":`, r.Direction)
	b = appendMember(b, `,"kind":`, r.Kind)
	b = appendOptional(b, `,"connector":`, r.Connector)
	b = appendOptional(b, `,"operation":`, r.Operation)
	b = appendOptional(b, `,"action":`, r.Action)
	b = appendOptional(b, `,"actor":`, r.Actor)
	b = appendList(b, `,"resources":`, r.Resources)
	if len(r.Parameters) > 0 {
		if b, err = appendRaw(append(b, `,"parameters":`...), r.Parameters); err != nil {
			return nil, fmt.Errorf("parameters: %w", err)
		}
	}
	b = appendMember(b, `,"decision":`, r.Decision)
	b = appendOptional(b, `,"rule":`, r.Rule)
	b = appendOptional(b, `,"reason":`, r.Reason)
	b = appendOptional(b, `,"credential":`, r.Credential)
	if u := r.Upstream; u != nil {
		b = appendMember(b, `,"upstream":{"host":`, u.Host)
		b = appendOptional(b, `,"address":`, u.Address)
		b = append(appendNumber(b, `,"status":`, int64(u.Status)), '}')
	}
	b = appendNumber(b, `,"bytesIn":`, r.BytesIn)
	b = appendNumber(b, `,"bytesOut":`, r.BytesOut)
	b = appendOptional(b, `,"bodySHA256":`, r.BodySHA256)
	b = appendNumber(b, `,"tokens":`, r.Tokens)
	b = appendNumber(b, `,"latencyMs":`, r.LatencyMS)
	b = appendOptional(b, `,"correlation":`, r.Correlation)
	return append(b, '}'), nil
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

func appendMember[T ~string](b []byte, name string, value T) []byte {
	return appendString(append(b, name...), string(value))
}

func appendOptional[T ~string](b []byte, name string, value T) []byte {
	if value == "" {
		return b
	}
	return appendMember(b, name, value)
}

func appendNumber(b []byte, name string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), value, 10)
}

func appendList(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(append(b, name...), '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return append(b, ']')
}

// plain are the bytes that stand for themselves in a string: what HTML or JavaScript could misread is escaped.
var plain = func() (out [utf8.RuneSelf]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		out[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return out
}()

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			b = appendEscape(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}

var errNotJSON = errors.New("they are not JSON")

// appendRaw writes JSON without white space, and with what HTML or JavaScript could misread escaped.
func appendRaw(b []byte, raw json.RawMessage) ([]byte, error) {
	if !json.Valid(raw) {
		return nil, errNotJSON
	}
	quoted, start := false, 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\':
			i++ // whatever it is, it does not end the string
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			b = append(b, raw[start:i]...)
			start = i + 1
		case c == '<' || c == '>' || c == '&':
			b = appendEscape(append(b, raw[start:i]...), c)
			start = i + 1
		case c == 0xe2 && i+2 < len(raw) && raw[i+1] == 0x80 && raw[i+2]&^1 == 0xa8:
			b = append(append(b, raw[start:i]...), `\u202`...)
			b = append(b, hexDigits[raw[i+2]&0xf])
			start = i + 3
			i += 2
		}
	}
	return append(b, raw[start:]...), nil
}
