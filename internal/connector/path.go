package connector

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// checkPath refuses a path that two programs could read differently before any of it is decoded: dot segments, empty
// ones, and characters that have a meaning in a path for some.
func checkPath(path string) error {
	switch {
	case path == "" || path[0] != '/':
		return errors.New("the path must start with a slash")
	case len(path) > maxPath:
		return errors.New("the path is too long")
	}
	previous := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case !pathChar[c]:
			return errors.New("the path has a character that may not be in one")
		case c == '/' && previous == '/':
			return errors.New("the path has an empty segment")
		case c == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])):
			return errors.New("the path has a broken escape")
		case c == '.' && previous == '/' && isDots(segmentAt(path, i)):
			return errDots
		}
		previous = c
	}
	return nil
}

const maxPath = 4096

var errDots = errors.New("the path has a dot segment")

func segmentAt(path string, i int) string {
	segment, _, _ := strings.Cut(path[i:], "/")
	return segment
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// What a path is made of. Nobody gives a meaning to literal ones, so only they are in the paths of operations;
// parameters may have the others of RFC 3986 but the semicolon, after which some look for parameters of their own.
const (
	unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
	literal    = unreserved + "/:@,+="
)

var (
	pathChar    = charsOf(literal + "%!$&'()*")
	literalChar = charsOf(literal)
	plainChar   = charsOf(unreserved)
)

func charsOf(chars string) (t [256]bool) {
	for _, c := range []byte(chars) {
		t[c] = true
	}
	return t
}

// decodeSegment decodes a segment, or a part of one, that stands for a parameter. What could be read as something else
// by whoever decodes it again, or reads it as part of a path, is refused.
func decodeSegment(raw string) (string, error) {
	if strings.IndexByte(raw, '%') < 0 {
		return raw, nil
	}
	text, err := url.PathUnescape(raw)
	if err != nil {
		return "", errors.New("the path has a broken escape")
	}
	if !utf8.ValidString(text) {
		return "", errors.New("the path has escapes that are not UTF-8")
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return "", errors.New("the path has a control character")
		}
	}
	if isDots(text) {
		return "", errDots
	}
	return text, checkAgain(text)
}

// checkAgain refuses what is a slash, a dot or the like to whoever decodes it once more.
func checkAgain(text string) error {
	for i := strings.IndexByte(text, '%'); i >= 0 && i+2 < len(text); i++ {
		if text[i] != '%' || !isHex(text[i+1]) || !isHex(text[i+2]) {
			continue
		}
		switch c := unhex(text[i+1])<<4 | unhex(text[i+2]); {
		case c < ' ' || c == 0x7f || strings.IndexByte(`/\.%;?#`, c) >= 0:
			return errors.New("the path has an escape of an escape")
		}
	}
	return nil
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}

// isPlain reports whether a value is written into a path as it is.
func isPlain(value string) bool {
	for i := range len(value) {
		if !plainChar[value[i]] {
			return false
		}
	}
	return true
}

// appendValue writes a parameter's value: all but what has no meaning anywhere is encoded. The slashes of a value that
// is the rest of a path stay.
func appendValue(out []byte, value string, slashes bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(value) {
		c := value[i]
		if plainChar[c] || slashes && c == '/' {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return out
}
