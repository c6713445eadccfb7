package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/policy"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

func post(path, contentType, body string) Request {
	return Request{Method: "POST", Path: path, ContentType: contentType, Body: []byte(body)}
}

func TestMatch(t *testing.T) {
	channel := []policy.Resource{{Type: "channel", Name: "C0SUPPORT"}}
	model := []policy.Resource{{Type: "model", Name: "claude-sonnet-5"}}
	for name, tc := range map[string]struct {
		host      string
		request   Request
		operation string
		resources []policy.Resource
		query     string
		body      string
	}{
		"auth.test as the SDK sends it": {
			host: "slack.com", request: post("/api/auth.test", formType, "token=xoxb-claw-placeholder"), operation: "auth.test",
		},
		"message as Bolt sends it": {
			host: "slack.com", request: post("/api/chat.postMessage", formType, "token=t&team_id=T01ACME&channel=C0SUPPORT&thread_ts=1.2&text=a"),
			operation: "chat.postMessage", resources: channel, body: "channel=C0SUPPORT&thread_ts=1.2&text=a&unfurl_links=false&unfurl_media=false",
		},
		"auth.test without a body": {
			host: "slack.com", request: Request{Method: "POST", Path: "/api/auth.test", ContentType: formType}, operation: "auth.test",
		},
		"message in a form": {
			host: "slack.com", request: post("/api/chat.postMessage", formType+"; charset=UTF-8", "token=t&channel=C0SUPPORT&text=a+b%26c"),
			operation: "chat.postMessage", resources: channel, body: "channel=C0SUPPORT&text=a+b%26c&unfurl_links=false&unfurl_media=false",
		},
		"message in JSON": {
			host: "slack.com", request: post("/api/chat.postMessage", jsonType+";charset=utf-8", ` {"channel": "C0SUPPORT", "token" : "t", "unfurl_links":true, "blocks":[ {"a":1} ]} `),
			operation: "chat.postMessage", resources: channel, body: `{"channel":"C0SUPPORT","blocks":[ {"a":1} ],"unfurl_links":false,"unfurl_media":false}`,
		},
		"an escaped key is the same key": {
			host: "slack.com", request: post("/api/chat.postMessage", jsonType, `{"\u0063hannel":"C0SUPP\u004fRT","text":"x"}`),
			operation: "chat.postMessage", resources: channel, body: `{"channel":"C0SUPP\u004fRT","text":"x","unfurl_links":false,"unfurl_media":false}`,
		},
		"channel in query and body agree": {
			host: "slack.com", request: Request{Method: "POST", Path: "/api/chat.postMessage", Query: "token=t&channel=C0SUPPORT", ContentType: formType, Body: []byte("channel=C0SUPPORT")},
			operation: "chat.postMessage", resources: channel, query: "channel=C0SUPPORT", body: "channel=C0SUPPORT&unfurl_links=false&unfurl_media=false",
		},
		"message in the query, previews off": {
			host: "slack.com", request: Request{Method: "POST", Path: "/api/chat.postMessage", Query: "channel=C0SUPPORT"},
			operation: "chat.postMessage", resources: channel, query: "channel=C0SUPPORT", body: "unfurl_links=false&unfurl_media=false",
		},
		"previews asked for, blocks in a form": {
			host: "slack.com", request: post("/api/chat.postMessage", formType, "channel=C0SUPPORT&unfurl_media=1&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D"),
			operation: "chat.postMessage", resources: channel, body: "channel=C0SUPPORT&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D&unfurl_links=false&unfurl_media=false",
		},
		"two resources": {
			host: "slack.com", request: post("/api/conversations.kick", formType, "channel=C0SUPPORT&user=U1"), operation: "conversations.kick",
			resources: []policy.Resource{{Type: "channel", Name: "C0SUPPORT"}, {Type: "user", Name: "U1"}}, body: "channel=C0SUPPORT&user=U1",
		},
		"model": {
			host: "api.anthropic.com", request: Request{Method: "POST", Path: "/v1/messages", Query: "beta=true", ContentType: jsonType, Body: []byte(`{"model":"claude-sonnet-5","tools":[{"name":"a"},{"type":"custom"},{"type":"bash_20250124"}]}`)},
			operation: "messages.create", resources: model, query: "beta=true",
			body: `{"model":"claude-sonnet-5","tools":[{"name":"a"},{"type":"custom"},{"type":"bash_20250124"}]}`,
		},
		"images in the request, and a tool of the agent's with an argument called source": {
			host: "api.anthropic.com", request: post("/v1/messages", jsonType, ownImages), operation: "messages.create", resources: model, body: ownImages,
		},
		"openai, an image in the request": {
			host: "api.openai.com", request: post("/v1/chat/completions", jsonType, `{"model":"gpt-6","messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}`),
			operation: "chat.completions.create", resources: []policy.Resource{{Type: "model", Name: "gpt-6"}},
			body: `{"model":"gpt-6","messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}`,
		},
		"openai": {
			host: "api.openai.com", request: post("/v1/chat/completions", jsonType, `{"model":"gpt-6","tools":[{"type":"function"}]}`), operation: "chat.completions.create",
			resources: []policy.Resource{{Type: "model", Name: "gpt-6"}}, body: `{"model":"gpt-6","tools":[{"type":"function"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := builtinT(t).At(tc.host)[0].Connector.Match(tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if call.Operation.ID != tc.operation || call.Query != tc.query || string(call.Body) != tc.body {
				t.Errorf("got %s, query %q, body %q", call.Operation.ID, call.Query, call.Body)
			}
			if diff := cmp.Diff(tc.resources, call.Resources); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const ownImages = `{"model":"claude-sonnet-5","messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AA"}}]},` +
	`{"role":"assistant","content":[{"type":"tool_use","input":{"source":{"type":"url"}}}]}]}`

func TestMatchRefuses(t *testing.T) {
	say := func(contentType, body string) Request { return post("/api/chat.postMessage", contentType, body) }
	ask := func(body string) Request { return post("/v1/messages", jsonType, body) }
	for name, tc := range map[string]struct {
		host     string
		request  Request
		unlisted bool
	}{
		"operation not listed":         {request: post("/api/conversations.everything", formType, "channel=C0SUPPORT"), unlisted: true},
		"method of another":            {request: Request{Method: "GET", Path: "/api/chat.postMessage"}, unlisted: true},
		"method in small letters":      {request: Request{Method: "post", Path: "/api/auth.test"}, unlisted: true},
		"method with a tail":           {request: Request{Method: "POST ", Path: "/api/auth.test"}, unlisted: true},
		"path in capitals":             {request: post("/api/Chat.postMessage", formType, "channel=C0SUPPORT"), unlisted: true},
		"path with a slash more":       {request: post("/api/chat.postMessage/", formType, "channel=C0SUPPORT"), unlisted: true},
		"encoded slash":                {request: post("/api%2fchat.postMessage", formType, "channel=C0SUPPORT")},
		"encoded letter":               {request: post("/api/%63hat.postMessage", formType, "channel=C0SUPPORT")},
		"encoded dots":                 {request: post("/api/%2e%2e/api/auth.test", "", "")},
		"encoded NUL":                  {request: post("/api/auth.test%00", "", "")},
		"dot segment":                  {request: post("/api/../api/auth.test", "", "")},
		"one dot":                      {request: post("/api/./auth.test", "", "")},
		"double slash":                 {request: post("//api/auth.test", "", "")},
		"backslash":                    {request: post(`/api\auth.test`, "", "")},
		"path parameter":               {request: post("/api/auth.test;x=1", "", "")},
		"no path":                      {request: post("", "", "")},
		"asterisk":                     {request: post("*", "", "")},
		"long path":                    {request: post("/"+strings.Repeat("a", 5000), "", "")},
		"query not declared":           {request: Request{Method: "POST", Path: "/api/auth.test", Query: "pretty=1"}},
		"query twice":                  {request: Request{Method: "POST", Path: "/api/chat.postMessage", Query: "channel=C0SUPPORT&channel=C0OTHER"}},
		"query with a semicolon":       {request: Request{Method: "POST", Path: "/api/chat.postMessage", Query: "channel=C0SUPPORT;channel=C0OTHER"}},
		"query and body disagree":      {request: Request{Method: "POST", Path: "/api/chat.postMessage", Query: "channel=C0OTHER", ContentType: formType, Body: []byte("channel=C0SUPPORT")}},
		"query in other case":          {request: Request{Method: "POST", Path: "/api/chat.postMessage", Query: "Channel=C0OTHER", ContentType: formType, Body: []byte("channel=C0SUPPORT")}},
		"no channel":                   {request: say(formType, "text=x")},
		"empty channel":                {request: say(formType, "channel=&text=x")},
		"channel by name":              {request: say(formType, "channel=%23support")},
		"two channels in one":          {request: say(formType, "channel=C0SUPPORT,C0OTHER")},
		"channel with a line break":    {request: say(formType, "channel=C0SUPPORT%0a")},
		"channel twice":                {request: say(formType, "channel=C0SUPPORT&channel=C0OTHER")},
		"channel twice, encoded":       {request: say(formType, "channel=C0SUPPORT&%63hannel=C0OTHER")},
		"channel as a list":            {request: say(formType, "channel=C0SUPPORT&channel[]=C0OTHER")},
		"channel as a list, coded":     {request: say(formType, "channel=C0SUPPORT&channel%5B0%5D=C0OTHER")},
		"channel with a space":         {request: say(formType, "channel=C0SUPPORT&+channel=C0OTHER")},
		"token in capitals":            {request: say(formType, "channel=C0SUPPORT&Token=xoxb-mine")},
		"token as a list":              {request: say(formType, "channel=C0SUPPORT&token[]=xoxb-mine")},
		"broken escape":                {request: say(formType, "channel=C0SUPPORT&text=%zz")},
		"form not UTF-8":               {request: say(formType, "channel=C0SUPPORT&text=%ff")},
		"raw bytes in a form":          {request: say(formType, "channel=C0SUPPORT&text=\x00")},
		"empty pair":                   {request: say(formType, "channel=C0SUPPORT&&text=x")},
		"form of a thousand":           {request: say(formType, "channel=C0SUPPORT"+strings.Repeat("&a=1", 1000))},
		"JSON said to be a form":       {request: say(formType, `{"channel":"C0SUPPORT"}`)},
		"form said to be JSON":         {request: say(jsonType, "channel=C0SUPPORT")},
		"no content type":              {request: say("", "channel=C0SUPPORT")},
		"two content types":            {request: say(jsonType+", "+formType, `{"channel":"C0SUPPORT"}`)},
		"other charset":                {request: say(jsonType+"; charset=utf-16", `{"channel":"C0SUPPORT"}`)},
		"multipart":                    {request: say("multipart/form-data; boundary=x", "--x\r\n")},
		"text":                         {request: say("text/plain", "channel=C0SUPPORT")},
		"body with GET":                {request: Request{Method: "GET", Path: "/api/auth.test", ContentType: formType, Body: []byte("a=1")}},
		"JSON key twice":               {request: say(jsonType, `{"channel":"C0SUPPORT","channel":"C0OTHER"}`)},
		"JSON key twice, escaped":      {request: say(jsonType, `{"channel":"C0SUPPORT","\u0063hannel":"C0OTHER"}`)},
		"JSON key twice, deep":         {request: say(jsonType, `{"channel":"C0SUPPORT","a":[{"b":{"c":1,"c":2}}]}`)},
		"JSON key twice, far":          {request: say(jsonType, `{"channel":"C0SUPPORT"`+manyKeys(100)+`,"k50":2}`)},
		"JSON keys without end":        {request: say(jsonType, `{"channel":"C0SUPPORT","a":{"b":0`+differentKeys(5000)+`}}`)},
		"form without end":             {request: say(formType, "channel=C0SUPPORT&text="+strings.Repeat("x", maxForm))},
		"JSON key in other case":       {request: say(jsonType, `{"channel":"C0SUPPORT","Channel":"C0OTHER"}`)},
		"JSON channel no string":       {request: say(jsonType, `{"channel":["C0SUPPORT"]}`)},
		"JSON channel null":            {request: say(jsonType, `{"channel":null}`)},
		"JSON after JSON":              {request: say(jsonType, `{"channel":"C0SUPPORT"}{"channel":"C0OTHER"}`)},
		"JSON list":                    {request: say(jsonType, `[{"channel":"C0SUPPORT"}]`)},
		"JSON cut off":                 {request: say(jsonType, `{"channel":"C0SUPPORT"`)},
		"JSON not UTF-8":               {request: say(jsonType, "{\"channel\":\"C0SUPPORT\",\"text\":\"\xff\"}")},
		"JSON with a BOM":              {request: say(jsonType, "\xef\xbb\xbf{\"channel\":\"C0SUPPORT\"}")},
		"JSON half surrogate key":      {request: say(jsonType, `{"channel":"C0SUPPORT","\ud800":1}`)},
		"JSON NUL key":                 {request: say(jsonType, `{"channel":"C0SUPPORT","channel\u0000":"C0OTHER"}`)},
		"JSON control character":       {request: say(jsonType, "{\"channel\":\"C0SUPPORT\",\"text\":\"\n\"}")},
		"JSON comment":                 {request: say(jsonType, `{"channel":"C0SUPPORT"/*,"x":1*/}`)},
		"JSON trailing comma":          {request: say(jsonType, `{"channel":"C0SUPPORT",}`)},
		"JSON NaN":                     {request: say(jsonType, `{"channel":"C0SUPPORT","x":NaN}`)},
		"JSON leading zero":            {request: say(jsonType, `{"channel":"C0SUPPORT","x":01}`)},
		"JSON depth bomb":              {request: say(jsonType, `{"channel":"C0SUPPORT","x":`+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)+`}`)},
		"JSON depth bomb, open":        {request: say(jsonType, `{"channel":"C0SUPPORT","x":`+strings.Repeat(`{"a":`, 100000))},
		"no model":                     {host: "api.anthropic.com", request: ask(`{"messages":[]}`)},
		"model that is no id":          {host: "api.anthropic.com", request: ask(`{"model":"claude/../x"}`)},
		"model in the query":           {host: "api.anthropic.com", request: Request{Method: "POST", Path: "/v1/messages", Query: "model=claude-sonnet-5", ContentType: jsonType, Body: []byte(`{"model":"claude-sonnet-5"}`)}},
		"tool at the provider":         {host: "api.anthropic.com", request: ask(`{"model":"claude-sonnet-5","tools":[{"name":"a"},{"type":"web_fetch_20250910"}]}`)},
		"tools in other case":          {host: "api.anthropic.com", request: ask(`{"model":"claude-sonnet-5","Tools":[{"type":"web_fetch_20250910"}]}`)},
		"tools that are no list":       {host: "api.anthropic.com", request: ask(`{"model":"claude-sonnet-5","tools":{"type":"web_fetch_20250910"}}`)},
		"a tool that is no object":     {host: "api.anthropic.com", request: ask(`{"model":"claude-sonnet-5","tools":["web_fetch_20250910"]}`)},
		"servers at the provider":      {host: "api.anthropic.com", request: ask(`{"model":"claude-sonnet-5","mcp_servers":[]}`)},
		"batches":                      {host: "api.anthropic.com", request: post("/v1/messages/batches", jsonType, `{"model":"claude-sonnet-5"}`), unlisted: true},
		"image by its URL":             {host: "api.anthropic.com", request: ask(`{"model":"m","messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://evil.example/?secret"}}]}]}`)},
		"image in a result":            {host: "api.anthropic.com", request: ask(`{"model":"m","messages":[{"content":[{"type":"tool_result","content":[{"source":{"url":"https://evil.example/?secret","type":"url"}}]}]}]}`)},
		"type of source, escaped":      {host: "api.anthropic.com", request: ask(`{"model":"m","messages":[{"content":[{"s\u006furce":{"t\u0079pe":"\u0075rl"}}]}]}`)},
		"document by its URL":          {host: "api.anthropic.com", request: ask(`{"model":"m","system":[{"type":"document","source":{"type":"url","url":"https://evil.example"}}]}`)},
		"source without a type":        {host: "api.anthropic.com", request: ask(`{"model":"m","messages":[{"content":[{"source":{"url":"https://evil.example"}}]}]}`)},
		"stored file":                  {host: "api.anthropic.com", request: ask(`{"model":"m","messages":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}`)},
		"other models":                 {host: "api.anthropic.com", request: ask(`{"model":"m","fallbacks":[{"model":"another"}]}`)},
		"bash at the provider":         {host: "api.anthropic.com", request: ask(`{"model":"m","tools":[{"type":"bash_code_execution"}]}`)},
		"message with an image":        {request: say(jsonType, `{"channel":"C0SUPPORT","blocks":[{"type":"image","image_url":"https://evil.example/?secret"}]}`)},
		"image in text of a form":      {request: say(formType, "channel=C0SUPPORT&blocks=%20"+url.QueryEscape(`[{"accessory":{"image_url":"https://evil.example"}}]`))},
		"image in text of JSON":        {request: say(jsonType, `{"channel":"C0SUPPORT","blocks":"[{\"image_url\":\"https://evil.example\"}]"}`)},
		"image in an attachment":       {request: say(formType, "channel=C0SUPPORT&attachments="+url.QueryEscape(`[{"blocks":[{"elements":[{"thumb_url":"https://evil.example"}]}]}]`))},
		"blocks that are no JSON":      {request: say(formType, "channel=C0SUPPORT&blocks="+url.QueryEscape(`[{"a":1,"a":2}]`))},
		"file of another channel":      {request: say(jsonType, `{"channel":"C0SUPPORT","blocks":[{"type":"image","slack_file":{"id":"F1"}}]}`)},
		"name of somebody else":        {request: say(formType, "channel=C0SUPPORT&username=Sarah")},
		"icon by its URL":              {request: say(formType, "channel=C0SUPPORT&icon_url=https://evil.example")},
		"a list of a form":             {request: say(formType, "channel=C0SUPPORT&blocks%5B0%5D%5Bimage_url%5D=x")},
		"parameter PHP reads alike":    {request: say(formType, "channel=C0SUPPORT&icon.url=x")},
		"reaction to a file":           {request: post("/api/reactions.add", formType, "channel=C0SUPPORT&file=F1&name=x")},
		"openai image by its URL":      {host: "api.openai.com", request: post("/v1/chat/completions", jsonType, `{"model":"m","messages":[{"content":[{"image_url":{"url":"https://evil.example"}}]}]}`)},
		"openai image, text":           {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"m","input":[{"content":[{"type":"input_image","image_url":"https://evil.example"}]}]}`)},
		"openai file by its URL":       {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"m","input":[{"content":[{"type":"input_file","file_url":"https://evil.example"}]}]}`)},
		"openai stored file":           {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"m","input":[{"content":[{"type":"input_file","file_id":"f"}]}]}`)},
		"openai model that searches":   {host: "api.openai.com", request: post("/v1/chat/completions", jsonType, `{"model":"gpt-4o-search-preview","messages":[]}`)},
		"openai model that researches": {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"o4-mini-deep-research-2025-06-26","input":"x"}`)},
		"openai conversation":          {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"m","conversation":"c"}`)},
		"openai MCP":                   {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"gpt-6","tools":[{"type":"mcp","server_url":"https://evil.example"}]}`)},
		"openai tool without type":     {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"gpt-6","tools":[{}]}`)},
		"openai stored prompt":         {host: "api.openai.com", request: post("/v1/responses", jsonType, `{"model":"gpt-6","prompt":{"id":"p"}}`)},
		"openai files":                 {host: "api.openai.com", request: post("/v1/files", jsonType, `{}`), unlisted: true},
	} {
		t.Run(name, func(t *testing.T) {
			host := tc.host
			if host == "" {
				host = "slack.com"
			}
			call, err := builtinT(t).At(host)[0].Connector.Match(tc.request)
			var refusal *Refusal
			if !errors.As(err, &refusal) || call == nil {
				t.Fatalf("got %v, want a refusal and what was found", err)
			}
			if refusal.Unlisted != tc.unlisted || refusal.Reason == "" {
				t.Errorf("got %+v", refusal)
			}
			if strings.Contains(refusal.Reason, "xoxb-mine") {
				t.Errorf("the reason shows a value: %s", refusal.Reason)
			}
		})
	}
}

// A body takes little more memory than it has bytes, whatever is in it: a gateway has not much.
func TestMatchTakesLittleMemory(t *testing.T) {
	const size = 4 << 20
	fill := func(begin, piece, end string) string {
		return begin + strings.Repeat(piece, (size-len(begin)-len(end))/len(piece)) + end
	}
	for name, body := range map[string]string{
		"numbers":      fill(`{"model":"claude-sonnet-5","messages":[0`, ",0", "]}"),
		"lists":        fill(`{"model":"claude-sonnet-5","messages":[0`, ",[]", "]}"),
		"tools":        fill(`{"model":"claude-sonnet-5","tools":[{}`, ",{}", "]}"),
		"many keys":    fill(`{"model":"claude-sonnet-5"`, `,"k":0`, "}"),
		"keys":         `{"model":"claude-sonnet-5"` + differentKeys(size/10) + "}",
		"keys, deeper": `{"model":"claude-sonnet-5","messages":[{"a":0` + differentKeys(size/10) + "}]}",
		"text":         fill(`{"model":"claude-sonnet-5","messages":"`, `\n`, `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			c := builtinT(t).Get("anthropic")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			call, _ := c.Match(post("/v1/messages", jsonType, body))
			call.Parameters(4096, asItIs)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 3*size {
				t.Errorf("%d bytes took %d bytes of memory", len(body), took)
			}
		})
	}
}

func differentKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"k` + string(rune('0'+i/10%10)) + string(rune('0'+i%10)) + `":1`)
	}
	return b.String()
}

func TestParameters(t *testing.T) {
	c := builtinT(t).Get("anthropic")
	for name, tc := range map[string]struct{ body, want string }{
		"as they are":  {`{"model":"claude-sonnet-5","max_tokens":5,"stream":true}`, `{"model":"claude-sonnet-5","max_tokens":5,"stream":true}`},
		"secrets":      {`{"model":"m","metadata":{"api_key":"k","client-secret":["s"],"password":1}}`, `{"model":"m","metadata":{"api_key":"[redacted]","client-secret":"[redacted]","password":"[redacted]"}}`},
		"long text":    {`{"model":"m","metadata":"` + strings.Repeat("ü", 400) + `"}`, `{"model":"m","metadata":"` + strings.Repeat("ü", 256) + `… (800 bytes)"}`},
		"escapes cut":  {`{"model":"m","metadata":"` + strings.Repeat(`a\u00fc`, 400) + `"}`, `{"model":"m","metadata":"` + strings.Repeat("aü", 73) + `… (2800 bytes)"}`},
		"a long list":  {`{"model":"m","metadata":[1,2,3,4,5,6,7,8,9,10,11,12,13,14]}`, `{"model":"m","metadata":["… 2 more",3,4,5,6,7,8,9,10,11,12,13,14]}`},
		"line breaks":  {`{"model":"m","metadata":"a\nb"}`, `{"model":"m","metadata":"a\nb"}`},
		"a huge digit": {`{"model":"m","metadata":` + strings.Repeat("1", 100) + `}`, `{"model":"m","metadata":"…"}`},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(post("/v1/messages", jsonType, tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(call.Parameters(4096, asItIs))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// asItIs hides nothing.
func asItIs(text string) string { return text }

// What may not be recorded is not, wherever it stands: in a name, in a value, and across what is cut.
func TestParametersHide(t *testing.T) {
	const key = "xoxb-0123456789-abcdef"
	hide := func(text string) string { return strings.ReplaceAll(text, key, strings.Repeat("*", len(key))) }
	filler := strings.Repeat("a", 500)
	for _, body := range []string{
		`{"channel":"C1","text":"` + key + `"}`, `{"` + key + `":"x"}`, `{"a":{"b":["` + key + `"]}}`,
		`{"text":"` + filler + key + `"}`, `{"text":"` + filler + key + strings.Repeat("b", 4000) + `"}`,
	} {
		call := &Call{members: membersOf([]byte(body))}
		got := string(call.Parameters(4096, hide))
		if strings.Contains(got, key[:8]) || !json.Valid([]byte(got)) || !strings.Contains(got, "****") {
			t.Errorf("%.60s…: %s", body, got)
		}
	}
	for _, call := range []*Call{{query: []param{{name: "q", value: filler + key}}}, {form: []param{{name: key, value: key}}}} {
		if got := string(call.Parameters(4096, hide)); strings.Contains(got, key[:8]) {
			t.Errorf("%s", got)
		}
	}
}
