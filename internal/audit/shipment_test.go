package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

var shipped = ClawRef{Namespace: "acme", Name: "triage", UID: "11111111-2222-3333-4444-555555555555"}

// shipmentOf seals records.
func shipmentOf(t *testing.T, records ...Record) *shipment {
	t.Helper()
	s := &shipment{chain: NewChain(Head{})}
	for _, r := range records {
		r.Claw = shipped
		s.seal(&pending{ctx: t.Context(), record: r, done: make(chan result, 1)}, time.Date(2026, 3, 29, 12, 0, 0, 5, time.UTC))
	}
	return s
}

// TestOTLP: what is written by hand is, byte for byte, what OTLP's own types are written as.
func TestOTLP(t *testing.T) {
	text := func(s string) *commonv1.AnyValue {
		return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: s}}
	}
	for _, length := range []int{0, 1, 100, 127, 128, 16_000, 300_000} {
		s := shipmentOf(t, Record{Reason: strings.Repeat("x", length)}, Record{}, Record{Reason: strings.Repeat("y", length)})
		var records []*logsv1.LogRecord
		for i := range s.batch {
			nanos := uint64(s.batch[i].record.Time.UnixNano())
			records = append(records, &logsv1.LogRecord{
				TimeUnixNano: nanos, ObservedTimeUnixNano: nanos, SeverityNumber: logsv1.SeverityNumber_SEVERITY_NUMBER_INFO,
				EventName: "clawstaff.record", Body: text(string(s.line(i))),
			})
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&logsv1.LogsData{ResourceLogs: []*logsv1.ResourceLogs{{
			Resource: &resourcev1.Resource{Attributes: []*commonv1.KeyValue{
				{Key: "service.name", Value: text("clawstaff-gateway")}, {Key: "k8s.namespace.name", Value: text("acme")},
				{Key: "clawstaff.claw.name", Value: text("triage")}, {Key: "clawstaff.claw.uid", Value: text(shipped.UID)},
			}},
			ScopeLogs: []*logsv1.ScopeLogs{{LogRecords: records}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := appendOTLP(nil, resourceOf(shipped), s); !bytes.Equal(got, want) {
			t.Errorf("records of %d bytes: written %d bytes, want %d", length, len(got), len(want))
		}
	}
}

// TestMirror: what is on standard output is JSON, and nothing in it is anybody's words.
func TestMirror(t *testing.T) {
	secretive := Record{
		Phase: PhaseOutcome, Direction: Outbound, Kind: KindTool, Connector: "slack", Operation: "chat.\"post\"\nMessage", Action: "Write", Decision: Allowed,
		Rule: "tools[0]", Credential: "key", LatencyMS: 12, Upstream: &Upstream{Host: "private", Address: "private", Status: 200},
		Actor: "private", Resources: []string{"private"}, Parameters: json.RawMessage(`{"private":1}`), Reason: "private", Correlation: "private", BodySHA256: "private", Grant: "private",
	}
	s := shipmentOf(t, secretive, Record{})
	out := s.appendMirror(nil)
	if bytes.Contains(out, []byte("private")) {
		t.Errorf("it tells too much: %s", out)
	}
	lines := bytes.Split(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
	for i, want := range []map[string]any{
		{"time": "2026-03-29T12:00:00.000000005Z", "record": 1.0, "hash": s.batch[0].record.Hash, "phase": "outcome", "direction": "outbound", "kind": "tool", "connector": "slack",
			"operation": "chat.\"post\"\nMessage", "action": "Write", "decision": "allowed", "rule": "tools[0]", "credential": "key", "status": 200.0, "latencyMs": 12.0},
		{"time": "2026-03-29T12:00:00.000000005Z", "record": 2.0, "hash": s.batch[1].record.Hash, "phase": "", "direction": "", "kind": "", "decision": ""},
	} {
		var got map[string]any
		if err := json.Unmarshal(lines[i], &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestMemoryIsUsedAgain: unless it may still be read, or is more than an idle gateway should have.
func TestMemoryIsUsedAgain(t *testing.T) {
	for _, tt := range []struct {
		size     int
		answered bool
		again    bool
	}{{1000, true, true}, {1000, false, false}, {maxKept, true, false}} {
		s := shipmentOf(t, Record{Reason: strings.Repeat("x", tt.size)})
		s.body, s.mirror = appendOTLP(nil, nil, s), s.appendMirror(nil)
		before := &s.lines[0]
		s.reset(tt.answered)
		if len(s.batch)+len(s.lines)+len(s.body)+len(s.mirror) > 0 {
			t.Fatal("something of the last one is left")
		}
		if again := cap(s.lines) > 0 && &s.lines[:1][0] == before; again != tt.again || (cap(s.body) > 0) != tt.again {
			t.Errorf("%+v: used again: %v", tt, again)
		}
	}
}

// TestWhoWaitsNoLonger is left out of a shipment, and so is what cannot be written; neither leaves a trace.
func TestWhoWaitsNoLonger(t *testing.T) {
	s := shipmentOf(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	bad := &pending{ctx: t.Context(), record: Record{Parameters: json.RawMessage("{")}, done: make(chan result, 1)}
	for i := range 5 {
		s.seal(&pending{ctx: gone, record: Record{Reason: "gone"}}, time.Now())
		s.seal(bad, time.Now())
		if got := <-bad.done; got.err == nil {
			t.Error("it is said to be kept")
		}
		s.seal(&pending{ctx: t.Context(), record: Record{Claw: shipped, Reason: fmt.Sprint(i)}}, time.Now())
	}
	var v Verifier
	for i := range s.batch {
		if err := v.Next(s.line(i)); err != nil {
			t.Error(err)
		}
	}
	if len(s.batch) != 5 || bytes.Contains(s.lines, []byte("gone")) || s.chain.Head().Seq != 5 {
		t.Errorf("%d records, head %s", len(s.batch), s.chain.Head())
	}
}
