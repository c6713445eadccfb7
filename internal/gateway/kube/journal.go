package kube

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// journalPause is how long the journal waits for room.
const journalPause = time.Second

// journal records what the gateway does itself, in order, without holding it up.
type journal struct {
	log     audit.Log
	entries chan audit.Record
}

func newJournal(log audit.Log) *journal {
	return &journal{log: log, entries: make(chan audit.Record, 256)}
}

func (j *journal) add(r audit.Record) {
	select {
	case j.entries <- r:
	default:
		slog.Error("a control record is lost: too many wait", "operation", r.Operation, "reason", r.Reason)
	}
}

func (j *journal) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-j.entries:
			j.append(ctx, r)
		}
	}
}

// append returns when the record is durable, or never can be.
func (j *journal) append(ctx context.Context, r audit.Record) {
	for {
		_, err := j.log.Append(ctx, r)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !errors.Is(err, audit.ErrBusy) {
			slog.Error("a control record is lost", "operation", r.Operation, "error", err)
			return
		}
		select {
		case <-time.After(journalPause):
		case <-ctx.Done():
			return
		}
	}
}
