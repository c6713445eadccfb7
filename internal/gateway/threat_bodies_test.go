package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

const bodies = `
- {id: files.put, methods: [POST], path: /files, bodies: [Multipart], params: [note, file], action: Write, resources: [{type: thing, from: [body.thing]}]}
- {id: graph, methods: [POST], path: /graphql, bodies: [GraphQL], queries: ["thing(id!).name"], action: Read, resources: [{type: thing, from: [argument.thing.id]}]}
`

// What a multipart body is about is in one part, said once, and nothing of the body is read in two ways.
func TestThreatMultipart(t *testing.T) {
	part := func(disposition, value string) string {
		return "--B\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + value + "\r\n"
	}
	const end, good = "--B--\r\n", "multipart/form-data; boundary=B"
	thing, file := part(`name="thing"`, "a1"), part(`name="file"; filename="x.txt"`, "bytes")
	for name, tc := range map[string]struct {
		contentType, body string
		allowed           bool
	}{
		"as it should be":            {good, thing + part(`name="note"`, "hello") + file + end, true},
		"of another thing":           {good, part(`name="thing"`, "b1") + end, false},
		"of two things":              {good, thing + part(`name="thing"`, "b1") + end, false},
		"of none":                    {good, part(`name="note"`, "hello") + end, false},
		"a name twice":               {good, part(`name="thing"; name="note"`, "a1") + end, false},
		"a name in two ways":         {good, part(`name="note"; name*=utf-8''thing`, "b1") + thing + end, false},
		"a parameter nobody knows":   {good, thing + part(`name="acl"`, "public") + end, false},
		"two boundaries":             {"multipart/form-data; boundary=B; boundary=C", thing + end, false},
		"no boundary":                {"multipart/form-data", thing + end, false},
		"no end":                     {good, thing, false},
		"something after the end":    {good, thing + end + part(`name="thing"`, "b1") + end, false},
		"something before the start": {good, "evil" + "\r\n" + thing + end, false},
		"bare line feeds":            {good, strings.ReplaceAll(thing+end, "\r\n", "\n"), true}, // and written anew
		"a part in base64":           {good, "--B\r\nContent-Disposition: form-data; name=\"thing\"\r\nContent-Transfer-Encoding: base64\r\n\r\nYTE=\r\n" + end, false},
		"a multipart within":         {good, thing + "--B\r\nContent-Disposition: form-data; name=\"note\"\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C--\r\n" + end, false},
		"a key in a file":            {good, thing + part(`name="file"; filename="x"`, ownKey) + end, false},
		"a placeholder in a name":    {good, thing + part(`name="file"; filename="svc-claw-placeholder"`, "x") + end, false},
		"very many parts":            {good, thing + strings.Repeat(part(`name="note"`, "x"), 5000) + end, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, bodies))
			status, _, body := w.post(w.client(), "https://slack.com/v1/files", tc.contentType, tc.body)
			if sent := len(w.requests()); (status == http.StatusOK) != tc.allowed || (sent == 1) != tc.allowed {
				t.Errorf("got %d %s, sent %d", status, body, sent)
			}
			for _, r := range w.requests() {
				if sent := strings.ReplaceAll(r.Body, "\r\n", ""); strings.Contains(sent, "\n") || strings.Contains(r.Header.Get("Content-Type"), "boundary=B") {
					t.Errorf("sent as it came: %q", r.Body)
				}
			}
		})
	}
}

// A GraphQL document is one of what was declared, about what the grant covers, however it is written.
func TestThreatGraphQL(t *testing.T) {
	for name, tc := range map[string]struct {
		body    string
		allowed bool
	}{
		"as declared":         {`{"query":"{ thing(id: \"a1\") { name } }"}`, true},
		"by a variable":       {`{"query":"query Q($i: ID!) { thing(id: $i) { name } }","variables":{"i":"a1"}}`, true},
		"another thing":       {`{"query":"{ thing(id: \"b1\") { name } }"}`, false},
		"a variable unused":   {`{"query":"query Q($i: ID!) { thing(id: \"b1\") { name } }","variables":{"i":"a1"}}`, false},
		"two at once":         {`{"query":"{ thing(id: \"a1\") { name } other: thing(id: \"b1\") { name } }"}`, false},
		"an undeclared field": {`{"query":"{ thing(id: \"a1\") { name secret } }"}`, false},
		"in a fragment":       {`{"query":"{ thing(id: \"a1\") { ...F } } fragment F on Thing { secret }"}`, false},
		"a mutation":          {`{"query":"mutation { thing(id: \"a1\") { name } }"}`, false},
		"a subscription":      {`{"query":"subscription { thing(id: \"a1\") { name } }"}`, false},
		"introspection":       {`{"query":"{ __schema { types { name } } }"}`, false},
		"two operations":      {`{"query":"query A { thing(id: \"a1\") { name } } query B { thing(id: \"b1\") { name } }","operationName":"B"}`, false},
		"a batch":             {`[{"query":"{ thing(id: \"a1\") { name } }"}]`, false},
		"a stored query":      {`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`, false},
		"a query twice":       {`{"query":"{ thing(id: \"a1\") { name } }","query":"{ thing(id: \"b1\") { name } }"}`, false},
		"very deep":           {`{"query":"` + strings.Repeat("{ thing ", 10000) + `"}`, false},
		"no document":         {`{"query":"{ thing(id: "}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, bodies))
			w.answers(nil)
			status, _, body := w.post(w.client(), "https://slack.com/v1/graphql", jsonType, tc.body)
			if sent := len(w.requests()); (status == http.StatusOK) != tc.allowed || (sent == 1) != tc.allowed {
				t.Errorf("got %d %s, sent %d", status, body, sent)
			}
		})
	}
}

// A body that is too large, or becomes so when it is decoded, is refused without being kept.
func TestThreatHugeBodies(t *testing.T) {
	w := newWorld(t, service(t, things))
	bomb := zipped(t, `{"thing":"a1","note":"`+strings.Repeat("x", 64<<20)+`"}`)
	for name, change := range map[string]func(*http.Request){
		"huge":              func(r *http.Request) { r.ContentLength = 1 << 40 },
		"a bomb":            func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		"zipped twice":      func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip, gzip") },
		"another encoding":  func(r *http.Request) { r.Header.Set("Content-Encoding", "br") },
		"a bomb in a lie":   func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") },
		"a bomb in a chunk": func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip"); r.ContentLength = -1 },
	} {
		r, _ := http.NewRequest(http.MethodPost, "https://slack.com/v1/things", strings.NewReader(bomb))
		r.Header.Set("Content-Type", jsonType)
		change(r)
		resp, err := w.client().Do(r)
		if err != nil { // a length that is not sent
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode < 400 || len(w.requests()) != 0 {
			t.Errorf("%s: got %d", name, resp.StatusCode)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // what is refused is read for a moment still
	defer cancel()
	if err := w.proxy.memory.Acquire(ctx, w.proxy.limits.MemoryBytes); err != nil {
		t.Error("memory of bodies is not given back")
	}
}
