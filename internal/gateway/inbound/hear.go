package inbound

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// maxText is how much of a message's text is recorded; the body's hash covers all of it.
const maxText = 4 << 10

// hear judges an event, records what was decided, and spools it if the agent may hear it. It returns
// what to answer beside 200, or a *refusal, after which the event may be sent again.
func (h *Handler) hear(ctx context.Context, snap *state.Snapshot, credential, retry string, e *slackEvent, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	now := h.cfg.Clock.Now()
	verdict := judge(snap, credential, e, now)
	record := decisionOf(snap, credential, retry, e, body, verdict)
	if e.challenge != "" {
		// Nobody's message: it is not counted as one.
		record.Kind = audit.KindControl
		record.Decision, record.Rule, record.Reason = audit.Allowed, "request", "Slack checks that this address is ours"
		_, err := h.append(ctx, record)
		return e.challenge, err
	}
	key := keyOf(credential, e, body)
	isNew, err := h.seen.begin(ctx, key, now)
	if err != nil {
		return "", notRecorded()
	}
	if !isNew {
		record.Decision, record.Rule, record.Reason = audit.Dropped, "duplicate", "this event was received before"
		_, err := h.append(ctx, record)
		return "", err
	}
	err = h.hearOnce(ctx, snap, verdict, &item{event: e, credential: credential, record: record, received: now})
	h.seen.finish(key, err == nil)
	return "", err
}

// hearOnce is hear for an event that was not received before. The item's record is not kept yet.
func (h *Handler) hearOnce(ctx context.Context, snap *state.Snapshot, verdict policy.Verdict, it *item) error {
	// Room is taken for every event, so that one that will be dropped is not answered otherwise.
	if !h.spool.reserve(len(it.event.toAgent)) {
		return &refusal{status: http.StatusServiceUnavailable, public: "too many messages wait for the agent; try again"}
	}
	if verdict.Allowed {
		verdict = h.limit(snap, verdict, it.received)
	}
	it.record.Decision, it.record.Rule, it.record.Reason = audit.Dropped, verdict.Rule, verdict.Reason
	if verdict.Allowed {
		it.record.Decision = audit.Allowed
	}
	sealed, err := h.append(ctx, it.record)
	if err != nil || !verdict.Allowed {
		h.spool.release(len(it.event.toAgent))
		return err
	}
	it.record = sealed
	h.spool.add(it)
	return nil
}

// limit counts what was allowed, and drops it if that is more than the grant's limit.
func (h *Handler) limit(snap *state.Snapshot, verdict policy.Verdict, now time.Time) policy.Verdict {
	limit := snap.Grant.Limits.RequestsPerMinute
	if _, ok := h.cfg.Meter.Take(limit, now); !ok {
		return policy.Verdict{Rule: meter.Rule, Reason: meter.Reason(limit)}
	}
	return verdict
}

// judge decides whether, at a time, the agent hears an event that the credential's app has sent.
func judge(snap *state.Snapshot, credential string, e *slackEvent, at time.Time) policy.Verdict {
	if e.drop != "" {
		return policy.Verdict{Rule: "event", Reason: e.drop}
	}
	if !snap.Active() || snap.Keys[credential][slackSlot].Empty() {
		return policy.Verdict{Rule: policy.RuleDefault, Reason: "the credential is not in use any more"}
	}
	msg := policy.Message{Connector: slackConnector, Actor: e.actor, Channel: e.channel, At: at}
	return policy.DecideMessage(onlyWith(snap.Grant, credential), msg)
}

// onlyWith is the grant as seen by one credential's app: what it sends is not heard through the
// entry of another. Entries keep their place.
func onlyWith(grant *v1alpha1.ClawGrantSpec, credential string) *v1alpha1.ClawGrantSpec {
	view := *grant
	view.Channels = slices.Clone(grant.Channels)
	for i, c := range view.Channels {
		if string(c.Credential) != credential {
			view.Channels[i] = v1alpha1.ChannelRequest{}
		}
	}
	return &view
}

// append returns when the record is durable, or a *refusal that has the provider try again.
func (h *Handler) append(ctx context.Context, r audit.Record) (audit.Record, error) {
	sealed, err := h.cfg.Log.Append(ctx, r)
	if err != nil {
		return audit.Record{}, notRecorded()
	}
	return sealed, nil
}

func notRecorded() error {
	return &refusal{status: http.StatusServiceUnavailable, public: "this could not be recorded; try again"}
}

// decisionOf is the record of a decision, without what was decided.
func decisionOf(snap *state.Snapshot, credential, retry string, e *slackEvent, body []byte, verdict policy.Verdict) audit.Record {
	r := audit.Record{
		Grant:      snap.Grant.Hash,
		Phase:      audit.PhaseDecision,
		Direction:  audit.Inbound,
		Kind:       audit.KindMessage,
		Connector:  slackConnector,
		Operation:  e.operation,
		Actor:      e.actor,
		Credential: credential,
		BytesIn:    int64(len(body)),
		BodySHA256: digest(body),
	}
	if e.channel != "" {
		r.Resources = []string{policy.ResourceChannel + ":" + e.channel}
	}
	known := map[string]any{}
	for name, value := range map[string]string{"eventID": e.id, "thread": e.thread, "retry": retry} {
		if value != "" {
			known[name] = clip(value)
		}
	}
	if e.toAgent != nil && verdict.Allowed {
		known["text"] = clip(e.text) // what strangers write is not ours to keep: the hash proves it
	}
	r.Parameters = parameters(known)
	return r
}

func keyOf(credential string, e *slackEvent, body []byte) eventKey {
	if e.id != "" {
		return sha256.Sum256([]byte(credential + "\x00" + e.id))
	}
	return sha256.Sum256(append([]byte(credential+"\x01"), body...))
}

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return s
}

func parameters(known map[string]any) json.RawMessage {
	text, err := json.Marshal(known)
	if err != nil || len(known) == 0 {
		return nil
	}
	return text
}
