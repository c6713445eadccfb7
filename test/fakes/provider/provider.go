// Package provider fakes the providers a Claw talks to: the Slack Web API, the Anthropic Messages
// API and the OpenAI chat completions API, and a host nobody should reach. They behave like the
// real ones where it matters here: they demand the real key, and they remember every call.
package provider

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The hosts that are faked.
const (
	SlackHost     = "slack.com"
	AnthropicHost = "api.anthropic.com"
	OpenAIHost    = "api.openai.com"
	EvilHost      = "evil.example"
)

// Keys are what the providers accept. An empty one accepts nothing.
type Keys struct {
	// SlackBotTokens by the bot's user id.
	SlackBotTokens map[string]string `json:"slackBotTokens,omitempty"`
	// AnthropicAPIKeys and OpenAIAPIKeys are accepted alike.
	AnthropicAPIKeys []string `json:"anthropicAPIKeys,omitempty"`
	OpenAIAPIKeys    []string `json:"openaiAPIKeys,omitempty"`
}

// Call is one request that reached a provider.
type Call struct {
	Seq    int       `json:"seq"`
	Time   time.Time `json:"time"`
	Host   string    `json:"host"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	// Key says what the call was authenticated with: "valid", "wrong" or "none".
	Key string `json:"key"`
	// Body as it was sent: JSON, or a form turned into a JSON object.
	Body json.RawMessage `json:"body,omitempty"`
	// Headers by lower-case name, credentials left out.
	Headers map[string]string `json:"headers,omitempty"`
	Status  int               `json:"status"`
	// Events that were streamed, and when the last of them was written; while it runs, the latest.
	Events    int       `json:"events,omitempty"`
	LastEvent time.Time `json:"lastEvent,omitzero"`
	Done      bool      `json:"done"`
}

// Providers answers for all hosts.
type Providers struct {
	mu     sync.Mutex
	keys   Keys
	calls  []*Call
	change chan struct{} // closed and replaced whenever something above changes
}

// New returns providers that accept no key yet.
func New() *Providers { return &Providers{change: make(chan struct{})} }

// SetKeys replaces the accepted keys.
func (p *Providers) SetKeys(keys Keys) { p.update(func() { p.keys = keys }) }

// Reset forgets all calls.
func (p *Providers) Reset() { p.update(func() { p.calls = nil }) }

// Calls returns copies of the calls after seq, and a channel that closes when there may be more.
func (p *Providers) Calls(after int) ([]Call, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var calls []Call
	for _, call := range p.calls {
		if call.Seq > after {
			calls = append(calls, *call)
		}
	}
	return calls, p.change
}

func (p *Providers) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.change)
	p.change = make(chan struct{})
}

func (p *Providers) accepted() Keys {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys
}

// maxBody is more than any request of the tests.
const maxBody = 8 << 20

// ServeHTTP implements http.Handler: it remembers the call and lets the host answer.
func (p *Providers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	call := &Call{Host: host, Method: r.Method, Path: r.URL.RequestURI(), Key: "none", Headers: headers(r), Time: time.Now().UTC()}
	call.Body = asJSON(r.Header.Get("Content-Type"), body)
	p.update(func() {
		call.Seq = 1
		if n := len(p.calls); n > 0 {
			call.Seq = p.calls[n-1].Seq + 1
		}
		p.calls = append(p.calls, call)
	})
	recorder := &statusWriter{ResponseWriter: w}
	exchange := &exchange{Providers: p, call: call, keys: p.accepted(), w: recorder, r: r, path: strings.TrimSuffix(r.URL.Path, "/")}
	defer p.update(func() { call.Status, call.Done = recorder.status, true })
	switch host {
	case SlackHost:
		exchange.slack()
	case AnthropicHost:
		exchange.anthropic()
	case OpenAIHost:
		exchange.openAI()
	default:
		exchange.json(http.StatusOK, map[string]string{"loot": "thank you"})
	}
}

// exchange is one call being answered.
type exchange struct {
	*Providers
	call *Call
	keys Keys
	w    *statusWriter
	r    *http.Request
	path string
}

// judged remembers whether the call's key was the right one.
func (e *exchange) judged(key string) { e.update(func() { e.call.Key = key }) }

func (e *exchange) json(status int, body any) {
	e.w.Header().Set("Content-Type", "application/json")
	e.w.WriteHeader(status)
	_ = json.NewEncoder(e.w).Encode(body) // the client is gone, or it is not
}

// judge compares what was presented with what is accepted.
func judge(presented string, accepted []string) string {
	if presented == "" {
		return "none"
	}
	for _, key := range accepted {
		if key != "" && key == presented {
			return "valid"
		}
	}
	return "wrong"
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// secretHeaders are never remembered.
var secretHeaders = map[string]bool{"authorization": true, "x-api-key": true, "cookie": true, "proxy-authorization": true}

func headers(r *http.Request) map[string]string {
	kept := map[string]string{}
	for name, values := range r.Header {
		if name = strings.ToLower(name); !secretHeaders[name] {
			kept[name] = strings.Join(values, ", ")
		}
	}
	return kept
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
