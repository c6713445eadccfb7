package inbound

import (
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// TestLimit: what is heard counts, and beyond the limit a message is dropped, acknowledged as any other.
func TestLimit(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(func(s *state.Snapshot) { s.Grant.Limits.RequestsPerMinute = 2 }))
	r.send(event("Ev0", object{"user": "U9EVE"}), 200) // who is not heard does not count
	allowed := r.send(event("Ev1", nil), 200)
	r.send(event("Ev1", nil), 200) // nor does what was received before
	r.send(event("Ev2", nil), 200)
	if dropped := r.send(event("Ev3", nil), 200); dropped.body != allowed.body {
		t.Errorf("answered %q", dropped.body)
	}
	if got := r.record("the third", func(a audit.Record) bool { return a.Rule == meter.Rule }); got.Decision != audit.Dropped ||
		got.Reason != "the limit of 2 calls and messages in a minute is reached" || got.Actor != "T1ACME/U1SARAH" {
		t.Errorf("recorded %+v", got)
	}
	r.delivered()
	r.delivered()
	r.clock.Step(time.Minute + time.Second)
	r.send(event("Ev4", nil), 200)
	r.delivered()
	r.nothingDelivered()
}

// TestLimitIsShared: the agent's calls take the messages' room.
func TestLimitIsShared(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(func(s *state.Snapshot) { s.Grant.Limits.RequestsPerMinute = 2 }))
	for range 2 {
		r.handler.cfg.Meter.Take(2, r.clock.Now())
	}
	r.send(event("Ev1", nil), 200)
	if got := r.last(); got.Rule != meter.Rule || got.Decision != audit.Dropped {
		t.Errorf("recorded %+v", got)
	}
}
