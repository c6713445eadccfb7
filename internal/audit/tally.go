package audit

import (
	"encoding/json"
	"maps"
	"time"
)

// Requests are counted in slices of a minute, as the gateway does.
const (
	minute = time.Minute
	slice  = 100 * time.Millisecond
)

// Tally counts a Claw's records, one after the other, for what its limits are about. The zero Tally has counted none.
// It grows neither with time nor with what the agent names. It is not safe for concurrent use.
type Tally struct {
	tokens TokensOfDay
	recent []recent // of the last minute, oldest first
	last   time.Time
}

// recent are requests of one slice.
type recent struct{ slice, count int64 }

// TallyOf continues what was counted by the time a Usage was made.
func TallyOf(u Usage) *Tally {
	t := &Tally{}
	for _, r := range u.Requests {
		t.request(r.At, r.Count)
	}
	for key, n := range u.Tokens {
		t.tokens.Add(key, n, u.Day)
	}
	return t
}

// Add counts a record.
func (t *Tally) Add(r *Record) {
	request, key, tokens := Counts(r)
	if request {
		t.request(r.Time, 1)
	}
	t.tokens.Add(key, tokens, DayOf(r.Time))
}

// AddLine counts the record of a line that ParseLink has accepted. What in it cannot be read counts nothing.
func (t *Tally) AddLine(line []byte) {
	// Of a whole record only this much is read: there is one for all that any Claw does.
	var r Record
	var tokens, resources, connector []byte
	members(line, func(name, value []byte) bool {
		switch string(name) {
		case "time":
			_ = r.Time.UnmarshalJSON(value)
		case "phase":
			r.Phase = oneOf(value, PhaseDecision, PhaseOutcome)
		case "direction":
			r.Direction = oneOf(value, Inbound, Outbound)
		case "kind":
			r.Kind = oneOf(value, KindMessage, KindTool, KindModel)
		case "decision":
			r.Decision = oneOf(value, Allowed)
		case "connector":
			connector = value
		case "resources":
			resources = value
		case "tokens":
			tokens = value
		}
		return true
	})
	if tokens != nil && json.Unmarshal(tokens, &r.Tokens) == nil {
		_ = json.Unmarshal(connector, &r.Connector)
		_ = json.Unmarshal(resources, &r.Resources)
	}
	t.Add(&r)
}

// oneOf is the word that a JSON string is; empty if none of these.
func oneOf[T ~string](value []byte, words ...T) T {
	for _, w := range words {
		if len(value) == len(w)+2 && string(value[1:len(w)+1]) == string(w) {
			return w
		}
	}
	return ""
}

// request counts n of them.
func (t *Tally) request(at time.Time, n int64) {
	if n <= 0 {
		return
	}
	switch back := t.last.Sub(at); {
	case len(t.recent) == 0 || back <= 0:
		t.last = at
	case back < minute: // the newest moment goes on until the clock is there again
		at = t.last
	default: // the clock was set back. How old it all is cannot be told: it counts as of now
		n += t.total()
		t.recent, t.last = nil, at
	}
	now := sliceOf(at)
	if i := len(t.recent) - 1; i >= 0 && t.recent[i].slice == now {
		t.recent[i].count += n
		return
	}
	t.recent = append(t.recent, recent{slice: now, count: n})
	for t.recent[0].slice < now-int64(minute/slice) {
		t.recent = t.recent[1:]
	}
}

func (t *Tally) total() (n int64) {
	for _, r := range t.recent {
		n += r.count
	}
	return n
}

func sliceOf(t time.Time) int64 {
	// Not in nanoseconds, which end in the year 2262: clocks can be set to anything.
	return t.Unix()*int64(time.Second/slice) + int64(t.Nanosecond())/int64(slice)
}

// endOf is the last moment of a slice.
func endOf(s int64) time.Time {
	const each = int64(time.Second / slice)
	second, part := s/each, s%each
	if part < 0 {
		second, part = second-1, part+each
	}
	return time.Unix(second, (part+1)*int64(slice)-1).UTC()
}

// Usage is what was counted.
func (t *Tally) Usage() Usage {
	u := Usage{Day: t.tokens.day, Tokens: maps.Clone(t.tokens.taken)}
	for _, r := range t.recent {
		at := endOf(r.slice)
		if at.After(t.last) {
			at = t.last.UTC()
		}
		u.Requests = append(u.Requests, Requests{At: at, Count: r.count})
	}
	return u
}
