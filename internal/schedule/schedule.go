// Package schedule tells when a schedule is open, and whether one lies within another. It
// is pure: the time is always given. What is no schedule, such as one of a zone nobody
// knows, is never open.
package schedule

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"sync"
	"time"
	_ "time/tzdata" // an image without a zone database knows the zones too

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Limits of the schema, said again for what no schema sees.
const (
	maxZone    = 64
	maxWindows = 32
)

const (
	minutesOfDay = 24 * 60
	daysOfWeek   = 7
	week         = daysOfWeek * 24 * 60 * 60 // seconds
)

// Schedule is one that was read: spans of the week, by the wall clock of a zone.
type Schedule struct {
	zone  *time.Location
	spans []span
}

// span is open from a minute of the week, which starts on Sunday, until before another.
type span struct{ from, to int64 }

// Parse reads a schedule; the error says what in it is none, and how to write it.
func Parse(s *v1alpha1.Schedule) (*Schedule, error) {
	switch {
	case s == nil:
		return nil, fmt.Errorf("there is no schedule")
	case len(s.Windows) == 0:
		return nil, fmt.Errorf("windows: name at least one, such as {days: [Mon], start: \"08:00\", end: \"18:00\"}")
	case len(s.Windows) > maxWindows:
		return nil, fmt.Errorf("windows: there are %d, at most %d", len(s.Windows), maxWindows)
	}
	zone, err := location(s.TimeZone)
	if err != nil {
		return nil, err
	}
	out := &Schedule{zone: zone}
	for i, w := range s.Windows {
		spans, err := parseWindow(w)
		if err != nil {
			return nil, fmt.Errorf("windows[%d].%w", i, err)
		}
		out.spans = append(out.spans, spans...)
	}
	out.spans = merged(out.spans)
	return out, nil
}

// Validate says what is wrong with a schedule. None at all is fine: it is always open.
func Validate(s *v1alpha1.Schedule) error {
	if s == nil {
		return nil
	}
	_, err := Parse(s)
	return err
}

// Open reports whether a schedule is open at a time. Left out, it always is; at no time at all it is not.
func Open(s *v1alpha1.Schedule, t time.Time) bool {
	if s == nil {
		return true
	}
	parsed, err := Parse(s)
	return err == nil && parsed.Open(t)
}

// NextChange is the first time after t at which a schedule opens or closes; zero if it never does.
func NextChange(s *v1alpha1.Schedule, t time.Time) time.Time {
	parsed, err := Parse(s)
	if err != nil {
		return time.Time{}
	}
	return parsed.NextChange(t)
}

// Open reports whether the clock on the wall of the zone is in a window. An hour that a change of clocks
// leaves out does not come, one that it repeats counts twice.
func (s *Schedule) Open(t time.Time) bool {
	if s == nil || t.IsZero() {
		return false
	}
	wall := t.In(s.zone)
	minute := int64(wall.Weekday())*minutesOfDay + int64(wall.Hour())*60 + int64(wall.Minute())
	i := sort.Search(len(s.spans), func(i int) bool { return s.spans[i].to > minute })
	return i < len(s.spans) && s.spans[i].from <= minute
}

// Always reports whether the schedule is open at every time.
func (s *Schedule) Always() bool {
	return s != nil && len(s.spans) == 1 && s.spans[0] == span{0, daysOfWeek * minutesOfDay}
}

// lookahead is more than a change can be away: the windows come each week, but a change of clocks can swallow one.
const lookahead = 5 * week

// NextChange is the first time after t at which the schedule opens or closes; zero if it never does.
func (s *Schedule) NextChange(t time.Time) time.Time {
	if s == nil || t.IsZero() || s.Always() {
		return time.Time{}
	}
	from := t.Unix()
	for _, open := range s.opens(from, from+lookahead) {
		switch {
		case open.from > from:
			return time.Unix(open.from, 0).In(t.Location())
		case open.to < from+lookahead:
			return time.Unix(open.to, 0).In(t.Location())
		}
	}
	return time.Time{}
}

var (
	zones    sync.Map // name → *time.Location; only of zones that there are
	zoneName = regexp.MustCompile(`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`)
)

// location finds a zone. What a machine calls its own time is none: it would differ from one to the next.
func location(name string) (*time.Location, error) {
	if l, ok := zones.Load(name); ok {
		return l.(*time.Location), nil
	}
	unknown := fmt.Errorf("timeZone: %q is no zone of the IANA database: write one such as Europe/Berlin or UTC", clip(name))
	switch {
	case len(name) > maxZone || !zoneName.MatchString(name):
		return nil, unknown
	case name == "Local" || name == "localtime" || name == "posixrules":
		return nil, unknown
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, unknown
	}
	zones.Store(name, l)
	return l, nil
}

func clip(text string) string { return text[:min(len(text), maxZone)] }

var (
	days = map[v1alpha1.Day]int64{v1alpha1.Sunday: 0, v1alpha1.Monday: 1, v1alpha1.Tuesday: 2, v1alpha1.Wednesday: 3,
		v1alpha1.Thursday: 4, v1alpha1.Friday: 5, v1alpha1.Saturday: 6}
)

// parseWindow returns the spans of one window. What goes over the end of the week goes on at its start.
func parseWindow(w v1alpha1.Window) ([]span, error) {
	start, ok := clock(w.Start)
	if !ok || start == minutesOfDay {
		return nil, fmt.Errorf("start: %q is no time of a day: write hours and minutes, such as 08:00", clip(w.Start))
	}
	end, ok := clock(w.End)
	switch {
	case !ok:
		return nil, fmt.Errorf("end: %q is no time of a day: write hours and minutes, such as 18:00, or 24:00 for the end of the day", clip(w.End))
	case start == end:
		return nil, fmt.Errorf("end: a window from %s to %s is empty: the whole day is 00:00 to 24:00", w.Start, w.End)
	case len(w.Days) == 0:
		return nil, fmt.Errorf("days: name the days on which the window starts, such as [Mon, Tue]")
	case end < start:
		end += minutesOfDay
	}
	var out []span
	for _, name := range w.Days {
		day, ok := days[name]
		if !ok {
			return nil, fmt.Errorf("days: %q is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun", clip(string(name)))
		}
		s := span{day*minutesOfDay + start, day*minutesOfDay + end}
		if over := s.to - daysOfWeek*minutesOfDay; over > 0 {
			out = append(out, span{0, over})
			s.to = daysOfWeek * minutesOfDay
		}
		out = append(out, s)
	}
	return out, nil
}

// clock reads hours and minutes, up to 24:00.
func clock(text string) (minute int64, ok bool) {
	if len(text) != 5 || text[2] != ':' {
		return 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	hour, rest := int64(text[0]-'0')*10+int64(text[1]-'0'), int64(text[3]-'0')*10+int64(text[4]-'0')
	minute = hour*60 + rest
	return minute, rest < 60 && minute <= minutesOfDay
}

// merged sorts spans and joins those that touch.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return int(a.from - b.from) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}
