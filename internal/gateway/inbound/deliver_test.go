package inbound

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// answering makes the agent answer with the given statuses, then with the last of them.
func (r *rig) answering(statuses ...int) {
	next := make(chan int, len(statuses))
	for _, s := range statuses {
		next <- s
	}
	last := statuses[len(statuses)-1]
	answer := func(w http.ResponseWriter, _ *http.Request) {
		select {
		case s := <-next:
			w.WriteHeader(s)
		default:
			w.WriteHeader(last)
		}
	}
	r.agent.answer.Store(&answer)
}

func absent(s *state.Snapshot) { s.Grant.AgentIPs = nil }

func TestDeliversOnceTheAgentIsThere(t *testing.T) {
	for name, away := range map[string]func(*state.Snapshot){
		"no address yet":     absent,
		"nobody listens":     func(s *state.Snapshot) { s.Grant.AgentPort = 1 },
		"closed for a while": func(s *state.Snapshot) { *s = state.Snapshot{Reason: "the lease has ended"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.source.set(r.snapshot(absent))
			r.send(event("Ev1", nil), 200)
			r.source.set(r.snapshot(away))
			r.clock.Step(lastBackoff)
			r.source.set(r.snapshot(nil))
			r.delivered()
			if got := r.outcome(); got.Decision != audit.Allowed {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestTriesTheAgentsOtherAddress(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(func(s *state.Snapshot) { s.Grant.AgentIPs = []string{"127.0.0.2", "127.0.0.1"} }))
	// 127.0.0.2 is this machine too, where nobody listens on that port.
	r.send(event("Ev1", nil), 200)
	r.delivered()
}

func TestRevokedWhileSpooledIsNeverDelivered(t *testing.T) {
	changes := map[string]func(r *rig) state.Snapshot{
		"the Claw":       func(r *rig) state.Snapshot { return r.over() },
		"the credential": func(r *rig) state.Snapshot { return r.snapshot(func(s *state.Snapshot) { s.Keys = nil }) },
		"the channel": func(r *rig) state.Snapshot {
			return r.snapshot(func(s *state.Snapshot) { s.Grant.Channels[0].Channels = nil })
		},
		"the person": func(r *rig) state.Snapshot {
			return r.snapshot(func(s *state.Snapshot) { s.Grant.Audience[0].Principals = nil })
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.source.set(r.snapshot(absent))
			const n = 2 * deliverers // more than are tried at once
			for i := range n {
				r.send(event(fmt.Sprint("Ev", i), nil), 200)
			}
			r.source.set(change(r))
			r.whileTimePasses("all are given up", func() bool {
				outcomes := 0
				for _, record := range r.log.Records() {
					if record.Phase == audit.PhaseOutcome {
						outcomes++
						if record.Decision != audit.Dropped || record.Reason != "the agent may not hear it any more" {
							t.Fatalf("recorded %+v", record)
						}
					}
				}
				return outcomes == n
			})
			r.source.set(r.snapshot(nil))
			r.stop()
			r.nothingDelivered()
			if r.handler.spool.messages != 0 || r.handler.spool.bytes != 0 {
				t.Errorf("the spool still holds %d messages, %d bytes", r.handler.spool.messages, r.handler.spool.bytes)
			}
		})
	}
}

func TestADeliveryUnderWayIsCut(t *testing.T) {
	tests := map[string]struct {
		next func(r *rig) state.Snapshot
		cut  bool
	}{
		"by the revocation":           {next: func(r *rig) state.Snapshot { return r.over() }, cut: true},
		"not by a change that spares": {next: func(r *rig) state.Snapshot { return r.snapshot(func(s *state.Snapshot) { s.Grant.Hash = "another" }) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			release, ended := make(chan struct{}), make(chan struct{})
			slow := func(_ http.ResponseWriter, req *http.Request) {
				defer close(ended)
				select {
				case <-release:
				case <-req.Context().Done():
				}
			}
			r.agent.answer.Store(&slow)
			r.send(event("Ev1", nil), 200)
			r.delivered()
			r.source.set(tt.next(r))
			if !tt.cut {
				close(release)
			}
			<-ended
			if got := r.outcome(); (got.Decision == audit.Dropped) != tt.cut {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestAnAgentThatDoesNotTakeIt(t *testing.T) {
	t.Run("at first", func(t *testing.T) {
		r := newRig(t)
		r.answering(500, 404, 302, 204)
		r.send(event("Ev1", nil), 200)
		for i := range maxAnswers {
			if got := r.delivered(); (i > 0) != (got.header.Get(slackRetry) == fmt.Sprint(i)) {
				t.Errorf("attempt %d is said to be %q", i, got.header.Get(slackRetry))
			}
		}
		if got := r.outcome(); got.Decision != audit.Allowed || got.Upstream.Status != 204 {
			t.Errorf("recorded %+v", got)
		}
	})
	t.Run("ever", func(t *testing.T) {
		r := newRig(t)
		r.answering(500)
		r.send(event("Ev1", nil), 200)
		for range maxAnswers {
			r.delivered()
		}
		if got := r.outcome(); got.Decision != audit.Dropped || got.Upstream.Status != 500 {
			t.Errorf("recorded %+v", got)
		}
		r.stop()
		r.nothingDelivered()
	})
}

func TestAMessageGrowsTooOld(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(absent))
	r.send(event("Ev1", nil), 200)
	r.clock.Step(maxAge)
	if got := r.outcome(); got.Decision != audit.Dropped || !strings.Contains(got.Reason, "in time") {
		t.Errorf("recorded %+v", got)
	}
}

func TestWhatADyingGatewayHoldsIsRecorded(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(absent))
	const n = 2 * deliverers
	for i := range n {
		r.send(event(fmt.Sprint("Ev", i), nil), 200)
	}
	r.stop()
	undelivered := 0
	for _, record := range r.log.Records() {
		if record.Phase == audit.PhaseOutcome && record.Decision == audit.Dropped && record.Reason == "the gateway ended before the agent took it" {
			undelivered++
		}
	}
	if undelivered != n {
		t.Errorf("%d of %d are recorded as undelivered", undelivered, n)
	}
}

func TestAFullSpoolHasTheProviderTryAgain(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(absent))
	for i := range spoolMessages {
		r.send(event(fmt.Sprint("Ev", i), nil), 200)
	}
	r.send(event("Evlast", nil), 503)
	r.send(event("Evdropped", object{"channel": "C9"}), 503) // not told from the one before
	r.source.set(r.snapshot(func(s *state.Snapshot) { s.Grant.Channels = []v1alpha1.ChannelRequest{s.Grant.Channels[0]} }))
	r.whileTimePasses("there is room again", func() bool { return r.handler.spool.reserve(1) })
	r.handler.spool.release(1)
	r.send(event("Evlast", nil), 200)
}

// An agent that never ends its answers holds up no delivery, and its taking the message is recorded.
func TestAnswersWithoutEnd(t *testing.T) {
	r := newRig(t)
	answer := func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	}
	r.agent.answer.Store(&answer)
	const n = deliverers + 1
	for i := range n {
		r.send(event(fmt.Sprint("Ev", i), nil), 200)
	}
	for range n {
		r.delivered()
	}
	if got := r.outcome(); got.Decision != audit.Allowed {
		t.Errorf("recorded %+v", got)
	}
}
