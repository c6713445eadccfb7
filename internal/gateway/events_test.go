package gateway

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/semaphore"
)

// seen is an event as a test compares it.
type seen struct{ Name, ID, Retry, Data string }

func newEvents(limit int) *eventReader {
	memory := semaphore.NewWeighted(1 << 30)
	return &eventReader{line: hoard{memory: memory, limit: limit}, data: hoard{memory: memory, limit: limit}}
}

// readEvents reads a stream in pieces of the given sizes, and what is left in one.
func readEvents(r *eventReader, stream string, sizes ...byte) (got []seen, err error) {
	each := func(e *event) error {
		if !e.comment {
			got = append(got, seen{e.name, e.id, e.retry, string(e.data)})
		}
		return nil
	}
	for _, n := range sizes {
		n := min(int(n), len(stream))
		if err := r.take([]byte(stream[:n]), each); err != nil {
			return got, err
		}
		stream = stream[n:]
	}
	return got, r.take([]byte(stream), each)
}

// What the HTML standard says of streams, and its examples.
func TestEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		stream string
		want   []seen
	}{
		"one line":                    {"data: x\n\n", []seen{{Data: "x"}}},
		"lines are joined":            {"data: YHOO\ndata: +2\ndata: 10\n\n", []seen{{Data: "YHOO\n+2\n10"}}},
		"CR":                          {"data: a\r\rdata: b\r\r", []seen{{Data: "a"}, {Data: "b"}}},
		"CRLF":                        {"data: a\r\ndata: b\r\n\r\n", []seen{{Data: "a\nb"}}},
		"all of them":                 {"data: a\rdata: b\ndata: c\r\n\r\n", []seen{{Data: "a\nb\nc"}}},
		"a byte order mark":           {"\ufeffdata: a\n\n\ufeffdata: b\n\n", []seen{{Data: "a"}}},
		"one space is dropped":        {"data:a\n\ndata:  a\n\n", []seen{{Data: "a"}, {Data: " a"}}},
		"no colon is no value":        {"data\ndata\n\n", []seen{{Data: "\n"}}},
		"comments and other names":    {": hello\nfoo: x\ndata: a\nDATA: b\n\n", []seen{{Data: "a"}}},
		"all fields":                  {"event: add\nid: 7\nretry: 10\ndata: {}\n\n", []seen{{"add", "7", "10", "{}"}}},
		"the last of a name":          {"event: a\nevent: b\ndata: x\n\n", []seen{{Name: "b", Data: "x"}}},
		"a wrong retry, a NUL id":     {"retry: 1s\nid: a\x00b\ndata: x\n\n", []seen{{Data: "x"}}},
		"an id alone":                 {"id: 1\n\n", []seen{{ID: "1"}}},
		"an event that did not end":   {"data: a\n\ndata: b\n", []seen{{Data: "a"}}},
		"nothing between empty lines": {"\n\n\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readEvents(newEvents(1<<20), tc.stream)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventTooLarge(t *testing.T) {
	for name, stream := range map[string]string{
		"one line":                 "data: " + strings.Repeat("x", 100),
		"one line, in pieces":      strings.Repeat("x", 50) + strings.Repeat("y", 50),
		"many lines":               strings.Repeat("data: x\n", 100),
		"many lines with no value": strings.Repeat("data\n", 200),
		"a comment":                ":" + strings.Repeat("x", 100),
	} {
		if _, err := readEvents(newEvents(64), stream, 50); !errors.Is(err, errHoardFull) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What is kept together is no more than what there is room for; it is waited for where that was asked for.
func TestHoard(t *testing.T) {
	memory := semaphore.NewWeighted(256 << 10)
	first := &hoard{memory: memory, limit: 1 << 20}
	if err := first.add(make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	second := &hoard{memory: memory, ctx: context.Background(), limit: 1 << 20}
	if err := second.add(make([]byte, 10<<10)); err != nil {
		t.Errorf("what is small is not counted: %v", err)
	}
	if err := second.add(make([]byte, 90<<10)); !errors.Is(err, errNoRoom) {
		t.Errorf("got %v", err)
	}
	second.patience = time.Minute
	go first.free()
	if err := second.add(make([]byte, 90<<10)); err != nil || len(second.data) != 100<<10 {
		t.Errorf("got %v, %d bytes", err, len(second.data))
	}
	if err := second.add(make([]byte, 1<<20)); !errors.Is(err, errHoardFull) {
		t.Errorf("got %v", err)
	}
	second.free()
	if !memory.TryAcquire(256 << 10) {
		t.Error("the room was not given back")
	}
}

// However a stream is cut, its events are the same; and written anew they are read as the same.
func FuzzEvents(f *testing.F) {
	f.Add("data: a\r\n\r\nevent: b\rdata: c\n\n", []byte{9, 1, 1, 3})
	f.Add("\ufeffid: 1\ndata\n\n:\n\nretry: 5\n\n", []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, stream string, sizes []byte) {
		whole, err := readEvents(newEvents(1<<20), stream)
		if err != nil {
			return // too large
		}
		pieces, err := readEvents(newEvents(1<<20), stream, sizes...)
		if diff := cmp.Diff(whole, pieces); diff != "" || err != nil {
			t.Fatalf("in pieces %v: %s", err, diff)
		}
		var again bytes.Buffer
		r := newEvents(1 << 20)
		_ = r.take([]byte(stream), func(e *event) error {
			again.Write(e.append(nil))
			return nil
		})
		got, err := readEvents(newEvents(1<<20), again.String())
		if diff := cmp.Diff(whole, got); diff != "" || err != nil {
			t.Fatalf("written anew %v: %s", err, diff)
		}
	})
}
