package gateway

import (
	"bytes"
)

// Server-sent events are read as the HTML standard says (WHATWG, 9.2.6): lines end with CR, LF or both, a byte order
// mark before the first is none of it, data lines are joined by line feeds, and an empty line ends an event.

// event is one server-sent event. What it refers to is valid until the next is read.
type event struct {
	name, id, retry string // empty where they were not sent
	data            []byte // of all its data lines, joined
	hasData         bool
	comment         bool // nothing but a comment, which keeps the connection alive
}

// eventReader takes a stream apart, in whatever pieces it comes.
type eventReader struct {
	line  hoard // begun
	data  hoard // of the event that has begun, with a line feed after each line
	now   event
	some  bool // the event that has begun has a field
	begun bool // the first line was looked at for a byte order mark
	wasCR bool // the last byte was a CR: if an LF follows, it is of the same line's end
}

// take reads a piece, and calls each for every event that ends in it. An error is that of each, or of an event that is
// too large; the reader is of no use then.
func (r *eventReader) take(piece []byte, each func(*event) error) error {
	for len(piece) > 0 {
		if r.wasCR {
			r.wasCR = false
			if piece[0] == '\n' {
				piece = piece[1:]
				continue
			}
		}
		end := lineEnd(piece)
		if end < 0 {
			return r.line.add(piece)
		}
		line := piece[:end]
		if len(r.line.data) > 0 {
			if err := r.line.add(line); err != nil {
				return err
			}
			line = r.line.data
		}
		r.wasCR, piece = piece[end] == '\r', piece[end+1:]
		if err := r.take1(line, each); err != nil {
			return err
		}
		r.line.clear()
	}
	return nil
}

// lineEnd is the index of the first CR or LF, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// take1 reads one line.
func (r *eventReader) take1(line []byte, each func(*event) error) error {
	if !r.begun {
		r.begun = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if len(line) == 0 {
		return r.dispatch(each)
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	if string(name) != "data" && len(value) > maxEventField {
		return errHoardFull
	}
	switch string(name) {
	case "":
		return each(&event{comment: true})
	case "event":
		r.now.name = string(value)
	case "id":
		if bytes.IndexByte(value, 0) >= 0 {
			return nil
		}
		r.now.id = string(value)
	case "retry":
		if !isDigits(value) {
			return nil
		}
		r.now.retry = string(value)
	case "data":
		r.now.hasData = true
		if err := r.data.add(value); err != nil {
			return err
		}
		if err := r.data.add([]byte("\n")); err != nil {
			return err
		}
	default:
		return nil
	}
	r.some = true
	return nil
}

const maxEventField = 4 << 10 // of what is not data

func isDigits(b []byte) bool {
	return len(b) > 0 && len(b) <= 10 && len(bytes.Trim(b, "0123456789")) == 0
}

func (r *eventReader) dispatch(each func(*event) error) error {
	if !r.some {
		return nil
	}
	r.now.data = bytes.TrimSuffix(r.data.data, []byte("\n"))
	err := each(&r.now)
	r.now, r.some = event{}, false
	r.data.clear()
	return err
}

func (r *eventReader) free() {
	r.line.free()
	r.data.free()
}

// append writes an event to the end of dst, in one way whichever it came in. Of comments nothing is said.
func (e *event) append(dst []byte) []byte {
	if e.comment {
		return append(dst, ":\n\n"...)
	}
	for _, f := range [...]struct{ name, value string }{{"event: ", e.name}, {"id: ", e.id}, {"retry: ", e.retry}} {
		if f.value != "" {
			dst = append(append(append(dst, f.name...), f.value...), '\n')
		}
	}
	if e.hasData {
		for line := range bytes.SplitSeq(e.data, []byte("\n")) {
			dst = append(append(append(dst, "data: "...), line...), '\n')
		}
	}
	return append(dst, '\n')
}
