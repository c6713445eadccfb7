package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func reader(client bool, raw []byte) *Reader {
	return NewReader(bufio.NewReaderSize(bytes.NewReader(raw), 16), client, 1<<20)
}

// The examples of RFC 6455, 5.7 and 1.3.
func TestExamplesOfTheRFC(t *testing.T) {
	for name, tc := range map[string]struct {
		client bool
		raw    string
		want   Message
	}{
		"unmasked text":     {false, "\x81\x05Hello", Message{Text, []byte("Hello")}},
		"masked text":       {true, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", Message{Text, []byte("Hello")}},
		"fragmented text":   {false, "\x01\x03Hel\x80\x02lo", Message{Text, []byte("Hello")}},
		"ping":              {false, "\x89\x05Hello", Message{Ping, []byte("Hello")}},
		"masked pong":       {true, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", Message{Pong, []byte("Hello")}},
		"256 bytes, binary": {false, "\x82\x7e\x01\x00" + strings.Repeat("x", 256), Message{Binary, bytes.Repeat([]byte("x"), 256)}},
		"64 KiB, binary":    {false, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 65536), Message{Binary, bytes.Repeat([]byte("x"), 65536)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := reader(tc.client, []byte(tc.raw)).Next()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := Accept("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept %q", got)
	}
	if !IsKey(NewKey()) || IsKey("dGhlIHNhbXBsZQ==") || IsKey("") || IsKey("dGhlIHNhbXBsZSBub25jZR==") {
		t.Error("keys are not told apart from what is none")
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		client bool
		raw    string
		code   Code
	}{
		"a reserved bit":                  {false, "\xc1\x00", ProtocolError},
		"another reserved bit":            {false, "\x91\x00", ProtocolError},
		"an unknown kind":                 {false, "\x83\x00", ProtocolError},
		"an unknown control frame":        {false, "\x8b\x00", ProtocolError},
		"a client that does not mask":     {true, "\x81\x01x", ProtocolError},
		"a server that masks":             {false, "\x81\x81\x00\x00\x00\x00x", ProtocolError},
		"a fragmented ping":               {false, "\x09\x00", ProtocolError},
		"a ping that is too long":         {false, "\x89\x7e\x00\x7e" + strings.Repeat("x", 126), ProtocolError},
		"a continuation of nothing":       {false, "\x80\x00", ProtocolError},
		"a message within a message":      {false, "\x01\x01a\x81\x01b", ProtocolError},
		"a length longer than needed":     {false, "\x81\x7e\x00\x05Hello", ProtocolError},
		"a long length longer":            {false, "\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x05Hello", ProtocolError},
		"a length with the highest bit":   {false, "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", ProtocolError},
		"a length that is never sent":     {false, "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", TooBig},
		"a message too large in pieces":   {false, "\x01\x7f\x00\x00\x00\x00\x00\x10\x00\x00" + strings.Repeat("x", 1<<20) + "\x80\x01x", TooBig},
		"text that is not UTF-8":          {false, "\x81\x02\xc3\x28", InvalidData},
		"half a rune at the end":          {false, "\x01\x01\xc3\x80\x00", InvalidData},
		"a close code of one byte":        {false, "\x88\x01\x03", ProtocolError},
		"a close code that is never sent": {false, "\x88\x02\x03\xed", ProtocolError},
		"a close code of nobody":          {false, "\x88\x02\x07\xd0", ProtocolError},
		"a close reason that is not text": {false, "\x88\x04\x03\xe8\xc3\x28", InvalidData},
		"empty frames without end":        {false, "\x01\x00" + strings.Repeat("\x00\x00", MaxFrames), Policy},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := reader(tc.client, []byte(tc.raw)).Next()
			var e *Error
			if !errors.As(err, &e) || e.Code != tc.code {
				t.Errorf("got %v, %v, want %d", m, err, tc.code)
			}
		})
	}
}

// A rune may be cut in two by frames, and control frames come in between.
func TestControlBetweenFrames(t *testing.T) {
	r := reader(false, []byte("\x01\x02a\xc3\x89\x01p\x80\x01\xa9\x88\x05\x03\xe8bye"))
	var got []Message
	for {
		m, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, Message{m.Opcode, bytes.Clone(m.Data)})
	}
	if diff := cmp.Diff([]Message{{Ping, []byte("p")}, {Text, []byte("aé")}, {Close, []byte("\x03\xe8bye")}}, got); diff != "" {
		t.Error(diff)
	}
	if code, reason := CodeOf(got[2].Data); code != Normal || reason != "bye" {
		t.Errorf("got %d %q", code, reason)
	}
}

// A connection that ends within a frame did not end well.
func TestCutOff(t *testing.T) {
	whole := Append(nil, true, Text, bytes.Repeat([]byte("x"), 200))
	for n := 1; n < len(whole); n++ {
		want := io.ErrUnexpectedEOF
		if _, err := reader(true, whole[:n]).Next(); !errors.Is(err, want) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func TestCloseReasonIsCut(t *testing.T) {
	raw := AppendClose(nil, false, Policy, strings.Repeat("é", 100))
	m, err := reader(false, raw).Next()
	if err != nil {
		t.Fatal(err)
	}
	if code, reason := CodeOf(m.Data); code != Policy || reason != strings.Repeat("é", 61) {
		t.Errorf("got %d %q", code, reason)
	}
}

// What is read is written and read again the same, whatever came; and nothing makes the reader panic or take more
// than the limit.
func FuzzReader(f *testing.F) {
	f.Add(true, []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))
	f.Add(false, []byte("\x01\x03Hel\x89\x00\x80\x02lo\x88\x02\x03\xe8"))
	f.Add(false, []byte("\x82\x7e\x01\x00"+strings.Repeat("x", 256)))
	f.Add(false, []byte("\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x05"))
	f.Fuzz(func(t *testing.T, client bool, raw []byte) {
		const limit = 1000
		r := NewReader(bufio.NewReaderSize(bytes.NewReader(raw), 16), client, limit)
		var messages []Message
		var again []byte
		for {
			m, err := r.Next()
			if err != nil {
				break
			}
			if len(m.Data) > limit {
				t.Fatalf("a message of %d bytes", len(m.Data))
			}
			messages = append(messages, Message{m.Opcode, bytes.Clone(m.Data)})
			again = Append(again, client, m.Opcode, m.Data)
		}
		r = NewReader(bufio.NewReaderSize(bytes.NewReader(again), 16), client, limit)
		for _, want := range messages {
			got, err := r.Next()
			if err != nil || got.Opcode != want.Opcode || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("wrote %v, read %v, %v", want, got, err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("more was written than read: %v", err)
		}
	})
}
