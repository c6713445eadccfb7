package audit

import "bytes"

// members calls found with the name and the value, as they are written, of each member of a JSON object, until it
// returns false. It reads what encoding/json has found valid, without white space, as a line is; it stops where
// anything else begins.
func members(object []byte, found func(name, value []byte) bool) {
	rest, ok := bytes.CutPrefix(object, []byte("{"))
	for ok && len(rest) > 0 && rest[0] == '"' {
		n := valueLen(rest)
		if n == 0 || n >= len(rest) || rest[n] != ':' {
			return
		}
		name := rest[1 : n-1]
		rest = rest[n+1:]
		if n = valueLen(rest); n == 0 || !found(name, rest[:n]) {
			return
		}
		rest, ok = bytes.CutPrefix(rest[n:], []byte(","))
	}
}

// valueLen is how long the value is that begins here; 0 if it does not end.
func valueLen(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringLen(b[i:])
			if n == 0 {
				return 0
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}

// stringLen is how long the string is that begins here, with its quotes; 0 if it does not end.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0
		}
		i += n
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return 0
}
