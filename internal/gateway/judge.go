package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
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
	definition string // of the connector, where it is the organization's own
}

// watch makes sure that s is judged again when the current snapshot ends, and judges it under that one.
func (p *Proxy) watch(s *session) bool {
	snap := p.cfg.Source.Current()
	p.rely(snap)
	if rule, reason := s.judge(snap); reason != "" {
		s.cut(rule, reason)
		return false
	}
	return true
}

// rely starts one watcher for each snapshot that somebody relies on.
func (p *Proxy) rely(snap *state.Snapshot) {
	if snap.Done == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.watched[snap.Done]; ok {
		return
	}
	if p.watched == nil {
		p.watched = map[<-chan struct{}]struct{}{}
		p.shut = p.closedNow(snap) != ""
	}
	p.watched[snap.Done] = struct{}{}
	go p.follow(snap)
}

// follow judges everything again when a snapshot ends, and until then as time goes on.
func (p *Proxy) follow(snap *state.Snapshot) {
	var tick <-chan time.Time
	if isTimed(snap.Grant) {
		ticker := time.NewTicker(judgeEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for over := false; !over; {
		select {
		case <-tick:
			p.judgeByTime()
		case <-snap.Done:
			p.judgeAll(snap.Done)
			over = true
		case <-p.ended: // not closed: what is under way at a shutdown can be revoked like anything else
			over = true
		}
	}
	p.mu.Lock()
	delete(p.watched, snap.Done)
	p.mu.Unlock()
}

// judgeAll judges every session under the snapshot that took another's place.
func (p *Proxy) judgeAll(ended <-chan struct{}) {
	next := p.cfg.Source.Current()
	if next.Done == ended {
		// A snapshot that is over is still the current one: nothing can be relied on.
		next = &state.Snapshot{Reason: "what the gateway enforces is being replaced"}
	}
	p.rely(next)
	p.judgeSessions(next)
	if !next.Active() {
		p.known.Store(nil) // keys are forgotten: these copies too, and those in the state of idle connections
		p.upstream.closeIdle()
	}
}

// judgeSessions cuts every session that may not go on.
func (p *Proxy) judgeSessions(snap *state.Snapshot) {
	rule := p.justClosed(snap)
	p.mu.Lock()
	sessions := make([]*session, 0, len(p.sessions))
	for s := range p.sessions {
		sessions = append(sessions, s)
	}
	p.mu.Unlock()
	for _, s := range sessions {
		if rule != "" {
			s.cut(rule, closings[rule])
		} else if rule, reason := s.judge(snap); reason != "" {
			s.cut(rule, reason)
		}
	}
	if rule != "" {
		p.recordClosing(snap, rule, len(sessions))
	}
}

// judge returns why the session may not go on under a snapshot, at this time, or nothing.
func (s *session) judge(snap *state.Snapshot) (rule, reason string) {
	switch {
	case !snap.Active():
		return ruleGrant, inactive(snap)
	case !isAgent(snap, s.peer):
		return ruleGrant, "the address is no longer the agent's"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proven && !samePassword(snap, s.password) {
		return ruleGrant, "the proxy password has changed"
	}
	if s.host != "" && len(s.p.granted(snap, s.host)) == 0 {
		return ruleGrant, "the grant no longer has a connector of this host"
	}
	if s.current == nil {
		return "", ""
	}
	call := s.current.call
	call.At = s.p.cfg.Clock.Now()
	v := policy.DecideCall(snap.Grant, call)
	switch {
	case !v.Allowed:
		return ruleOfCut(v), "no longer allowed: " + v.Reason
	case definition(snap, call.Connector) != s.current.definition:
		return ruleGrant, "the connector's definition has changed"
	case v.Credential != s.current.credential || fingerprint(snap, v.Credential, s.current.slot) != s.current.key:
		return ruleGrant, "the credential has changed or was revoked"
	}
	return "", ""
}

// ruleGrant is the rule of what the grant as a whole, not an entry of it, denies or ends.
const ruleGrant = "grant"

// ruleOfCut is the rule of a cut: the time, or the grant that has changed.
func ruleOfCut(v policy.Verdict) string {
	if v.Rule == policy.RuleSchedule || v.Rule == policy.RuleExpiry {
		return v.Rule
	}
	return ruleGrant
}

// enter sets what is being done, and judges it if the snapshot that allowed it is over already.
func (s *session) enter(j *judged, snap *state.Snapshot) (rule, reason string) {
	s.mu.Lock()
	s.current = j
	s.mu.Unlock()
	s.p.rely(snap)
	if snap.Done == nil {
		return "", ""
	}
	select {
	case <-snap.Done:
		next := s.p.cfg.Source.Current()
		if next == snap {
			return ruleGrant, "what the gateway enforces is being replaced"
		}
		s.p.rely(next)
		return s.judge(next)
	default:
		return "", ""
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

// granted returns the connectors of a host that the grant has.
func (p *Proxy) granted(snap *state.Snapshot, host string) []connector.Site {
	return slices.DeleteFunc(slices.Clone(p.catalogue(snap).At(host)), func(s connector.Site) bool {
		return !grants(snap.Grant, s.Connector.Name)
	})
}

// catalogue returns what services there are under a snapshot.
func (p *Proxy) catalogue(snap *state.Snapshot) *connector.Catalogue {
	if snap.Catalogue != nil {
		return snap.Catalogue
	}
	return p.cfg.Catalogue
}

// grants reports whether any entry of a grant has the connector.
func grants(grant *v1alpha1.ClawGrantSpec, name string) bool {
	return slices.ContainsFunc(grant.Channels, func(c v1alpha1.ChannelRequest) bool { return string(c.Connector) == name }) ||
		slices.ContainsFunc(grant.Tools, func(t v1alpha1.ToolRequest) bool { return string(t.Connector) == name }) ||
		slices.ContainsFunc(grant.Models, func(m v1alpha1.ModelRequest) bool { return string(m.Connector) == name })
}

// definition is that of a connector that is the organization's own, and empty for any other.
func definition(snap *state.Snapshot, connector string) string {
	for i := range snap.Grant.Connectors {
		if c := &snap.Grant.Connectors[i]; string(c.Name) == connector {
			return c.Definition
		}
	}
	return ""
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
