package gateway

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

func zipped(t testing.TB, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A body is no larger than the grant lets it be, as it is when it is decoded; whichever way it comes.
func TestSizeOfABody(t *testing.T) {
	sized := func(n int) string {
		const around = `{"thing":"a1","note":""}`
		return `{"thing":"a1","note":"` + strings.Repeat("x", n-len(around)) + `"}`
	}
	for name, tc := range map[string]struct {
		size            int
		zipped, chunked bool
		status          int
	}{
		"as large as may be":          {1 << 10, false, false, 200},
		"one byte more":               {1<<10 + 1, false, false, 413},
		"chunked, as large as may be": {1 << 10, false, true, 200},
		"chunked, one byte more":      {1<<10 + 1, false, true, 413},
		"zipped, as large as may be":  {1 << 10, true, false, 200},
		"zipped, one byte more":       {1<<10 + 1, true, false, 413},
		"zipped, a bomb":              {64 << 20, true, true, 413},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, things), func(_ *Config, s *state.Snapshot) { s.Grant.Limits.RequestKiB = 1 })
			body := sized(tc.size)
			if tc.zipped {
				body = zipped(t, body)
				if len(body) > 1<<10 {
					body = body[:1<<10-1] // a bomb that is cut short is one all the same
				}
			}
			var reader io.Reader = strings.NewReader(body)
			if tc.chunked {
				reader = io.MultiReader(reader)
			}
			r, _ := http.NewRequest(http.MethodPost, "https://slack.com/v1/things", reader)
			r.Header.Set("Content-Type", jsonType)
			if tc.zipped {
				r.Header.Set("Content-Encoding", "gzip")
			}
			status, _, answer := w.do(w.client(), r)
			if status != tc.status {
				t.Fatalf("got %d %s", status, answer)
			}
			if status == http.StatusOK {
				if got := w.requests()[0]; len(got.Body) != tc.size || got.Header.Get("Content-Encoding") != "" {
					t.Errorf("sent %d bytes, %v", len(got.Body), got.Header)
				}
				return
			}
			if d := w.wait("denial", isDenied); d.Rule != ruleRequestSize || d.Reason != "the body is larger than the limit of 1 KiB" || len(w.requests()) != 0 {
				t.Errorf("record %+v", d)
			}
		})
	}
}

// As many calls are under way as the grant lets, streams among them; what is one more is told so at once, and there is room
// again when one has ended.
func TestConcurrency(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *state.Snapshot) { s.Grant.Limits.ConcurrentRequests = 2 })
	events := w.streams()
	_, _ = w.open(w.client(), askModel, jsonType, modelBody)
	second, _ := w.open(w.client(), askModel, jsonType, modelBody)
	status, header, body := w.post(w.client(), slackPost, formType, inChannel)
	if status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" || !strings.Contains(body, meter.ConcurrentReason(2)) {
		t.Errorf("a third: %d %v %s", status, header, body)
	}
	if d := w.wait("denial", isDenied); d.Rule != meter.ConcurrentRule {
		t.Errorf("record %+v", d)
	}
	_ = second.Body.Close()
	w.wait("outcome", isOutcome)
	close(events) // the streams end by themselves now
	for range 100 {
		if status, _, _ = w.post(w.client(), askModel, jsonType, modelBody); status == http.StatusOK {
			return
		}
		time.Sleep(10 * time.Millisecond) // the outcome precedes the end of the call by a moment
	}
	t.Errorf("after one has ended: %d", status)
}

// What a model may take in a day is counted for each, and begins anew with the day.
func TestTokensOfADay(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 3, 2, 23, 59, 30, 0, time.UTC))
	count := &meter.Meter{}
	w := newWorld(t, at(clock), func(c *Config, s *state.Snapshot) { c.Meter, s.Grant.Limits.TokensPerDay = count, 1000 })
	ask := func() (int, http.Header, string) { return w.post(w.client(), askModel, jsonType, modelBody) }
	count.AddTokens(audit.TokenKey("anthropic", "claude-sonnet-5"), 999, clock.Now())
	if status, _, _ := ask(); status != http.StatusOK {
		t.Errorf("below: %d", status)
	}
	count.AddTokens(audit.TokenKey("anthropic", "claude-sonnet-5"), 1, clock.Now())
	status, header, body := ask()
	const reason = "the limit of 1000 tokens of this model in a day is reached; the next day begins at 2026-03-03T00:00:00Z"
	if status != http.StatusTooManyRequests || header.Get("Retry-After") != "30" || !strings.Contains(body, reason) {
		t.Errorf("reached: %d %v %s", status, header, body)
	}
	if d := w.wait("denial", isDenied); d.Rule != meter.TokensRule || d.Kind != audit.KindModel {
		t.Errorf("record %+v", d)
	}
	other := fmt.Sprintf(modelBodyOf, "claude-opus-5")
	if status, _, _ := w.post(w.client(), askModel, jsonType, other); status != http.StatusOK {
		t.Errorf("another model: %d", status)
	}
	if status, _, _ := w.post(w.client(), slackPost, formType, inChannel); status != http.StatusOK {
		t.Errorf("no model: %d", status)
	}
	clock.Step(30 * time.Second)
	if status, _, _ := ask(); status != http.StatusOK {
		t.Errorf("the next day: %d", status)
	}
}

const modelBodyOf = `{"model":%q,"messages":[{"role":"user","content":"hello"}]}`

// What is refused by one limit is counted by no other.
func TestARefusalIsNotCounted(t *testing.T) {
	count := &meter.Meter{}
	w := newWorld(t, func(c *Config, s *state.Snapshot) {
		c.Meter, s.Grant.Limits.TokensPerDay, s.Grant.Limits.RequestsPerMinute, s.Grant.Limits.ConcurrentRequests = count, 1, 1, 1
	})
	count.AddTokens(audit.TokenKey("anthropic", "claude-sonnet-5"), 1, time.Now())
	for range 3 {
		if status, _, body := w.post(w.client(), askModel, jsonType, modelBody); status != http.StatusTooManyRequests || !strings.Contains(body, "tokens") {
			t.Errorf("got %d %s", status, body)
		}
	}
	if status, _, body := w.post(w.client(), slackPost, formType, inChannel); status != http.StatusOK || !strings.Contains(body, `"ok":true`) {
		t.Errorf("got %d %s", status, body)
	}
}
