package audit

import (
	"encoding/json"
	"io"
	"testing"
	"time"
)

// BenchmarkShip is what a gateway does for each record of a batch, beside sending it.
func BenchmarkShip(b *testing.B) {
	const records = 32
	s := NewShipper(ShipperConfig{Claw: ClawRef{Namespace: "acme", Name: "triage", UID: "11111111-2222-3333-4444-555555555555"}, Stdout: io.Discard})
	next := &shipment{chain: NewChain(Head{})}
	waiting := make([]*pending, records)
	for i := range waiting {
		waiting[i] = &pending{ctx: b.Context(), done: make(chan result, 1), record: Record{
			Claw: s.cfg.Claw, Grant: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Phase: PhaseDecision,
			Direction: Outbound, Kind: KindTool, Connector: "slack", Operation: "chat.postMessage", Action: "Write", Resources: []string{"channel:C01SUPPORT"},
			Parameters: json.RawMessage(`{"channel":"C01SUPPORT","text":"hello there, how are you today? it is all done","thread_ts":"1712345678.123456"}`),
			Decision:   Allowed, Rule: "tools[0]", Reason: "allowed by the grant", Credential: "triage-slack", Upstream: &Upstream{Host: "slack.com"},
			BytesOut: 122, BodySHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Time: time.Now()}}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range waiting {
			s.queue <- p
		}
		if err := s.collect(b.Context(), next); err != nil || len(next.batch) != records {
			b.Fatal(err)
		}
		next.body = appendOTLP(next.body, s.resource, next)
		next.mirror = next.appendMirror(next.mirror)
		next.reset(true)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}
