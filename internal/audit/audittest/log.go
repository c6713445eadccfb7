// Package audittest keeps records in memory, for tests.
package audittest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// Log is an audit.Log in memory, with a real chain. The zero Log is ready.
type Log struct {
	// Now is the clock; the real one where nil. Set it before use.
	Now func() time.Time

	mu      sync.Mutex
	chain   audit.Chain
	records []audit.Record
	lines   [][]byte
	err     error
	hold    chan struct{}
	changed chan struct{} // closed and replaced at every append
}

// Append implements audit.Log.
func (l *Log) Append(ctx context.Context, r audit.Record) (audit.Record, error) {
	l.mu.Lock()
	hold := l.hold
	l.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return audit.Record{}, context.Cause(ctx)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return audit.Record{}, l.err
	}
	if err := ctx.Err(); err != nil {
		return audit.Record{}, err
	}
	now := time.Now
	if l.Now != nil {
		now = l.Now
	}
	sealed, line, err := l.chain.Seal(r, now())
	if err != nil {
		return audit.Record{}, err
	}
	l.records = append(l.records, sealed)
	l.lines = append(l.lines, line)
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return sealed, nil
}

// Fail makes every Append fail with err from now on; nil makes them work again.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Hold makes every Append wait, as for a slow ledger, until the returned function is called.
func (l *Log) Hold() (release func()) {
	hold := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = hold
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hold = nil
		close(hold)
	}
}

// Records returns what was recorded so far.
func (l *Log) Records() []audit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// Lines returns what was recorded so far as the lines of a history.
func (l *Log) Lines() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Wait returns the first record that match accepts, once there is one.
func (l *Log) Wait(ctx context.Context, match func(audit.Record) bool) (audit.Record, error) {
	for seen := 0; ; {
		l.mu.Lock()
		records := l.records
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		for ; seen < len(records); seen++ {
			if match(records[seen]) {
				return records[seen], nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return audit.Record{}, context.Cause(ctx)
		}
	}
}

var _ audit.Log = (*Log)(nil)
