package inbound

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// rememberFor is how long an event is known as received: longer than Slack goes on sending it.
	rememberFor = time.Hour
	// rememberMost bounds the memory. An event pushed out early is too old to be sent again as it was.
	rememberMost = 4096
)

type eventKey [sha256.Size]byte

// seen knows which events were received. An event whose record failed was not.
type seen struct {
	mu     sync.Mutex
	events map[eventKey]*attempt
	order  []eventKey // as they were begun
}

// attempt is one event being received.
type attempt struct {
	begun    time.Time
	done     chan struct{} // closed when it is known whether it was received
	received bool
}

// begin says whether the event is new, and if so, that it is being received now: finish must follow.
// If it is being received already, begin waits for how that ends.
func (s *seen) begin(ctx context.Context, key eventKey, now time.Time) (isNew bool, err error) {
	for {
		s.mu.Lock()
		other := s.events[key]
		if other == nil {
			s.forget(now)
			if s.events == nil {
				s.events = map[eventKey]*attempt{}
			}
			s.events[key] = &attempt{begun: now, done: make(chan struct{})}
			s.order = append(s.order, key)
			s.mu.Unlock()
			return true, nil
		}
		s.mu.Unlock()
		select {
		case <-other.done:
			if other.received {
				return false, nil
			}
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// finish says whether an event that was begun was received.
func (s *seen) finish(key eventKey, received bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.events[key]
	if a == nil {
		return
	}
	a.received = received
	close(a.done)
	if !received {
		delete(s.events, key)
	}
}

// forget drops what is old, and the oldest if there is too much.
func (s *seen) forget(now time.Time) {
	for len(s.order) > 0 {
		key := s.order[0]
		if a := s.events[key]; a != nil {
			select {
			case <-a.done:
			default:
				return // being received: it and what is younger stay
			}
			if len(s.order) <= rememberMost && now.Sub(a.begun) < rememberFor {
				return
			}
			delete(s.events, key)
		}
		s.order = s.order[1:]
	}
}
