package audit_test

import (
	"encoding/json"
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
)

func BenchmarkTallyLine(b *testing.B) {
	r := audit.Record{Claw: claw, Grant: "0123456789abcdef", Phase: audit.PhaseDecision, Direction: audit.Outbound, Kind: audit.KindTool, Connector: "slack",
		Operation: "chat.postMessage", Action: "Write", Resources: []string{"channel:C01SUPPORT"}, Parameters: json.RawMessage(`{"channel":"C01SUPPORT","text":"` + string(make([]byte, 0)) + `hello there, how are you today?"}`),
		Decision: audit.Allowed, Rule: "tools[0]", Reason: "allowed by the grant", Credential: "slack", Upstream: &audit.Upstream{Host: "slack.com"}, BytesOut: 100,
		BodySHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
	_, line, err := audit.NewChain(audit.Head{}).Seal(r, noon)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := audit.ParseLink(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count", func(b *testing.B) {
		var t audit.Tally
		b.ReportAllocs()
		for b.Loop() {
			t.AddLine(line)
		}
	})
}
