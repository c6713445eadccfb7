package connector

import (
	"errors"
	"strings"
)

// checkPath refuses every path that two programs could read differently. No catalogue operation needs an
// encoded character in its path, so none is let through: that settles %2f, %2e, %00 and all their kin.
func checkPath(path string) error {
	switch {
	case path == "" || path[0] != '/':
		return errors.New("the path must start with a slash")
	case len(path) > maxPath:
		return errors.New("the path is too long")
	case strings.Contains(path, "//"):
		return errors.New("the path has an empty segment")
	}
	for i := range len(path) {
		if !pathChar[path[i]] {
			return errors.New("the path has a character that is encoded or may not be in one")
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("the path has a dot segment")
		}
	}
	return nil
}

const maxPath = 2048

// pathChar are the characters of a path that nobody interprets: unreserved ones, and few others.
var pathChar = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:@,+=") {
		t[c] = true
	}
	return t
}()

// checkTemplate checks the path of an operation, in which whole segments may be parameters.
func checkTemplate(path string) error {
	plain := path
	for segment := range strings.SplitSeq(path, "/") {
		if isParameter(segment) {
			plain = strings.Replace(plain, segment, "x", 1)
		}
	}
	return checkPath(plain)
}

func isParameter(segment string) bool {
	return len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' && paramShape.MatchString(segment[1:len(segment)-1])
}

// find returns the operation of a method and a path, and the values of the path's parameters. Without an
// operation, known says whether the path is one of another method.
func (c *Connector) find(method, path string) (op *Operation, values map[string]string, known bool) {
	for _, op := range c.paths[path] {
		if op.has(method) {
			return op, nil, true
		}
		known = true
	}
	if len(c.templates) == 0 {
		return nil, nil, known
	}
	segments := strings.Split(path, "/")
	if segments[len(segments)-1] == "" {
		return nil, nil, known // a parameter is never empty
	}
	for _, op := range c.templates {
		if !overlap(op.segments, segments) {
			continue
		}
		known = true
		if !op.has(method) {
			continue
		}
		values = map[string]string{}
		for i, s := range op.segments {
			if isParameter(s) {
				values[s[1:len(s)-1]] = segments[i]
			}
		}
		return op, values, true
	}
	return nil, nil, known
}

func (op *Operation) has(method string) bool {
	for _, m := range op.Methods {
		if m == method {
			return true
		}
	}
	return false
}
