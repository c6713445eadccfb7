package meter

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// Tokens reports whether a model may be asked: whether less than limit tokens were counted for it this day, UTC. It
// also says when the day ends. A limit of 0 is none.
func (m *Meter) Tokens(key string, limit int64, now time.Time) (resets time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	day := audit.DayOf(now)
	return day.End(), limit <= 0 || m.tokens.Taken(key, day) < limit
}

// AddTokens counts what a model took; see audit.TokenKey. It counts without a limit too.
func (m *Meter) AddTokens(key string, n int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens.Add(key, n, audit.DayOf(now))
}

// Enter begins a call, unless limit are under way; a limit of 0 is none. The call ends with leave, which may be called
// again.
func (m *Meter) Enter(limit int32) (leave func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if limit > 0 && m.under >= int64(limit) {
		return func() {}, false
	}
	m.under++
	var left atomic.Bool
	return func() {
		if left.Swap(true) {
			return
		}
		m.mu.Lock()
		m.under--
		m.mu.Unlock()
	}, true
}

// Restore sets what was counted before a gateway was started anew, by the ledger's word. What was recorded in the
// future, by a clock that has been set since, counts as of now.
func (m *Meter) Restore(u audit.Usage, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started, m.newest, m.total, m.counts = sliceStart(now).Add(-minute), 0, 0, [slices]int32{}
	for _, r := range u.Requests {
		passed := min(r.At.Sub(m.started), now.Sub(m.started))
		if passed < 0 || r.Count <= 0 {
			continue
		}
		m.advance(int64(passed / slice))
		slot := &m.counts[m.newest%slices]
		n := int32(min(r.Count, int64(math.MaxInt32-*slot)))
		*slot += n
		m.total += int64(n)
	}
	m.advance(int64(minute / slice))
	m.tokens = audit.TokensOfDay{}
	for key, n := range u.Tokens {
		m.tokens.Add(key, n, u.Day)
	}
	m.tokens.Taken("", audit.DayOf(now)) // another day by now, maybe
}

// TokensRule of a record of what was refused because its model took enough this day, ConcurrentRule of what was one
// more than may be under way.
const (
	TokensRule     = "limits.tokensPerDay"
	ConcurrentRule = "limits.concurrentRequests"
)

// TokensReason is what is said of the one.
func TokensReason(limit int64, resets time.Time) string {
	return fmt.Sprintf("the limit of %d tokens of this model in a day is reached; the next day begins at %s", limit, resets.UTC().Format(time.RFC3339))
}

// ConcurrentReason is what is said of the other.
func ConcurrentReason(limit int32) string {
	return fmt.Sprintf("the limit of %d calls under way at once is reached: let one end first", limit)
}
