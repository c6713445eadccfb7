package connector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// scanner goes through JSON once, byte by byte, and knows where it is.
type scanner struct {
	data    []byte
	pos     int
	keys    []string // of the objects around pos, one after the other
	checked bool     // the data is part of a document that has been checked
}

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return errors.New("it is nested too deeply")
	}
	switch c := s.peek(); {
	case s.checked && (c == '{' || c == '['):
		s.skipNested()
		return nil
	case c == '{':
		return s.object(depth, nil)
	case c == '[':
		return s.array(depth, nil)
	case c == '"':
		return s.str()
	case c == '-' || (c >= '0' && c <= '9'):
		return s.number()
	default:
		return s.literal()
	}
}

// object reads an object, and keeps its members where it is told to.
func (s *scanner) object(depth int, keep *[]member) error {
	mine := len(s.keys)
	defer func() { s.keys = s.keys[:mine] }()
	var seen map[string]bool // for objects with so many keys that comparing each with each would take long
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if !s.checked {
			if seen, err = s.unique(key, mine, seen); err != nil {
				return err
			}
		}
		s.space()
		if s.peek() != ':' {
			return errors.New("a colon is missing")
		}
		s.pos++
		s.space()
		start := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if keep != nil {
			*keep = append(*keep, member{key: key, value: s.data[start:s.pos]})
		}
		if done, err := s.next('}'); done || err != nil {
			return err
		}
	}
}

// unique refuses a key the object has already.
func (s *scanner) unique(key string, mine int, seen map[string]bool) (map[string]bool, error) {
	const few = 16
	siblings := s.keys[mine:]
	if len(siblings) < few {
		for _, k := range siblings {
			if k == key {
				return nil, errors.New("a key is there twice")
			}
		}
		s.keys = append(s.keys, key)
		return nil, nil
	}
	if seen == nil {
		seen = make(map[string]bool, 2*few)
		for _, k := range siblings {
			seen[k] = true
		}
	}
	switch {
	case seen[key]:
		return nil, errors.New("a key is there twice")
	case len(seen) == maxKeys:
		return nil, errors.New("an object has too many keys")
	}
	seen[key] = true
	return seen, nil
}

// errEnough means that whoever looks at a list has seen enough of it.
var errEnough = errors.New("enough")

// array reads a list, and shows its elements where it is told to.
func (s *scanner) array(depth int, show func([]byte) bool) error {
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		start := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if show != nil && !show(s.data[start:s.pos]) {
			return errEnough
		}
		if done, err := s.next(']'); done || err != nil {
			return err
		}
	}
}

// next reads what follows a member or an element.
func (s *scanner) next(end byte) (done bool, err error) {
	s.space()
	switch s.peek() {
	case end:
		s.pos++
		return true, nil
	case ',':
		s.pos++
		s.space()
		return false, nil
	default:
		return false, errors.New("a comma or an end is missing")
	}
}

func (s *scanner) key() (string, error) {
	if s.peek() != '"' {
		return "", errors.New("a key is missing")
	}
	start := s.pos
	if err := s.str(); err != nil {
		return "", err
	}
	if s.pos-start > maxKey {
		return "", errors.New("a key is too long")
	}
	key, ok := textOf(s.data[start:s.pos])
	// encoding/json writes half a surrogate pair as U+FFFD; others do not, and would see another key.
	if !ok || bytes.ContainsRune([]byte(key), utf8.RuneError) || bytes.IndexByte([]byte(key), 0) >= 0 {
		return "", errors.New("a key is not proper text")
	}
	return key, nil
}

func (s *scanner) str() error {
	s.pos++
	if s.checked {
		s.skip()
		return nil
	}
	for s.pos < len(s.data) {
		s.plain()
		if s.pos == len(s.data) {
			break
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return errors.New("a string has a control character")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return errors.New("a string is not UTF-8")
			}
			s.pos += size
		}
	}
	return errors.New("a string has no end")
}

// plain goes past what is plain text, eight bytes at a time: most of a long body is.
func (s *scanner) plain() {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for s.pos+8 <= len(s.data) {
		x := binary.LittleEndian.Uint64(s.data[s.pos:])
		quote, slash := x^ones*'"', x^ones*'\\'
		if (x|(x-ones*' ')|((quote-ones)&^quote)|((slash-ones)&^slash))&high != 0 {
			return
		}
		s.pos += 8
	}
}

// skip goes to the end of a string that is known to be one.
func (s *scanner) skip() {
	for end := -1; ; {
		if end < s.pos {
			end = s.pos + bytes.IndexByte(s.data[s.pos:], '"')
		}
		escape := bytes.IndexByte(s.data[s.pos:end], '\\')
		if escape < 0 {
			s.pos = end + 1
			return
		}
		s.pos += escape + 2
	}
}

// skipNested goes to the end of an object or a list that is known to be one.
func (s *scanner) skipNested() {
	for depth := 0; ; {
		switch s.data[s.pos] {
		case '"':
			s.pos++
			s.skip()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.pos++; depth == 0 {
			return
		}
	}
}

func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		for i := 1; i <= 4; i++ {
			if s.pos+i >= len(s.data) || !isHex(s.data[s.pos+i]) {
				return errors.New("a string has a wrong escape")
			}
		}
		s.pos += 5
		return nil
	default:
		return errors.New("a string has a wrong escape")
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	zero := s.peek() == '0'
	if n := s.digits(); n == 0 || zero && n > 1 {
		return errors.New("a number is wrong")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return errors.New("a number is wrong")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return errors.New("a number is wrong")
		}
	}
	return nil
}

func (s *scanner) digits() (n int) {
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

func (s *scanner) literal() error {
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	return errors.New("a value is missing or unknown")
}
