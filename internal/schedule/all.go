package schedule

import (
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// AllOpen reports whether every one of some schedules is open at a time. None at all always are.
func AllOpen(all []v1alpha1.Schedule, t time.Time) bool {
	for i := range all {
		if !Open(&all[i], t) {
			return false
		}
	}
	return true
}

// AnyChange is the first time after t at which any of some schedules opens or closes; zero if none ever does.
func AnyChange(all []v1alpha1.Schedule, t time.Time) time.Time {
	var first time.Time
	for i := range all {
		if next := NextChange(&all[i], t); !next.IsZero() && (first.IsZero() || next.Before(first)) {
			first = next
		}
	}
	return first
}

// maxChanges is how many openings and closings are looked at to find when all are open.
const maxChanges = 64

// NextOpen is the first time after t at which all of some schedules are open and were not before; zero if that does
// not come about soon.
func NextOpen(all []v1alpha1.Schedule, t time.Time) time.Time {
	open := AllOpen(all, t)
	for range maxChanges {
		if t = AnyChange(all, t); t.IsZero() {
			return t
		}
		was := open
		if open = AllOpen(all, t); open && !was {
			return t
		}
	}
	return time.Time{}
}
