package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

// streams makes the provider stream what is sent to the returned channel, an event each.
func (w *world) streams() chan<- string {
	events := make(chan string)
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.WriteHeader(200)
		rw.(http.Flusher).Flush()
		for {
			select {
			case e, ok := <-events:
				if !ok {
					return
				}
				_, _ = io.WriteString(rw, e)
				rw.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	return events
}

// open begins a call whose answer streams.
func (w *world) open(c *http.Client, url, contentType, body string) (*http.Response, *bufio.Reader) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp, bufio.NewReader(resp.Body)
}

func TestStreamIsPassedOnAtOnce(t *testing.T) {
	w := newWorld(t)
	events := w.streams()
	resp, r := w.open(w.client(), askModel, jsonType, modelBody)
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("header %v", resp.Header)
	}
	for i := range 5 {
		event := fmt.Sprintf("data: %d\n", i)
		events <- event
		if got, err := r.ReadString('\n'); err != nil || got != event { // the next event is not there yet
			t.Fatalf("got %q, %v", got, err)
		}
	}
	close(events)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("got %v", err)
	}
	if o := w.wait("outcome", isOutcome); o.BytesIn != 40 || o.Reason != "completed" || o.Kind != audit.KindModel {
		t.Errorf("outcome %+v", o)
	}
}

// Everything by which a stream can lose its permission cuts it at once, though it be silent; what it does not depend on
// leaves it alone.
func TestRevocationCutsStreams(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*state.Snapshot)
		cut    bool
	}{
		"Claw revoked":       {func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked }, true},
		"Claw stopped":       {func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantStopped }, true},
		"no grant":           {func(s *state.Snapshot) { s.Grant = nil }, true},
		"model withdrawn":    {func(s *state.Snapshot) { s.Grant.Models = nil }, true},
		"other models only":  {func(s *state.Snapshot) { s.Grant.Models = withModels("gpt-*") }, true},
		"credential revoked": {func(s *state.Snapshot) { delete(s.Keys, "anthropic") }, true},
		"key rotated":        {func(s *state.Snapshot) { s.Keys["anthropic"] = keyed("apiKey", "another-key") }, true},
		"address gone":       {func(s *state.Snapshot) { s.Grant.AgentIPs = []string{"192.0.2.7"} }, true},
		"password changed":   {func(s *state.Snapshot) { s.ProxyPassword = secret.New([]byte("another")) }, true},
		"schedule closed":    {func(s *state.Snapshot) { s.Grant.Schedules = []v1alpha1.Schedule{never} }, true},
		"definition changed": {func(s *state.Snapshot) {
			s.Grant.Connectors = []v1alpha1.GrantConnector{{Name: "anthropic", Definition: "another"}}
		}, true},
		"other connector":      {func(s *state.Snapshot) { s.Grant.Channels, s.Grant.Tools = nil, nil }, false},
		"other credential":     {func(s *state.Snapshot) { delete(s.Keys, "slack") }, false},
		"narrower, still fine": {func(s *state.Snapshot) { s.Grant.Models = withModels("claude-sonnet-5") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			events := w.streams()
			_, r := w.open(w.client(), askModel, jsonType, modelBody)
			events <- "data: 1\n"
			if _, err := r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			w.source.set(true, tc.change)
			if tc.cut {
				if b, err := io.ReadAll(r); err == nil || len(b) > 0 {
					t.Errorf("after the cut: %q, %v", b, err)
				}
				if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: ") || o.BytesIn != 8 || o.Upstream.Status != 200 {
					t.Errorf("outcome %+v", o)
				}
				return
			}
			events <- "data: 2\n"
			if got, err := r.ReadString('\n'); err != nil || got != "data: 2\n" {
				t.Errorf("got %q, %v", got, err)
			}
			close(events)
		})
	}
}

func withModels(p ...v1alpha1.Pattern) []v1alpha1.ModelRequest {
	m := v1alpha1.ModelRequest{Credential: "anthropic"}
	m.Connector, m.Models = "anthropic", p
	return []v1alpha1.ModelRequest{m}
}

func keyed(slot, key string) map[string]secret.Value {
	return map[string]secret.Value{slot: secret.New([]byte(key))}
}

// A snapshot that only lets more in ends nothing, and what is opened under it is judged when it ends.
func TestRevocationAfterGrowth(t *testing.T) {
	w := newWorld(t)
	events := w.streams()
	_, r := w.open(w.client(), askModel, jsonType, modelBody)
	w.source.set(false, func(s *state.Snapshot) { s.Grant.AgentIPs = []string{"127.0.0.1", "192.0.2.7"} })
	events <- "data: 1\n"
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.source.set(true, func(*state.Snapshot) {})
	}
	events <- "data: 2\n"
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.source.set(true, func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked })
	if _, err := io.ReadAll(r); err == nil {
		t.Error("not cut")
	}
}

func TestRevocationClosesIdleConnections(t *testing.T) {
	w := newWorld(t)
	kept := w.tunnel("api.anthropic.com")
	idle := w.tunnel("slack.com")
	plain := w.dial()
	used := w.tunnel("slack.com")
	if status, _ := exchangeRaw(t, used, "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n"); status != 200 {
		t.Fatalf("got %d", status)
	}
	// A credential or connector gone takes its tunnels with it and leaves the others.
	w.source.set(true, func(s *state.Snapshot) { s.Grant.Channels, s.Grant.Tools = nil, nil })
	for name, c := range map[string]net.Conn{"idle": idle, "used": used} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s is not closed", name)
		}
	}
	if status, _ := exchangeRaw(t, kept, "POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(modelBody))+"\r\n\r\n"+modelBody); status != 200 {
		t.Errorf("got %d", status)
	}
	w.source.set(true, func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked })
	for name, c := range map[string]net.Conn{"kept": kept, "plain": plain} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s is not closed", name)
		}
	}
}

func TestRevocationInTheMiddleOfARequest(t *testing.T) {
	w := newWorld(t)
	conn := w.tunnel("slack.com")
	_, _ = io.WriteString(conn, "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: "+formType+"\r\nContent-Length: 28\r\nExpect: 100-continue\r\n\r\n")
	_, _ = io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))) // the body is waited for
	w.source.set(true, func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked })
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("not cut")
	}
	if d := w.wait("denial", isDenied); !strings.HasPrefix(d.Reason, "cut: ") || len(w.requests()) != 0 {
		t.Errorf("record %+v", d)
	}
}

// What was decided and is being recorded when the revocation comes is not sent.
func TestRevocationWhileRecording(t *testing.T) {
	entered := make(chan audit.Record, 1)
	w := newWorld(t, announcing(entered))
	conn := w.tunnel("slack.com")
	release := w.log.Hold()
	_, _ = io.WriteString(conn, "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: "+formType+"\r\nContent-Length: 28\r\n\r\n"+inChannel)
	if r := <-entered; r.Decision != audit.Allowed {
		t.Errorf("record %+v", r)
	}
	w.source.set(true, func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked })
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("not cut")
	}
	release()
	if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: ") || o.Upstream.Status != 0 {
		t.Errorf("outcome %+v", o)
	}
	if got := w.requests(); len(got) != 0 {
		t.Errorf("sent: %+v", got)
	}
}

// The provider is told when the agent hangs up.
func TestAgentHangsUp(t *testing.T) {
	w := newWorld(t)
	_ = w.streams()
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, askModel, strings.NewReader(modelBody))
	r.Header.Set("Content-Type", jsonType)
	resp, err := w.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	if o := w.wait("outcome", isOutcome); o.Reason != "the agent hung up" {
		t.Errorf("outcome %+v", o)
	}
}

func TestUnknownAddressIsHeld(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *state.Snapshot) { s.Grant.AgentIPs = nil })
	c := w.client()
	done := make(chan int)
	go func() {
		resp, err := c.Post(slackPost, formType, strings.NewReader(inChannel))
		if err != nil {
			done <- 0
			return
		}
		_ = resp.Body.Close()
		done <- resp.StatusCode
	}()
	select {
	case status := <-done:
		t.Fatalf("answered %d before the address is known", status)
	case <-time.After(20 * time.Millisecond):
	}
	w.source.set(false, func(s *state.Snapshot) { s.Grant.AgentIPs = []string{"127.0.0.1"} })
	if status := <-done; status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestStranger(t *testing.T) {
	w := newWorld(t, func(c *Config, s *state.Snapshot) {
		s.Grant.AgentIPs = []string{"192.0.2.7"}
		c.Limits.Hold, c.Limits.Held = time.Millisecond, 1
	})
	conn := w.dial()
	if status, _ := exchangeRaw(t, conn, "CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 0 {
		t.Errorf("got %d", status)
	}
	if r := w.wait("denial", isDenied); r.Rule != "address" || r.Actor != "127.0.0.1" {
		t.Errorf("record %+v", r)
	}
}

// A gateway that is ending, and waits for what is under way, is told of a revocation and obeys.
func TestRevocationDuringShutdown(t *testing.T) {
	w := newWorld(t)
	events := w.streams()
	_, r := w.open(w.client(), askModel, jsonType, modelBody)
	events <- "data\n"
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.proxy.Shutdown(ctx) }()
	<-w.proxy.closed
	w.source.set(true, func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantRevoked })
	if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: ") {
		t.Errorf("outcome %+v", o)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdown(t *testing.T) {
	w := newWorld(t)
	events := w.streams()
	_, r := w.open(w.client(), askModel, jsonType, modelBody)
	idle := w.tunnel("slack.com")
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- w.proxy.Shutdown(ctx)
	}()
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection is kept")
	}
	events <- "data: 1\n"
	if _, err := r.ReadString('\n'); err != nil {
		t.Errorf("a call under way does not end: %v", err)
	}
	close(events)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if o := w.wait("outcome", isOutcome); o.Reason != "completed" {
		t.Errorf("outcome %+v", o)
	}
}

// A tool that is narrowed cuts the answers of calls it no longer allows, those of which nothing has come yet among them.
func TestNarrowedToolCutsWhatIsUnderWay(t *testing.T) {
	for name, begun := range map[string]bool{"a long poll": false, "a stream": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, things))
			entered := make(chan struct{}, 2)
			w.answers(func(rw http.ResponseWriter, r *http.Request) {
				if begun {
					_, _ = io.WriteString(rw, "data: 1\n")
					rw.(http.Flusher).Flush()
				}
				entered <- struct{}{}
				<-r.Context().Done()
			})
			ask := func(thing string) <-chan error {
				ended := make(chan error, 1)
				c := w.client()
				go func() {
					resp, err := c.Get("https://slack.com/v1/things/" + thing)
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						_ = resp.Body.Close()
					}
					ended <- err
				}()
				<-entered
				return ended
			}
			stays, goes := ask("a1"), ask("a2")
			w.source.set(true, func(s *state.Snapshot) {
				s.Grant.Tools = append([]v1alpha1.ToolRequest(nil), s.Grant.Tools...)
				s.Grant.Tools[0].Resources = []v1alpha1.ResourceScope{{Type: "thing", Names: []v1alpha1.Pattern{"a1"}}}
			})
			if err := <-goes; err == nil {
				t.Error("not cut")
			}
			if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: no longer allowed") || o.Resources[0] != "thing:a2" {
				t.Errorf("outcome %+v", o)
			}
			select {
			case err := <-stays:
				t.Errorf("what is still allowed ended: %v", err)
			default:
			}
		})
	}
}
