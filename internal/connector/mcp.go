package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// The Model Context Protocol over Streamable HTTP is JSON-RPC 2.0, one message per POST. A tool is a resource, and what
// it does is what the connector says of it. The protocol has other methods by which a server reads, or asks the agent
// for something: they are judged in the same way, as tools of their name (resources/read, elicitation/create). No real
// tool has a name with a slash.

// toolType is the type of resource that tools are.
const toolType = "tool"

// The methods that are known by name.
const (
	mcpCall        = "tools/call"
	mcpList        = "tools/list"
	mcpPing        = "ping"
	mcpSampling    = "sampling/createMessage"
	mcpElicitation = "elicitation/create"
	mcpRoots       = "roots/list"
)

// mcpFree are methods without which no client works, and that touch nothing: any entry of the connector allows them.
var mcpFree = []string{
	"initialize", "server/discover", mcpPing, mcpList,
	"notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed",
}

// mcpOfServer are the methods a server asks of the agent.
var mcpOfServer = []string{mcpSampling, mcpElicitation, mcpRoots}

var (
	mcpMethod = regexp.MustCompile(`^[a-z][A-Za-z]*(/[a-z][A-Za-z_]*){0,3}$`)
	mcpName   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
)

// checkToolType checks that the connector has a type of resource for tools.
func (c *Connector) checkToolType() error {
	if _, ok := c.Resources[toolType]; !ok {
		return fmt.Errorf("a connector of MCP has a type %q in its resources", toolType)
	}
	return nil
}

// toolAction returns what a tool does; it is nothing where the connector does not say it.
func (c *Connector) toolAction(name string) v1alpha1.Action {
	i := slices.IndexFunc(c.Tools, func(t Tool) bool {
		// A pattern for tools is not one for the protocol's own methods.
		return policy.Matches(t.Name, name) && strings.Contains(name, "/") == strings.Contains(string(t.Name), "/")
	})
	if i < 0 {
		return ""
	}
	return c.Tools[i].Action
}

// rpc is one message of JSON-RPC 2.0.
type rpc struct {
	method         string
	id             json.RawMessage // nil of a notification
	params         []byte          // nil, or an object
	result, errors []byte
}

// readRPC reads a message. It has no member that JSON-RPC does not know.
func readRPC(members []member) (*rpc, error) {
	m := &rpc{}
	version := ""
	for _, f := range members {
		switch f.key {
		case "jsonrpc":
			version, _ = textOf(f.value)
		case "id":
			m.id = f.value
		case "method":
			if m.method, _ = textOf(f.value); len(m.method) > 128 || !mcpMethod.MatchString(m.method) {
				return nil, errors.New("its method is not the name of one")
			}
		case "params":
			m.params = f.value
		case "result":
			m.result = f.value
		case "error":
			m.errors = f.value
		default:
			return nil, fmt.Errorf("a message of JSON-RPC has no member %q", f.key)
		}
	}
	isAnswer := m.result != nil || m.errors != nil
	switch {
	case version != "2.0":
		return nil, errors.New("it is not JSON-RPC 2.0: jsonrpc must be there")
	case m.id != nil && !isMessageID(m.id) && (m.errors == nil || !isNull(m.id)):
		return nil, errors.New("its id is neither a text nor a whole number")
	case m.method != "" && isAnswer, m.result != nil && m.errors != nil, m.method == "" && (!isAnswer || m.params != nil):
		return nil, errors.New("it is neither a request nor an answer, or both")
	case m.result != nil && m.id == nil: // an error may be about what could not be read
		return nil, errors.New("it answers nothing: its id is missing")
	case m.params != nil && m.params[0] != '{', m.result != nil && m.result[0] != '{', m.errors != nil && m.errors[0] != '{':
		return nil, errors.New("its params, result or error is no object")
	}
	return m, nil
}

// isMessageID reports whether a value is an id every reader reads alike.
func isMessageID(value []byte) bool {
	text, isText := textOf(value)
	return isText && len(value) <= 258 && text != "" || !isText && isWhole(string(value))
}

// readMCP reads the message of a call, and finds what it does. All of it is judged here. The call's operation becomes
// that of the message: its id is the method.
func (call *Call) readMCP(_ []byte) error {
	m, err := readRPC(call.members)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	call.rpc = m
	op := *call.Operation
	call.Operation, op.Resources = &op, nil
	op.ID, op.Authority = m.method, policy.AuthorityConnector
	switch {
	case m.method == "":
		return call.answerMCP(&op)
	case strings.HasPrefix(m.method, "notifications/") != (m.id == nil):
		return errors.New("message: a request has an id, and a notification has none")
	case m.method == mcpCall:
		return call.callTool(&op)
	case slices.Contains(mcpFree, m.method):
		return nil
	case slices.Contains(mcpOfServer, m.method):
		return fmt.Errorf("message: %s is asked by a server, not by an agent", m.method)
	default:
		return call.touch(&op, m.method)
	}
}

// callTool reads which tool is called.
func (call *Call) callTool(op *Operation) error {
	name := textOfMember(call.rpc.params, "name")
	if !mcpName.MatchString(name) {
		return errors.New("message: params.name is not the name of a tool: 1 to 128 letters, digits, dots, dashes and underscores")
	}
	if arguments := memberOf(call.rpc.params, "arguments"); arguments != nil && arguments[0] != '{' && !isNull(arguments) {
		return errors.New("message: params.arguments is no object")
	}
	for _, m := range membersOf(call.rpc.params) {
		switch m.key {
		case "name", "arguments", "_meta":
		default: // such as task, whose result comes by another way, or inputResponses, which answer what was taken out
			return fmt.Errorf("message: params.%s is not known here, and could act where no gateway sees it", m.key)
		}
	}
	return call.touch(op, name)
}

// touch makes a tool, or a method that is judged as one, what the call is about.
func (call *Call) touch(op *Operation, name string) error {
	action := call.connector.toolAction(name)
	if action == "" {
		reason := fmt.Sprintf("connector %s does not say what tool %s does: list it in its tools, with an action", call.connector.Name, name)
		return &Refusal{Unlisted: true, Reason: reason}
	}
	op.Authority, op.Action, call.Action = policy.AuthorityTool, action, action
	if r := (policy.Resource{Type: toolType, Name: name}); !slices.Contains(call.Resources, r) {
		call.Resources = append(call.Resources, r)
	}
	return nil
}

// answerMCP judges what an agent answers a server. To a ping it answers nothing at all. Else it is judged as that which
// it answers, which it shows by what is in it.
func (call *Call) answerMCP(op *Operation) error {
	op.ID = "answer"
	result := call.rpc.result
	if string(result) == "{}" {
		return nil
	}
	if result == nil && slices.ContainsFunc(mcpOfServer, func(name string) bool { return call.connector.toolAction(name) != "" }) {
		return nil // it is not done
	}
	method := ""
	for name, key := range map[string]string{mcpSampling: "model", mcpElicitation: "action", mcpRoots: "roots"} {
		if memberOf(result, key) == nil {
			continue
		}
		if method != "" {
			return errors.New("message: it answers several things at once")
		}
		method = name
	}
	if method == "" {
		return &Refusal{Unlisted: true, Reason: "message: what it answers was not asked by a request that passes"}
	}
	return call.touch(op, method)
}

// MessageID is the id of the message of JSON-RPC that the call is, as it is written; nil where it is none.
func (call *Call) MessageID() json.RawMessage {
	if call == nil || call.rpc == nil || call.rpc.method == "" {
		return nil
	}
	return call.rpc.id
}

// MessageHeaders returns headers that say again what the message of MCP says, as revision 2026-07-28 of the protocol
// asks of clients. They are never taken from the agent: some servers route by them. Nil for other calls.
func (call *Call) MessageHeaders() map[string]string {
	if call.rpc == nil || call.rpc.method == "" {
		return nil
	}
	headers := map[string]string{"Mcp-Method": call.rpc.method}
	if call.rpc.method == mcpCall {
		headers["Mcp-Name"] = textOfMember(call.rpc.params, "name")
	}
	return headers
}
