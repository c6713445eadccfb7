package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"net"
	"net/netip"
	"sync"
	"time"
)

// session is one connection of the agent.
type session struct {
	p      *Proxy
	raw    net.Conn // as accepted: closing it ends everything at once
	peer   netip.Addr
	ctx    context.Context
	cancel context.CancelFunc

	// What follows is written by the session's own goroutine and read by whoever judges it again.
	mu        sync.Mutex
	cutRule   string
	cutReason string // why the session is over; empty while it is not
	host      string // of the tunnel, once there is one
	password  [sha256.Size]byte
	proven    bool // the password was right
	current   *judged
	busy      bool // a request is being served
}

// way is how a connection is served: what its first word is.
type way func(*session)

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// admit starts serving a connection, if there is room for it.
func (p *Proxy) admit(conn net.Conn, serve way) {
	peer := peerOf(conn)
	if !isAgent(p.cfg.Source.Current(), peer) {
		p.hold(conn, peer, serve)
		return
	}
	p.start(conn, peer, serve)
}

// hold keeps a connection of an unknown address for a while, without reading from it: the agent may be faster than
// the grant that names its address. Nobody else can keep many.
func (p *Proxy) hold(conn net.Conn, peer netip.Addr, serve way) {
	if p.held.Add(1) > int64(p.limits.Held) {
		p.held.Add(-1)
		_ = conn.Close()
		return
	}
	ok := p.spawn(func() {
		defer p.held.Add(-1)
		const look = 50 * time.Millisecond
		ticker := time.NewTicker(look)
		defer ticker.Stop()
		end := time.NewTimer(p.limits.Hold)
		defer end.Stop()
		for {
			select {
			case <-ticker.C:
				if isAgent(p.cfg.Source.Current(), peer) {
					p.start(conn, peer, serve)
					return
				}
			case <-end.C:
				_ = conn.Close()
				p.recordStranger(peer)
				return
			case <-p.closed:
				_ = conn.Close()
				return
			}
		}
	})
	if !ok {
		p.held.Add(-1)
		_ = conn.Close()
	}
}

// spawn runs f in a goroutine that Shutdown waits for, unless it is too late for that.
func (p *Proxy) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.running.Go(f)
	return true
}

func (p *Proxy) start(conn net.Conn, peer netip.Addr, serve way) {
	s := &session{p: p, raw: conn, peer: peer}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	p.mu.Lock()
	if p.closing || len(p.sessions) >= p.limits.Connections {
		p.mu.Unlock()
		s.cancel()
		_ = conn.Close()
		return
	}
	p.sessions[s] = struct{}{}
	p.running.Go(func() {
		defer p.forget(s)
		// The grant may have changed between the look at the address and now.
		if p.watch(s) {
			serve(s)
		}
	})
	p.mu.Unlock()
}

func (p *Proxy) forget(s *session) {
	s.cancel()
	_ = s.raw.Close()
	p.mu.Lock()
	delete(p.sessions, s)
	p.mu.Unlock()
}

// setBusy tells whether a request is being served. It returns false if the session is to end.
func (s *session) setBusy(busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
	select {
	case <-s.p.closed:
		return s.cutReason == "" && busy
	default:
		return s.cutReason == ""
	}
}

// cut ends the session at once, in both directions. What the kernel still holds is thrown away.
func (s *session) cut(rule, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutLocked(rule, reason)
}

func (s *session) cutIfIdle(rule, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy {
		s.cutLocked(rule, reason)
	}
}

func (s *session) cutLocked(rule, reason string) {
	if s.cutReason != "" {
		return
	}
	s.cutRule, s.cutReason = rule, reason
	s.cancel()
	if t, ok := s.raw.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = s.raw.Close()
}

// wasCut returns why the session was cut, or nothing.
func (s *session) wasCut() (rule, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutRule, s.cutReason
}

func peerOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
