// Package inbound is how messages reach an agent: verified, judged, recorded,
// acknowledged, written anew, signed anew and delivered. A message that is dropped is
// acknowledged like one that is not.
package inbound

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"k8s.io/utils/clock"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

const (
	// SlackPath is where Slack's events are received.
	SlackPath = "/hooks/slack"

	maxBody       = 1 << 20
	maxConcurrent = 16 // strangers can fill these: with as many of the largest bodies the gateway has memory left
	bodyTimeout   = 5 * time.Second
	// recordTimeout leaves time to acknowledge within the three seconds Slack waits.
	recordTimeout = 2500 * time.Millisecond
)

// Config is what a Handler needs.
type Config struct {
	Source state.Source
	Log    audit.Log
	// Meter of what the Claw does, for the grant's limits; one for messages alone where nil.
	Meter *meter.Meter
	// Clock is the real one where nil.
	Clock clock.WithTicker
}

// Handler receives messages from providers, and delivers to the agent those it may hear.
type Handler struct {
	cfg     Config
	slots   chan struct{} // requests being received
	seen    seen
	refused limiter
	spool   *spool
	agent   *http.Client
}

// New makes a Handler. Run must run for anything to be delivered.
func New(cfg Config) *Handler {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Meter == nil {
		cfg.Meter = &meter.Meter{}
	}
	return &Handler{
		cfg:   cfg,
		slots: make(chan struct{}, maxConcurrent),
		spool: newSpool(),
		agent: newAgentClient(),
	}
}

// refusal is the end of a request that gets no further.
type refusal struct {
	status int
	public string // for whoever asks
	reason string // for the record; public where empty
}

// Error implements error.
func (r *refusal) Error() string { return r.public }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body, answer, err := h.receive(w, r)
	var no *refusal
	if errors.As(err, &no) {
		h.recordRefusal(r.Context(), body, no)
		http.Error(w, no.public, no.status)
		return
	}
	if answer != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, answer)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// receive takes a request as far as it goes: to the answer Slack is to get, or to a *refusal.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (body []byte, answer string, err error) {
	if err := acceptable(w, r); err != nil {
		return nil, "", err
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return nil, "", &refusal{status: http.StatusServiceUnavailable, public: "too many requests at once; try again"}
	}
	if body, err = readBody(w, r); err != nil {
		return nil, "", err
	}
	snap := h.cfg.Source.Current()
	if !snap.Active() {
		return body, "", &refusal{status: http.StatusServiceUnavailable, public: "this Claw hears nothing at present", reason: snap.Reason}
	}
	credential, err := h.verify(snap, r.Header, body)
	if err != nil {
		return body, "", err
	}
	event, err := parseSlack(body)
	if err != nil {
		return body, "", &refusal{status: http.StatusBadRequest, public: err.Error()}
	}
	answer, err = h.hear(r.Context(), snap, credential, r.Header.Get(slackRetry), event, body)
	return body, answer, err
}

// acceptable checks what can be checked before the body is read.
func acceptable(w http.ResponseWriter, r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.URL.Path != SlackPath || r.URL.RawQuery != "":
		return &refusal{status: http.StatusNotFound, public: "there is nothing here; events are received at " + SlackPath}
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{status: http.StatusMethodNotAllowed, public: "events are sent with POST"}
	case err != nil || media != "application/json":
		return &refusal{status: http.StatusUnsupportedMediaType, public: "events are sent as application/json"}
	case r.Header.Get("Content-Encoding") != "":
		return &refusal{status: http.StatusUnsupportedMediaType, public: "events are sent as they are: no Content-Encoding is accepted"}
	case r.ContentLength > maxBody:
		return &refusal{status: http.StatusRequestEntityTooLarge, public: "the body is larger than 1 MiB"}
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	var body bytes.Buffer
	body.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // acceptable has seen that it is not too much
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, public: "the body is larger than 1 MiB"}
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, public: "the body is not complete"}
	}
	return body.Bytes(), nil
}

// verify finds the credential whose app has signed the body.
func (h *Handler) verify(snap *state.Snapshot, header http.Header, body []byte) (string, error) {
	no := &refusal{status: http.StatusUnauthorized, public: "the signature is missing, wrong or too old"}
	timestamp, signature, err := slackTime(header, h.cfg.Clock.Now())
	if err != nil {
		no.reason = err.Error()
		return "", no
	}
	no.reason = "no credential of the grant's Slack channels has made this signature"
	for _, c := range snap.Grant.Channels {
		key := snap.Keys[string(c.Credential)][slackSlot]
		if c.Connector != slackConnector || key.Empty() {
			continue
		}
		if hmac.Equal([]byte(slackSign(key, timestamp, body)), []byte(signature)) {
			return string(c.Credential), nil
		}
	}
	return "", no
}

// recordRefusal records a request that got no further. Strangers can cause these, so they are
// limited, and nothing waits for them.
func (h *Handler) recordRefusal(ctx context.Context, body []byte, no *refusal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout) // also of who has hung up
	defer cancel()
	ok, unrecorded := h.refused.allow(h.cfg.Clock.Now())
	if !ok {
		return
	}
	r := audit.Record{
		Phase:     audit.PhaseDecision,
		Direction: audit.Inbound,
		Kind:      audit.KindMessage,
		Connector: slackConnector,
		Decision:  audit.Dropped,
		Rule:      "request",
		Reason:    no.reason,
		BytesIn:   int64(len(body)),
	}
	if snap := h.cfg.Source.Current(); snap.Grant != nil {
		r.Grant = snap.Grant.Hash
	}
	if r.Reason == "" {
		r.Reason = no.public
	}
	if body != nil {
		r.BodySHA256 = digest(body)
	}
	r.Parameters = parameters(map[string]any{"status": no.status, "unrecorded": unrecorded})
	_, _ = h.cfg.Log.Append(ctx, r) // nothing follows from it
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
