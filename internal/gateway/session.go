package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/policy"
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
	cutReason string
	connector string // of the tunnel, once there is one
	password  [sha256.Size]byte
	proven    bool // the password was right
	current   *judged
	busy      bool // a request is being served
}

// judged is what was decided, and is judged again when the grant changes.
type judged struct {
	call       policy.Call
	credential string
	slot       string
	key        [sha256.Size]byte
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// admit starts serving a connection, if there is room for it.
func (p *Proxy) admit(conn net.Conn) {
	peer := peerOf(conn)
	if !isAgent(p.cfg.Source.Current(), peer) {
		p.hold(conn, peer)
		return
	}
	p.start(conn, peer)
}

// hold keeps a connection of an unknown address for a while, without reading from it: the agent may be faster than
// the grant that names its address. Nobody else can keep many.
func (p *Proxy) hold(conn net.Conn, peer netip.Addr) {
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
					p.start(conn, peer)
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

func (p *Proxy) start(conn net.Conn, peer netip.Addr) {
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
			s.serve()
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

// watch makes sure that s is judged again when the current snapshot ends, and judges it under that one.
func (p *Proxy) watch(s *session) bool {
	snap := p.cfg.Source.Current()
	p.watchDone(snap.Done)
	if reason := s.judge(snap); reason != "" {
		s.cut(reason)
		return false
	}
	return true
}

// watchDone starts one watcher for each snapshot that somebody relies on.
func (p *Proxy) watchDone(done <-chan struct{}) {
	if done == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.watched[done]; ok || p.closing {
		return
	}
	p.watched[done] = struct{}{}
	go func() {
		select {
		case <-done:
			p.judgeAll(done)
		case <-p.closed:
		}
		p.mu.Lock()
		delete(p.watched, done)
		p.mu.Unlock()
	}()
}

// judgeAll judges every session under the snapshot that took another's place.
func (p *Proxy) judgeAll(ended <-chan struct{}) {
	next := p.cfg.Source.Current()
	if next.Done == ended {
		// A snapshot that is over is still the current one: nothing can be relied on.
		next = &state.Snapshot{Reason: "what the gateway enforces is being replaced"}
	}
	p.watchDone(next.Done)
	p.mu.Lock()
	sessions := make([]*session, 0, len(p.sessions))
	for s := range p.sessions {
		sessions = append(sessions, s)
	}
	p.mu.Unlock()
	for _, s := range sessions {
		if reason := s.judge(next); reason != "" {
			s.cut(reason)
		}
	}
	if !next.Active() {
		p.known.Store(nil) // keys are forgotten, these copies too
	}
}

// judge returns why the session may not go on under a snapshot, or nothing.
func (s *session) judge(snap *state.Snapshot) string {
	switch {
	case !snap.Active():
		return inactive(snap)
	case !isAgent(snap, s.peer):
		return "the address is no longer the agent's"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proven && !samePassword(snap, s.password) {
		return "the proxy password has changed"
	}
	if s.connector != "" && !grants(snap.Grant, s.connector) {
		return "the grant no longer has this connector"
	}
	if s.current == nil {
		return ""
	}
	v := policy.DecideCall(snap.Grant, s.current.call)
	switch {
	case !v.Allowed:
		return "no longer allowed: " + v.Reason
	case v.Credential != s.current.credential || fingerprint(snap, v.Credential, s.current.slot) != s.current.key:
		return "the credential has changed or was revoked"
	}
	return ""
}

// enter sets what is being done, and judges it if the snapshot that allowed it is over already.
func (s *session) enter(j *judged, snap *state.Snapshot) string {
	s.mu.Lock()
	s.current = j
	s.mu.Unlock()
	s.p.watchDone(snap.Done)
	if snap.Done == nil {
		return ""
	}
	select {
	case <-snap.Done:
		next := s.p.cfg.Source.Current()
		if next == snap {
			return "what the gateway enforces is being replaced"
		}
		s.p.watchDone(next.Done)
		return s.judge(next)
	default:
		return ""
	}
}

func (s *session) leave() {
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
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
func (s *session) cut(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutLocked(reason)
}

func (s *session) cutIfIdle(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy {
		s.cutLocked(reason)
	}
}

func (s *session) cutLocked(reason string) {
	if s.cutReason != "" {
		return
	}
	s.cutReason = reason
	s.cancel()
	if t, ok := s.raw.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = s.raw.Close()
}

// wasCut returns why the session was cut, or nothing.
func (s *session) wasCut() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutReason
}

func peerOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// isAgent reports whether an address is the agent's. It says nothing about what the agent may.
func isAgent(snap *state.Snapshot, peer netip.Addr) bool {
	if snap.Grant == nil || !peer.IsValid() {
		return false
	}
	return slices.ContainsFunc(snap.Grant.AgentIPs, func(ip string) bool {
		a, err := netip.ParseAddr(ip)
		return err == nil && a.Unmap() == peer
	})
}

func inactive(snap *state.Snapshot) string {
	if snap.Reason != "" {
		return snap.Reason
	}
	return "the grant is not active"
}

// grants reports whether any entry of a grant has the connector.
func grants(grant *v1alpha1.ClawGrantSpec, name string) bool {
	return slices.ContainsFunc(grant.Channels, func(c v1alpha1.ChannelRequest) bool { return string(c.Connector) == name }) ||
		slices.ContainsFunc(grant.Tools, func(t v1alpha1.ToolRequest) bool { return string(t.Connector) == name }) ||
		slices.ContainsFunc(grant.Models, func(m v1alpha1.ModelRequest) bool { return string(m.Connector) == name })
}

// fingerprint identifies a key without keeping it; zero if there is none.
func fingerprint(snap *state.Snapshot, credential, slot string) (sum [sha256.Size]byte) {
	key, ok := snap.Keys[credential][slot]
	if !ok || key.Empty() {
		return sum
	}
	return sha256.Sum256(key.Reveal())
}

func samePassword(snap *state.Snapshot, sum [sha256.Size]byte) bool {
	if snap.ProxyPassword.Empty() {
		return false
	}
	now := sha256.Sum256(snap.ProxyPassword.Reveal())
	return subtle.ConstantTimeCompare(now[:], sum[:]) == 1
}
