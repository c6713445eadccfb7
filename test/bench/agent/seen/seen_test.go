package seen_test

import (
	"testing"

	"github.com/clawstaff/clawstaff/test/bench/agent/seen"
)

func TestSent(t *testing.T) {
	for line, want := range map[string]int64{
		`data: {"delta":{"text":"1700000000000001 ","type":"text_delta"},"index":0,"type":"content_block_delta"}`: 1700000000000001,
		`data: {"delta":{"text":"hello ","type":"text_delta"},"index":0,"type":"content_block_delta"}`:            0,
		`event: content_block_delta`: 0,
		`data: {"delta":{"text":"17`: 0,
		``:                           0,
	} {
		if got := seen.Sent([]byte(line)); got != want {
			t.Errorf("%s: got %d, want %d", line, got, want)
		}
	}
}
