package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// MaxLine is the longest a record may be once written as a line, without the newline.
const MaxLine = 1 << 20

// Head is the end of a history: the seq and hash of its last record. The zero
// Head is that of an empty history.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// String is how a head is written on a command line: 42:9f86d0….
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Seq, h.Hash) }

// ParseHead reads what String writes.
func ParseHead(s string) (Head, error) {
	seq, hash, ok := bytes.Cut([]byte(s), []byte(":"))
	n, err := strconv.ParseUint(string(seq), 10, 64)
	if !ok || err != nil || (n == 0) != (len(hash) == 0) || (n > 0 && !isHash(hash)) {
		return Head{}, fmt.Errorf("a head is written SEQ:HASH, for example 42:9f86d0…, with a hash of 64 hexadecimal digits, not %q", s)
	}
	return Head{Seq: n, Hash: string(hash)}, nil
}

// Chain turns records into lines that prove their order. It is not safe for
// concurrent use: a history has one writer.
//
// A line is the record's JSON as encoding/json writes it, and begins with seq,
// prev, hash, time and claw in this order. Its hash is the SHA-256 of the line's
// own bytes with the hash left empty. Whoever checks a line therefore never
// re-encodes it, and fields they do not know are covered all the same.
type Chain struct{ head Head }

// NewChain continues the history that ends with head.
func NewChain(head Head) *Chain { return &Chain{head: head} }

// Head of the history so far.
func (c *Chain) Head() Head { return c.head }

// Seal gives r its place in the history and returns it with its line. When it
// returns an error the history is as before.
func (c *Chain) Seal(r Record, now time.Time) (Record, []byte, error) {
	return c.AppendSeal(nil, r, now)
}

// AppendSeal is Seal, with the line appended to lines. When it returns an error,
// what is behind the end of lines is undefined.
func (c *Chain) AppendSeal(lines []byte, r Record, now time.Time) (Record, []byte, error) {
	r.Seq, r.Prev, r.Hash, r.Time = c.head.Seq+1, c.head.Hash, "", now.UTC()
	begin := len(lines)
	out := appendPlace(slices.Grow(lines, usualLine), &r)
	at := len(out)
	out = append(out, noHash...) // room, and not a part of what is hashed
	out, err := appendRest(out, &r)
	if err != nil {
		return Record{}, nil, fmt.Errorf("write the record as JSON: %w", err)
	}
	if size := len(out) - begin; size > MaxLine {
		return Record{}, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, size, MaxLine)
	}
	hash := sha256.New()
	hash.Write(out[begin:at])
	hash.Write(out[at+len(noHash):])
	var sum [sha256.Size]byte
	hex.Encode(out[at:], hash.Sum(sum[:0]))
	r.Hash = string(out[at : at+len(noHash)])
	c.head = Head{Seq: r.Seq, Hash: r.Hash}
	return r, out, nil
}

// usualLine is about as long as most lines are.
const usualLine = 1 << 10

// noHash is as long as a hash.
const noHash = "0000000000000000000000000000000000000000000000000000000000000000"

// ErrTooLong means that a record would not fit into a line.
var ErrTooLong = errors.New("the record is too long")

// hashOffset is where in a line the hash's value begins.
func hashOffset(seq uint64, prev string) int {
	return len(`{"seq":`) + len(strconv.FormatUint(seq, 10)) + len(`,"prev":"`) + len(prev) + len(`","hash":"`)
}

// Link is what a line says of its place: the part that the chain is made of.
type Link struct {
	Seq  uint64
	Prev string
	Hash string
	Claw ClawRef
}

// Head is the end of the history whose last record this is.
func (l Link) Head() Head { return Head{Seq: l.Seq, Hash: l.Hash} }

// ParseLink reads a line, without its newline, and checks its hash.
func ParseLink(line []byte) (Link, error) {
	if len(line) > MaxLine {
		return Link{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, len(line), MaxLine)
	}
	s := scanner{rest: line}
	seq := s.until(`{"seq":`, ',')
	prev := s.until(`"prev":"`, '"')
	hash := s.until(`,"hash":"`, '"')
	after := s.rest
	s.until(`,"time":"`, '"')
	claw := ClawRef{
		Namespace: string(s.until(`,"claw":{"namespace":"`, '"')),
		Name:      string(s.until(`,"name":"`, '"')),
		UID:       string(s.until(`,"uid":"`, '"')),
	}
	s.bad = s.bad || len(s.rest) == 0 || s.rest[0] != '}' // nothing else is said of the Claw
	n, err := strconv.ParseUint(string(seq), 10, 64)
	switch {
	case s.bad || err != nil || strconv.FormatUint(n, 10) != string(seq) || n == 0:
		return Link{}, errors.New("the line does not begin as a record does: seq, prev, hash, time, claw")
	case !isHash(hash) || (n == 1) != (len(prev) == 0) || (n > 1 && !isHash(prev)):
		return Link{}, fmt.Errorf("record %d: prev and hash are not SHA-256 in hexadecimal", n)
	case !json.Valid(line):
		return Link{}, fmt.Errorf("record %d is not JSON", n)
	case saidAgain(s.rest):
		return Link{}, fmt.Errorf("record %d says twice where its place is", n)
	}
	sum := sha256.New()
	sum.Write(line[:hashOffset(n, string(prev))])
	sum.Write([]byte{'"'})
	sum.Write(after)
	if hex.EncodeToString(sum.Sum(nil)) != string(hash) {
		return Link{}, fmt.Errorf("record %d does not have the hash it states: it was altered", n)
	}
	return Link{Seq: n, Prev: string(prev), Hash: string(hash), Claw: claw}, nil
}

// scanner cuts values out of the fixed beginning of a line.
type scanner struct {
	rest []byte
	bad  bool
}

// until returns what is between the given prefix and the next end, with neither.
// Values with a backslash are refused: none of these ever needs one.
func (s *scanner) until(prefix string, end byte) []byte {
	rest, ok := bytes.CutPrefix(s.rest, []byte(prefix))
	at := bytes.IndexByte(rest, end)
	if s.bad || !ok || at < 0 || bytes.IndexByte(rest[:at], '\\') >= 0 {
		s.bad = true
		return nil
	}
	s.rest = rest[at+1:]
	return rest[:at]
}

// saidAgain reports whether the rest of a line, from the end of the claw on, has a key of the beginning once more, in
// whatever case. Many readers believe the last one: such a record would pass for another Claw's.
func saidAgain(rest []byte) bool {
	depth := 2
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			start := i + 1
			for i = start; rest[i] != '"'; i++ {
				if rest[i] == '\\' {
					i++
				}
			}
			next := bytes.TrimLeft(rest[i+1:], " \t\r\n")
			if depth == 1 && len(next) > 0 && next[0] == ':' && isPlace(rest[start:i]) {
				return true
			}
		}
	}
	return false
}

// isPlace reports whether a key is, or with its escapes may be, one of those that say where a record belongs.
func isPlace(key []byte) bool {
	if bytes.IndexByte(key, '\\') >= 0 {
		return true
	}
	for _, name := range []string{"seq", "prev", "hash", "time", "claw"} {
		if bytes.EqualFold(key, []byte(name)) {
			return true
		}
	}
	return false
}

func isHash(b []byte) bool {
	if len(b) != 2*sha256.Size {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
