package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
	"github.com/clawstaff/clawstaff/test/journey"
)

// TestForgedMessages sends what Slack did not sign, to a real gateway: it is refused, recorded, and not delivered.
func TestForgedMessages(t *testing.T) {
	must(t, fresh(t))
	ctx := t.Context()
	message := provider.Message{User: journey.Sarah, Channel: journey.Support, Text: "forged"}
	cases := map[string]func(*provider.Delivery){
		"wrong secret":       func(d *provider.Delivery) { d.SigningSecret = "another" },
		"no signature":       func(d *provider.Delivery) { d.Signature = "v0=" },
		"stale timestamp":    func(d *provider.Delivery) { d.Timestamp = time.Now().Add(-6 * time.Minute).Unix() },
		"future timestamp":   func(d *provider.Delivery) { d.Timestamp = time.Now().Add(6 * time.Minute).Unix() },
		"body after signing": func(d *provider.Delivery) { d.Signature = provider.Sign(d.SigningSecret, time.Now().Unix(), "{}") },
		"oversized body": func(d *provider.Delivery) {
			d.Body = `{"type":"event_callback","x":"` + strings.Repeat("x", 2<<20) + `"}`
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			delivery, err := j.Delivery(ctx, journey.Claw, message)
			must(t, err)
			spoil(&delivery)
			receipt, err := j.Fakes.Deliver(ctx, delivery)
			if name == "oversized body" && err != nil {
				return // it need not read to the end what it refuses
			}
			must(t, err)
			if receipt.Status < http.StatusBadRequest {
				t.Errorf("the gateway answered %d %s", receipt.Status, receipt.Body)
			}
		})
	}
	t.Run("duplicate keys", func(t *testing.T) {
		delivery, err := j.Delivery(ctx, journey.Claw, message)
		must(t, err)
		delivery.Body = `{"type":"event_callback","type":"url_verification","challenge":"x"}`
		receipt, err := j.Fakes.Deliver(ctx, delivery)
		must(t, err)
		if receipt.Status < http.StatusBadRequest {
			t.Errorf("the gateway answered %d %s", receipt.Status, receipt.Body)
		}
	})
	t.Run("replayed event", func(t *testing.T) {
		receipt, err := j.Write(ctx, journey.Claw, journey.Sarah, journey.Support, "once only")
		must(t, err)
		_, err = j.Fakes.Deliver(ctx, receipt.Sent)
		must(t, err)
		_, err = j.Ask(ctx, journey.Claw, journey.Sarah, journey.Support, "after the replay", 30*time.Second)
		must(t, err)
		if n := heard(t, "once only"); n != 1 {
			t.Errorf("the agent was told %d times", n)
		}
	})
	if n := heard(t, "forged"); n != 0 {
		t.Errorf("the agent heard a forged message %d times", n)
	}
	records, err := j.Records(ctx, journey.Claw)
	must(t, err)
	refused := 0
	for _, record := range records {
		if record.Direction == audit.Inbound && record.Decision == audit.Dropped {
			refused++
		}
	}
	if refused < len(cases) {
		t.Errorf("%d refusals are recorded of %d", refused, len(cases))
	}
}

// heard counts how often the model was asked about a text.
func heard(t *testing.T, text string) (n int) {
	t.Helper()
	calls, err := j.Fakes.Calls(t.Context())
	must(t, err)
	for _, call := range calls {
		if call.Host == provider.AnthropicHost && strings.Contains(string(call.Body), `"`+text+`"`) {
			n++
		}
	}
	return n
}

// fresh makes sure that there is a Claw that runs and answers, whatever the test before did to it.
func fresh(t *testing.T) error {
	t.Helper()
	words.t = t
	t.Cleanup(func() { words.t = nil })
	if j.Running(t.Context()) {
		return nil
	}
	return j.Prepare(t.Context())
}
