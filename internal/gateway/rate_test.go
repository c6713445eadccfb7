package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// at sets the clock by which calls are judged, and leaves that of certificates, which clients check by the real one.
func at(clock *testingclock.FakeClock) option {
	return func(c *Config, _ *state.Snapshot) { c.Clock, c.Leaves = clock, NewLeaves(nil) }
}

func limitedTo(n int32) option {
	return func(_ *Config, s *state.Snapshot) { s.Grant.Limits.RequestsPerMinute = n }
}

func TestLimit(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	w := newWorld(t, limitedTo(2), at(clock))
	c := w.client()
	call := func() (int, http.Header, string) { return w.post(c, askModel, jsonType, modelBody) }
	// What is denied for another reason does not count.
	for range 3 {
		if status, _, _ := w.post(c, slackPost, formType, "channel=C0OTHER&text=x"); status != 200 {
			t.Errorf("got %d", status)
		}
	}
	if status, _, _ := call(); status != 200 {
		t.Errorf("first: %d", status)
	}
	clock.Step(20 * time.Second)
	if status, _, _ := call(); status != 200 {
		t.Errorf("second: %d", status)
	}
	clock.Step(10 * time.Second)
	status, header, body := call()
	const reason = "the limit of 2 calls and messages in a minute is reached; there is room again at 2026-03-02T09:01:01Z"
	if status != http.StatusTooManyRequests || header.Get("Retry-After") != "31" || !strings.Contains(body, reason) ||
		!strings.Contains(body, `"code":"claw_rate_limited"`) || !strings.Contains(body, `"rate_limit_error"`) {
		t.Errorf("third: %d, %v, %s", status, header, body)
	}
	d := w.wait("denial", func(r audit.Record) bool { return r.Rule == meter.Rule })
	if d.Decision != audit.Denied || d.Reason != reason || d.Operation != "messages.create" || d.Connector != "anthropic" || header.Get(recordHeader) != strconv.FormatUint(d.Seq, 10) {
		t.Errorf("record %+v", d)
	}
	// The connection is of use still, also for who is told in Slack's way, and there is room when that was said.
	if status, header, body := w.post(c, slackPost, formType, inChannel); status != 429 || header.Get("Retry-After") != "31" || !strings.Contains(body, `"ok":false,"error":"claw_rate_limited"`) {
		t.Errorf("slack: %d, %v, %s", status, header, body)
	}
	clock.Step(31 * time.Second)
	if status, _, _ := call(); status != 200 {
		t.Errorf("after the wait: %d", status)
	}
	if got := len(w.requests()); got != 3 {
		t.Errorf("the providers got %d requests", got)
	}
}

// A change of the limit counts at once, and what was done before it does too.
func TestLimitChanges(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	call := func() int {
		status, _, _ := w.post(c, slackPost, formType, inChannel)
		return status
	}
	for range 3 {
		if got := call(); got != 200 {
			t.Errorf("without a limit: %d", got)
		}
	}
	for _, step := range []struct {
		limit int32
		want  []int
	}{{4, []int{200, 429}}, {2, []int{429}}, {5, []int{200, 429}}, {0, []int{200, 200}}, {6, []int{429}}} {
		w.source.set(true, func(s *state.Snapshot) { s.Grant.Limits.RequestsPerMinute = step.limit })
		for _, want := range step.want {
			if got := call(); got != want {
				t.Errorf("limit %d: got %d, want %d", step.limit, got, want)
			}
		}
	}
}

// A stream that has begun goes on when the limit is reached.
func TestLimitCutsNoStream(t *testing.T) {
	w := newWorld(t, limitedTo(1))
	events := w.streams()
	_, r := w.open(w.client(), askModel, jsonType, modelBody)
	if status, _, _ := w.post(w.client(), slackPost, formType, inChannel); status != 429 {
		t.Errorf("got %d", status)
	}
	events <- "data: 1\n"
	if _, err := r.ReadString('\n'); err != nil {
		t.Error(err)
	}
	close(events)
}

func TestLimitWithManyAtOnce(t *testing.T) {
	w := newWorld(t, limitedTo(10))
	c := w.client()
	var allowed, refused atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			resp, err := c.Post(slackPost, formType, strings.NewReader(inChannel))
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			switch resp.StatusCode {
			case 200:
				allowed.Add(1)
			case 429:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if allowed.Load() != 10 || refused.Load() != 22 || len(w.requests()) != 10 {
		t.Errorf("%d allowed, %d refused, %d sent", allowed.Load(), refused.Load(), len(w.requests()))
	}
}
