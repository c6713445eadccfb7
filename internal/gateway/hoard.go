package gateway

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

// hoard keeps what must be seen whole before anything is done with it: an answer that is filtered, an event. Its memory
// is counted with that of requests' bodies, so that all of them together do not take more than the gateway has.
type hoard struct {
	memory   *semaphore.Weighted
	ctx      context.Context // ends the wait for room
	patience time.Duration   // for which room is waited for; 0 is not at all
	limit    int             // bytes

	data     []byte
	reserved int64
}

var (
	errHoardFull = errors.New("it is too large to be looked into")
	errNoRoom    = errors.New("there are too many large answers at once")
)

// firstRoom is what is reserved at first. What is smaller than hoardFree is not counted at all: connections are.
const (
	hoardFree = 16 << 10
	firstRoom = 64 << 10
)

// add keeps a copy of b too. An error means that it does not fit, and nothing of b was kept.
func (h *hoard) add(b []byte) error {
	size := len(h.data) + len(b)
	if size > h.limit {
		return errHoardFull
	}
	if size > cap(h.data) {
		if err := h.grow(size); err != nil {
			return err
		}
	}
	h.data = append(h.data, b...)
	return nil
}

// grow makes room for so many bytes. It is there twice for a moment, so that much is reserved.
func (h *hoard) grow(size int) error {
	size = min(max(size, 2*cap(h.data), hoardFree), h.limit)
	if size > hoardFree {
		size = min(max(size, firstRoom), h.limit)
		if err := h.reserve(2*int64(size) - h.reserved); err != nil {
			return err
		}
	}
	grown := make([]byte, len(h.data), size)
	copy(grown, h.data)
	h.data = grown
	return nil
}

func (h *hoard) reserve(n int64) error {
	if n <= 0 {
		return nil
	}
	if !h.memory.TryAcquire(n) {
		if h.patience == 0 {
			return errNoRoom
		}
		ctx, cancel := context.WithTimeout(h.ctx, h.patience)
		defer cancel()
		if h.memory.Acquire(ctx, n) != nil {
			return errNoRoom
		}
	}
	h.reserved += n
	return nil
}

// clear forgets what is kept, and keeps the room.
func (h *hoard) clear() { h.data = h.data[:0] }

// free gives the room back.
func (h *hoard) free() {
	if h.reserved > 0 {
		h.memory.Release(h.reserved)
	}
	h.data, h.reserved = nil, 0
}
