package gateway

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// link is a connection requests are read from and answers are written to: the agent's own, or the inside of its tunnel.
type link struct {
	conn   net.Conn
	reader *bufio.Reader
	peek   chan struct{} // closed once the peek that is under way has returned; nil without one
	later  *time.Timer   // begins the peek
}

func newLink(conn net.Conn) *link {
	r := readers.Get().(*bufio.Reader)
	r.Reset(conn)
	return &link{conn: conn, reader: r}
}

func (l *link) free() {
	l.await()
	l.reader.Reset(nil)
	readers.Put(l.reader)
}

// await waits for the peek that is under way: it reads from the same buffer.
func (l *link) await() {
	if l.peek != nil && !l.later.Stop() {
		<-l.peek
	}
	l.peek = nil
}

// patience is how long an answer may take before it matters whether the agent still waits for it.
const patience = 5 * time.Millisecond

// listen watches, while an answer is made, whether the agent is still there, and calls gone if not. What the agent sends
// in the meantime stays in the buffer.
func (l *link) listen(gone func()) {
	_ = l.conn.SetReadDeadline(time.Time{})
	done := make(chan struct{})
	l.peek = done
	l.later = time.AfterFunc(patience, func() {
		defer close(done)
		if _, err := l.reader.Peek(1); err != nil {
			gone()
		}
	})
}

// next reads the head of the next request.
func (l *link) next(h *head, limits *Limits) error {
	_ = l.conn.SetReadDeadline(time.Now().Add(limits.Idle))
	l.await()
	if _, err := l.reader.Peek(1); err != nil {
		return err
	}
	_ = l.conn.SetReadDeadline(time.Now().Add(limits.Head))
	return readHead(l.reader, h)
}

// serve reads requests until the connection ends.
func (s *session) serve() {
	l := newLink(s.raw)
	defer l.free()
	defer s.raw.Close() // before free, which waits for the reader
	var h head
	for {
		err := l.next(&h, &s.p.limits)
		if !s.setBusy(true) {
			return
		}
		if err != nil {
			s.refuseHead(l, err, nil)
			return
		}
		if h.method == http.MethodConnect {
			s.connect(l, &h)
			return
		}
		ex := &exchange{s: s, l: l, h: &h, shape: connector.DenialProblem}
		if !ex.serve(ex.absolute) || !s.setBusy(false) {
			return
		}
	}
}

// refuseHead answers a head that could not be read. Connections that just end are no news.
func (s *session) refuseHead(l *link, err error, conn *connector.Connector) {
	var d *Denial
	if !errors.As(err, &d) {
		return
	}
	ex := &exchange{s: s, l: l, h: &head{}, shape: shapeOf(conn), connector: conn}
	ex.refuse(d)
}

// shapeOf is how a refusal is written; in no service's way where it is not known which it is.
func shapeOf(conn *connector.Connector) connector.DenialShape {
	if conn == nil {
		return connector.DenialProblem
	}
	return conn.Denial
}

// connect opens a tunnel, in which the gateway itself is the other end.
func (s *session) connect(l *link, h *head) {
	ex := &exchange{s: s, l: l, h: h, shape: connector.DenialProblem}
	host, err := s.authority(h)
	if err == nil {
		ex.host = host
		ex.connector, err = s.allowTunnel(host)
	}
	if err == nil && (h.length != 0 || h.expects) {
		err = malformed(http.StatusBadRequest, "a request for a tunnel has no body")
	}
	if err != nil {
		ex.refuse(closing(asDenial(err)))
		return
	}
	snap := s.p.cfg.Source.Current()
	config, err := s.p.leaves.config(snap, ex.host)
	if err != nil {
		s.p.cfg.Logger.Error("opening a tunnel", "host", ex.host, "error", err)
		ex.refuse(&Denial{Status: http.StatusServiceUnavailable, Code: codeUnavailable, Rule: "tls", Reason: "the gateway has no certificate for this host yet", Close: true})
		return
	}
	_ = s.raw.SetWriteDeadline(time.Now().Add(s.p.limits.Write))
	if _, err := s.raw.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return
	}
	s.tunnel(l, ex.host, ex.connector, config)
}

// allowTunnel sets where the tunnel leads, once the grant has a connector there, and returns the first of them.
func (s *session) allowTunnel(host string) (*connector.Connector, error) {
	s.mu.Lock()
	s.host = host
	s.mu.Unlock()
	// Set first and judged then: whatever changes in between judges it again.
	snap := s.p.cfg.Source.Current()
	s.p.rely(snap)
	if !snap.Active() {
		return nil, denied("grant", inactive(snap))
	}
	all := s.p.catalogue(snap).At(host)
	if len(all) == 0 {
		return nil, denied("default", "this is not a host of any connector; addresses are none")
	}
	granted := s.p.granted(snap, host)
	if len(granted) == 0 {
		return all[0].Connector, denied("default", "no entry of the grant has this connector")
	}
	return granted[0].Connector, nil
}

// authority is the host a tunnel is to lead to.
func (s *session) authority(h *head) (string, error) {
	if err := s.authenticate(h); err != nil {
		return "", err
	}
	host, port, ok := strings.Cut(h.target, ":")
	if !ok || port != "443" {
		return "", denied("default", "tunnels lead to port 443 of a connector's host and nowhere else")
	}
	if h.host != host && h.host != h.target {
		return "", denied("default", "the Host header is not the host of the tunnel")
	}
	return host, nil
}

// authenticate checks the proxy password. What is wrong with it is not told.
func (s *session) authenticate(h *head) error {
	snap := s.p.cfg.Source.Current()
	wrong := &Denial{Status: http.StatusProxyAuthRequired, Code: codePassword, Rule: "password", Reason: "the proxy password is missing or wrong", Close: true}
	scheme, encoded, _ := strings.Cut(h.get("proxy-authorization"), " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if !strings.EqualFold(scheme, "basic") || err != nil {
		return wrong
	}
	user, password, _ := strings.Cut(string(raw), ":")
	sum := sha256.Sum256([]byte(password))
	if user != proxyUser || !samePassword(snap, sum) {
		return wrong
	}
	s.mu.Lock()
	s.password, s.proven = sum, true
	s.mu.Unlock()
	return nil
}

const proxyUser = "claw"

// tunnel ends TLS and serves what comes out of it. Which of the host's connectors a request is for, its path says: conn
// is for refusals of what has none.
func (s *session) tunnel(outer *link, host string, conn *connector.Connector, config *tls.Config) {
	inner := tls.Server(&buffered{Conn: s.raw, reader: outer.reader}, config)
	_ = s.raw.SetDeadline(time.Now().Add(s.p.limits.Head))
	err := inner.HandshakeContext(s.ctx)
	if err == nil && asciiLower(inner.ConnectionState().ServerName) != host {
		err = errServerName // a resumed session asks nobody for a certificate
	}
	if err != nil {
		s.recordHandshake(host, conn, err)
		return
	}
	s.inside(inner, host, conn)
}

// inside serves what comes out of TLS.
func (s *session) inside(inner *tls.Conn, host string, conn *connector.Connector) {
	_ = s.raw.SetDeadline(time.Time{})
	l := newLink(inner)
	defer l.free()
	defer s.raw.Close()
	var h head
	for {
		if !s.setBusy(false) {
			return
		}
		err := l.next(&h, &s.p.limits)
		if !s.setBusy(true) {
			return
		}
		if err != nil {
			s.refuseHead(l, err, conn)
			return
		}
		ex := &exchange{s: s, l: l, h: &h, host: host, connector: conn, shape: conn.Denial}
		if !ex.serve(ex.origin) {
			return
		}
	}
}

// recordHandshake records a handshake that asked for another host. One that merely failed is for the log.
func (s *session) recordHandshake(host string, conn *connector.Connector, err error) {
	if !errors.Is(err, errServerName) {
		s.p.cfg.Logger.Info("a TLS handshake failed", "host", host, "error", err)
		return
	}
	snap := s.p.cfg.Source.Current()
	r := s.p.newRecord(snap, audit.PhaseDecision, conn)
	r.Decision, r.Rule, r.Reason, r.Upstream = audit.Denied, "tls", errServerName.Error(), &audit.Upstream{Host: host}
	_, _ = s.appendDenial(r) // nothing follows from it
}

// recordStranger records a connection of an address that no grant named in time.
func (p *Proxy) recordStranger(peer fmt.Stringer) {
	snap := p.cfg.Source.Current()
	if !snap.Active() {
		return // nobody is known then
	}
	r := p.newRecord(snap, audit.PhaseDecision, nil)
	r.Decision, r.Rule, r.Reason, r.Actor = audit.Denied, "address", "the connection came from an address that is not the agent's", peer.String()
	_, _ = p.append(r) // nothing follows from it
}

// buffered reads first what was read too early.
type buffered struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) {
	if b.reader.Buffered() > 0 {
		return b.reader.Read(p)
	}
	return b.Conn.Read(p)
}

// newRecord begins a record of something outbound.
func (p *Proxy) newRecord(snap *state.Snapshot, phase audit.Phase, conn *connector.Connector) audit.Record {
	r := audit.Record{Claw: snap.Claw, Phase: phase, Direction: audit.Outbound, Kind: audit.KindTool}
	if snap.Grant != nil {
		r.Grant = snap.Grant.Hash
	}
	if conn != nil {
		r.Connector = conn.Name
	}
	return r
}
