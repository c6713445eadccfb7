package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// openAI answers chat completions, whole or streamed.
func (e *exchange) openAI() {
	verdict := judge(bearer(e.r), e.keys.OpenAIAPIKeys)
	e.judged(verdict)
	if verdict != "valid" {
		e.openAIError(http.StatusUnauthorized, "Incorrect API key provided.")
		return
	}
	if e.r.Method != http.MethodPost || e.path != "/v1/chat/completions" {
		e.openAIError(http.StatusNotFound, "no such endpoint")
		return
	}
	var request messagesRequest
	if err := json.Unmarshal(e.call.Body, &request); err != nil || request.Model == "" {
		e.openAIError(http.StatusBadRequest, "the body is not a request for a chat completion")
		return
	}
	id, created := fmt.Sprintf("chatcmpl-%06d", e.call.Seq), time.Now().Unix()
	if !request.Stream {
		e.json(http.StatusOK, map[string]any{"id": id, "object": "chat.completion", "created": created, "model": request.Model,
			"choices": []any{map[string]any{"index": 0, "finish_reason": "stop",
				"message": map[string]string{"role": "assistant", "content": Answer(request.last())}}},
			"usage": map[string]int{"prompt_tokens": 12, "completion_tokens": 24, "total_tokens": 36}})
		return
	}
	stream := e.stream()
	chunk := func(delta map[string]string, finish any) bool {
		return stream.send("", map[string]any{"id": id, "object": "chat.completion.chunk", "created": created, "model": request.Model,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}})
	}
	if howLong, ok := endless(request.last()); ok {
		stream.tick(howLong, func(now time.Time) bool {
			return chunk(map[string]string{"content": fmt.Sprint(now.UnixMicro(), " ")}, nil)
		})
	} else {
		for _, word := range strings.SplitAfter(Answer(request.last()), " ") {
			chunk(map[string]string{"content": word}, nil)
		}
	}
	chunk(map[string]string{}, "stop")
	stream.write("", "[DONE]")
}

func (e *exchange) openAIError(status int, message string) {
	e.json(status, map[string]any{"error": map[string]any{"message": message, "type": "invalid_request_error", "code": nil}})
}
