package gateway

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
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

// header is what the provider gets: what may be passed on, and the key in its slot, whatever was there before.
func (ex *exchange) header(auth connector.Auth) http.Header {
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
	for name, value := range ex.call.MessageHeaders() {
		header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	if !auth.Path {
		header[http.CanonicalHeaderKey(auth.Header)] = []string{ex.key}
	}
	return header
}

// send builds the request anew, from what was understood, and sends it. Nothing the agent sent is passed on as it was.
func (ex *exchange) send() error {
	_, auth := ex.connector.AuthAt(ex.site)
	ctx, cancel := context.WithCancel(ex.s.ctx)
	ex.cancel = cancel
	request := ex.request(ctx, ex.header(auth), auth)
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
