package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// Where an answer leads is judged: to the same host, or to another that the grant has a connector of. What leads elsewhere
// is not passed on, is not followed, and is in the record.
func TestRedirects(t *testing.T) {
	const elsewhere, granted, ungranted = "https://evil.example/x", "https://api.anthropic.com/v1/x", "https://api.openai.com/v1/x"
	for name, tc := range map[string]struct {
		header, value string
		passes        bool
	}{
		"the same host":                {"Location", "https://slack.com/api/x", true},
		"a path":                       {"Location", "/api/x?y=1", true},
		"a path from here":             {"Location", "x", true},
		"another connector's host":     {"Location", granted, true},
		"a connector nobody granted":   {"Location", ungranted, false},
		"elsewhere":                    {"Location", elsewhere, false},
		"elsewhere, without a scheme":  {"Location", "//evil.example/x", false},
		"three slashes":                {"Location", "///evil.example/x", false},
		"backslashes":                  {"Location", `/\evil.example/x`, false},
		"another port":                 {"Location", "https://slack.com:8443/", false},
		"not encrypted":                {"Location", "http://slack.com/", false},
		"with a name":                  {"Location", "https://slack.com@evil.example/", false},
		"a script":                     {"Location", "javascript:alert(1)", false},
		"an address":                   {"Location", "https://169.254.169.254/latest", false},
		"a body that is elsewhere":     {"Content-Location", elsewhere, false},
		"a body that is here":          {"Content-Location", "/api/x", true},
		"refreshed elsewhere":          {"Refresh", "0; url=" + elsewhere, false},
		"refreshed, in quotes":         {"Refresh", "0;URL='" + elsewhere + "'", false},
		"refreshed here":               {"Refresh", "5; url=/api/x", true},
		"the next page":                {"Link", `<https://slack.com/api/x?page=2>; rel="next", </api/x>; rel="last"`, true},
		"a page elsewhere":             {"Link", `</api/x>; rel="next", <` + elsewhere + `>; rel="preload"`, false},
		"a comma in quotes":            {"Link", `</api/x>; title="a, \"<b", </api/y>; rel=next`, true},
		"elsewhere, after such quotes": {"Link", `</api/x>; title="a,\"", <` + elsewhere + `>; rel=next`, false},
		"what is no link":              {"Link", elsewhere, false},
		"a link without an end":        {"Link", "<" + elsewhere, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answers(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set(tc.header, tc.value)
				rw.WriteHeader(http.StatusFound)
			})
			status, header, _ := w.post(w.client(), "https://slack.com/api/auth.test", "", "")
			if got := header.Get(tc.header); status != http.StatusFound || tc.passes != (got == tc.value) || !tc.passes && got != "" {
				t.Errorf("got %d %q", status, got)
			}
			if n := len(w.requests()); n != 1 {
				t.Errorf("%d requests: a redirect is followed", n)
			}
			if o := w.wait("outcome", isOutcome); tc.passes == strings.Contains(o.Reason, "led to where the grant leads nobody, in "+tc.header) {
				t.Errorf("outcome %q", o.Reason)
			}
		})
	}
}

// What would make a client keep, or go, where the gateway sees nothing.
func TestHeadersOfAnswersThatAreDropped(t *testing.T) {
	w := newWorld(t)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		for name := range dropped {
			if name != "Transfer-Encoding" && name != "Content-Length" && name != "Content-Encoding" && name != "Connection" && name != "Trailer" {
				rw.Header().Set(name, "x")
			}
		}
		rw.Header().Set("Alt-Svc", `h3=":443"; ma=86400`)
		rw.Header().Set("X-Ratelimit-Remaining", "7")
		rw.Header()["X-Odd"] = []string{"a\x01b"}
	})
	_, header, _ := w.post(w.client(), "https://slack.com/api/auth.test", "", "")
	for name := range header {
		if name != "Content-Type" && name != "Content-Length" && name != "Date" && name != recordHeader && name != "X-Ratelimit-Remaining" {
			t.Errorf("%s: %s is passed on", name, header.Get(name))
		}
	}
	if header.Get("X-Ratelimit-Remaining") != "7" {
		t.Error("what harms nobody is not passed on")
	}
}

// An answer is no longer than the grant's limit: one that says its length is not begun, and any other breaks off.
func TestSizeOfAnAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		chunked bool
		size    int
		status  int
		got     int64
		reason  string
	}{
		"as long as may be":            {false, 1 << 10, 200, 1 << 10, "completed"},
		"too long, said before":        {false, 1<<10 + 1, http.StatusBadGateway, 0, "the answer is larger than the limit of 1 KiB"},
		"a stream as long as may be":   {true, 1 << 10, 200, 1 << 10, "completed"},
		"a stream that is longer by 1": {true, 1<<10 + 1, 200, 1 << 10, "the answer is larger than the limit of 1 KiB"},
		"a stream that does not end":   {true, 1 << 20, 200, 1 << 10, "the answer is larger than the limit of 1 KiB"},
		"a stream with nothing in it":  {true, 0, 200, 0, "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *Config, s *state.Snapshot) { s.Grant.Limits.ResponseKiB = 1 })
			w.answers(func(rw http.ResponseWriter, _ *http.Request) {
				if tc.chunked {
					rw.(http.Flusher).Flush()
				} else {
					rw.Header().Set("Content-Length", fmt.Sprint(tc.size))
				}
				_, _ = rw.Write(make([]byte, tc.size))
			})
			resp, err := w.client().Post("https://slack.com/api/auth.test", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			n, err := readCount(resp)
			if resp.StatusCode != tc.status || tc.status == 200 && (n != tc.got || (err == nil) != (tc.reason == "completed")) {
				t.Errorf("got %d, %d bytes, %v", resp.StatusCode, n, err)
			}
			if o := w.wait("outcome", isOutcome); o.Reason != tc.reason || o.BytesIn != tc.got {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func readCount(resp *http.Response) (int64, error) { return io.Copy(io.Discard, resp.Body) }
