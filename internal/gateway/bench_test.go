package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// nothing is a Log that keeps nothing, so that the proxy alone is measured.
type nothing struct{}

func (nothing) Append(_ context.Context, r audit.Record) (audit.Record, error) {
	r.Seq = 1
	return r, nil
}

func BenchmarkCall(b *testing.B) {
	for name, tc := range map[string]struct{ url, contentType, body string }{
		"form":  {slackPost, formType, inChannel},
		"model": {askModel, jsonType, `{"model":"claude-sonnet-5","messages":[{"role":"user","content":"` + strings.Repeat("hello ", 4000) + `"}]}`},
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, func(c *Config, _ *state.Snapshot) { c.Log = nothing{} })
			w.provider.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(rw, `{"ok":true}`)
			})
			c := w.client()
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := c.Post(tc.url, tc.contentType, strings.NewReader(tc.body))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		})
	}
}
