package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

const (
	filtered = `
- {id: history.get, methods: [GET], path: /history, query: [channel], action: Read, authority: channel, resources: [{type: channel, from: [query.channel]}],
   response: {filters: [{at: "messages[]", author: {from: user}}]}}
- {id: me.get, methods: [GET], path: /me, action: Read, authority: connector}
- {id: things.list, methods: [GET], path: /things, action: Read, authority: connector,
   response: {filters: [{at: "things[]", resource: {type: thing, from: [id]}}]}}
- {id: models.list, methods: [GET], path: /models, action: Read, authority: connector,
   response: {filters: [{at: "data[]", resource: {type: model, from: [id]}}]}}
`
	withSelf = "self: {operation: me.get, ids: [user_id]}\noperations:\n"

	history = "https://slack.com/v1/history?channel=C1"
	spoken  = `{"messages":[{"user":"sarah","text":"hello"},{"user":"mallory","text":"obey"},{"user":"claw","text":"hi"}],"more":false}`
)

// selfish is a service that says whose key it is.
func selfish(t testing.TB) option {
	return serviceWith(t, strings.Replace(serviceHead, "operations:\n", withSelf, 1)+filtered, ownKey)
}

// talks has the provider answer each path with a document, and count how often it was asked.
func (w *world) talks(docs map[string]string) {
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		doc, ok := docs[r.URL.Path]
		if !ok {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Etag": `"abc"`, "Content-Md5": "x", "Digest": "x", "Content-Digest": "x", "Last-Modified": "x", "X-Kept": "x",
		} {
			rw.Header().Set(name, value)
		}
		_, _ = io.WriteString(rw, doc)
	})
}

func (w *world) get(target string) (int, http.Header, string) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(w.client(), r)
}

// Of a history the agent reads what it would have heard, and what it said itself.
func TestHistoryIsFiltered(t *testing.T) {
	w := newWorld(t, selfish(t))
	w.talks(map[string]string{"/v1/history": spoken, "/v1/me": `{"user_id":"claw"}`})
	const want = `{"messages":[{"user":"sarah","text":"hello"},{"user":"claw","text":"hi"}],"more":false}`
	for range 3 {
		status, header, body := w.get(history)
		if status != http.StatusOK || body != want || header.Get("Content-Length") != strconv.Itoa(len(want)) || header.Get("X-Kept") != "x" {
			t.Errorf("got %d %v %s", status, header, body)
		}
		for _, name := range []string{"Etag", "Content-Md5", "Digest", "Content-Digest", "Last-Modified"} {
			if header.Get(name) != "" {
				t.Errorf("%s tells of what was taken out", name)
			}
		}
	}
	o := w.wait("outcome", func(r audit.Record) bool { return isOutcome(r) && r.Operation == "history.get" })
	if o.Reason != "completed; 1 things that the grant does not cover were taken out" || o.BytesIn != int64(len(want)) {
		t.Errorf("outcome %+v", o)
	}
	// Whose key it is was asked once, and recorded like any call, before it was sent.
	var asks []string
	for _, r := range w.log.Records() {
		if r.Operation == "me.get" {
			asks = append(asks, fmt.Sprintf("%s %s %s %s %s", r.Phase, r.Direction, r.Kind, r.Decision, r.Credential))
		}
	}
	if diff := cmp.Diff([]string{"decision internal control allowed svc", "outcome internal control allowed svc"}, asks); diff != "" {
		t.Error(diff)
	}
	var paths []string
	for _, a := range w.requests() {
		paths = append(paths, a.URI+" "+a.Header.Get("Authorization"))
	}
	key := " Bearer " + ownKey
	if diff := cmp.Diff([]string{"/v1/me" + key, "/v1/history?channel=C1" + key, "/v1/history?channel=C1" + key, "/v1/history?channel=C1" + key}, paths); diff != "" {
		t.Error(diff)
	}
	// Another key is somebody else's.
	w.talks(map[string]string{"/v1/history": spoken, "/v1/me": `{"user_id":"mallory"}`})
	w.source.set(true, func(s *state.Snapshot) { s.Keys["svc"] = keyed("key", "another-key-entirely") })
	if _, _, body := w.get(history); strings.Contains(body, "claw") || !strings.Contains(body, "mallory") {
		t.Errorf("with another key: %s", body)
	}
}

// Where it cannot be told whose key it is, nothing is asked.
func TestSelfFailsClosed(t *testing.T) {
	for name, answer := range map[string]string{"no answer": "", "no JSON": "<html>", "no id": `{"ok":true}`, "too large": `{"user_id":"claw","x":"` + strings.Repeat("x", maxSelf) + `"}`} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, selfish(t))
			docs := map[string]string{"/v1/history": spoken}
			if answer != "" {
				docs["/v1/me"] = answer
			}
			w.talks(docs)
			status, _, body := w.get(history)
			if status != http.StatusBadGateway || !strings.Contains(body, "whose key it is") {
				t.Errorf("got %d %s", status, body)
			}
			if d := w.wait("denial", isDenied); d.Rule != "self" || d.Operation != "history.get" || len(w.requests()) != 1 {
				t.Errorf("record %+v", d)
			}
			// It is asked again, and told then.
			docs["/v1/me"] = `{"user_id":"claw"}`
			w.talks(docs)
			if status, _, body := w.get(history); status != http.StatusOK {
				t.Errorf("then: %d %s", status, body)
			}
		})
	}
}

// Lists show what the grant covers: for what any entry of the connector allows, too.
func TestListsAreFiltered(t *testing.T) {
	w := newWorld(t, service(t, filtered))
	w.talks(map[string]string{"/v1/things": `{"things":[{"id":"a1"},{"id":"b2"},{"id":"a3"}]}`, "/v1/models": `{"data":[{"id":"m1"},{"id":"x1"}]}`})
	if _, _, body := w.get("https://slack.com/v1/things"); body != `{"things":[{"id":"a1"},{"id":"a3"}]}` {
		t.Errorf("got %s", body)
	}
	if _, _, body := w.get("https://slack.com/v1/models"); body != `{"data":[{"id":"m1"}]}` {
		t.Errorf("got %s", body)
	}
	// By the grant of the moment in which the answer comes, not that of the question.
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		w.source.set(true, func(s *state.Snapshot) {
			tools := append([]v1alpha1.ToolRequest(nil), s.Grant.Tools...)
			tools[0].Resources = []v1alpha1.ResourceScope{{Type: "thing", Names: []v1alpha1.Pattern{"a3"}}}
			s.Grant.Tools = tools
		})
		_, _ = io.WriteString(rw, `{"things":[{"id":"a1"},{"id":"a3"}]}`)
	})
	if _, _, body := w.get("https://slack.com/v1/things"); body != `{"things":[{"id":"a3"}]}` {
		t.Errorf("under a narrower grant: %s", body)
	}
}

// What cannot be looked into is not passed on; errors of the service are.
func TestAnswersThatCannotBeFiltered(t *testing.T) {
	const secret = "mallory was here"
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		status int
		reason string
		shows  bool
	}{
		"no JSON": {func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, secret) }, 502, errNotUnderstood.Error(), false},
		"no such place": {func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, `{"things":"`+secret+`"}`)
		}, 502, errNotUnderstood.Error(), false},
		"a part": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(rw, secret)
		}, 502, "a part of an answer cannot be looked into", false},
		"too large": {func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, `{"things":[{"id":"`+secret+strings.Repeat("x", 6<<20)+`"}]}`)
		}, 502, errAnswerSize.Error(), false},
		"a bomb": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(rw, zipped(t, `{"things":[{"id":"`+secret+strings.Repeat("x", 64<<20)+`"}]}`))
		}, 502, errAnswerSize.Error(), false},
		"broken off": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(rw, `{"things":"`+secret)
		}, 502, "the provider could not be asked: unexpected EOF", false},
		"a redirect": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", "/v1/me")
			rw.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(rw, secret)
		}, 302, "completed", false},
		"an error": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(rw, secret)
		}, 400, "completed", true},
		"nothing": {func(rw http.ResponseWriter, _ *http.Request) {}, 200, "completed", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, filtered))
			w.answers(tc.answer)
			status, _, body := w.get("https://slack.com/v1/things")
			if status != tc.status || tc.shows != strings.Contains(body, secret) {
				t.Errorf("got %d %.200s", status, body)
			}
			if o := w.wait("outcome", isOutcome); o.Reason != tc.reason {
				t.Errorf("outcome %+v", o)
			}
			if !w.proxy.memory.TryAcquire(w.proxy.limits.MemoryBytes) {
				t.Error("the room for the answer is not given back")
			}
		})
	}
}

// A provider that drips an answer which must be whole is not waited for without end, and holds no memory.
func TestSlowAnswerThatIsFiltered(t *testing.T) {
	w := newWorld(t, service(t, filtered), func(c *Config, _ *state.Snapshot) { c.Limits.Answer = shortly })
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(rw, " ")
			rw.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	if status, _, body := w.get("https://slack.com/v1/things"); status != http.StatusBadGateway {
		t.Errorf("got %d %s", status, body)
	}
	if o := w.wait("outcome", isOutcome); o.Reason != "the provider was silent for too long" {
		t.Errorf("outcome %+v", o)
	}
}

// Answers that have to be whole take no more memory together than there is.
func TestMemoryOfAnswers(t *testing.T) {
	w := newWorld(t, service(t, filtered), func(c *Config, _ *state.Snapshot) { c.Limits.MemoryBytes, c.Limits.Body = 1<<20, shortly })
	w.talks(map[string]string{"/v1/things": `{"things":[` + strings.Repeat(`{"id":"b1"},`, 10000) + `{"id":"a1"}]}`})
	w.proxy.memory.TryAcquire(1 << 20)
	if status, _, body := w.get("https://slack.com/v1/things"); status != http.StatusBadGateway || !strings.Contains(body, errNoRoom.Error()) {
		t.Errorf("got %d %s", status, body)
	}
	w.proxy.memory.Release(1 << 20)
	if status, _, body := w.get("https://slack.com/v1/things"); status != http.StatusOK || body != `{"things":[{"id":"a1"}]}` {
		t.Errorf("got %d %s", status, body)
	}
}

const streams = `
- {id: feed.get, methods: [GET], path: /feed, action: Read, authority: connector, response: {filters: [{at: "things[]", resource: {type: thing, from: [id]}}]}}
- {id: ask, methods: [POST], path: /ask, bodies: [JSON], params: [stream, text], action: Write, authority: model, resources: [{type: model, from: [body.model]}],
   usage: {tokens: ["message.usage.input_tokens|usage.input_tokens", usage.output_tokens]}}
`

// Each event of a stream is filtered by itself, by the grant of its moment, and passed on at once.
func TestEventsAreFiltered(t *testing.T) {
	w := newWorld(t, service(t, streams))
	events := w.streams()
	resp, err := w.client().Get("https://slack.com/v1/feed")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	next := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	events <- "event: x\r\nid: 1\r\ndata: {\"things\":\r\ndata: [{\"id\":\"a1\"},{\"id\":\"b1\"}]}\r\n\r\n"
	next("event: x\nid: 1\ndata: {\"things\":\ndata: [{\"id\":\"a1\"}]}\n\n")
	events <- ": mallory says\n\n"
	next(":\n\n")
	w.source.set(true, func(s *state.Snapshot) { s.Grant.Tools = nil })
	events <- `data: {"things":[{"id":"a1"}]}` + "\n\n"
	next("data: {\"things\":[]}\n\n")
	events <- "id: 2\nretry: 5\n\n"
	next("id: 2\nretry: 5\n\n")
	events <- `data: {"others":[{"id":"a1"}]}` + "\n\n"
	if b, err := io.ReadAll(resp.Body); err == nil || len(b) > 0 {
		t.Errorf("after what is not understood: %q, %v", b, err)
	}
	if o := w.wait("outcome", isOutcome); o.Reason != errNotUnderstood.Error()+"; 2 things that the grant does not cover were taken out" {
		t.Errorf("outcome %+v", o)
	}
}

// An event that is too large to be looked into ends the stream.
func TestEventOfAStreamTooLarge(t *testing.T) {
	w := newWorld(t, service(t, streams), func(c *Config, _ *state.Snapshot) { c.Limits.AnswerBytes = 1000 })
	events := w.streams()
	resp, err := w.client().Get("https://slack.com/v1/feed")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events <- "data: " + strings.Repeat("x", 2000)
	if b, err := io.ReadAll(resp.Body); err == nil || len(b) > 0 {
		t.Errorf("got %q, %v", b, err)
	}
	if o := w.wait("outcome", isOutcome); o.Reason != errAnswerSize.Error() {
		t.Errorf("outcome %+v", o)
	}
}

// What a model took is counted from what its answer says, as a stream goes on; and by size where it says nothing, or was
// not heard to its end.
func TestTokensAreCounted(t *testing.T) {
	const ask = `{"model":"m1","text":"0123456789"}` // 34 bytes
	for name, tc := range map[string]struct {
		contentType string
		pieces      []string
		status      int
		hangUp      bool
		want        int64
	}{
		"an answer":          {"application/json", []string{`{"usage":{"input_tokens":11,"output_tokens":5},"x":[]}`}, 200, false, 16},
		"in pieces":          {"application/json; charset=utf-8", []string{`{"usage":{"input_to`, `kens":11,"output_tokens":5}}`}, 200, false, 16},
		"a stream":           {"text/event-stream", []string{"event: a\ndata: {\"message\":{\"usage\":{\"input_tokens\":11}}}\n\n", "data: {\"usage\":{\"output_tokens\":2}}\r\n\r\n", "data: {\"usage\":{\"output_tokens\":9}}\n\ndata: [DONE]\n\n"}, 200, false, 20},
		"a stream in bytes":  {"text/event-stream", strings.Split("data: {\"usage\":{\"input_tokens\":11,\"output_tokens\":5}}\n\n", ""), 200, false, 16},
		"it does not say":    {"application/json", []string{`{"text":"0123456789"}`}, 200, false, 34/4 + 21/4},
		"a silent stream":    {"text/event-stream", []string{"data: {}\n\n", "data: {}\n\n", "data: [DONE]\n\n"}, 200, false, 34/4 + 3},
		"no text":            {"audio/mpeg", []string{strings.Repeat("x", 1000)}, 200, false, 34 / 4},
		"an error":           {"application/json", []string{`{"usage":{"input_tokens":11}}`}, 429, false, 0},
		"hung up in between": {"text/event-stream", []string{"data: {\"message\":{\"usage\":{\"input_tokens\":2}}}\n\n", "data: 1\n\n", "data: 2\n\n"}, 200, true, 34/4 + 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, service(t, streams))
			w.answers(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", tc.contentType)
				rw.WriteHeader(tc.status)
				for _, p := range tc.pieces {
					_, _ = io.WriteString(rw, p)
					rw.(http.Flusher).Flush()
				}
				if tc.hangUp {
					<-r.Context().Done()
				}
			})
			resp, err := w.client().Post("https://slack.com/v1/ask", jsonType, strings.NewReader(ask))
			if err != nil {
				t.Fatal(err)
			}
			whole := strings.Join(tc.pieces, "")
			got := make([]byte, len(whole))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != whole {
				t.Errorf("got %q, %v", got, err)
			}
			if !tc.hangUp {
				_, _ = io.Copy(io.Discard, resp.Body)
			}
			_ = resp.Body.Close()
			o := w.wait("outcome", isOutcome)
			if o.Tokens != tc.want || o.Kind != audit.KindModel {
				t.Errorf("%d tokens, want %d: %+v", o.Tokens, tc.want, o)
			}
			key := audit.TokenKeyOf(&o)
			if _, ok := w.proxy.cfg.Meter.Tokens(key, tc.want+1, time.Now()); !ok {
				t.Error("the meter counted more")
			}
			if _, ok := w.proxy.cfg.Meter.Tokens(key, max(tc.want, 1), time.Now()); ok != (tc.want == 0) {
				t.Error("the meter counted less")
			}
		})
	}
}

// A stream is counted while it goes on: another call knows of it.
func TestTokensAreCountedAsTheyCome(t *testing.T) {
	w := newWorld(t, service(t, streams), func(_ *Config, s *state.Snapshot) { s.Grant.Limits.TokensPerDay = 10 })
	events := w.streams()
	body := `{"model":"m1"}`
	_, r := w.open(w.client(), "https://slack.com/v1/ask", jsonType, body)
	say := func(event string) {
		t.Helper()
		events <- event
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_, _ = r.ReadString('\n')
	}
	say("data: {\"usage\":{\"output_tokens\":10}}\n\n")
	deadline := time.Now().Add(5 * time.Second)
	for {
		if _, ok := w.proxy.cfg.Meter.Tokens("svc/m1", 10, time.Now()); !ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not counted while the stream goes on")
		}
		time.Sleep(time.Millisecond) // the agent has the event a moment before it is counted
	}
	if status, _, body := w.post(w.client(), "https://slack.com/v1/ask", jsonType, body); status != http.StatusTooManyRequests || !json.Valid([]byte(body)) {
		t.Errorf("another call: %d %s", status, body)
	}
	say("data: {\"usage\":{\"output_tokens\":12}}\n\n") // the call that reaches the limit goes on
	close(events)
	if o := w.wait("outcome", isOutcome); o.Tokens != 12 {
		t.Errorf("outcome %+v", o)
	}
}
