package connector

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Response says what of an answer the agent sees. An answer that is no JSON, or of which a filter does not find its
// place, is not passed on at all. Answers that are errors of the service are.
type Response struct {
	// Filters that all apply.
	Filters []Filter `json:"filters,omitempty"`
	// Remove lists places that are taken out. Where one is missing there is nothing to do.
	Remove []string `json:"remove,omitempty"`
	// MCP says that the answer, or each event of it, is a message of the Model Context Protocol. An operation whose
	// body is MCP is answered so without saying it.
	MCP bool `json:"mcp,omitempty"`

	view *view
}

// Filter keeps what the grant covers of one place of an answer. What it does not keep is taken out together with the
// innermost element of a list it is in; where it is in none, the agent sees nothing of the answer.
type Filter struct {
	// At is the place: messages[] for the elements of a list; message for an object; [] where the answer is a list;
	// or nothing, for the whole answer. Lists may be within lists: items[].comments[].
	At string `json:"at,omitempty"`
	// Optional is set where the place may be missing.
	Optional bool `json:"optional,omitempty"`
	// Author is who wrote it. An author the Claw would not hear is not read either.
	Author *Author `json:"author,omitempty"`
	// Resource it is, or is in: kept where the grant covers it for the operation's action. Its places are within what
	// is filtered, and all they name must be covered: id, base.repo.full_name, channels[]. A dot is what is filtered itself.
	Resource *ResourceSource `json:"resource,omitempty"`

	names *names
}

// Author is where an answer says who wrote something.
type Author struct {
	// From is the place of the writer's id, within what is filtered.
	From string `json:"from,omitempty"`
	// As names the way in which a service spells its writers, where one place is not enough: Slack, Gmail.
	As AuthorRule `json:"as,omitempty"`
	// IgnoreCase is set where the service does.
	IgnoreCase bool `json:"ignoreCase,omitempty"`
	// Channel is the place of where it was written, within what is filtered; the operation's channel where empty.
	Channel string `json:"channel,omitempty"`

	from, channel []hop
}

// AuthorRule is a way in which a service spells who wrote something.
type AuthorRule string

// The ways to spell writers.
const (
	// AuthorSlack is that of messages and files of Slack, see slackAuthor.
	AuthorSlack AuthorRule = "Slack"
	// AuthorGmail is that of Gmail's messages, see gmailAuthor.
	AuthorGmail AuthorRule = "Gmail"
)

// Sight is what a Claw may see of an answer. Nothing is seen by what is nil.
type Sight struct {
	// Author tells whether the Claw reads what an actor, spelled as in the directory, wrote in a channel; an empty
	// channel is any. The Claw itself is such an actor.
	Author func(actor, channel string) bool
	// Resource tells whether the grant covers a resource for the call's action.
	Resource func(policy.Resource) bool
	// Action tells it for another action: each tool of an MCP server has its own.
	Action func(v1alpha1.Action, policy.Resource) bool
	// Note, where it is not nil, is told what the agent's owner should know of: a sentence that quotes nothing secret.
	Note func(finding string)
}

func (s *Sight) author(actor, channel string) bool {
	return actor != "" && s.Author != nil && s.Author(actor, channel)
}

func (s *Sight) resource(r policy.Resource) bool { return s.Resource != nil && s.Resource(r) }

func (s *Sight) tool(action v1alpha1.Action, name string) bool {
	return s.Action != nil && s.Action(action, policy.Resource{Type: toolType, Name: name})
}

func (s *Sight) note(finding string) {
	if s.Note != nil {
		s.Note(finding)
	}
}

// Filters reports whether the answer has to be looked into before the agent sees it.
func (call *Call) Filters() bool {
	return call.Operation != nil && (call.Operation.Response != nil || slices.Contains(call.Operation.Bodies, BodyMCP))
}

// FilterAnswer returns what the agent may see of an answer: a whole document, or the data of one event of a stream. It
// counts what it took out. Bytes that are kept are as they were. It returns nil where the agent may see nothing of the
// document, and an error, with which nothing may be passed on, where it does not understand it.
func (call *Call) FilterAnswer(doc []byte, sight Sight) (out []byte, removed int, err error) {
	if !call.Filters() || len(doc) == 0 {
		return doc, 0, nil
	}
	value, err := wholeValue(doc)
	if err != nil {
		return nil, 0, fmt.Errorf("the answer: %w", err)
	}
	op := call.Operation
	if slices.Contains(op.Bodies, BodyMCP) || op.Response.MCP {
		return call.filterMCP(value, &sight)
	}
	f := filtering{call: call, sight: &sight, failed: call.isFailure(value)}
	out, keep, err := f.apply(op.Response.view, value, make([]byte, 0, len(value)))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("the answer: %w", err)
	case !keep:
		return nil, f.removed + 1, nil
	}
	return out, f.removed, nil
}

// wholeValue checks a document of any kind, and returns it without white space around it.
func wholeValue(doc []byte) ([]byte, error) {
	s := scanner{data: doc}
	s.space()
	start := s.pos
	if err := s.value(0); err != nil {
		return nil, fmt.Errorf("it is not acceptable JSON: %w (at byte %d)", err, s.pos)
	}
	value := doc[start:s.pos]
	if s.space(); s.pos != len(doc) {
		return nil, errors.New("it has something after its JSON")
	}
	return value, nil
}

// isFailure reports whether an answer says by itself that it is an error of the service: such a one lacks the places
// of filters. What is there is filtered all the same.
func (call *Call) isFailure(value []byte) bool {
	name, want := "", ""
	switch shape := call.connector.Denial; {
	case slices.Contains(call.Operation.Bodies, BodyGraphQL):
		name, want = "errors", "["
	case shape == DenialSlack || shape == DenialTelegram:
		name, want = "ok", "false"
	default:
		return false
	}
	for _, m := range membersOf(value) {
		if m.key == name {
			return string(m.value) == want || want == "[" && m.value[0] == '['
		}
	}
	return false
}
