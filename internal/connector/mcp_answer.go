package connector

import (
	"errors"
	"fmt"
	"slices"
)

// mcpTold are the notifications of a server that are passed on: none asks the agent for anything.
var mcpTold = []string{
	"notifications/cancelled", "notifications/progress", "notifications/message", "notifications/tools/list_changed",
	"notifications/resources/list_changed", "notifications/resources/updated", "notifications/prompts/list_changed",
	"notifications/elicitation/complete",
}

// filterMCP returns what the agent may see of one message of a server. Of a list of tools it sees those it is granted.
// What the server asks of the agent is judged like a tool: it is another way to make an agent act, or to have it tell
// something.
func (call *Call) filterMCP(value []byte, sight *Sight) (out []byte, removed int, err error) {
	if value[0] != '{' {
		return nil, 0, errors.New("the answer: a message of MCP is an object, and not a list of several")
	}
	m, err := readRPC(membersOf(value))
	if err != nil {
		return nil, 0, fmt.Errorf("the answer: %w", err)
	}
	switch {
	case m.errors != nil:
		return value, 0, nil
	case m.method == "":
		return call.filterResult(m, value, sight)
	case m.id == nil && slices.Contains(mcpTold, m.method), m.id != nil && m.method == mcpPing:
		return value, 0, nil
	case m.id != nil && slices.Contains(mcpOfServer, m.method) && call.maySee(m.method, sight):
		return value, 0, nil
	}
	sight.note("the server asked the agent for " + m.method + ", which the grant does not cover: it was taken out")
	return nil, 1, nil
}

// maySee reports whether a tool, or a method judged as one, is of the connector and of the grant.
func (call *Call) maySee(name string, sight *Sight) bool {
	action := call.connector.toolAction(name)
	return action != "" && sight.tool(action, name)
}

func (call *Call) filterResult(m *rpc, value []byte, sight *Sight) ([]byte, int, error) {
	if hasMember(m.result, "inputRequests") {
		for _, asked := range membersOf(memberOf(m.result, "inputRequests")) {
			sight.note("the server asked the agent for " + mcpAsked(asked.value) + " in the middle of a call: its answer was taken out")
		}
		return nil, 1, nil
	}
	tools := memberOf(m.result, "tools")
	if tools == nil {
		if call.rpc != nil && call.rpc.method == mcpList {
			return nil, 0, errors.New("the answer: result.tools is missing: without it nothing tells what the agent may see")
		}
		return value, 0, nil
	}
	f := filtering{call: call, sight: sight}
	v := &view{members: map[string]*view{"result": {members: map[string]*view{"tools": {elements: &view{check: f.seesTool}}}}}}
	out, _, err := f.apply(v, value, make([]byte, 0, len(value)))
	if err != nil {
		return nil, 0, fmt.Errorf("the answer: %w", err)
	}
	return out, f.removed, nil
}

// seesTool reports whether the agent may see an element of a list of tools.
func (f *filtering) seesTool(tool []byte) bool {
	name := textOfMember(tool, "name")
	return mcpName.MatchString(name) && f.call.maySee(name, f.sight)
}

// mcpAsked returns the method of a request, if it is one that can be named in a sentence.
func mcpAsked(request []byte) string {
	if method := textOfMember(request, "method"); len(method) <= 128 && mcpMethod.MatchString(method) {
		return method
	}
	return "something"
}
