package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// exchange is one request and its answer. Each step adds to it what it found out.
type exchange struct {
	s     *session
	l     *link
	h     *head
	began time.Time
	shape connector.DenialShape

	host      string               // from the tunnel, or from an absolute target
	connector *connector.Connector // of the host and the path
	site      *connector.Host      // where of the connector
	path      string
	query     string

	body     *bytes.Buffer // decoded, whole
	unread   bool          // the body has not been read to its end
	reserved int64         // bytes of memory that are the body's
	call     *connector.Call
	snap     *state.Snapshot // that decided
	verdict  policy.Verdict
	key      string          // what is put into the slot
	own      map[string]bool // ids of whom the key belongs to
	leave    func()          // tells the meter that the call is over
	decided  audit.Record    // durable

	cancel   context.CancelFunc // of the request to the provider
	silence  *time.Timer        // calls it when nothing comes for too long
	peerGone atomic.Bool        // the agent hung up
	idle     atomic.Bool        // the provider was silent for too long
	answer   *http.Response
	remote   atomic.Pointer[string]
	status   int
	received int64
	digest   hash.Hash
	started  bool     // the answer's head has been written to the agent
	filtered bool     // the answer is not passed on as it came
	tap      *tap     // counts tokens; nil where there are none
	tokens   int64    // that a model took, as far as is known
	taken    int      // things that were taken out of the answer
	findings []string // in the answer
	removed  []string // headers of the answer that lead to where the grant leads nobody
	result   string
}

// step does one thing for an exchange. What may not go on is a *Denial.
type step func() error

// serve takes an exchange through all steps, and reports whether the connection can be used for another.
func (ex *exchange) serve(target step) bool {
	ex.began = ex.s.p.cfg.Clock.Now()
	ex.unread = ex.h.length != 0
	defer ex.done()
	for _, next := range []step{target, ex.readBody, ex.match, ex.findKeys, ex.decide, ex.limit, ex.findSelf, ex.record} {
		if err := next(); err != nil {
			return ex.refuse(asDenial(err)) && !ex.h.closes
		}
	}
	defer ex.outcome()
	if ex.h.upgrade {
		ex.upgraded()
		return false
	}
	if err := ex.send(); err != nil {
		return ex.fail(err) && !ex.h.closes
	}
	return ex.relay() && !ex.h.closes
}

func (ex *exchange) done() {
	ex.s.leave()
	ex.over()
	ex.s.p.memory.Release(ex.reserved)
	putBuffer(ex.body)
}

// over tells the meter that the call is no longer under way. It is told before the agent has the last of its answer, or
// the agent could ask again before there is room.
func (ex *exchange) over() {
	if ex.leave != nil {
		ex.leave()
	}
}

func asDenial(err error) *Denial {
	var d *Denial
	if errors.As(err, &d) {
		return d
	}
	return malformed(http.StatusBadRequest, "the request could not be read")
}

// origin takes a request inside a tunnel: its target is a path, its Host the tunnel's.
func (ex *exchange) origin() error {
	if ex.h.host != ex.host && ex.h.host != ex.host+":443" {
		return closing(denied("default", "the Host header is not the host of the tunnel"))
	}
	if ex.h.method == http.MethodConnect {
		ex.shape = connector.DenialProblem // a status of success would be taken for an open tunnel
	}
	if ex.h.method == http.MethodConnect || ex.h.target[0] != '/' {
		return malformed(http.StatusBadRequest, "inside a tunnel the target is a path")
	}
	ex.path, ex.query, _ = strings.Cut(ex.h.target, "?")
	return ex.locate()
}

// locate finds the connector of the host whose paths begin as this one does.
func (ex *exchange) locate() error {
	found, ok := ex.s.p.catalogue(ex.s.p.cfg.Source.Current()).Find(ex.host, ex.path)
	if !ok {
		return denied("catalogue", "no connector has a path like this at this host")
	}
	ex.connector, ex.site, ex.shape = found.Connector, found.Host, found.Connector.Denial
	return ex.cutKey()
}

// absolute takes a request outside a tunnel: its target is a whole URL, and it has the proxy password.
func (ex *exchange) absolute() error {
	if err := ex.s.authenticate(ex.h); err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(ex.h.target, "https://")
	if !ok {
		return closing(denied("default", "the proxy takes CONNECT and https:// targets; nothing travels unencrypted"))
	}
	authority, path := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host := strings.TrimSuffix(authority, ":443")
	if len(ex.s.p.catalogue(ex.s.p.cfg.Source.Current()).At(host)) == 0 {
		return closing(denied("default", "this is not a host of any connector; addresses are none"))
	}
	if ex.h.host != host && ex.h.host != host+":443" {
		return closing(denied("default", "the Host header is not the host of the target"))
	}
	ex.host = host
	ex.path, ex.query, _ = strings.Cut(path, "?")
	return ex.locate()
}

func closing(d *Denial) *Denial {
	d.Close = true
	return d
}

// match finds out what the request means.
func (ex *exchange) match() error {
	r := connector.Request{Method: ex.h.method, Host: ex.site, Path: ex.path, Query: ex.query, ContentType: ex.h.get("content-type")}
	if ex.body != nil {
		r.Body = ex.body.Bytes()
	}
	call, err := ex.connector.Match(r)
	ex.call = call
	var refusal *connector.Refusal
	switch {
	case err == nil:
		return ex.checkUpgrade()
	case errors.As(err, &refusal) && refusal.Unlisted:
		return denied("catalogue", refusal.Reason)
	default:
		return &Denial{Status: http.StatusBadRequest, Code: codeMalformed, Rule: "catalogue", Reason: err.Error()}
	}
}

// decide asks the policy, and finds the key.
func (ex *exchange) decide() error {
	ex.snap = ex.s.p.cfg.Source.Current()
	if !ex.snap.Active() {
		return closing(denied(ruleGrant, inactive(ex.snap)))
	}
	if now, ok := ex.s.p.catalogue(ex.snap).Find(ex.host, ex.path); !ok || now.Connector != ex.connector {
		return closing(denied("catalogue", "what the connector is has changed while the request was read: ask again"))
	}
	call := ex.policyCall()
	ex.verdict = policy.DecideCall(ex.snap.Grant, call)
	if !ex.verdict.Allowed {
		return denied(ex.verdict.Rule, untilWhen(ex.snap.Grant, call, ex.verdict))
	}
	name, auth := ex.connector.AuthAt(ex.site)
	key := ex.snap.Keys[ex.verdict.Credential][name]
	if key.Empty() || !holds(ex.snap, ex.verdict.Credential, ex.connector.Name) {
		return denied(ex.verdict.Rule, "the credential is not usable")
	}
	if !fits(auth, key.Reveal()) {
		return denied(ex.verdict.Rule, "the credential's key cannot be written where it belongs: it has a line break or another character that may not be there")
	}
	ex.key = auth.Render(key.Reveal())
	j := &judged{
		call: call, credential: ex.verdict.Credential, slot: name, key: fingerprint(ex.snap, ex.verdict.Credential, name),
		definition: definition(ex.snap, ex.connector.Name),
	}
	if rule, reason := ex.s.enter(j, ex.snap); reason != "" {
		return closing(denied(rule, reason))
	}
	return nil
}

// holds reports whether the grant lets a credential be used with a connector.
func holds(snap *state.Snapshot, credential, connector string) bool {
	for _, c := range snap.Grant.Credentials {
		if string(c.Name) == credential {
			return string(c.Connector) == connector
		}
	}
	return false
}

func isHeaderValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// record makes the decision durable.
func (ex *exchange) record() error {
	r := ex.decision()
	r.Decision, r.Rule, r.Reason, r.Credential = audit.Allowed, ex.verdict.Rule, ex.verdict.Reason, ex.verdict.Credential
	kept, err := ex.s.p.append(r)
	if err != nil {
		return unrecorded()
	}
	ex.decided = kept
	return nil
}

// refuse records a denial and tells the agent. It reports whether the connection can be used further.
func (ex *exchange) refuse(d *Denial) bool {
	if rule, reason := ex.s.wasCut(); reason != "" {
		d = closing(denied(rule, "cut: "+reason))
	}
	var seq uint64
	if d.Code != codeUnrecorded {
		r := ex.decision()
		r.Decision, r.Rule, r.Reason = audit.Denied, d.Rule, d.Reason
		kept, err := ex.s.appendDenial(r)
		if err != nil {
			closes := d.Close
			d = unrecorded()
			d.Close = closes
		}
		seq = kept.Seq
	}
	return ex.tell(d, seq)
}

// fail tells the agent that the provider could not be asked, and notes it for the outcome.
func (ex *exchange) fail(err error) bool {
	switch _, reason := ex.s.wasCut(); {
	case reason != "":
		ex.result = "cut: " + reason
		return false
	case ex.peerGone.Load():
		ex.result = "the agent hung up"
		return false
	case errors.Is(err, errForbiddenAddress):
		ex.result = errForbiddenAddress.Error()
	case ex.idle.Load():
		ex.result = "the provider was silent for too long"
	default:
		ex.result = fmt.Sprintf("the provider could not be asked: %.300s", ex.s.p.secretsOf(ex.snap).scrubText(err.Error()))
	}
	return ex.tell(&Denial{Status: http.StatusBadGateway, Code: codeUpstream, Reason: ex.result}, ex.decided.Seq)
}
