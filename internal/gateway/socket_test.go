package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/gateway/websocket"
)

const sockets = `
- {id: live.open, methods: [GET], path: /live, query: [model], action: Write, authority: model, resources: [{type: model, from: [query.model]}],
   websocket: {send: [say, "ask.*"], usage: {tokens: [response.usage.total_tokens]}}}
- {id: plain.get, methods: [GET], path: /plain, action: Read, authority: connector}
`

// peer is one end of a WebSocket in a test.
type peer struct {
	t      testing.TB
	conn   io.ReadWriter
	from   *websocket.Reader
	client bool
}

func (p *peer) send(o websocket.Opcode, data string) {
	p.t.Helper()
	if _, err := p.conn.Write(websocket.Append(nil, p.client, o, []byte(data))); err != nil {
		p.t.Error(err)
	}
}

// next returns the next frame, as text: TEXT, or "close CODE REASON".
func (p *peer) next() string {
	m, err := p.from.Next()
	if err != nil {
		return "error: " + err.Error()
	}
	switch m.Opcode {
	case websocket.Text:
		return string(m.Data)
	case websocket.Close:
		code, reason := websocket.CodeOf(m.Data)
		return strings.TrimSpace(fmt.Sprintf("close %d %s", code, reason))
	default:
		return fmt.Sprintf("%x %s", m.Opcode, m.Data)
	}
}

func (p *peer) want(frames ...string) {
	p.t.Helper()
	for _, want := range frames {
		if got := p.next(); got != want {
			p.t.Errorf("got %q, want %q", got, want)
		}
	}
}

// speaks has the provider accept WebSockets. Each is handed to the returned channel.
func (w *world) speaks(change func(http.Header)) <-chan *peer {
	open := make(chan *peer, 8)
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		conn, buffered, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			w.t.Error(err)
			return
		}
		header := http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {websocket.Accept(r.Header.Get("Sec-Websocket-Key"))},
		}
		if change != nil {
			change(header)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n")
		_ = header.Write(conn)
		_, _ = io.WriteString(conn, "\r\n")
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		open <- &peer{w.t, conn, websocket.NewReader(buffered.Reader, true, 1<<22), false}
	})
	return open
}

const upgradeHead = "GET %s HTTP/1.1\r\nHost: slack.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// upgrade asks for a WebSocket as an agent does.
func (w *world) upgrade(path, headers string) (*http.Response, *peer, net.Conn) {
	w.t.Helper()
	conn := w.tunnel("slack.com")
	_, _ = fmt.Fprintf(conn, upgradeHead, path, headers)
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodGet})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, &peer{w.t, conn, websocket.NewReader(reader, false, 1<<22), true}, conn
}

// live opens one between an agent and a provider.
func live(t testing.TB, options ...option) (w *world, agent, provider *peer) {
	t.Helper()
	w = newWorld(t, append([]option{service(t, sockets)}, options...)...)
	open := w.speaks(nil)
	resp, agent, _ := w.upgrade("/v1/live?model=m1", "")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("got %d %s", resp.StatusCode, b)
	}
	return w, agent, <-open
}

func TestWebSocketIsPassedOnBothWays(t *testing.T) {
	w := newWorld(t, service(t, sockets))
	open := w.speaks(nil)
	resp, agent, _ := w.upgrade("/v1/live?model=m1", "Authorization: Bearer attackers-own\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: realtime, key.attackers-own\r\nCookie: a=b\r\n")
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		resp.Header.Get("Sec-WebSocket-Extensions") != "" || resp.Header.Get("Sec-WebSocket-Protocol") != "" || resp.Header.Get(recordHeader) != "1" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
	provider := <-open
	got := w.requests()[0]
	if key := got.Header.Get("Sec-Websocket-Key"); !websocket.IsKey(key) || key == "dGhlIHNhbXBsZSBub25jZQ==" {
		t.Errorf("the provider's key is %q", key)
	}
	got.Header.Del("Sec-Websocket-Key")
	want := asked{"GET", "slack.com", "/v1/live?model=m1", "", http.Header{
		"Authorization": {"Bearer " + ownKey}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	agent.send(websocket.Text, `{"type":"say","text":"hello"}`)
	provider.want(`{"type":"say","text":"hello"}`)
	provider.send(websocket.Text, `{"type":"answer","response":{"usage":{"total_tokens":7}},"echo":"`+ownKey+`"}`)
	agent.want(`{"type":"answer","response":{"usage":{"total_tokens":7}},"echo":"` + strings.Repeat("*", len(ownKey)) + `"}`)
	// In pieces, with a ping in between, which goes no further than the gateway.
	raw := append([]byte{0x01, 0x80 | 13, 0, 0, 0, 0}, `{"type":"ask.`...)
	raw = websocket.Append(raw, true, websocket.Ping, []byte("there?"))
	raw = append(raw, append([]byte{0x80, 0x80 | 4, 0, 0, 0, 0}, `me"}`...)...)
	_, _ = agent.conn.Write(raw)
	agent.want("a there?")
	provider.want(`{"type":"ask.me"}`)
	provider.send(websocket.Ping, "and you?")
	provider.want("a and you?")
	provider.send(websocket.Pong, "unasked")
	provider.send(websocket.Text, `{"response":{"usage":{"total_tokens":5}}}`)
	agent.want(`{"response":{"usage":{"total_tokens":5}}}`)
	agent.send(websocket.Close, "\x03\xe8a secret word")
	provider.want("close 1000")
	agent.want("close 1000")

	o := w.wait("outcome", isOutcome)
	if o.Reason != "completed" || o.Tokens != 12 || o.Upstream.Status != 101 || o.Correlation != "1" || o.BytesIn == 0 {
		t.Errorf("outcome %+v", o)
	}
	var said []string
	for _, r := range w.log.Records() {
		if r.Phase == audit.PhaseDecision && r.Correlation != "" {
			said = append(said, fmt.Sprintf("%s %s %s %s", r.Decision, r.Correlation, r.Operation, r.Parameters))
		}
	}
	if diff := cmp.Diff([]string{`allowed 1 live.open {"type":"say","text":"hello"}`, `allowed 1 live.open {"type":"ask.me"}`}, said); diff != "" {
		t.Error(diff)
	}
}

// What may not be said is recorded, reaches nobody, and ends the connection.
func TestWebSocketRefuses(t *testing.T) {
	frame := func(o websocket.Opcode, data string) []byte { return websocket.Append(nil, true, o, []byte(data)) }
	for name, tc := range map[string]struct {
		raw  []byte
		code websocket.Code
		rule string
	}{
		"a message nobody declared":    {frame(websocket.Text, `{"type":"delete"}`), websocket.Policy, "catalogue"},
		"no type":                      {frame(websocket.Text, `{}`), websocket.Policy, "catalogue"},
		"no object":                    {frame(websocket.Text, `[{"type":"say"}]`), websocket.Policy, "catalogue"},
		"no JSON":                      {frame(websocket.Text, `say`), websocket.Policy, "catalogue"},
		"two types":                    {frame(websocket.Text, `{"type":"say","type":"delete"}`), websocket.Policy, "catalogue"},
		"nothing":                      {frame(websocket.Text, ``), websocket.Policy, "catalogue"},
		"bytes":                        {frame(websocket.Binary, `{"type":"say"}`), websocket.Unsupported, "catalogue"},
		"a placeholder":                {frame(websocket.Text, `{"type":"say","text":"svc-claw-placeholder"}`), websocket.Policy, rulePlaceholder},
		"a key":                        {frame(websocket.Text, `{"type":"say","text":"`+ownKey+`"}`), websocket.Policy, ruleKey},
		"a key, spelled out":           {frame(websocket.Text, `{"type":"say","text":"\u0073`+ownKey[1:]+`"}`), websocket.Policy, ruleKey},
		"not masked":                   {websocket.Append(nil, false, websocket.Text, []byte(`{"type":"say"}`)), websocket.ProtocolError, "websocket"},
		"compressed":                   {append([]byte{0xc1}, frame(websocket.Text, `{"type":"say"}`)[1:]...), websocket.ProtocolError, "websocket"},
		"larger than may be":           {frame(websocket.Text, `{"type":"say","text":"`+strings.Repeat("x", 1000)+`"}`), websocket.TooBig, "websocket"},
		"a message within a message":   {append([]byte{0x01, 0x80, 0, 0, 0, 0}, frame(websocket.Text, `{"type":"say"}`)...), websocket.ProtocolError, "websocket"},
		"half a message that is a key": {append([]byte{0x01, 0x80, 0, 0, 0, 0}, frame(websocket.Continuation, `{"type":"say","t":"`+ownKey+`"}`)...), websocket.Policy, ruleKey},
	} {
		t.Run(name, func(t *testing.T) {
			w, agent, provider := live(t, func(c *Config, _ *state.Snapshot) { c.Limits.SocketBytes = 1000 })
			_, _ = agent.conn.Write(tc.raw)
			d := w.wait("denial", isDenied)
			if d.Rule != tc.rule || d.Correlation != "1" || d.Operation != "live.open" || strings.Contains(fmt.Sprintf("%+v %s", d, d.Parameters), ownKey) {
				t.Errorf("record %+v", d)
			}
			agent.want(fmt.Sprintf("close %d %s", tc.code, cut(d.Reason)))
			provider.want(fmt.Sprintf("close %d", tc.code))
			if o := w.wait("outcome", isOutcome); o.Reason != d.Reason {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func cut(s string) string { return s[:min(len(s), websocket.MaxControl-2)] }

// What a provider says that is not understood is not passed on.
func TestWebSocketOfAProviderThatMisbehaves(t *testing.T) {
	for name, raw := range map[string][]byte{
		"masked":       websocket.Append(nil, true, websocket.Text, []byte(`{}`)),
		"no JSON":      websocket.Append(nil, false, websocket.Text, []byte(`hello`)),
		"bytes":        websocket.Append(nil, false, websocket.Binary, []byte(`{}`)),
		"an extension": append([]byte{0xc1}, websocket.Append(nil, false, websocket.Text, []byte(`{}`))[1:]...),
		"too large":    websocket.Append(nil, false, websocket.Text, []byte(`"`+strings.Repeat("x", 1000)+`"`)),
	} {
		t.Run(name, func(t *testing.T) {
			w, agent, provider := live(t, func(c *Config, _ *state.Snapshot) { c.Limits.SocketBytes = 1000 })
			_, _ = provider.conn.Write(raw)
			if got := agent.next(); !strings.HasPrefix(got, "close 10") {
				t.Errorf("the agent gets %q", got)
			}
			if o := w.wait("outcome", isOutcome); !strings.Contains(o.Reason, "passed on") {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// WebSocket is for operations that declare it, asked for as RFC 6455 says; anything else is refused before it is sent.
func TestWebSocketIsDeclared(t *testing.T) {
	w := newWorld(t, service(t, sockets))
	head := fmt.Sprintf(upgradeHead, "/v1/live?model=m1", "")
	for name, tc := range map[string]struct {
		raw    string
		status int
	}{
		"another operation":         {fmt.Sprintf(upgradeHead, "/v1/plain", ""), 403},
		"no operation":              {fmt.Sprintf(upgradeHead, "/v1/unknown", ""), 403},
		"a model that is not given": {fmt.Sprintf(upgradeHead, "/v1/live?model=x1", ""), 403},
		"not asked for":             {"GET /v1/live?model=m1 HTTP/1.1\r\nHost: slack.com\r\n\r\n", 403},
		"posted":                    {strings.Replace(head, "GET", "POST", 1), 400},
		"with a body":               {strings.Replace(head, "Host:", "Content-Length: 2\r\nHost:", 1) + "{}", 400},
		"no key":                    {strings.Replace(head, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1), 400},
		"a key that is none":        {strings.Replace(head, "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 1), 400},
		"another version":           {strings.Replace(head, "Version: 13", "Version: 8", 1), 400},
		"two protocols":             {strings.Replace(head, "Upgrade: websocket", "Upgrade: websocket, h2c", 1), 400},
		"no Connection":             {strings.Replace(head, "Connection: keep-alive, Upgrade\r\n", "", 1), 400},
		"no Upgrade":                {strings.Replace(head, "Upgrade: websocket\r\n", "", 1), 400},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := exchangeRaw(t, w.tunnel("slack.com"), tc.raw); status != tc.status {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
	if got := w.requests(); len(got) != 0 {
		t.Errorf("sent: %+v", got)
	}
}

// A provider that answers the handshake in another way than was asked for is not spoken to.
func TestWebSocketHandshakeOfAProvider(t *testing.T) {
	for name, change := range map[string]func(http.Header){
		"an extension":     func(h http.Header) { h.Set("Sec-WebSocket-Extensions", "permessage-deflate") },
		"a subprotocol":    func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "realtime") },
		"another key":      func(h http.Header) { h.Set("Sec-Websocket-Accept", websocket.Accept("x")) },
		"another protocol": func(h http.Header) { h.Set("Upgrade", "h2c") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, sockets))
			_ = w.speaks(change)
			if resp, _, _ := w.upgrade("/v1/live?model=m1", ""); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("got %d", resp.StatusCode)
			}
			w.wait("outcome", isOutcome)
		})
	}
	t.Run("a refusal is passed on", func(t *testing.T) {
		w := newWorld(t, service(t, sockets))
		w.answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(rw, "wrong key "+ownKey)
		})
		resp, _, _ := w.upgrade("/v1/live?model=m1", "")
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusUnauthorized || string(b) != "wrong key "+strings.Repeat("*", len(ownKey)) {
			t.Errorf("got %d %s", resp.StatusCode, b)
		}
	})
}

// Each message is counted like a call, and none is sent whose model has taken enough.
func TestWebSocketLimits(t *testing.T) {
	t.Run("calls in a minute", func(t *testing.T) {
		w, agent, provider := live(t, func(_ *Config, s *state.Snapshot) { s.Grant.Limits.RequestsPerMinute = 2 }) // opening is one
		agent.send(websocket.Text, `{"type":"say","n":1}`)
		provider.want(`{"type":"say","n":1}`)
		agent.send(websocket.Text, `{"type":"say","n":2}`)
		d := w.wait("denial", isDenied)
		if d.Rule != meter.Rule || !strings.Contains(d.Reason, "there is room again at") {
			t.Errorf("record %+v", d)
		}
		agent.want("close 1008 " + cut(d.Reason))
		provider.want("close 1008")
	})
	t.Run("tokens in a day", func(t *testing.T) {
		w, agent, provider := live(t, func(_ *Config, s *state.Snapshot) { s.Grant.Limits.TokensPerDay = 10 })
		provider.send(websocket.Text, `{"response":{"usage":{"total_tokens":10}}}`)
		agent.want(`{"response":{"usage":{"total_tokens":10}}}`)
		agent.send(websocket.Text, `{"type":"say"}`)
		if d := w.wait("denial", isDenied); d.Rule != meter.TokensRule {
			t.Errorf("record %+v", d)
		}
		provider.want("close 1008")
	})
	t.Run("bytes of the answers", func(t *testing.T) {
		w, agent, provider := live(t, func(_ *Config, s *state.Snapshot) { s.Grant.Limits.ResponseKiB = 1 })
		provider.send(websocket.Text, `"`+strings.Repeat("x", 600)+`"`)
		provider.send(websocket.Text, `"`+strings.Repeat("x", 600)+`"`)
		agent.want(`"`+strings.Repeat("x", 600)+`"`, "close 1008 the answer is larger than the limit of 1 KiB")
		if o := w.wait("outcome", isOutcome); o.Reason != "the answer is larger than the limit of 1 KiB" {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("calls at once", func(t *testing.T) {
		w, _, _ := live(t, func(_ *Config, s *state.Snapshot) { s.Grant.Limits.ConcurrentRequests = 1 })
		if resp, _, _ := w.upgrade("/v1/live?model=m1", ""); resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
}

// A message is not sent before its record is durable, and never if it cannot be kept.
func TestWebSocketRecordsBeforeItSends(t *testing.T) {
	w, agent, provider := live(t)
	release := w.log.Hold()
	agent.send(websocket.Text, `{"type":"say"}`)
	got := make(chan string, 1)
	go func() { got <- provider.next() }()
	select {
	case frame := <-got:
		t.Fatalf("%q was sent before it was recorded", frame)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if frame := <-got; frame != `{"type":"say"}` {
		t.Errorf("got %q", frame)
	}
	w.log.Fail(errors.New("no room on the disk"))
	agent.send(websocket.Text, `{"type":"say","n":2}`)
	provider.want("close 1008")
	agent.want("close 1008 nothing is done that cannot be recorded")
}

// A WebSocket that is open ends when what allowed it does, and goes on when that still stands.
func TestWebSocketIsCut(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*state.Snapshot)
		cut    bool
	}{
		"revoked":         {func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked }, true},
		"model withdrawn": {func(s *state.Snapshot) { s.Grant.Models = nil }, true},
		"key rotated":     {func(s *state.Snapshot) { s.Keys["svc"] = keyed("key", "another-key") }, true},
		"schedule closed": {func(s *state.Snapshot) { s.Grant.Schedules = []v1alpha1.Schedule{never} }, true},
		"definition changed": {func(s *state.Snapshot) {
			s.Grant.Connectors = []v1alpha1.GrantConnector{{Name: "svc", Definition: "other"}}
		}, true},
		"something else": {func(s *state.Snapshot) { s.Grant.Tools = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, agent, provider := live(t)
			agent.send(websocket.Text, `{"type":"say"}`)
			provider.want(`{"type":"say"}`)
			w.source.set(true, tc.change)
			if !tc.cut {
				agent.send(websocket.Text, `{"type":"say","n":2}`)
				provider.want(`{"type":"say","n":2}`)
				return
			}
			if got := agent.next(); !strings.HasPrefix(got, "error: ") {
				t.Errorf("the agent gets %q", got)
			}
			if got := provider.next(); !strings.HasPrefix(got, "error: ") && got != "close 1001" {
				t.Errorf("the provider gets %q", got)
			}
			if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: ") {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// never is a schedule that is open on no day of the week of the real clock: it is over.
var never = v1alpha1.Schedule{TimeZone: "UTC"}

// One that is silent ends, and so does one of which a side is gone.
func TestWebSocketEnds(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		w, agent, provider := live(t, func(c *Config, _ *state.Snapshot) { c.Limits.Upstream = shortly })
		_, _ = agent.next(), provider.next()
		if o := w.wait("outcome", isOutcome); o.Reason != "nothing was said for too long" {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("half a frame", func(t *testing.T) {
		w, agent, _ := live(t, func(c *Config, _ *state.Snapshot) { c.Limits.Upstream = shortly })
		_, _ = agent.conn.Write([]byte{0x81, 0x80 | 20, 0, 0, 0, 0, '{'})
		if o := w.wait("outcome", isOutcome); o.Reason != "nothing was said for too long" {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("the agent is gone", func(t *testing.T) {
		w, agent, provider := live(t)
		_ = agent.conn.(io.Closer).Close()
		provider.want("close 1001")
		if o := w.wait("outcome", isOutcome); o.Reason != "the agent hung up" {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("the provider is gone", func(t *testing.T) {
		w, agent, provider := live(t)
		_ = provider.conn.(io.Closer).Close()
		agent.want("close 1001")
		if o := w.wait("outcome", isOutcome); o.Reason != "the connection broke off" {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("the provider closes", func(t *testing.T) {
		w, agent, provider := live(t)
		provider.send(websocket.Close, "\x0f\xa0go to https://evil.example")
		agent.want("close 4000")
		provider.want("close 4000")
		if o := w.wait("outcome", isOutcome); o.Reason != "completed" {
			t.Errorf("outcome %+v", o)
		}
	})
}

// An agent that says more than fits a second waits, and nothing of it is lost.
func TestWebSocketIsSlowedDown(t *testing.T) {
	_, agent, provider := live(t, func(c *Config, _ *state.Snapshot) { c.Limits.SocketRate = 20 })
	began := time.Now()
	var all bytes.Buffer
	for range 25 {
		all.Write(websocket.Append(nil, true, websocket.Text, []byte(`{"type":"say"}`)))
	}
	_, _ = agent.conn.Write(all.Bytes())
	for range 25 {
		provider.want(`{"type":"say"}`)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("25 messages took %s", took)
	}
}
