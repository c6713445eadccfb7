package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// also has the proxy serve another listener, and returns its address.
func (w *world) also(serve func(net.Listener) error) string {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = serve(l)
	}()
	w.t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

// steered connects to an address as a client does that was led there by name.
func (w *world) steered(address string, config *tls.Config) (*tls.Conn, error) {
	w.t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(raw, config)
	return conn, conn.Handshake()
}

// steeredClient is an agent's HTTP client that knows of no proxy.
func (w *world) steeredClient(address string) *http.Client {
	tr := &http.Transport{
		Dial:            func(string, string) (net.Conn, error) { return net.Dial("tcp", address) },
		TLSClientConfig: &tls.Config{RootCAs: w.roots}, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true,
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestSteered(t *testing.T) {
	w := newWorld(t)
	c := w.steeredClient(w.also(w.proxy.ServeTLS))
	if status, header, body := w.post(c, slackPost, formType, inChannel); status != 200 || body != `{"ok":true}` || header.Get(recordHeader) != "1" {
		t.Errorf("got %d %v %s", status, header, body)
	}
	if _, _, body := w.post(c, slackPost, formType, elsewhere); !strings.Contains(body, codeDenied) {
		t.Errorf("got %s", body)
	}
	if status, _, _ := w.post(c, askModel, jsonType, modelBody); status != 200 {
		t.Errorf("got %d", status)
	}
	got := w.requests()
	if len(got) != 2 || got[0].Host != "slack.com" || got[0].Header.Get("Authorization") != "Bearer "+slackKey || got[1].Header.Get("X-Api-Key") != anthropicKey {
		t.Errorf("asked %+v", got)
	}
}

// Only the server name of a granted host leads anywhere, and everything else is recorded.
func TestServerNameLeads(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *state.Snapshot) { s.Grant.Models = nil })
	address := w.also(w.proxy.ServeTLS)
	for name, tc := range map[string]struct{ server, rule, host string }{
		"a host":                {server: "slack.com"},
		"in capitals":           {server: "SLACK.com"},
		"host of another grant": {server: "api.anthropic.com", rule: "default", host: "api.anthropic.com"},
		"unknown":               {server: "evil.example", rule: "default", host: "evil.example"},
		"a subdomain":           {server: "files.slack.com", rule: "default", host: "files.slack.com"},
		"not quite":             {server: "slack.com.evil.example", rule: "default", host: "slack.com.evil.example"},
		"a look-alike":          {server: "slac\u212a.com", rule: "default", host: `slac\226\132\170.com`},
		"a line break":          {server: "slack.com\nrule=allowed", rule: "default", host: `slack.com\010rule\061allowed`},
		"none":                  {rule: "tls"},
		"an address":            {server: "127.0.0.1", rule: "tls"}, // clients send none then
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.log.Records())
			conn, err := w.steered(address, &tls.Config{RootCAs: w.roots, ServerName: tc.server, InsecureSkipVerify: tc.rule != ""})
			if tc.rule == "" {
				if err != nil {
					t.Fatal(err)
				}
				if status, _ := exchangeRaw(t, conn, "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n"); status != 200 {
					t.Errorf("got %d", status)
				}
				return
			}
			if err == nil {
				t.Error("shaken hands")
			}
			r := w.wait("denial", func(r audit.Record) bool { return r.Seq > uint64(before) && isDenied(r) })
			host := ""
			if r.Upstream != nil {
				host = r.Upstream.Host
			}
			if r.Rule != tc.rule || r.Reason == "" || host != tc.host || r.Phase != audit.PhaseDecision {
				t.Errorf("record %+v, host %q", r, host)
			}
		})
	}
	if got := len(w.requests()); got != 2 {
		t.Errorf("%d were sent", got)
	}
}

// What does not begin as TLS does is closed, and recorded unless nothing came at all.
func TestArrival(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Head = shortly })
	address := w.also(w.proxy.ServeTLS)
	hello := func(size int) string { // one of a size, of which the end never comes
		return "\x16\x03\x01\x40\x00\x01\x00\xff\xf0" + strings.Repeat("x", size)
	}
	for name, tc := range map[string]struct{ raw, reason string }{
		"plain HTTP":           {"GET / HTTP/1.1\r\nHost: slack.com\r\n\r\n", "the connection did not begin with TLS"},
		"SSH":                  {"SSH-2.0-OpenSSH_9.9\r\n", "the connection did not begin with TLS"},
		"the proxy's protocol": {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\n\r\n", "the connection did not begin with TLS"},
		"a slow hello":         {hello(10), "TLS did not begin in time"},
		"a long hello":         {hello(1 << 14), errHelloSize.Error()},
		"nothing, for long":    {"", "TLS did not begin in time"},
		"a broken hello":       {"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03", "the first message of TLS cannot be understood"},
	} {
		t.Run(name, func(t *testing.T) {
			before := uint64(len(w.log.Records()))
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, tc.raw)
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if b, err := io.ReadAll(conn); errors.Is(err, timeout) || strings.Contains(string(b), "HTTP") {
				t.Errorf("got %q, %v", b, err)
			}
			if r := w.wait("denial", func(r audit.Record) bool { return r.Seq > before }); r.Decision != audit.Denied || r.Rule != "tls" || r.Reason != tc.reason {
				t.Errorf("record %+v", r)
			}
		})
	}
	before := len(w.log.Records())
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // as whoever looks whether a port is open
	if _, err := w.steered(address, &tls.Config{ServerName: "evil.example"}); err == nil {
		t.Error("shaken hands")
	}
	w.wait("denial", func(r audit.Record) bool { return r.Seq > uint64(before) && r.Rule == "default" })
	if got := len(w.log.Records()); got != before+1 {
		t.Errorf("%d records", got-before)
	}
}

var timeout = errTimeout{}

type errTimeout struct{}

func (errTimeout) Error() string { return "timeout" }
func (errTimeout) Is(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// A session that is resumed is judged by the name it asks for, not by the one it began with.
func TestResumedServerName(t *testing.T) {
	w := newWorld(t)
	address := w.also(w.proxy.ServeTLS)
	sessions := tls.NewLRUClientSessionCache(4)
	ask := func(server string) (resumed bool, err error) {
		conn, err := w.steered(address, &tls.Config{RootCAs: w.roots, ServerName: server, ClientSessionCache: oneSession{sessions}})
		if err != nil {
			return false, err
		}
		defer conn.Close()
		path := map[string]string{"slack.com": "/api/auth.test", "api.anthropic.com": "/v1/models"}[server]
		exchangeRaw(t, conn, "POST "+path+" HTTP/1.1\r\nHost: "+server+"\r\nContent-Length: 0\r\n\r\n") // reads the ticket
		return conn.ConnectionState().DidResume, nil
	}
	if _, err := ask("slack.com"); err != nil {
		t.Fatal(err)
	}
	if resumed, err := ask("slack.com"); err != nil || !resumed {
		t.Errorf("resumed %v, %v", resumed, err)
	}
	w.source.set(true, func(s *state.Snapshot) { s.Grant.Channels, s.Grant.Tools = nil, nil })
	if _, err := ask("slack.com"); err == nil {
		t.Error("a session is resumed to a host that was taken away")
	}
}

// oneSession offers what it has to every server name.
type oneSession struct{ tls.ClientSessionCache }

func (o oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.ClientSessionCache.Get("") }
func (o oneSession) Put(_ string, s *tls.ClientSessionState)    { o.ClientSessionCache.Put("", s) }

// Whoever is not the agent gets no further than its connection, on any way in.
func TestStrangerOnEveryWay(t *testing.T) {
	w := newWorld(t, func(c *Config, s *state.Snapshot) {
		s.Grant.AgentIPs = []string{"192.0.2.7"}
		c.Limits.Hold = time.Millisecond
	})
	for name, serve := range map[string]func(net.Listener) error{"TLS": w.proxy.ServeTLS, "plain": w.proxy.ServePlain} {
		before := uint64(len(w.log.Records()))
		conn, err := net.Dial("tcp", w.also(serve))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: slack.com\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if b, err := io.ReadAll(conn); len(b) > 0 || errors.Is(err, timeout) {
			t.Errorf("%s: got %q", name, b)
		}
		_ = conn.Close()
		if r := w.wait("record", func(r audit.Record) bool { return r.Seq > before }); r.Rule != "address" {
			t.Errorf("%s: record %+v", name, r)
		}
	}
}

// What came without a tunnel is cut as what came through one.
func TestSteeredIsCut(t *testing.T) {
	for name, change := range map[string]func(*state.Snapshot){
		"revoked":      func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked },
		"no connector": func(s *state.Snapshot) { s.Grant.Models = nil },
		"key rotated":  func(s *state.Snapshot) { s.Keys["anthropic"] = keyed("apiKey", "another-key") },
		"address gone": func(s *state.Snapshot) { s.Grant.AgentIPs = []string{"192.0.2.7"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			address := w.also(w.proxy.ServeTLS)
			idle, err := w.steered(address, &tls.Config{RootCAs: w.roots, ServerName: "api.anthropic.com"})
			if err != nil {
				t.Fatal(err)
			}
			events := w.streams()
			_, r := w.open(w.steeredClient(address), askModel, jsonType, modelBody)
			events <- "data: 1\n"
			if _, err := r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			w.source.set(true, change)
			if b, err := io.ReadAll(r); err == nil || len(b) > 0 {
				t.Errorf("after the cut: %q, %v", b, err)
			}
			if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: ") {
				t.Errorf("outcome %+v", o)
			}
			if name == "key rotated" {
				return // an idle connection holds no key
			}
			if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, timeout) {
				t.Errorf("idle: %v", err)
			}
		})
	}
}

func TestPlainHTTP(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *state.Snapshot) { s.Grant.Models = nil })
	address := w.also(w.proxy.ServePlain)
	const use = "ask for the same with https"
	for name, tc := range map[string]struct {
		raw, want, host string
		status          int
	}{
		"a granted host":     {"POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n", use, "slack.com", 200},
		"with its port":      {"POST /api/auth.test HTTP/1.1\r\nHost: slack.com:80\r\nContent-Length: 0\r\n\r\n", `"ok":false`, "slack.com", 200},
		"with a body":        {"POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 3\r\n\r\nabc", use, "slack.com", 200},
		"another host":       {"GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", use, "169.254.169.254", 403},
		"not granted":        {"GET / HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n", use, "api.anthropic.com", 403},
		"as to a proxy":      {"GET https://slack.com/api/auth.test HTTP/1.1\r\nHost: slack.com\r\n\r\n", use, "slack.com", 200},
		"a tunnel":           {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: " + basic + "\r\n\r\n", use, "slack.com:443", 403},
		"HTTP/2":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1", "", 505},
		"no host":            {"GET / HTTP/1.1\r\n\r\n", "no host", "", 400},
		"TLS, mistakenly":    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "claw_request_refused", "", 400},
		"a name of any text": {"GET / HTTP/1.1\r\nHost: <b>\"\r\n\r\n", use, `\060b\062\034`, 403},
	} {
		t.Run(name, func(t *testing.T) {
			before := uint64(len(w.log.Records()))
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			status, body := exchangeRaw(t, conn, tc.raw)
			if status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("got %d %s", status, body)
			}
			if _, err := io.WriteString(conn, tc.raw); err == nil {
				if n, err := conn.Read(make([]byte, 1)); err == nil {
					t.Errorf("served further: %d", n)
				}
			}
			r := w.wait("record", func(r audit.Record) bool { return r.Seq > before })
			host := ""
			if r.Upstream != nil {
				host = r.Upstream.Host
			}
			if r.Decision != audit.Denied || r.Reason == "" || host != tc.host {
				t.Errorf("record %+v, host %q", r, host)
			}
		})
	}
	if got := w.requests(); len(got) > 0 {
		t.Errorf("sent %+v", got)
	}
}
