// Package seen is what the agent of the benchmarks and who reads its log agree on.
package seen

import (
	"bytes"
	"strconv"
	"time"
)

// EnvStream makes the agent stream; its value is the name it gives itself in every request.
const EnvStream = "BENCH_STREAM"

// Defiance is how long the agent goes on asking after the last byte it got.
const Defiance = 1500 * time.Millisecond

// Line is a line of the agent's log. Times are in microseconds of the Unix epoch.
type Line struct {
	// Events that came, and when the last byte of an answer did.
	Events   int   `json:"events"`
	LastByte int64 `json:"lastByte"`
	// LastSent is when the provider sent the last event that came, by the provider's clock.
	LastSent int64 `json:"lastSent"`
	// Way is the shortest time an event took from the provider to here, by both clocks: how far these may differ.
	Way int64 `json:"way"`
	// Pause is the longest time between two pieces of an answer.
	Pause int64 `json:"pause"`
	// Connections that were tried, and how many of them ended or were refused.
	Connections int    `json:"connections"`
	Refusals    int    `json:"refusals"`
	Error       string `json:"error,omitempty"` // of the latest refusal
	// Over says that nothing has come for Defiance, however often it was asked for.
	Over bool `json:"over"`
}

var text = []byte(`"text":"`)

// Sent finds in a line of a fake provider's endless answer when it was sent; 0 in any other line.
func Sent(line []byte) int64 {
	_, rest, found := bytes.Cut(line, text)
	if !found {
		return 0
	}
	number, _, found := bytes.Cut(rest, []byte{' '})
	sent, err := strconv.ParseInt(string(number), 10, 64)
	if !found || err != nil {
		return 0
	}
	return sent
}
