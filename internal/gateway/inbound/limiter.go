package inbound

import (
	"sync"
	"time"
)

// refusalsPerMinute is how many requests of strangers are recorded each by itself.
const refusalsPerMinute = 60

// limiter bounds how many refusals are recorded, and counts those that are not.
type limiter struct {
	mu         sync.Mutex
	minute     time.Time
	count      int
	unrecorded int
}

// allow says whether to record one more, and how many were not recorded before it.
func (l *limiter) allow(now time.Time) (ok bool, unrecorded int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute, l.count = minute, 0
	}
	if l.count >= refusalsPerMinute {
		l.unrecorded++
		return false, 0
	}
	l.count++
	unrecorded, l.unrecorded = l.unrecorded, 0
	return true, unrecorded
}
