package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/internal/gateway/websocket"
)

// checkUpgrade refuses WebSocket where the operation is none, and the operation where it is not asked for so.
func (ex *exchange) checkUpgrade() error {
	switch socket := ex.call.Operation.WebSocket != nil; {
	case ex.h.upgrade && !socket:
		return closing(denied("catalogue", "this operation is not asked for over WebSocket"))
	case socket && !ex.h.upgrade:
		return denied("catalogue", "this operation is asked for over WebSocket only")
	default:
		return nil
	}
}

// dialSocket asks the provider for a WebSocket: over a connection of its own, without extensions and subprotocols, of
// which nothing would be understood. The answer is 101 with a body that is the connection, or any other.
func (ex *exchange) dialSocket(ctx context.Context) (*http.Response, error) {
	_, auth := ex.connector.AuthAt(ex.site)
	header, key := ex.header(auth), websocket.NewKey()
	header.Del("Accept-Encoding")
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	header["Sec-WebSocket-Key"], header["Sec-WebSocket-Version"] = []string{key}, []string{websocket.Version}
	pool := ex.s.p.upstream.pool(ex.snap.UpstreamRoots)
	own := &http.Transport{
		DialContext:            pool.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: ex.snap.UpstreamRoots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		TLSHandshakeTimeout:    dialTimeout,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 and nothing else
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHead,
	}
	answer, err := own.RoundTrip(ex.request(ctx, header, auth))
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		return answer, err
	}
	got := answer.Header
	ok := strings.EqualFold(got.Get("Upgrade"), "websocket") && hasToken(got.Get("Connection"), "upgrade") &&
		got.Get("Sec-WebSocket-Accept") == websocket.Accept(key) &&
		len(got.Values("Sec-WebSocket-Extensions")) == 0 && len(got.Values("Sec-WebSocket-Protocol")) == 0
	if _, two := answer.Body.(io.ReadWriteCloser); !ok || !two {
		_ = answer.Body.Close()
		return nil, errors.New("the provider's answer is not that of a WebSocket without extensions")
	}
	return answer, nil
}

// upgraded takes the place of send and relay for a WebSocket. The connection cannot be used for anything else after it.
func (ex *exchange) upgraded() {
	ctx, cancel := context.WithCancel(ex.s.ctx)
	defer cancel()
	ex.cancel = cancel
	ex.silence = time.AfterFunc(ex.s.p.limits.Upstream, func() {
		ex.idle.Store(true)
		cancel()
	})
	defer ex.silence.Stop()
	answer, err := ex.dialSocket(ctx)
	if err != nil {
		ex.fail(err)
		return
	}
	ex.answer, ex.status = answer, answer.StatusCode
	if ex.status != http.StatusSwitchingProtocols {
		ex.h.closes = true
		if err := decodeAnswer(answer); err != nil {
			_ = answer.Body.Close()
			ex.fail(err)
			return
		}
		ex.relay()
		return
	}
	provider := answer.Body.(io.ReadWriteCloser)
	defer provider.Close()
	stop := context.AfterFunc(ctx, func() { // a revocation, or nothing for too long
		_ = provider.Close()
		_ = ex.l.conn.SetDeadline(time.Unix(1, 0))
	})
	defer stop()
	ex.started = true
	head := append([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"),
		"Sec-WebSocket-Accept: "+websocket.Accept(ex.h.get("sec-websocket-key"))+"\r\n"...)
	head = appendField(head, recordHeader, itoa(ex.decided.Seq))
	if err := ex.write(append(head, "\r\n"...)); err != nil {
		ex.result = ex.ending(err)
		return
	}
	_ = ex.l.conn.SetReadDeadline(time.Time{})
	ex.result = newSocket(ex, provider).run()
}

// newSocket returns the two sides of a connection that has been opened.
func newSocket(ex *exchange, provider io.ReadWriteCloser) *socket {
	limit := ex.s.p.limits.SocketBytes
	return &socket{
		ex:       ex,
		agent:    side{to: agentWriter{ex}, from: websocket.NewReader(ex.l.reader, true, limit)},
		provider: side{to: provider, client: true, from: websocket.NewReader(bufio.NewReader(provider), false, limit)},
		rule:     ex.call.Operation.WebSocket,
	}
}

// agentWriter writes to the agent, who must take what it gets in time.
type agentWriter struct{ ex *exchange }

// Write implements io.Writer.
func (w agentWriter) Write(b []byte) (int, error) {
	if err := w.ex.write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}
