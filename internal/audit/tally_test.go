package audit_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
)

func TestCounts(t *testing.T) {
	call := audit.Record{Phase: audit.PhaseDecision, Direction: audit.Outbound, Kind: audit.KindTool, Decision: audit.Allowed, Connector: "github"}
	outcome := audit.Record{Phase: audit.PhaseOutcome, Direction: audit.Outbound, Kind: audit.KindModel, Decision: audit.Allowed, Connector: "openai",
		Resources: []string{"file:x", "model:gpt/x"}, Tokens: 7}
	for name, tt := range map[string]struct {
		record  audit.Record
		change  func(*audit.Record)
		request bool
		key     string
		tokens  int64
	}{
		"a call":                     {call, nil, true, "", 0},
		"a call of a model":          {call, func(r *audit.Record) { r.Kind, r.Tokens = audit.KindModel, 5 }, true, "", 0},
		"a message that is heard":    {call, func(r *audit.Record) { r.Kind, r.Direction = audit.KindMessage, audit.Inbound }, true, "", 0},
		"a message that is said":     {call, func(r *audit.Record) { r.Kind = audit.KindMessage }, true, "", 0},
		"a denied call":              {call, func(r *audit.Record) { r.Decision = audit.Denied }, false, "", 0},
		"a dropped message":          {call, func(r *audit.Record) { r.Kind, r.Decision = audit.KindMessage, audit.Dropped }, false, "", 0},
		"what the gateway does":      {call, func(r *audit.Record) { r.Kind = audit.KindControl }, false, "", 0},
		"what is internal":           {call, func(r *audit.Record) { r.Direction = audit.Internal }, false, "", 0},
		"an outcome":                 {call, func(r *audit.Record) { r.Phase, r.Tokens = audit.PhaseOutcome, 5 }, false, "", 0},
		"a model's outcome":          {outcome, nil, false, "openai/gpt/x", 7},
		"an outcome of no tokens":    {outcome, func(r *audit.Record) { r.Tokens = 0 }, false, "", 0},
		"an outcome of less than no": {outcome, func(r *audit.Record) { r.Tokens = -1 }, false, "", 0},
		"an outcome of no model":     {outcome, func(r *audit.Record) { r.Resources = []string{"file:x"} }, false, "openai/", 7},
		"nothing":                    {audit.Record{}, nil, false, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := tt.record
			if tt.change != nil {
				tt.change(&r)
			}
			if request, key, tokens := audit.Counts(&r); request != tt.request || key != tt.key || tokens != tt.tokens {
				t.Errorf("got %v, %q, %d", request, key, tokens)
			}
		})
	}
}

// allowed is a call that was allowed at a time.
func allowed(at time.Time) *audit.Record {
	return &audit.Record{Time: at, Phase: audit.PhaseDecision, Direction: audit.Outbound, Kind: audit.KindTool, Decision: audit.Allowed}
}

// took is the outcome of a call of a model.
func took(at time.Time, model string, n int64) *audit.Record {
	return &audit.Record{Time: at, Phase: audit.PhaseOutcome, Direction: audit.Outbound, Kind: audit.KindModel, Decision: audit.Allowed,
		Connector: "openai", Resources: []string{"model:" + model}, Tokens: n}
}

var noon = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

func TestTally(t *testing.T) {
	var tally audit.Tally
	for i := range 10 {
		tally.Add(allowed(noon.Add(time.Duration(i) * 30 * time.Millisecond)))
	}
	tally.Add(allowed(noon.Add(-time.Second))) // a step back of a clock
	tally.Add(took(noon, "a", 3))
	tally.Add(took(noon, "b", 4))
	tally.Add(took(noon, "a", 5))
	slices := func(u audit.Usage) (out []string) {
		for _, r := range u.Requests {
			out = append(out, fmt.Sprintf("%v %d", r.At.Sub(noon), r.Count))
		}
		return out
	}
	u := tally.Usage()
	if diff := cmp.Diff([]string{"99.999999ms 4", "199.999999ms 3", "270ms 4"}, slices(u)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int64{"openai/a": 8, "openai/b": 4}, u.Tokens); diff != "" || u.Day != audit.DayOf(noon) {
		t.Error(u.Day, diff)
	}
	// It goes on from what it said, also over a wire.
	text, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	var read audit.Usage
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, audit.TallyOf(read).Usage()); diff != "" {
		t.Error(diff)
	}
	// A minute later, and a day later.
	tally.Add(allowed(noon.Add(time.Minute + 150*time.Millisecond)))
	tally.Add(took(noon.Add(12*time.Hour), "a", 1))
	u = tally.Usage()
	if diff := cmp.Diff([]string{"199.999999ms 3", "299.999999ms 4", "1m0.15s 1"}, slices(u)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int64{"openai/a": 1}, u.Tokens); diff != "" || u.Day != audit.DayOf(noon)+1 {
		t.Error(u.Day, diff)
	}
	// A clock that is set back by years: what it counted counts as of now.
	tally.Add(allowed(noon.AddDate(-5000, 0, 0)))
	tally.Add(took(noon.AddDate(-5000, 0, 0), "a", 1))
	u = tally.Usage()
	if len(u.Requests) != 1 || u.Requests[0].Count != 9 || !u.Requests[0].At.Equal(noon.AddDate(-5000, 0, 0)) || u.Tokens["openai/a"] != 2 {
		t.Errorf("%+v", u)
	}
}

// What lines say counts as what their records did, and what is no record of ours counts nothing.
func TestTallyOfLines(t *testing.T) {
	var records, lines audit.Tally
	chain := audit.NewChain(audit.Head{})
	for i := range 20 {
		for _, r := range []*audit.Record{
			allowed(noon), took(noon, "a\u2028<\"", 9), {Phase: audit.PhaseDecision, Kind: audit.KindTool, Decision: audit.Denied},
			{Phase: audit.PhaseDecision, Kind: audit.KindTool, Decision: audit.Denied, Parameters: json.RawMessage(`{"decision":"allowed","tokens":5}`)},
		} {
			r.Claw = claw
			sealed, line, err := chain.Seal(*r, noon.Add(time.Duration(i)*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			records.Add(&sealed)
			lines.AddLine(line)
		}
	}
	if diff := cmp.Diff(records.Usage(), lines.Usage(), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if got := records.Usage(); len(got.Requests) != 20 || got.Tokens["openai/a\u2028<\""] != 180 {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{`"decision":"allowed"`, `{"time":"2026-03-29T12:00:00Z","phase":"outcome","direction":"outbound","kind":"model","tokens":"5"}`,
		`{"time":"2026-03-29T12:00:00Z","phase":"decision","direction":"outbound","kind":"tool","decision":"denied","reason":"","decision":"x"}`,
		`{"time":"2026-03-29T12:00:00Z","phase":"decision","direction":"outbound","kind":"tool","reason":"\\"},{"decision":"allowed"}`, `{"a`, `{"a":`, `{"a":"\`, `{"`, `{"decision":"allowed","phase":7}`, `{"tokens":"many"}`, `{"tokens":1e99,"kind":"model"}`, "", "\x00"} {
		var none audit.Tally
		none.AddLine([]byte(line))
		if u := none.Usage(); len(u.Requests)+len(u.Tokens) > 0 {
			t.Errorf("%q counts: %+v", line, u)
		}
	}
}

// TestTallyIsTheMeters: a meter that is restored from the records answers as the one did that was before.
func TestTallyIsTheMeters(t *testing.T) {
	const limit = 40
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var before, after meter.Meter
		var tally audit.Tally
		now := noon
		for range 200 {
			now = now.Add(time.Duration(random.IntN(2500)) * time.Millisecond)
			if _, ok := before.Take(limit, now); ok {
				tally.Add(allowed(now))
			}
		}
		after.Restore(tally.Usage(), now)
		for range 60 {
			a, okA := before.Take(limit, now)
			b, okB := after.Take(limit, now)
			if okA != okB || a != b {
				t.Fatalf("the first says %v, %v; the second %v, %v", okA, a, okB, b)
			}
			if okA {
				continue
			}
			now = now.Add(max(a, b))
		}
	}
}

// What an agent can make grow stays bounded.
func TestTallyIsBounded(t *testing.T) {
	var tally audit.Tally
	for i := range 200_000 {
		at := noon.Add(time.Duration(i) * 37 * time.Millisecond)
		tally.Add(allowed(at))
		tally.Add(took(at, fmt.Sprint("made-up-", i), 1))
	}
	u := tally.Usage()
	text, err := json.Marshal(u)
	if err != nil || len(u.Requests) > 601 || len(u.Tokens) > 257 || len(text) > audit.MaxUsage {
		t.Errorf("%d slices, %d models, %d bytes: %v", len(u.Requests), len(u.Tokens), len(text), err)
	}
}

// FuzzTallyLine: of whatever is JSON without white space, as much counts as of the record that encoding/json reads.
func FuzzTallyLine(f *testing.F) {
	for _, r := range []*audit.Record{allowed(noon), took(noon, "a\"\\", 5), {Time: noon, Parameters: json.RawMessage(`{"a":[1,{"decision":"allowed"}],"b":"]}\\\""}`), Decision: audit.Allowed, Kind: audit.KindTool, Phase: audit.PhaseDecision, Direction: audit.Inbound}} {
		text, _ := json.Marshal(r)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want audit.Tally
		got.AddLine(data) // does not panic
		var r audit.Record
		if json.Unmarshal(data, &r) != nil {
			return
		}
		line, err := json.Marshal(r)
		if err != nil {
			return
		}
		got = audit.Tally{}
		got.AddLine(line)
		want.Add(&r)
		if diff := cmp.Diff(want.Usage(), got.Usage(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	})
}
