// Package meter counts what a Claw does, for its grant's limits: in the last minute calls of the agent and messages
// it heard, together, because one limit is about both; in a day the tokens that each model took; and the calls that
// are under way.
package meter

import (
	"fmt"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// A minute is counted in slices: a record of each moment would take 8 MB where a million are allowed.
// A slice counts until all of it is a minute old, so that no minute ever holds more than the limit.
const (
	minute = time.Minute
	slice  = 100 * time.Millisecond
	slices = int64(minute/slice) + 1
)

// Meter counts what was allowed. The zero Meter has counted nothing. Its size does not depend on the
// limits, and it counts without any, so that a limit knows of what was before it.
type Meter struct {
	mu      sync.Mutex
	started time.Time
	newest  int64 // number of the slice that counts now
	total   int64
	counts  [slices]int32 // by the slice's number, modulo

	tokens audit.TokensOfDay
	under  int64 // calls that are under way
}

// Take counts one, if less than limit were counted in the minute before now; a limit of 0 is none.
// Otherwise it says how long until there is room, should nothing more be counted.
//
// Moments are told apart by the time that has passed between them, not by the time of day, as far as
// the clock knows it: setting a machine's clock neither frees nor fills a minute. Where it does not,
// and time seems to have gone back, the newest moment goes on.
func (m *Meter) Take(limit int32, now time.Time) (wait time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started.IsZero() {
		m.started = sliceStart(now)
	}
	passed := now.Sub(m.started)
	m.advance(int64(passed / slice))
	if limit > 0 && m.total >= int64(limit) {
		return m.until(int64(limit), passed), false
	}
	m.counts[m.newest%slices]++
	m.total++
	return 0, true
}

// sliceStart is when the slice of a moment began. The ledger counts in the same ones.
func sliceStart(t time.Time) time.Time { return t.Add(-time.Duration(t.Nanosecond()) % slice) }

// advance begins a later slice, and forgets those that are a minute old.
func (m *Meter) advance(to int64) {
	if to-m.newest >= slices {
		m.newest, m.total, m.counts = to, 0, [slices]int32{}
		return
	}
	for m.newest < to {
		m.newest++
		old := &m.counts[m.newest%slices]
		m.total -= int64(*old)
		*old = 0
	}
}

// until is how long it takes until less than limit are counted.
func (m *Meter) until(limit int64, passed time.Duration) time.Duration {
	left := m.total
	for i := m.newest - slices + 1; i <= m.newest; i++ {
		if i < 0 {
			continue
		}
		left -= int64(m.counts[i%slices])
		if left < limit {
			return min(time.Duration(i+slices)*slice-passed, minute+slice)
		}
	}
	return minute
}

// Rule of a record of what was more than the limit.
const Rule = "limits"

// Reason is what is said of it.
func Reason(limit int32) string {
	return fmt.Sprintf("the limit of %d calls and messages in a minute is reached", limit)
}
