package ledger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// followInterval is how often a reader that follows looks for more.
const followInterval = 200 * time.Millisecond

// Selection says whose histories are meant. An empty field means any.
type Selection struct {
	Namespace, Claw string
}

// ParseSelection reads CLAW or NAMESPACE/CLAW, and a namespace given beside it.
func ParseSelection(namespace, claw string) (Selection, error) {
	s := Selection{Namespace: namespace, Claw: claw}
	if ns, name, ok := strings.Cut(claw, "/"); ok {
		if namespace != "" && namespace != ns {
			return s, fmt.Errorf("--claw %s is not in the namespace %s of --namespace", claw, namespace)
		}
		s = Selection{Namespace: ns, Claw: name}
	}
	for _, name := range []string{s.Namespace, s.Claw} {
		if name != "" && !nameFormat.MatchString(name) {
			return s, fmt.Errorf("%q is no name of a namespace or Claw", name)
		}
	}
	return s, nil
}

// stored is one history on the disk, as a reader sees it.
type stored struct {
	claw    audit.ClawRef
	history *history
	first   time.Time // of its first record
	segment int       // being read
	offset  int64     // how much of it was read
}

// find lists the selected histories; those of one Claw name in the order they began.
func find(dir string, selected Selection) ([]*stored, error) {
	paths, err := filepath.Glob(filepath.Join(dir, cmp.Or(selected.Namespace, "*"), cmp.Or(selected.Claw, "*"), "*"))
	if err != nil {
		return nil, err
	}
	var found []*stored
	for _, path := range paths {
		uid, name := filepath.Base(path), filepath.Base(filepath.Dir(path))
		claw := audit.ClawRef{Namespace: filepath.Base(filepath.Dir(filepath.Dir(path))), Name: name, UID: uid}
		if checkClaw(claw) != nil {
			continue
		}
		s := &stored{claw: claw, history: &history{disk: realDisk{}, dir: path, claw: claw}}
		if s.first, err = s.began(); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	slices.SortStableFunc(found, func(a, b *stored) int {
		return cmp.Or(cmp.Compare(a.claw.Namespace, b.claw.Namespace), cmp.Compare(a.claw.Name, b.claw.Name), a.first.Compare(b.first))
	})
	return found, nil
}

// began is when a history's first record was written; zero if that cannot be told.
func (s *stored) began() (time.Time, error) {
	names, err := s.history.segments()
	if err != nil || len(names) == 0 {
		return time.Time{}, err
	}
	f, err := os.Open(filepath.Join(s.history.dir, names[0]))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = f.Close() }()
	var record struct {
		Time time.Time `json:"time"`
	}
	if err := json.NewDecoder(io.LimitReader(f, audit.MaxLine)).Decode(&record); err != nil {
		return time.Time{}, nil //nolint:nilerr // a history that cannot be read is still to be shown, and verified
	}
	return record.Time, nil
}

// Read prints the selected records, a line each, as they were sealed. With follow it goes on
// with what comes, until ctx is done.
func Read(ctx context.Context, out io.Writer, dir string, selected Selection, follow bool) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	known := map[audit.ClawRef]*stored{}
	for {
		found, err := find(dir, selected)
		if err != nil {
			return err
		}
		for _, s := range found {
			if known[s.claw] == nil {
				known[s.claw] = s
			}
			if err := known[s.claw].copyNew(out); err != nil {
				return fmt.Errorf("read the history of %s/%s: %w", s.claw.Namespace, s.claw.Name, err)
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followInterval):
		}
	}
}

// copyNew prints the whole lines that were not printed yet.
func (s *stored) copyNew(out io.Writer) error {
	names, err := s.history.segments()
	if err != nil {
		return err
	}
	for ; s.segment < len(names); s.segment++ {
		if err := s.copySegment(out, names[s.segment]); err != nil {
			return err
		}
		if s.segment == len(names)-1 {
			return nil // it may still grow
		}
		s.offset = 0
	}
	return nil
}

func (s *stored) copySegment(out io.Writer, name string) error {
	f, err := os.Open(filepath.Join(s.history.dir, name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	buffer := make([]byte, audit.MaxLine+1)
	for {
		n, err := f.ReadAt(buffer, s.offset)
		whole := bytes.LastIndexByte(buffer[:n], '\n') + 1
		if _, err := out.Write(buffer[:whole]); err != nil {
			return err
		}
		s.offset += int64(whole)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case err != nil:
			return nil
		case whole == 0:
			return fmt.Errorf("%s: a line is longer than any record", name)
		}
	}
}

// Verify checks the selected histories and prints a line for each. Where expected is not
// nil, exactly one history must be selected, and contain it.
func Verify(out io.Writer, dir string, selected Selection, expected *audit.Head) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	found, err := find(dir, selected)
	if err != nil {
		return err
	}
	if expected != nil && len(found) != 1 {
		return fmt.Errorf("--head is that of one history, but %d are selected: name one with --claw", len(found))
	}
	broken := 0
	for _, s := range found {
		head, err := s.verify(expected)
		verdict := "whole"
		if err != nil {
			broken++
			verdict = err.Error()
		}
		if _, err := fmt.Fprintf(out, "%s/%s (%s): %d record(s), head %s: %s\n", s.claw.Namespace, s.claw.Name, s.claw.UID, head.Seq, head, verdict); err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d of %d histories are not whole", broken, len(found))
	}
	return nil
}

// verify reads all segments of a history as one.
func (s *stored) verify(expected *audit.Head) (audit.Head, error) {
	names, err := s.history.segments()
	if err != nil {
		return audit.Head{}, err
	}
	var parts []io.Reader
	for _, name := range names {
		f, err := os.Open(filepath.Join(s.history.dir, name))
		if err != nil {
			return audit.Head{}, err
		}
		defer func() { _ = f.Close() }()
		parts = append(parts, f)
	}
	return audit.VerifyClaw(io.MultiReader(parts...), s.claw, expected)
}
