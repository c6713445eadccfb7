package gateway

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

const shortly = 50 * time.Millisecond

func TestSlowBody(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Body = shortly })
	conn := w.tunnel("slack.com")
	_, body := exchangeRaw(t, conn, "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: "+formType+"\r\nContent-Length: 28\r\n\r\nchannel=")
	if !strings.Contains(body, codeMalformed) {
		t.Errorf("got %q", body)
	}
	if d := w.wait("denial", isDenied); d.Reason != "the body did not arrive" {
		t.Errorf("record %+v", d)
	}
}

func TestIdleConnection(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Idle = shortly })
	for name, conn := range map[string]net.Conn{"plain": w.dial(), "tunnel": w.tunnel("slack.com")} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
}

func TestSlowHandshake(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Head = shortly })
	conn := w.dial()
	if status, _ := exchangeRaw(t, conn, "CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 200 {
		t.Fatalf("got %d", status)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a handshake that does not begin is waited for")
	}
}

// An agent that does not read its answer does not keep a provider's connection for ever.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Write = shortly })
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := rw.Write(piece); err != nil {
				return
			}
		}
	})
	conn := w.tunnel("slack.com")
	_, _ = io.WriteString(conn, "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n")
	if o := w.wait("outcome", isOutcome); o.Reason != "the agent hung up" {
		t.Errorf("outcome %+v", o)
	}
}

// A provider that says nothing is given up.
func TestSilentProvider(t *testing.T) {
	for name, begins := range map[string]bool{"before the answer": false, "in the answer": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Upstream = shortly })
			w.answers(func(rw http.ResponseWriter, r *http.Request) {
				if begins {
					_, _ = io.WriteString(rw, "x")
					rw.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			})
			resp, err := w.client().Post("https://slack.com/api/auth.test", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			_, _ = io.ReadAll(resp.Body)
			if o := w.wait("outcome", isOutcome); o.Reason != "the provider was silent for too long" {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestTooManyConnections(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Connections = 2 })
	first, _ := w.tunnel("slack.com"), w.tunnel("slack.com")
	third := w.dial()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is served")
	}
	if status, _ := exchangeRaw(t, first, "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n"); status != 200 {
		t.Errorf("the first is not: %d", status)
	}
}

func TestLeaves(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Now())
	leaves := NewLeaves(clock)
	snap := snapshot()
	snap.CA, snap.CAKey = authority(t)
	get := func() *x509.Certificate {
		t.Helper()
		cert, err := leaves.Certificate(snap, "slack.com")
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}
	first := get()
	roots := x509.NewCertPool()
	roots.AddCert(snap.CA)
	if _, err := first.Verify(x509.VerifyOptions{Roots: roots, DNSName: "slack.com"}); err != nil {
		t.Error(err)
	}
	if first.VerifyHostname("api.anthropic.com") == nil || first.IsCA {
		t.Error("the leaf is good for more than its host")
	}
	if life := first.NotAfter.Sub(first.NotBefore); life > 24*time.Hour {
		t.Errorf("the leaf lives %s", life)
	}
	if get() != first {
		t.Error("the leaf is not kept")
	}
	clock.SetTime(clock.Now().Add(13 * time.Hour))
	second := get()
	if second == first || !second.NotAfter.After(clock.Now().Add(12*time.Hour)) {
		t.Error("the leaf is not renewed in time")
	}
	snap.CA, snap.CAKey = authority(t)
	if third := get(); third.CheckSignatureFrom(snap.CA) != nil {
		t.Error("the leaf is of the former authority")
	}
	snap.CA = nil
	if _, err := leaves.Certificate(snap, "slack.com"); err == nil {
		t.Error("a leaf without an authority")
	}
}

// Bodies together take no more memory than they may: one that finds no room in time is refused, and room comes back.
func TestMemoryOfBodies(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.MemoryBytes, c.Limits.Body = 5<<20, shortly })
	head := "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: " + formType + "\r\n"
	w.proxy.memory.TryAcquire(5 << 20)
	if _, body := exchangeRaw(t, w.tunnel("slack.com"), head+"Content-Length: 28\r\n\r\n"+inChannel); !strings.Contains(body, codeUnavailable) {
		t.Errorf("got %s", body)
	}
	w.proxy.memory.Release(5 << 20)
	for range 3 {
		if _, body := exchangeRaw(t, w.tunnel("slack.com"), head+"Transfer-Encoding: chunked\r\n\r\n1c\r\n"+inChannel+"\r\n0\r\n\r\n"); !strings.Contains(body, `"ok":true`) {
			t.Errorf("got %s", body)
		}
	}
}

// An agent that asks and asks for what it may not is answered more slowly, and not cut off from what it may.
func TestDenialsAreSlowedDown(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Denials, c.Limits.DenialBurst = 1, 2 })
	conn := w.tunnel("slack.com")
	ask := func(path string) string {
		_, body := exchangeRaw(t, conn, "POST "+path+" HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n")
		return body
	}
	for range 2 {
		if body := ask("/api/chat.everything"); !strings.Contains(body, codeDenied) {
			t.Fatalf("got %q", body)
		}
	}
	if w.proxy.denials.Allow() {
		t.Error("a third is not slowed down")
	}
	if body := ask("/api/auth.test"); !strings.Contains(body, `"ok":true`) {
		t.Errorf("what is allowed: got %q", body)
	}
}
