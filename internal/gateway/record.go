package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// How much of what an agent sent is recorded.
const (
	maxParameters = 4 << 10
	maxTarget     = 512
)

// append makes a record durable. It does not depend on the agent's connection: a record of what is being cut must
// be kept all the same.
func (p *Proxy) append(r audit.Record) (audit.Record, error) {
	p.hideKeys(&r)
	kept, err := p.cfg.Log.Append(p.recording.context(p.limits.Record), r)
	if err != nil {
		p.cfg.Logger.Error("a record could not be kept", "phase", r.Phase, "error", err)
	}
	return kept, err
}

// hideKeys overwrites keys in what the agent's words can have come into. It may hold its own, where its credential
// delivers one, and may say it anywhere. Parameters are cut short, and so are seen to before.
func (p *Proxy) hideKeys(r *audit.Record) {
	hide := p.secretsOf(p.cfg.Source.Current()).scrubText
	r.Reason = hide(r.Reason)
	for i := range r.Resources {
		r.Resources[i] = hide(r.Resources[i])
	}
	if r.Upstream != nil {
		r.Upstream.Host = hide(r.Upstream.Host)
	}
}

// patiently makes contexts for records. Those of one moment share one: a timer for each record costs more than the
// rest of what is done for it here.
type patiently struct {
	mu      sync.Mutex
	current context.Context
	release context.CancelFunc // of current, which ends by itself
	renew   time.Time
}

// context returns one that ends after a time, or up to a tenth of it earlier.
func (p *patiently) context(limit time.Duration) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.current == nil || now.After(p.renew) {
		p.current, p.release = context.WithTimeout(context.Background(), limit)
		p.renew = now.Add(limit / 10)
	}
	return p.current
}

// appendDenial is append of what costs the agent nothing to cause: one that runs wild must not fill the disk on which
// everybody's records are. What is cut meanwhile is recorded at once.
func (s *session) appendDenial(r audit.Record) (audit.Record, error) {
	_ = s.p.denials.Wait(s.ctx)
	return s.p.append(r)
}

// decision begins the record of a decision with everything that is known by now.
func (ex *exchange) decision() audit.Record {
	snap := ex.snap
	if snap == nil {
		snap = ex.s.p.cfg.Source.Current()
	}
	r := ex.s.p.newRecord(snap, audit.PhaseDecision, ex.connector)
	if ex.host != "" {
		r.Upstream = &audit.Upstream{Host: ex.host}
	}
	if ex.body != nil {
		r.BytesOut = int64(ex.body.Len())
		sum := sha256.Sum256(ex.body.Bytes())
		r.BodySHA256 = hex.EncodeToString(sum[:])
	}
	hide := ex.s.p.secretsOf(snap).scrubText
	call := ex.call
	if call == nil || call.Operation == nil {
		r.Parameters = ex.asked(hide)
		return r
	}
	r.Operation, r.Action, r.Kind = call.Operation.ID, string(call.Operation.Action), kindOf(call.Operation.Authority)
	r.Parameters = call.Parameters(maxParameters, hide)
	for _, res := range call.Resources {
		r.Resources = append(r.Resources, res.Type+":"+res.Name)
	}
	return r
}

// asked says what was asked for where no operation was found. A query may hold anything, so it is left out.
func (ex *exchange) asked(hide func(string) string) json.RawMessage {
	if ex.h.method == "" {
		return nil
	}
	target, _, _ := strings.Cut(ex.h.target, "?")
	if ex.path != "" {
		target = ex.path // or there may be a key in it
	} else if scheme, rest, ok := strings.Cut(target, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		target = scheme + "://" + host
	}
	target = shownPath(target, hide)
	out, _ := json.Marshal(map[string]string{"method": ex.h.method, "target": target[:min(len(target), maxTarget)]})
	return out
}

func kindOf(a policy.Authority) audit.Kind {
	switch a {
	case policy.AuthorityModel:
		return audit.KindModel
	case policy.AuthorityChannel:
		return audit.KindMessage
	default:
		return audit.KindTool
	}
}

// ended says how the call ended, and what of the answer was not passed on.
func (ex *exchange) ended() string {
	out := ex.result
	if len(ex.removed) > 0 {
		out += "; the answer led to where the grant leads nobody, in " + strings.Join(slices.Sorted(slices.Values(ex.removed)), ", ")
	}
	return out
}

// outcome records what became of a call that was allowed.
func (ex *exchange) outcome() {
	d := ex.decided
	r := audit.Record{
		Claw: d.Claw, Grant: d.Grant, Phase: audit.PhaseOutcome, Direction: d.Direction, Kind: d.Kind,
		Connector: d.Connector, Operation: d.Operation, Action: d.Action, Resources: d.Resources,
		Decision: d.Decision, Rule: d.Rule, Credential: d.Credential,
		Reason:      ex.ended(),
		Upstream:    &audit.Upstream{Host: ex.host, Address: ex.address(), Status: ex.status},
		BytesIn:     ex.received,
		BytesOut:    d.BytesOut,
		LatencyMS:   ex.s.p.cfg.Clock.Since(ex.began).Milliseconds(),
		Correlation: strconv.FormatUint(d.Seq, 10),
	}
	if ex.received > 0 {
		r.BodySHA256 = hex.EncodeToString(ex.digest.Sum(nil))
	}
	// The agent has its answer: the next request need not wait for this. Only where a great many are
	// waiting does it.
	p := ex.s.p
	select {
	case p.outcomes <- struct{}{}:
		p.running.Go(func() {
			_, _ = p.append(r)
			<-p.outcomes
		})
	default:
		_, _ = p.append(r)
	}
}
