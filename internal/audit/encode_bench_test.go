package audit_test

import (
	"encoding/json"
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// typical is a decision about a call, as a gateway records it.
func typical() audit.Record {
	return audit.Record{Claw: claw, Grant: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Phase: audit.PhaseDecision,
		Direction: audit.Outbound, Kind: audit.KindTool, Connector: "slack", Operation: "chat.postMessage", Action: "Write",
		Resources:  []string{"channel:C01SUPPORT"},
		Parameters: json.RawMessage(`{"channel":"C01SUPPORT","text":"hello there, how are you today? it is all done","thread_ts":"1712345678.123456"}`),
		Decision:   audit.Allowed, Rule: "tools[0]", Reason: "allowed by the grant", Credential: "triage-slack", Upstream: &audit.Upstream{Host: "slack.com"},
		BytesOut: 122, BodySHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
}

func BenchmarkSeal(b *testing.B) {
	r := typical()
	chain := audit.NewChain(audit.Head{})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := chain.Seal(r, noon); err != nil {
			b.Fatal(err)
		}
	}
}
