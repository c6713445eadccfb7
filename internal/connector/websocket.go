package connector

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// WebSocket is what may be said over one connection.
type WebSocket struct {
	// Send lists the values of the member Type of messages the agent may send. All are JSON objects.
	Send []v1alpha1.Pattern `json:"send"`
	// Type is the member; "type" where empty.
	Type string `json:"type,omitempty"`
	// Forbid lists places of a message with which it is refused.
	Forbid []string `json:"forbid,omitempty"`
	// Nested limits what is within a message, as in a body: In names its members.
	Nested []NestedRule `json:"nested,omitempty"`
	// Fields limits the values of a message's members.
	Fields []FieldRule `json:"fields,omitempty"`
	// Usage is where messages of the service say how many tokens were taken. Each is counted by itself.
	Usage *Usage `json:"usage,omitempty"`

	message *Operation // whose body a message is
}

// prepare checks what is said of a connection. A message is judged as the body of an operation is.
func (ws *WebSocket) prepare(c *Connector, op *Operation) error {
	if ws.Type == "" {
		ws.Type = "type"
	}
	if len(ws.Send) == 0 {
		return errors.New("send: there must be one: an agent that may say nothing needs no connection")
	}
	if !slices.Equal(op.Methods, []string{"GET"}) {
		return errors.New("a connection is opened with methods [GET] and nothing else")
	}
	ws.message = &Operation{
		ID: op.ID + ".message", Methods: []string{"POST"}, Action: op.Action, Authority: op.Authority, Bodies: []BodyKind{BodyJSON},
		Params: []string{"*"}, Forbid: ws.Forbid, Nested: ws.Nested, Fields: ws.Fields,
	}
	c.book.guard(ws.Type)
	if err := c.prepareOperation(ws.message); err != nil {
		return err
	}
	if ws.Usage != nil {
		if err := ws.Usage.prepare(); err != nil {
			return fmt.Errorf("usage: %w", err)
		}
	}
	return nil
}

// WebSocketMessage judges one message the agent wants to send over a connection that the call has opened. An error is
// a Refusal.
func (call *Call) WebSocketMessage(doc []byte) error {
	if call.Operation == nil || call.Operation.WebSocket == nil {
		return &Refusal{Unlisted: true, Reason: "nothing is said over a connection of this operation"}
	}
	ws := call.Operation.WebSocket
	b, err := call.connector.open()
	if err != nil {
		return refuse(err)
	}
	members, err := readObject(doc)
	if err != nil {
		return refuse(fmt.Errorf("message: %w", err))
	}
	message := &Call{Operation: ws.message, connector: call.connector, kind: BodyJSON, members: members}
	kind, ok := textOf(message.find(ws.Type))
	if !ok || !slices.ContainsFunc(ws.Send, func(p v1alpha1.Pattern) bool { return policy.Matches(p, kind) }) {
		return &Refusal{Unlisted: true, Reason: fmt.Sprintf("message: its %s is not one that %s may send", ws.Type, call.Operation.ID)}
	}
	for _, m := range members {
		if err := b.disguised(m.key); err != nil {
			return refuse(fmt.Errorf("message: %w", err))
		}
	}
	if err := message.checkRules(); err != nil {
		return refuse(fmt.Errorf("message: %w", err))
	}
	return nil
}
