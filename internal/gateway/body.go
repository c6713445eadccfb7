package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bodies are read as a whole before anything is decided: the resource may be its last byte.

// readBody reads the whole body, decoded.
func (ex *exchange) readBody() error {
	if ex.h.length == 0 {
		return nil
	}
	limits, granted := &ex.s.p.limits, ex.s.p.cfg.Source.Current().Grant
	limit := limits.BodyBytes
	if granted != nil && granted.Limits.RequestKiB > 0 {
		limit = min(limit, int64(granted.Limits.RequestKiB)<<10)
	}
	if ex.h.length > limit {
		return tooLarge(limit, limits.BodyBytes)
	}
	if err := ex.reserve(limits.reserve(ex.h, limit)); err != nil {
		return err
	}
	_ = ex.l.conn.SetReadDeadline(time.Now().Add(limits.Body))
	if ex.h.expects {
		if err := ex.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return err
		}
	}
	body, err := readBody(ex.l.reader, ex.h, limit)
	if errors.Is(err, errTooLarge) {
		return tooLarge(limit, limits.BodyBytes)
	}
	if err != nil {
		return err
	}
	ex.body, ex.unread = body, false
	needed := min(int64(body.Cap()), ex.reserved)
	ex.s.p.memory.Release(ex.reserved - needed)
	ex.reserved = needed
	return nil
}

// reserve waits until there is room for a body.
func (ex *exchange) reserve(n int64) error {
	memory := ex.s.p.memory
	if !memory.TryAcquire(n) {
		ctx, cancel := context.WithTimeout(ex.s.ctx, ex.s.p.limits.Body)
		defer cancel()
		if memory.Acquire(ctx, n) != nil {
			return &Denial{Status: http.StatusServiceUnavailable, Code: codeUnavailable, Rule: "memory", Reason: "too many large requests at once", Close: true}
		}
	}
	ex.reserved = n
	return nil
}

// reserve is how much memory a body may need before its size is known: a buffer that grows is there twice for a moment,
// the second time up to twice as large as what is in it.
func (l *Limits) reserve(h *head, limit int64) int64 {
	if h.length < 0 || h.get("content-encoding") != "" {
		return min(3*limit, l.MemoryBytes)
	}
	return h.length
}

// buffers keeps the memory of bodies for the next ones.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keepBuffer = 1 << 20 // a buffer that grew larger is left to the garbage collector

func putBuffer(b *bytes.Buffer) {
	if b != nil && b.Cap() <= keepBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

var errTooLarge = errors.New("too large")

// readBody reads and decodes the body that belongs to a head. The buffer is to be given back.
func readBody(r *bufio.Reader, h *head, limit int64) (*bytes.Buffer, error) {
	if h.length > limit {
		return nil, errTooLarge
	}
	raw := buffers.Get().(*bytes.Buffer)
	var err error
	if h.length >= 0 {
		raw.Grow(int(h.length) + bytes.MinRead) // it is reserved, and grows no more
		_, err = io.CopyN(raw, r, h.length)
	} else {
		err = readChunks(raw, r, limit)
	}
	if err != nil {
		putBuffer(raw)
		return nil, bodyError(err)
	}
	switch coding := strings.ToLower(h.get("content-encoding")); coding {
	case "", "identity":
		return raw, nil
	case "gzip":
		defer putBuffer(raw)
		return gunzip(raw, limit)
	default:
		putBuffer(raw)
		return nil, malformed(http.StatusUnsupportedMediaType, "the only content encoding understood is gzip")
	}
}

func bodyError(err error) error {
	var d *Denial
	switch {
	case errors.As(err, &d):
		return d
	case errors.Is(err, errTooLarge):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed(http.StatusBadRequest, "the body ends too early")
	default:
		return &Denial{Status: http.StatusRequestTimeout, Code: codeMalformed, Reason: "the body did not arrive", Close: true}
	}
}

// tooLarge refuses a body that is larger than limit: the grant's, or the gateway's own where that is what it is.
func tooLarge(limit, own int64) *Denial {
	if limit == own {
		return malformed(http.StatusRequestEntityTooLarge, "the body is larger than what can be judged")
	}
	d := malformed(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than the limit of %d KiB", limit>>10))
	d.Rule = ruleRequestSize
	return d
}

// readChunks reads a chunked body. Chunk extensions and trailers are refused: nobody needs them, and readers
// disagree about them.
func readChunks(dst *bytes.Buffer, r *bufio.Reader, limit int64) error {
	for {
		line, err := chunkLine(r)
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 32)
		if err != nil || len(line) > 8 || line[0] == '+' {
			return malformed(http.StatusBadRequest, "a chunk of the body has no proper size")
		}
		if int64(dst.Len())+int64(size) > limit {
			return errTooLarge
		}
		if size > 0 {
			if _, err := io.CopyN(dst, r, int64(size)); err != nil {
				return err
			}
		}
		// What follows a chunk is an empty line; what follows the last one is the empty line of no trailer.
		if line, err = chunkLine(r); err != nil {
			return err
		}
		if len(line) != 0 {
			return malformed(http.StatusBadRequest, "a chunk of the body does not end where it said")
		}
		if size == 0 {
			return nil
		}
	}
}

func chunkLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || (err == nil && !bytes.HasSuffix(line, []byte("\r\n"))) {
		return nil, malformed(http.StatusBadRequest, "a line between the chunks of the body is wrong")
	}
	if err != nil {
		return nil, err
	}
	return line[:len(line)-2], nil
}

func gunzip(raw *bytes.Buffer, limit int64) (*bytes.Buffer, error) {
	out := buffers.Get().(*bytes.Buffer)
	z, err := gzip.NewReader(raw)
	if err == nil {
		_, err = io.Copy(out, io.LimitReader(z, limit+1))
	}
	switch {
	case err != nil:
		putBuffer(out)
		return nil, malformed(http.StatusBadRequest, "the body is not what gzip writes")
	case int64(out.Len()) > limit:
		putBuffer(out)
		return nil, errTooLarge
	}
	return out, nil
}

// payload is the body of a request to a provider. The transport may read it after it has returned, so its memory
// is reused only once release has cut it off.
type payload struct {
	mu   sync.Mutex
	data []byte
}

func (p *payload) reader() io.ReadCloser { return &payloadReader{payload: p} }

func (p *payload) release() {
	p.mu.Lock()
	p.data = nil
	p.mu.Unlock()
}

type payloadReader struct {
	*payload
	pos int
}

// Read implements io.Reader.
func (r *payloadReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pos >= len(r.data) {
		return 0, io.EOF
	}
	n := copy(b, r.data[r.pos:])
	r.pos += n
	return n, nil
}

// Close implements io.Closer.
func (r *payloadReader) Close() error { return nil }
