// Command agent is the agent of the benchmarks: the worst client a revocation can have. It holds an answer of
// the model open, asks again the moment it breaks off, and does not listen when it is told to end. What it saw is
// on its standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/test/bench/agent/seen"
)

// defiance is how long it goes on trying after its last byte, and how long it ignores being told to end.
const defiance = seen.Defiance

// impatience is how long it tries to connect before it tries anew.
const impatience = 100 * time.Millisecond

func main() {
	listener, err := net.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go accept(listener)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	if os.Getenv(seen.EnvStream) == "" {
		<-told
		return
	}
	w := &witness{name: os.Getenv(seen.EnvStream)}
	ctx, stop := context.WithCancel(context.Background())
	go w.stream(ctx)
	w.report()
	stop()
	<-told
}

// accept is all a readiness probe needs.
func accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// witness remembers what came.
type witness struct {
	name string

	mu   sync.Mutex
	line seen.Line
}

// report prints what was seen, ten times a second, until nothing has come for too long.
func (w *witness) report() {
	out := json.NewEncoder(os.Stdout)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		line := w.now()
		line.Over = line.LastByte != 0 && time.Since(time.UnixMicro(line.LastByte)) > defiance
		_ = out.Encode(line) // who does not read it misses it
		if line.Over {
			return
		}
	}
}

func (w *witness) now() seen.Line {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.line
}

// stream asks, and asks again the moment there is no more.
func (w *witness) stream(ctx context.Context) {
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: impatience}).DialContext, // a door that was shut without a word must not keep it
	}
	for ctx.Err() == nil {
		w.update(func(l *seen.Line) { l.Connections++ })
		err := w.once(ctx, transport)
		w.update(func(l *seen.Line) {
			l.Refusals++
			l.Error = err.Error()
		})
		transport.CloseIdleConnections()
	}
}

// once asks for an endless answer and reads it to its end, which is never a good one.
func (w *witness) once(ctx context.Context, transport *http.Transport) error {
	body := fmt.Sprintf(`{"model":"claude-sonnet-5","max_tokens":65536,"stream":true,"system":%q,"messages":[{"role":"user","content":"ENDLESS 3600"}]}`, w.name)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.anthropic.com/v1/messages", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("anthropic-version", "2023-06-01")
	request.Header.Set("x-api-key", os.Getenv("ANTHROPIC_API_KEY"))
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500)) // what there is of it
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadSlice('\n')
		w.byte(line)
		if err != nil {
			return err
		}
	}
}

// byte notes that something of an answer came.
func (w *witness) byte(line []byte) {
	if len(line) == 0 {
		return
	}
	now := time.Now().UnixMicro()
	sent := seen.Sent(line)
	w.update(func(l *seen.Line) {
		if l.LastByte != 0 {
			l.Pause = max(l.Pause, now-l.LastByte)
		}
		l.LastByte = now
		if sent == 0 {
			return
		}
		l.Events++
		l.LastSent = sent
		if way := now - sent; l.Events == 1 || way < l.Way {
			l.Way = way
		}
	})
}

func (w *witness) update(change func(*seen.Line)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.line)
}
