package connector

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// segment is one segment of an operation's path.
type segment struct {
	text           string // where it is no parameter
	name           string // of the parameter
	prefix, suffix string // around it
	rest           bool   // it is the rest of the path
}

var (
	paramShape   = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	segmentShape = regexp.MustCompile(`^([^{}]*)\{([A-Za-z0-9_-]+)(\.\.\.)?\}([^{}]*)$`)
)

// readTemplate reads the path of an operation.
func readTemplate(path string) ([]segment, error) {
	if path == "" {
		return nil, nil
	}
	var segments []segment
	names := map[string]bool{}
	plain := path
	for text := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		s, err := readSegment(text)
		if err != nil {
			return nil, err
		}
		if len(segments) > 0 && segments[len(segments)-1].rest {
			return nil, errors.New("{name...} must be the last segment")
		}
		if s.name != "" {
			if names[s.name] {
				return nil, fmt.Errorf("{%s} is there twice", s.name)
			}
			names[s.name] = true
			plain = strings.Replace(plain, text, s.prefix+"x"+s.suffix, 1)
		}
		segments = append(segments, s)
	}
	for i := range len(plain) {
		if !literalChar[plain[i]] {
			return nil, fmt.Errorf("%q may not be in a path outside of parameters: clients encode it", plain[i])
		}
	}
	return segments, checkPath(plain)
}

func readSegment(text string) (segment, error) {
	if !strings.ContainsAny(text, "{}") {
		return segment{text: text}, nil
	}
	m := segmentShape.FindStringSubmatch(text)
	if m == nil {
		return segment{}, fmt.Errorf("segment %q is not {name}, prefix{name}suffix or {name...}", text)
	}
	s := segment{prefix: m[1], name: m[2], rest: m[3] != "", suffix: m[4]}
	if s.rest && s.prefix+s.suffix != "" {
		return segment{}, fmt.Errorf("segment %q: {name...} stands alone", text)
	}
	return s, nil
}

// parameter returns the value of one of the path's parameters.
func (call *Call) parameter(name string) (string, bool) {
	if call.Operation == nil {
		return "", false
	}
	i := 0
	for _, s := range call.Operation.segments {
		switch {
		case s.name == "":
			continue
		case s.name == name && i < len(call.values):
			return call.values[i], true
		}
		i++
	}
	return "", false
}

// write writes a path anew from the values of its parameters.
func (op *Operation) write(base string, values []string) string {
	out := append(make([]byte, 0, len(base)+3*len(op.Path)), base...)
	for _, s := range op.segments {
		out = append(out, '/')
		if s.name == "" {
			out = append(out, s.text...)
			continue
		}
		out = append(out, s.prefix...)
		out = appendValue(out, values[0], s.rest)
		out = append(out, s.suffix...)
		values = values[1:]
	}
	return string(out)
}
