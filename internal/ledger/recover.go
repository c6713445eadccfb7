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

	"github.com/clawstaff/clawstaff/internal/audit"
)

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
	head, tally := audit.Head{}, &audit.Tally{}
	for i, name := range slices.Backward(names) {
		keep := int64(-1)
		if name == h.name { // a write failed while we ran: we know what is durable
			keep = h.size
		} else if h.name != "" && name > h.name {
			keep = 0 // begun for the write that failed
		}
		if tally, err = h.tallyBefore(names[:i+1]); err != nil {
			return err
		}
		segment, found, size, err := h.recover(name, keep, tally)
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
	h.head, h.tally, h.opened = head, tally, true
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
// and counts it, and returns the head it ends with; the zero Head if it is empty.
func (h *history) recover(name string, keep int64, tally *audit.Tally) (segment file, head audit.Head, size int64, err error) {
	opened, err := h.disk.openFile(filepath.Join(h.dir, name), false)
	if err != nil {
		return nil, head, 0, err
	}
	defer func() {
		if err != nil {
			_ = opened.Close()
		}
	}()
	head, whole, total, err := h.scan(opened, firstSeq(name), keep, tally)
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

// scan checks and counts the lines of a segment that begins with record first, at most keep bytes of
// them where it is not negative. It returns the head, how many bytes are whole lines, and how many
// there are.
func (h *history) scan(segment io.Reader, first uint64, keep int64, tally *audit.Tally) (head audit.Head, whole, total int64, err error) {
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
		ended := errors.Is(readErr, io.EOF)
		if readErr != nil && !ended {
			return head, whole, total, readErr
		}
		if keep >= 0 && total > keep {
			rest, err := io.Copy(io.Discard, lines)
			return v.Head, whole, total + rest, err
		}
		if ended {
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
		tally.AddLine(line)
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
