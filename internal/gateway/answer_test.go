package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

func TestSecretsAreScrubbed(t *testing.T) {
	w := newWorld(t)
	stars := strings.Repeat("*", len(slackKey))
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Echo", r.Header.Get("Authorization"))
		body := `{"a":"` + slackKey + `","b":"` + anthropicKey + `"}`
		switch r.URL.Query().Get("channel") {
		case "C0SUPPORT": // in pieces, each key cut in two
			for _, piece := range []string{body[:10], body[10:11], body[11:60], body[60:]} {
				_, _ = io.WriteString(rw, piece)
				rw.(http.Flusher).Flush()
			}
		default:
			rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = io.WriteString(rw, body)
		}
	})
	want := `{"a":"` + stars + `","b":"` + strings.Repeat("*", len(anthropicKey)) + `"}`
	for _, url := range []string{"https://slack.com/api/auth.test", slackPost + "?channel=C0SUPPORT"} {
		_, header, body := w.post(w.client(), url, "", "")
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%s: %s", url, diff)
		}
		if header.Get("X-Echo") != "Bearer "+stars {
			t.Errorf("header %v", header)
		}
	}
}

func TestCompressedAnswerIsScrubbed(t *testing.T) {
	w := newWorld(t)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(rw)
		_, _ = io.WriteString(z, "key "+slackKey)
		_ = z.Close()
	})
	_, header, body := w.post(w.client(), "https://slack.com/api/auth.test", "", "")
	if body != "key "+strings.Repeat("*", len(slackKey)) || header.Get("Content-Encoding") != "" {
		t.Errorf("got %v %q", header, body)
	}
}

func TestAnswerThatCannotBePassedOn(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an encoding nobody asked for": func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Encoding", "br") },
		"two encodings": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["Content-Encoding"] = []string{"identity", "gzip"}
		},
		"no status": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(999) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answers(answer)
			if status, _, body := w.post(w.client(), "https://slack.com/api/auth.test", "", ""); status != http.StatusBadGateway {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
}

// A provider cannot say which record is that of its answer.
func TestRecordNumberIsOurs(t *testing.T) {
	w := newWorld(t)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set(recordHeader, "4711") })
	_, header, _ := w.post(w.client(), "https://slack.com/api/auth.test", "", "")
	if diff := cmp.Diff([]string{"1"}, header.Values(recordHeader)); diff != "" {
		t.Error(diff)
	}
}

// Scrubbing a stream gives the same as scrubbing the whole, however it is cut into pieces.
func FuzzScrub(f *testing.F) {
	f.Add([]byte("before "+slackKey+" after"), []byte{3, 9, 1})
	f.Add([]byte(slackKey[:10]+slackKey+slackKey[:9]), []byte{10, 1, 1, 30})
	f.Add([]byte(strings.Repeat("xoxb-", 20)), []byte{1})
	secrets := secretsOf(&state.Snapshot{Keys: map[string]map[string]secret.Value{"a": keyed("k", slackKey), "b": keyed("k", "aabaabaac")}})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		whole := bytes.Clone(data)
		secrets.scrub(whole)
		var got, held []byte
		for rest := data; ; {
			n := len(rest)
			if len(cuts) > 0 {
				n, cuts = min(n, int(cuts[0])), cuts[1:]
			}
			held = append(held, rest[:n]...)
			rest = rest[n:]
			keep := secrets.scrub(held)
			if len(rest) == 0 {
				keep = 0
			}
			got = append(got, held[:len(held)-keep]...)
			held = held[len(held)-keep:]
			if len(rest) == 0 {
				break
			}
		}
		for _, v := range secrets.values {
			if bytes.Contains(got, v) {
				t.Fatalf("a secret passes: %q", got)
			}
		}
		if len(got) != len(data) {
			t.Fatalf("%d bytes became %d", len(data), len(got))
		}
	})
}

func TestUpstreamFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		status int
		reason string
	}{
		"breaks off before": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, http.StatusBadGateway, "the provider could not be asked"},
		"breaks off after": {func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, "x")
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 0, "the provider's answer broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answers(tc.answer)
			resp, err := w.client().Post("https://slack.com/api/auth.test", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			_, err = io.ReadAll(resp.Body)
			if tc.status != 0 && resp.StatusCode != tc.status || tc.status == 0 && err == nil {
				t.Errorf("got %d, %v", resp.StatusCode, err)
			}
			if o := w.wait("outcome", isOutcome); !strings.HasPrefix(o.Reason, tc.reason) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A provider whose certificate nobody trusted vouches for gets no key.
func TestUpstreamCertificate(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *state.Snapshot) { s.UpstreamRoots = x509.NewCertPool() })
	status, _, body := w.post(w.client(), slackPost, formType, inChannel)
	if status != http.StatusBadGateway || len(w.requests()) != 0 {
		t.Errorf("got %d %s", status, body)
	}
}

// A key that is delivered into the agent's container can come back in anything the agent says.
func TestKeysAreNotRecorded(t *testing.T) {
	w := newWorld(t)
	for _, url := range []string{slackPost + "?channel=C0SUPPORT&text=" + slackKey, slackPost + "?channel=" + slackKey,
		"https://slack.com/api/" + slackKey, "https://slack.com/" + slackKey + "?q=" + slackKey} {
		w.post(w.client(), url, "", "")
	}
	w.post(w.client(), slackPost, formType, "channel=C0SUPPORT&text="+strings.Repeat("x", 500)+slackKey)
	w.post(w.client(), askModel, jsonType, strings.Replace(modelBody, `"messages"`, `"`+slackKey+`":"`+anthropicKey+`","messages"`, 1))
	w.wait("the last call", func(r audit.Record) bool { return r.Connector == "anthropic" })
	lines := w.log.Lines()
	if len(lines) < 6 {
		t.Fatalf("%d records only", len(lines))
	}
	for _, line := range lines {
		if bytes.Contains(line, []byte(slackKey[:10])) || bytes.Contains(line, []byte(anthropicKey)) {
			t.Errorf("a key is in the record: %s", line)
		}
	}
}
