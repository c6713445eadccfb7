package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/audit"
)

var (
	claw  = audit.ClawRef{Namespace: "acme", Name: "triage", UID: "11111111-2222-3333-4444-555555555555"}
	clock = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
)

// history seals n records.
func history(t testing.TB, n int) (lines [][]byte, head audit.Head) {
	t.Helper()
	chain := audit.NewChain(audit.Head{})
	for i := range n {
		_, line, err := chain.Seal(audit.Record{Claw: claw, Operation: fmt.Sprintf("op%d", i+1)}, clock)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines, chain.Head()
}

func TestSealSetsPlaceAndTime(t *testing.T) {
	chain := audit.NewChain(audit.Head{})
	first, line, err := chain.Seal(audit.Record{Seq: 99, Prev: "x", Hash: "y", Claw: claw, Parameters: json.RawMessage(`{ "text": "<a&b>\u2028" }`)}, clock)
	if err != nil {
		t.Fatal(err)
	}
	if first.Seq != 1 || first.Prev != "" || len(first.Hash) != 64 || first.Time.Location() != time.UTC {
		t.Errorf("unexpected place: %+v", first)
	}
	var read audit.Record
	if err := json.Unmarshal(line, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Hash, read.Hash); diff != "" {
		t.Error(diff)
	}
	second, line, err := chain.Seal(audit.Record{Claw: claw}, clock)
	if err != nil {
		t.Fatal(err)
	}
	link, err := audit.ParseLink(line)
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Link{Seq: 2, Prev: first.Hash, Hash: second.Hash, Claw: claw}
	if diff := cmp.Diff(want, link); diff != "" {
		t.Error(diff)
	}
}

func TestSealRefusesWhatIsNoJSONOrTooLong(t *testing.T) {
	chain := audit.NewChain(audit.Head{})
	if _, _, err := chain.Seal(audit.Record{Parameters: json.RawMessage("{")}, clock); err == nil {
		t.Error("broken parameters were sealed")
	}
	if _, _, err := chain.Seal(audit.Record{Reason: strings.Repeat("x", audit.MaxLine)}, clock); !errors.Is(err, audit.ErrTooLong) {
		t.Errorf("got %v", err)
	}
	if chain.Head() != (audit.Head{}) {
		t.Errorf("a refused record moved the head to %v", chain.Head())
	}
}

func TestVerify(t *testing.T) {
	const n = 6
	whole, head := history(t, n)
	other, _ := history(t, 2)
	otherChain := audit.NewChain(audit.Head{Seq: 2, Hash: mustParse(t, whole[1]).Hash})
	_, fork, err := otherChain.Seal(audit.Record{Claw: claw, Operation: "fork"}, clock)
	if err != nil {
		t.Fatal(err)
	}
	_, afterFork, err := otherChain.Seal(audit.Record{Claw: claw}, clock)
	if err != nil {
		t.Fatal(err)
	}
	foreignChain := audit.NewChain(audit.Head{Seq: 2, Hash: mustParse(t, whole[1]).Hash})
	_, foreign, err := foreignChain.Seal(audit.Record{Claw: audit.ClawRef{Namespace: "acme", Name: "other", UID: "u"}}, clock)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change   func(lines [][]byte) [][]byte
		expected *audit.Head
		kind     audit.BreakKind // empty: whole
		seq      uint64
	}{
		"whole":                 {},
		"whole, expected head":  {expected: &head},
		"whole, older head":     {expected: &audit.Head{Seq: 3, Hash: mustParse(t, whole[2]).Hash}},
		"empty":                 {change: func([][]byte) [][]byte { return nil }},
		"one letter altered":    {change: alter(2, "op3", "op4"), kind: audit.BreakAltered, seq: 3},
		"hash altered":          {change: alter(2, `"hash":"`, `"hash":"0`), kind: audit.BreakAltered, seq: 3},
		"a field added":         {change: alter(2, `"operation"`, `"x":1,"operation"`), kind: audit.BreakAltered, seq: 3},
		"seq altered":           {change: alter(2, `"seq":3`, `"seq":4`), kind: audit.BreakAltered, seq: 3},
		"one removed":           {change: func(l [][]byte) [][]byte { return slices.Delete(l, 2, 3) }, kind: audit.BreakGap, seq: 3},
		"the first removed":     {change: func(l [][]byte) [][]byte { return l[1:] }, kind: audit.BreakGap, seq: 1},
		"two changed places":    {change: func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }, kind: audit.BreakReordered, seq: 3},
		"one moved to the end":  {change: func(l [][]byte) [][]byte { return append(slices.Delete(slices.Clone(l), 2, 3), l[2]) }, kind: audit.BreakReordered, seq: 3},
		"one repeated":          {change: func(l [][]byte) [][]byte { return slices.Insert(l, 3, l[2]) }, kind: audit.BreakReordered, seq: 3},
		"replaced by a fork":    {change: func(l [][]byte) [][]byte { l[2] = fork; return l }, kind: audit.BreakFork, seq: 4},
		"a fork beside it":      {change: func(l [][]byte) [][]byte { return slices.Insert(l, 3, fork) }, kind: audit.BreakFork, seq: 3},
		"a forked end":          {change: func(l [][]byte) [][]byte { return append(l[:2], fork, afterFork) }, expected: &audit.Head{Seq: 4, Hash: mustParse(t, whole[3]).Hash}, kind: audit.BreakFork, seq: 4},
		"the end cut off":       {change: func(l [][]byte) [][]byte { return l[:4] }, expected: &head, kind: audit.BreakTruncated, seq: 5},
		"all cut off":           {change: func([][]byte) [][]byte { return nil }, expected: &head, kind: audit.BreakTruncated, seq: 1},
		"the last line half":    {change: func(l [][]byte) [][]byte { l[n-1] = l[n-1][:50]; return l }, kind: audit.BreakAltered, seq: n},
		"another's record":      {change: func(l [][]byte) [][]byte { l[2] = foreign; return l }, kind: audit.BreakForeign, seq: 3},
		"a blank line":          {change: func(l [][]byte) [][]byte { return slices.Insert(l, 3, []byte{}) }, kind: audit.BreakAltered, seq: 4},
		"a line without an end": {change: func(l [][]byte) [][]byte { l[2] = bytes.Repeat([]byte("x"), 3*audit.MaxLine); return l }, kind: audit.BreakAltered, seq: 3},
		"same beginning twice":  {change: func(l [][]byte) [][]byte { return append(l[:2], other...) }, kind: audit.BreakReordered, seq: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines := slices.Clone(whole)
			if tt.change != nil {
				lines = tt.change(lines)
			}
			text := bytes.Join(append(lines, nil), []byte("\n"))
			_, err := audit.Verify(bytes.NewReader(text), tt.expected)
			if tt.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var broken *audit.Break
			if !errors.As(err, &broken) {
				t.Fatalf("got %v, want a %s", err, tt.kind)
			}
			if broken.Kind != tt.kind || broken.Seq != tt.seq {
				t.Errorf("got %v, want a %s at record %d", broken, tt.kind, tt.seq)
			}
		})
	}
}

// A record with a right hash is refused if some reader could take it for one of another place.
func TestParseLinkRefusesASecondPlace(t *testing.T) {
	lines, _ := history(t, 1)
	for name, addition := range map[string]string{
		"another Claw":          `,"claw":{"namespace":"acme","name":"other","uid":"u"}`,
		"in capitals":           `,"Claw":{"namespace":"acme","name":"other","uid":"u"}`,
		"escaped":               `,"\u0063law":{"namespace":"acme","name":"other","uid":"u"}`,
		"another number":        `,"a":["x",{"b":"}\""}],"seq":9`,
		"with white space":      `,"seq" :9`,
		"another UID":           "",
		"nothing, a deep claw":  `,"a":{"claw":1,"seq":2}`,
		"nothing, a text claw":  `,"a":"claw","b":["seq"]`,
		"nothing, a quoted key": `,"a":"\"claw\":1"`,
	} {
		t.Run(name, func(t *testing.T) {
			line := strings.TrimSuffix(string(lines[0]), "}") + addition + "}"
			if addition == "" {
				line = strings.Replace(string(lines[0]), `"uid":"`, `"uid":"u","uid":"`, 1)
			}
			link := mustParse(t, lines[0])
			open := strings.Replace(line, link.Hash, "", 1)
			sum := sha256.Sum256([]byte(open))
			_, err := audit.ParseLink([]byte(strings.Replace(line, link.Hash, hex.EncodeToString(sum[:]), 1)))
			if fine := strings.HasPrefix(name, "nothing"); fine != (err == nil) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVerifyClawRefusesAnother(t *testing.T) {
	lines, _ := history(t, 1)
	_, err := audit.VerifyClaw(bytes.NewReader(lines[0]), audit.ClawRef{Namespace: "acme", Name: "triage", UID: "another"}, nil)
	var broken *audit.Break
	if !errors.As(err, &broken) || broken.Kind != audit.BreakForeign {
		t.Errorf("got %v", err)
	}
}

func TestParseHead(t *testing.T) {
	_, head := history(t, 3)
	tests := map[string]struct {
		text string
		want audit.Head
		ok   bool
	}{
		"a head":       {text: head.String(), want: head, ok: true},
		"the empty":    {text: "0:", ok: true},
		"no hash":      {text: "3:"},
		"no seq":       {text: ":" + head.Hash},
		"not a number": {text: "x:" + head.Hash},
		"upper case":   {text: "3:" + strings.ToUpper(head.Hash)},
		"nothing":      {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := audit.ParseHead(tt.text)
			if (err == nil) != tt.ok || got != tt.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// FuzzParseLink looks for lines that pass although they are not as they were sealed.
func FuzzParseLink(f *testing.F) {
	lines, _ := history(f, 2)
	for _, line := range lines {
		f.Add(line)
	}
	f.Add([]byte(`{"seq":1,"prev":"","hash":"","time":"","claw":{"namespace":"","name":"","uid":""}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		link, err := audit.ParseLink(line)
		if err != nil {
			return
		}
		var read audit.Record
		if err := json.Unmarshal(line, &struct{ Seq *uint64 }{&read.Seq}); err != nil {
			t.Fatalf("passed, but is not JSON: %v", err)
		}
		if len(line) > 0 {
			changed := bytes.Clone(line)
			changed[len(changed)/2] ^= 1
			if again, err := audit.ParseLink(changed); err == nil && again.Hash == link.Hash {
				t.Errorf("one bit changed, and the hash still holds: %q", changed)
			}
		}
	})
}

// FuzzVerify looks for histories that pass although a byte is another.
func FuzzVerify(f *testing.F) {
	lines, head := history(f, 3)
	text := bytes.Join(append(lines, nil), []byte("\n"))
	f.Add(uint(10), byte('x'))
	f.Add(uint(len(text)-1), byte(' '))
	f.Fuzz(func(t *testing.T, at uint, b byte) {
		changed := bytes.Clone(text)
		at %= uint(len(changed))
		changed[at] = b
		_, err := audit.Verify(bytes.NewReader(changed), &head)
		same := bytes.Equal(changed, text) || at == uint(len(text)-1) && b == '\r'
		if same == (err != nil) && at != uint(len(text)-1) {
			t.Errorf("byte %d changed to %q: %v", at, b, err)
		}
	})
}

func alter(line int, old, replacement string) func([][]byte) [][]byte {
	return func(lines [][]byte) [][]byte {
		lines[line] = bytes.Replace(lines[line], []byte(old), []byte(replacement), 1)
		return lines
	}
}

func mustParse(t *testing.T, line []byte) audit.Link {
	t.Helper()
	link, err := audit.ParseLink(line)
	if err != nil {
		t.Fatal(err)
	}
	return link
}
