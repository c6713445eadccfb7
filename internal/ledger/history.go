package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// What a history answers to a batch that it does not keep.
var (
	// errFork means that the history here is another than the sender's.
	errFork = errors.New("fork")
	// errGap means that records before the batch are missing here.
	errGap = errors.New("gap")
	// errUnavailable means that the disk failed. Nothing of the batch counts as kept.
	errUnavailable = errors.New("the records could not be made durable")
)

const segmentSuffix = ".jsonl"

// history keeps the records of one Claw in segments: files of lines, each named after
// its first record. What is in it before its size was synced; what is behind was not.
type history struct {
	disk        disk
	dir         string
	claw        audit.ClawRef
	segmentSize int64

	mu      sync.Mutex
	waiting []*write
	leading bool // somebody is writing for all who wait

	// The rest belongs to whoever leads.
	opened  bool
	segment file         // the last one; nil before the first record
	name    string       // of the segment
	size    int64        // of the segment, durable
	head    audit.Head   // durable
	tally   *audit.Tally // of the records up to head
}

// write is a batch that waits, or a question where batch is nil.
type write struct {
	batch     *batch
	wantUsage bool
	head      audit.Head
	usage     audit.Usage
	err       error
	done      chan struct{}
}

// do answers a write. Whoever comes while the disk is busy waits, and the next sync is for
// all of them.
func (h *history) do(w *write) {
	w.done = make(chan struct{})
	h.mu.Lock()
	h.waiting = append(h.waiting, w)
	if !h.leading {
		h.leading = true
		go h.lead()
	}
	h.mu.Unlock()
	<-w.done
}

// lead commits group after group until nobody waits.
func (h *history) lead() {
	for {
		h.mu.Lock()
		group := h.waiting
		h.waiting = nil
		h.leading = len(group) > 0
		h.mu.Unlock()
		if len(group) == 0 {
			return
		}
		h.commit(group)
		for _, w := range group {
			close(w.done)
		}
	}
}

// commit writes what is new in a group, syncs once, and answers everybody in it.
func (h *history) commit(group []*write) {
	if err := h.open(); err != nil {
		for _, w := range group {
			w.err = fmt.Errorf("%w: %w", errUnavailable, err)
		}
		return
	}
	head := h.head
	var fresh [][]byte
	for _, w := range group {
		if w.batch == nil {
			continue
		}
		lines, err := h.place(w.batch, head)
		if err != nil {
			w.err = err
			continue
		}
		if len(lines) > 0 {
			fresh = append(fresh, lines...)
			head = w.batch.last().Head()
		}
	}
	var err error
	if len(fresh) > 0 {
		if err = h.append(head, h.head.Seq+1, fresh); err != nil {
			err = fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
	for _, w := range group {
		w.head = h.head
		if w.wantUsage {
			w.usage = h.tally.Usage()
		}
		if w.err == nil && w.batch != nil {
			w.err = err
		}
	}
}

// place says which lines of a batch are new after head. A batch that is here already has none.
func (h *history) place(b *batch, head audit.Head) ([][]byte, error) {
	first, last := b.first(), b.last()
	switch {
	case first.Seq > head.Seq+1:
		return nil, fmt.Errorf("%w: records %d to %d are missing; the history here ends with record %d", errGap, head.Seq+1, first.Seq-1, head.Seq)
	case first.Seq == head.Seq+1:
		if first.Prev != head.Hash {
			return nil, fmt.Errorf("%w: record %d does not follow the record %d that is here", errFork, first.Seq, head.Seq)
		}
		return b.lines, nil
	case last.Seq >= head.Seq: // hashes cover all before them, so the one at head speaks for the rest
		known := int(head.Seq - first.Seq)
		if b.links[known].Hash != head.Hash {
			return nil, fmt.Errorf("%w: there is another record %d here", errFork, head.Seq)
		}
		return b.lines[known+1:], nil
	}
	hash, err := h.hashAt(last.Seq)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	case hash != last.Hash:
		return nil, fmt.Errorf("%w: there is another record %d here", errFork, last.Seq)
	}
	return nil, nil
}

// append writes lines and makes them durable, or fails and leaves the history closed: what
// is on the disk is then unknown, and open finds out.
func (h *history) append(head audit.Head, seq uint64, lines [][]byte) (err error) {
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.segment == nil || h.size >= h.segmentSize {
		if err := h.rotate(seq); err != nil {
			return fmt.Errorf("begin a segment: %w", err)
		}
	}
	data := bytes.Join(lines, nil)
	if _, err := h.segment.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := h.segment.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	h.size += int64(len(data))
	h.head = head
	for _, line := range lines {
		h.tally.AddLine(line)
	}
	return nil
}

// rotate begins the segment whose first record is seq.
func (h *history) rotate(seq uint64) error {
	if err := h.disk.makeDir(h.dir); err != nil {
		return err
	}
	name := segmentName(seq)
	if err := h.writeCheckpoint(name); err != nil {
		return err
	}
	next, err := h.disk.openFile(filepath.Join(h.dir, name), true)
	if err != nil {
		return err
	}
	if err := h.syncPath(); err != nil {
		return errors.Join(err, next.Close())
	}
	if h.segment != nil {
		_ = h.segment.Close() // all of it was synced
	}
	h.segment, h.name, h.size = next, name, 0
	return nil
}

// close forgets the open segment, but neither its name nor how much of it is durable.
func (h *history) close() {
	h.opened = false
	if h.segment != nil {
		// Best tried at once: whoever reads the file before open does should not find it either.
		_ = h.segment.Truncate(h.size)
		_ = h.segment.Close()
		h.segment = nil
	}
}

// shut closes a history that nobody uses. All of it is durable.
func (h *history) shut() {
	if h.segment != nil {
		_ = h.segment.Close()
	}
	h.segment, h.opened, h.tally = nil, false, nil
}
