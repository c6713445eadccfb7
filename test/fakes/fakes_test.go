package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/test/fakes/ca"
	"github.com/clawstaff/clawstaff/test/fakes/control"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

// world is a running set of fakes and a client that reaches every faked host.
type world struct {
	control *control.Client
	web     *http.Client
}

func start(t *testing.T) world {
	t.Helper()
	authority, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	providers := provider.New()
	secure := httptest.NewUnstartedServer(providers)
	secure.TLS = &tls.Config{GetCertificate: authority.GetCertificate}
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(control.Handler(providers, authority.PEM()))
	t.Cleanup(plain.Close)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, secure.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	w := world{control: &control.Client{URL: plain.URL, HTTP: plain.Client()}, web: &http.Client{Transport: transport}}
	keys := provider.Keys{SlackBotTokens: map[string]string{"U0TRIAGE": "xoxb-real"}, AnthropicAPIKeys: []string{"sk-ant-real"}, OpenAIAPIKeys: []string{"sk-real"}}
	if err := w.control.SetKeys(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	return w
}

// call sends a request and returns status and body.
func (w world) call(t *testing.T, method, url, body string, headers map[string]string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := w.web.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func TestProvidersDemandTheRealKey(t *testing.T) {
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	question := `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`
	version := map[string]string{"Content-Type": jsonType, "anthropic-version": "2023-06-01"}
	with := func(headers map[string]string, name, value string) map[string]string {
		all := map[string]string{name: value}
		for k, v := range headers {
			all[k] = v
		}
		return all
	}
	cases := []struct {
		name, url, body string
		headers         map[string]string
		status          int
		want, key       string
	}{
		{"slack with its token", "https://slack.com/api/auth.test", "", map[string]string{"Authorization": "Bearer xoxb-real"}, 200, `"user_id":"U0TRIAGE"`, "valid"},
		{"slack with the token in the form", "https://slack.com/api/auth.test", "token=xoxb-real", map[string]string{"Content-Type": form}, 200, `"ok":true`, "valid"},
		{"slack with a placeholder", "https://slack.com/api/auth.test", "", map[string]string{"Authorization": "Bearer xoxb-claw-placeholder"}, 200, "invalid_auth", "wrong"},
		{"slack without", "https://slack.com/api/auth.test", "", nil, 200, "not_authed", "none"},
		{"anthropic with its key", "https://api.anthropic.com/v1/messages", question, with(version, "x-api-key", "sk-ant-real"), 200, "I read", "valid"},
		{"anthropic without a version", "https://api.anthropic.com/v1/messages", question, map[string]string{"x-api-key": "sk-ant-real"}, 400, "anthropic-version", "valid"},
		{"anthropic with another key", "https://api.anthropic.com/v1/messages", question, with(version, "x-api-key", "sk-ant-other"), 401, "authentication_error", "wrong"},
		{"openai with its key", "https://api.openai.com/v1/chat/completions", question, map[string]string{"Authorization": "Bearer sk-real"}, 200, "I read", "valid"},
		{"openai without", "https://api.openai.com/v1/chat/completions", question, nil, 401, "Incorrect", "none"},
		{"another host", "https://evil.example/", "loot", nil, 200, "thank you", "none"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := start(t)
			status, body := w.call(t, http.MethodPost, c.url, c.body, c.headers)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("got %d %s, want %d with %q", status, body, c.status, c.want)
			}
			call, err := w.control.Await(t.Context(), func(provider.Call) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.key, call.Key); diff != "" {
				t.Errorf("key (-want +got):\n%s", diff)
			}
			for name := range call.Headers {
				if name == "authorization" || name == "x-api-key" {
					t.Errorf("the call remembers the credential header %s", name)
				}
			}
		})
	}
}

func TestAnthropicStreamsEvents(t *testing.T) {
	w := start(t)
	headers := map[string]string{"x-api-key": "sk-ant-real", "anthropic-version": "2023-06-01"}
	ask := func(text string) string {
		_, body := w.call(t, http.MethodPost, "https://api.anthropic.com/v1/messages",
			fmt.Sprintf(`{"model":"m","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":%q}]}]}`, text), headers)
		return body
	}
	body := ask("hi")
	for _, event := range []string{"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"} {
		if !strings.Contains(body, "event: "+event+"\ndata: {") {
			t.Errorf("no event %s in\n%s", event, body)
		}
	}
	if n := strings.Count(ask("ENDLESS 1"), "content_block_delta"); n < 20 {
		t.Errorf("an endless second has %d deltas; want one every %s", n, provider.EventInterval)
	}
}

func TestAnEndlessStreamEndsWithItsClient(t *testing.T) {
	w := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.anthropic.com/v1/messages",
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"ENDLESS 3600"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("x-api-key", "sk-ant-real")
	request.Header.Set("anthropic-version", "2023-06-01")
	response, err := w.web.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := response.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	call, err := w.control.Await(t.Context(), func(c provider.Call) bool { return c.Path == "/v1/messages" })
	if err != nil {
		t.Fatal(err)
	}
	if call.Events == 0 || call.LastEvent.IsZero() {
		t.Errorf("the call does not say when its last event was written: %+v", call)
	}
}

func TestDeliveriesAreSignedAsSlackSigns(t *testing.T) {
	w := start(t)
	type seen struct{ Signature, Want, Body string }
	var got seen
	gateway := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var ts int64
		_, _ = fmt.Sscan(r.Header.Get("X-Slack-Request-Timestamp"), &ts)
		got = seen{r.Header.Get("X-Slack-Signature"), provider.Sign("shh", ts, string(body)), string(body)}
	}))
	defer gateway.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gateway.Certificate().Raw}))
	delivery := provider.Delivery{
		URL: "https://example.com/hooks/slack", Address: gateway.Listener.Addr().String(), CA: authority, SigningSecret: "shh",
		Message: provider.Message{User: "U01SARAH", Channel: "C0SUPPORT", Text: "hello"},
	}
	receipt, err := w.control.Deliver(t.Context(), delivery)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Status != http.StatusOK || got.Signature != got.Want || !strings.Contains(got.Body, `"text":"hello"`) {
		t.Errorf("receipt %+v, seen %+v", receipt, got)
	}
	first := got
	if _, err := w.control.Deliver(t.Context(), receipt.Sent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got); diff != "" {
		t.Errorf("a replay is not byte for byte the same (-first +second):\n%s", diff)
	}
	delivery.Timestamp = time.Now().Add(-time.Hour).Unix()
	delivery.Signature = "v0=00"
	if _, err := w.control.Deliver(t.Context(), delivery); err != nil {
		t.Fatal(err)
	}
	if got.Signature != "v0=00" || got.Want == got.Signature {
		t.Errorf("a given signature is not sent as it is: %+v", got)
	}
}

func TestTheAuthorityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := ca.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ca.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first.PEM()), string(second.PEM())); diff != "" {
		t.Errorf("the second start made another authority:\n%s", diff)
	}
}
