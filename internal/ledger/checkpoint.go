package ledger

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// What a Claw did in a day can be in many segments, and a history is opened by reading its last. So beside each segment
// there is a checkpoint: what the records before it came to. It is no record, and proves nothing: it saves reading them,
// and where it is missing they are read.

const checkpointSuffix = ".usage"

func checkpointName(segment string) string {
	return strings.TrimSuffix(segment, segmentSuffix) + checkpointSuffix
}

// writeCheckpoint notes what all records so far came to, before the segment that comes next.
func (h *history) writeCheckpoint(segment string) error {
	text, err := json.Marshal(h.tally.Usage())
	if err != nil {
		return err
	}
	return h.disk.writeFile(filepath.Join(h.dir, checkpointName(segment)), text)
}

// readCheckpoint is nil where there is none that can be read.
func (h *history) readCheckpoint(segment string) *audit.Tally {
	f, err := h.disk.openFile(filepath.Join(h.dir, checkpointName(segment)), false)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, audit.MaxUsage))
	var u audit.Usage
	if err != nil || json.Unmarshal(text, &u) != nil {
		return nil
	}
	return audit.TallyOf(u)
}

// tallyBefore is what the records before the last of some segments came to.
func (h *history) tallyBefore(names []string) (*audit.Tally, error) {
	from := len(names) - 1
	tally := h.readCheckpoint(names[from])
	for tally == nil && from > 0 {
		from--
		tally = h.readCheckpoint(names[from])
	}
	if tally == nil { // the first there is
		tally = &audit.Tally{}
	}
	for _, name := range names[from : len(names)-1] {
		if err := h.count(name, tally); err != nil {
			return nil, fmt.Errorf("segment %s: %w; see 'ledger verify'", filepath.Join(h.dir, name), err)
		}
	}
	return tally, nil
}

// count adds a segment's records.
func (h *history) count(name string, tally *audit.Tally) error {
	f, err := h.disk.openFile(filepath.Join(h.dir, name), false)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, _, _, err = h.scan(f, firstSeq(name), -1, tally)
	return err
}
