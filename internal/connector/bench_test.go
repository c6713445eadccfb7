package connector

import (
	"strings"
	"testing"
)

// BenchmarkMatch is what matching adds to every call: a long conversation with a model, a message, a form.
func BenchmarkMatch(b *testing.B) {
	conversation := `{"model":"claude-sonnet-5","max_tokens":1024,"stream":true,"messages":[` +
		strings.Repeat(`{"role":"user","content":[{"type":"text","text":"`+strings.Repeat("What is said to a model is long. ", 8)+`"}]},`, 60) +
		`{"role":"user","content":"x"}],"tools":[{"name":"a","input_schema":{"type":"object"}}]}`
	for _, bc := range []struct {
		name, connector string
		request         Request
	}{
		{"anthropic", "anthropic", post("/v1/messages", jsonType, conversation)},
		{"slackJSON", "slack", post("/api/chat.postMessage", jsonType, `{"channel":"C0SUPPORT","text":"Hello, how can I help you?","thread_ts":"1.2","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"Hello"}}]}`)},
		{"slackForm", "slack", post("/api/chat.postMessage", formType, "token=t&channel=C0SUPPORT&text=Hello%2C+how+can+I+help+you%3F&thread_ts=1.2")},
	} {
		b.Run(bc.name, func(b *testing.B) {
			c := builtinT(b).Get(bc.connector)
			b.SetBytes(int64(len(bc.request.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Match(bc.request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
