package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// BreakKind says how a history is broken.
type BreakKind string

// The ways in which a history can be broken.
const (
	BreakAltered   BreakKind = "altered"   // a line is not the record that was written
	BreakGap       BreakKind = "gap"       // records are missing
	BreakReordered BreakKind = "reordered" // a record is in another's place, or there twice
	BreakFork      BreakKind = "fork"      // two histories have the same beginning
	BreakTruncated BreakKind = "truncated" // the end is missing
	BreakForeign   BreakKind = "foreign"   // a record of another Claw
)

// Break is the first place where a history is not whole.
type Break struct {
	Kind   BreakKind
	Line   int    // counted from 1
	Seq    uint64 // the record that is missing or wrong
	Detail string
}

// Error implements error.
func (b *Break) Error() string {
	return fmt.Sprintf("%s at line %d, record %d: %s", b.Kind, b.Line, b.Seq, b.Detail)
}

// Verifier checks lines one after the other. The zero Verifier expects a history
// from its beginning, of any one Claw.
type Verifier struct {
	// Head so far. Set it to check the continuation of a history.
	Head Head
	// Claw whose history it is. Taken from the first record when nil.
	Claw *ClawRef
	line int
}

// Next checks the next line. It returns a *Break, after which the Verifier is as before.
func (v *Verifier) Next(line []byte) error {
	link, err := ParseLink(line)
	if err != nil {
		v.line++
		return &Break{Kind: BreakAltered, Line: v.line, Seq: v.Head.Seq + 1, Detail: err.Error()}
	}
	return v.Follow(link)
}

// Follow is Next for a line that was parsed already.
func (v *Verifier) Follow(link Link) error {
	v.line++
	if b := v.follows(link); b != nil {
		b.Line = v.line
		return b
	}
	v.Head, v.Claw = link.Head(), &link.Claw
	return nil
}

// follows compares a record with the place it claims.
func (v *Verifier) follows(link Link) *Break {
	want := v.Head.Seq + 1
	switch {
	case v.Claw != nil && *v.Claw != link.Claw:
		return &Break{Kind: BreakForeign, Seq: link.Seq, Detail: fmt.Sprintf("it is about Claw %s/%s (%s) in the history of %s/%s (%s)",
			link.Claw.Namespace, link.Claw.Name, link.Claw.UID, v.Claw.Namespace, v.Claw.Name, v.Claw.UID)}
	case link.Seq > want:
		return &Break{Kind: BreakGap, Seq: want, Detail: fmt.Sprintf("%d record(s) are missing: %d follows %d", link.Seq-want, link.Seq, v.Head.Seq)}
	case link.Seq == v.Head.Seq && link.Hash != v.Head.Hash:
		return &Break{Kind: BreakFork, Seq: link.Seq, Detail: "there are two different records with this seq"}
	case link.Seq < want:
		return &Break{Kind: BreakReordered, Seq: link.Seq, Detail: fmt.Sprintf("it comes after record %d", v.Head.Seq)}
	case link.Prev != v.Head.Hash:
		return &Break{Kind: BreakFork, Seq: link.Seq, Detail: "it follows another record than the one before it: the histories part here"}
	}
	return nil
}

// Verify reads a history of one Claw, a record a line, and returns its head. The
// error is the first *Break, or that of reading. Where expected is not nil, the
// history must contain that head: it is how a cut-off end is found.
func Verify(r io.Reader, expected *Head) (Head, error) {
	return verify(r, &Verifier{}, expected)
}

// VerifyClaw is Verify for a history that must be that Claw's.
func VerifyClaw(r io.Reader, claw ClawRef, expected *Head) (Head, error) {
	return verify(r, &Verifier{Claw: &claw}, expected)
}

func verify(r io.Reader, v *Verifier, expected *Head) (Head, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	met := expected == nil || expected.Seq == 0
	for {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return v.Head, err
		}
		if err := v.Next(line); err != nil {
			return v.Head, explain(err, lines)
		}
		if expected != nil && v.Head.Seq == expected.Seq {
			met = true
			if v.Head != *expected {
				return v.Head, &Break{Kind: BreakFork, Line: v.line, Seq: v.Head.Seq, Detail: "it is another record than the expected head"}
			}
		}
	}
	if !met {
		return v.Head, &Break{Kind: BreakTruncated, Line: v.line, Seq: v.Head.Seq + 1,
			Detail: fmt.Sprintf("the history ends with record %d, expected is record %d", v.Head.Seq, expected.Seq)}
	}
	return v.Head, nil
}

// explain tells a gap from a change of order: whether the missing record comes later.
func explain(err error, rest *bufio.Reader) error {
	var b *Break
	if !errors.As(err, &b) || b.Kind != BreakGap {
		return err
	}
	for {
		line, readErr := readLine(rest)
		if readErr != nil {
			return err
		}
		if link, parseErr := ParseLink(line); parseErr == nil && link.Seq == b.Seq {
			return &Break{Kind: BreakReordered, Line: b.Line, Seq: b.Seq, Detail: "it comes later than it should"}
		}
	}
}

// readLine returns the next line without its newline. A line longer than any
// record is returned cut, and fails to be one.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line) <= MaxLine {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		default:
			return nil, err
		}
	}
}
