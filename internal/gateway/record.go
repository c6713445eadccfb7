package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

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
	for _, text := range [...]*string{&r.Reason, &r.Connector, &r.Operation, &r.Actor, &r.Rule, &r.Credential} {
		*text = oneLine(hide(*text))
	}
	for i := range r.Resources {
		r.Resources[i] = oneLine(hide(r.Resources[i]))
	}
	if r.Upstream != nil {
		r.Upstream.Host, r.Upstream.Address = oneLine(hide(r.Upstream.Host)), oneLine(r.Upstream.Address)
	}
	r.Parameters = printable(r.Parameters)
}

// isUnprintable reports whether a terminal, or who reads lines, would obey a character rather than show it: controls, and
// what breaks lines or turns text around in Unicode.
func isUnprintable(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || unicode.Is(unicode.Bidi_Control, c)
}

// isPlain reports whether all of a text is printable ASCII, as most is: that is told quickly.
func isPlain[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// oneLine is a text without such characters.
func oneLine(s string) string {
	if isPlain(s) || strings.IndexFunc(s, isUnprintable) < 0 {
		return s
	}
	return strings.Map(func(c rune) rune {
		if isUnprintable(c) {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}

// printable is JSON in which such characters are spelled out: they can be in strings only.
func printable(doc json.RawMessage) json.RawMessage {
	if isPlain(doc) || bytes.IndexFunc(doc, isUnprintable) < 0 {
		return doc
	}
	var out []byte
	for _, c := range string(doc) {
		if isUnprintable(c) {
			out = fmt.Appendf(out, `\u%04x`, c)
		} else {
			out = utf8.AppendRune(out, c)
		}
	}
	return out
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
	r.Operation, r.Action, r.Kind = call.Operation.ID, string(call.Action), kindOf(call.Operation.Authority)
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
	if ex.taken > 0 {
		out += fmt.Sprintf("; %d things that the grant does not cover were taken out", ex.taken)
	}
	for _, f := range ex.findings {
		out += "; " + f
	}
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
		Tokens:      ex.tokens,
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
