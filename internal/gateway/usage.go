package gateway

import (
	"mime"
	"net/http"
	"time"

	"github.com/clawstaff/clawstaff/internal/connector"
)

// What a model took is in its answer, which is looked at as it passes and never held up: an event of a stream is counted
// when it ends, any other answer when all of it has passed.

// tap looks at an answer that passes. A nil tap looks at nothing.
type tap struct {
	ex      *exchange
	key     string // under which the meter counts
	counter *connector.TokenCounter
	counted int64 // that the meter knows of

	events  *eventReader // of a stream; nil of any other answer
	whole   hoard
	passed  int64 // bytes, or events of a stream
	blind   bool  // what passes is too large to be looked into
	wrapped bool  // the answer is text in which tokens are
}

// newTap returns a tap for an answer that says how many tokens it took.
func (ex *exchange) newTap() *tap {
	op := ex.call.Operation
	if op.Usage == nil || ex.status < http.StatusOK || ex.status >= http.StatusMultipleChoices {
		return nil
	}
	t := &tap{ex: ex, counter: op.Usage.Counter()}
	if keys := ex.models(); len(keys) > 0 {
		t.key = keys[0]
	}
	switch media, _, _ := mime.ParseMediaType(ex.answer.Header.Get("Content-Type")); media {
	case "text/event-stream":
		t.events, t.wrapped = &eventReader{line: ex.hoard(0), data: ex.hoard(0)}, true
	case "application/json":
		t.whole, t.wrapped = ex.hoard(0), true
	default:
		t.blind = true
	}
	return t
}

func (t *tap) take(piece []byte) {
	switch {
	case t == nil:
	case t.events != nil:
		if !t.blind {
			t.blind = t.events.take(piece, t.event) != nil
		}
		t.note(t.counter.Total())
	default:
		t.passed += int64(len(piece))
		if !t.blind {
			t.blind = t.whole.add(piece) != nil
		}
	}
}

func (t *tap) event(e *event) error {
	if len(e.data) > 0 {
		t.passed++
		t.counter.Add(e.data)
	}
	return nil
}

// end counts what is known when the answer has ended. One that did not say, or was not heard to its end, is counted by
// its size as well: nobody takes tokens that are not counted by hanging up too early.
func (t *tap) end(complete bool) {
	if t == nil {
		return
	}
	if t.events != nil {
		t.events.free()
	} else if !t.blind {
		t.counter.Add(t.whole.data)
	}
	t.whole.free()
	total := t.counter.Total()
	if total == 0 || !complete {
		total = max(total, t.bySize())
	}
	t.note(total)
}

// bytesPerToken is about how long a token is. A stream has at most a few of them in an event.
const bytesPerToken = 4

func (t *tap) bySize() int64 {
	tokens := int64(len(t.ex.call.Body)) / bytesPerToken
	switch {
	case t.events != nil:
		tokens += t.passed
	case t.wrapped:
		tokens += t.passed / bytesPerToken
	}
	return tokens
}

// note tells the meter of what it does not know yet.
func (t *tap) note(total int64) {
	if more := total - t.counted; more > 0 {
		t.counted = total
		t.ex.s.p.cfg.Meter.AddTokens(t.key, more, t.ex.s.p.cfg.Clock.Now())
		t.ex.tokens += more
	}
}

// hoard returns a place for what has to be looked at whole, and for how long room for it is waited for.
func (ex *exchange) hoard(patience time.Duration) hoard {
	return hoard{memory: ex.s.p.memory, ctx: ex.s.ctx, limit: ex.s.p.limits.AnswerBytes, patience: patience}
}
