// Package ledger keeps the records of all Claws: OTLP in, append-only files on a
// disk, one history per Claw. It acknowledges nothing that is not durable, and keeps
// nothing that does not continue the history it has.
package ledger

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// defaultSegmentSize is when the next file is begun. A segment is read when a history is opened.
const defaultSegmentSize = 16 << 20

// idleAfter is how long a history stays open after its last use.
const idleAfter = 10 * time.Minute

// maxOpen is how many histories of one Claw are open at once. A Claw has one; those of its name that are gone are read
// again now and then, and the UID of a history is its sender's word.
const maxOpen = 8

// Store is the data directory: NAMESPACE/CLAW/UID/FIRST-RECORD.jsonl.
type Store struct {
	dir         string
	disk        disk
	segmentSize int64
	lock        io.Closer

	mu        sync.Mutex
	histories map[audit.ClawRef]*openHistory
	swept     time.Time
}

type openHistory struct {
	*history
	users int
	used  time.Time
}

// Open takes the data directory for this process alone.
func Open(dir string) (*Store, error) { return open(dir, realDisk{}, defaultSegmentSize) }

func open(dir string, d disk, segmentSize int64) (*Store, error) {
	if err := d.makeDir(dir); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	l, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("take the data directory: %w", err)
	}
	return &Store{dir: dir, disk: d, segmentSize: segmentSize, lock: l, histories: map[audit.ClawRef]*openHistory{}}, nil
}

// Close gives the data directory back. Nothing may be under way.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.histories {
		h.shut()
	}
	s.histories = nil
	return s.lock.Close()
}

// Head of a Claw's history; the zero Head if there is none.
func (s *Store) Head(claw audit.ClawRef) (audit.Head, error) {
	if err := checkClaw(claw); err != nil {
		return audit.Head{}, err
	}
	w := &write{}
	err := s.do(claw, w)
	return w.head, err
}

// Usage is what a Claw did lately, by its records.
func (s *Store) Usage(claw audit.ClawRef) (audit.Usage, error) {
	if err := checkClaw(claw); err != nil {
		return audit.Usage{}, err
	}
	w := &write{wantUsage: true}
	err := s.do(claw, w)
	return w.usage, err
}

// append returns when the batch is durable.
func (s *Store) append(b *batch) error {
	return s.do(b.claw, &write{batch: b})
}

func (s *Store) do(claw audit.ClawRef, w *write) error {
	h, err := s.acquire(claw)
	if err != nil {
		return err
	}
	defer s.release(h)
	h.do(w)
	return w.err
}

func (s *Store) acquire(claw audit.ClawRef) (*openHistory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.histories == nil {
		return nil, fmt.Errorf("%w: the ledger is closed", errUnavailable)
	}
	s.sweep(time.Now())
	h := s.histories[claw]
	if h == nil {
		if err := s.makeRoom(claw); err != nil {
			return nil, err
		}
		h = &openHistory{history: &history{
			disk: s.disk, claw: claw, segmentSize: s.segmentSize,
			dir: filepath.Join(s.dir, claw.Namespace, claw.Name, claw.UID),
		}}
		s.histories[claw] = h
	}
	h.users++
	return h, nil
}

func (s *Store) release(h *openHistory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.users--
	h.used = time.Now()
}

// sweep closes histories that nobody has used for a while: files and memory are for the living.
func (s *Store) sweep(now time.Time) {
	if now.Sub(s.swept) < idleAfter/10 {
		return
	}
	s.swept = now
	for claw, h := range s.histories {
		if h.users == 0 && now.Sub(h.used) > idleAfter {
			h.shut()
			delete(s.histories, claw)
		}
	}
}

// makeRoom closes the history of a Claw's name that was not used for longest, if too many are open.
func (s *Store) makeRoom(claw audit.ClawRef) error {
	open := 0
	var oldest *openHistory
	for other, h := range s.histories {
		if other.Namespace != claw.Namespace || other.Name != claw.Name {
			continue
		}
		open++
		if h.users == 0 && (oldest == nil || h.used.Before(oldest.used)) {
			oldest = h
		}
	}
	switch {
	case open < maxOpen:
		return nil
	case oldest == nil:
		return fmt.Errorf("%w: too many histories of this Claw are in use", errUnavailable)
	}
	oldest.shut()
	delete(s.histories, oldest.claw)
	return nil
}

// unavailable reports whether trying again later can help.
func unavailable(err error) bool { return errors.Is(err, errUnavailable) }
