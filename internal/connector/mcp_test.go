package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// mcpServer is an organization's own connector, made of the template. Elicitation is the only thing its server may ask.
func mcpServer(t testing.TB) *Connector {
	t.Helper()
	builtin := builtinT(t)
	c, problems := builtin.With(map[string][]byte{"connectors/linear": []byte(`
connector: linear-mcp
from: mcp
hosts: [{host: mcp.linear.example, base: /mcp}]
tools:
- {name: delete_issue, action: Delete}
- {name: "list_*", action: Read}
- {name: create_issue, action: Write}
- {name: resources/read, action: Read}
- {name: elicitation/create, action: Write}
`)})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c.Get("linear-mcp")
}

func rpcPost(body string) Request { return post("/mcp", jsonType, body) }

func TestMCP(t *testing.T) {
	c := mcpServer(t)
	for name, tc := range map[string]struct {
		body      string
		operation string
		action    v1alpha1.Action
		tool      string
	}{
		"initialize":            {`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"x","version":"1"}}}`, "initialize", "Read", ""},
		"initialized":           {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, "notifications/initialized", "Read", ""},
		"cancelled":             {`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`, "notifications/cancelled", "Read", ""},
		"ping":                  {`{"jsonrpc":"2.0","id":"a-1","method":"ping"}`, "ping", "Read", ""},
		"the tools":             {`{"method":"tools/list","jsonrpc":"2.0","id":1,"params":{"cursor":"x"}}`, "tools/list", "Read", ""},
		"a tool that reads":     {`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_issues","arguments":{"team":"A","token":"x"},"_meta":{"progressToken":1}}}`, "tools/call", "Read", "list_issues"},
		"a tool that writes":    {`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_issue"}}`, "tools/call", "Write", "create_issue"},
		"a tool that deletes":   {`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_issue","arguments":null}}`, "tools/call", "Delete", "delete_issue"},
		"an escaped name":       {`{"jsonrpc":"2.0","id":2,"method":"tools\/call","params":{"n\u0061me":"delete_\u0069ssue"}}`, "tools/call", "Delete", "delete_issue"},
		"a listed method":       {`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"x"}}`, "resources/read", "Read", "resources/read"},
		"an answer to a ping":   {`{"jsonrpc":"2.0","id":5,"result":{}}`, "answer", "Read", ""},
		"an answer to a listed": {`{"jsonrpc":"2.0","id":5,"result":{"action":"accept","content":{"a":1}}}`, "answer", "Write", "elicitation/create"},
		"an error":              {`{"jsonrpc":"2.0","id":5,"error":{"code":-1,"message":"no"}}`, "answer", "Read", ""},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(rpcPost(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			var want []policy.Resource
			authority := policy.AuthorityConnector
			if tc.tool != "" {
				want, authority = []policy.Resource{{Type: "tool", Name: tc.tool}}, policy.AuthorityTool
			}
			if diff := cmp.Diff(want, call.Resources); diff != "" {
				t.Error(diff)
			}
			if call.Operation.ID != tc.operation || call.Action != tc.action || call.Operation.Authority != authority || string(call.Body) != tc.body {
				t.Errorf("got %s, %s, by %s: %s", call.Operation.ID, call.Action, call.Operation.Authority, call.Body)
			}
			if p := call.Parameters(1024, asItIs); tc.tool == "list_issues" && !strings.Contains(string(p), `"arguments":{"team":"A","token":"[redacted]"}`) {
				t.Errorf("recorded: %s", p)
			}
		})
	}
	if op := c.Operation("message"); op.Authority != policy.AuthorityConnector || op.Action != v1alpha1.ActionRead {
		t.Errorf("a call has changed the catalogue: %+v", op)
	}
}

func TestMCPRefuses(t *testing.T) {
	c := mcpServer(t)
	for name, tc := range map[string]struct{ body, reason string }{
		"several at once":              {`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, "not a JSON object"},
		"an empty list":                {`[]`, "not a JSON object"},
		"no version":                   {`{"id":1,"method":"ping"}`, "JSON-RPC 2.0"},
		"another version":              {`{"jsonrpc":2.0,"id":1,"method":"ping"}`, "JSON-RPC 2.0"},
		"two methods":                  {`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, "twice"},
		"two methods, one escaped":     {`{"jsonrpc":"2.0","id":1,"method":"ping","meth\u006fd":"tools/call"}`, "twice"},
		"two methods, in another case": {`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, `no member "Method"`},
		"two names":                    {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_x","name":"delete_issue"}}`, "twice"},
		"two names, in another case":   {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_x","Name":"delete_issue"}}`, "params.Name is not known"},
		"an unlisted tool":             {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_shell"}}`, "does not say what tool run_shell does"},
		"a tool that is a method":      {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"resources/read"}}`, "not the name of a tool"},
		"a method that is a tool":      {`{"jsonrpc":"2.0","id":1,"method":"list"}`, "does not say what tool list does"},
		"no name":                      {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{}}}`, "not the name of a tool"},
		"a name that is a list":        {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["list_x"]}}`, "not the name of a tool"},
		"no params":                    {`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, "not the name of a tool"},
		"params in a list":             {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["list_x"]}`, "no object"},
		"arguments in a text":          {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_x","arguments":"{}"}}`, "arguments is no object"},
		"a task":                       {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_x","task":{"ttl":1}}}`, "params.task is not known"},
		"a call that is told only":     {`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"list_x"}}`, "a request has an id"},
		"a notification that asks":     {`{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}`, "a notification has none"},
		"an unknown notification":      {`{"jsonrpc":"2.0","method":"notifications/x"}`, "does not say what"},
		"an id that is null":           {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, "neither a text nor"},
		"an id that is a fraction":     {`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, "neither a text nor"},
		"an id that is an object":      {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, "neither a text nor"},
		"a very long id":               {`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 300) + `","method":"ping"}`, "neither a text nor"},
		"resources that are listed":    {`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`, "does not say what tool resources/list does"},
		"prompts":                      {`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}`, "does not say what"},
		"completion":                   {`{"jsonrpc":"2.0","id":1,"method":"completion/complete"}`, "does not say what"},
		"logging":                      {`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel"}`, "does not say what"},
		"what servers ask":             {`{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}`, "asked by a server"},
		"a method with a line break":   {`{"jsonrpc":"2.0","id":1,"method":"ping\n"}`, "not the name of one"},
		"a request that answers":       {`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, "or both"},
		"nothing":                      {`{"jsonrpc":"2.0","id":1}`, "neither a request nor"},
		"an answer about models":       {`{"jsonrpc":"2.0","id":1,"result":{"role":"assistant","model":"x","content":{}}}`, "does not say what tool sampling"},
		"an answer about two things":   {`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","model":"x"}}`, "several things"},
		"an answer about anything":     {`{"jsonrpc":"2.0","id":1,"result":{"data":"secret"}}`, "was not asked"},
		"an answer to nothing":         {`{"jsonrpc":"2.0","result":{}}`, "answers nothing"},
		"more than JSON-RPC":           {`{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}`, "no member"},
		"something after it":           {`{"jsonrpc":"2.0","id":1,"method":"ping"}{}`, "after its JSON"},
		"nothing at all":               {``, "no body"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(rpcPost(tc.body))
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.reason) {
				t.Fatalf("got %v", err)
			}
			if len(call.Resources) > 0 {
				t.Errorf("touches %v", call.Resources)
			}
		})
	}
}

// TestMCPPaths: the endpoint is the connector's base and nothing else.
func TestMCPPaths(t *testing.T) {
	c := mcpServer(t)
	for method, id := range map[string]string{"GET": "listen", "DELETE": "session.end"} {
		call, err := c.Match(Request{Method: method, Path: "/mcp"})
		if err != nil || call.Operation.ID != id || call.Path != "/mcp" || call.Filters() != (method == "GET") {
			t.Errorf("%s: %v, %+v", method, err, call.Operation)
		}
	}
	for _, r := range []Request{{Method: "GET", Path: "/mcp/x"}, {Method: "PUT", Path: "/mcp"}, {Method: "GET", Path: "/mcp", Query: "url=https://evil.example"}} {
		if call, err := c.Match(r); err == nil {
			t.Errorf("%s %s is %s", r.Method, r.Path, call.Operation.ID)
		}
	}
}

func mcpSight(notes *[]string, granted ...string) Sight {
	return Sight{
		Action: func(action v1alpha1.Action, r policy.Resource) bool {
			return slices.Contains(granted, fmt.Sprintf("%s %s:%s", action, r.Type, r.Name))
		},
		Note: func(finding string) { *notes = append(*notes, finding) },
	}
}

func TestMCPAnswer(t *testing.T) {
	c := mcpServer(t)
	tools := func(names ...string) string {
		var list []string
		for _, name := range names {
			list = append(list, `{"name":"`+name+`","description":"does <it>","inputSchema":{"type":"object"}}`)
		}
		return `{"jsonrpc":"2.0","id":1,"result":{"tools":[` + strings.Join(list, ",") + `],"nextCursor":"2"}}`
	}
	list := rpcPost(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	do := rpcPost(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_issues"}}`)
	listen := Request{Method: "GET", Path: "/mcp"}
	for name, tc := range map[string]struct {
		request   Request
		doc, want string // "" is all of it, "nothing" none
		note      string
	}{
		"tools":                           {request: list, doc: tools("list_issues", "list_secret", "create_issue", "delete_issue", "run_shell"), want: tools("list_issues", "create_issue")},
		"tools, in a stream come back to": {request: listen, doc: tools("delete_issue", "list_issues"), want: tools("list_issues")},
		"no tools":                        {request: list, doc: tools()},
		"tools without a name":            {request: list, doc: `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"title":"x"},{"name":5},"list_issues",{"name":"resources/read"}]}}`, want: `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`},
		"a result":                        {request: do, doc: `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"isError":false}}`},
		"an error":                        {request: list, doc: `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x"}}`},
		"an error about nothing":          {request: list, doc: `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`},
		"progress":                        {request: do, doc: `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`},
		"a ping":                          {request: listen, doc: `{"jsonrpc":"2.0","id":"s1","method":"ping"}`},
		"what the server may ask":         {request: listen, doc: `{"jsonrpc":"2.0","id":"s1","method":"elicitation/create","params":{"message":"x"}}`},
		"what the server may not ask":     {request: do, doc: `{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}`, want: "nothing", note: "sampling/createMessage"},
		"roots":                           {request: do, doc: `{"jsonrpc":"2.0","id":"s1","method":"roots/list"}`, want: "nothing", note: "roots/list"},
		"an unknown notification":         {request: do, doc: `{"jsonrpc":"2.0","method":"notifications/run","params":{}}`, want: "nothing", note: "notifications/run"},
		"a question in a call":            {request: do, doc: `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"sampling/createMessage"}}}}`, want: "nothing", note: "sampling/createMessage in the middle of a call"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(tc.request)
			if err != nil {
				t.Fatal(err)
			}
			var notes []string
			out, removed, err := call.FilterAnswer([]byte(tc.doc), mcpSight(&notes, "Read tool:list_issues", "Write tool:create_issue", "Read tool:delete_issue", "Write tool:elicitation/create"))
			want := tc.want
			switch {
			case err != nil:
				t.Fatal(err)
			case want == "":
				want = tc.doc
			case want == "nothing":
				want = ""
			}
			if diff := cmp.Diff(want, string(out)); diff != "" {
				t.Error(diff)
			}
			if (removed == 0) != (want == tc.doc) {
				t.Errorf("%d removed", removed)
			}
			if text := strings.Join(notes, "; "); (text == "") != (tc.note == "") || !strings.Contains(text, tc.note) {
				t.Errorf("noted: %s", text)
			}
		})
	}
	for name, doc := range map[string]string{
		"several":          `[{"jsonrpc":"2.0","id":1,"result":{}}]`,
		"no tools":         `{"jsonrpc":"2.0","id":1,"result":{}}`,
		"tools of a text":  `{"jsonrpc":"2.0","id":1,"result":{"tools":"run_shell"}}`,
		"two lists":        `{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{"tools":[{"name":"run_shell"}]}}`,
		"two lists within": `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"\u0074ools":[{"name":"run_shell"}]}}`,
		"no JSON":          `event: x`,
		"another protocol": `{"result":{"tools":[]}}`,
	} {
		call, _ := c.Match(list)
		if out, _, err := call.FilterAnswer([]byte(doc), mcpSight(new([]string))); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestMessageID(t *testing.T) {
	c := mcpServer(t)
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":"x\u0041","method":"tools/call","params":{"name":"run_shell"}}`: `"x\u0041"`,
		`{"jsonrpc":"2.0","id":7,"method":"resources/list"}`:                                   `7`,
		`{"jsonrpc":"2.0","method":"notifications/x"}`:                                         ``,
		`{"jsonrpc":"2.0","id":7,"result":{"data":1}}`:                                         ``,
		`{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}`:                                       ``,
		`{`: ``,
	} {
		call, err := c.Match(rpcPost(body))
		if got := string(call.MessageID()); err == nil || got != want {
			t.Errorf("%s: %q (%v)", body, got, err)
		}
	}
	if id := (*Call)(nil).MessageID(); id != nil {
		t.Error("no call has an id")
	}
	call, err := c.Match(rpcPost(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_issues"}}`))
	if diff := cmp.Diff(map[string]string{"Mcp-Method": "tools/call", "Mcp-Name": "list_issues"}, call.MessageHeaders()); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// FuzzMCP: a call that is let through is of the tool every reader of JSON sees, and no list shows another tool.
func FuzzMCP(f *testing.F) {
	c := mcpServer(f)
	f.Add([]byte(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_issues","arguments":{}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"list_issues"},{"name":"run_shell"}]}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		type message struct {
			Method string
			Params struct{ Name string }
			Result *struct{ Tools []struct{ Name string } }
		}
		if call, err := c.Match(rpcPost(string(doc))); err == nil {
			var m message
			if err := json.Unmarshal(call.Body, &m); err != nil {
				t.Fatalf("%s: %v", call.Body, err)
			}
			if m.Method == "tools/call" && (len(call.Resources) != 1 || call.Resources[0].Name != m.Params.Name) {
				t.Fatalf("%s touches %v", call.Body, call.Resources)
			}
			if m.Method != "" && call.Operation.ID != m.Method {
				t.Fatalf("%s is said to be %s", call.Body, call.Operation.ID)
			}
		}
		call, _ := c.Match(Request{Method: "GET", Path: "/mcp"})
		out, _, err := call.FilterAnswer(doc, mcpSight(new([]string), "Read tool:list_issues"))
		if err != nil || len(out) == 0 {
			return
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		var result map[string]json.RawMessage
		var tools []struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(m["result"], &result)
		if json.Unmarshal(result["tools"], &tools) == nil {
			for _, tool := range tools {
				if tool.Name != "list_issues" && tool.Name != "" {
					t.Fatalf("%s shows %s", out, tool.Name)
				}
			}
		}
	})
}
