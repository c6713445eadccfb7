package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// Errors of a Shipper.
var (
	// ErrBusy means that too many records wait already.
	ErrBusy = errors.New("the record cannot be kept: too many records wait for the ledger")
	// ErrRefused means that the ledger has another history than this gateway, or cannot
	// take its records at all. Nothing is recorded, so nothing is done, until a restart.
	ErrRefused = errors.New("the ledger refuses this gateway's records")
	// ErrClosed means that the Shipper has ended.
	ErrClosed = errors.New("the record cannot be kept: the gateway is shutting down")
)

// Limits of what is sent at once, and of how long is waited between attempts.
const (
	defaultQueue  = 1024
	maxBatch      = 512
	maxBatchBytes = 4 << 20
	firstBackoff  = 50 * time.Millisecond
	lastBackoff   = 2 * time.Second
)

// ShipperConfig is what a Shipper needs.
type ShipperConfig struct {
	// Claw whose history this is. It is set on every record.
	Claw ClawRef
	// URL of the ledger, without a path.
	URL string
	// TokenFile holds the bearer token. It is read for every request: tokens are renewed in place.
	TokenFile string
	// Stdout gets one line per durable record, without anything a person or the agent wrote.
	Stdout io.Writer
	// Clock is the real one where nil.
	Clock clock.Clock
	// Queue is how many records may wait; 1024 where 0.
	Queue int
	// Restore is told, once and before any record is kept, what the Claw did before. The ledger is not asked where it is nil.
	Restore func(Usage)
}

// Shipper is the Log of a gateway, and the only writer of its Claw's history. Records
// that wait while a batch is under way become the next batch: one request to the
// ledger, one sync to its disk. A batch is sent again, byte for byte, until the ledger
// has answered: it may have it already.
type Shipper struct {
	cfg      ShipperConfig
	ledger   ledgerClient
	resource []byte // of every request
	queue    chan *pending
	began    chan struct{} // closed when the ledger has been asked
	ended    chan struct{} // closed when Run returns
	ready    atomic.Bool
	cause    error // why Run returned; read only after ended
}

// pending is a record that waits, and who waits for it.
type pending struct {
	ctx    context.Context
	record Record
	done   chan result
}

type result struct {
	record Record
	err    error
}

// NewShipper makes a Shipper. Nothing is sent before SetRoots and Run.
func NewShipper(cfg ShipperConfig) *Shipper {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Queue <= 0 {
		cfg.Queue = defaultQueue
	}
	if cfg.Stdout == nil {
		cfg.Stdout = io.Discard
	}
	return &Shipper{
		cfg:      cfg,
		ledger:   ledgerClient{url: cfg.URL, tokenFile: cfg.TokenFile},
		resource: resourceOf(cfg.Claw),
		queue:    make(chan *pending, cfg.Queue),
		began:    make(chan struct{}),
		ended:    make(chan struct{}),
	}
}

// SetRoots sets the certificate authorities, in PEM, that the ledger is verified with. It may
// be called again at any time: the batch under way is then sent to a ledger verified with these.
func (s *Shipper) SetRoots(pem []byte) error { return s.ledger.setRoots(pem) }

// Ready reports whether the ledger has been asked for the head and records are taken.
func (s *Shipper) Ready() bool { return s.ready.Load() }

// Began is closed when the ledger has been asked for the head, and what the Claw did before has been restored. Until then
// nothing may be counted, for it would not be held against what was before.
func (s *Shipper) Began() <-chan struct{} { return s.began }

// Waiting is how many records wait for the ledger, those under way left out.
func (s *Shipper) Waiting() int { return len(s.queue) }

// Append implements Log.
func (s *Shipper) Append(ctx context.Context, r Record) (Record, error) {
	r.Claw = s.cfg.Claw
	p := &pending{ctx: ctx, record: r, done: make(chan result, 1)}
	select {
	case <-s.ended:
		return Record{}, s.cause
	default:
	}
	select {
	case s.queue <- p:
	default:
		return Record{}, ErrBusy
	}
	select {
	case got := <-p.done:
		return got.record, got.err
	case <-ctx.Done():
		return Record{}, fmt.Errorf("the record is not known to be kept: %w", context.Cause(ctx))
	case <-s.ended:
		select { // it may have been kept at the last moment
		case got := <-p.done:
			return got.record, got.err
		default:
			return Record{}, s.cause
		}
	}
}

// Run continues the history where the ledger's copy ends, until ctx is done (nil) or the
// ledger refuses (ErrRefused). After that every Append fails: only a restarted gateway,
// which asks for the head again, can go on.
func (s *Shipper) Run(ctx context.Context) error {
	err := s.run(ctx)
	s.ready.Store(false)
	s.cause = err
	if ctx.Err() != nil {
		s.cause, err = ErrClosed, nil
	}
	close(s.ended)
	return err
}

func (s *Shipper) run(ctx context.Context) error {
	var head Head
	err := s.insist(ctx, "ask the ledger for the head of the history", func(ctx context.Context) (err error) {
		head, err = s.ledger.head(ctx, s.cfg.Claw)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.restore(ctx); err != nil {
		return err
	}
	s.ready.Store(true)
	close(s.began)
	next := &shipment{chain: NewChain(head)}
	for {
		if err := s.collect(ctx, next); err != nil {
			return err
		}
		if len(next.batch) == 0 {
			continue
		}
		if err := s.ship(ctx, next); err != nil {
			return err
		}
	}
}

// ship sends a shipment until it is durable, and tells those who wait for it.
func (s *Shipper) ship(ctx context.Context, next *shipment) error {
	next.body = appendOTLP(next.body, s.resource, next)
	attempts := 0
	err := s.insist(ctx, "append to the ledger", func(ctx context.Context) error {
		attempts++
		return s.ledger.append(ctx, next.body)
	})
	if err != nil {
		return err
	}
	for i := range next.batch {
		next.batch[i].waiter.done <- result{record: next.batch[i].record}
	}
	next.mirror = next.appendMirror(next.mirror)
	_, _ = s.cfg.Stdout.Write(next.mirror) // a mirror: the records themselves are durable
	next.reset(attempts == 1)
	return nil
}

// restore tells what the Claw did before this gateway was started.
func (s *Shipper) restore(ctx context.Context) error {
	if s.cfg.Restore == nil {
		return nil
	}
	var u Usage
	err := s.insist(ctx, "ask the ledger what the Claw did", func(ctx context.Context) (err error) {
		u, err = s.ledger.usage(ctx, s.cfg.Claw)
		return err
	})
	if err == nil {
		s.cfg.Restore(u)
	}
	return err
}

// collect waits for a record, and takes all that wait with it, sealed.
func (s *Shipper) collect(ctx context.Context, into *shipment) error {
	var next *pending
	select {
	case next = <-s.queue:
	case <-ctx.Done():
		return ctx.Err()
	}
	for next != nil {
		into.seal(next, s.cfg.Clock.Now())
		if len(into.batch) >= maxBatch || len(into.lines) >= maxBatchBytes {
			break
		}
		select {
		case next = <-s.queue:
		default:
			next = nil
		}
	}
	return nil
}

// insist tries until it succeeds, is refused for good, or ctx is done.
func (s *Shipper) insist(ctx context.Context, what string, try func(context.Context) error) error {
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		err := try(ctx)
		if err == nil || errors.Is(err, ErrRefused) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		slog.Warn("the ledger cannot be reached: nothing is allowed until it can", "doing", what, "error", err)
		select {
		case <-s.cfg.Clock.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var _ Log = (*Shipper)(nil)
