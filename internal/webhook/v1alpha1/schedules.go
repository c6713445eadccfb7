package v1alpha1

import (
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/schedule"
)

// timeFormat is how times are written in messages, as they are in YAML.
const timeFormat = time.RFC3339

// checkSchedule refuses a schedule nobody can follow, and says where its windows overlap.
func checkSchedule(f *findings, path string, s *v1alpha1.Schedule) {
	if s == nil {
		return
	}
	if err := schedule.Validate(s); err != nil {
		where, what, ok := strings.Cut(err.Error(), ": ")
		if !ok {
			where, what = "windows", err.Error()
		}
		f.refuse(path+"."+where, "%s", what)
		if f.told == nil {
			f.told = map[string]bool{}
		}
		f.told[path] = true
		return
	}
	if a, b, ok := overlapping(s.Windows); ok {
		f.warn("%s.windows[%d] overlaps windows[%d]: it is open in either, so one of them may be more than is meant", path, b, a)
	}
}

// minutes of a week.
const (
	minutesOfDay  = 24 * 60
	minutesOfWeek = 7 * minutesOfDay
)

// overlapping finds two windows that share a minute of the week. They are valid.
func overlapping(windows []v1alpha1.Window) (a, b int, ok bool) {
	var of [minutesOfWeek]int8 // the window that has a minute, from 1
	for i, w := range windows {
		start, end := minuteOfDay(w.Start), minuteOfDay(w.End)
		if end < start {
			end += minutesOfDay
		}
		for _, d := range w.Days {
			for m := start; m < end; m++ {
				at := (dayOfWeek(d)*minutesOfDay + m) % minutesOfWeek
				if first := int(of[at]); first != 0 && first != i+1 {
					return first - 1, i, true
				}
				of[at] = int8(i + 1)
			}
		}
	}
	return 0, 0, false
}

// minuteOfDay reads a time of a day that is valid.
func minuteOfDay(clock string) int {
	digit := func(i int) int { return int(clock[i] - '0') }
	return (digit(0)*10+digit(1))*60 + digit(3)*10 + digit(4)
}

func dayOfWeek(d v1alpha1.Day) int {
	return strings.Index("SunMonTueWedThuFriSat", string(d)) / 3
}
