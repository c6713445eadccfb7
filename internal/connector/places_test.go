package connector

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/policy"
)

const placed = `
- {id: one, host: api, methods: [POST], path: /one, bodies: [JSON, Form], params: [text], action: Write, resources: [{type: thing, from: [query.thing, body.thing]}]}
- {id: many, host: api, methods: [POST], path: /many, bodies: [JSON, Form], action: Write, resources: [{type: thing, split: ",", from: ["body.things[]", "query.things"]}]}
- {id: deep, host: api, methods: [POST], path: /deep, bodies: [JSON, Form], params: [files], action: Write, resources: [{type: thing, from: ["body.files[].owner.id"]}]}
- {id: composite, host: api, methods: [POST], path: "/of/{owner}", bodies: [JSON], action: Write, resources: [{type: thing, from: [path.owner/body.repo, body.full]}]}
- {id: key, host: api, methods: [POST], path: "/issues/{key}", bodies: [JSON], action: Write, resources: [{type: thing, capture: "([A-Z]+)-[0-9]+", from: [path.key, body.key]}]}
- {id: always, host: api, methods: [GET], path: /always, action: Read, resources: [{type: thing, value: root}]}
- {id: default, host: api, methods: [POST], path: /default, bodies: [JSON], action: Write, resources: [{type: thing, value: root, from: ["body.parents[]"]}]}
- {id: all, host: api, methods: [GET], path: /all, action: Read, query: [q], resources: [{type: thing, value: "*"}]}
- {id: maybe, host: api, methods: [POST], path: /maybe, bodies: [JSON], action: Write, resources: [{type: thing, optional: true, from: [body.thing]}]}
- {id: except, host: api, methods: [POST], path: /except, bodies: [JSON], action: Write, resources: [{type: thing, except: "evil.*", from: [body.thing]}]}
- {id: two, host: api, methods: [POST], path: "/two/{a}/to/{b}", action: Write, resources: [{type: thing, from: [path.a]}, {type: thing, from: [path.b]}]}
- {id: rules, host: api, methods: [POST], path: /rules, bodies: [JSON, Form], params: ["*"], action: Write, forbid: [acl, "items[].acl", owner.secret], query: [alt],
   fields: [{path: state, allow: [open, "1", "true"]}, {path: "items[].kind", required: true, allow: [a, "b*"]}, {path: query.alt, allow: [json]}],
   values: [{at: body.head, shape: "[^:]*"}, {at: "body.tags[]", except: "TRASH|SPAM"}], keys: [{at: "tools[]", allow: [name, kind]}, {at: options, allow: [a]}]}
- {id: set, host: api, methods: [POST], path: /set, bodies: [JSON, Form], params: [text], action: Write, set: {preview: false, options: {"disabled": true}, mode: plain}}
- {id: list, host: api, methods: [POST], path: /list, bodies: [JSON], params: ["*"], action: Write}
- {id: often, host: api, methods: [GET], path: /often, action: Read, resources: [{type: thing, from: ["query.thing[]"]}]}
`

func ask(path, contentType, body string) Request { return post("/v1"+path, contentType, body) }

func query(method, path, raw string) Request {
	return Request{Method: method, Path: "/v1" + path, Query: raw}
}

func TestPlaces(t *testing.T) {
	c := loadT(t, aloneHead, placed)
	for name, tc := range map[string]struct {
		request Request
		things  string
		body    string
	}{
		"a string":                        {request: ask("/one", jsonType, `{"thing":"A b"}`), things: "a b"},
		"a whole number":                  {request: ask("/one", jsonType, `{"thing":9007199254740991}`), things: "9007199254740991"},
		"two places that agree":           {request: Request{Method: "POST", Path: "/v1/one", Query: "thing=A", ContentType: jsonType, Body: []byte(`{"thing":"a"}`)}, things: "a"},
		"a list":                          {request: ask("/many", jsonType, `{"things":["a","B","a"]}`), things: "a b"},
		"a text of several":               {request: ask("/many", jsonType, `{"things":"a, b"}`), things: "a b"},
		"a list in a form":                {request: ask("/many", formType, `things=%5B%22a%22%2C%22b%22%5D`), things: "a b"},
		"several in a form":               {request: ask("/many", formType, `things=a,b`), things: "a b"},
		"the same ones in another order":  {request: Request{Method: "POST", Path: "/v1/many", Query: "things=b,a", ContentType: jsonType, Body: []byte(`{"things":["a","b"]}`)}, things: "a b"},
		"within":                          {request: ask("/deep", jsonType, `{"files":[{"owner":{"id":"a"}},{"owner":{"id":"b"},"x":1}]}`), things: "a b"},
		"within, in a form":               {request: ask("/deep", formType, `files=%5B%7B%22owner%22%3A%7B%22id%22%3A%22a%22%7D%7D%5D`), things: "a"},
		"a name of two parts":             {request: ask("/of/acme", jsonType, `{"repo":"Api"}`), things: "acme/api"},
		"a name of two parts, and whole":  {request: ask("/of/acme", jsonType, `{"repo":"api","full":"ACME/api"}`), things: "acme/api"},
		"a part of a key":                 {request: ask("/issues/PROJ-12", jsonType, `{"key":"PROJ-7"}`), things: "proj"},
		"always the same":                 {request: query("GET", "/always", ""), things: "root"},
		"named where another is default":  {request: ask("/default", jsonType, `{"parents":["x"]}`), things: "x"},
		"default: an empty list":          {request: ask("/default", jsonType, `{"parents":[]}`), things: "root"},
		"default: null":                   {request: ask("/default", jsonType, `{"parents":null}`), things: "root"},
		"default: nothing":                {request: ask("/default", "", ``), things: "root"},
		"all of them":                     {request: query("GET", "/all", "q=x"), things: "*"},
		"need not be named":               {request: ask("/maybe", jsonType, `{"thing":null}`)},
		"need not be named, and is":       {request: ask("/maybe", jsonType, `{"thing":"a"}`), things: "a"},
		"two resources of a type":         {request: Request{Method: "POST", Path: "/v1/two/a/to/b"}, things: "a b"},
		"two resources that are one":      {request: Request{Method: "POST", Path: "/v1/two/a/to/a"}, things: "a"},
		"all values of a query":           {request: query("GET", "/often", "thing=a&thing=b"), things: "a b"},
		"rules, nothing of what they say": {request: ask("/rules", jsonType, `{"x":{"acl":1},"owner":{"a":1},"items":[],"tools":null}`)},
		"rules, all of it":                {request: ask("/rules", jsonType, `{"state":"open","items":[{"kind":"a"},{"kind":"bc","x":1}],"head":"main","tags":["A"],"tools":[{"name":1}],"options":{"a":1}}`)},
		"rules, a number":                 {request: ask("/rules", jsonType, `{"state":1}`)},
		"rules, a boolean":                {request: ask("/rules", jsonType, `{"state":true}`)},
		"rules, a form":                   {request: ask("/rules", formType, `state=open&items=%5B%7B%22kind%22%3A%22a%22%7D%5D&options=%7B%22a%22%3A1%7D`)},
		"set in JSON":                     {request: ask("/set", jsonType, `{"text":"a","preview":true}`), body: `{"text":"a","mode":"plain","options":{"disabled":true},"preview":false}`},
		"set in a form":                   {request: ask("/set", formType, `text=a&preview=1`), body: `text=a&mode=plain&options=%7B%22disabled%22%3Atrue%7D&preview=false`},
		"set in an empty object":          {request: ask("/set", jsonType, `{}`), body: `{"mode":"plain","options":{"disabled":true},"preview":false}`},
		"set without a body":              {request: ask("/set", "", ``), body: `{"mode":"plain","options":{"disabled":true},"preview":false}`},
		"a body that is a list":           {request: ask("/list", jsonType, ` ["a",{"b":1}]`), body: ` ["a",{"b":1}]`},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(tc.request)
			if err != nil {
				t.Fatal(err)
			}
			var want []policy.Resource
			for _, thing := range strings.Fields(tc.things) {
				want = append(want, policy.Resource{Type: "thing", Name: thing})
			}
			if tc.things == "a b" && call.Operation.ID == "one" {
				want = []policy.Resource{{Type: "thing", Name: "a b"}}
			}
			if diff := cmp.Diff(want, call.Resources); diff != "" {
				t.Error(diff)
			}
			if tc.body != "" && string(call.Body) != tc.body {
				t.Errorf("got %s", call.Body)
			}
			if call.Action != call.Operation.Action {
				t.Errorf("action %s", call.Action)
			}
		})
	}
}

func TestPlacesRefuse(t *testing.T) {
	c := loadT(t, aloneHead, placed)
	both := func(path, query, body string) Request {
		return Request{Method: "POST", Path: "/v1" + path, Query: query, ContentType: jsonType, Body: []byte(body)}
	}
	for name, request := range map[string]Request{
		"nothing named":                   ask("/one", jsonType, `{"text":"a"}`),
		"null":                            ask("/one", jsonType, `{"thing":null}`),
		"a fraction":                      ask("/one", jsonType, `{"thing":1.0}`),
		"an exponent":                     ask("/one", jsonType, `{"thing":1e3}`),
		"a number too large":              ask("/one", jsonType, `{"thing":9007199254740992}`),
		"a number far too large":          ask("/one", jsonType, `{"thing":100000000000000000000}`),
		"minus nothing":                   ask("/one", jsonType, `{"thing":-0}`),
		"a boolean":                       ask("/one", jsonType, `{"thing":true}`),
		"an object":                       ask("/one", jsonType, `{"thing":{"id":"a"}}`),
		"all of them, by name":            ask("/one", jsonType, `{"thing":"*"}`),
		"a letter that folds to another":  ask("/one", jsonType, `{"thing":"\u212a"}`),
		"places that disagree":            both("/one", "thing=b", `{"thing":"a"}`),
		"sets that disagree":              both("/many", "things=a", `{"things":["a","b"]}`),
		"sets that disagree, the other":   both("/many", "things=a,b", `{"things":["a"]}`),
		"one of several is none":          ask("/many", jsonType, `{"things":["a","!"]}`),
		"one of several is empty":         ask("/many", jsonType, `{"things":"a,"}`),
		"an empty list":                   ask("/many", jsonType, `{"things":[]}`),
		"a list in a list":                ask("/many", jsonType, `{"things":[["a"]]}`),
		"an object for a list":            ask("/many", jsonType, `{"things":{"0":"a"}}`),
		"too many":                        ask("/many", jsonType, `{"things":["a"`+manyThings(300)+`]}`),
		"JSON in a form that is none":     ask("/many", formType, `things=%5B%22a%22%2C%5D`),
		"JSON in a form with a key twice": ask("/deep", formType, `files=%5B%7B%22owner%22%3A%7B%22id%22%3A%22a%22%2C%22id%22%3A%22b%22%7D%7D%5D`),
		"within: not in every object":     ask("/deep", jsonType, `{"files":[{"owner":{"id":"a"}},{"owner":{}}]}`),
		"within: in no object":            ask("/deep", jsonType, `{"files":[{"owner":{}}]}`),
		"within: in other case":           ask("/deep", jsonType, `{"files":[{"owner":{"id":"a","ID":"b"}}]}`),
		"within: no object":               ask("/deep", jsonType, `{"files":["a"]}`),
		"within: text where JSON is":      ask("/deep", formType, `files=a`),
		"half a name":                     ask("/of/acme", jsonType, `{}`),
		"a slash in a part":               ask("/of/acme", jsonType, `{"repo":"api/evil"}`),
		"another whole name":              ask("/of/acme", jsonType, `{"repo":"api","full":"acme/other"}`),
		"no key":                          ask("/issues/PROJ", jsonType, `{}`),
		"another project's key":           ask("/issues/PROJ-1", jsonType, `{"key":"OTHER-1"}`),
		"an exception":                    ask("/except", jsonType, `{"thing":"Evil-1"}`),
		"forbidden":                       ask("/rules", jsonType, `{"acl":[]}`),
		"forbidden, within a list":        ask("/rules", jsonType, `{"items":[{"kind":"a"},{"kind":"a","acl":null}]}`),
		"forbidden, within an object":     ask("/rules", jsonType, `{"owner":{"secret":1}}`),
		"forbidden, in other case within": ask("/rules", jsonType, `{"owner":{"Secret":1}}`),
		"forbidden, in other case":        ask("/rules", jsonType, `{"ACL":1}`),
		"forbidden, in text of a form":    ask("/rules", formType, `owner=%7B%22secret%22%3A1%7D`),
		"a value not allowed":             ask("/rules", jsonType, `{"state":"closed"}`),
		"a value that is null":            ask("/rules", jsonType, `{"state":null}`),
		"a value that is a list":          ask("/rules", jsonType, `{"state":["open"]}`),
		"a value in a list":               ask("/rules", jsonType, `{"items":[{"kind":"c"}]}`),
		"a required value":                ask("/rules", jsonType, `{"items":[{}]}`),
		"a value in a form":               ask("/rules", formType, `state=closed`),
		"a value in the query":            {Method: "POST", Path: "/v1/rules", Query: "alt=media", ContentType: jsonType, Body: []byte(`{}`)},
		"a shape":                         ask("/rules", jsonType, `{"head":"evil:main"}`),
		"a shape of a list":               ask("/rules", jsonType, `{"head":["a"]}`),
		"an exception in a list":          ask("/rules", jsonType, `{"tags":["A","TRASH"]}`),
		"an unknown member":               ask("/rules", jsonType, `{"tools":[{"name":1},{"url":"x"}]}`),
		"an unknown member of an object":  ask("/rules", jsonType, `{"options":{"b":1}}`),
		"no object":                       ask("/rules", jsonType, `{"options":"a"}`),
		"a name that changes the body":    ask("/rules", formType, `_charset_=utf-16`),
		"a list where rules look":         ask("/rules", jsonType, `[{"acl":1}]`),
		"a list that is no JSON":          ask("/list", jsonType, `[1,]`),
		"a query twice":                   query("POST", "/one", "thing=a&thing=a"),
		"a value of a query":              query("GET", "/often", "thing=a&thing=!"),
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(request)
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Unlisted || refusal.Reason == "" {
				t.Fatalf("got %v and %v", err, call.Resources)
			}
		})
	}
}

func manyThings(n int) string {
	var b strings.Builder
	for i := range n {
		name, _ := json.Marshal("t" + strings.Repeat("x", i))
		b.WriteString("," + string(name))
	}
	return b.String()
}

// aloneHead is the connector at one host.
var aloneHead = strings.Replace(oneHead, ", {id: files, host: one.example, base: /v1/files}", "", 1)
