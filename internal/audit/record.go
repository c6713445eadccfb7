// Package audit is the record of a Claw: what it is, how it is chained, how it
// is shipped and how it is kept. No record, no action.
package audit

import (
	"context"
	"encoding/json"
	"time"
)

// Direction of what is recorded, seen from the agent.
type Direction string

// The directions.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
	Internal Direction = "internal"
)

// Kind of what is recorded.
type Kind string

// The kinds.
const (
	KindMessage Kind = "message" // a message to or from people
	KindTool    Kind = "tool"    // a call of a tool
	KindModel   Kind = "model"   // a call of a model
	KindControl Kind = "control" // grants, revocations, starts: what the gateway does itself
)

// Phase tells a decision, which precedes its effect, from the outcome that follows it.
type Phase string

// The phases.
const (
	PhaseDecision Phase = "decision"
	PhaseOutcome  Phase = "outcome"
)

// Decision is what was decided.
type Decision string

// The decisions.
const (
	Allowed Decision = "allowed"
	Denied  Decision = "denied"  // a call of the agent, refused
	Dropped Decision = "dropped" // a message to the agent, which it never sees
)

// Record is one entry of a Claw's history. Seq, Prev, Hash and Time are set by
// the Chain; everything else by who records. No field ever holds a secret.
type Record struct {
	Seq  uint64    `json:"seq"`
	Prev string    `json:"prev"` // hash of the record before; empty for the first
	Hash string    `json:"hash"` // see Chain
	Time time.Time `json:"time"`

	Claw  ClawRef `json:"claw"`
	Grant string  `json:"grant,omitempty"` // hash of the grant that decided

	Phase     Phase     `json:"phase"`
	Direction Direction `json:"direction"`
	Kind      Kind      `json:"kind"`
	Connector string    `json:"connector,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Action    string    `json:"action,omitempty"`
	Actor     string    `json:"actor,omitempty"` // who wrote the message
	Resources []string  `json:"resources,omitempty"`
	// Parameters of the call, decoded and redacted. Never on standard output.
	Parameters json.RawMessage `json:"parameters,omitempty"`

	Decision   Decision `json:"decision"`
	Rule       string   `json:"rule,omitempty"`   // what decided, for example spec.tools[0]
	Reason     string   `json:"reason,omitempty"` // a stable sentence
	Credential string   `json:"credential,omitempty"`

	Upstream   *Upstream `json:"upstream,omitempty"`
	BytesIn    int64     `json:"bytesIn,omitempty"`
	BytesOut   int64     `json:"bytesOut,omitempty"`
	BodySHA256 string    `json:"bodySHA256,omitempty"`
	// Tokens a model took, in the outcome of a call of it: the model is among Resources.
	Tokens    int64 `json:"tokens,omitempty"`
	LatencyMS int64 `json:"latencyMs,omitempty"`
	// Correlation ties an outcome to its decision: the decision's seq, as text.
	Correlation string `json:"correlation,omitempty"`
}

// ClawRef names the Claw a record is about.
type ClawRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Upstream is the provider that was asked.
type Upstream struct {
	Host    string `json:"host"`
	Address string `json:"address,omitempty"`
	Status  int    `json:"status,omitempty"`
}

// Log appends records to a Claw's history.
type Log interface {
	// Append returns when the record is durable, with Seq, Prev, Hash and Time set.
	// An error means that it may not be, and whatever it would have recorded must
	// not happen.
	Append(ctx context.Context, r Record) (Record, error)
}
