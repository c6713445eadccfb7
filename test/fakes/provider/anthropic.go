package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// EventInterval is the time between two events of an endless answer.
const EventInterval = 5 * time.Millisecond

// messagesRequest is the part of POST /v1/messages that matters here.
type messagesRequest struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

// last is the text of the last message.
func (r messagesRequest) last() string {
	if len(r.Messages) == 0 {
		return ""
	}
	content := r.Messages[len(r.Messages)-1].Content
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var blocks []struct{ Text string }
	_ = json.Unmarshal(content, &blocks) // no text, then
	for _, block := range blocks {
		text += block.Text
	}
	return text
}

// Answer is what the fake models say to a text: the same to the same text.
func Answer(text string) string {
	return fmt.Sprintf("I read: %q. This looks like a login problem; I would ask for the exact time and reset the session.", text)
}

// endless says for how long a text asks the model to go on: "ENDLESS 30", in seconds.
func endless(text string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(text, "ENDLESS ")
	if !ok {
		return 0, false
	}
	seconds, err := strconv.Atoi(strings.TrimSpace(rest))
	return time.Duration(seconds) * time.Second, err == nil && seconds > 0
}

func (e *exchange) anthropic() {
	key := e.r.Header.Get("x-api-key")
	if key == "" {
		key = bearer(e.r) // newer SDKs
	}
	verdict := judge(key, e.keys.AnthropicAPIKeys)
	e.judged(verdict)
	if verdict != "valid" {
		e.anthropicError(http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
		return
	}
	if e.r.Method != http.MethodPost || e.path != "/v1/messages" {
		e.anthropicError(http.StatusNotFound, "not_found_error", "no such endpoint")
		return
	}
	if e.r.Header.Get("anthropic-version") == "" {
		e.anthropicError(http.StatusBadRequest, "invalid_request_error", "anthropic-version: header is required")
		return
	}
	var request messagesRequest
	if err := json.Unmarshal(e.call.Body, &request); err != nil || request.Model == "" {
		e.anthropicError(http.StatusBadRequest, "invalid_request_error", "the body is not a request for messages")
		return
	}
	if request.Stream {
		e.anthropicStream(request)
		return
	}
	e.json(http.StatusOK, map[string]any{
		"id": e.messageID(), "type": "message", "role": "assistant", "model": request.Model,
		"content":     []any{map[string]string{"type": "text", "text": Answer(request.last())}},
		"stop_reason": "end_turn", "stop_sequence": nil, "usage": usage,
	})
}

var usage = map[string]int{"input_tokens": 12, "output_tokens": 24}

func (e *exchange) messageID() string { return fmt.Sprintf("msg_%06d", e.call.Seq) }

func (e *exchange) anthropicError(status int, kind, message string) {
	e.json(status, map[string]any{"type": "error", "error": map[string]string{"type": kind, "message": message}})
}

// anthropicStream sends the events the SDK expects, word by word, or without end.
func (e *exchange) anthropicStream(request messagesRequest) {
	stream := e.stream()
	send := func(kind string, fields map[string]any) bool {
		fields["type"] = kind
		return stream.send(kind, fields)
	}
	delta := func(text string) bool {
		return send("content_block_delta", map[string]any{"index": 0, "delta": map[string]string{"type": "text_delta", "text": text}})
	}
	send("message_start", map[string]any{"message": map[string]any{
		"id": e.messageID(), "type": "message", "role": "assistant", "model": request.Model,
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil, "usage": usage}})
	send("content_block_start", map[string]any{"index": 0, "content_block": map[string]string{"type": "text", "text": ""}})
	send("ping", map[string]any{})
	if howLong, ok := endless(request.last()); ok {
		stream.tick(howLong, func(now time.Time) bool { return delta(strconv.FormatInt(now.UnixMicro(), 10) + " ") })
	} else {
		for _, word := range strings.SplitAfter(Answer(request.last()), " ") {
			delta(word)
		}
	}
	send("content_block_stop", map[string]any{"index": 0})
	send("message_delta", map[string]any{"delta": map[string]any{"stop_reason": "end_turn", "stop_sequence": nil}, "usage": usage})
	send("message_stop", map[string]any{})
}
