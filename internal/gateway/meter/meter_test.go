package meter

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

var start = time.Date(2026, 3, 29, 0, 59, 30, 0, time.UTC)

func TestTake(t *testing.T) {
	for name, tt := range map[string]struct {
		limit int32
		at    []time.Duration // of each attempt
		want  []bool
	}{
		"no limit":                        {0, []time.Duration{0, 0, 0}, []bool{true, true, true}},
		"one":                             {1, []time.Duration{0, 0, 59 * time.Second, 60*time.Second + slice}, []bool{true, false, false, true}},
		"as many as allowed":              {3, []time.Duration{0, 0, 0, 0}, []bool{true, true, true, false}},
		"the window slides":               {2, []time.Duration{0, 30 * time.Second, 59 * time.Second, 61 * time.Second, 62 * time.Second, 91 * time.Second}, []bool{true, true, false, true, false, true}},
		"not more at a minute's change":   {2, []time.Duration{59 * time.Second, 59 * time.Second, 61 * time.Second}, []bool{true, true, false}},
		"what was refused does not count": {1, []time.Duration{0, 30 * time.Second, 59 * time.Second, 61 * time.Second}, []bool{true, false, false, true}},
		"after a long time":               {1, []time.Duration{0, 1000 * time.Hour}, []bool{true, true}},
		"time goes back":                  {1, []time.Duration{30 * time.Second, -time.Hour, 0, 91 * time.Second}, []bool{true, false, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var m Meter
			for i, at := range tt.at {
				if wait, ok := m.Take(tt.limit, start.Add(at)); ok != tt.want[i] || ok == (wait > 0) {
					t.Errorf("attempt %d at %v: %v, wait %v", i, at, ok, wait)
				}
			}
		})
	}
}

// Another limit counts at once, and knows of what was done under the one before, or under none.
func TestLimitChanges(t *testing.T) {
	var m Meter
	for range 5 {
		m.Take(0, start)
	}
	for i, tt := range []struct {
		limit int32
		ok    bool
	}{{5, false}, {6, true}, {6, false}, {3, false}, {7, true}, {0, true}, {8, false}, {9, true}} {
		if _, ok := m.Take(tt.limit, start.Add(time.Second)); ok != tt.ok {
			t.Errorf("step %d, limit %d: %v", i, tt.limit, ok)
		}
	}
}

// After the wait there is room, and a moment before there is not.
func TestWait(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var m Meter
		limit, now := int32(1+random.IntN(20)), start
		var allowed []time.Time
		for range 60 {
			now = now.Add(time.Duration(random.IntN(8000)) * time.Millisecond)
			wait, ok := m.Take(limit, now)
			recent := 0
			for _, a := range allowed {
				if now.Sub(a) < minute {
					recent++
				}
			}
			if ok {
				allowed = append(allowed, now)
			}
			switch {
			case ok && recent >= int(limit):
				t.Fatalf("%d in a minute, of %d", recent+1, limit)
			case ok:
				continue
			case wait <= 0 || wait > minute+slice:
				t.Fatalf("wait %v", wait)
			}
			early, late := m.copy(), m.copy()
			if _, ok := early.Take(limit, now.Add(wait-time.Nanosecond)); ok {
				t.Fatalf("there is room before %v", wait)
			}
			if _, ok := late.Take(limit, now.Add(wait)); !ok {
				t.Fatalf("there is no room after %v", wait)
			}
		}
	}
}

func (m *Meter) copy() *Meter {
	return &Meter{started: m.started, newest: m.newest, total: m.total, counts: m.counts}
}

func TestConcurrent(t *testing.T) {
	var m Meter
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				if _, ok := m.Take(1000, time.Now()); ok {
					taken.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got := taken.Load(); got != 1000 {
		t.Errorf("%d of 1000", got)
	}
}

// A limit of a million takes no more memory than one of 1.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Meter{}); size > 4<<10 {
		t.Errorf("%d bytes", size)
	}
}

func BenchmarkTake(b *testing.B) {
	for name, limit := range map[string]int32{"without": 0, "with": 1_000_000_000, "over": 1} {
		b.Run(name, func(b *testing.B) {
			var m Meter
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Take(limit, time.Now())
				}
			})
		})
	}
}
