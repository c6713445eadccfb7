package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// held is what a gateway holds while nothing is asked.
type held struct {
	heap       uint64
	goroutines int
}

// settle waits until the proxy has no session, and returns what is held then.
func (w *world) settle() (h held) {
	w.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		w.proxy.mu.Lock()
		sessions := len(w.proxy.sessions)
		w.proxy.mu.Unlock()
		if sessions == 0 {
			break
		}
		select {
		case <-deadline.C:
			w.t.Fatalf("%d sessions are kept", sessions)
		case <-time.After(5 * time.Millisecond):
		}
	}
	// What pools keep goes with the second collection.
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return held{m.HeapAlloc, runtime.NumGoroutine()}
}

// forgetful keeps no record.
type forgetful struct{}

func (forgetful) Append(_ context.Context, r audit.Record) (audit.Record, error) { return r, nil }

// Connections leave nothing behind: ten thousand tunnels, ten thousand that were led here by name, and as many that are
// refused, on each way.
func TestTenThousandConnectionsLeaveNothing(t *testing.T) {
	const connections, workers = 10_000, 8
	w := newWorld(t, func(c *Config, _ *state.Snapshot) {
		c.Limits.Denials, c.Limits.DenialBurst, c.Log = 1e6, 1e6, forgetful{}
	})
	steered := w.also(w.proxy.ServeTLS)
	sessions := tls.NewLRUClientSessionCache(2)
	shake := func(raw net.Conn, server string) error {
		conn := tls.Client(raw, &tls.Config{RootCAs: w.roots, ServerName: server, ClientSessionCache: sessions})
		if err := conn.Handshake(); err != nil {
			return err
		}
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n") // is refused, and says so
		_, _ = io.ReadAll(conn)
		return err
	}
	for name, connect := range map[string]func(raw net.Conn) error{
		"tunnels": func(raw net.Conn) error {
			_, err := io.WriteString(raw, "CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: "+basic+"\r\n\r\n")
			if err == nil {
				_, err = io.ReadFull(raw, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n")))
			}
			if err == nil {
				err = shake(raw, "slack.com")
			}
			return err
		},
		"steered": func(raw net.Conn) error { return shake(raw, "slack.com") },
		"refused": func(raw net.Conn) error {
			_ = shake(raw, "evil.example")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := steered
			if name == "tunnels" {
				address = w.addr
			}
			run := func(n int) {
				var all sync.WaitGroup
				for range workers {
					all.Go(func() {
						for range n / workers {
							raw, err := net.Dial("tcp", address)
							if err == nil {
								_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
								err = connect(raw)
								_ = raw.Close()
							}
							if err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
			}
			run(connections / 50) // caches and pools are filled
			before := w.settle()
			run(connections)
			after := w.settle()
			if more := int64(after.heap) - int64(before.heap); more > 1<<20 {
				t.Errorf("%d KiB more after %d connections", more>>10, connections)
			}
			if more := after.goroutines - before.goroutines; more > 4 {
				t.Errorf("%d goroutines more", more)
			}
			t.Logf("heap %d KiB before, %d KiB after; goroutines %d, %d", before.heap>>10, after.heap>>10, before.goroutines, after.goroutines)
		})
	}
}
