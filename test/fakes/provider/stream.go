package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// stream is one answer in server-sent events.
type stream struct {
	*exchange
	flush func() error
	gone  bool
}

// stream begins the answer.
func (e *exchange) stream() *stream {
	e.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	e.w.Header().Set("Cache-Control", "no-cache")
	e.w.WriteHeader(http.StatusOK)
	return &stream{exchange: e, flush: http.NewResponseController(e.w).Flush}
}

// send writes one event; a name of "" writes the data alone. It reports whether the client is still there.
func (s *stream) send(name string, data any) bool {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // maps of plain values only
	}
	return s.write(name, string(text))
}

func (s *stream) write(name, data string) bool {
	if s.gone || s.r.Context().Err() != nil {
		s.gone = true
		return false
	}
	event := "data: " + data + "\n\n"
	if name != "" {
		event = "event: " + name + "\n" + event
	}
	if _, err := fmt.Fprint(s.w, event); err != nil || s.flush() != nil {
		s.gone = true
		return false
	}
	s.update(func() { s.call.Events, s.call.LastEvent = s.call.Events+1, time.Now().UTC() })
	return true
}

// tick calls emit every EventInterval, until it says no, the client goes or the time is over.
func (s *stream) tick(howLong time.Duration, emit func(time.Time) bool) {
	ticker, over := time.NewTicker(EventInterval), time.NewTimer(howLong)
	defer ticker.Stop()
	defer over.Stop()
	for {
		select {
		case now := <-ticker.C:
			if !emit(now) {
				return
			}
		case <-over.C:
			return
		case <-s.r.Context().Done():
			return
		}
	}
}
