package connector

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// mailField is one field of a mail's header, its name in lower case and its lines made one.
type mailField struct{ name, value string }

const (
	maxMailHeader = 64 << 10
	maxMailLine   = 998 // RFC 5322, 2.1.1
	maxMailFields = 256
)

// once are fields a mail has at most once (RFC 5322, 3.6), besides those with addresses.
var once = map[string]bool{
	"date": true, "message-id": true, "in-reply-to": true, "references": true, "subject": true, "mime-version": true,
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true, "content-id": true,
}

// readMailHeader reads the header of a mail. Lines end in one way throughout, with CRLF or with LF; obsolete forms, and
// lines that are neither a field nor go on with one, are errors: readers end the header there, or do not.
func readMailHeader(raw []byte) ([]mailField, error) {
	var fields []mailField
	eol := lineEnd(raw)
	for rest := raw; ; {
		end := bytes.IndexByte(rest, '\n')
		switch {
		case end < 0:
			return nil, errors.New("its header has no end: an empty line is missing")
		case len(raw)-len(rest) > maxMailHeader || len(fields) > maxMailFields:
			return nil, errors.New("its header is too large")
		case end+1-len(eol) < 0 || string(rest[end+1-len(eol):end+1]) != eol:
			return nil, errors.New("its lines end in different ways")
		}
		line := string(rest[:end+1-len(eol)])
		rest = rest[end+1:]
		if line == "" {
			return fields, checkMailFields(fields)
		}
		if err := checkMailLine(line); err != nil {
			return nil, err
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(fields) == 0 || strings.Trim(line, " \t") == "" {
				return nil, errors.New("its header has a line that goes on with nothing")
			}
			fields[len(fields)-1].value += line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isMailName(name) {
			return nil, errors.New("its header has a line that is no field")
		}
		fields = append(fields, mailField{name: strings.ToLower(name), value: value})
	}
}

// lineEnd returns how the first line ends.
func lineEnd(text []byte) string {
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func checkMailLine(line string) error {
	if len(line) > maxMailLine {
		return errors.New("its header has a line that is too long")
	}
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }) {
		return errors.New("its header has a control character, or is not UTF-8")
	}
	return nil
}

func isMailName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// checkMailFields refuses fields that are there twice: the first counts for some, the last for others.
func checkMailFields(fields []mailField) error {
	seen := map[string]bool{}
	for _, f := range fields {
		if (once[f.name] || addressHeaders[f.name] != 0) && seen[f.name] {
			return fmt.Errorf("its header has %s twice", f.name)
		}
		seen[f.name] = true
	}
	return nil
}
