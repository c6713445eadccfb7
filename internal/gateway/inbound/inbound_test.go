package inbound

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

func TestDelivers(t *testing.T) {
	r := newRig(t)
	e := event("Ev1", object{
		"thread_ts":   "1799999999.000100",
		"blocks":      []any{object{"type": "rich_text", "elements": []any{}}},
		"attachments": []any{object{"text": "an outsider's words, forwarded", "author_id": "U9"}},
		"files":       []any{object{"id": "F1"}},
	})
	e["authorizations"] = []any{object{"team_id": "T1ACME", "user_id": "U0CLAW", "is_bot": true}, object{"team_id": "T9OTHER", "user_id": "U9"}}
	body := encode(t, e)
	if a := r.do(r.request(body)); a.status != 200 || a.body != "" {
		t.Errorf("answered %d %q", a.status, a.body)
	}
	got := r.delivered()
	if want := slackSign(resign, got.header.Get(slackTimestamp), got.body); got.header.Get(slackSignature) != want {
		t.Error("the agent cannot verify it with its own secret")
	}
	if strings.Contains(string(got.body), "token") || got.header.Get(slackRetry) != "" {
		t.Errorf("the agent was sent %s", got.body)
	}
	var have, want any
	if err := json.Unmarshal(got.body, &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"type":"event_callback","team_id":"T1ACME","api_app_id":"A1","event_id":"Ev1","event_time":1800000000,
		"authorizations":[{"enterprise_id":null,"team_id":"T1ACME","user_id":"U0CLAW","is_bot":true,"is_enterprise_install":false}],
		"event":{"type":"app_mention","user":"U1SARAH","text":"hello <@U0CLAW>","ts":"1800000000.000100","channel":"C1SUPPORT",
		"thread_ts":"1799999999.000100","event_ts":"1800000000.000100","team":"T1ACME","blocks":[{"type":"rich_text","elements":[]}]}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	outcome := r.outcome()
	decision := r.log.Records()[0]
	if decision.Decision != audit.Allowed || decision.Rule != "channels[0]" || decision.Actor != "T1ACME/U1SARAH" || decision.Operation != "app_mention" ||
		decision.Grant != "hash" || decision.Credential != "slack-key" || !slices.Equal(decision.Resources, []string{"channel:C1SUPPORT"}) ||
		decision.BodySHA256 != digest(body) || !strings.Contains(string(decision.Parameters), `"eventID":"Ev1"`) || !strings.Contains(string(decision.Parameters), "hello") {
		t.Errorf("decision: %+v", decision)
	}
	if outcome.Decision != audit.Allowed || outcome.Correlation != "1" || outcome.Upstream.Status != 200 || outcome.BodySHA256 != digest(got.body) {
		t.Errorf("outcome: %+v", outcome)
	}
}

func TestDrops(t *testing.T) {
	top := func(changes object) object {
		e := event("Ev1", nil)
		for k, v := range changes {
			e[k] = v
		}
		return e
	}
	tests := map[string]struct {
		event     object
		snapshot  func(*state.Snapshot)
		operation string // app_mention where empty
		rule      string
	}{
		"an outsider":                     {event: event("Ev1", object{"user": "U9EVE"}), rule: "default"},
		"a guest of another workspace":    {event: event("Ev1", object{"user_team": "T9EVIL"}), rule: "event"},
		"the source of another workspace": {event: event("Ev1", object{"source_team": "T9EVIL"}), rule: "event"},
		"the team of another workspace":   {event: event("Ev1", object{"team": "T9EVIL"}), rule: "event"},
		"the context of another":          {event: top(object{"context_team_id": "T9EVIL"}), rule: "event"},
		"a member's id of elsewhere":      {event: top(object{"team_id": "T9EVIL"}), rule: "event"},
		"another channel":                 {event: event("Ev1", object{"channel": "C9RANDOM"}), rule: "default"},
		"a private Claw, not its owner":   {event: event("Ev1", object{"user": "U2LEE"}), snapshot: func(s *state.Snapshot) { s.Grant.Audience[0].Principals = []string{"T1ACME/U1SARAH"} }, rule: "default"},
		"a member who is not listed":      {event: event("Ev1", nil), snapshot: func(s *state.Snapshot) { s.Grant.Channels[0].Users = []v1alpha1.Pattern{"T1ACME/U2LEE"} }, rule: "default"},
		"nobody listed":                   {event: event("Ev1", nil), snapshot: func(s *state.Snapshot) { s.Grant.Channels[0].Users = nil }, rule: "default"},
		"a bot":                           {event: event("Ev1", object{"bot_id": "B1"}), rule: "event"},
		"a bot with a profile":            {event: event("Ev1", object{"bot_profile": object{"id": "B1"}}), rule: "event"},
		"an app in a member's name":       {event: event("Ev1", object{"app_id": "A9"}), rule: "event"},
		"an edited mention":               {event: event("Ev1", object{"edited": object{"user": "U9EVE", "ts": "1"}}), rule: "event"},
		"a hidden message":                {event: event("Ev1", object{"hidden": true}), rule: "event"},
		"nobody":                          {event: event("Ev1", object{"user": nil}), rule: "event"},
		"a user id that is none":          {event: event("Ev1", object{"user": "U1SARAH/../U9"}), rule: "event"},
		"no channel":                      {event: event("Ev1", object{"channel": ""}), rule: "event"},
		"a changed message":               {event: event("Ev1", object{"type": "message", "subtype": "message_changed"}), operation: "message.message_changed", rule: "event"},
		"a deleted message":               {event: event("Ev1", object{"type": "message", "subtype": "message_deleted"}), operation: "message.message_deleted", rule: "event"},
		"a bot's message":                 {event: event("Ev1", object{"type": "message", "subtype": "bot_message"}), operation: "message.bot_message", rule: "event"},
		"a file":                          {event: event("Ev1", object{"type": "message", "subtype": "file_share"}), operation: "message.file_share", rule: "event"},
		"a subtype of tomorrow":           {event: event("Ev1", object{"type": "message", "subtype": "telepathy"}), operation: "message.telepathy", rule: "event"},
		"a reaction":                      {event: event("Ev1", object{"type": "reaction_added", "item": object{"channel": "C1SUPPORT"}}), operation: "reaction_added", rule: "event"},
		"an event of tomorrow":            {event: event("Ev1", object{"type": "brand_new"}), operation: "brand_new", rule: "event"},
		"a request of tomorrow":           {event: object{"type": "app_rate_limited", "team_id": "T1ACME"}, operation: "app_rate_limited", rule: "event"},
	}
	allowed := newRig(t).send(event("Ev1", nil), 200)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if tt.snapshot != nil {
				r.source.set(r.snapshot(tt.snapshot))
			}
			a := r.send(tt.event, 200)
			if diff := cmp.Diff(allowed, a, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("a dropped message is answered otherwise than an allowed one: %s", diff)
			}
			got := r.last()
			if got.Decision != audit.Dropped || got.Rule != tt.rule || got.Reason == "" || got.Operation != orElse(tt.operation, "app_mention") {
				t.Errorf("recorded %+v", got)
			}
			if strings.Contains(string(encode(t, got)), "hello") {
				t.Error("the words of somebody who is not heard are recorded")
			}
			r.stop()
			r.nothingDelivered()
		})
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// TestAnotherAppsChannel: an app is heard only through the entries of its own credential.
func TestAnotherAppsChannel(t *testing.T) {
	r := newRig(t)
	r.source.set(r.snapshot(func(s *state.Snapshot) {
		s.Grant.Channels = append([]v1alpha1.ChannelRequest{{
			ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C2"}, Users: []v1alpha1.Pattern{"*"}}, Credential: "other-key",
		}}, s.Grant.Channels...)
		s.Keys["other-key"] = map[string]secret.Value{"signingSecret": secret.New([]byte("other"))}
	}))
	r.send(event("Ev1", object{"channel": "C2"}), 200)
	if got := r.last(); got.Decision != audit.Dropped {
		t.Errorf("recorded %+v", got)
	}
	r.send(event("Ev2", nil), 200)
	if got := r.record("the other", func(r audit.Record) bool { return r.Decision == audit.Allowed }); got.Rule != "channels[1]" {
		t.Errorf("recorded %+v", got)
	}
}

func TestRefuses(t *testing.T) {
	good := encode(t, event("Ev1", nil))
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
	}
	at := func(seconds string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set(slackTimestamp, seconds)
			r.Header.Set(slackSignature, slackSign(signing, seconds, good))
		}
	}
	const now = 1_800_000_000
	tests := map[string]struct {
		body   []byte // good where nil; signed
		change func(*http.Request)
		status int
		reason string
	}{
		"no signature":            {change: header(slackSignature), status: 401, reason: "not signed"},
		"no timestamp":            {change: header(slackTimestamp), status: 401, reason: "not signed"},
		"two signatures":          {change: header(slackSignature, "v0=00", "v0=00"), status: 401, reason: "signed twice"},
		"two timestamps":          {change: header(slackTimestamp, "1800000000", "1800000000"), status: 401, reason: "signed twice"},
		"a wrong signature":       {change: header(slackSignature, "v0="+strings.Repeat("0", 64)), status: 401, reason: "has made this signature"},
		"another version":         {change: func(r *http.Request) { r.Header.Set(slackSignature, "v1="+r.Header.Get(slackSignature)[3:]) }, status: 401, reason: "has made this signature"},
		"another's secret":        {change: header(slackSignature, slackSign(secret.New([]byte("guess")), "1800000000", good)), status: 401, reason: "has made this signature"},
		"the agent's own secret":  {change: header(slackSignature, slackSign(resign, "1800000000", good)), status: 401, reason: "has made this signature"},
		"an empty secret":         {change: header(slackSignature, slackSign(secret.Value{}, "1800000000", good)), status: 401, reason: "has made this signature"},
		"a stale timestamp":       {change: at(strconv.Itoa(now - 301)), status: 401, reason: "older than five minutes"},
		"a timestamp to come":     {change: at(strconv.Itoa(now + 301)), status: 401, reason: "from the future"},
		"a timestamp changed":     {change: header(slackTimestamp, strconv.Itoa(now-1)), status: 401, reason: "has made this signature"},
		"a timestamp with a sign": {change: at("+1800000000"), status: 401, reason: "not a number"},
		"a timestamp with zeros":  {change: at("01800000000"), status: 401, reason: "not a number"},
		"a timestamp of words":    {change: at("now"), status: 401, reason: "not a number"},
		"a timestamp beyond":      {change: at("99999999999999999999"), status: 401, reason: "not a number"},
		"a body altered": {change: func(r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(good, []byte("U1SARAH"), []byte("U2LEE00"), 1)))
		}, status: 401, reason: "has made this signature"},
		"an oversized body":        {body: make([]byte, maxBody+1), status: 413, reason: "larger than 1 MiB"},
		"an oversized chunked one": {body: make([]byte, maxBody+1), change: func(r *http.Request) { r.ContentLength = -1 }, status: 413, reason: "larger than 1 MiB"},
		"a key twice":              {body: bytes.Replace(good, []byte(`"user":"U1SARAH"`), []byte(`"user":"U9EVE","user":"U1SARAH"`), 1), status: 400, reason: "twice"},
		"a key twice at the top":   {body: bytes.Replace(good, []byte(`"team_id"`), []byte(`"team_id":"T9","team_id"`), 1), status: 400, reason: "twice"},
		"no JSON":                  {body: []byte("hello"), status: 400},
		"half of the JSON":         {body: good[:len(good)/2], status: 400},
		"something after it":       {body: append(bytes.Clone(good), "{}"...), status: 400},
		"a list":                   {body: []byte("[]"), status: 400},
		"no text":                  {body: bytes.Replace(good, []byte("hello"), []byte("\xff\xfe"), 1), status: 400},
		"no type":                  {body: []byte(`{}`), status: 400, reason: "no type"},
		"a type that is none":      {body: []byte(`{"type":1}`), status: 400},
		"no event":                 {body: []byte(`{"type":"event_callback","team_id":"T1ACME","event_id":"Ev1"}`), status: 400},
		"an event without id":      {body: bytes.Replace(good, []byte(`"Ev1"`), []byte(`""`), 1), status: 400},
		"keys in another case":     {body: bytes.Replace(good, []byte(`"team_id"`), []byte(`"Team_ID"`), 1), status: 400},
		"a user that is a list":    {body: bytes.Replace(good, []byte(`"U1SARAH"`), []byte(`["U1SARAH"]`), 1), status: 400},
		"compressed":               {body: compressed(good), change: header("Content-Encoding", "gzip"), status: 415, reason: "Content-Encoding"},
		"a form":                   {change: header("Content-Type", "application/x-www-form-urlencoded"), status: 415, reason: "application/json"},
		"no content type":          {change: header("Content-Type"), status: 415, reason: "application/json"},
		"GET":                      {change: func(r *http.Request) { r.Method = http.MethodGet }, status: 405, reason: "POST"},
		"another path":             {change: func(r *http.Request) { r.URL.Path = "/hooks/github" }, status: 404, reason: "/hooks/slack"},
		"a path that leads there":  {change: func(r *http.Request) { r.URL.Path = "/hooks/x/../slack" }, status: 404},
		"a query":                  {change: func(r *http.Request) { r.URL.RawQuery = "a=b" }, status: 404},
		"an unsigned challenge":    {body: []byte(`{"type":"url_verification","challenge":"abc"}`), change: header(slackSignature, "v0=0"), status: 401},
		"a challenge that is HTML": {body: []byte(`{"type":"url_verification","challenge":"<script>"}`), status: 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			body := tt.body
			if body == nil {
				body = good
			}
			req := r.request(body)
			if tt.change != nil {
				tt.change(req)
			}
			if a := r.do(req); a.status != tt.status || a.body == "" {
				t.Errorf("answered %d %q", a.status, a.body)
			}
			got := r.last()
			if got.Decision != audit.Dropped || got.Rule != "request" || got.Reason == "" || !strings.Contains(got.Reason, tt.reason) || len(got.Parameters) == 0 {
				t.Errorf("recorded %+v", got)
			}
			r.stop()
			r.nothingDelivered()
		})
	}
}

// TestSignaturesAreAnsweredAlike: whoever guesses learns nothing from how they are refused.
func TestSignaturesAreAnsweredAlike(t *testing.T) {
	r := newRig(t)
	var answers []answer
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Del(slackSignature) },
		func(r *http.Request) { r.Header.Set(slackSignature, "v0=0") },
		func(r *http.Request) { r.Header.Set(slackTimestamp, "1") },
	} {
		req := r.request(encode(t, event("Ev1", nil)))
		change(req)
		answers = append(answers, r.do(req))
	}
	r.source.set(r.snapshot(func(s *state.Snapshot) { s.Keys = nil })) // the credential is revoked
	answers = append(answers, r.do(r.request(encode(t, event("Ev1", nil)))))
	for _, a := range answers[1:] {
		if diff := cmp.Diff(answers[0], a, cmp.AllowUnexported(answer{})); diff != "" {
			t.Error(diff)
		}
	}
}

func compressed(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}

func TestATruncatedBodyIsRefused(t *testing.T) {
	r := newRig(t)
	body := encode(t, event("Ev1", nil))
	req := r.request(body)
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\n%s: %s\r\n\r\n%s",
		SlackPath, len(body), slackTimestamp, req.Header.Get(slackTimestamp), slackSignature, req.Header.Get(slackSignature), body[:len(body)-1])
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got := r.record("the refusal", func(r audit.Record) bool { return r.Rule == "request" })
	if got.Reason != "the body is not complete" {
		t.Errorf("recorded %+v", got)
	}
	r.stop()
	r.nothingDelivered()
}

func TestAChunkedBodyIsTaken(t *testing.T) {
	r := newRig(t)
	req := r.request(encode(t, event("Ev1", nil)))
	req.ContentLength = -1
	if a := r.do(req); a.status != 200 {
		t.Fatalf("answered %d %q", a.status, a.body)
	}
	r.delivered()
}

func TestAnswersAChallengeThatIsSigned(t *testing.T) {
	r := newRig(t)
	a := r.send(object{"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", "token": "x"}, 200)
	if a.body != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("answered %q", a.body)
	}
	if got := r.last(); got.Operation != "url_verification" || got.Decision != audit.Allowed {
		t.Errorf("recorded %+v", got)
	} else if counted, _, _ := audit.Counts(&got); counted {
		t.Error("it counts as a message")
	}
	r.log.Fail(errors.New("no ledger"))
	r.send(object{"type": "url_verification", "challenge": "abc"}, 503)
}

func TestARepeatedEventIsDeliveredOnce(t *testing.T) {
	r := newRig(t)
	body := encode(t, event("Ev1", nil))
	first := r.request(body)
	replay := first.Clone(t.Context())
	replay.Body = io.NopCloser(bytes.NewReader(body))
	a := r.do(first)
	r.delivered()
	r.outcome()
	if b := r.do(replay); !cmp.Equal(a, b, cmp.AllowUnexported(answer{})) {
		t.Errorf("a replay is answered %+v", b)
	}
	if got := r.last(); got.Rule != "duplicate" || got.Decision != audit.Dropped {
		t.Errorf("recorded %+v", got)
	}
	r.clock.Step(time.Minute)
	retry := r.request(body) // Slack's own has a new signature
	retry.Header.Set(slackRetry, "1")
	if b := r.do(retry); !cmp.Equal(a, b, cmp.AllowUnexported(answer{})) {
		t.Errorf("a retry is answered %+v", b)
	}
	if got := r.last(); got.Rule != "duplicate" || !strings.Contains(string(got.Parameters), `"retry":"1"`) {
		t.Errorf("recorded %+v", got)
	}
	r.clock.Step(5 * time.Minute)
	replay.Body = io.NopCloser(bytes.NewReader(body))
	if b := r.do(replay); b.status != 401 {
		t.Errorf("an old replay is answered %+v", b)
	}
	r.stop()
	r.nothingDelivered()
}

func TestNoRecordNoDelivery(t *testing.T) {
	r := newRig(t)
	r.log.Fail(errors.New("no ledger"))
	r.send(event("Ev1", nil), 503)
	r.send(event("Ev2", object{"user": "U9EVE"}), 503) // not told from the one before
	r.log.Fail(nil)
	r.nothingDelivered()
	r.send(event("Ev1", nil), 200) // what was not received may come again
	if got := r.delivered(); !strings.Contains(string(got.body), "Ev1") {
		t.Errorf("the agent was sent %s", got.body)
	}
	r.send(event("Ev1", nil), 200)
	if got := r.record("the repetition", func(r audit.Record) bool { return r.Rule == "duplicate" }); got.Decision != audit.Dropped {
		t.Errorf("recorded %+v", got)
	}
}

func TestNoAcknowledgementBeforeTheRecord(t *testing.T) {
	r := newRig(t)
	release := r.log.Hold()
	answered := make(chan answer, 8)
	var asking sync.WaitGroup
	for range 8 { // the same event, at the same time
		req := r.request(encode(t, event("Ev1", nil)))
		asking.Go(func() {
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
			answered <- answer{status: res.StatusCode}
		})
	}
	r.whileTimePasses("they are being received", func() bool { return len(r.handler.slots) == 8 })
	select {
	case a := <-answered:
		t.Errorf("answered %d before it was recorded", a.status)
	default:
	}
	r.nothingDelivered()
	release()
	asking.Wait()
	close(answered)
	for a := range answered {
		if a.status != 200 {
			t.Errorf("answered %d", a.status)
		}
	}
	r.delivered()
	r.outcome()
	r.stop()
	r.nothingDelivered()
}

func TestStrangersCannotFillTheRecord(t *testing.T) {
	r := newRig(t)
	r.clock.SetTime(r.clock.Now().Truncate(time.Minute))
	bad := func() {
		req := r.request([]byte("{}"))
		req.Header.Set(slackSignature, "v0=0")
		if a := r.do(req); a.status != 401 {
			t.Fatalf("answered %d", a.status)
		}
	}
	for range refusalsPerMinute + 40 {
		bad()
	}
	if got := len(r.log.Records()); got != refusalsPerMinute {
		t.Errorf("%d records", got)
	}
	r.clock.Step(time.Minute)
	bad()
	if got := r.last(); !strings.Contains(string(got.Parameters), `"unrecorded":40`) {
		t.Errorf("recorded %s", got.Parameters)
	}
}

func TestHearsNothingWhileClosed(t *testing.T) {
	r := newRig(t)
	for _, closed := range []state.Snapshot{{Reason: "the lease has ended"}, r.over()} {
		r.source.set(closed)
		r.send(event("Ev1", nil), 503)
		if got := r.last(); got.Decision != audit.Dropped || got.Reason != closed.Reason {
			t.Errorf("recorded %+v", got)
		}
	}
	r.source.set(r.snapshot(nil))
	r.send(event("Ev1", nil), 200)
	r.delivered()
}

// FuzzParseSlack looks for what reaches an agent although it should not, and for panics.
func FuzzParseSlack(f *testing.F) {
	f.Add(encode(f, event("Ev1", nil)))
	f.Add(encode(f, event("Ev1", object{"subtype": "message_changed", "message": object{"user": "U1"}})))
	f.Add([]byte(`{"type":"url_verification","challenge":"abc"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := parseSlack(body)
		if err != nil {
			return
		}
		if (e.toAgent != nil) == (e.drop != "" || e.challenge != "") {
			t.Fatalf("neither dropped nor passed on, or both: %+v", e)
		}
		if e.toAgent == nil {
			return
		}
		again, err := parseSlack(e.toAgent)
		if err != nil || again.drop != "" || again.actor != e.actor || again.channel != e.channel || again.text != e.text || !bytes.Equal(again.toAgent, e.toAgent) {
			t.Fatalf("the agent reads something else than was judged: %+v and %+v, %v", e, again, err)
		}
	})
}
