package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
)

// Denial is why something is not done. It is an error of every step, is recorded, and is what the agent is told.
type Denial struct {
	// Status of the answer, where the connector's shape has one.
	Status int
	// Code is a stable word for programs.
	Code string
	// Rule that decided, for the record.
	Rule string
	// Reason is a stable sentence that quotes nothing secret.
	Reason string
	// Retry is after how long to try again, where that helps.
	Retry time.Duration
	// Close is set where the connection cannot be used further.
	Close bool
}

// Error implements error.
func (d *Denial) Error() string { return d.Reason }

// The codes of denials.
const (
	codeDenied      = "claw_policy_denied"
	codeMalformed   = "claw_request_refused"
	codeLimited     = "claw_rate_limited"
	codeUnrecorded  = "claw_record_unavailable"
	codeUpstream    = "claw_upstream_failed"
	codePassword    = "claw_proxy_password"
	codeUnavailable = "claw_gateway_busy"
)

func denied(rule, reason string) *Denial {
	return &Denial{Status: http.StatusForbidden, Code: codeDenied, Rule: rule, Reason: reason}
}

// malformed refuses what HTTP or the gateway cannot accept. Where the next request starts is in doubt then.
func malformed(status int, reason string) *Denial {
	return &Denial{Status: status, Code: codeMalformed, Rule: "http", Reason: reason, Close: true}
}

func unrecorded() *Denial {
	return &Denial{Status: http.StatusServiceUnavailable, Code: codeUnrecorded, Rule: "record", Reason: "nothing is done that cannot be recorded"}
}

func limited(limit int32, now time.Time, wait time.Duration) *Denial {
	room := now.Add(wait).Add(time.Second - 1).Truncate(time.Second) // as Retry-After, in whole seconds
	return &Denial{
		Status: http.StatusTooManyRequests, Code: codeLimited, Rule: meter.Rule, Retry: wait,
		Reason: meter.Reason(limit) + "; there is room again at " + room.UTC().Format(time.RFC3339),
	}
}

// problem is RFC 9457, with the members by which the SDKs of models find a message.
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Code   string       `json:"code"`
	Record string       `json:"record,omitempty"`
	Error  problemError `json:"error"`
}

type problemError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Code    string `json:"code"`
}

type slackError struct {
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	Reason string `json:"claw_reason"`
	Record string `json:"claw_record,omitempty"`
}

// render writes the answer of a denial, in the shape the connector's clients understand. The record's number
// lets the agent's owner find out more.
func (d *Denial) render(shape connector.DenialShape, seq uint64) (status int, contentType string, body []byte) {
	record := ""
	if seq > 0 {
		record = strconv.FormatUint(seq, 10)
	}
	if shape == connector.DenialSlack {
		// Slack refuses with 200; its SDK asks again and again after anything else. After 429 it waits as it is told to.
		if status = d.Status; status < 500 && status != http.StatusTooManyRequests {
			status = http.StatusOK
		}
		body, _ = json.Marshal(slackError{Error: d.Code, Reason: d.Reason, Record: record})
		return status, "application/json; charset=utf-8", body
	}
	kind := "permission_error"
	if d.Status == http.StatusTooManyRequests {
		kind = "rate_limit_error"
	}
	message := "ClawStaff: " + d.Reason
	if record != "" {
		message += " (record " + record + ")"
	}
	body, _ = json.Marshal(problem{
		Type: "https://clawstaff.dev/problems/" + d.Code, Title: http.StatusText(d.Status), Status: d.Status,
		Detail: d.Reason, Code: d.Code, Record: record,
		Error: problemError{Type: kind, Message: message, Code: d.Code},
	})
	return d.Status, "application/problem+json", body
}
