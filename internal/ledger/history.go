package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	segment file       // the last one; nil before the first record
	name    string     // of the segment
	size    int64      // of the segment, durable
	head    audit.Head // durable
}

// write is a batch that waits, or a question for the head where batch is nil.
type write struct {
	batch *batch
	head  audit.Head
	err   error
	done  chan struct{}
}

// do answers a write. Whoever comes while the disk is busy waits, and the next sync is for
// all of them.
func (h *history) do(w *write) (audit.Head, error) {
	w.done = make(chan struct{})
	h.mu.Lock()
	h.waiting = append(h.waiting, w)
	if !h.leading {
		h.leading = true
		go h.lead()
	}
	h.mu.Unlock()
	<-w.done
	return w.head, w.err
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
	return nil
}

// rotate begins the segment whose first record is seq.
func (h *history) rotate(seq uint64) error {
	if err := h.disk.makeDir(h.dir); err != nil {
		return err
	}
	name := segmentName(seq)
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

// open reads the end of the history from the disk, unless it is known. What was never
// acknowledged because a write failed, and a last line that was not finished, is cut off.
func (h *history) open() (err error) {
	if h.opened {
		return nil
	}
	defer func() {
		if err != nil {
			h.shut()
		}
	}()
	names, err := h.segments()
	if err != nil {
		return err
	}
	head := audit.Head{}
	for i, name := range slices.Backward(names) {
		keep := int64(-1)
		if name == h.name { // a write failed while we ran: we know what is durable
			keep = h.size
		} else if h.name != "" && name > h.name {
			keep = 0 // begun for the write that failed
		}
		segment, found, size, err := h.recover(name, keep)
		if err != nil {
			return fmt.Errorf("segment %s: %w", filepath.Join(h.dir, name), err)
		}
		if i == len(names)-1 {
			h.segment, h.name, h.size = segment, name, size
		} else {
			_ = segment.Close()
		}
		if head = found; head.Seq > 0 {
			break
		}
	}
	if len(names) > 0 {
		if err := h.syncPath(); err != nil { // it may never have been, for the last one who used it
			return err
		}
	}
	h.head, h.opened = head, true
	return nil
}

// syncPath makes the names of the segments durable, and those of the directories that lead to them.
func (h *history) syncPath() error {
	dir := h.dir
	for range 4 { // UID, Claw, namespace, data directory
		if err := h.disk.syncDir(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// recover opens a segment, cuts it to keep bytes (or, if negative, to its whole lines), checks
// it, and returns the head it ends with; the zero Head if it is empty.
func (h *history) recover(name string, keep int64) (segment file, head audit.Head, size int64, err error) {
	opened, err := h.disk.openFile(filepath.Join(h.dir, name), false)
	if err != nil {
		return nil, head, 0, err
	}
	defer func() {
		if err != nil {
			_ = opened.Close()
		}
	}()
	head, whole, total, err := h.scan(opened, firstSeq(name), keep)
	if err != nil {
		return nil, head, 0, fmt.Errorf("%w; see 'ledger verify'", err)
	}
	if keep >= 0 && whole != keep {
		return nil, head, 0, fmt.Errorf("%d bytes were durable, %d are there", keep, whole)
	}
	if whole < total {
		if err := opened.Truncate(whole); err != nil {
			return nil, head, 0, fmt.Errorf("cut off what was not acknowledged: %w", err)
		}
	}
	// Also where nothing was cut: what an earlier process wrote may not have been synced.
	return opened, head, whole, opened.Sync()
}

// scan checks the lines of a segment that begins with record first, at most keep bytes of them
// where it is not negative. It returns the head, how many bytes are whole lines, and how many
// there are.
func (h *history) scan(segment io.Reader, first uint64, keep int64) (head audit.Head, whole, total int64, err error) {
	lines := bufio.NewReaderSize(segment, audit.MaxLine+1)
	v := audit.Verifier{Claw: &h.claw}
	for {
		line, readErr := lines.ReadSlice('\n')
		total += int64(len(line))
		if errors.Is(readErr, bufio.ErrBufferFull) {
			rest, err := io.Copy(io.Discard, lines) // a write that was not finished can leave zeros
			if err != nil {
				return head, whole, total, err
			}
			if total += rest; keep < 0 && len(bytes.Trim(line, "\x00")) > 0 {
				return head, whole, total, errors.New("a line is longer than any record")
			}
			return v.Head, whole, total, nil
		}
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return head, whole, total, readErr
		}
		if keep >= 0 && total > keep {
			rest, err := io.Copy(io.Discard, lines)
			return v.Head, whole, total + rest, err
		}
		if readErr != nil {
			return v.Head, whole, total, nil // line is empty, or was not finished
		}
		link, err := audit.ParseLink(line[:len(line)-1])
		if err != nil {
			return head, whole, total, err
		}
		if whole == 0 {
			v.Head = audit.Head{Seq: first - 1, Hash: link.Prev}
		}
		if err := v.Follow(link); err != nil {
			return head, whole, total, err
		}
		whole = total
	}
}

// hashAt finds the hash of a record that is here.
func (h *history) hashAt(seq uint64) (string, error) {
	names, err := h.segments()
	if err != nil {
		return "", err
	}
	for _, name := range slices.Backward(names) {
		if firstSeq(name) > seq {
			continue
		}
		segment, err := h.disk.openFile(filepath.Join(h.dir, name), false)
		if err != nil {
			return "", err
		}
		defer func() { _ = segment.Close() }()
		lines := bufio.NewReaderSize(segment, audit.MaxLine+1)
		for {
			line, err := lines.ReadSlice('\n')
			if err != nil {
				return "", fmt.Errorf("record %d is not in %s: %w", seq, name, err)
			}
			link, err := audit.ParseLink(line[:len(line)-1])
			if err != nil {
				return "", err
			}
			if link.Seq == seq {
				return link.Hash, nil
			}
		}
	}
	return "", fmt.Errorf("record %d is in no segment", seq)
}

// segments lists the history's files, oldest first.
func (h *history) segments() ([]string, error) {
	names, err := h.disk.readDir(h.dir)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return firstSeq(name) == 0 })
	slices.Sort(names)
	return names, nil
}

func segmentName(seq uint64) string { return fmt.Sprintf("%020d%s", seq, segmentSuffix) }

// firstSeq is the first record of a segment, 0 if the name is not a segment's.
func firstSeq(name string) uint64 {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	seq, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || segmentName(seq) != name {
		return 0
	}
	return seq
}

// shut closes a history that nobody uses. All of it is durable.
func (h *history) shut() {
	if h.segment != nil {
		_ = h.segment.Close()
	}
	h.segment, h.opened = nil, false
}
