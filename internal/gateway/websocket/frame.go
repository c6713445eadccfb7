// Package websocket reads and writes the frames of RFC 6455, without extensions: what
// it does not understand it does not pass on. It is handed a reader and opens no
// connection. A reader of our own, because a message is judged as a whole before any
// of it goes on, and its size, its frames and its text must leave no doubt.
package websocket

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// Opcode is the kind of a frame (RFC 6455, 5.2).
type Opcode byte

// The kinds of frames.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// IsControl reports whether the frame is about the connection, not part of a message.
func (o Opcode) IsControl() bool { return o&0x8 != 0 }

// MaxControl is how many bytes a control frame carries at most (RFC 6455, 5.5).
const MaxControl = 125

const (
	bitFinal  = 0x80
	bitsRSV   = 0x70
	bitMasked = 0x80
)

// Code says why a connection is closed (RFC 6455, 7.4.1).
type Code uint16

// The codes that are used here.
const (
	Normal        Code = 1000
	GoingAway     Code = 1001
	ProtocolError Code = 1002
	Unsupported   Code = 1003
	NoStatus      Code = 1005 // never sent: the close frame was empty
	InvalidData   Code = 1007
	Policy        Code = 1008
	TooBig        Code = 1009
)

// Error is why no more is read. Its code is the one to close the connection with; its text quotes nothing that was sent.
type Error struct {
	Code   Code
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "websocket: " + e.Reason }

func broken(reason string) error { return &Error{ProtocolError, reason} }

// Message is a whole message, or a control frame.
type Message struct {
	Opcode Opcode
	Data   []byte // valid until the next call of Next
}

// Reader reads what one side of a connection sends.
type Reader struct {
	from   *bufio.Reader
	masked bool // frames must be: the side is a client
	limit  int  // bytes of one message
	parts  int  // frames of one message

	message []byte // begun and not ended
	opcode  Opcode // of it; Continuation without one
	frames  int
	control [MaxControl]byte
}

// MaxFrames is how many frames a message may come in. Without a limit, empty ones would be read for ever.
const MaxFrames = 1024

// NewReader returns a reader of the messages of a client, whose frames are masked, or of a server, whose are not. Limit
// is the greatest size of a message in bytes.
func NewReader(from *bufio.Reader, client bool, limit int) *Reader {
	return &Reader{from: from, masked: client, limit: limit}
}

// Next returns the next message, or a control frame, which may come between the frames of one. Text is valid UTF-8. What
// RFC 6455 does not allow, or is too large, is an *Error; others are the connection's.
func (r *Reader) Next() (Message, error) {
	for {
		h, err := r.head()
		if err != nil {
			return Message{}, err
		}
		if h.opcode.IsControl() {
			data := r.control[:h.length]
			if err := r.payload(data, h); err != nil {
				return Message{}, err
			}
			return Message{h.opcode, data}, checkClose(h.opcode, data)
		}
		if err := r.part(h); err != nil {
			return Message{}, err
		}
		if !h.final {
			continue
		}
		m := Message{r.opcode, r.message}
		r.opcode = Continuation
		if m.Opcode == Text && !utf8.Valid(m.Data) {
			return Message{}, &Error{InvalidData, "a text message is not UTF-8"}
		}
		return m, nil
	}
}

// part adds a frame to the message that has begun.
func (r *Reader) part(h head) error {
	switch {
	case h.opcode == Continuation && r.opcode == Continuation:
		return broken("a message goes on that has not begun")
	case h.opcode != Continuation && r.opcode != Continuation:
		return broken("a message begins within another")
	case h.opcode != Continuation:
		r.opcode, r.message, r.frames = h.opcode, r.message[:0], 0
		if cap(r.message) > keepMessage {
			r.message = nil
		}
	}
	if r.frames++; r.frames > MaxFrames {
		return &Error{Policy, "a message is in too many frames"}
	}
	if h.length > uint64(r.limit-len(r.message)) {
		return &Error{TooBig, fmt.Sprintf("a message is larger than %d bytes", r.limit)}
	}
	// What is not there yet is not believed: a frame says its length before it is sent.
	for left := int(h.length); left > 0; {
		n, begin := min(left, growBy), len(r.message)
		r.message = append(r.message, make([]byte, n)...)
		if err := r.payload(r.message[begin:], h); err != nil {
			return err
		}
		left -= n // growBy is a multiple of the mask's length
	}
	return nil
}

const (
	growBy      = 32 << 10
	keepMessage = 256 << 10 // memory that is kept for the next message
)

func (r *Reader) payload(data []byte, h head) error {
	if _, err := io.ReadFull(r.from, data); err != nil {
		return unexpected(err)
	}
	if h.masked {
		Mask(data, h.key)
	}
	return nil
}

// head is what comes before a frame's payload.
type head struct {
	opcode Opcode
	final  bool
	masked bool
	key    [4]byte
	length uint64
}

func (r *Reader) head() (h head, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r.from, b[:2]); err != nil {
		return h, err // the connection may end between two frames
	}
	h = head{opcode: Opcode(b[0] & 0x0f), final: b[0]&bitFinal != 0, masked: b[1]&bitMasked != 0, length: uint64(b[1] &^ bitMasked)}
	switch {
	case b[0]&bitsRSV != 0:
		return h, broken("a frame is of an extension that was not agreed upon")
	case h.opcode > Binary && h.opcode < Close || h.opcode > Pong:
		return h, broken("a frame is of an unknown kind")
	case h.masked != r.masked:
		return h, broken("a frame is masked where it must not be, or is not where it must")
	case h.opcode.IsControl() && (!h.final || h.length > MaxControl):
		return h, broken("a control frame is in pieces, or too long")
	}
	if err := r.length(&h, &b); err != nil {
		return h, err
	}
	if h.masked {
		if _, err := io.ReadFull(r.from, h.key[:]); err != nil {
			return h, unexpected(err)
		}
	}
	return h, nil
}

// length reads a length that does not fit into the first two bytes. It must be in the shortest form there is.
func (r *Reader) length(h *head, b *[8]byte) error {
	size, least := 0, uint64(0)
	switch h.length {
	case 126:
		size, least = 2, 126
	case 127:
		size, least = 8, 1<<16
	default:
		return nil
	}
	if _, err := io.ReadFull(r.from, b[8-size:]); err != nil {
		return unexpected(err)
	}
	clear(b[:8-size])
	h.length = binary.BigEndian.Uint64(b[:])
	if h.length < least || h.length>>63 != 0 {
		return broken("a frame's length is not written as it must be")
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// checkClose checks what a close frame carries: nothing, or a code that may be sent and a text.
func checkClose(o Opcode, data []byte) error {
	if o != Close || len(data) == 0 {
		return nil
	}
	if len(data) == 1 || !mayBeSent(Code(binary.BigEndian.Uint16(data))) {
		return broken("a close frame has no code that may be in one")
	}
	if !utf8.Valid(data[2:]) {
		return &Error{InvalidData, "the reason in a close frame is not UTF-8"}
	}
	return nil
}

func mayBeSent(c Code) bool {
	return c >= 1000 && c <= 1014 && c != 1004 && c != 1005 && c != 1006 || c >= 3000 && c <= 4999
}
