package gateway

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/connector"
)

// passedAlways are the headers of a request that every provider gets as the agent sent them.
var passedAlways = []string{"accept", "user-agent"}

// passed reports whether a header, in lower case, goes to the provider.
func passed(c *connector.Connector, name string) bool {
	return slices.Contains(passedAlways, name) ||
		slices.ContainsFunc(c.Headers, func(h string) bool { return strings.EqualFold(h, name) }) && !neverPassed(name)
}

// send builds the request anew, from what was understood, and sends it. Nothing the agent sent is passed on as it was,
// and the slot holds the key whatever was in it before.
func (ex *exchange) send() error {
	_, auth := ex.connector.AuthAt(ex.site)
	header := make(http.Header, 8)
	for _, f := range ex.h.fields {
		if passed(ex.connector, f.name) {
			header[http.CanonicalHeaderKey(f.name)] = []string{f.value}
		}
	}
	if header["User-Agent"] == nil {
		header["User-Agent"] = nil // or net/http would add its own
	}
	if ex.call.ContentType != "" {
		header["Content-Type"] = []string{ex.call.ContentType}
	}
	header["Accept-Encoding"] = []string{"identity"} // what is compressed cannot be scrubbed
	if !auth.Path {
		header[http.CanonicalHeaderKey(auth.Header)] = []string{ex.key}
	}
	ctx, cancel := context.WithCancel(ex.s.ctx)
	ex.cancel = cancel
	request := ex.request(ctx, header, auth)
	body := &payload{data: ex.call.Body}
	if len(ex.call.Body) > 0 {
		request.Body, request.ContentLength = body.reader(), int64(len(ex.call.Body))
		request.GetBody = func() (io.ReadCloser, error) { return body.reader(), nil }
	} else if ex.h.method != http.MethodGet && ex.h.method != http.MethodHead {
		request.Body = http.NoBody // says Content-Length: 0
	}
	ex.l.listen(func() {
		ex.peerGone.Store(true)
		cancel()
	})
	ex.silence = time.AfterFunc(ex.s.p.limits.Upstream, func() {
		ex.idle.Store(true)
		cancel()
	})
	answer, err := ex.s.p.upstream.pool(ex.snap.UpstreamRoots).RoundTrip(request)
	if err != nil {
		ex.silence.Stop()
		cancel()
		body.release()
		return err
	}
	ex.answer, ex.status = answer, answer.StatusCode
	answer.Body = &releasing{ReadCloser: answer.Body, body: body}
	if err := decodeAnswer(answer); err != nil {
		ex.silence.Stop()
		cancel()
		_ = answer.Body.Close()
		return err
	}
	return nil
}

// request is the request to the provider, still without a body.
func (ex *exchange) request(ctx context.Context, header http.Header, auth connector.Auth) *http.Request {
	raw := ex.sentPath(auth)
	target := &url.URL{Scheme: "https", Host: ex.host, Path: raw, RawQuery: ex.call.Query}
	if strings.IndexByte(raw, '%') >= 0 {
		if plain, err := url.PathUnescape(raw); err == nil {
			target.Path, target.RawPath = plain, raw
		}
	}
	return (&http.Request{
		Method: ex.call.Method, URL: target, Host: ex.host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: ex.gotConn}))
}

func (ex *exchange) gotConn(info httptrace.GotConnInfo) {
	address := info.Conn.RemoteAddr().String()
	ex.remote.Store(&address)
}

func (ex *exchange) address() string {
	if a := ex.remote.Load(); a != nil {
		return *a
	}
	return ""
}

// releasing gives the memory of the request's body back when the answer is closed.
type releasing struct {
	io.ReadCloser
	body *payload
}

// Close implements io.Closer.
func (r *releasing) Close() error {
	err := r.ReadCloser.Close()
	r.body.release()
	return err
}

// decodeAnswer undoes a content encoding the provider was asked not to use.
func decodeAnswer(answer *http.Response) error {
	if answer.StatusCode < 200 || answer.StatusCode > 599 { // 101 among them
		return errors.New("the provider changed the protocol, or answered with a status that is none")
	}
	switch strings.ToLower(strings.Join(answer.Header.Values("Content-Encoding"), ",")) {
	case "", "identity":
		return nil
	case "gzip":
		answer.Body = &gunzipping{ReadCloser: answer.Body}
		answer.ContentLength = -1
		return nil
	default:
		return errors.New("the provider's answer has a content encoding it was asked not to use")
	}
}

// gunzipping decodes as it is read, so that an answer that is slow to begin holds nobody up.
type gunzipping struct {
	io.ReadCloser
	z *gzip.Reader
}

// Read implements io.Reader.
func (g *gunzipping) Read(b []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(g.ReadCloser)
		if err != nil {
			return 0, err
		}
		g.z = z
	}
	return g.z.Read(b)
}

const (
	relayBuffer = 32 << 10
	chunkRoom   = 10 // for the size before a chunk, in hexadecimal
)

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, chunkRoom+relayBuffer+2); return &b }}

// relay passes the answer on as it comes, without secrets. It reports whether the connection can be used further.
func (ex *exchange) relay() bool {
	defer ex.cancel()
	defer ex.silence.Stop()
	defer ex.answer.Body.Close()
	ex.digest = sha256.New()
	secrets := ex.s.p.secretsOf(ex.snap)
	length := ex.answer.ContentLength
	bodiless := ex.h.method == http.MethodHead || ex.status == http.StatusNoContent || ex.status == http.StatusNotModified
	chunked := length < 0 && !bodiless
	head := ex.answerHead(secrets, chunked, bodiless)
	ex.started = true
	if bodiless {
		err := ex.write(head)
		ex.result = ex.ending(err)
		return err == nil
	}
	// A short answer whose length is known goes out in one piece; one that streams begins at once.
	if chunked {
		if ex.write(head) != nil {
			return false
		}
		head = nil
	}
	err := ex.copyBody(secrets, head, chunked)
	ex.result = ex.ending(err)
	return err == nil
}

// copyBody reads, scrubs and writes piece by piece. What may be the beginning of a secret waits for what follows it.
func (ex *exchange) copyBody(secrets *secrets, head []byte, chunked bool) error {
	pooled := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(pooled)
	buf := (*pooled)[chunkRoom : chunkRoom+relayBuffer]
	held := 0
	for {
		ex.silence.Reset(ex.s.p.limits.Upstream)
		n, err := ex.answer.Body.Read(buf[held:])
		data := buf[:held+n]
		held = secrets.scrub(data)
		if err != nil {
			if held >= minSecret {
				mask(data[len(data)-held:]) // most of a secret is one too
			}
			held = 0
		}
		if out := data[:len(data)-held]; len(out) > 0 || head != nil {
			if err := ex.emit(*pooled, head, out, chunked); err != nil {
				return err
			}
			head = nil
			copy(buf, data[len(out):])
		}
		if errors.Is(err, io.EOF) {
			return ex.finish(chunked)
		}
		if err != nil {
			return err
		}
	}
}

// emit writes one piece. buf is the whole buffer out lies in, with room for a chunk's size before it.
func (ex *exchange) emit(buf, head, out []byte, chunked bool) error {
	ex.received += int64(len(out))
	ex.digest.Write(out)
	if !chunked {
		if head == nil {
			return ex.write(out)
		}
		head = append(head, out...)
		return ex.write(head)
	}
	size := strconv.AppendInt(make([]byte, 0, chunkRoom), int64(len(out)), 16)
	size = append(size, '\r', '\n')
	start := chunkRoom - len(size)
	end := chunkRoom + len(out)
	copy(buf[start:], size)
	a, b := buf[end], buf[end+1] // these may be held bytes
	buf[end], buf[end+1] = '\r', '\n'
	err := ex.write(buf[start : end+2])
	buf[end], buf[end+1] = a, b
	return err
}

func (ex *exchange) finish(chunked bool) error {
	if chunked {
		return ex.write([]byte("0\r\n\r\n"))
	}
	return nil
}

var errAgent = errors.New("the agent does not take the answer")

func (ex *exchange) write(b []byte) error {
	_ = ex.l.conn.SetWriteDeadline(time.Now().Add(ex.s.p.limits.Write))
	if _, err := ex.l.conn.Write(b); err != nil {
		return errAgent
	}
	return nil
}

// ending says how the answer ended.
func (ex *exchange) ending(err error) string {
	var timeout net.Error
	switch _, reason := ex.s.wasCut(); {
	case err == nil:
		return "completed"
	case reason != "":
		return "cut: " + reason
	case ex.peerGone.Load() || errors.Is(err, errAgent):
		return "the agent hung up"
	case ex.idle.Load() || errors.As(err, &timeout) && timeout.Timeout():
		return "the provider was silent for too long"
	default:
		return "the provider's answer broke off"
	}
}
