package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// resolvedTo has providers' names lead where a test says, and notes what is dialled; nothing ever is, really.
func resolvedTo(answers names, dialled *[]string) option {
	return func(c *Config, _ *state.Snapshot) {
		c.Overrides, c.Resolver = nil, answers
		c.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
			*dialled = append(*dialled, address)
			return nil, errors.New("nobody is there")
		}
	}
}

// DNS rebinding: a name is looked up once for each connection, and what was judged is what is dialled. A second look-up
// that leads inside is refused like a first one.
func TestThreatDNSRebinding(t *testing.T) {
	var dialled []string
	w := newWorld(t, resolvedTo(names{"slack.com.": {{"203.0.113.10"}, {"127.0.0.1"}, {"203.0.113.10", "169.254.169.254"}}}, &dialled))
	c := w.client()
	var reasons []string
	for i := range 3 {
		_, _, _ = w.post(c, slackPost, formType, inChannel)
		seen := 0
		o := w.wait("outcome", func(r audit.Record) bool {
			if isOutcome(r) {
				seen++
			}
			return seen == i+1
		})
		reasons = append(reasons, o.Reason)
	}
	if got := strings.Join(dialled, " "); got != "203.0.113.10:443 203.0.113.10:443" {
		t.Errorf("dialled %s", got)
	}
	if reasons[1] != errForbiddenAddress.Error() {
		t.Errorf("outcomes %q", reasons)
	}
}

// Names of providers that lead inside, in whatever clothes, are not followed, and it is recorded.
func TestThreatAddressesInside(t *testing.T) {
	for name, address := range map[string]string{
		"metadata": "169.254.169.254", "metadata over IPv6": "fd00:ec2::254", "loopback": "127.0.0.1", "this network": "0.0.0.0", "private": "10.0.0.1",
		"carrier NAT": "100.64.0.1", "link-local over IPv6": "fe80::1", "ULA": "fc00::1", "NAT64": "64:ff9b::7f00:1", "local NAT64": "64:ff9b:1::a00:1",
		"mapped": "::ffff:169.254.169.254", "compatible": "::127.0.0.1", "6to4": "2002:7f00:1::", "Teredo": "2001::1", "multicast": "224.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			var dialled []string
			w := newWorld(t, resolvedTo(names{"slack.com.": {{address}}}, &dialled))
			if _, _, body := w.post(w.client(), slackPost, formType, inChannel); !strings.Contains(body, codeUpstream) || len(dialled) > 0 {
				t.Errorf("dialled %v, got %s", dialled, body)
			}
			if o := w.wait("outcome", isOutcome); o.Reason != errForbiddenAddress.Error() {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// IP literals are hosts of nobody, on every way in.
func TestThreatIPLiterals(t *testing.T) {
	w := newWorld(t)
	steered := w.also(w.proxy.ServeTLS)
	for _, literal := range []string{
		"127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1%25eth0]",
		"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "127.0.0.1.", "127.0.0.1.nip.io", "localhost", "metadata.google.internal",
	} {
		if status, _ := exchangeRaw(t, w.dial(), "CONNECT "+literal+":443 HTTP/1.1\r\nHost: "+literal+":443\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 403 {
			t.Errorf("CONNECT %s: got %d", literal, status)
		}
		if status, _ := exchangeRaw(t, w.dial(), "GET https://"+literal+"/ HTTP/1.1\r\nHost: "+literal+"\r\nProxy-Authorization: "+basic+"\r\n\r\n"); status != 403 {
			t.Errorf("GET https://%s/: got %d", literal, status)
		}
		if conn, err := w.steered(steered, &tls.Config{ServerName: literal, InsecureSkipVerify: true}); err == nil {
			t.Errorf("TLS to %s: %v", literal, conn.ConnectionState().PeerCertificates[0].DNSNames)
		}
		if got := w.proxy.Names().Ask(strings.Trim(literal, "[].")); got != 1 { // Absent
			t.Errorf("the name %s: %v", literal, got)
		}
	}
	if got := w.requests(); len(got) > 0 {
		t.Errorf("sent %+v", got)
	}
}

// SNI/Host mismatch and domain fronting: the host that TLS was shaken hands for is the host that is asked, though both
// be granted.
func TestThreatDomainFronting(t *testing.T) {
	w := newWorld(t)
	address := w.also(w.proxy.ServeTLS)
	request := func(target, host string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	}
	for name, tc := range map[string]struct{ raw, want string }{
		"its own":             {request("/api/auth.test", "slack.com"), `"ok":true`},
		"its own, with port":  {request("/api/auth.test", "slack.com:443"), `"ok":true`},
		"another granted one": {request("/v1/messages", "api.anthropic.com"), codeDenied},
		"an unknown one":      {request("/api/auth.test", "evil.example"), codeDenied},
		"another port":        {request("/api/auth.test", "slack.com:8443"), codeDenied},
		"an address":          {request("/api/auth.test", "127.0.0.1"), codeDenied},
		"in the target":       {request("https://api.anthropic.com/v1/messages", "slack.com"), codeMalformed},
		"as an authority":     {request("//api.anthropic.com/v1/messages", "slack.com"), codeDenied},
		"two of them":         {strings.Replace(request("/api/auth.test", "slack.com"), "\r\n", "\r\nHost: api.anthropic.com\r\n", 1), codeMalformed},
		"forwarded":           {strings.Replace(request("/api/auth.test", "slack.com"), "\r\n", "\r\nX-Forwarded-Host: evil.example\r\n", 1), `"ok":true`},
		"a tunnel within":     {"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: slack.com\r\n\r\n", ""}, // clients read no body of its refusal
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.requests())
			for way, conn := range map[string]net.Conn{"steered": w.shaken(address, "slack.com"), "tunnel": w.tunnel("slack.com")} {
				if status, body := exchangeRaw(t, conn, tc.raw); !strings.Contains(body, tc.want) {
					t.Errorf("%s: got %d %s", way, status, body)
				}
				if n, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); tc.want == "" && err == nil {
					_, err = io.Copy(io.Discard, conn)
					if errors.Is(err, timeout) {
						t.Errorf("%s: a tunnel is open, and took %d bytes", way, n)
					}
				}
				_ = conn.Close()
			}
			for _, r := range w.requests()[before:] {
				if r.Host != "slack.com" || r.Header.Get("X-Forwarded-Host") != "" || tc.want != `"ok":true` {
					t.Errorf("sent %+v", r)
				}
			}
		})
	}
}

func (w *world) shaken(address, host string) net.Conn {
	w.t.Helper()
	conn, err := w.steered(address, &tls.Config{RootCAs: w.roots, ServerName: host})
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// Slowloris: whoever sends a little now and then is not waited for, wherever in a connection it does so, and the others
// are served meanwhile.
func TestThreatSlowloris(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *state.Snapshot) {
		c.Limits.Head, c.Limits.Idle = 300*time.Millisecond, 300*time.Millisecond
	})
	steered, plain := w.also(w.proxy.ServeTLS), w.also(w.proxy.ServePlain)
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 400)
	head := "POST /api/auth.test HTTP/1.1\r\nHost: slack.com\r\n" + strings.Repeat("X-A: b\r\n", 50)
	for name, tc := range map[string]struct {
		open func() net.Conn
		drip string
	}{
		"the head of a tunnel":     {func() net.Conn { return dialTo(t, w.addr) }, "CONNECT slack.com:443 HTTP/1.1\r\n" + strings.Repeat("X-A: b\r\n", 50)},
		"the hello, steered":       {func() net.Conn { return dialTo(t, steered) }, hello},
		"the head, steered":        {func() net.Conn { return w.shaken(steered, "slack.com") }, head},
		"the head within a tunnel": {func() net.Conn { return w.tunnel("slack.com") }, head},
		"the head, unencrypted":    {func() net.Conn { return dialTo(t, plain) }, head},
	} {
		t.Run(name, func(t *testing.T) {
			conn, gone := tc.open(), make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				close(gone)
			}()
			end := time.NewTimer(10 * time.Second)
			defer end.Stop()
			for i := range tc.drip {
				select {
				case <-gone:
					return
				case <-end.C:
					t.Fatal("it is waited for")
				case <-time.After(20 * time.Millisecond):
					_, _ = io.WriteString(conn, tc.drip[i:i+1])
				}
			}
			t.Error("it could say everything it wanted")
		})
	}
	if status, _, _ := w.post(w.steeredClient(steered), slackPost, formType, inChannel); status != 200 {
		t.Errorf("the others: got %d", status)
	}
}

func dialTo(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Redirects are not followed, however a client came.
func TestThreatRedirectInside(t *testing.T) {
	w := newWorld(t)
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://169.254.169.254/", http.StatusFound)
	})
	c := w.steeredClient(w.also(w.proxy.ServeTLS))
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	status, header, _ := w.post(c, slackPost, formType, inChannel)
	if got := len(w.requests()); status != http.StatusFound || header.Get("Location") != "" || got != 1 {
		t.Errorf("got %d, %v after %d requests", status, header, got)
	}
}
