package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

const (
	formType   = "application/x-www-form-urlencoded"
	jsonType   = "application/json"
	slackPost  = "https://slack.com/api/chat.postMessage"
	askModel   = "https://api.anthropic.com/v1/messages"
	modelBody  = `{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hello"}]}`
	inChannel  = "channel=C0SUPPORT&text=hello"
	sentOn     = inChannel + "&unfurl_links=false&unfurl_media=false" // what the provider gets of it
	elsewhere  = "channel=C0GENERAL&text=hello"
	slackTunel = "slack.com"
)

func TestCallIsAllowedAndRebuilt(t *testing.T) {
	w := newWorld(t)
	r, _ := http.NewRequest(http.MethodPost, slackPost, strings.NewReader("token=xoxb-claw-placeholder&"+inChannel))
	for name, value := range map[string]string{
		"Content-Type": formType, "Authorization": "Bearer xoxb-claw-placeholder", "Cookie": "d=mine", "X-Api-Key": "mine", "Api-Key": "mine",
		"X-Forwarded-For": "192.0.2.1", "X-Http-Method-Override": "DELETE", "Accept-Encoding": "br", "User-Agent": "agent/1", "X-Anything": "mine",
	} {
		r.Header.Set(name, value)
	}
	status, header, body := w.do(w.client(), r)
	if status != 200 || body != `{"ok":true}` || header.Get(recordHeader) != "1" {
		t.Errorf("got %d %v %s", status, header, body)
	}
	want := []asked{{Method: "POST", Host: "slack.com", URI: "/api/chat.postMessage", Body: sentOn, Header: http.Header{
		"Accept-Encoding": {"identity"}, "Authorization": {"Bearer " + slackKey}, "Content-Length": {strconv.Itoa(len(sentOn))}, "Content-Type": {formType}, "User-Agent": {"agent/1"},
	}}}
	if diff := cmp.Diff(want, w.requests()); diff != "" {
		t.Error(diff)
	}
	outcome := w.wait("outcome", isOutcome)
	decision := w.log.Records()[0]
	if decision.Decision != audit.Allowed || decision.Rule != "channels[0]" || decision.Credential != "slack" || decision.Operation != "chat.postMessage" ||
		decision.Kind != audit.KindMessage || decision.Grant != "hash" || decision.Claw.Name != "triage" {
		t.Errorf("decision %+v", decision)
	}
	if diff := cmp.Diff([]string{"channel:C0SUPPORT"}, decision.Resources); diff != "" {
		t.Error(diff)
	}
	if string(decision.Parameters) != `{"channel":"C0SUPPORT","text":"hello","unfurl_links":"false","unfurl_media":"false"}` {
		t.Errorf("parameters %s", decision.Parameters)
	}
	if outcome.Correlation != "1" || outcome.Upstream.Status != 200 || outcome.Upstream.Address != w.provider.Listener.Addr().String() ||
		outcome.BytesIn != 11 || outcome.BodySHA256 != "4062edaf750fb8074e7e83e0c9028c94e32468a8b6f1614774328ef045150f93" || outcome.Reason != "completed" {
		t.Errorf("outcome %+v %+v", outcome, outcome.Upstream)
	}
	for _, line := range w.log.Lines() {
		if bytes.Contains(line, []byte(slackKey)) || bytes.Contains(line, []byte(password)) {
			t.Errorf("a secret is in the record: %s", line)
		}
	}
}

func TestCallsOverOneConnection(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	for range 3 {
		if status, _, body := w.post(c, slackPost, formType, inChannel); status != 200 || body != `{"ok":true}` {
			t.Fatalf("got %d %s", status, body)
		}
		if _, _, body := w.post(c, slackPost, formType, elsewhere); !strings.Contains(body, "claw_policy_denied") {
			t.Fatalf("got %s", body)
		}
		if status, _, _ := w.post(c, askModel, jsonType, modelBody); status != 200 {
			t.Fatalf("got %d", status)
		}
	}
	if got := w.requests(); len(got) != 6 || got[1].Header.Get("X-Api-Key") != anthropicKey || got[1].Header.Get("Authorization") != "" {
		t.Errorf("asked %+v", got)
	}
}

// Absolute-form is what some clients send to a proxy instead of opening a tunnel.
func TestAbsoluteForm(t *testing.T) {
	w := newWorld(t)
	head := func(target, host, authorization string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\nProxy-Authorization: " + authorization +
			"\r\nContent-Type: " + formType + "\r\nContent-Length: 28\r\n\r\n" + inChannel
	}
	for name, tc := range map[string]struct {
		raw    string
		status int
	}{
		"allowed":           {head(slackPost, "slack.com", basic), 200},
		"with a port":       {head("https://slack.com:443/api/chat.postMessage", "slack.com:443", basic), 200},
		"another host":      {head(slackPost, "api.anthropic.com", basic), 403},
		"unknown host":      {head("https://evil.example/x", "evil.example", basic), 403},
		"another port":      {head("https://slack.com:8443/api/auth.test", "slack.com:8443", basic), 403},
		"user in the URL":   {head("https://x@slack.com/api/auth.test", "slack.com", basic), 403},
		"address":           {head("https://127.0.0.1/api/auth.test", "127.0.0.1", basic), 403},
		"plain HTTP":        {head("http://slack.com/api/chat.postMessage", "slack.com", basic), 403},
		"no target at all":  {head("/api/chat.postMessage", "slack.com", basic), 403},
		"wrong password":    {head(slackPost, "slack.com", "Basic Y2xhdzp3cm9uZw=="), 407},
		"password as token": {head(slackPost, "slack.com", "Bearer "+password), 407},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.requests())
			status, body := exchangeRaw(t, w.dial(), tc.raw)
			if status != tc.status {
				t.Errorf("got %d %s, want %d", status, body, tc.status)
			}
			if sent := len(w.requests()) - before; (tc.status == 200) != (sent == 1) {
				t.Errorf("%d requests were sent", sent)
			}
		})
	}
}

func TestTunnelIsRefused(t *testing.T) {
	w := newWorld(t, func(_ *Config, snap *state.Snapshot) { snap.Grant.Models = nil })
	connect := func(target, host string) string {
		return "CONNECT " + target + " HTTP/1.1\r\nHost: " + host + "\r\nProxy-Authorization: " + basic + "\r\n\r\n"
	}
	for name, tc := range map[string]struct {
		raw    string
		status int
	}{
		"address":               {connect("127.0.0.1:443", "127.0.0.1:443"), 403},
		"metadata address":      {connect("169.254.169.254:443", "169.254.169.254:443"), 403},
		"IPv6 address":          {connect("[::1]:443", "[::1]:443"), 403},
		"decimal address":       {connect("2130706433:443", "2130706433:443"), 403},
		"unknown host":          {connect("evil.example:443", "evil.example:443"), 403},
		"host of another grant": {connect("api.anthropic.com:443", "api.anthropic.com:443"), 403},
		"subdomain":             {connect("files.slack.com:443", "files.slack.com:443"), 403},
		"trailing dot":          {connect("slack.com.:443", "slack.com.:443"), 403},
		"capitals":              {connect("SLACK.com:443", "slack.com:443"), 403},
		"other port":            {connect("slack.com:80", "slack.com:80"), 403},
		"no port":               {connect("slack.com", "slack.com"), 403},
		"port twice":            {connect("slack.com:443:443", "slack.com:443"), 403},
		"user":                  {connect("x@slack.com:443", "slack.com:443"), 403},
		"another Host":          {connect("slack.com:443", "evil.example"), 403},
		"NUL":                   {connect("slack.com\x00.evil.example:443", "slack.com"), 400},
		"no password":           {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\n\r\n", 407},
		"wrong password":        {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: Basic Y2xhdzp3cm9uZw==\r\n\r\n", 407},
		"wrong user":            {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: Basic YWRtaW46Y29ycmVjdC1ob3JzZQ==\r\n\r\n", 407},
		"with a body":           {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nContent-Length: 3\r\nProxy-Authorization: " + basic + "\r\n\r\nabc", 400},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.log.Records())
			status, body := exchangeRaw(t, w.dial(), tc.raw)
			if status != tc.status {
				t.Errorf("got %d %s, want %d", status, body, tc.status)
			}
			got := w.log.Records()[before:]
			if len(got) != 1 || got[0].Decision != audit.Denied || got[0].Reason == "" {
				t.Fatalf("records %+v", got)
			}
			if target := strings.Fields(tc.raw)[1]; tc.status == 403 && !strings.Contains(string(got[0].Parameters), `"`+target+`"`) {
				t.Errorf("what was asked for is not in the record: %s", got[0].Parameters)
			}
		})
	}
}

func TestDenials(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	for name, tc := range map[string]struct {
		url, contentType, body string
		status                 int
		code, rule             string
	}{
		"another channel":        {slackPost, formType, elsewhere, 200, codeDenied, "default"},
		"deletion":               {"https://slack.com/api/chat.delete", formType, "channel=C0SUPPORT&ts=1", 200, codeDenied, "default"},
		"administration":         {"https://slack.com/api/conversations.kick", formType, "channel=C0SUPPORT&user=U1", 200, codeDenied, "default"},
		"operation not listed":   {"https://slack.com/api/conversations.history", formType, "channel=C0SUPPORT", 200, codeDenied, "catalogue"},
		"channel twice":          {slackPost, jsonType, `{"channel":"C0SUPPORT","channel":"C0GENERAL"}`, 200, codeMalformed, "catalogue"},
		"placeholder in text":    {slackPost, formType, inChannel + "+xoxb-claw-placeholder", 200, codeDenied, "placeholder"},
		"placeholder of another": {askModel, jsonType, `{"model":"claude-sonnet-5","system":"xoxb-claw-placeholder"}`, 403, codeDenied, "placeholder"},
		"another model":          {askModel, jsonType, `{"model":"gpt-6"}`, 403, codeDenied, "default"},
		"no model":               {askModel, jsonType, `{}`, 400, codeMalformed, "catalogue"},
		"multipart":              {slackPost, "multipart/form-data; boundary=x", "--x--", 200, codeMalformed, "catalogue"},
		"too large":              {slackPost, formType, inChannel + strings.Repeat("x", 5<<20), 200, codeMalformed, "http"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := w.post(c, tc.url, tc.contentType, tc.body)
			if status != tc.status || !strings.Contains(body, `"`+tc.code+`"`) {
				t.Errorf("got %d %s", status, body)
			}
			records := w.log.Records()
			last := records[len(records)-1]
			if last.Decision != audit.Denied || last.Rule != tc.rule || header.Get(recordHeader) == "" || !strings.Contains(body, header.Get(recordHeader)) {
				t.Errorf("record %+v, header %v, body %s", last, header, body)
			}
		})
	}
	if got := w.requests(); len(got) != 0 {
		t.Errorf("sent: %+v", got)
	}
}

func TestPlaceholderInAPassedHeader(t *testing.T) {
	w := newWorld(t)
	r, _ := http.NewRequest(http.MethodPost, askModel, strings.NewReader(modelBody))
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("Idempotency-Key", "sk-ant-claw-placeholder")
	if status, _, _ := w.do(w.client(), r); status != 403 || len(w.requests()) != 0 {
		t.Errorf("got %d", status)
	}
}

func TestNothingIsSentThatIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	w.log.Fail(errors.New("disk full")) // also what an outage of the ledger looks like
	c := w.client()
	for _, tc := range []struct{ url, contentType, body string }{
		{slackPost, formType, inChannel}, {slackPost, formType, elsewhere}, {askModel, jsonType, modelBody},
	} {
		status, _, body := w.post(c, tc.url, tc.contentType, tc.body)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, codeUnrecorded) {
			t.Errorf("got %d %s", status, body)
		}
		if strings.HasPrefix(tc.url, "https://slack") != strings.Contains(body, `"ok":false`) {
			t.Errorf("not in the connector's shape: %s", body)
		}
	}
	if got := w.requests(); len(got) != 0 {
		t.Errorf("sent: %+v", got)
	}
	w.log.Fail(nil)
	if status, _, _ := w.post(c, slackPost, formType, inChannel); status != 200 {
		t.Errorf("got %d once records are kept again", status)
	}
}

// The decision is durable before anything is sent, however slow that is.
func TestDecisionPrecedesEffect(t *testing.T) {
	entered := make(chan audit.Record, 1)
	w := newWorld(t, announcing(entered))
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		if got := w.log.Records(); len(got) != 1 || got[0].Phase != audit.PhaseDecision {
			t.Errorf("asked with these records: %+v", got)
		}
		_, _ = rw.Write([]byte(`{"ok":true}`))
	})
	release := w.log.Hold()
	done := make(chan int)
	go func() {
		status, _, _ := w.post(w.client(), slackPost, formType, inChannel)
		done <- status
	}()
	<-entered
	if len(w.requests()) != 0 {
		t.Error("sent before the record")
	}
	release()
	if status := <-done; status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestCompressedBodies(t *testing.T) {
	w := newWorld(t)
	zip := func(body string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, body)
		_ = z.Close()
		return b.String()
	}
	for name, tc := range map[string]struct {
		coding, body string
		want         string
	}{
		"gzip":           {"gzip", zip(inChannel), `"ok":true`},
		"identity":       {"identity", inChannel, `"ok":true`},
		"forbidden":      {"gzip", zip(elsewhere), codeDenied},
		"not gzip":       {"gzip", inChannel, codeMalformed},
		"cut off":        {"gzip", zip(inChannel)[:20], codeMalformed},
		"with a tail":    {"gzip", zip(inChannel) + "x", codeMalformed},
		"bomb":           {"gzip", zip(strings.Repeat("a", 64<<20)), codeMalformed},
		"twice":          {"gzip, gzip", zip(zip(inChannel)), codeMalformed},
		"brotli":         {"br", inChannel, codeMalformed},
		"hidden channel": {"gzip", zip(inChannel) + zip("&channel=C0GENERAL"), codeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequest(http.MethodPost, slackPost, strings.NewReader(tc.body))
			r.Header.Set("Content-Type", formType)
			r.Header.Set("Content-Encoding", tc.coding)
			if _, _, body := w.do(w.client(), r); !strings.Contains(body, tc.want) {
				t.Errorf("got %s, want %s", body, tc.want)
			}
		})
	}
	for _, got := range w.requests() {
		if got.Body != sentOn || got.Header.Get("Content-Encoding") != "" {
			t.Errorf("sent: %+v", got)
		}
	}
}

func TestInactiveGrantClosesConnections(t *testing.T) {
	for name, change := range map[string]func(*state.Snapshot){
		"revoked":  func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked },
		"no grant": func(s *state.Snapshot) { s.Grant.AgentIPs = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config, s *state.Snapshot) {
				change(s)
				c.Limits.Hold = 1 // nanosecond
			})
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				return // closed already
			}
			defer conn.Close()
			if status, _ := exchangeRaw(t, conn, "CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 0 {
				t.Errorf("got %d", status)
			}
		})
	}
}

func TestUnusableCredential(t *testing.T) {
	for name, change := range map[string]func(*state.Snapshot){
		"no key":               func(s *state.Snapshot) { delete(s.Keys, "slack") },
		"not in the grant":     func(s *state.Snapshot) { s.Grant.Credentials = nil },
		"of another connector": func(s *state.Snapshot) { s.Grant.Credentials[0].Connector = "anthropic" },
		"with a line break": func(s *state.Snapshot) {
			s.Keys["slack"] = map[string]secret.Value{"botToken": secret.New([]byte("xoxb-1\r\nX: y"))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *Config, s *state.Snapshot) { change(s) })
			_, _, body := w.post(w.client(), slackPost, formType, inChannel)
			if !strings.Contains(body, codeDenied) || len(w.requests()) != 0 {
				t.Errorf("got %s", body)
			}
		})
	}
}

func TestProxyURLWithoutPassword(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr})
	if _, err := c.Post(slackPost, formType, strings.NewReader(inChannel)); err == nil || !strings.Contains(err.Error(), "Proxy Authentication Required") {
		t.Errorf("got %v", err)
	}
}

// A connection that was idle for longer than a write may take can still be told to go on.
func TestContinueAfterIdleness(t *testing.T) {
	w := newWorld(t)
	conn := w.tunnel("slack.com")
	exchangeRaw(t, conn, "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n")
	w.proxy.mu.Lock()
	for s := range w.proxy.sessions {
		_ = s.raw.SetWriteDeadline(time.Unix(1, 0)) // as an answer long ago has left it
	}
	w.proxy.mu.Unlock()
	raw := "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nExpect: 100-continue\r\nContent-Type: " + formType + "\r\nContent-Length: 28\r\n\r\n"
	if status, _ := exchangeRaw(t, conn, raw+inChannel); status != 100 {
		t.Errorf("got %d", status)
	}
	w.wait("outcome", func(r audit.Record) bool { return isOutcome(r) && r.Operation == "chat.postMessage" })
}
