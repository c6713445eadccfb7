package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/time/rate"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/websocket"
)

// Over a WebSocket each message of the agent is a call of its own: judged whole, recorded, and sent on then, written anew.
// What is no message of either side goes no further than here: pings are answered, reasons for closing are not passed on.

// socket is an open WebSocket between the agent and a provider.
type socket struct {
	ex       *exchange
	agent    side
	provider side
	rule     *connector.WebSocket

	once sync.Once
	end  socketEnd
}

// side is the connection to one of the two. Both goroutines write to it: messages, and answers to pings.
type side struct {
	from   *websocket.Reader
	client bool // we are, towards it

	mu     sync.Mutex
	to     io.Writer
	closed bool // nothing may follow
	out    []byte
}

func (s *side) send(o websocket.Opcode, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.out = websocket.Append(s.out[:0], s.client, o, data)
	_, err := s.to.Write(s.out)
	return err
}

func (s *side) close(code websocket.Code, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	_, _ = s.to.Write(websocket.AppendClose(nil, s.client, code, reason)) // nothing follows from it
}

// socketEnd is why a WebSocket ends.
type socketEnd struct {
	code   websocket.Code
	reason string // for the record, and for the agent where said
	said   bool
	err    error // of the connection
}

// run passes messages on until one side has enough, or has said what it may not. It returns how it ended.
func (s *socket) run() string {
	heard := make(chan struct{})
	s.ex.digest = sha256.New()
	go func() {
		defer close(heard)
		s.finish(s.hear())
	}()
	s.finish(s.speak())
	<-heard
	return s.ending(s.end)
}

func (s *socket) ending(end socketEnd) string {
	if _, reason := s.ex.s.wasCut(); reason != "" {
		return "cut: " + reason
	}
	switch {
	case end.err != nil && s.ex.idle.Load():
		return "nothing was said for too long"
	case errors.Is(end.err, errAgent):
		return "the agent hung up"
	case end.err != nil:
		return "the connection broke off"
	default:
		return end.reason
	}
}

// finish tells both sides that it is over, and reads no more of either. The provider is not told why.
func (s *socket) finish(end socketEnd) {
	s.once.Do(func() { s.end = end }) // the other direction ends because this one does
	defer s.ex.cancel()
	if end.err != nil {
		end.code = websocket.GoingAway
	}
	said := ""
	if end.said {
		said = end.reason
	}
	s.agent.close(end.code, said)
	s.provider.close(end.code, "")
}

// heard is called for every frame: somebody is there.
func (s *socket) heard() { s.ex.silence.Reset(s.ex.s.p.limits.Upstream) }

// speak passes on what the agent says.
func (s *socket) speak() socketEnd {
	ex := s.ex
	pace := rate.NewLimiter(rate.Limit(ex.s.p.limits.SocketRate), ex.s.p.limits.SocketRate)
	for {
		m, err := s.agent.from.Next()
		if err != nil {
			return s.unread(err, true)
		}
		s.heard()
		if err := pace.Wait(ex.s.ctx); err != nil {
			return socketEnd{err: err}
		}
		switch m.Opcode {
		case websocket.Close:
			code, _ := websocket.CodeOf(m.Data)
			return socketEnd{code: closeCode(code), reason: "completed"}
		case websocket.Ping:
			err = s.agent.send(websocket.Pong, m.Data)
		case websocket.Text:
			if d := s.say(m.Data); d != nil {
				return socketEnd{code: websocket.Policy, reason: d.Reason, said: true}
			}
			err = s.provider.send(websocket.Text, m.Data)
		case websocket.Binary:
			s.refuse(m.Data, denied("catalogue", "a message over this WebSocket is text"))
			return socketEnd{code: websocket.Unsupported, reason: "a message over this WebSocket is text", said: true}
		}
		if err != nil {
			return socketEnd{err: err}
		}
	}
}

// unread is the end where a side cannot be read. What an agent sends that is no WebSocket is recorded like what is no HTTP.
func (s *socket) unread(err error, agent bool) socketEnd {
	var e *websocket.Error
	if !errors.As(err, &e) {
		if agent && !s.ex.idle.Load() {
			err = errAgent
		}
		return socketEnd{err: err}
	}
	if agent {
		s.refuse(nil, &Denial{Status: http.StatusBadRequest, Code: codeMalformed, Rule: "websocket", Reason: e.Reason})
		return socketEnd{code: e.Code, reason: e.Reason, said: true}
	}
	return socketEnd{code: websocket.GoingAway, reason: "what the provider sent is not passed on: " + e.Reason}
}

// say judges a message, and makes the decision durable.
func (s *socket) say(doc []byte) *Denial {
	d := s.judge(doc)
	if d == nil {
		r := s.record(doc)
		r.Decision, r.Rule, r.Reason, r.Credential = audit.Allowed, s.ex.verdict.Rule, s.ex.verdict.Reason, s.ex.verdict.Credential
		if _, err := s.ex.s.p.append(r); err != nil {
			return unrecorded()
		}
		if _, reason := s.ex.s.wasCut(); reason != "" {
			return denied(ruleGrant, "cut: "+reason)
		}
		return nil
	}
	return s.refuse(doc, d)
}

// judge judges what the connection's own decision did not: what is said, and how much. The grant is judged again whenever
// it changes, and with it the connection.
func (s *socket) judge(doc []byte) *Denial {
	ex := s.ex
	if err := ex.call.WebSocketMessage(doc); err != nil {
		return denied("catalogue", err.Error())
	}
	var t texts
	t.add(doc)
	err := ex.s.p.findKeys(&t, ex.s.p.cfg.Source.Current())
	if err == nil {
		err = ex.take(ex.s.p.cfg.Clock.Now())
	}
	if err != nil {
		return asDenial(err)
	}
	return nil
}

// refuse records what is not sent on.
func (s *socket) refuse(doc []byte, d *Denial) *Denial {
	r := s.record(doc)
	r.Decision, r.Rule, r.Reason = audit.Denied, d.Rule, d.Reason
	if _, err := s.ex.s.appendDenial(r); err != nil {
		return unrecorded()
	}
	return d
}

// record begins the record of a message. It names the connection it was said over by the record of that.
func (s *socket) record(doc []byte) audit.Record {
	r := s.ex.decision()
	r.Correlation = strconv.FormatUint(s.ex.decided.Seq, 10)
	r.BytesOut, r.BodySHA256, r.Parameters = int64(len(doc)), "", nil
	if len(doc) > 0 {
		sum := sha256.Sum256(doc)
		r.BodySHA256 = hex.EncodeToString(sum[:])
		r.Parameters = connector.Summary(doc, maxParameters, s.ex.s.p.secretsOf(s.ex.snap).scrubText)
	}
	return r
}

// hear passes on what the provider says.
func (s *socket) hear() socketEnd {
	ex := s.ex
	secrets := ex.s.p.secretsOf(ex.snap)
	for {
		m, err := s.provider.from.Next()
		if err != nil {
			return s.unread(err, false)
		}
		s.heard()
		switch m.Opcode {
		case websocket.Close:
			code, _ := websocket.CodeOf(m.Data)
			return socketEnd{code: closeCode(code), reason: "completed"}
		case websocket.Ping:
			err = s.provider.send(websocket.Pong, m.Data)
		case websocket.Text:
			if !json.Valid(m.Data) {
				return socketEnd{code: websocket.InvalidData, reason: errNotUnderstood.Error()}
			}
			s.count(m.Data)
			secrets.scrub(m.Data)
			if _, tooLarge := ex.within(m.Data); tooLarge != nil {
				return socketEnd{code: websocket.Policy, reason: answerTooLarge(ex.answerLimit()), said: true}
			}
			err = s.agent.send(websocket.Text, m.Data)
		case websocket.Binary:
			return socketEnd{code: websocket.Unsupported, reason: "what the provider sent is not passed on: it is no text"}
		}
		if err != nil {
			return socketEnd{err: err}
		}
	}
}

// count counts what a message says that the model took. Each says it of itself.
func (s *socket) count(doc []byte) {
	keys := s.ex.models()
	if s.rule.Usage == nil || len(keys) == 0 {
		return
	}
	counter := s.rule.Usage.Counter()
	counter.Add(doc)
	if n := counter.Total(); n > 0 {
		s.ex.s.p.cfg.Meter.AddTokens(keys[0], n, s.ex.s.p.cfg.Clock.Now())
		s.ex.tokens += n
	}
}

// closeCode is a code that may be sent, for one that was received.
func closeCode(c websocket.Code) websocket.Code {
	if c == websocket.NoStatus {
		return websocket.Normal
	}
	return c
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
