package connector

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/policy"
)

// lookedInto is a service whose answers are looked into, each path in one way.
const lookedIntoHead = `
connector: one
hosts: [{host: one.example}]
denial: Slack
slots: {key: {use: Inject, header: X-Key, format: "{{value}}", env: ONE_KEY, placeholder: one-placeholder}}
resources:
  channel: {shape: '[A-Z0-9]{2,32}'}
  repository: {shape: '[a-z0-9._-]+/[a-z0-9._-]+', ignoreCase: true}
  page: {shape: '[0-9a-z-]{1,36}'}
  tool: {shape: '[A-Za-z0-9_./-]+'}
self: {operation: history, ids: [team_id/user_id, team_id/bot_id]}
`

const lookedInto = `
- {id: history, methods: [GET], path: /history, action: Read, resources: [{type: channel, from: [query.channel]}], response: {filters: [{at: "messages[]", author: {as: Slack}}]}}
- {id: search, methods: [GET], path: /search, action: Read, response: {filters: [{at: "messages.matches[]", author: {as: Slack, channel: channel.id}, resource: {type: channel, from: [channel.id]}}]}}
- {id: mine, methods: [GET], path: /mine, action: Read, response: {filters: [{at: "channels[]", resource: {type: channel, from: [id]}}]}}
- {id: files, methods: [GET], path: /files, action: Read, response: {filters: [{at: "files[]", author: {as: Slack}, resource: {type: channel, from: ["channels[]", "groups[]"]}}]}}
- {id: message, methods: [GET], path: /message, action: Read, response: {filters: [{at: message, author: {as: Slack}}]}}
- {id: issues, methods: [GET], path: /issues, action: Read, response: {filters: [{at: "[]", author: {from: user.login, ignoreCase: true}, resource: {type: repository, from: [repository_url], capture: 'https://api[.]github[.]com/repos/(.+)'}}], remove: ["[].performed_via_github_app", "[].closed_by"]}}
- {id: issue, methods: [GET], path: /issue, action: Read, response: {filters: [{author: {from: user.login, ignoreCase: true}}]}}
- {id: nested, methods: [GET], path: /nested, action: Read, response: {filters: [{at: "issues[]", resource: {type: page, from: [fields.parent]}}, {at: "issues[].fields.comment.comments[]", optional: true, author: {from: author.id}}]}}
- {id: parts, methods: [GET], path: /parts, action: Read, response: {filters: [{at: "items[]", resource: {type: repository, from: [owner/name]}}]}}
- {id: numbers, methods: [GET], path: /numbers, action: Read, response: {filters: [{at: "ids[]", resource: {type: page, from: [.]}}]}}
- {id: maybe, methods: [GET], path: /maybe, action: Read, response: {filters: [{at: "items[]", resource: {type: page, from: [page], optional: true}}, {at: "items[].by", optional: true, author: {from: id}}]}}
- {id: mail, methods: [GET], path: /mail, action: Read, response: {filters: [{author: {as: Gmail}}], remove: [snippet]}}
`

// world is what the Claw of these tests may read: Sarah and itself, one channel, one repository, two pages.
func world() Sight {
	authors := []string{"T01ACME/U01SARAH", "T01ACME/B01CLAW", "T01ACME/U01CLAW", "sarah", "sarah@acme.example"}
	resources := []string{"channel:C01TEAM", "repository:acme/api", "page:1", "page:2"}
	return Sight{
		Author:   func(actor, channel string) bool { return slices.Contains(authors, actor) && channel != "C09EVIL" },
		Resource: func(r policy.Resource) bool { return slices.Contains(resources, r.Type+":"+r.Name) },
	}
}

func callOf(t testing.TB, c *Connector, path, query string) *Call {
	t.Helper()
	call, err := c.Match(Request{Method: "GET", Path: path, Query: query})
	if err != nil {
		t.Fatal(err)
	}
	if !call.Filters() {
		t.Fatalf("the answer of %s is not looked into", path)
	}
	return call
}

const (
	bySarah = `"type":"message","user":"U01SARAH","team":"T01ACME","ts":"1.1"`
	byEve   = `"type":"message","user":"U01SARAH","team":"T9EVIL","user_team":"T9EVIL","ts":"1.2"`
	byClaw  = `"type":"message","user":"U01CLAW","bot_id":"B01CLAW","app_id":"A1","team":"T01ACME","bot_profile":{"id":"B01CLAW","team_id":"T01ACME"},"ts":"1.3"`
)

func TestFilterAnswer(t *testing.T) {
	c := loadT(t, lookedIntoHead, lookedInto)
	for name, tc := range map[string]struct {
		path, doc, want string // want "" is all of it
		removed         int
	}{
		"history": {path: "/history?channel=C01TEAM", removed: 3,
			doc:  `{"ok":true, "messages":[ {` + bySarah + `, "text":"h\u0069 <b>"}, {` + byEve + `,"text":"psst"},{"text":"who?","type":"message","user":"U01SARAH","ts":"2"},{` + byClaw + `,"text":"done"},{"type":"message","subtype":"bot_message","bot_id":"B9EVIL","team":"T01ACME","ts":"3","text":"buy"} ],"has_more":false}`,
			want: `{"ok":true,"messages":[{` + bySarah + `,"text":"h\u0069 <b>"},{` + byClaw + `,"text":"done"}],"has_more":false}`},
		"history of nobody we hear":       {path: "/history?channel=C01TEAM", doc: `{"ok":true,"messages":[{` + byEve + `}]}`, want: `{"ok":true,"messages":[]}`, removed: 1},
		"history, empty":                  {path: "/history?channel=C01TEAM", doc: `{"ok":true,"messages":[]}`},
		"history, null":                   {path: "/history?channel=C01TEAM", doc: `{"ok":true,"messages":null}`},
		"an error of the service":         {path: "/history?channel=C01TEAM", doc: `{"ok":false,"error":"not_in_channel"}`},
		"an error that carries messages":  {path: "/history?channel=C01TEAM", doc: `{"ok":false,"messages":[{` + byEve + `}]}`, want: `{"ok":false,"messages":[]}`, removed: 1},
		"history of a channel not heard":  {path: "/history?channel=C09EVIL", doc: `{"ok":true,"messages":[{` + bySarah + `}]}`, want: `{"ok":true,"messages":[]}`, removed: 1},
		"search":                          {path: "/search", doc: `{"ok":true,"query":"x","messages":{"total":2,"matches":[{"channel":{"id":"C01TEAM","name":"team"},` + bySarah + `,"previous":{"text":"of others"},"text":"a"},{"channel":{"id":"C02OTHER"},` + bySarah + `,"text":"b"},{"channel":{"id":"C01TEAM"},` + byEve + `}]}}`, want: `{"ok":true,"query":"x","messages":{"total":2,"matches":[{"channel":{"id":"C01TEAM","name":"team"},` + bySarah + `,"text":"a"}]}}`, removed: 2},
		"channels":                        {path: "/mine", doc: `{"ok":true,"channels":[{"id":"C02OTHER","name":"secret"},{"id":"C01TEAM","name":"team"},{"name":"nameless"},"C01TEAM"]}`, want: `{"ok":true,"channels":[{"id":"C01TEAM","name":"team"}]}`, removed: 3},
		"files of several channels":       {path: "/files", doc: `{"files":[{"id":"F1","user":"U01SARAH","user_team":"T01ACME","channels":["C01TEAM"],"initial_comment":{"comment":"x"}},{"id":"F2","user":"U01SARAH","user_team":"T01ACME","channels":["C01TEAM","C02OTHER"]},{"id":"F3","user":"U01SARAH","user_team":"T01ACME","channels":[]}]}`, want: `{"files":[{"id":"F1","user":"U01SARAH","user_team":"T01ACME","channels":["C01TEAM"]}]}`, removed: 3},
		"one message of ours":             {path: "/message", doc: `{"ok":true,"message":{` + bySarah + `}}`},
		"one message of a stranger":       {path: "/message", doc: `{"ok":true,"message":{` + byEve + `}}`, want: "nothing", removed: 1},
		"one message, gone":               {path: "/message", doc: `{"ok":true,"message":null}`},
		"issues":                          {path: "/issues", doc: `[{"title":"a","user":{"login":"Sarah"},"repository_url":"https://api.github.com/repos/ACME/api","closed_by":{"login":"eve"}},{"title":"b","user":{"login":"eve"},"repository_url":"https://api.github.com/repos/acme/api"},{"title":"c","user":null,"repository_url":"https://api.github.com/repos/acme/api"},{"title":"d","user":{"login":"sarah"},"repository_url":"https://api.github.com/repos/acme/secret"},{"title":"e","user":{"login":"sarah"},"repository_url":"https://evil.example/repos/acme/api"}]`, want: `[{"title":"a","user":{"login":"Sarah"},"repository_url":"https://api.github.com/repos/ACME/api"}]`, removed: 5},
		"no issues":                       {path: "/issues", doc: ` [ ] `, want: `[]`},
		"an issue":                        {path: "/issue", doc: `{"title":"a","user":{"login":"sarah"}}`},
		"an issue of a stranger":          {path: "/issue", doc: `{"title":"a","user":{"login":"eve"}}`, want: "nothing", removed: 1},
		"lists within lists":              {path: "/nested", doc: `{"issues":[{"fields":{"parent":"1","comment":{"comments":[{"author":{"id":"sarah"},"body":"x"},{"author":{"id":"eve"},"body":"y"}]}}},{"fields":{"parent":"3"}},{"fields":{"parent":2}}]}`, want: `{"issues":[{"fields":{"parent":"1","comment":{"comments":[{"author":{"id":"sarah"},"body":"x"}]}}},{"fields":{"parent":2}}]}`, removed: 2},
		"names of two parts":              {path: "/parts", doc: `{"items":[{"owner":"acme","name":"API"},{"owner":"acme"},{"owner":"acme/api","name":""},{"owner":"evil","name":"api"}]}`, want: `{"items":[{"owner":"acme","name":"API"}]}`, removed: 3},
		"ids that are all there is":       {path: "/numbers", doc: `{"ids":[1,"2",3,1e0,null,true,[1]]}`, want: `{"ids":[1,"2",null]}`, removed: 4},
		"what need not be named":          {path: "/maybe", doc: `{"items":[{"a":1},{"page":"1"},{"page":"9"},{"by":{"id":"eve"}},{"by":{"id":"sarah"}}]}`, want: `{"items":[{"a":1},{"page":"1"},{"by":{"id":"sarah"}}]}`, removed: 2},
		"a mail of a member":              {path: "/mail", doc: mailBy("Sarah <SARAH@acme.example>", "mx.google.com; dmarc=pass (p=NONE) header.from=acme.example"), want: strings.Replace(mailBy("Sarah <SARAH@acme.example>", "mx.google.com; dmarc=pass (p=NONE) header.from=acme.example"), `"snippet":"s",`, "", 1), removed: 1},
		"a mail that says it is a member": {path: "/mail", doc: mailBy("sarah@acme.example", "mx.google.com; dmarc=fail header.from=acme.example"), want: "nothing", removed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			path, query, _ := strings.Cut(tc.path, "?")
			out, removed, err := callOf(t, c, path, query).FilterAnswer([]byte(tc.doc), world())
			if err != nil {
				t.Fatal(err)
			}
			want := tc.want
			if want == "" {
				want = tc.doc
			}
			if want == "nothing" {
				if out != nil {
					t.Errorf("got %s", out)
				}
			} else if diff := cmp.Diff(want, string(out)); diff != "" {
				t.Error(diff)
			}
			if removed != tc.removed {
				t.Errorf("%d removed", removed)
			}
		})
	}
}

func mailBy(from, results string) string {
	return `{"id":"1","snippet":"s","payload":{"headers":[{"name":"Authentication-Results","value":"` + results + `"},{"name":"Authentication-Results","value":"mx.google.com; dmarc=pass header.from=acme.example"},{"name":"From","value":"` + from + `"}]}}`
}

// TestFilterAnswerRefuses: of what is not understood nothing is passed on.
func TestFilterAnswerRefuses(t *testing.T) {
	c := loadT(t, lookedIntoHead, lookedInto)
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for name, tc := range map[string]struct{ path, doc, reason string }{
		"no JSON":                     {"/mine", `<html>`, "not acceptable JSON"},
		"half of it":                  {"/mine", `{"ok":true,"channels":[{"id":"C01TEAM"}`, "not acceptable JSON"},
		"more than one":               {"/mine", `{"channels":[]}{"channels":[{"id":"C02OTHER"}]}`, "after its JSON"},
		"the place is there twice":    {"/mine", `{"channels":[],"channels":[{"id":"C02OTHER"}]}`, "twice"},
		"twice, with an escape":       {"/mine", `{"channels":[],"\u0063hannels":[{"id":"C02OTHER"}]}`, "twice"},
		"the id is there twice":       {"/mine", `{"channels":[{"id":"C01TEAM","id":"C02OTHER"}]}`, "twice"},
		"the place is missing":        {"/mine", `{"ok":true,"other":[{"id":"C02OTHER"}]}`, "channels[] is missing"},
		"the place is an object":      {"/mine", `{"ok":true,"channels":{"id":"C02OTHER"}}`, "not built as"},
		"the place is a text":         {"/mine", `{"ok":true,"channels":"C02OTHER"}`, "not built as"},
		"the answer is a list":        {"/mine", `[{"channels":[]}]`, "not built as"},
		"the answer is an object":     {"/issues", `{"message":"x"}`, "not built as"},
		"one on the way is missing":   {"/search", `{"ok":true,"messages":{"total":1}}`, "messages.matches[] is missing"},
		"one on the way is a list":    {"/search", `{"ok":true,"messages":[]}`, "not built as"},
		"nested too deeply":           {"/mine", `{"ok":true,"channels":[],"x":` + deep + `}`, "too deeply"},
		"not UTF-8":                   {"/mine", "{\"channels\":[{\"id\":\"C01TEAM\",\"x\":\"\xff\"}]}", "not UTF-8"},
		"an author that is no object": {"/issue", `[]`, "not built as"},
		"an error that is misbuilt":   {"/mine", `{"ok":false,"channels":{"id":"C02OTHER"}}`, "not built as"},
		"a failure that is a word":    {"/mine", `{"ok":"false"}`, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := callOf(t, c, tc.path, "").FilterAnswer([]byte(tc.doc), world())
			if err == nil || !strings.Contains(err.Error(), tc.reason) || out != nil {
				t.Errorf("got %v, and %s", err, out)
			}
		})
	}
}

// TestFilterAnswerLarge: an answer as large as may be is filtered in about its own size of memory.
func TestFilterAnswerLarge(t *testing.T) {
	c := loadT(t, lookedIntoHead, lookedInto)
	one := `{"id":"C02OTHER","name":"` + strings.Repeat("x", 200) + `"},{"id":"C01TEAM"},`
	doc := []byte(`{"channels":[` + strings.Repeat(one, 5<<20/len(one)) + `{"id":"C01TEAM"}]}`)
	call, sight := callOf(t, c, "/mine", ""), world()
	var out []byte
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out, _, _ = call.FilterAnswer(doc, sight)
		}
	})
	if bytes.Contains(out, []byte("C02OTHER")) || !json.Valid(out) || bytes.Count(out, []byte("C01TEAM")) != 5<<20/len(one)+1 {
		t.Fatalf("got %.200s", out)
	}
	if allocated.AllocedBytesPerOp() > 4*int64(len(doc)) {
		t.Errorf("%d bytes of memory for %d", allocated.AllocedBytesPerOp(), len(doc))
	}
}

// TestNothingIsSeen: a sight that says nothing lets nothing be seen.
func TestNothingIsSeen(t *testing.T) {
	c := loadT(t, lookedIntoHead, lookedInto)
	for path, doc := range map[string]string{
		"/mine": `{"channels":[{"id":"C01TEAM"}]}`, "/search": `{"messages":{"matches":[{` + bySarah + `}]}}`, "/issues": `[{"user":{"login":"sarah"}}]`,
	} {
		out, removed, err := callOf(t, c, path, "").FilterAnswer([]byte(doc), Sight{})
		if err != nil || removed != 1 || !bytes.Contains(out, []byte("[]")) {
			t.Errorf("%s: %s, %d, %v", path, out, removed, err)
		}
	}
}

func TestResponseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ response, reason string }{
		"nothing":                    {`{}`, "no filter"},
		"a filter of nothing":        {`{filters: [{at: "a[]"}]}`, "an author or a resource is needed"},
		"a place that is none":       {`{filters: [{at: "a[0]", author: {from: x}}]}`, "is not a place"},
		"a list and an object":       {`{filters: [{at: "a[]", author: {from: x}}], remove: [a.b]}`, "another place has an object"},
		"a writer from nowhere":      {`{filters: [{at: "a[]", author: {}}]}`, "from or as is needed"},
		"a writer of a service":      {`{filters: [{at: "a[]", author: {as: Fax}}]}`, "is unknown"},
		"a writer in two ways":       {`{filters: [{at: "a[]", author: {as: Slack, from: user}}]}`, "there is no from"},
		"a resource of no type":      {`{filters: [{at: "a[]", resource: {type: moon, from: [id]}}]}`, "has no shape"},
		"a resource from nowhere":    {`{filters: [{at: "a[]", resource: {type: page}}]}`, "found nowhere"},
		"a name of lists":            {`{filters: [{at: "a[]", resource: {type: page, from: ["a[]/b"]}}]}`, "one name of lists"},
		"a capture without a group":  {`{filters: [{at: "a[]", resource: {type: page, from: [a], capture: "x"}}]}`, "one group"},
		"removing everything":        {`{remove: [""]}`, "is not a place"},
		"filters of messages of MCP": {`{mcp: true, remove: [a]}`, "there are no filters"},
	} {
		t.Run(name, func(t *testing.T) {
			head := strings.Replace(lookedIntoHead, "self: {operation: history, ids: [team_id/user_id, team_id/bot_id]}\n", "", 1)
			file := head + "operations:\n- {id: x, methods: [GET], path: /x, action: Read, response: " + tc.response + "}\n"
			if _, err := Load(map[string][]byte{"one": []byte(file)}); err == nil || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSelfIDs(t *testing.T) {
	c := loadT(t, lookedIntoHead, lookedInto)
	got, err := c.SelfIDs([]byte(`{"ok":true,"team_id":"T01ACME","user_id":"U01CLAW","bot_id":"B01CLAW"}`))
	if diff := cmp.Diff([]string{"T01ACME/U01CLAW", "T01ACME/B01CLAW"}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got, err := c.SelfIDs([]byte(`{"ok":false,"error":"invalid_auth"}`)); err == nil {
		t.Errorf("an error is said to be %v", got)
	}
}

// FuzzFilterAnswer: what is let through is JSON, and holds no channel and no writer that is not of the sight.
func FuzzFilterAnswer(f *testing.F) {
	c := loadT(f, lookedIntoHead, lookedInto)
	for _, doc := range []string{
		`{"ok":true,"channels":[{"id":"C01TEAM"},{"id":"C02OTHER"}],"messages":[{` + bySarah + `,"files":[{"user":"U2","user_team":"T9"}],"attachments":[{"text":"x"}]},{` + byEve + `}]}`,
		`[{"user":{"login":"eve"}}]`, `{"channels":null}`, `{"messages":{"matches":[{"channel":{"id":"C01TEAM"},` + byClaw + `}]}}`, `{"ok":false}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, path := range []string{"/mine", "/history?channel=C01TEAM", "/search", "/nested", "/issues", "/mail", "/files", "/maybe"} {
			path, query, _ := strings.Cut(path, "?")
			out, _, err := callOf(t, c, path, query).FilterAnswer(doc, world())
			if err != nil || out == nil {
				continue
			}
			if len(doc) > 0 && !json.Valid(out) {
				t.Fatalf("%s: %q of %q is no JSON", path, out, doc)
			}
			switch path {
			case "/mine":
				var exact map[string]json.RawMessage
				if json.Unmarshal(out, &exact) != nil || exact["channels"] == nil {
					continue
				}
				var channels []map[string]any
				if err := json.Unmarshal(exact["channels"], &channels); err != nil {
					t.Fatalf("%s: channels: %v", out, err)
				}
				for _, channel := range channels {
					if channel != nil && channel["id"] != "C01TEAM" {
						t.Fatalf("channel %v is seen", channel)
					}
				}
			case "/history":
				var exact map[string]json.RawMessage
				if json.Unmarshal(out, &exact) != nil || exact["messages"] == nil {
					continue
				}
				var messages []map[string]any
				if err := json.Unmarshal(exact["messages"], &messages); err != nil {
					t.Fatalf("%s: messages: %v", out, err)
				}
				for _, m := range messages {
					if m != nil && m["user"] != "U01SARAH" && m["bot_id"] != "B01CLAW" && m["user"] != "U01CLAW" {
						t.Fatalf("message %v is read", m)
					}
				}
			}
			again, removed, err := callOf(t, c, path, query).FilterAnswer(out, world())
			if err != nil || removed > 0 || !bytes.Equal(again, out) {
				t.Fatalf("%s: filtered again it is %q (%d, %v)", path, again, removed, err)
			}
		}
	})
}
