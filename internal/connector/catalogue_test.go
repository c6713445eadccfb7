package connector

import (
	"slices"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

func builtinT(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBuiltin(t *testing.T) {
	c := builtinT(t)
	for _, name := range []string{"anthropic", "openai", "slack"} {
		if !slices.Contains(c.Names(), name) {
			t.Errorf("there is no %s in %q", name, c.Names())
		}
	}
	for _, value := range []string{"sk-ant-claw-placeholder", "sk-claw-placeholder", "xoxb-claw-placeholder"} {
		if !slices.Contains(c.Placeholders(), value) {
			t.Errorf("there is no %s in %q", value, c.Placeholders())
		}
	}
	for _, name := range c.Names() {
		if err := c.Get(name).Check(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range c.TemplateNames() {
		if err := c.Template(name).Check(); err != nil || c.Known(name) || c.Get(name) != nil {
			t.Errorf("template %s: %v", name, err)
		}
	}
	if c.Known("unknown") || c.Get("unknown") != nil || len(c.At("SLACK.COM")) != 0 {
		t.Error("something is known that is not in the catalogue")
	}
	slack := c.Get("slack")
	if site, ok := c.Find("slack.com", "/api/api.test"); !ok || site.Connector != slack || !c.Known("slack") {
		t.Error("slack is not found by name and host")
	}
	name, slot := slack.Inject()
	if name != "botToken" || slot.Render([]byte("xoxb-1")) != "Bearer xoxb-1" || slack.Slots["signingSecret"].Env != "SLACK_SIGNING_SECRET" {
		t.Errorf("slots of slack: %+v", slack.Slots)
	}
}

// What a Claw cannot be denied by policy does not exist: nobody classifies a deletion as something less.
func TestClassesFollowNames(t *testing.T) {
	c := builtinT(t)
	for _, name := range c.Names() {
		ops, err := c.Get(name).List()
		if err != nil {
			t.Error(err)
		}
		for _, op := range ops {
			if op.Deny != "" {
				continue
			}
			strong := op.Action == v1alpha1.ActionDelete || op.Action == v1alpha1.ActionAdmin
			if strings.Contains(op.ID, "delete") && !strong {
				t.Errorf("%s %s is %s", name, op.ID, op.Action)
			}
			if strong && op.Authority != policy.AuthorityTool {
				t.Errorf("%s %s needs only %s", name, op.ID, op.Authority)
			}
		}
	}
}

const small = `
connector: one
hosts: [{host: one.example}]
denial: Problem
slots: {key: {use: Inject, header: X-Key, format: "{{value}}", env: ONE_KEY, placeholder: one-placeholder}}
resources: {thing: {shape: "[a-z]+"}}
operations:
- {id: get, methods: [GET], path: "/things/{thing}", action: Read, authority: tool, resources: [{type: thing, from: [path.thing]}]}
`

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(map[string][]byte{"one": []byte(small)}); err != nil {
		t.Fatal(err)
	}
	change := func(old, replacement string) string {
		if !strings.Contains(small, old) {
			t.Fatalf("%q is not there to change", old)
		}
		return strings.Replace(small, old, replacement, 1)
	}
	operation := "- {id: other, methods: [GET], path: %, action: Read, authority: tool}\n"
	for name, tc := range map[string]struct{ yaml, want string }{
		"unknown field":     {small + "surprise: 1\n", "surprise"},
		"repeated field":    {small + "denial: Slack\n", "already set"},
		"name":              {change("connector: one", "connector: One"), "not a name"},
		"no host":           {change("[{host: one.example}]", "[]"), "hosts"},
		"host with a port":  {change("[{host: one.example}]", `[{host: "one.example:443"}]`), "not a host name"},
		"host in capitals":  {change("[{host: one.example}]", "[{host: One.example}]"), "not a host name"},
		"address as host":   {change("[{host: one.example}]", "[{host: 192.0.2.1}]"), "not a host name"},
		"denial":            {change("denial: Problem", "denial: Silence"), "denial"},
		"no slot":           {change("use: Inject", "use: Verify"), "slots"},
		"slot without head": {change("header: X-Key, ", ""), "slots.key"},
		"slot use":          {change("use: Inject", "use: Guess"), "unknown"},
		"our header":        {small + "headers: [Cookie]\n", "cannot be passed on"},
		"shape":             {change(`"[a-z]+"`, `"["`), "regular expression"},
		"type without":      {change("type: thing", "type: widget"), "no shape"},
		"action":            {change("action: Read", "action: Look"), "action"},
		"authority":         {change("authority: tool", "authority: anybody"), "authority"},
		"method":            {change("[GET]", "[get]"), "methods"},
		"from":              {change("path.thing", "header.thing"), "not path.NAME"},
		"path parameter":    {change("path.thing", "path.other"), "no {other}"},
		"body":              {change("path.thing", "body.thing"), "no body"},
		"exception":         {change("from: [path.thing]", `from: [path.thing], except: "["`), "except"},
		"setting":           {change("[GET]", "[POST], bodies: [JSON], set: {a/b: true}"), "not a parameter"},
		"setting a GET":     {change("action: Read", "set: {a: true}, action: Read"), "nothing to set"},
		"forbidden and not": {change("action: Read", "params: [a], forbid: [a], action: Read"), "may be given"},
		"nested nowhere":    {change("action: Read", "nested: [{in: [a], key: b}], action: Read"), "nested"},
		"nested key":        {change("action: Read", "params: [a], nested: [{in: [a], key: b.c.d}], action: Read"), "nested"},
		"same id":           {small + strings.Replace(strings.Replace(operation, "%", "/x", 1), "other", "get", 1), "exists already"},
		"same path":         {small + strings.Replace(operation, "%", `"/things/{other}"`, 1), "is operation get already"},
		"dot path":          {small + strings.Replace(operation, "%", "/things/../x", 1), "dot segment"},
		"encoded path":      {small + strings.Replace(operation, "%", `"/things%2fx"`, 1), "clients encode it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(map[string][]byte{"one": []byte(tc.yaml)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
	for name, second := range map[string]string{
		"same name": change("one.example", "two.example"),
		"same host": change("connector: one", "connector: two"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(map[string][]byte{"a": []byte(small), "b": []byte(second)}); err == nil {
				t.Error("no error")
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("connector: [x]"))
	f.Add([]byte("operations: [{path: '{}', methods: [GET]}]"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := Load(map[string][]byte{"x": file})
		if err != nil {
			return
		}
		for _, name := range c.Names() {
			_, _ = c.Get(name).Match(Request{Method: "GET", Path: "/"})
		}
	})
}
