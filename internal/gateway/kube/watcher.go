// Package kube tells a gateway what it may do, from the API server: it watches its
// own Claw, ClawGrant, ClawCredentials and Secret by name, and acknowledges in the
// grant's status what it enforces. It needs no manager to stop: a revoked Claw or
// credential is enough, and so is an API server that does not answer for too long.
package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// gatewaySuffix is what the names of a gateway's own objects end with.
const gatewaySuffix = "-gateway"

// Config is what a Watcher needs.
type Config struct {
	// REST says how to reach the API server, and as whom.
	REST *rest.Config
	// Claw whose gateway this is. A Claw of that name with another UID is another Claw.
	Claw audit.ClawRef
	// PodName and PodUID of this gateway, for its entry in the grant's status.
	PodName, PodUID string
	// Log takes control records. They never hold anything up.
	Log audit.Log
	// LedgerCA is told the certificate authorities of the ledger, in PEM, whenever they are read.
	LedgerCA func(pem []byte)
	// Clock is the real one where nil.
	Clock clock.WithTicker
	// SystemRoots verify providers, beside the organization's own. The system's where nil.
	SystemRoots *x509.CertPool
}

// Watcher is a state.Source fed by the API server.
type Watcher struct {
	cfg     Config
	client  *client
	updates chan update
	lease   *lease
	ack     *acknowledger
	journal *journal

	current atomic.Pointer[published]
	ready   atomic.Bool

	// The rest belongs to Run's loop.
	facts     facts
	services  services
	known     map[string]uint64 // by resource/name, the newest version of which there was news
	clawError string            // why the Claw cannot be understood
	grantErr  string
	keysErr   string
	following map[string]context.CancelFunc // credentials, by name
	stopKeys  context.CancelFunc            // stops watching the Secret
	stopGrant context.CancelFunc
}

// published is a snapshot with its Done.
type published struct {
	snapshot *state.Snapshot
	done     chan struct{}
}

// New makes a Watcher that denies everything until Run has read what there is.
func New(cfg Config) (*Watcher, error) {
	if cfg.Claw.Namespace == "" || cfg.Claw.Name == "" || cfg.Claw.UID == "" || cfg.PodName == "" || cfg.PodUID == "" || cfg.Log == nil {
		return nil, errors.New("a gateway must be told its Claw's namespace, name and UID, its own pod's name and UID, and where to record")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.SystemRoots == nil {
		var err error
		if cfg.SystemRoots, err = x509.SystemCertPool(); err != nil {
			slog.Warn("this system has no certificate authorities: only those of upstream-ca.crt are trusted", "error", err)
			cfg.SystemRoots = x509.NewCertPool()
		}
	}
	c, err := newClient(cfg.REST, cfg.Claw.Namespace)
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		cfg:       cfg,
		client:    c,
		updates:   make(chan update),
		facts:     facts{claw: cfg.Claw, credentials: map[string]*object{}},
		known:     map[string]uint64{},
		following: map[string]context.CancelFunc{},
	}
	w.lease = newLease(cfg.Clock)
	w.ack = newAcknowledger(w)
	w.journal = newJournal(cfg.Log)
	first := &published{snapshot: &state.Snapshot{Claw: cfg.Claw, Reason: "the gateway is starting: it has not read its grant yet"}, done: make(chan struct{})}
	first.snapshot.Done = first.done
	w.current.Store(first)
	return w, nil
}

// Current implements state.Source.
func (w *Watcher) Current() *state.Snapshot {
	s := w.current.Load().snapshot
	if s.Active() && w.lease.expired() {
		// The loop will say so too; this is for a process that was asleep.
		return &state.Snapshot{Claw: s.Claw, Reason: reasonLease, Done: s.Done}
	}
	return s
}

// Ready reports whether everything has been read once, and the lease is fresh.
func (w *Watcher) Ready() bool { return w.ready.Load() && !w.lease.expired() }

// Run watches until ctx is done.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go w.journal.run(ctx)
	go w.ack.run(ctx)
	go w.renew(ctx)
	go w.follow(ctx, claws, w.cfg.Claw.Name)
	w.followGrant(ctx)
	keysCtx, stopKeys := context.WithCancel(ctx)
	defer stopKeys()
	w.stopKeys = stopKeys
	go w.follow(keysCtx, secrets, w.cfg.Claw.Name+gatewaySuffix)
	w.journal.add(w.record("start", audit.Allowed, "the gateway has started"))
	expiry := w.cfg.Clock.NewTimer(leaseDuration)
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-w.updates:
			w.take(ctx, u)
		case r := <-w.lease.renewals:
			w.renewed(ctx, r)
		case <-expiry.C():
		}
		expiry.Reset(max(w.lease.remaining(), time.Second))
		w.settle()
	}
}

var _ state.Source = (*Watcher)(nil)
