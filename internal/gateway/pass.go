package gateway

import (
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	relayBuffer = 32 << 10
	chunkRoom   = 10 // for the size before a chunk, in hexadecimal
)

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, chunkRoom+relayBuffer+2); return &b }}

// relay passes the answer on as it comes, without secrets. It reports whether the connection can be used further.
func (ex *exchange) relay() bool {
	defer ex.cancel()
	defer ex.silence.Stop()
	defer ex.answer.Body.Close()
	ex.digest = sha256.New()
	secrets := ex.s.p.secretsOf(ex.snap)
	bodiless := ex.h.method == http.MethodHead || ex.status == http.StatusNoContent || ex.status == http.StatusNotModified
	if limit := ex.answerLimit(); !bodiless && limit > 0 && ex.answer.ContentLength > limit {
		return ex.withhold(answerTooLarge(limit))
	}
	if !bodiless {
		if f := ex.filter(); f != nil {
			ex.filtered = true
			return f(secrets)
		}
	}
	chunked := ex.answer.ContentLength < 0 && !bodiless
	head := ex.answerHead(secrets, chunked, bodiless)
	ex.started = true
	if bodiless {
		ex.over()
		err := ex.write(head)
		ex.result = ex.ending(err)
		return err == nil
	}
	// A short answer whose length is known goes out in one piece; one that streams begins at once.
	if chunked {
		if ex.write(head) != nil {
			return false
		}
		head = nil
	}
	ex.tap = ex.newTap()
	err := ex.copyBody(secrets, head, chunked)
	ex.tap.end(err == nil)
	ex.result = ex.ending(err)
	return err == nil
}

// withhold tells the agent that the answer is not passed on, and notes why for the outcome.
func (ex *exchange) withhold(reason string) bool {
	ex.result = reason
	return ex.tell(&Denial{Status: http.StatusBadGateway, Code: codeWithheld, Reason: reason}, ex.decided.Seq)
}

// codeWithheld is the code of an answer that is not passed on.
const codeWithheld = "claw_answer_withheld"

// copyBody reads, scrubs and writes piece by piece. What may be the beginning of a secret waits for what follows it.
func (ex *exchange) copyBody(secrets *secrets, head []byte, chunked bool) error {
	pooled := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(pooled)
	buf := (*pooled)[chunkRoom : chunkRoom+relayBuffer]
	held := 0
	for {
		ex.silence.Reset(ex.s.p.limits.Upstream)
		n, err := ex.answer.Body.Read(buf[held:])
		data := buf[:held+n]
		held = secrets.scrub(data)
		if err != nil {
			if held >= minSecret {
				mask(data[len(data)-held:]) // most of a secret is one too
			}
			held = 0
		}
		if out := data[:len(data)-held]; len(out) > 0 || head != nil {
			if err := ex.emit(*pooled, head, out, chunked); err != nil {
				return err
			}
			head = nil
			copy(buf, data[len(out):])
		}
		if errors.Is(err, io.EOF) {
			return ex.finish(chunked)
		}
		if err != nil {
			return err
		}
	}
}

// emit writes one piece. buf is the whole buffer out lies in, with room for a chunk's size before it.
func (ex *exchange) emit(buf, head, out []byte, chunked bool) error {
	out, tooLarge := ex.within(out)
	if !chunked && ex.received == ex.answer.ContentLength {
		ex.over()
	}
	if err := ex.put(buf, head, out, chunked); err != nil {
		return err
	}
	ex.tap.take(out)
	return tooLarge
}

// within is as much of a piece as the grant's limit of an answer lets through, and an error if that is not all.
func (ex *exchange) within(out []byte) ([]byte, error) {
	var err error
	if limit := ex.answerLimit(); limit > 0 && ex.received+int64(len(out)) > limit {
		out, err = out[:limit-ex.received], errAnswerLimit
	}
	ex.received += int64(len(out))
	ex.digest.Write(out)
	return out, err
}

func (ex *exchange) put(buf, head, out []byte, chunked bool) error {
	if !chunked {
		if head == nil {
			return ex.write(out)
		}
		head = append(head, out...)
		return ex.write(head)
	}
	if len(out) == 0 {
		return nil // an empty chunk would be the last
	}
	size := strconv.AppendInt(make([]byte, 0, chunkRoom), int64(len(out)), 16)
	size = append(size, '\r', '\n')
	start := chunkRoom - len(size)
	end := chunkRoom + len(out)
	copy(buf[start:], size)
	a, b := buf[end], buf[end+1] // these may be held bytes
	buf[end], buf[end+1] = '\r', '\n'
	err := ex.write(buf[start : end+2])
	buf[end], buf[end+1] = a, b
	return err
}

func (ex *exchange) finish(chunked bool) error {
	ex.over()
	if chunked {
		return ex.write([]byte("0\r\n\r\n"))
	}
	return nil
}

var (
	errAgent       = errors.New("the agent does not take the answer")
	errAnswerLimit = errors.New("the answer reached its limit")
)

func (ex *exchange) write(b []byte) error {
	_ = ex.l.conn.SetWriteDeadline(time.Now().Add(ex.s.p.limits.Write))
	if _, err := ex.l.conn.Write(b); err != nil {
		return errAgent
	}
	return nil
}

// ending says how the answer ended.
func (ex *exchange) ending(err error) string {
	var timeout net.Error
	switch _, reason := ex.s.wasCut(); {
	case err == nil:
		return "completed"
	case reason != "":
		return "cut: " + reason
	case errors.Is(err, errAnswerLimit):
		return answerTooLarge(ex.answerLimit())
	case ex.peerGone.Load() || errors.Is(err, errAgent):
		return "the agent hung up"
	case ex.idle.Load() || errors.As(err, &timeout) && timeout.Timeout():
		return "the provider was silent for too long"
	default:
		return "the provider's answer broke off"
	}
}
