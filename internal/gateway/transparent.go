package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
)

// A client that knows of no proxy is led here by name: the agent's only resolver gives the gateway's address for the
// hosts of the grant, see Names. The server name of its TLS is then what a tunnel's host is, and the same follows.
// There is no password on this way: the address the connection comes from is what tells the agent.

// ServeTLS accepts connections that begin with TLS, as those to port 443 do, until the listener or the proxy is closed.
func (p *Proxy) ServeTLS(l net.Listener) error { return p.accept(l, (*session).serveTLS) }

// ServePlain accepts connections that are not encrypted, as those to port 80 are, and refuses what is asked.
func (p *Proxy) ServePlain(l net.Listener) error { return p.accept(l, (*session).servePlain) }

// maxHello is the size a ClientHello may have, in bytes. Those of today have up to two thousand.
const maxHello = 16 << 10

var errHelloSize = errors.New("the first message of TLS is too long")

// arrival is a connection of which it is not known yet where it is to lead.
type arrival struct {
	net.Conn
	session *session
	room    int // bytes that may come until it is known
	began   bool

	host      string
	connector *connector.Connector
	denial    *Denial
}

// Read implements net.Conn.
func (a *arrival) Read(b []byte) (int, error) {
	if a.room <= 0 {
		return 0, errHelloSize
	}
	n, err := a.Conn.Read(b[:min(len(b), a.room)])
	a.began = a.began || n > 0
	if a.host == "" {
		a.room -= n
	}
	return n, err
}

// serveTLS finds out by the server name where a connection is to lead, and serves it if the grant has a connector there.
func (s *session) serveTLS() {
	defer s.raw.Close()
	a := &arrival{Conn: s.raw, session: s, room: maxHello}
	inner := tls.Server(a, s.p.steering)
	_ = s.raw.SetDeadline(time.Now().Add(s.p.limits.Head))
	if err := inner.HandshakeContext(s.ctx); err != nil {
		_ = s.raw.Close()
		s.recordArrival(a, err)
		return
	}
	s.inside(inner, a.host, a.connector)
}

// steer answers a ClientHello: with the certificate of a granted host, or not at all. It is asked for resumed sessions
// too. What is encrypted in a hello (ECH) is not for us to read: its outer name is judged like any other, and where
// that is a granted host the connection leads there and nowhere else.
func steer(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	a, ok := hello.Conn.(*arrival)
	if !ok {
		return nil, errors.New("a connection of another kind")
	}
	host := asciiLower(hello.ServerName)
	if host == "" {
		a.denial = denied("tls", "TLS without a server name leads nowhere")
		return nil, a.denial
	}
	a.host, a.room = host, math.MaxInt
	conn, err := a.session.allowTunnel(host)
	if a.connector = conn; err != nil {
		a.denial = asDenial(err)
		return nil, err
	}
	p := a.session.p
	return p.leaves.config(p.cfg.Source.Current(), host)
}

// recordArrival records why a connection led nowhere. That one just ends is no news.
func (s *session) recordArrival(a *arrival, err error) {
	rule, reason := s.wasCut()
	switch {
	case reason != "":
		return // there was nothing under way
	case a.denial != nil:
		rule, reason = a.denial.Rule, a.denial.Reason
	case a.host != "":
		s.p.cfg.Logger.Info("a TLS handshake failed", "host", a.host, "error", err)
		return
	case !a.began && errors.Is(err, io.EOF):
		return
	case errors.Is(err, errHelloSize):
		rule, reason = "tls", errHelloSize.Error()
	default:
		rule, reason = "tls", whyNoHello(err)
	}
	snap := s.p.cfg.Source.Current()
	r := s.p.newRecord(snap, audit.PhaseDecision, a.connector)
	r.Decision, r.Rule, r.Reason = audit.Denied, rule, reason
	if a.host != "" {
		r.Upstream = &audit.Upstream{Host: presentable(a.host)}
	}
	_, _ = s.appendDenial(r) // nothing follows from it
}

// whyNoHello says what was wrong with what came instead of a ClientHello.
func whyNoHello(err error) string {
	var header tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &header):
		return "the connection did not begin with TLS"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "TLS did not begin in time"
	default:
		return "the first message of TLS cannot be understood"
	}
}

// servePlain refuses one request, in words.
func (s *session) servePlain() {
	l := newLink(s.raw)
	defer l.free()
	defer s.raw.Close() // before free, which waits for the reader
	var h head
	err := l.next(&h, &s.p.limits)
	if !s.setBusy(true) {
		return
	}
	if err != nil {
		s.refuseHead(l, err, nil)
		return
	}
	ex := &exchange{s: s, l: l, h: &h, shape: connector.DenialProblem, unread: h.length != 0}
	ex.host = presentable(strings.TrimSuffix(h.host, ":80"))
	// Whoever asks a service that it may ask is told in that service's way.
	if granted := s.p.granted(s.p.cfg.Source.Current(), ex.host); len(granted) > 0 {
		ex.connector, ex.shape = granted[0].Connector, granted[0].Connector.Denial
	}
	ex.refuse(closing(denied("default", "nothing travels unencrypted: ask for the same with https")))
}

// maxName is the length of a name of DNS: RFC 1035, section 2.3.4.
const maxName = 253

// presentable is a name as it is recorded: what is no part of a host's name is spelled in numbers, as RFC 1035 does,
// and what no name has room for is left out.
func presentable(name string) string {
	var b strings.Builder
	for i := range min(len(name), maxName) {
		switch c := name[i]; {
		case c == '.' || c == '-' || c == '_' || c == ':' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "\\%03d", c)
		}
	}
	return b.String()
}

// asciiLower is a host's name in lower case. Only the letters of ASCII have one there: what merely looks alike stays as it is.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
