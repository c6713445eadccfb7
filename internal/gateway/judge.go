package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Whatever was allowed is judged again when the snapshot that allowed it ends: connections that do nothing, tunnels,
// and calls under way. What may not go on is cut at once; what may does not notice.

// judged is what was decided, and is judged again when the grant changes.
type judged struct {
	call       policy.Call
	credential string
	slot       string
	key        [sha256.Size]byte
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
	if _, ok := p.watched[done]; ok {
		return
	}
	p.watched[done] = struct{}{}
	go func() {
		select {
		case <-done:
			p.judgeAll(done)
		case <-p.ended: // not closed: what is under way at a shutdown can be revoked like anything else
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
		p.known.Store(nil) // keys are forgotten: these copies too, and those in the state of idle connections
		p.upstream.closeIdle()
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
