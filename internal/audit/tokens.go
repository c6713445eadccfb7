package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"
)

// Day is a day, UTC: how many days after 1970-01-01 it is.
type Day int64

// DayOf is the day of a moment.
func DayOf(t time.Time) Day {
	const length = 24 * 60 * 60
	seconds := t.Unix()
	day := seconds / length
	if seconds%length < 0 {
		day--
	}
	return Day(day)
}

// End is when the day is over.
func (d Day) End() time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, int(d)+1) }

// How many models are told apart, and how long a model's key is kept as it is. Who names models is the agent.
const (
	maxTokenKeys = 256
	maxTokenKey  = 128
)

// overflow is the key under which all models count that there are too many of.
const overflow = ""

// TokensOfDay counts what models took in a day, UTC. The zero value has counted nothing. It is bounded: a key too
// long is counted by its hash, and of too many the last share one count. It is not safe for concurrent use.
//
// A later day begins anew. Where time seems to have gone back, what was counted counts for the earlier day: setting a
// clock back frees nothing, and bars nothing for longer than the day that it then is.
type TokensOfDay struct {
	day   Day
	taken map[string]int64
}

// Add counts n tokens, if more than none.
func (t *TokensOfDay) Add(key string, n int64, now Day) {
	if n <= 0 {
		return
	}
	t.turn(now)
	if t.taken == nil {
		t.taken = map[string]int64{}
	}
	key = t.keyOf(key)
	t.taken[key] += min(n, math.MaxInt64-t.taken[key])
}

// Taken is how many were counted.
func (t *TokensOfDay) Taken(key string, now Day) int64 {
	t.turn(now)
	return t.taken[t.keyOf(key)]
}

// turn begins another day.
func (t *TokensOfDay) turn(now Day) {
	if now > t.day {
		clear(t.taken)
	}
	t.day = now
}

// keyOf is under what a key is counted.
func (t *TokensOfDay) keyOf(key string) string {
	if len(key) > maxTokenKey {
		sum := sha256.Sum256([]byte(key))
		key = "sha256:" + hex.EncodeToString(sum[:])
	}
	if _, known := t.taken[key]; !known && len(t.taken) >= maxTokenKeys {
		return overflow
	}
	return key
}
