package inbound

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// openFor is a schedule that closes some minutes after the rig's clock has started: 2027-01-15 08:00 UTC, a Friday.
func openFor(minutes string) []v1alpha1.Schedule {
	return []v1alpha1.Schedule{{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{v1alpha1.Friday}, Start: "08:00", End: "08:" + minutes}}}}
}

// TestTime: outside of the schedule, and after the grant's end, nothing is heard, and nobody outside notices.
func TestTime(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*v1alpha1.ClawGrantSpec, time.Time)
		rule   string
	}{
		"a schedule": {func(g *v1alpha1.ClawGrantSpec, _ time.Time) { g.Schedules = openFor("10") }, "schedule"},
		"an end":     {func(g *v1alpha1.ClawGrantSpec, end time.Time) { g.ExpiresAt = &metav1.Time{Time: end} }, "expiry"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.source.set(r.snapshot(func(s *state.Snapshot) { tt.change(s.Grant, r.clock.Now().Add(10*time.Minute)) }))
			r.clock.Step(5 * time.Minute)
			open := r.send(event("Ev1", nil), 200)
			if got := r.log.Records()[0]; got.Decision != audit.Allowed {
				t.Errorf("recorded %+v", got)
			}
			r.delivered() // while which some time passes
			r.clock.Step(5 * time.Minute)
			if a := r.send(event("Ev2", nil), 200); a.body != open.body {
				t.Errorf("answered %q", a.body)
			}
			if got := r.record("the second", func(a audit.Record) bool { return a.Decision == audit.Dropped }); got.Rule != tt.rule || got.Actor != "T1ACME/U1SARAH" {
				t.Errorf("recorded %+v", got)
			}
			r.stop()
			r.nothingDelivered()
		})
	}
}

// TestTimeEndsDelivery: what was heard in time and is not taken in time is not delivered, and a delivery
// that is under way is cut.
func TestTimeEndsDelivery(t *testing.T) {
	for name, away := range map[string]bool{"the agent is not there": true, "the agent is at it": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			cut := make(chan struct{})
			hangs := func(_ http.ResponseWriter, req *http.Request) {
				<-req.Context().Done()
				close(cut)
			}
			r.agent.answer.Store(&hangs)
			r.source.set(r.snapshot(func(s *state.Snapshot) {
				s.Grant.Schedules = openFor("01")
				if away {
					s.Grant.AgentIPs = nil
				}
			}))
			r.send(event("Ev1", nil), 200)
			if !away {
				<-r.agent.requests
			}
			r.clock.Step(time.Minute)
			if got := r.outcome(); got.Decision != audit.Dropped || got.Reason != "the agent may not hear it any more" || got.Correlation != "1" {
				t.Errorf("outcome %+v", got)
			}
			if !away {
				<-cut
			}
			r.nothingDelivered()
		})
	}
}

// TestCorrespondents: who is in no directory is heard where an entry lists him as a correspondent, and
// nowhere else; and nobody is one by the number of another workspace.
func TestCorrespondents(t *testing.T) {
	for name, tt := range map[string]struct {
		changes object
		rule    string // that lets it be heard
	}{
		"a correspondent":                      {object{"user": "U7CUSTOMER", "team": "T7CUSTOMER"}, "channels[0].correspondents"},
		"by user_team":                         {object{"user": "U7CUSTOMER", "user_team": "T7CUSTOMER"}, "channels[0].correspondents"},
		"another of their company":             {object{"user": "U7OTHER", "team": "T7CUSTOMER"}, ""},
		"in another channel":                   {object{"user": "U7CUSTOMER", "team": "T7CUSTOMER", "channel": "C2OTHER"}, ""},
		"with that number, of ours":            {object{"user": "U7CUSTOMER"}, ""},
		"with that number, of others":          {object{"user": "U7CUSTOMER", "team": "T9EVIL"}, ""},
		"a member":                             {object{}, "channels[0]"},
		"a member's number, of theirs":         {object{"user": "U1SARAH", "team": "T7CUSTOMER"}, ""},
		"a member in the other channel":        {object{"channel": "C2OTHER"}, "channels[1]"},
		"a correspondent as one of two people": {object{"user": "U7CUSTOMER", "user_team": "T7CUSTOMER", "source_team": "T1ACME"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.source.set(r.snapshot(func(s *state.Snapshot) {
				other := s.Grant.Channels[0]
				other.Channels = []v1alpha1.Pattern{"C2OTHER"}
				s.Grant.Channels[0].Correspondents.Users = []v1alpha1.Pattern{"T7CUSTOMER/U7CUSTOMER"}
				s.Grant.Channels = append(s.Grant.Channels, other)
			}))
			e := event("Ev1", tt.changes)
			e["is_ext_shared_channel"] = true
			e["authorizations"] = []any{object{"team_id": "T1ACME", "user_id": "U0CLAW", "is_bot": true}}
			r.send(e, 200)
			if got := r.log.Records()[0]; (got.Decision == audit.Allowed) != (tt.rule != "") || tt.rule != "" && got.Rule != tt.rule {
				t.Errorf("recorded %+v", got)
			}
			if tt.rule != "" {
				r.delivered()
				return
			}
			r.stop()
			r.nothingDelivered()
		})
	}
}
