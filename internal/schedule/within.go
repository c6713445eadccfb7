package schedule

import (
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// horizon is how far ahead schedules of different zones are compared: all changes of clocks of a year, and more.
const horizon = 54 * week

// Within reports whether inner is open only when outer is. One that is left out is always open. One that is
// never open, because it is no schedule, is within everything, and nothing else is within it.
// In one zone the answer holds for ever; of different zones, for the year that follows now.
func Within(inner, outer *v1alpha1.Schedule, now time.Time) bool {
	if outer == nil {
		return true
	}
	out, err := Parse(outer)
	if err != nil {
		out = nil
	}
	if inner == nil {
		return out.Always()
	}
	in, err := Parse(inner)
	if err != nil {
		return true
	}
	return in.Within(out, now)
}

// Within reports whether the schedule is open only when outer is; see the function of that name.
func (s *Schedule) Within(outer *Schedule, now time.Time) bool {
	switch {
	case s == nil:
		return true
	case outer == nil:
		return false
	case outer.Always():
		return true
	case s.zone.String() == outer.zone.String():
		return contains(outer.spans, s.spans)
	case now.IsZero():
		return false
	}
	// Between two changes of clocks both come again each week, so the first week of it tells all.
	from, end := now.Unix(), now.Unix()+horizon
	for from < end {
		until := min(s.sameOffset(from, end), outer.sameOffset(from, end))
		to := min(until, from+week)
		if !contains(outer.opens(from, to), s.opens(from, to)) {
			return false
		}
		from = until
	}
	return true
}

// contains reports whether every one of inner lies in one of outer. Both are merged.
func contains(outer, inner []span) bool {
	i := 0
	for _, s := range inner {
		for i < len(outer) && outer[i].to < s.to {
			i++
		}
		if i == len(outer) || outer[i].from > s.from {
			return false
		}
	}
	return true
}

// sameOffset is when the clocks of the zone change next after a time, and at most until.
func (s *Schedule) sameOffset(from, until int64) int64 {
	_, end := time.Unix(from, 0).In(s.zone).ZoneBounds()
	if end.IsZero() || end.Unix() <= from {
		return until
	}
	return min(until, end.Unix())
}

// opens lists when the schedule is open, in seconds since 1970, of a stretch of time.
func (s *Schedule) opens(from, to int64) []span {
	var out []span
	for from < to {
		until := s.sameOffset(from, to)
		_, offset := time.Unix(from, 0).In(s.zone).Zone()
		out = s.opensAt(out, from, until, int64(offset))
		from = until
	}
	return merged(out)
}

// opensAt adds when the schedule is open while its clocks are offset from UTC by some seconds.
func (s *Schedule) opensAt(out []span, from, to, offset int64) []span {
	// 1970 began on a Thursday; -4 days is the Sunday before. The wall clock is UTC with the offset added.
	const sunday = -4 * 24 * 60 * 60
	start := sunday - offset
	if weeks := (from - start) / week; weeks > 0 {
		start += weeks * week
	}
	for start > from {
		start -= week
	}
	for ; start < to; start += week {
		for _, s := range s.spans {
			open := span{max(from, start+s.from*60), min(to, start+s.to*60)}
			if open.from < open.to {
				out = append(out, open)
			}
		}
	}
	return out
}
