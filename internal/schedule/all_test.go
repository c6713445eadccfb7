package schedule

import (
	"math/rand"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// TestAllAgainstBruteForce: what is said of several schedules at once is what looking at them at every step says.
func TestAllAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for range 150 {
		var all []v1alpha1.Schedule
		for range r.Intn(3) {
			all = append(all, *randomSchedule(r))
		}
		now := gridStart.Add(time.Duration(r.Intn(54*7*24*4)) * step)
		open := func(at time.Time) bool {
			for i := range all {
				if !Open(&all[i], at) {
					return false
				}
			}
			return true
		}
		if AllOpen(all, now) != open(now) {
			t.Fatalf("%v at %s: open %v", all, now, !open(now))
		}
		var want time.Time
		for at := now.Add(step); at.Before(now.Add(3 * 7 * 24 * time.Hour)); at = at.Add(step) {
			if open(at) && !open(at.Add(-step)) {
				want = at
				break
			}
		}
		got := NextOpen(all, now)
		if !want.IsZero() && !got.Equal(want) && !got.IsZero() || want.IsZero() && !got.IsZero() && got.Before(now.Add(3*7*24*time.Hour)) {
			t.Fatalf("%v opens after %s at %s, want %s", all, now, got, want)
		}
		if len(all) < 2 && !got.Equal(want) {
			t.Fatalf("%v opens after %s at %s, want %s", all, now, got, want)
		}
	}
}

func TestNextOpen(t *testing.T) {
	berlin := func(w ...v1alpha1.Window) v1alpha1.Schedule {
		return v1alpha1.Schedule{TimeZone: "Europe/Berlin", Windows: w}
	}
	daily := []v1alpha1.Day{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	for name, c := range map[string]struct {
		all         []v1alpha1.Schedule
		after, want string
	}{
		"none":                             {nil, "2026-07-01T12:00:00Z", ""},
		"over midnight":                    {[]v1alpha1.Schedule{berlin(window("22:00", "06:00", daily...))}, "2026-07-01T12:00:00Z", "2026-07-01T20:00:00Z"},
		"within it":                        {[]v1alpha1.Schedule{berlin(window("22:00", "06:00", daily...))}, "2026-07-01T22:30:00Z", "2026-07-02T20:00:00Z"},
		"an hour that comes twice":         {[]v1alpha1.Schedule{berlin(window("01:00", "02:30", daily...))}, "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"},
		"an hour that does not come":       {[]v1alpha1.Schedule{berlin(window("02:00", "02:30", "Sun"))}, "2027-03-27T12:00:00Z", "2027-04-04T00:00:00Z"},
		"the later of two":                 {[]v1alpha1.Schedule{berlin(window("08:00", "18:00", daily...)), berlin(window("10:00", "12:00", daily...))}, "2026-07-01T05:00:00Z", "2026-07-01T08:00:00Z"},
		"two that are never open together": {[]v1alpha1.Schedule{berlin(window("08:00", "09:00", daily...)), berlin(window("10:00", "12:00", daily...))}, "2026-07-01T05:00:00Z", ""},
		"one that is no schedule":          {[]v1alpha1.Schedule{berlin(window("08:00", "09:00", daily...)), {}}, "2026-07-01T05:00:00Z", ""},
	} {
		var want time.Time
		if c.want != "" {
			want = at(t, c.want)
		}
		if got := NextOpen(c.all, at(t, c.after)); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
