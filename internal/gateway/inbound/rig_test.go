package inbound

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/audit/audittest"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

// patience bounds what should happen soon.
const patience = 20 * time.Second

var (
	signing = secret.New([]byte("slack's secret"))
	resign  = secret.New([]byte("the agent's secret"))
)

// source is a state.Source that tests change.
type source struct {
	mu      sync.Mutex
	current *state.Snapshot
	done    chan struct{}
}

func (s *source) Current() *state.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// set puts a snapshot in force, and closes the Done of the one before.
func (s *source) set(next state.Snapshot) {
	s.mu.Lock()
	old := s.done
	s.done = make(chan struct{})
	next.Done = s.done
	s.current = &next
	s.mu.Unlock()
	if old != nil {
		close(old)
	}
}

// received is what the agent was sent.
type received struct {
	header http.Header
	body   []byte
}

// agent is the agent's side. answer says how to answer; 200 where nil.
type agent struct {
	*httptest.Server
	requests chan received
	answer   atomic.Pointer[func(w http.ResponseWriter, r *http.Request)]
}

// rig is a Handler between a provider and an agent.
type rig struct {
	t       *testing.T
	source  *source
	log     *audittest.Log
	clock   *testingclock.FakeClock
	handler *Handler
	server  *httptest.Server
	agent   *agent
	stop    func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, source: &source{}, log: &audittest.Log{}, clock: testingclock.NewFakeClock(time.Unix(1_800_000_000, 0))}
	// There is room for all that a full spool can hold: a test need not read it for the agent to end.
	r.agent = &agent{requests: make(chan received, 2*spoolMessages)}
	r.agent.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if req.Method != http.MethodPost || req.URL.Path != "/slack/events" {
			t.Errorf("the agent was sent %s %s", req.Method, req.URL)
		}
		r.agent.requests <- received{req.Header, body}
		if answer := r.agent.answer.Load(); answer != nil {
			(*answer)(w, req)
		}
	}))
	t.Cleanup(r.agent.Close)
	r.source.set(r.snapshot(nil))
	r.handler = New(Config{Source: r.source, Log: r.log, Clock: r.clock})
	r.server = httptest.NewServer(r.handler)
	t.Cleanup(r.server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.handler.Run(ctx) }()
	r.stop = func() { cancel(); <-ended }
	t.Cleanup(r.stop)
	return r
}

// snapshot is one that hears T1/U1 and T1/U2 in C1, changed as the test wants.
func (r *rig) snapshot(change func(*state.Snapshot)) state.Snapshot {
	port := r.agent.Listener.Addr().(*net.TCPAddr).Port
	s := state.Snapshot{
		Grant: &v1alpha1.ClawGrantSpec{
			State: v1alpha1.GrantActive, Hash: "hash", Visibility: v1alpha1.VisibilityTeam,
			AgentIPs: []string{"127.0.0.1"}, AgentPort: int32(port), AgentPath: "/slack/events",
			Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T1ACME/U1SARAH", "T1ACME/U2LEE"}}},
			Channels: []v1alpha1.ChannelRequest{{
				ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C1SUPPORT"}, Users: []v1alpha1.Pattern{"*"}}, Credential: "slack-key",
			}},
			Credentials: []v1alpha1.GrantCredential{{Name: "slack-key", Connector: "slack"}},
		},
		Keys:         map[string]map[string]secret.Value{"slack-key": {"signingSecret": signing}},
		ResignSecret: resign,
	}
	if change != nil {
		change(&s)
	}
	return s
}

// over is the snapshot of a revoked Claw.
func (r *rig) over() state.Snapshot {
	return state.Snapshot{Grant: &v1alpha1.ClawGrantSpec{State: v1alpha1.GrantRevoked}, Reason: "the Claw is revoked"}
}

// object is JSON to be changed.
type object = map[string]any

// event is a message a member wrote where the Claw listens. Changes to the event itself.
func event(id string, changes object) object {
	e := object{"type": "app_mention", "user": "U1SARAH", "text": "hello <@U0CLAW>", "ts": "1800000000.000100", "channel": "C1SUPPORT", "event_ts": "1800000000.000100", "team": "T1ACME"}
	maps.Copy(e, changes)
	return object{"token": "legacy-verification-token", "type": "event_callback", "team_id": "T1ACME", "api_app_id": "A1", "event_id": id, "event_time": 1800000000, "event": e}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// request is signed as Slack does it.
func (r *rig) request(body []byte) *http.Request {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.server.URL+SlackPath, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	timestamp := strconv.FormatInt(r.clock.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(slackTimestamp, timestamp)
	req.Header.Set(slackSignature, slackSign(signing, timestamp, body))
	return req
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(req *http.Request) answer {
	r.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Header.Del("Date")
	return answer{res.StatusCode, res.Header, string(body)}
}

// send posts a signed event and expects a status.
func (r *rig) send(event any, status int) answer {
	r.t.Helper()
	a := r.do(r.request(encode(r.t, event)))
	if a.status != status {
		r.t.Fatalf("got %d %q, want %d", a.status, a.body, status)
	}
	return a
}

// delivered waits for what the agent is sent next, while time goes on.
func (r *rig) delivered() received {
	r.t.Helper()
	var got received
	r.whileTimePasses("the agent is sent a message", func() bool {
		select {
		case got = <-r.agent.requests:
			return true
		default:
			return false
		}
	})
	return got
}

// whileTimePasses steps the clock until something is.
func (r *rig) whileTimePasses(what string, is func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-deadline:
			r.t.Fatalf("it did not happen that %s", what)
		case <-time.After(2 * time.Millisecond):
			r.clock.Step(100 * time.Millisecond)
		}
	}
}

// record waits for a record.
func (r *rig) record(what string, match func(audit.Record) bool) audit.Record {
	r.t.Helper()
	var found audit.Record
	r.whileTimePasses("there is a record of "+what, func() bool {
		for _, record := range r.log.Records() {
			if match(record) {
				found = record
				return true
			}
		}
		return false
	})
	return found
}

func (r *rig) outcome() audit.Record {
	r.t.Helper()
	return r.record("an outcome", func(r audit.Record) bool { return r.Phase == audit.PhaseOutcome })
}

// last is the newest record.
func (r *rig) last() audit.Record {
	r.t.Helper()
	records := r.log.Records()
	if len(records) == 0 {
		r.t.Fatal("nothing is recorded")
	}
	return records[len(records)-1]
}

// nothingDelivered checks that the agent has not been sent anything.
func (r *rig) nothingDelivered() {
	r.t.Helper()
	select {
	case got := <-r.agent.requests:
		r.t.Errorf("the agent was sent %s", got.body)
	default:
	}
}
