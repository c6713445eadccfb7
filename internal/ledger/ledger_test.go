package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// patience bounds what should happen soon.
const patience = 20 * time.Second

var triage = audit.ClawRef{Namespace: "acme", Name: "triage", UID: "11111111-2222-3333-4444-555555555555"}

// seal makes n records that follow head.
func seal(t testing.TB, claw audit.ClawRef, head audit.Head, n int, note string) ([]string, audit.Head) {
	t.Helper()
	chain := audit.NewChain(head)
	var lines []string
	for range n {
		_, line, err := chain.Seal(audit.Record{Claw: claw, Operation: note}, time.Unix(1_800_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	return lines, chain.Head()
}

func batchOf(t testing.TB, lines []string) *batch {
	t.Helper()
	b, err := newBatch(lines)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openStore(t testing.TB, dir string, d disk, segmentSize int64) *Store {
	t.Helper()
	s, err := open(dir, d, segmentSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// kept is the whole history on the disk, as lines.
func kept(t testing.TB, dir string, claw audit.ClawRef) []string {
	t.Helper()
	var out bytes.Buffer
	if err := Read(t.Context(), &out, dir, Selection{Namespace: claw.Namespace, Claw: claw.Name}, false); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestAppendKeepsOneHistory(t *testing.T) {
	all, _ := seal(t, triage, audit.Head{}, 9, "")
	third := batchOf(t, all[2:3]).last().Head()
	fork, _ := seal(t, triage, third, 3, "fork")
	forkAtOne, _ := seal(t, triage, audit.Head{}, 2, "fork")
	tests := map[string]struct {
		batch []string // after records 1 to 6 were kept
		want  error
		head  uint64
	}{
		"the next":                     {batch: all[6:8], head: 8},
		"all of them again":            {batch: all[0:6], head: 6},
		"the last again":               {batch: all[5:6], head: 6},
		"old ones again":               {batch: all[1:3], head: 6},
		"the last again, and the next": {batch: all[4:8], head: 8},
		"one is missing":               {batch: all[7:8], want: errGap, head: 6},
		"another fourth":               {batch: fork[:1], want: errFork, head: 6},
		"another end":                  {batch: fork, want: errFork, head: 6},
		"another beginning":            {batch: forkAtOne, want: errFork, head: 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir(), realDisk{}, 1) // one segment per batch
			for _, lines := range [][]string{all[:2], all[2:5], all[5:6]} {
				if err := s.append(batchOf(t, lines)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.append(batchOf(t, tt.batch)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			head, err := s.Head(triage)
			if err != nil || head.Seq != tt.head {
				t.Errorf("the head is %v, %v", head, err)
			}
			if diff := cmp.Diff(all[:tt.head], kept(t, s.dir, triage)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewBatchRefuses(t *testing.T) {
	lines, head := seal(t, triage, audit.Head{}, 3, "")
	other := triage
	other.UID = "other"
	foreign, _ := seal(t, other, head, 1, "")
	evil := triage
	evil.Name = "../../etc"
	outside, _ := seal(t, evil, audit.Head{}, 1, "")
	tests := map[string][]string{
		"nothing":            nil,
		"an empty line":      {""},
		"no record":          {`{"a":1}`},
		"an altered record":  {strings.Replace(lines[0], "acme", "acm3", 1)},
		"a gap":              {lines[0], lines[2]},
		"the wrong order":    {lines[1], lines[0]},
		"the same twice":     {lines[0], lines[0]},
		"two Claws":          {lines[0], lines[1], lines[2], foreign[0]},
		"a line break":       {lines[0] + "\n"},
		"two lines in one":   {lines[0] + "\n" + lines[1]},
		"a name with a path": outside,
	}
	for name, lines := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := newBatch(lines); !errors.Is(err, errInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHistoriesAreApart(t *testing.T) {
	s := openStore(t, t.TempDir(), realDisk{}, defaultSegmentSize)
	other := triage
	other.UID = "99999999-2222-3333-4444-555555555555"
	for _, claw := range []audit.ClawRef{triage, other} {
		lines, _ := seal(t, claw, audit.Head{}, 2, "")
		if err := s.append(batchOf(t, lines)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(kept(t, s.dir, triage)); got != 4 {
		t.Errorf("%d records under the name", got)
	}
}

func TestOnlyOneLedgerHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, realDisk{}, 1)
	if _, err := open(dir, realDisk{}, 1); err == nil {
		t.Fatal("a second ledger took the directory")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir, realDisk{}, 1)
}

func TestRecovery(t *testing.T) {
	lines, head := seal(t, triage, audit.Head{}, 4, "")
	whole := strings.Join(lines, "\n") + "\n"
	tests := map[string]struct {
		file string
		head uint64
		ok   bool
	}{
		"whole":                         {file: whole, head: 4, ok: true},
		"half a line at the end":        {file: whole[:len(whole)-20], head: 3, ok: true},
		"no newline at the end":         {file: whole[:len(whole)-1], head: 3, ok: true},
		"zeros at the end":              {file: whole + string(make([]byte, 100)), head: 4, ok: true},
		"many zeros at the end":         {file: whole + string(make([]byte, 3*audit.MaxLine)), head: 4, ok: true},
		"one half line only":            {file: whole[:20], head: 0, ok: true},
		"empty":                         {file: "", head: 0, ok: true},
		"an altered line":               {file: strings.Replace(whole, "acme", "acm3", 1)},
		"a line removed":                {file: strings.Join([]string{lines[0], lines[2], ""}, "\n")},
		"a line of garbage in between":  {file: lines[0] + "\ngarbage\n" + lines[1] + "\n"},
		"a line of garbage at the end":  {file: whole + "garbage\n"},
		"much garbage at the end":       {file: whole + strings.Repeat("x", 3*audit.MaxLine)},
		"the beginning cut off":         {file: lines[1] + "\n"},
		"another Claw's in this place":  {file: anotherClaws(t)},
		"a line break too many between": {file: lines[0] + "\n\n" + lines[1] + "\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, triage.Namespace, triage.Name, triage.UID)
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path, segmentName(1)), []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, dir, realDisk{}, defaultSegmentSize)
			got, err := s.Head(triage)
			if !tt.ok {
				if !errors.Is(err, errUnavailable) || !strings.Contains(err.Error(), "ledger verify") {
					t.Fatalf("got %v, %v", got, err)
				}
				if after, err := os.ReadFile(filepath.Join(path, segmentName(1))); err != nil || string(after) != tt.file {
					t.Error("what cannot be explained was changed")
				}
				return
			}
			if err != nil || got.Seq != tt.head {
				t.Fatalf("got %v, %v", got, err)
			}
			rest := lines[tt.head:]
			if len(rest) == 0 {
				rest, _ = seal(t, triage, head, 1, "")
			}
			if err := s.append(batchOf(t, rest)); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Verify(&out, dir, Selection{}, nil); err != nil {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

func anotherClaws(t *testing.T) string {
	other := triage
	other.Name = "other"
	lines, _ := seal(t, other, audit.Head{}, 1, "")
	return lines[0] + "\n"
}

func TestReadSelectsAndFollows(t *testing.T) {
	s := openStore(t, t.TempDir(), realDisk{}, 1)
	lines, head := seal(t, triage, audit.Head{}, 3, "")
	other := audit.ClawRef{Namespace: "other", Name: "claw", UID: "u"}
	others, _ := seal(t, other, audit.Head{}, 1, "")
	for _, b := range [][]string{lines[:2], lines[2:], others} {
		if err := s.append(batchOf(t, b)); err != nil {
			t.Fatal(err)
		}
	}
	for selected, want := range map[Selection]int{{}: 4, {Namespace: "acme"}: 3, {Claw: "claw"}: 1, {Namespace: "acme", Claw: "claw"}: 0} {
		var out bytes.Buffer
		if err := Read(t.Context(), &out, s.dir, selected, false); err != nil || strings.Count(out.String(), "\n") != want {
			t.Errorf("%+v: %d lines, %v", selected, strings.Count(out.String(), "\n"), err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- errors.Join(Read(ctx, write, s.dir, Selection{Namespace: "acme"}, true), write.Close())
	}()
	more, _ := seal(t, triage, head, 2, "")
	buffer := make([]byte, 1<<16)
	var got string
	for _, step := range []struct{ add, want []string }{{nil, lines}, {more[:1], more[:1]}, {more[1:], more[1:]}} {
		if step.add != nil {
			if err := s.append(batchOf(t, step.add)); err != nil {
				t.Fatal(err)
			}
		}
		want := strings.Join(step.want, "\n") + "\n"
		for got = ""; got != want; {
			n, err := read.Read(buffer)
			if err != nil || len(got) > len(want) {
				t.Fatalf("got %q, %v", got, err)
			}
			got += string(buffer[:n])
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestVerifyNamesTheBrokenHistory(t *testing.T) {
	s := openStore(t, t.TempDir(), realDisk{}, 1)
	lines, head := seal(t, triage, audit.Head{}, 4, "")
	for _, b := range [][]string{lines[:2], lines[2:]} {
		if err := s.append(batchOf(t, b)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := Verify(&out, s.dir, Selection{}, &head); err != nil || !strings.Contains(out.String(), "whole") {
		t.Fatalf("%v: %s", err, out.String())
	}
	segment := filepath.Join(s.dir, triage.Namespace, triage.Name, triage.UID, segmentName(3))
	if err := os.Remove(segment); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := Verify(&out, s.dir, Selection{}, nil); err != nil {
		t.Errorf("without a head a cut-off end cannot be told, but: %v", err)
	}
	out.Reset()
	if err := Verify(&out, s.dir, Selection{}, &head); err == nil || !strings.Contains(out.String(), "truncated") {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := Verify(&out, filepath.Join(s.dir, "nowhere"), Selection{}, nil); err == nil {
		t.Error("a directory that is not there was verified")
	}
}

func TestParseSelection(t *testing.T) {
	tests := map[string]struct {
		namespace, claw string
		want            Selection
		ok              bool
	}{
		"all":               {ok: true},
		"namespace":         {namespace: "acme", want: Selection{Namespace: "acme"}, ok: true},
		"both in one":       {claw: "acme/triage", want: Selection{Namespace: "acme", Claw: "triage"}, ok: true},
		"both apart":        {namespace: "acme", claw: "triage", want: Selection{Namespace: "acme", Claw: "triage"}, ok: true},
		"both, agreeing":    {namespace: "acme", claw: "acme/triage", want: Selection{Namespace: "acme", Claw: "triage"}, ok: true},
		"both, disagreeing": {namespace: "other", claw: "acme/triage"},
		"a path":            {claw: "../etc"},
		"a pattern":         {namespace: "*"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseSelection(tt.namespace, tt.claw)
			if (err == nil) != tt.ok || (tt.ok && got != tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestIdleHistoriesAreClosed(t *testing.T) {
	s := openStore(t, t.TempDir(), realDisk{}, defaultSegmentSize)
	lines, _ := seal(t, triage, audit.Head{}, 2, "")
	if err := s.append(batchOf(t, lines[:1])); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.sweep(time.Now().Add(2 * idleAfter))
	open := len(s.histories)
	s.mu.Unlock()
	if open != 0 {
		t.Errorf("%d histories are open", open)
	}
	if err := s.append(batchOf(t, lines[1:])); err != nil {
		t.Error(err)
	}
}
