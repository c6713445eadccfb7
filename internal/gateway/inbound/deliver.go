package inbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

const (
	deliverers     = 8
	answerTimeout  = 30 * time.Second // for the agent to answer
	restTimeout    = time.Second      // and to end its answer
	maxAnswers     = 4                // that are no success, as many as Slack's own attempts
	maxAge         = 15 * time.Minute // of a message the agent does not take
	firstBackoff   = 250 * time.Millisecond
	lastBackoff    = 3 * time.Second
	outcomeTimeout = 30 * time.Second
	goodbyeTimeout = 2 * time.Second
	judgeEvery     = 250 * time.Millisecond // whether the agent may hear what it is being sent
)

// errAnswer means that the agent was there, and did not take the message.
var errAnswer = errors.New("the agent did not take the message")

func newAgentClient() *http.Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ResponseHeaderTimeout:  answerTimeout,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        10 * time.Second,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run delivers messages until ctx is done, and records those it then still holds as undelivered.
func (h *Handler) Run(ctx context.Context) error {
	var working sync.WaitGroup
	for range deliverers {
		working.Go(func() {
			for {
				it := h.spool.next(ctx)
				if it == nil {
					return
				}
				h.deliver(ctx, it)
			}
		})
	}
	working.Wait()
	for _, it := range h.spool.rest() {
		h.finish(ctx, it, end{reason: "the gateway ended before the agent took it"})
	}
	return nil
}

// end is what became of a message.
type end struct {
	delivered bool
	reason    string
	upstream  *audit.Upstream
	took      time.Duration
}

// deliver tries until the agent has taken the message, or never will, or may not any more.
func (h *Handler) deliver(ctx context.Context, it *item) {
	wait, answers := firstBackoff, 0
	for {
		snap := h.cfg.Source.Current()
		var last end
		switch {
		case over(snap) || snap.Active() && !judge(snap, it.credential, it.event, h.cfg.Clock.Now()).Allowed:
			h.finish(ctx, it, end{reason: "the agent may not hear it any more"})
			return
		case !snap.Active():
			last.reason = "the gateway is closed: " + snap.Reason
		default:
			var err error
			last, err = h.attempt(ctx, snap, it, answers)
			if last.delivered {
				h.finish(ctx, it, last)
				return
			}
			if errors.Is(err, errAnswer) {
				answers++
			}
		}
		switch {
		case ctx.Err() != nil:
			last.reason = "the gateway ended before the agent took it"
		case answers >= maxAnswers:
			last.reason = "the agent answered too often that it does not take it"
		case h.cfg.Clock.Since(it.received) >= maxAge:
			last.reason = "the agent did not take it in time: " + last.reason
		default:
			select {
			case <-h.cfg.Clock.After(wait):
				wait = min(2*wait, lastBackoff)
			case <-snap.Done:
			case <-ctx.Done():
			}
			continue
		}
		h.finish(ctx, it, last)
		return
	}
}

// over reports whether the Claw will never be active again.
func over(snap *state.Snapshot) bool {
	return snap.Grant != nil && snap.Grant.State == v1alpha1.GrantRevoked
}

// attempt sends the message to the agent's addresses, one after the other, until one is there.
func (h *Handler) attempt(ctx context.Context, snap *state.Snapshot, it *item, answers int) (end, error) {
	ctx, cancel := h.whileAllowed(ctx, snap, it)
	defer cancel()
	if len(snap.Grant.AgentIPs) == 0 {
		return end{reason: "the agent is not there yet"}, nil
	}
	var last end
	var err error
	for _, ip := range snap.Grant.AgentIPs {
		last, err = h.post(ctx, snap, it, ip, answers)
		var dial *net.OpError
		if last.delivered || !errors.As(err, &dial) || dial.Op != "dial" {
			break
		}
	}
	return last, err
}

// whileAllowed ends the context once the agent may not hear the message any more: by a change of the
// grant, or by the time. What leaves it allowed does not disturb it.
func (h *Handler) whileAllowed(ctx context.Context, snap *state.Snapshot, it *item) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-h.cfg.Clock.After(judgeEvery): // not one timer until the schedule closes: the clock may be set
			case <-snap.Done:
			}
			snap = h.cfg.Source.Current()
			if !snap.Active() || !judge(snap, it.credential, it.event, h.cfg.Clock.Now()).Allowed {
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}

// post sends the message once.
func (h *Handler) post(ctx context.Context, snap *state.Snapshot, it *item, ip string, answers int) (end, error) {
	begun := h.cfg.Clock.Now()
	address := net.JoinHostPort(ip, strconv.Itoa(int(snap.Grant.AgentPort)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+snap.Grant.AgentPath, bytes.NewReader(it.event.toAgent))
	if err != nil {
		return end{reason: "the agent's address cannot be used"}, err
	}
	timestamp := strconv.FormatInt(begun.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "clawstaff-gateway")
	req.Header.Set(slackTimestamp, timestamp)
	req.Header.Set(slackSignature, slackSign(snap.ResignSecret, timestamp, it.event.toAgent))
	if answers > 0 {
		req.Header.Set(slackRetry, strconv.Itoa(answers))
	}
	e := end{upstream: &audit.Upstream{Host: "agent", Address: address}}
	res, err := h.agent.Do(req)
	e.took = h.cfg.Clock.Since(begun)
	if err != nil {
		e.reason = "the agent could not be reached, or did not answer"
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && e.took >= answerTimeout {
			err = fmt.Errorf("%w: %w", errAnswer, err) // it has it, and may be working on it
		}
		return e, err
	}
	defer func() { _ = res.Body.Close() }()
	stop := time.AfterFunc(restTimeout, func() { _ = res.Body.Close() }) // an answer without end is one all the same
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)                        // so that the connection can be used again
	stop.Stop()
	e.upstream.Status = res.StatusCode
	if res.StatusCode/100 != 2 {
		e.reason = "the agent answered that it does not take it"
		return e, fmt.Errorf("%w: it answered %s", errAnswer, res.Status)
	}
	e.delivered, e.reason = true, "the agent has taken it"
	return e, nil
}

// finish records what became of a message, and gives its room back.
func (h *Handler) finish(ctx context.Context, it *item, e end) {
	h.spool.release(len(it.event.toAgent))
	limit := outcomeTimeout
	if ctx.Err() != nil {
		limit = goodbyeTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	r := audit.Record{
		Grant:       it.record.Grant,
		Phase:       audit.PhaseOutcome,
		Direction:   audit.Inbound,
		Kind:        audit.KindMessage,
		Connector:   slackConnector,
		Operation:   it.event.operation,
		Actor:       it.event.actor,
		Resources:   it.record.Resources,
		Decision:    audit.Dropped,
		Rule:        it.record.Rule,
		Reason:      e.reason,
		Credential:  it.credential,
		Upstream:    e.upstream,
		BytesOut:    int64(len(it.event.toAgent)),
		BodySHA256:  digest(it.event.toAgent),
		LatencyMS:   e.took.Milliseconds(),
		Correlation: strconv.FormatUint(it.record.Seq, 10),
	}
	if e.delivered {
		r.Decision = audit.Allowed
	}
	if _, err := h.cfg.Log.Append(ctx, r); err != nil {
		slog.Error("an outcome is not recorded", "decision", it.record.Seq, "delivered", e.delivered, "error", err)
	}
}
