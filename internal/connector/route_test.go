package connector

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/policy"
)

// loadT loads one connector: head, and operations after it.
func loadT(t testing.TB, head, operations string) *Connector {
	t.Helper()
	c, err := Load(map[string][]byte{"one": []byte(head + "operations:\n" + operations)})
	if err != nil {
		t.Fatal(err)
	}
	return c.Get("one")
}

const oneHead = `
connector: one
hosts: [{id: api, host: one.example, base: /v1}, {id: files, host: one.example, base: /v1/files}]
denial: Problem
slots: {key: {use: Inject, header: X-Key, format: "{{value}}", env: ONE_KEY, placeholder: one-placeholder}}
strip: [access_token]
resources:
  thing: {shape: "[a-z0-9][a-z0-9._@#: /-]*", ignoreCase: true}
  person: {shape: "[a-z0-9._+-]+@[a-z0-9.-]+", ignoreCase: true, address: true, identity: email}
`

const paths = `
- {id: list, host: api, methods: [GET], path: /things, action: Read, query: [q, "labels[]"]}
- {id: get, host: api, methods: [GET], path: "/things/{thing}", action: Read, resources: [{type: thing, from: [path.thing]}]}
- {id: latest, host: api, methods: [GET], path: /things/latest, action: Read}
- {id: run, host: api, methods: [POST], path: "/things/{thing}:run", action: Write, resources: [{type: thing, from: [path.thing]}]}
- {id: runAll, host: api, methods: [POST], path: "/things/{thing}:runAll", action: Write, resources: [{type: thing, from: [path.thing]}]}
- {id: part, host: api, methods: [GET], path: "/things/{thing}/parts/{part}", action: Read, resources: [{type: thing, from: [path.thing]}]}
- {id: contents, host: api, methods: [GET], path: "/things/{thing}/contents/{path...}", action: Read, resources: [{type: thing, from: [path.thing, "path.thing"]}]}
- {id: pull, host: api, methods: [POST], path: "/{owner}/{repo}/info", when: {service: read}, action: Read, resources: [{type: thing, from: [path.owner/path.repo]}]}
- {id: push, host: api, methods: [POST], path: "/{owner}/{repo}/info", when: {service: write}, action: Write, resources: [{type: thing, from: [path.owner/path.repo]}]}
- {id: neither, host: api, methods: [POST], path: "/{owner}/{repo}/info", action: Read, query: [x], resources: [{type: thing, from: [path.owner/path.repo]}]}
- {id: gone, host: api, methods: [DELETE], path: "/things/{thing}", action: Delete, deny: deletion is for people}
- {id: download, host: files, methods: [GET], path: "/{name...}", action: Read}
`

func TestRoute(t *testing.T) {
	c := loadT(t, oneHead, paths)
	for name, tc := range map[string]struct{ method, path, query, operation, sent, resource string }{
		"literal":                 {path: "/v1/things", operation: "list"},
		"literal before param":    {path: "/v1/things/latest", operation: "latest"},
		"parameter":               {path: "/v1/things/a.b-1", operation: "get", resource: "a.b-1"},
		"other case is judged so": {path: "/v1/things/ABC", operation: "get", resource: "abc", sent: "/v1/things/ABC"},
		"an address, as Node":     {path: "/v1/things/x%40y.example", operation: "get", resource: "x@y.example", sent: "/v1/things/x%40y.example"},
		"an address, as it is":    {path: "/v1/things/x@y.example", operation: "get", resource: "x@y.example", sent: "/v1/things/x%40y.example"},
		"small digits of escapes": {path: "/v1/things/a%3ab", operation: "get", resource: "a:b", sent: "/v1/things/a%3Ab"},
		"an encoded letter":       {path: "/v1/things/%61", operation: "get", resource: "a", sent: "/v1/things/a"},
		"a number sign":           {path: "/v1/things/en%23holiday@v", operation: "get", resource: "en#holiday@v", sent: "/v1/things/en%23holiday%40v"},
		"suffix":                  {method: "POST", path: "/v1/things/m:run", operation: "run", resource: "m"},
		"longer suffix":           {method: "POST", path: "/v1/things/m:runAll", operation: "runAll", resource: "m"},
		"suffix twice":            {method: "POST", path: "/v1/things/m:run:run", operation: "run", resource: "m:run", sent: "/v1/things/m%3Arun:run"},
		"text beside":             {path: "/v1/things/a/parts/%C3%BC%20%21!", operation: "part", resource: "a", sent: "/v1/things/a/parts/%C3%BC%20%21%21"},
		"percent sign":            {path: "/v1/things/a/parts/100%25", operation: "part", resource: "a", sent: "/v1/things/a/parts/100%25"},
		"rest":                    {path: "/v1/things/a/contents/b/c.d", operation: "contents", resource: "a"},
		"rest, slash encoded":     {path: "/v1/things/a/contents/b%2Fc%5Cd", operation: "contents", resource: "a", sent: "/v1/things/a/contents/b/c%5Cd"},
		"three dots are a name":   {path: "/v1/things/a/contents/b/...", operation: "contents", resource: "a"},
		"when":                    {method: "POST", path: "/v1/acme/api/info", query: "service=read", operation: "pull", resource: "acme/api"},
		"when, another":           {method: "POST", path: "/v1/acme/api/info", query: "service=write", operation: "push", resource: "acme/api"},
		"when, none":              {method: "POST", path: "/v1/acme/api/info", query: "x=1", operation: "neither", resource: "acme/api"},
		"the longer base":         {path: "/v1/files/a/b", operation: "download"},
		"a query twice":           {path: "/v1/things", query: "labels=a&labels=b&access_token=x", operation: "list"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = "GET"
			}
			if tc.sent == "" {
				tc.sent = tc.path
			}
			call, err := c.Match(Request{Method: tc.method, Host: hostOf(c, tc.path), Path: tc.path, Query: tc.query})
			if err != nil {
				t.Fatal(err)
			}
			if call.Operation.ID != tc.operation || call.Path != tc.sent || strings.Contains(call.Query, "access_token") {
				t.Errorf("got %s, %s?%s", call.Operation.ID, call.Path, call.Query)
			}
			var want []policy.Resource
			if tc.resource != "" {
				want = []policy.Resource{{Type: "thing", Name: tc.resource}}
			}
			if diff := cmp.Diff(want, call.Resources); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// hostOf finds a path's host as a catalogue does.
func hostOf(c *Connector, path string) *Host {
	var found *Host
	for i := range c.Hosts {
		if h := &c.Hosts[i]; isBelow(path, h.Base) && (found == nil || len(h.Base) > len(found.Base)) {
			found = h
		}
	}
	return found
}

func TestRouteRefuses(t *testing.T) {
	c := loadT(t, oneHead, paths)
	for name, tc := range map[string]struct {
		method, path, query string
		unlisted            bool
	}{
		"literal, encoded":            {path: "/v1/%74hings"},
		"literal of a choice":         {path: "/v1/things/%6Catest"},
		"literal in other case":       {path: "/v1/things/LATEST"},
		"suffix encoded":              {method: "POST", path: "/v1/things/m%3Arun"},
		"suffix of another method":    {path: "/v1/things/m:run", unlisted: true},
		"suffix alone":                {method: "POST", path: "/v1/things/:run", unlisted: true},
		"base encoded":                {path: "/%761/things"},
		"slash in a parameter":        {path: "/v1/things/a%2Fparts"},
		"slash in a suffix":           {method: "POST", path: "/v1/things/a%2Fb:run"},
		"backslash in a parameter":    {path: "/v1/things/a%5Cb"},
		"dots encoded":                {path: "/v1/things/%2e%2e"},
		"dot and escaped dot":         {path: "/v1/things/.%2E/parts/x"},
		"one dot encoded":             {path: "/v1/things/%2E"},
		"dots in the rest":            {path: "/v1/things/a/contents/b/%2e%2e/c"},
		"dots after an encoded slash": {path: "/v1/things/a/contents/b%2F..%2Fc"},
		"dots after a backslash":      {path: "/v1/things/a/contents/b%5C..%5Cc"},
		"empty in the rest":           {path: "/v1/things/a/contents/b%2F%2Fc"},
		"rest that begins with slash": {path: "/v1/things/a/contents/%2Fb"},
		"rest that ends with slash":   {path: "/v1/things/a/contents/b/"},
		"no rest":                     {path: "/v1/things/a/contents/", unlisted: true},
		"encoded twice: slash":        {path: "/v1/things/a%252Fb"},
		"encoded twice: dot":          {path: "/v1/things/a/parts/%252e%252e"},
		"encoded twice: NUL":          {path: "/v1/things/a/parts/%2500"},
		"encoded thrice":              {path: "/v1/things/a/parts/%25252f"},
		"NUL":                         {path: "/v1/things/a%00"},
		"line break":                  {path: "/v1/things/a/parts/a%0Ab"},
		"C1 control":                  {path: "/v1/things/a/parts/a%C2%85b"},
		"not UTF-8":                   {path: "/v1/things/a/parts/%FF"},
		"overlong slash":              {path: "/v1/things/a/parts/%C0%AF"},
		"half an escape":              {path: "/v1/things/a%2"},
		"no escape":                   {path: "/v1/things/a%zz"},
		"escape of Unicode":           {path: "/v1/things/a%u002f"},
		"semicolon":                   {path: "/v1/things/a;b=c"},
		"space":                       {path: "/v1/things/a b"},
		"bytes":                       {path: "/v1/things/ü"},
		"fragment":                    {path: "/v1/things/a#b"},
		"question mark":               {path: "/v1/things/a?b"},
		"two slashes":                 {path: "/v1//things"},
		"outside of the base":         {path: "/v2/things"},
		"base with a tail":            {path: "/v1things"},
		"nothing after the base":      {path: "/v1/files", unlisted: true},
		"denied":                      {method: "DELETE", path: "/v1/things/a", unlisted: true},
		"when in another case":        {method: "POST", path: "/v1/acme/api/info", query: "Service=write"},
		"when, value in another case": {method: "POST", path: "/v1/acme/api/info", query: "service=WRITE"},
		"when twice":                  {method: "POST", path: "/v1/acme/api/info", query: "service=read&service=write"},
		"when of another too":         {method: "POST", path: "/v1/acme/api/info", query: "service=read&x=1"},
		"slash in a part of a name":   {method: "POST", path: "/v1/acme%2Fx/api/info", query: "service=read"},
		"unlisted":                    {path: "/v1/others", unlisted: true},
		"root":                        {path: "/v1/", unlisted: true},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = "GET"
			}
			host := hostOf(c, tc.path)
			if host == nil {
				host = &c.Hosts[0]
			}
			call, err := c.Match(Request{Method: tc.method, Host: host, Path: tc.path, Query: tc.query})
			var refusal *Refusal
			if !errors.As(err, &refusal) || call == nil {
				t.Fatalf("got %v, %+v", err, call)
			}
			if refusal.Unlisted != tc.unlisted || refusal.Reason == "" {
				t.Errorf("got %+v", refusal)
			}
		})
	}
}

// Of an operation that is denied, the catalogue says why.
func TestDenied(t *testing.T) {
	c := loadT(t, oneHead, paths)
	call, err := c.Match(Request{Method: "DELETE", Path: "/v1/things/a"})
	if err == nil || err.Error() != "deletion is for people" || call.Operation.ID != "gone" || call.Action != "Delete" {
		t.Errorf("got %v, %+v", err, call)
	}
}

func TestRouteConflicts(t *testing.T) {
	for name, operations := range map[string]string{
		"same path":                 "- {id: a, methods: [GET], path: /x, action: Read}\n- {id: b, methods: [POST, GET], path: /x, action: Read}",
		"parameters of other names": "- {id: a, methods: [GET], path: '/x/{a}', action: Read}\n- {id: b, methods: [GET], path: '/x/{b}', action: Read}",
		"prefix and suffix":         "- {id: a, methods: [GET], path: '/a{x}', action: Read}\n- {id: b, methods: [GET], path: '/{x}b', action: Read}",
		"same when":                 "- {id: a, methods: [GET], path: /x, when: {q: a}, action: Read}\n- {id: b, methods: [GET], path: /x, when: {q: a}, action: Read}",
		"when that may be given":    "- {id: a, methods: [GET], path: /x, when: {q: a}, action: Read}\n- {id: b, methods: [GET], path: /x, query: [q], action: Read}",
		"when of other parameters":  "- {id: a, methods: [GET], path: /x, when: {q: a}, query: [r], action: Read}\n- {id: b, methods: [GET], path: /x, when: {r: a}, query: [q], action: Read}",
		"rest in the middle":        "- {id: a, methods: [GET], path: '/{x...}/y', action: Read}",
		"rest of a segment":         "- {id: a, methods: [GET], path: '/a{x...}', action: Read}",
		"two in a segment":          "- {id: a, methods: [GET], path: '/{a}{b}', action: Read}",
		"a name twice":              "- {id: a, methods: [GET], path: '/{a}/{a}', action: Read}",
		"an escape":                 "- {id: a, methods: [GET], path: '/%20', action: Read}",
		"a slash twice":             "- {id: a, methods: [GET], path: '/a//b', action: Read}",
		"no slash":                  "- {id: a, methods: [GET], path: 'a', action: Read}",
		"brace":                     "- {id: a, methods: [GET], path: '/{a', action: Read}",
		"no name":                   "- {id: a, methods: [GET], path: '/{}', action: Read}",
	} {
		t.Run(name, func(t *testing.T) {
			head := strings.Replace(oneHead, "{id: api, host: one.example, base: /v1}, {id: files, host: one.example, base: /v1/files}", "{host: one.example}", 1)
			if _, err := Load(map[string][]byte{"one": []byte(head + "operations:\n" + operations + "\n")}); err == nil {
				t.Error("it loads")
			}
		})
	}
}

// FuzzPath checks that a path that is let through says the same to whoever decodes it once, and is written in one way.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v1/things/a%40b", "/v1/things/x/contents/a%2Fb", "/v1/things/m:run", "/v1/things/%2e%2e", "/v1/things/a/parts/100%25", "/v1/files/a/b", "/v1/things/%6catest", "/v1/a/b/info"} {
		f.Add("GET", seed)
		f.Add("POST", seed)
	}
	c := loadT(f, oneHead, paths)
	f.Fuzz(func(t *testing.T, method, path string) {
		host := hostOf(c, path)
		if host == nil {
			host = &c.Hosts[0]
		}
		call, err := c.Match(Request{Method: method, Host: host, Path: path})
		if err != nil {
			return
		}
		sent, err := url.PathUnescape(call.Path)
		if err != nil {
			t.Fatalf("%q is sent: %v", call.Path, err)
		}
		if asked, err := url.PathUnescape(path); err != nil || asked != sent {
			t.Fatalf("%q is sent as %q, which says %q", path, call.Path, sent)
		}
		u, err := url.Parse("https://one.example" + call.Path)
		if err != nil || u.EscapedPath() != call.Path || u.Path != sent {
			t.Fatalf("%q: net/url reads %+v: %v", call.Path, u, err)
		}
		if again, err := c.Match(Request{Method: method, Host: host, Path: call.Path}); err != nil || again.Path != call.Path || again.Operation != call.Operation {
			t.Fatalf("%q, which is %s, is read as %+v: %v", call.Path, call.Operation.ID, again, err)
		}
		for segment := range strings.SplitSeq(strings.ReplaceAll(sent, `\`, "/"), "/") {
			if isDots(segment) {
				t.Fatalf("%q has a dot segment", call.Path)
			}
		}
	})
}
