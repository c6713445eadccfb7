package connector

import (
	"errors"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// asked is a request as a client sends it, and what it must be understood as.
type asked struct {
	url       string // host, path and query
	request   Request
	operation string
	action    v1alpha1.Action
	resources string // type:name, with spaces between
	query     string // "-" where it is not looked at
	body      string // "" where it is not looked at
}

// trap is a request that must be refused.
type trap struct {
	url     string
	request Request
	reason  string // a part of it
}

func method(name string) Request { return Request{Method: name} }

func sendJSON(name, body string) Request {
	return Request{Method: name, ContentType: jsonType, Body: []byte(body)}
}

func sendForm(body string) Request {
	return Request{Method: "POST", ContentType: formType, Body: []byte(body)}
}

// understand finds the connector of a URL and has it match the request.
func understand(t *testing.T, c *Catalogue, url string, r Request) (*Call, error) {
	t.Helper()
	url, r.Query, _ = strings.Cut(url, "?")
	host, path, _ := strings.Cut(url, "/")
	r.Path = "/" + path
	site, ok := c.Find(host, r.Path)
	if !ok {
		t.Fatalf("nothing is at %s", url)
	}
	r.Host = site.Host
	return site.Connector.Match(r)
}

func named(call *Call) string {
	var names []string
	for _, r := range call.Resources {
		names = append(names, r.Type+":"+r.Name)
	}
	return strings.Join(names, " ")
}

func checkAsked(t *testing.T, c *Catalogue, requests map[string]asked) {
	for name, want := range requests {
		t.Run(name, func(t *testing.T) {
			call, err := understand(t, c, want.url, want.request)
			if err != nil {
				t.Fatal(err)
			}
			if call.Operation.ID != want.operation || call.Action != want.action || named(call) != want.resources {
				t.Errorf("got %s, %s, of %q; want %s, %s, of %q", call.Operation.ID, call.Action, named(call), want.operation, want.action, want.resources)
			}
			if want.body != "" && string(call.Body) != want.body {
				t.Errorf("body: got %s, want %s", call.Body, want.body)
			}
		})
	}
}

func checkTraps(t *testing.T, c *Catalogue, traps map[string]trap) {
	for name, tc := range traps {
		t.Run(name, func(t *testing.T) {
			call, err := understand(t, c, tc.url, tc.request)
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v (%s), want a refusal", err, named(call))
			}
			if !strings.Contains(refusal.Reason, tc.reason) {
				t.Errorf("got %q, want %q in it", refusal.Reason, tc.reason)
			}
		})
	}
}

// instance is the built-in catalogue with connectors of an organization's own.
func instance(t testing.TB, definitions ...string) *Catalogue {
	t.Helper()
	files := map[string][]byte{}
	for _, d := range definitions {
		files[strings.Fields(d)[1]] = []byte(d)
	}
	c, problems := builtinT(t).With(files)
	for name, err := range problems {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}
