package connector

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const template = `
connector: tracker
template: true
denial: Message
slots: {key: {use: Inject, header: Authorization, format: "user:{{value}}", basic: true, env: TRACKER_TOKEN, placeholder: tracker-placeholder}}
resources: {project: {shape: "[a-z]+", ignoreCase: true}}
operations:
- {id: get, methods: [GET], path: "/rest/{project}", action: Read, resources: [{type: project, from: [path.project]}]}
- {id: upload, host: files, methods: [PUT], path: "/{project}", bodies: [Raw], action: Write, resources: [{type: project, from: [path.project]}]}
`

func templatesT(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Load(map[string][]byte{"one.yaml": []byte(small), "tracker.yaml": []byte(template)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const ownWhole = `
connector: wiki
hosts: [{host: wiki.acme.example, base: /api, privateCIDRs: [10.1.0.0/16, "fd00:1::/64"]}]
denial: Problem
slots: {key: {use: Inject, header: X-Key, format: "{{value}}", env: WIKI_KEY, placeholder: wiki-placeholder}}
operations:
- {id: list, methods: [GET], path: /pages, action: Read}
`

func TestWith(t *testing.T) {
	c := templatesT(t)
	if c.Known("tracker") || c.Get("tracker") != nil || c.Template("tracker") == nil {
		t.Fatal("a template is a connector")
	}
	with, wrong := c.With(map[string][]byte{
		"team/tracker": []byte("connector: tracker\nfrom: tracker\nhosts: [{host: acme.tracker.example}, {id: files, host: acme.tracker.example, base: /files}]\n"),
		"team/other":   []byte("connector: tracker-b\nfrom: tracker\nhosts: [{host: b.tracker.example}]\n"),
		"team/wiki":    []byte(ownWhole),
	})
	if len(wrong) != 0 {
		t.Fatal(wrong)
	}
	if diff := cmp.Diff([]string{"one", "tracker", "tracker-b", "wiki"}, with.Names()); diff != "" {
		t.Error(diff)
	}
	if c.Known("tracker") || len(c.At("wiki.acme.example")) != 0 {
		t.Error("the catalogue has changed")
	}
	site, ok := with.Find("acme.tracker.example", "/files/proj")
	if !ok || site.Connector.Name != "tracker" || site.Host.ID != "files" {
		t.Fatalf("got %+v", site)
	}
	call, err := site.Connector.Match(Request{Method: "PUT", Host: site.Host, Path: "/files/PROJ", ContentType: "image/png", Body: []byte("x")})
	if err != nil || call.Operation.ID != "upload" || call.Resources[0].Name != "proj" {
		t.Errorf("got %v, %+v", err, call)
	}
	site, _ = with.Find("b.tracker.example", "/rest/x")
	if call, err = site.Connector.Match(Request{Method: "GET", Host: site.Host, Path: "/rest/x"}); err != nil || call.Operation.ID != "get" {
		t.Errorf("got %v, %+v", err, call)
	}
	if _, auth := site.Connector.AuthAt(site.Host); auth.Render([]byte("k")) != "Basic dXNlcjpr" {
		t.Errorf("got %s", auth.Render([]byte("k")))
	}
	if got := with.Placeholders(); !slices.Contains(got, "wiki-placeholder") || !slices.Contains(got, "tracker-placeholder") {
		t.Errorf("got %q", got)
	}
}

func TestWithRefuses(t *testing.T) {
	c := templatesT(t)
	change := func(old, replacement string) string {
		if !strings.Contains(ownWhole, old) {
			t.Fatalf("%q is not there to change", old)
		}
		return strings.Replace(ownWhole, old, replacement, 1)
	}
	from := "connector: mine\nfrom: tracker\nhosts: [{host: acme.tracker.example}]\n"
	for name, tc := range map[string]struct{ yaml, want string }{
		"no YAML":                    {"a: [", "yaml"},
		"the name of a built-in one": {change("connector: wiki", "connector: one"), "part of the program"},
		"the name of a template":     {change("connector: wiki", "connector: tracker"), "name of a template"},
		"its host":                   {change("host: wiki.acme.example, base: /api", "host: one.example"), "part of the program"},
		"a base within its host":     {change("host: wiki.acme.example", "host: one.example"), "part of the program"},
		"a template":                 {change("connector: wiki", "connector: wiki\ntemplate: true"), "hosts"},
		"from nothing":               {strings.Replace(from, "from: tracker", "from: nothing", 1), "no template"},
		"from a connector":           {strings.Replace(from, "from: tracker", "from: one", 1), "no template"},
		"from, with headers":         {from + "headers: [x-a]\n", "nothing else"},
		"from, with operations":      {from + "operations:\n- {id: x, methods: [GET], path: /x, action: Read}\n", "nothing else"},
		"from, without hosts":        {"connector: mine\nfrom: tracker\n", "hosts"},
		"from, a host of no use":     {strings.Replace(from, "{host:", "{id: other, host:", 1), "no operation is at"},
		"from, another's tools":      {from + "tools: [{name: x, action: Look}]\n", "tools[0].action"},
		"network of all":             {change("10.1.0.0/16", "0.0.0.0/0"), "private"},
		"metadata":                   {change("10.1.0.0/16", "169.254.169.254/32"), "private"},
		"loopback":                   {change("10.1.0.0/16", "127.0.0.0/8"), "private"},
		"a public network":           {change("10.1.0.0/16", "192.0.2.0/24"), "private"},
		"mapped":                     {change("10.1.0.0/16", `"::ffff:10.1.0.0/112"`), "private"},
		"an address":                 {change("10.1.0.0/16", "10.1.0.1/16"), "not a network"},
		"no network":                 {change("10.1.0.0/16", "ten"), "not a network"},
		"host twice":                 {change("[{host: wiki", "[{host: wiki.acme.example, base: /api}, {host: wiki"), "twice"},
		"an address for a host":      {change("host: wiki.acme.example", "host: 10.1.0.1"), "not a host name"},
		"an operation":               {change("path: /pages", "path: pages"), "slash"},
		"key beside its header":      {change("denial: Problem", "denial: Problem\nheaders: [x-key]"), "cannot be passed on"},
	} {
		t.Run(name, func(t *testing.T) {
			good := strings.Replace(strings.Replace(ownWhole, "connector: wiki", "connector: good", 1), "wiki.acme.example", "good.example", 1)
			with, wrong := c.With(map[string][]byte{"a": []byte(tc.yaml), "b": []byte(good)})
			if wrong["a"] == nil || !strings.Contains(wrong["a"].Error(), tc.want) {
				t.Errorf("got %v, want %q", wrong, tc.want)
			}
			if diff := cmp.Diff([]string{"good", "one"}, with.Names()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Two connectors that want the same are both left out: a grant for one of them must not become one for the other.
func TestWithBoth(t *testing.T) {
	c := templatesT(t)
	for name, second := range map[string]string{
		"name": strings.Replace(ownWhole, "wiki.acme.example", "wiki.evil.example", 1),
		"host": strings.Replace(ownWhole, "connector: wiki", "connector: vicky", 1),
		"base": strings.Replace(strings.Replace(ownWhole, "connector: wiki", "connector: vicky", 1), "base: /api", "base: /api/v2", 1),
	} {
		t.Run(name, func(t *testing.T) {
			with, wrong := c.With(map[string][]byte{"a": []byte(ownWhole), "b": []byte(second)})
			if diff := cmp.Diff([]string{"a", "b"}, slices.Sorted(maps.Keys(wrong))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"one"}, with.Names()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
