package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// Each is a shape by which two programs come to see two different requests in the same bytes. net/http accepts several.
func TestSmuggling(t *testing.T) {
	w := newWorld(t)
	const line = "POST /api/chat.postMessage HTTP/1.1\r\n"
	const form = "Host: slack.com\r\nContent-Type: " + formType + "\r\n"
	whole := line + form + "Content-Length: 28\r\n\r\n" + inChannel
	chunked := line + form + "Transfer-Encoding: chunked\r\n\r\n"
	for name, tc := range map[string]struct {
		raw  string
		want string // in the answer; nothing if the connection is just closed
	}{
		"proper":                       {whole, `"ok":true`},
		"proper, chunked":              {chunked + "1c\r\n" + inChannel + "\r\n0\r\n\r\n", `"ok":true`},
		"proper, with a port":          {strings.Replace(whole, "slack.com", "slack.com:443", 1), `"ok":true`},
		"proper, expecting":            {strings.Replace(whole, "Content-Length", "Expect: 100-continue\r\nContent-Length", 1), `"ok":true`},
		"two lengths":                  {line + form + "Content-Length: 28\r\nContent-Length: 0\r\n\r\n" + inChannel, codeMalformed},
		"the same length twice":        {line + form + "Content-Length: 28\r\nContent-Length: 28\r\n\r\n" + inChannel, codeMalformed},
		"two lengths in one":           {line + form + "Content-Length: 28, 28\r\n\r\n" + inChannel, codeMalformed},
		"signed length":                {line + form + "Content-Length: +28\r\n\r\n" + inChannel, codeMalformed},
		"hexadecimal length":           {line + form + "Content-Length: 0x1c\r\n\r\n" + inChannel, codeMalformed},
		"endless length":               {line + form + "Content-Length: 99999999999999999999\r\n\r\n" + inChannel, codeMalformed},
		"length and encoding":          {line + form + "Content-Length: 28\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", codeMalformed},
		"encoding and length":          {line + form + "Transfer-Encoding: chunked\r\nContent-Length: 28\r\n\r\n0\r\n\r\n", codeMalformed},
		"two encodings":                {line + form + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", codeMalformed},
		"unknown encoding":             {line + form + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", codeMalformed},
		"chunked, identity":            {line + form + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", codeMalformed},
		"gzip, chunked":                {line + form + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", codeMalformed},
		"encoding with a tab":          {line + form + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", codeMalformed},
		"space before the colon":       {line + form + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", codeMalformed},
		"folded line":                  {line + form + "X-A: b\r\n Content-Length: 28\r\n\r\n" + inChannel, codeMalformed},
		"folded with a tab":            {line + form + "X-A: b\r\n\tc\r\n\r\n", codeMalformed},
		"space before the first field": {line + " Host: evil.example\r\n" + form + "\r\n", codeMalformed},
		"bare line feeds":              {strings.ReplaceAll(whole, "\r\n", "\n"), codeMalformed},
		"one bare line feed":           {line + form + "X-A: b\nContent-Length: 28\r\n\r\n" + inChannel, codeMalformed},
		"bare line feed at the end":    {line + form + "Content-Length: 28\r\n\n" + inChannel, codeMalformed},
		"bare carriage return":         {line + form + "X-A: b\rContent-Length: 28\r\n\r\n" + inChannel, codeMalformed},
		"NUL in a value":               {line + form + "X-A: b\x00c\r\n\r\n", codeMalformed},
		"NUL in a name":                {line + form + "X\x00A: b\r\n\r\n", codeMalformed},
		"no name":                      {line + form + ": b\r\n\r\n", codeMalformed},
		"no colon":                     {line + form + "Content-Length\r\n\r\n", codeMalformed},
		"two hosts":                    {line + form + "Host: evil.example\r\n\r\n", codeMalformed},
		"no host":                      {line + "Content-Length: 0\r\n\r\n", codeMalformed},
		"empty host":                   {line + "Host:\r\n\r\n", codeMalformed},
		"another host":                 {strings.Replace(whole, "slack.com", "api.anthropic.com", 1), codeDenied},
		"host with a path":             {strings.Replace(whole, "slack.com", "slack.com/evil", 1), codeDenied},
		"host with a user":             {strings.Replace(whole, "slack.com", "x@slack.com", 1), codeDenied},
		"absolute target":              {strings.Replace(whole, "/api", "https://slack.com/api", 1), codeMalformed},
		"absolute target elsewhere":    {strings.Replace(whole, "/api", "https://evil.example/api", 1), codeMalformed},
		"tunnel in the tunnel":         {"CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com\r\n\r\n", codeMalformed},
		"asterisk":                     {"OPTIONS * HTTP/1.1\r\nHost: slack.com\r\n\r\n", codeMalformed},
		"h2c upgrade":                  {line + form + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", codeMalformed},
		"websocket":                    {"GET /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", codeMalformed},
		"HTTP/2 by prior knowledge":    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", codeMalformed},
		"HTTP/1.0":                     {strings.Replace(whole, "HTTP/1.1", "HTTP/1.0", 1), codeMalformed},
		"HTTP/0.9":                     {"GET /api/auth.test\r\n\r\n", codeMalformed},
		"method in small letters":      {strings.Replace(whole, "POST", "post", 1), codeMalformed},
		"two spaces":                   {strings.Replace(whole, "POST ", "POST  ", 1), codeMalformed},
		"tab in the target":            {strings.Replace(whole, "/api/", "/api\t/", 1), codeMalformed},
		"fragment":                     {strings.Replace(whole, "Message ", "Message#x ", 1), codeMalformed},
		"empty line first":             {"\r\n" + whole, codeMalformed},
		"trailer":                      {line + form + "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n\r\n", codeMalformed},
		"trailer unannounced":          {chunked + "1c\r\n" + inChannel + "\r\n0\r\nX-A: b\r\n\r\n", codeMalformed},
		"chunk extension":              {chunked + "1c;a=b\r\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"chunk size signed":            {chunked + "+1c\r\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"chunk size with 0x":           {chunked + "0x1c\r\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"chunk size with a gap":        {chunked + "1_c\r\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"chunk size empty":             {chunked + "\r\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"chunk size huge":              {chunked + "fffffffffffffffff\r\n", codeMalformed},
		"chunk longer than said":       {chunked + "1b\r\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"chunk with bare line feed":    {chunked + "1c\n" + inChannel + "\r\n0\r\n\r\n", codeMalformed},
		"expectation":                  {strings.Replace(whole, "Content-Length", "Expect: 200-maybe\r\nContent-Length", 1), codeMalformed},
		"too many fields":              {line + form + strings.Repeat("X-A: b\r\n", 1), `"ok":false`},
		"head without end":             {line + strings.Repeat("Accept: "+strings.Repeat("a", 1000)+"\r\n", 40), codeMalformed},
		"line without end":             {"POST /" + strings.Repeat("a", 40000), codeMalformed},
		"encoded slash":                {strings.Replace(whole, "/api/", "/api%2f", 1), codeDenied},
		"dot segments":                 {strings.Replace(whole, "/api/", "/api/../api/", 1), codeMalformed},
		"backslash":                    {strings.Replace(whole, "/api/", `/api\`, 1), codeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.requests())
			if name == "too many fields" {
				tc.raw = line + form + manyFields(200) + "\r\n"
			}
			conn := w.tunnel("slack.com")
			answer := speak(t, conn, tc.raw)
			if !strings.Contains(answer, tc.want) {
				t.Errorf("got %q, want %q", answer, tc.want)
			}
			sent := w.requests()[before:]
			if tc.want != `"ok":true` {
				if len(sent) != 0 {
					t.Errorf("sent: %+v", sent)
				}
			} else if len(sent) != 1 || sent[0].Body != sentOn {
				t.Errorf("sent: %+v", sent)
			}
		})
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("X-" + strings.Repeat("a", i+1) + ": b\r\n")
	}
	return b.String()
}

// speak writes bytes, ends its side, and reads what comes until the other side ends.
func speak(t *testing.T, conn *tls.Conn, raw string) string {
	t.Helper()
	go func() {
		_, _ = io.WriteString(conn, raw)
		if strings.Contains(raw, "without end") {
			_ = conn.CloseWrite()
		}
	}()
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), `"ok":`) {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return got.String()
}

// A second request inside the first one's body is never one of its own.
func TestPipelining(t *testing.T) {
	w := newWorld(t)
	conn := w.tunnel("slack.com")
	one := "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\nContent-Length: 0\r\n\r\n"
	two := "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: " + formType + "\r\nContent-Length: 28\r\n\r\n" + elsewhere
	if _, err := io.WriteString(conn, one+two+one); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	var got strings.Builder
	for strings.Count(got.String(), `"ok":`) < 3 {
		line, err := r.ReadString('}')
		got.WriteString(line)
		if err != nil {
			t.Fatalf("%v after %s", err, got.String())
		}
	}
	if strings.Count(got.String(), `"ok":true`) != 2 || strings.Count(got.String(), codeDenied) != 1 || len(w.requests()) != 2 {
		t.Errorf("got %s", got.String())
	}
}

func TestTruncatedBody(t *testing.T) {
	w := newWorld(t)
	conn := w.tunnel("slack.com")
	_, _ = io.WriteString(conn, "POST /api/chat.postMessage HTTP/1.1\r\nHost: slack.com\r\nContent-Type: "+formType+"\r\nContent-Length: 100\r\n\r\n"+inChannel)
	_ = conn.CloseWrite()
	denial := w.wait("denial", isDenied)
	if denial.Reason != "the body ends too early" || len(w.requests()) != 0 {
		t.Errorf("record %+v", denial)
	}
}

func TestServerName(t *testing.T) {
	for name, sni := range map[string]string{"another": "api.anthropic.com", "unknown": "evil.example", "none": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			conn := w.dial()
			if status, _ := exchangeRaw(t, conn, "CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 200 {
				t.Fatalf("got %d", status)
			}
			inner := tls.Client(conn, &tls.Config{ServerName: sni, InsecureSkipVerify: true})
			if err := inner.Handshake(); err == nil {
				t.Error("the handshake succeeds")
			}
			if r := w.wait("denial", isDenied); r.Rule != "tls" || r.Connector != "slack" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// A session made for one host is not resumed for another.
func TestServerNameOfResumedSession(t *testing.T) {
	w := newWorld(t)
	cache := tls.NewLRUClientSessionCache(4)
	open := func(host, sni string) error {
		conn := w.dial()
		if status, _ := exchangeRaw(t, conn, "CONNECT "+host+":443 HTTP/1.1\r\nHost: "+host+"\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 200 {
			t.Fatalf("got %d", status)
		}
		inner := tls.Client(conn, &tls.Config{ServerName: sni, RootCAs: w.roots, ClientSessionCache: cache})
		if err := inner.Handshake(); err != nil {
			return err
		}
		_, err := io.WriteString(inner, "POST /api/auth.test HTTP/1.1\r\nHost: "+sni+"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		if err != nil {
			return err
		}
		_, err = io.ReadAll(inner)
		return err
	}
	if err := open("slack.com", "slack.com"); err != nil {
		t.Fatal(err)
	}
	if err := open("api.anthropic.com", "slack.com"); err == nil {
		t.Error("a session of slack.com was resumed in a tunnel to api.anthropic.com")
	}
	if err := open("slack.com", "slack.com"); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyHTTP1InTheTunnel(t *testing.T) {
	w := newWorld(t)
	conn := w.dial()
	_, _ = exchangeRaw(t, conn, "CONNECT slack.com:443 HTTP/1.1\r\nHost: slack.com:443\r\nProxy-Authorization: "+basic+"\r\n\r\n")
	inner := tls.Client(conn, &tls.Config{ServerName: "slack.com", RootCAs: w.roots, NextProtos: []string{"h2"}})
	if err := inner.Handshake(); err == nil {
		t.Error("HTTP/2 is spoken")
	}
}

func TestSlowHead(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) { c.Limits.Head = 50 * time.Millisecond })
	conn := w.dial()
	_, _ = io.WriteString(conn, "CONNECT slack.com:443 HT")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && err == nil {
		t.Error("a head that never ends is waited for")
	}
}

// FuzzHead checks that a head that is accepted has one meaning.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bufio.NewReader(bytes.NewReader(raw))
		var h head
		if readHead(r, &h) != nil {
			return
		}
		if strings.ContainsAny(h.target+h.method+h.host, "\r\n\x00 ") {
			t.Fatalf("%+v", h)
		}
		names := map[string]bool{}
		for _, f := range h.fields {
			if strings.ContainsAny(f.name+f.value, "\r\n\x00") || f.name != strings.ToLower(f.name) || (names[f.name] && !mayRepeat[f.name]) {
				t.Fatalf("%+v", f)
			}
			names[f.name] = true
		}
		if names["content-length"] && names["transfer-encoding"] {
			t.Fatal("two lengths")
		}
		body, err := readBody(r, &h, 1<<20)
		if err == nil && h.length >= 0 && !names["content-encoding"] && int64(body.Len()) != h.length {
			t.Fatalf("%d bytes, said %d", body.Len(), h.length)
		}
	})
}
