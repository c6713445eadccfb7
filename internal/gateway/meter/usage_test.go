package meter

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

const model = "anthropic/claude-x"

// midnight is the end of the day of start.
var midnight = time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC)

func TestTokens(t *testing.T) {
	var m Meter
	berlin := time.FixedZone("CEST", 2*60*60)
	for i, tt := range []struct {
		add   int64
		at    time.Time
		limit int64
		ok    bool // afterwards
	}{
		{0, midnight.Add(-time.Hour), 1, true},
		{99, midnight.Add(-time.Hour), 100, true},
		{1, midnight.Add(-time.Second), 100, false},
		{0, midnight.Add(-1), 100, false},
		{0, midnight.Add(-1), 0, true}, // no limit
		{0, midnight.Add(-1), 101, true},
		{-50, midnight.Add(-1), 100, false},
		{0, midnight, 1, true},
		{10, midnight.In(berlin), 10, false},       // a zone makes no other day
		{0, midnight.Add(-time.Minute), 10, false}, // a clock set back frees nothing
		{0, midnight, 10, true},                    // and bars nothing for longer than that day
		{math.MaxInt64 - 1, midnight.Add(24 * time.Hour), math.MaxInt64, true},
		{math.MaxInt64, midnight.Add(24 * time.Hour), math.MaxInt64, false}, // it does not begin again at the least number
	} {
		m.AddTokens(model, tt.add, tt.at)
		resets, ok := m.Tokens(model, tt.limit, tt.at)
		if ok != tt.ok {
			t.Errorf("step %d: %v", i, ok)
		}
		if want := audit.DayOf(tt.at).End(); !resets.Equal(want) || !resets.After(tt.at) || resets.Sub(tt.at) > 24*time.Hour {
			t.Errorf("step %d: resets at %v", i, resets)
		}
	}
}

// One model's tokens are not another's, unless there are too many to tell apart.
func TestTokensOfManyModels(t *testing.T) {
	var m Meter
	long := strings.Repeat("m", 5<<20)
	m.AddTokens("openai/"+long+"1", 10, start)
	for _, other := range []string{"openai/" + long + "2", "openai/x", "openai/", ""} {
		if _, ok := m.Tokens(other, 1, start); !ok {
			t.Errorf("%.20s has another's tokens", other)
		}
	}
	if _, ok := m.Tokens("openai/"+long+"1", 10, start); ok {
		t.Error("a long name is not counted")
	}
	for i := range 100_000 {
		m.AddTokens(fmt.Sprintf("openai/made-up-%d", i), 1, start)
	}
	if _, ok := m.Tokens("openai/of the rest", 99_000, start); ok {
		t.Error("those that are too many are not counted")
	}
	if _, ok := m.Tokens("openai/"+long+"1", 11, start); !ok {
		t.Error("those that are too many are counted for one that was before")
	}
	if _, ok := m.Tokens("openai/of the rest", 1, start.Add(24*time.Hour)); !ok {
		t.Error("the next day is not a new one")
	}
}

func TestEnter(t *testing.T) {
	var m Meter
	enter := func(limit int32, want bool) func() {
		t.Helper()
		leave, ok := m.Enter(limit)
		if ok != want {
			t.Errorf("limit %d: %v", limit, ok)
		}
		return leave
	}
	first := enter(0, true) // counted without a limit too
	enter(1, false)()       // leaving what was not entered is nothing
	enter(1, false)
	second := enter(2, true)
	enter(2, false)
	first()
	first() // twice
	enter(2, true)
	enter(2, false)
	second()
	enter(2, true)
}

func TestEnterConcurrently(t *testing.T) {
	var m Meter
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				leave, ok := m.Enter(4)
				if !ok {
					continue
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				inside.Add(-1)
				leave()
				leave()
			}
		})
	}
	all.Wait()
	if most.Load() > 4 || m.under != 0 {
		t.Errorf("%d were under way at once, %d are", most.Load(), m.under)
	}
}

func TestRestore(t *testing.T) {
	at := func(ago time.Duration, n int64) audit.Requests { return audit.Requests{At: start.Add(-ago), Count: n} }
	for name, tt := range map[string]struct {
		usage audit.Usage
		limit int32
		free  time.Duration // when there is room again
	}{
		"nothing":                {audit.Usage{}, 1, 0},
		"a moment ago":           {audit.Usage{Requests: []audit.Requests{at(0, 1)}}, 1, minute + slice},
		"half a minute ago":      {audit.Usage{Requests: []audit.Requests{at(30*time.Second, 5)}}, 5, minute/2 + slice},
		"some of it":             {audit.Usage{Requests: []audit.Requests{at(50*time.Second, 5), at(10*time.Second, 2)}}, 7, 10*time.Second + slice},
		"over the limit":         {audit.Usage{Requests: []audit.Requests{at(50*time.Second, 5), at(10*time.Second, 2)}}, 2, 50*time.Second + slice},
		"under the limit":        {audit.Usage{Requests: []audit.Requests{at(50*time.Second, 5)}}, 6, 0},
		"long ago":               {audit.Usage{Requests: []audit.Requests{at(time.Hour, 9)}}, 1, 0},
		"in the future":          {audit.Usage{Requests: []audit.Requests{at(-time.Hour, 9)}}, 9, minute + slice},
		"nonsense":               {audit.Usage{Requests: []audit.Requests{at(0, -9), {Count: 5}, at(0, 0)}}, 1, 0},
		"more than can be":       {audit.Usage{Requests: []audit.Requests{at(0, math.MaxInt64), at(0, math.MaxInt64)}}, math.MaxInt32, minute + slice},
		"what is out of order":   {audit.Usage{Requests: []audit.Requests{at(10*time.Second, 1), at(50*time.Second, 1)}}, 2, 50*time.Second + slice},
		"a minute ago, to a bit": {audit.Usage{Requests: []audit.Requests{at(minute-1, 1)}}, 1, slice},
	} {
		t.Run(name, func(t *testing.T) {
			var m Meter
			m.Take(0, start.Add(-time.Hour)) // forgotten
			m.Restore(tt.usage, start)
			wait, ok := m.Take(tt.limit, start)
			if ok != (tt.free == 0) || wait < tt.free-slice || wait > tt.free {
				t.Fatalf("%v, wait %v, want %v", ok, wait, tt.free)
			}
			if _, room := m.Take(tt.limit, start.Add(wait)); !ok && !room {
				t.Error("there is no room after the wait")
			}
		})
	}
}

func TestRestoreTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		day  audit.Day
		want bool // whether there is room
	}{
		"today":                         {audit.DayOf(start), false},
		"yesterday":                     {audit.DayOf(start) - 1, true},
		"tomorrow: the clock was wrong": {audit.DayOf(start) + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var m Meter
			m.Restore(audit.Usage{Day: tt.day, Tokens: map[string]int64{model: 100, "openai/y": 1, "z": -5}}, start)
			if _, ok := m.Tokens(model, 100, start); ok != tt.want {
				t.Errorf("there is room: %v", ok)
			}
			if _, ok := m.Tokens("openai/y", 100, start); !ok {
				t.Error("another model has no room")
			}
			if _, ok := m.Tokens(model, 100, start.Add(24*time.Hour)); !ok {
				t.Error("the day after has no room")
			}
		})
	}
}
