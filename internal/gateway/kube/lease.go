package kube

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// The lease. Only a consistent read renews it: news from a watch proves nothing about what
// the watch does not tell.
const (
	leaseDuration = 120 * time.Second
	renewEvery    = leaseDuration / 3
	renewRetry    = 2 * time.Second
)

const reasonLease = "the API server has not answered for too long: the gateway does not know whether it is revoked"

// lease says until when what was read may be acted upon.
type lease struct {
	clock    clock.PassiveClock
	from     atomic.Pointer[time.Time] // when the last successful read was begun
	renewals chan renewal
}

// renewal is a consistent read of the Claw and the grant.
type renewal struct {
	begun       time.Time
	claw, grant *object // nil: there is none
}

func newLease(c clock.PassiveClock) *lease {
	return &lease{clock: c, renewals: make(chan renewal)}
}

func (l *lease) expired() bool { return l.remaining() <= 0 }

// remaining counts both the time this machine was awake and the time of day: a machine that was
// asleep has a lease as old as it slept.
func (l *lease) remaining() time.Duration {
	from := l.from.Load()
	if from == nil {
		return 0
	}
	now := l.clock.Now()
	return leaseDuration - max(now.Sub(*from), now.Round(0).Sub(from.Round(0)))
}

// renew keeps reading until ctx is done.
func (w *Watcher) renew(ctx context.Context) {
	for ctx.Err() == nil {
		wait := renewEvery
		r := renewal{begun: w.cfg.Clock.Now()}
		var err error
		if r.claw, err = w.client.get(ctx, claws, w.cfg.Claw.Name); err == nil {
			r.grant, err = w.client.get(ctx, grants, w.cfg.Claw.Name)
		}
		switch {
		case err == nil:
			select {
			case w.lease.renewals <- r:
			case <-ctx.Done():
			}
		case ctx.Err() == nil:
			wait = renewRetry
			slog.Warn("cannot renew the lease", "remaining", w.lease.remaining(), "error", err)
		}
		select {
		case <-w.cfg.Clock.After(wait):
		case <-ctx.Done():
		}
	}
}

// renewed takes a renewal and what it says, should it be news.
func (w *Watcher) renewed(ctx context.Context, r renewal) {
	w.lease.from.Store(&r.begun)
	if r.claw == nil {
		w.take(ctx, update{kind: claws, name: w.cfg.Claw.Name})
	} else {
		w.take(ctx, update{kind: claws, name: w.cfg.Claw.Name, object: r.claw, version: r.claw.version})
	}
	switch {
	case r.grant != nil:
		w.take(ctx, update{kind: grants, name: w.cfg.Claw.Name, object: r.grant, version: r.grant.version})
	case w.facts.grant != nil:
		// It was deleted, or has come after the read: the answer does not say when. Read it again, in order.
		w.followGrant(ctx)
	}
}
