package gateway

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/dns"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// Names are the names an agent finds something under: the hosts of its grant's connectors, all of which lead to the
// gateway. They are a zone of package dns.
type Names struct{ p *Proxy }

// Names returns the names the proxy's agent may know.
func (p *Proxy) Names() Names { return Names{p} }

// Serves implements dns.Zone.
func (n Names) Serves(peer netip.Addr) bool { return isAgent(n.p.cfg.Source.Current(), peer) }

// Ask implements dns.Zone. Nothing is resolved while the grant allows nothing.
func (n Names) Ask(name string) dns.Verdict {
	p := n.p
	snap := p.cfg.Source.Current()
	if !snap.Active() {
		p.noteLookup(name, ruleGrant, inactive(snap))
		return dns.Closed
	}
	if rule := p.closedNow(snap); rule != "" {
		p.noteLookup(name, rule, closings[rule]+": no name is resolved")
		return dns.Closed
	}
	switch {
	case len(p.granted(snap, name)) > 0:
		return dns.Present
	case p.searched(snap, name):
		return dns.Absent
	}
	p.noteLookup(name, "default", "the name is of no connector of the grant, and leads nowhere")
	return dns.Absent
}

// clusterDomain is what clusters are called where nobody chose otherwise.
const clusterDomain = "cluster.local"

// searched reports whether a name is a granted one within a domain that software of Kubernetes tries by habit. That is
// nobody's attempt at anything, and not worth a record.
func (p *Proxy) searched(snap *state.Snapshot, name string) bool {
	for _, domain := range []string{snap.Claw.Namespace + ".svc." + clusterDomain, "svc." + clusterDomain, clusterDomain} {
		if host, ok := strings.CutSuffix(name, "."+domain); ok && len(p.granted(snap, host)) > 0 {
			return true
		}
	}
	return false
}

// A question costs an agent nothing, and its name may be made of anything: one that asks and asks must not fill the
// disk on which everybody's records are. The answer does not wait for the record, since nothing follows from either;
// what is refused is gathered, and recorded once in a while, with a few of the names and the number of all.
const (
	lookupsEvery = rate.Limit(1) // records in a second, after the first lookupsBurst
	lookupsBurst = 20
	maxLookups   = 16 // names in a record

	kindOfLookups = audit.KindControl
)

// lookups are questions that were refused and are not recorded yet.
type lookups struct {
	every *rate.Limiter

	mu      sync.Mutex
	waiting map[string]*lookedUp // by rule; nil while nothing is to be recorded
}

// lookedUp are those that one rule refused.
type lookedUp struct {
	reason    string
	names     []string // in the order they were asked for, once each
	questions int      // all of them
	others    int      // those that were for names there is no room for
}

// noteLookup has a question recorded that was refused.
func (p *Proxy) noteLookup(name, rule, reason string) {
	l := &p.lookups
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = map[string]*lookedUp{}
		if !p.spawn(p.recordLookups) {
			return // it is over
		}
	}
	found := l.waiting[rule]
	if found == nil {
		found = &lookedUp{reason: reason}
		l.waiting[rule] = found
	}
	found.questions++
	switch name = presentable(name); {
	case slices.Contains(found.names, name):
	case len(found.names) < maxLookups:
		found.names = append(found.names, name)
	default:
		found.others++
	}
}

// recordLookups records what is refused for as long as something is. Once the proxy is to end it does so a last time.
func (p *Proxy) recordLookups() {
	l := &p.lookups
	for over := false; !over; {
		over = !p.awaitTurn(l.every.Reserve().Delay())
		l.mu.Lock()
		found := l.waiting
		if len(found) == 0 && !over {
			l.waiting = nil
			l.mu.Unlock()
			return
		}
		l.waiting = map[string]*lookedUp{}
		l.mu.Unlock()
		for rule, f := range found {
			p.recordLookup(rule, f)
		}
	}
}

// awaitTurn waits. It reports false at once when the proxy is to end.
func (p *Proxy) awaitTurn(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closed:
		return false
	}
}

func (p *Proxy) recordLookup(rule string, f *lookedUp) {
	r := p.newRecord(p.cfg.Source.Current(), audit.PhaseDecision, nil)
	r.Kind, r.Operation = kindOfLookups, "resolve"
	r.Decision, r.Rule, r.Reason = audit.Denied, rule, f.reason
	for _, name := range f.names {
		r.Resources = append(r.Resources, "name:"+name)
	}
	r.Parameters, _ = json.Marshal(map[string]int{"questions": f.questions, "others": f.others})
	_, _ = p.append(r) // nothing follows from it
}
