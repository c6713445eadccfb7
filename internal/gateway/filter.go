package gateway

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// Of an answer that can hold what the grant does not cover, the agent sees what is left when that is taken out. What
// cannot be looked into is not passed on.

var (
	errNotUnderstood = errors.New("the answer is not what it should be, so that nothing of it is passed on")
	errAnswerSize    = errors.New("the answer is too large to be looked into")
)

// filter is how the answer is looked into; nil if it is passed on as it comes. Errors of a service are.
func (ex *exchange) filter() func(*secrets) bool {
	switch {
	case ex.status >= http.StatusBadRequest || !ex.call.Filters():
		return nil
	case ex.status >= http.StatusMultipleChoices:
		return ex.passHead
	case ex.status == http.StatusPartialContent:
		return func(*secrets) bool { return ex.withhold("a part of an answer cannot be looked into") }
	}
	media, _, _ := mime.ParseMediaType(ex.answer.Header.Get("Content-Type"))
	if media == "text/event-stream" {
		return ex.filterEvents
	}
	return ex.filterWhole
}

// passHead passes an answer on without what is in it.
func (ex *exchange) passHead(secrets *secrets) bool {
	ex.answer.ContentLength = 0
	ex.started = true
	ex.over()
	err := ex.write(ex.answerHead(secrets, false, false))
	ex.result = ex.ending(err)
	return err == nil
}

// filterWhole reads the whole answer, and passes on what is left of it.
func (ex *exchange) filterWhole(secrets *secrets) bool {
	whole := ex.hoard(ex.s.p.limits.Body)
	defer whole.free()
	ex.silence.Reset(ex.s.p.limits.Answer)
	if err := ex.gather(&whole); err != nil {
		switch {
		case errors.Is(err, errHoardFull):
			return ex.withhold(errAnswerSize.Error())
		case errors.Is(err, errNoRoom):
			return ex.withhold(errNoRoom.Error())
		default:
			return ex.fail(err)
		}
	}
	out := whole.data
	if len(out) > 0 {
		var err error
		if out, ex.taken, err = ex.call.FilterAnswer(out, ex.sight()); err != nil {
			return ex.withhold(errNotUnderstood.Error())
		}
		if out == nil {
			return ex.uncovered()
		}
	}
	secrets.scrub(out)
	out, tooLarge := ex.within(out)
	if tooLarge != nil {
		ex.received = 0
		return ex.withhold(answerTooLarge(ex.answerLimit()))
	}
	ex.answer.ContentLength = int64(len(out))
	ex.started = true
	ex.over()
	err := ex.write(append(ex.answerHead(secrets, false, false), out...))
	ex.result = ex.ending(err)
	return err == nil
}

// uncovered tells the agent that there is nothing, where nothing of the answer is for it.
func (ex *exchange) uncovered() bool {
	ex.result = "nothing of the answer is covered by the grant"
	return ex.tell(&Denial{Status: http.StatusNotFound, Code: codeDenied, Reason: ex.result}, ex.decided.Seq)
}

// gather reads the answer to its end.
func (ex *exchange) gather(whole *hoard) error {
	pooled := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(pooled)
	for {
		n, err := ex.answer.Body.Read(*pooled)
		if err := whole.add((*pooled)[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// filterEvents passes the events of a stream on as they come, each with what is left of it.
func (ex *exchange) filterEvents(secrets *secrets) bool {
	ex.started = true
	err := ex.write(ex.answerHead(secrets, true, false))
	if err == nil {
		err = ex.copyEvents(secrets)
	}
	if err == nil {
		err = ex.finish(true)
	}
	if ex.result = ex.ending(err); errors.Is(err, errNotUnderstood) || errors.Is(err, errAnswerSize) {
		ex.result = err.Error()
	}
	return err == nil
}

func (ex *exchange) copyEvents(secrets *secrets) error {
	events := &eventReader{line: ex.hoard(0), data: ex.hoard(0)}
	defer events.free()
	pooled := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(pooled)
	var out []byte
	each := func(e *event) error {
		if len(e.data) > 0 {
			left, taken, err := ex.call.FilterAnswer(e.data, ex.sight())
			if err != nil {
				return errNotUnderstood
			}
			ex.taken += taken
			if e.data = left; left == nil {
				return nil
			}
		}
		out = e.append(out)
		return nil
	}
	for {
		ex.silence.Reset(ex.s.p.limits.Upstream)
		n, end := ex.answer.Body.Read(*pooled)
		err := events.take((*pooled)[:n], each)
		if errors.Is(err, errHoardFull) || errors.Is(err, errNoRoom) {
			err = errAnswerSize
		}
		secrets.scrub(out)
		if writing := ex.writeChunk(out); err == nil {
			err = writing
		}
		if out = out[:0]; err != nil {
			return err
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

// writeChunk writes one chunk, as far as the limit of an answer lets it.
func (ex *exchange) writeChunk(data []byte) error {
	data, tooLarge := ex.within(data)
	if len(data) == 0 {
		return tooLarge
	}
	out := strconv.AppendInt(make([]byte, 0, len(data)+2*chunkRoom), int64(len(data)), 16)
	out = append(append(append(out, "\r\n"...), data...), "\r\n"...)
	if err := ex.write(out); err != nil {
		return err
	}
	return tooLarge
}
