package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
)

// What a Claw said itself is in the history it reads, and its author is in nobody's audience: it is told by whose key
// it is. The gateway asks the service once for each key, and records that like any call.

// selves keeps who the keys of this Claw belong to.
type selves struct {
	mu    sync.Mutex
	known map[selfKey]map[string]bool
}

type selfKey struct {
	connector  string
	definition string // of an organization's own connector
	key        [sha256.Size]byte
}

const (
	maxSelves    = 64
	selfPatience = 20 * time.Second
	maxSelf      = 256 << 10
)

// findSelf finds out whose key the call is made with, where its answer is filtered by author. Where that cannot be told
// the call is not made: half a conversation would be taken for a whole one.
func (ex *exchange) findSelf() error {
	self := ex.connector.Self
	if self == nil || !byAuthor(ex.call.Operation) {
		return nil
	}
	s := &ex.s.p.selves
	s.mu.Lock() // whoever else asks meanwhile waits for the answer
	defer s.mu.Unlock()
	slot, _ := ex.connector.AuthAt(ex.site)
	key := selfKey{ex.connector.Name, definition(ex.snap, ex.connector.Name), fingerprint(ex.snap, ex.verdict.Credential, slot)}
	if ids, ok := s.known[key]; ok {
		ex.own = ids
		return nil
	}
	found, err := ex.askSelf(self)
	var d *Denial
	if errors.As(err, &d) {
		return d
	}
	if err != nil {
		return &Denial{
			Status: http.StatusBadGateway, Code: codeUpstream, Rule: "self",
			Reason: "the service could not be asked whose key it is, without which nobody knows what in its answer is the Claw's own",
		}
	}
	ex.own = map[string]bool{}
	for _, id := range found {
		ex.own[id] = true
	}
	if s.known == nil || len(s.known) >= maxSelves {
		s.known = map[selfKey]map[string]bool{}
	}
	s.known[key] = ex.own
	return nil
}

func byAuthor(op *connector.Operation) bool {
	if op.Response == nil {
		return false
	}
	for _, f := range op.Response.Filters {
		if f.Author != nil {
			return true
		}
	}
	return false
}

// askSelf makes the call, of which the decision and the outcome are recorded.
func (ex *exchange) askSelf(self *connector.Self) (ids []string, err error) {
	ask, err := ex.selfCall(self)
	if err != nil {
		return nil, err
	}
	r := ex.s.p.newRecord(ex.snap, audit.PhaseDecision, ex.connector)
	r.Direction, r.Kind, r.Operation, r.Action = audit.Internal, audit.KindControl, ask.call.Operation.ID, string(ask.call.Action)
	r.Decision, r.Rule, r.Reason = audit.Allowed, "self", "the gateway asks whose key it is"
	r.Credential, r.Upstream = ex.verdict.Credential, &audit.Upstream{Host: ex.host}
	kept, err := ex.s.p.append(r)
	if err != nil {
		return nil, unrecorded()
	}
	began := ex.s.p.cfg.Clock.Now()
	ids, err = ask.readSelf()
	r.Phase, r.Correlation, r.LatencyMS = audit.PhaseOutcome, strconv.FormatUint(kept.Seq, 10), ex.s.p.cfg.Clock.Since(began).Milliseconds()
	r.Upstream = &audit.Upstream{Host: ex.host, Address: ask.address(), Status: ask.status}
	if r.Reason = "completed"; err != nil {
		r.Reason = "the answer does not say whose key it is"
	}
	if _, failed := ex.s.p.append(r); failed != nil {
		return nil, unrecorded()
	}
	return ids, err
}

// selfCall is the call that asks, with the key of this one.
func (ex *exchange) selfCall(self *connector.Self) (*exchange, error) {
	op := ex.connector.Operation(self.Operation)
	if op == nil || len(op.Methods) == 0 {
		return nil, errors.New("there is no such operation")
	}
	method := op.Methods[0]
	call, err := ex.connector.Match(connector.Request{Method: method, Host: ex.site, Path: ex.site.Base + op.Path})
	if err != nil {
		return nil, err
	}
	return &exchange{
		s: ex.s, h: &head{method: method}, host: ex.host, connector: ex.connector, site: ex.site, snap: ex.snap,
		verdict: ex.verdict, key: ex.key, call: call,
	}, nil
}

// readSelf sends it, and reads from the answer whose key it is.
func (ex *exchange) readSelf() ([]string, error) {
	ctx, cancel := context.WithTimeout(ex.s.ctx, selfPatience)
	defer cancel()
	_, auth := ex.connector.AuthAt(ex.site)
	request := ex.request(ctx, ex.header(auth), auth)
	if ex.call.Method != http.MethodGet {
		request.Body = http.NoBody
	}
	answer, err := ex.s.p.upstream.pool(ex.snap.UpstreamRoots).RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if ex.status = answer.StatusCode; ex.status != http.StatusOK {
		return nil, errors.New("the service refuses")
	}
	if err := decodeAnswer(answer); err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxSelf+1))
	if err != nil {
		return nil, err
	}
	if len(doc) > maxSelf {
		return nil, errAnswerSize
	}
	ids, err := ex.connector.SelfIDs(doc)
	if err == nil && len(ids) == 0 {
		err = errors.New("no id")
	}
	return ids, err
}
