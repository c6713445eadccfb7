package inbound

import (
	"context"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// What the spool holds at most. It is memory: what a dying gateway holds is recorded as undelivered.
const (
	spoolMessages = 256
	spoolBytes    = 8 << 20
)

// item is a message on its way to the agent.
type item struct {
	event      *slackEvent
	credential string
	record     audit.Record // of the decision
	received   time.Time
}

// spool holds messages until the agent has taken them.
type spool struct {
	mu       sync.Mutex
	messages int // reserved, waiting and being delivered
	bytes    int
	waiting  []*item
	wake     chan struct{} // has room for one: somebody should look
}

func newSpool() *spool { return &spool{wake: make(chan struct{}, 1)} }

// reserve takes room for a message, if there is.
func (s *spool) reserve(size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.messages >= spoolMessages || s.bytes+size > spoolBytes {
		return false
	}
	s.messages++
	s.bytes += size
	return true
}

// release gives room back.
func (s *spool) release(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages--
	s.bytes -= size
}

// add puts a message, for which room was reserved, at the end.
func (s *spool) add(it *item) {
	s.mu.Lock()
	s.waiting = append(s.waiting, it)
	s.mu.Unlock()
	s.signal()
}

// next takes the oldest message, and waits for one. Nil means that ctx is done.
func (s *spool) next(ctx context.Context) *item {
	for ctx.Err() == nil {
		s.mu.Lock()
		if len(s.waiting) > 0 {
			it := s.waiting[0]
			s.waiting[0] = nil
			s.waiting = s.waiting[1:]
			more := len(s.waiting) > 0
			s.mu.Unlock()
			if more {
				s.signal()
			}
			return it
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// rest empties the spool.
func (s *spool) rest() []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.waiting
	s.waiting = nil
	return rest
}

func (s *spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
