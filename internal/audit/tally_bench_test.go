package audit_test

import (
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
)

func BenchmarkTallyLine(b *testing.B) {
	r := typical()
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
