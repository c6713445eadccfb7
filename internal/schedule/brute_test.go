package schedule

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// The grid is a year and more, in steps that no change of clocks and no random window falls between.
const step = 15 * time.Minute

var (
	gridStart = time.Date(2026, 2, 27, 10, 0, 0, 0, time.UTC)
	gridZones = []string{"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
		"Pacific/Chatham", "Africa/Casablanca", "Africa/Cairo", "Pacific/Kiritimati", "Asia/Kolkata"}
)

// walls are what the clock on the wall of a zone says at each step of the grid: the minute of the week.
func walls(t *testing.T, zone string) []int {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]int, 54*7*24*4)
	for i := range out {
		local := gridStart.Add(time.Duration(i) * step).In(l)
		out[i] = int(local.Weekday())*24*60 + local.Hour()*60 + local.Minute()
	}
	return out
}

// texts are how the minutes of a day are written.
var texts = func() (out []string) {
	for i := range 24 * 60 {
		out = append(out, fmt.Sprintf("%02d:%02d", i/60, i%60))
	}
	return out
}()

// minutesOpen tells for each minute of the week whether a schedule is open, by the words of its windows.
func minutesOpen(s *v1alpha1.Schedule) []bool {
	names := []v1alpha1.Day{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	out := make([]bool, 7*24*60)
	for day, name := range names {
		for _, w := range s.Windows {
			today, yesterday := slices.Contains(w.Days, name), slices.Contains(w.Days, names[(day+6)%7])
			for minute, text := range texts {
				hit := w.Start < w.End && today && text >= w.Start && text < w.End ||
					w.Start > w.End && (today && text >= w.Start || yesterday && text < w.End)
				out[day*24*60+minute] = out[day*24*60+minute] || hit
			}
		}
	}
	return out
}

func randomSchedule(r *rand.Rand) *v1alpha1.Schedule {
	s := &v1alpha1.Schedule{TimeZone: gridZones[r.Intn(len(gridZones))]}
	for range 1 + r.Intn(3) {
		start, end := 0, 0
		for start == end {
			start, end = r.Intn(96)*15, r.Intn(97)*15
		}
		w := v1alpha1.Window{Start: fmt.Sprintf("%02d:%02d", start/60, start%60), End: fmt.Sprintf("%02d:%02d", end/60, end%60)}
		for _, d := range []v1alpha1.Day{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"} {
			if r.Intn(4) > 0 {
				w.Days = append(w.Days, d)
			}
		}
		if len(w.Days) > 0 {
			s.Windows = append(s.Windows, w)
		}
	}
	if len(s.Windows) == 0 {
		return randomSchedule(r)
	}
	return s
}

// around is a schedule that is likely to hold another: wider, of the same or another zone.
func around(r *rand.Rand, s *v1alpha1.Schedule) *v1alpha1.Schedule {
	out := s.DeepCopy()
	if r.Intn(3) > 0 {
		out.TimeZone = gridZones[r.Intn(len(gridZones))]
	}
	for range 1 + r.Intn(3) {
		out.Windows = append(out.Windows, randomSchedule(r).Windows...)
	}
	out.Windows = out.Windows[:min(len(out.Windows), maxWindows)]
	return out
}

// Open, Within and NextChange say what looking at every quarter of an hour of a year says.
func TestAgainstBruteForce(t *testing.T) {
	byZone := map[string][]int{}
	for _, z := range gridZones {
		byZone[z] = walls(t, z)
	}
	held, acrossHeld := 0, 0
	for seed := range 1500 {
		r := rand.New(rand.NewSource(int64(seed)))
		inner := randomSchedule(r)
		outer := around(r, inner)
		in, out := byZone[inner.TimeZone], byZone[outer.TimeZone]
		inOpen, outOpen := minutesOpen(inner), minutesOpen(outer)
		within := true
		for i := range in {
			within = within && (!inOpen[in[i]] || outOpen[out[i]])
		}
		if within {
			held++
			if inner.TimeZone != outer.TimeZone {
				acrossHeld++
			}
		}
		if got := Within(inner, outer, gridStart); got != within {
			t.Fatalf("seed %d: within %t, want %t:\n%+v\n%+v", seed, got, within, inner, outer)
		}
		from := r.Intn(len(in) - 40*7*24)
		if got, want := Open(inner, gridStart.Add(time.Duration(from)*step)), inOpen[in[from]]; got != want {
			t.Fatalf("seed %d: open %t, want %t at step %d of %+v", seed, got, want, from, inner)
		}
		want := time.Time{}
		for i := from + 1; i < len(in); i++ {
			if inOpen[in[i]] != inOpen[in[from]] {
				want = gridStart.Add(time.Duration(i) * step)
				break
			}
		}
		if got := NextChange(inner, gridStart.Add(time.Duration(from)*step)); !got.Equal(want) {
			t.Fatalf("seed %d: changes at %s, want %s, from step %d of %+v", seed, got, want, from, inner)
		}
	}
	if held < 200 || acrossHeld < 30 {
		t.Errorf("only %d held, %d of them across zones: the test has lost its teeth", held, acrossHeld)
	}
}

// Whatever is written as a schedule: nothing panics, and what is none is never open.
func FuzzParse(f *testing.F) {
	f.Add("Europe/Berlin", "Mon", "08:00", "18:00", int64(1700000000))
	f.Add("UTC", "Sat", "22:00", "06:00", int64(0))
	f.Add("../zone", "", "24:00", "24:00", int64(-1))
	f.Add("Local", "Sun", "99:99", "0a:00", int64(1<<40))
	f.Fuzz(func(t *testing.T, zone, day, start, end string, unix int64) {
		s := &v1alpha1.Schedule{TimeZone: zone, Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{v1alpha1.Day(day)}, Start: start, End: end}}}
		now := time.Unix(unix%(1<<36), 0)
		open, next := Open(s, now), NextChange(s, now)
		if err := Validate(s); err != nil {
			if open || !next.IsZero() || Within(nil, s, now) {
				t.Errorf("%+v is none (%v), and opens", s, err)
			}
			return
		}
		if !Within(s, s, now) || Within(nil, s, now) {
			t.Errorf("%+v is not within itself, or always open", s)
		}
		if !next.IsZero() && (Open(s, next) == open || !next.After(now)) {
			t.Errorf("%+v does not change at %s", s, next)
		}
	})
}
