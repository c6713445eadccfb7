package audit

import (
	"errors"
	"strconv"
	"time"
)

// shipment is what is sent to the ledger at once, and the memory it takes, which the next one uses again.
type shipment struct {
	chain  *Chain
	batch  []sealed
	lines  []byte // of all records, one behind the other
	body   []byte // of the request
	mirror []byte // of standard output
}

// sealed is a record with its place in the history.
type sealed struct {
	record   Record
	from, to int // where its line is
	waiter   *pending
}

func (s *sealed) size() int { return s.to - s.from }

// line is that of the i-th record.
func (s *shipment) line(i int) []byte { return s.lines[s.batch[i].from:s.batch[i].to] }

// seal gives a record its place, unless nobody waits for it any more.
func (s *shipment) seal(p *pending, now time.Time) {
	if p.ctx.Err() != nil {
		return
	}
	record, lines, err := s.chain.AppendSeal(s.lines, p.record, now)
	if errors.Is(err, ErrTooLong) && len(p.record.Parameters) > 0 {
		p.record.Parameters = cut(p.record.Parameters)
		record, lines, err = s.chain.AppendSeal(s.lines, p.record, now)
	}
	if err != nil {
		p.done <- result{err: err}
		return
	}
	s.batch = append(s.batch, sealed{record: record, from: len(s.lines), to: len(lines), waiter: p})
	s.lines = lines
}

// maxKept is how much memory of each kind is kept for the next shipment: an idle gateway has little.
const maxKept = 256 << 10

// reset makes room for the next. What an attempt that failed has been given may still be read: it is not used again.
func (s *shipment) reset(answered bool) {
	clear(s.batch) // whoever waited is not kept
	s.batch = s.batch[:0]
	if !answered {
		s.lines, s.body, s.mirror = nil, nil, nil
		return
	}
	s.lines, s.body, s.mirror = kept(s.lines), kept(s.body), kept(s.mirror)
}

func kept(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// appendMirror writes what namespace viewers may know of each record, a line each: no parameters, nobody's words, no names
// of people or resources.
func (s *shipment) appendMirror(b []byte) []byte {
	for i := range s.batch {
		b = appendMirrored(b, &s.batch[i].record)
	}
	return b
}

func appendMirrored(b []byte, r *Record) []byte {
	b, _ = appendTime(append(b, `{"time":`...), r.Time) // which was written before
	b = strconv.AppendUint(append(b, `,"record":`...), r.Seq, 10)
	b = appendMember(b, `,"hash":`, r.Hash)
	b = appendMember(b, `,"phase":`, r.Phase)
	b = appendMember(b, `,"direction":`, r.Direction)
	b = appendMember(b, `,"kind":`, r.Kind)
	b = appendOptional(b, `,"connector":`, r.Connector)
	b = appendOptional(b, `,"operation":`, r.Operation)
	b = appendOptional(b, `,"action":`, r.Action)
	b = appendMember(b, `,"decision":`, r.Decision)
	b = appendOptional(b, `,"rule":`, r.Rule)
	b = appendOptional(b, `,"credential":`, r.Credential)
	if r.Upstream != nil {
		b = appendNumber(b, `,"status":`, int64(r.Upstream.Status))
	}
	b = appendNumber(b, `,"latencyMs":`, r.LatencyMS)
	return append(b, "}\n"...)
}
