// Package gateway is the agent's way out: an HTTPS proxy that knows who asks, takes
// each request apart, judges and records it, puts the key in, and sends what it has
// understood, never what it was sent. Each step is a small handler that returns a
// denial; nothing is done before the record of it is durable.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// Config is what a Proxy needs. Source, Log and Catalogue are required.
type Config struct {
	// Source of the grant and the keys.
	Source state.Source
	// Log that makes records durable.
	Log audit.Log
	// Catalogue of connectors.
	Catalogue *connector.Catalogue
	// Resolver of providers' names; the system's where nil.
	Resolver Resolver
	// Dial connects to an address; the system's where nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Overrides gives hosts an exact address, which may be private. Only the platform's administrators set it.
	Overrides map[string]netip.AddrPort
	// Leaves makes the certificates shown to the agent; a new cache where nil.
	Leaves *Leaves
	// Meter of what the Claw does, for the grant's limits; one for calls alone where nil.
	Meter *meter.Meter
	// Clock by which schedules, expiry and certificates are judged; the real one where nil.
	Clock clock.PassiveClock
	// Logger for what goes wrong; none where nil.
	Logger *slog.Logger
	// Limits of what one agent may use; DefaultLimits for those that are zero.
	Limits Limits
}

// Limits bound what an agent can take from its gateway.
type Limits struct {
	Connections int           // of the agent, at once
	Held        int           // connections of unknown addresses, at once
	Hold        time.Duration // for which one is held, in case the grant comes to name its address
	Head        time.Duration // for the head of a request, and for a handshake
	Body        time.Duration // for the body of a request
	Idle        time.Duration // between requests
	Write       time.Duration // for the agent to take a part of an answer
	Upstream    time.Duration // for a provider to send something
	Record      time.Duration // for a record to become durable
	Denials     int           // recorded in a second, after a first DenialBurst: who asks for more waits
	DenialBurst int
	BodyBytes   int64         // of one body, decoded
	MemoryBytes int64         // of all bodies together, and of answers that are looked into
	AnswerBytes int           // of one answer, or event of a stream, that is looked into
	Answer      time.Duration // for an answer that is looked into as a whole
	SocketBytes int           // of one message over WebSocket
	SocketRate  int           // messages of the agent in a second, over one WebSocket; who sends more waits
}

// DefaultLimits are the limits of a gateway.
var DefaultLimits = Limits{
	Connections: 256,
	Held:        16,
	Hold:        10 * time.Second,
	Head:        10 * time.Second,
	Body:        60 * time.Second,
	Idle:        3 * time.Minute,
	Write:       30 * time.Second,
	Upstream:    10 * time.Minute,
	Record:      10 * time.Second,
	Denials:     20,
	DenialBurst: 400,
	BodyBytes:   5 << 20,
	MemoryBytes: 24 << 20,
	AnswerBytes: 5 << 20,
	Answer:      2 * time.Minute,
	SocketBytes: 1 << 20,
	SocketRate:  100,
}

// Proxy is the agent-side proxy. Serve may be called for several listeners.
type Proxy struct {
	cfg      Config
	limits   Limits
	leaves   *Leaves
	upstream *upstream
	steering *tls.Config // of connections that come without a tunnel
	memory   *semaphore.Weighted
	fakes    fakes // the placeholders of all keys
	selves   selves
	known    atomic.Pointer[knownSecrets]

	held      atomic.Int64
	recording patiently
	outcomes  chan struct{} // a place for each outcome that is being recorded
	denials   *rate.Limiter
	lookups   lookups

	mu        sync.Mutex
	sessions  map[*session]struct{}
	watched   map[<-chan struct{}]struct{} // nil until somebody relies on a snapshot
	shut      bool                         // the time allowed nothing when it was last looked at
	listeners map[net.Listener]struct{}
	closing   bool
	closed    chan struct{} // nothing new is begun
	ended     chan struct{} // and nothing is under way
	end       sync.Once
	running   sync.WaitGroup
}

// knownSecrets are the secrets of a snapshot.
type knownSecrets struct {
	of *state.Snapshot
	*secrets
}

const maxOutcomes = 256

// NewProxy returns a Proxy that waits for Serve.
func NewProxy(cfg Config) *Proxy {
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Meter == nil {
		cfg.Meter = &meter.Meter{}
	}
	if cfg.Leaves == nil {
		cfg.Leaves = NewLeaves(cfg.Clock)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	limits := cfg.Limits.orDefault()
	p := &Proxy{
		cfg:       cfg,
		limits:    limits,
		leaves:    cfg.Leaves,
		memory:    semaphore.NewWeighted(limits.MemoryBytes),
		outcomes:  make(chan struct{}, maxOutcomes),
		denials:   rate.NewLimiter(rate.Limit(limits.Denials), limits.DenialBurst),
		sessions:  map[*session]struct{}{},
		listeners: map[net.Listener]struct{}{},
		closed:    make(chan struct{}),
		ended:     make(chan struct{}),
	}
	p.steering = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: steer}
	p.lookups.every = rate.NewLimiter(lookupsEvery, lookupsBurst)
	p.upstream = newUpstream(cfg, func() *connector.Catalogue { return p.catalogue(cfg.Source.Current()) })
	return p
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits
	orInt(&l.Connections, d.Connections)
	orInt(&l.Held, d.Held)
	orInt(&l.Hold, d.Hold)
	orInt(&l.Head, d.Head)
	orInt(&l.Body, d.Body)
	orInt(&l.Idle, d.Idle)
	orInt(&l.Write, d.Write)
	orInt(&l.Upstream, d.Upstream)
	orInt(&l.Record, d.Record)
	orInt(&l.Denials, d.Denials)
	orInt(&l.DenialBurst, d.DenialBurst)
	orInt(&l.BodyBytes, d.BodyBytes)
	orInt(&l.MemoryBytes, d.MemoryBytes)
	orInt(&l.AnswerBytes, d.AnswerBytes)
	orInt(&l.Answer, d.Answer)
	orInt(&l.SocketBytes, d.SocketBytes)
	orInt(&l.SocketRate, d.SocketRate)
	return l
}

func orInt[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Serve accepts connections until the listener or the proxy is closed.
func (p *Proxy) Serve(l net.Listener) error { return p.accept(l, (*session).serve) }

// accept has connections served in one of the ways in.
func (p *Proxy) accept(l net.Listener, serve way) error {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		return net.ErrClosed
	}
	p.listeners[l] = struct{}{}
	p.mu.Unlock()
	backoff := 5 * time.Millisecond
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			backoff = 5 * time.Millisecond
			p.admit(conn, serve)
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of file descriptors, mostly
			p.cfg.Logger.Error("accepting a connection", "error", err)
			select {
			case <-p.closed:
				return err
			case <-time.After(backoff):
				backoff = min(2*backoff, time.Second)
			}
		}
	}
}

// Shutdown stops accepting, closes connections that do nothing, and waits for the others and for the records of
// what they did. What is not done when ctx ends is cut.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	if !p.closing {
		p.closing = true
		close(p.closed)
	}
	for l := range p.listeners {
		_ = l.Close()
	}
	for s := range p.sessions {
		s.cutIfIdle(ruleGrant, "the gateway is shutting down")
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		p.cutAll("the gateway is shutting down")
		<-done
	}
	p.end.Do(func() { close(p.ended) })
	p.upstream.closeIdle()
	return ctx.Err()
}

func (p *Proxy) cutAll(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sessions {
		s.cut(ruleGrant, reason)
	}
}

// secretsOf returns the secrets of a snapshot.
func (p *Proxy) secretsOf(snap *state.Snapshot) *secrets {
	if k := p.known.Load(); k != nil && k.of == snap {
		return k.secrets
	}
	k := &knownSecrets{of: snap, secrets: secretsOf(snap)}
	p.known.Store(k)
	return k.secrets
}
