package gateway

import (
	"io"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/policy"
)

const (
	readTool  = "https://slack.com/api/conversations.info"
	inSupport = "channel=C0SUPPORT"
)

var workdays = []v1alpha1.Day{v1alpha1.Monday, v1alpha1.Tuesday, v1alpha1.Wednesday, v1alpha1.Thursday, v1alpha1.Friday}

func window(zone, start, end string, days ...v1alpha1.Day) v1alpha1.Schedule {
	return v1alpha1.Schedule{TimeZone: zone, Windows: []v1alpha1.Window{{Days: days, Start: start, End: end}}}
}

func office() v1alpha1.Schedule { return window("Europe/Berlin", "08:00", "18:00", workdays...) }

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// scheduled gives a grant schedules; until gives it an end.
func scheduled(s ...v1alpha1.Schedule) func(*state.Snapshot) {
	return func(snap *state.Snapshot) { snap.Grant.Schedules = s }
}

func until(at time.Time) func(*state.Snapshot) {
	return func(snap *state.Snapshot) { snap.Grant.ExpiresAt = &metav1.Time{Time: at} }
}

func toolOpen(s v1alpha1.Schedule) func(*state.Snapshot) {
	return func(snap *state.Snapshot) { snap.Grant.Tools[0].Schedule = &s }
}

// TestTime: a call is allowed when all schedules are open and the grant has not expired, by the gateway's clock, to the
// second, also where clocks change.
func TestTime(t *testing.T) {
	const sunday = v1alpha1.Sunday
	for name, tt := range map[string]struct {
		grant  func(*state.Snapshot)
		at     string
		rule   string // that denies; empty if it is allowed
		reopen string
	}{
		"open":                            {scheduled(office()), "2026-03-02T08:00:00+01:00", "", ""},
		"a second before":                 {scheduled(office()), "2026-03-02T07:59:59+01:00", policy.RuleSchedule, "2026-03-02T07:00:00Z"},
		"the last second":                 {scheduled(office()), "2026-03-02T17:59:59+01:00", "", ""},
		"closed":                          {scheduled(office()), "2026-03-02T18:00:00+01:00", policy.RuleSchedule, "2026-03-03T07:00:00Z"},
		"a weekend, and clocks change":    {scheduled(office()), "2026-03-27T18:00:00+01:00", policy.RuleSchedule, "2026-03-30T06:00:00Z"},
		"one of two is closed":            {scheduled(office(), window("America/New_York", "09:00", "17:00", workdays...)), "2026-03-02T10:00:00+01:00", policy.RuleSchedule, "2026-03-02T14:00:00Z"},
		"both are open":                   {scheduled(office(), window("America/New_York", "09:00", "17:00", workdays...)), "2026-03-02T15:00:00+01:00", "", ""},
		"never both":                      {scheduled(office(), window("Europe/Berlin", "18:00", "08:00", workdays...)), "2026-03-02T10:00:00+01:00", policy.RuleSchedule, ""},
		"a zone that is none":             {scheduled(window("Europe/Atlantis", "00:00", "24:00", workdays...)), "2026-03-02T10:00:00+01:00", policy.RuleSchedule, ""},
		"before the hour that is none":    {scheduled(window("Europe/Berlin", "02:30", "03:30", sunday)), "2026-03-29T00:59:59Z", policy.RuleSchedule, "2026-03-29T01:00:00Z"},
		"after the hour that is none":     {scheduled(window("Europe/Berlin", "02:30", "03:30", sunday)), "2026-03-29T01:00:00Z", "", ""},
		"as long as the clock says":       {scheduled(window("Europe/Berlin", "02:30", "03:30", sunday)), "2026-03-29T01:30:00Z", policy.RuleSchedule, "2026-04-05T00:30:00Z"},
		"the hour that comes twice, once": {scheduled(window("Europe/Berlin", "02:00", "03:00", sunday)), "2026-10-25T00:00:00Z", "", ""},
		"the hour that comes twice again": {scheduled(window("Europe/Berlin", "02:00", "03:00", sunday)), "2026-10-25T01:59:59Z", "", ""},
		"after both":                      {scheduled(window("Europe/Berlin", "02:00", "03:00", sunday)), "2026-10-25T02:00:00Z", policy.RuleSchedule, "2026-11-01T01:00:00Z"},
		"before it expires":               {until(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), "2026-03-02T08:59:59Z", "", ""},
		"as it expires":                   {until(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), "2026-03-02T09:00:00Z", policy.RuleExpiry, ""},
		"long after":                      {until(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), "2027-03-02T09:00:00Z", policy.RuleExpiry, ""},
		"closed until it has expired": {func(s *state.Snapshot) {
			scheduled(office())(s)
			until(time.Date(2026, 3, 3, 7, 0, 0, 0, time.UTC))(s)
		}, "2026-03-02T18:00:00+01:00", policy.RuleSchedule, ""},
		"the tool is closed": {toolOpen(office()), "2026-03-02T18:00:00+01:00", policy.RuleSchedule, "2026-03-03T07:00:00Z"},
		"the tool is open":   {toolOpen(office()), "2026-03-02T17:00:00+01:00", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, at(testingclock.NewFakeClock(moment(t, tt.at))), func(_ *Config, s *state.Snapshot) { tt.grant(s) })
			_, _, body := w.post(w.client(), readTool, formType, inSupport)
			if tt.rule == "" {
				if body != `{"ok":true}` || len(w.requests()) != 1 {
					t.Errorf("got %s", body)
				}
				return
			}
			d := w.wait("denial", isDenied)
			if d.Rule != tt.rule || d.Connector != "slack" || !strings.Contains(body, "claw_policy_denied") || !strings.Contains(body, d.Reason) {
				t.Errorf("got %s; record %+v", body, d)
			}
			if _, opens, _ := strings.Cut(d.Reason, "; it opens again at "); opens != tt.reopen {
				t.Errorf("opens %q, want %q", opens, tt.reopen)
			}
			if len(w.requests()) != 0 {
				t.Error("the provider was asked")
			}
		})
	}
}

// TestToolsScheduleIsItsOwn: what other entries allow is allowed when one of tools is closed.
func TestToolsScheduleIsItsOwn(t *testing.T) {
	w := newWorld(t, at(testingclock.NewFakeClock(moment(t, "2026-03-02T20:00:00Z"))), func(_ *Config, s *state.Snapshot) { toolOpen(office())(s) })
	c := w.client()
	if _, _, body := w.post(c, slackPost, formType, inChannel); body != `{"ok":true}` {
		t.Errorf("in a channel: %s", body)
	}
	if _, _, body := w.post(c, readTool, formType, inSupport); !strings.Contains(body, "claw_policy_denied") {
		t.Errorf("by the tool: %s", body)
	}
}

// soon is how long after it may not go on any more something may still go on.
const soon = time.Second

// ends waits until a connection is over, and fails if that takes long.
func ends(t *testing.T, what string, r io.Reader, since time.Time) {
	t.Helper()
	over := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(r)
		over <- err
	}()
	select {
	case err := <-over:
		if took := time.Since(since); err == nil || took > soon {
			t.Errorf("%s ends after %v with %v", what, took, err)
		}
	case <-time.After(10 * soon):
		t.Fatalf("%s is not cut", what)
	}
}

// TestTimeCutsWhatIsUnderWay: streams, and connections that do nothing, end with the time that allowed them, and the
// record says so. Who comes later is told.
func TestTimeCutsWhatIsUnderWay(t *testing.T) {
	for name, tt := range map[string]struct {
		grant func(*state.Snapshot)
		at    string
		step  time.Duration
		rule  string
		cut   string
	}{
		"a schedule closes":     {scheduled(office()), "2026-03-02T17:59:58+01:00", 2 * time.Second, policy.RuleSchedule, "the schedule has closed"},
		"the clock is set":      {scheduled(office()), "2026-03-02T10:00:00+01:00", 5 * 24 * time.Hour, policy.RuleSchedule, "the schedule has closed"},
		"the clock is set back": {scheduled(office()), "2026-03-02T10:00:00+01:00", -3 * time.Hour, policy.RuleSchedule, "the schedule has closed"},
		"clocks change":         {scheduled(window("Europe/Berlin", "00:00", "02:30", v1alpha1.Sunday)), "2026-03-29T00:59:59Z", time.Second, policy.RuleSchedule, "the schedule has closed"},
		"the grant expires":     {until(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), "2026-03-02T08:59:59Z", time.Second, policy.RuleExpiry, "the grant has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testingclock.NewFakeClock(moment(t, tt.at))
			w := newWorld(t, at(clock), func(_ *Config, s *state.Snapshot) { tt.grant(s) })
			events := w.streams()
			_, stream := w.open(w.client(), askModel, jsonType, modelBody)
			events <- "data: 1\n"
			if _, err := stream.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			idle, plain := w.tunnel("slack.com"), w.dial()
			clock.SetTime(clock.Now().Add(tt.step))
			since := time.Now()
			ends(t, "the stream", stream, since)
			ends(t, "the tunnel", idle, since)
			ends(t, "the connection", plain, since)
			if o := w.wait("outcome", isOutcome); o.Reason != "cut: "+tt.cut || o.BytesIn != 8 {
				t.Errorf("outcome %+v", o)
			}
			c := w.wait("the cut", func(r audit.Record) bool { return r.Kind == audit.KindControl })
			if c.Rule != tt.rule || c.Operation != "close" || c.Decision != audit.Denied || c.Direction != audit.Internal || c.Reason != tt.cut+": the agent's connections are cut" || c.Grant != "hash" {
				t.Errorf("record %+v", c)
			}
			late := w.client()
			for range 2 {
				if status, _, body := w.post(late, askModel, jsonType, modelBody); status != 403 || !strings.Contains(body, "claw_policy_denied") {
					t.Errorf("later: %d %s", status, body)
				}
			}
			clock.SetTime(clock.Now().Add(-tt.step))
			events = w.streams()
			_, stream = w.open(late, askModel, jsonType, modelBody)
			events <- "data: 2\n"
			if _, err := stream.ReadString('\n'); err != nil {
				t.Errorf("open again: %v", err)
			}
			close(events)
		})
	}
}

// TestTimeLeavesAlone: what is allowed at another time of the same schedule too does not notice.
func TestTimeLeavesAlone(t *testing.T) {
	clock := testingclock.NewFakeClock(moment(t, "2026-03-02T09:00:00+01:00"))
	w := newWorld(t, at(clock), func(_ *Config, s *state.Snapshot) {
		scheduled(office())(s)
		until(moment(t, "2027-01-01T00:00:00Z"))(s)
		toolOpen(window("UTC", "09:00", "10:00", v1alpha1.Monday))(s) // which is of no concern to a stream of a model
	})
	events := w.streams()
	_, stream := w.open(w.client(), askModel, jsonType, modelBody)
	idle := w.tunnel("slack.com")
	for _, step := range []time.Duration{3 * time.Hour, 24 * time.Hour, -2 * time.Hour} {
		clock.SetTime(clock.Now().Add(step))
		w.proxy.judgeByTime()
		events <- "data\n"
		if _, err := stream.ReadString('\n'); err != nil {
			t.Fatalf("cut after %v: %v", step, err)
		}
	}
	close(events)
	if status, body := exchangeRaw(t, idle, "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n"); status != 200 {
		t.Errorf("got %d %s", status, body)
	}
}

// TestTimeOfAToolCutsItsCallsOnly: an answer by a tool ends with the tool's schedule.
func TestTimeOfAToolCutsItsCallsOnly(t *testing.T) {
	clock := testingclock.NewFakeClock(moment(t, "2026-03-02T17:59:59+01:00"))
	w := newWorld(t, at(clock), func(_ *Config, s *state.Snapshot) { toolOpen(office())(s) })
	events := w.streams()
	_, byTool := w.open(w.client(), readTool, formType, inSupport)
	_, byModel := w.open(w.client(), askModel, jsonType, modelBody)
	clock.Step(time.Second)
	ends(t, "the tool's answer", byTool, time.Now())
	if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, "cut: no longer allowed: ") || o.Connector != "slack" {
		t.Errorf("outcome %+v", o)
	}
	close(events) // which is the end of the model's answer: the other has ended
	if _, err := io.ReadAll(byModel); err != nil {
		t.Errorf("the model's answer: %v", err)
	}
}

// TestCutInTheMiddleOfARequest: a request that is still being sent when the schedule closes is not done.
func TestCutInTheMiddleOfARequest(t *testing.T) {
	clock := testingclock.NewFakeClock(moment(t, "2026-03-02T17:59:59+01:00"))
	w := newWorld(t, at(clock), func(_ *Config, s *state.Snapshot) { scheduled(office())(s) })
	conn := w.tunnel("slack.com")
	_, _ = io.WriteString(conn, "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: "+formType+"\r\nContent-Length: 28\r\nExpect: 100-continue\r\n\r\n")
	_, _ = io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))) // the body is waited for
	clock.Step(time.Second)
	ends(t, "the request", conn, time.Now())
	if d := w.wait("denial", func(r audit.Record) bool { return isDenied(r) && r.Connector == "slack" }); d.Rule != policy.RuleSchedule || d.Reason != "cut: the schedule has closed" || len(w.requests()) != 0 {
		t.Errorf("record %+v", d)
	}
}

// TestAGrantThatIsClosed: an edit after which the time allows nothing is as good as a schedule that closes.
func TestAGrantThatIsClosed(t *testing.T) {
	clock := testingclock.NewFakeClock(moment(t, "2026-03-02T20:00:00Z"))
	w := newWorld(t, at(clock))
	events := w.streams()
	_, stream := w.open(w.client(), askModel, jsonType, modelBody)
	events <- "data\n"
	idle := w.tunnel("slack.com")
	w.source.set(true, scheduled(office()))
	since := time.Now()
	ends(t, "the stream", stream, since)
	ends(t, "the tunnel", idle, since)
	if status, _, body := w.post(w.client(), askModel, jsonType, modelBody); status != 403 || !strings.Contains(body, "2026-03-03T07:00:00Z") {
		t.Errorf("got %d %s", status, body)
	}
	// Another that is open lets it in again.
	w.source.set(true, scheduled(window("UTC", "20:00", "21:00", v1alpha1.Monday)))
	if _, _, body := w.post(w.client(), readTool, formType, "channel=C0OTHER"); !strings.Contains(body, "no entry of tools") {
		t.Errorf("got %s", body)
	}
}
