package gateway

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/audit/audittest"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

const (
	slackKey     = "xoxb-real-1234567890-abcdef"
	anthropicKey = "sk-ant-real-0987654321-fedcba"
	password     = "correct-horse"
)

// source is a state.Source that tests change.
type source struct {
	mu      sync.Mutex
	current *state.Snapshot
	done    chan struct{}
}

func (s *source) Current() *state.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// set replaces the snapshot by a changed copy, and ends the one before if it says so.
func (s *source) set(end bool, change func(*state.Snapshot)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.current
	grant := *next.Grant
	next.Grant = &grant
	next.Keys = map[string]map[string]secret.Value{}
	for name, slots := range s.current.Keys {
		next.Keys[name] = slots
	}
	change(&next)
	old := s.done
	if end {
		s.done = make(chan struct{})
	}
	next.Done = s.done
	s.current = &next
	if end {
		close(old)
	}
}

// world is a proxy between an agent and providers, all in this process.
type world struct {
	t        testing.TB
	source   *source
	log      *audittest.Log
	proxy    *Proxy
	addr     string
	roots    *x509.CertPool // what the agent trusts
	provider *httptest.Server

	mu     sync.Mutex
	asked  []asked
	answer http.HandlerFunc
}

// asked is what a provider got.
type asked struct {
	Method, Host, URI, Body string
	Header                  http.Header
}

// announced is a Log that tells when a record is to be kept.
type announced struct {
	audit.Log
	entered chan audit.Record
}

func (a announced) Append(ctx context.Context, r audit.Record) (audit.Record, error) {
	select {
	case a.entered <- r:
	default:
	}
	return a.Log.Append(ctx, r)
}

// announcing makes the proxy's log announce its first record on the channel.
func announcing(entered chan audit.Record) option {
	return func(c *Config, _ *state.Snapshot) { c.Log = announced{c.Log, entered} }
}

type option func(*Config, *state.Snapshot)

func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	w := &world{t: t, log: &audittest.Log{}, roots: x509.NewCertPool()}
	clawCA, clawKey := authority(t)
	providerCA, providerKey := authority(t)
	w.roots.AddCert(clawCA)
	trusted := x509.NewCertPool()
	trusted.AddCert(providerCA)
	w.provider = httptest.NewUnstartedServer(http.HandlerFunc(w.serveProvider))
	w.provider.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, providerCA, providerKey, "slack.com", "api.anthropic.com")}}
	w.provider.EnableHTTP2 = true
	w.provider.StartTLS()
	t.Cleanup(w.provider.Close)

	catalogue, err := connector.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	snap := snapshot()
	snap.CA, snap.CAKey, snap.UpstreamRoots = clawCA, clawKey, trusted
	w.source = &source{current: snap, done: make(chan struct{})}
	snap.Done = w.source.done
	to := netip.MustParseAddrPort(w.provider.Listener.Addr().String())
	cfg := Config{
		Source: w.source, Log: w.log, Catalogue: catalogue,
		Overrides: map[string]netip.AddrPort{"slack.com": to, "api.anthropic.com": to},
		Limits:    Limits{Hold: 10 * time.Second},
	}
	for _, o := range options {
		o(&cfg, snap)
	}
	w.proxy = NewProxy(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = w.proxy.Serve(l)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		w.provider.CloseClientConnections()
		_ = w.proxy.Shutdown(ctx)
		<-served
	})
	return w
}

// snapshot is of a Claw that may speak in one Slack channel and ask one family of models.
func snapshot() *state.Snapshot {
	grant := &v1alpha1.ClawGrantSpec{
		ClawUID: "uid", Hash: "hash", State: v1alpha1.GrantActive, AgentIPs: []string{"127.0.0.1"}, Visibility: v1alpha1.VisibilityTeam,
		Channels: []v1alpha1.ChannelRequest{{Credential: "slack"}},
		Tools:    []v1alpha1.ToolRequest{{Credential: "slack"}},
		Models:   []v1alpha1.ModelRequest{{Credential: "anthropic"}},
		Credentials: []v1alpha1.GrantCredential{
			{Name: "slack", Connector: "slack", Slots: []string{"botToken"}},
			{Name: "anthropic", Connector: "anthropic", Slots: []string{"apiKey"}},
		},
	}
	grant.Channels[0].Connector = "slack"
	grant.Channels[0].Channels = []v1alpha1.Pattern{"C0SUPPORT"}
	grant.Tools[0].Connector = "slack"
	grant.Tools[0].Actions = []v1alpha1.Action{v1alpha1.ActionRead}
	grant.Tools[0].Resources = []v1alpha1.ResourceScope{{Type: "channel", Names: []v1alpha1.Pattern{"C0SUPPORT"}}}
	grant.Models[0].Connector = "anthropic"
	grant.Models[0].Models = []v1alpha1.Pattern{"claude-*"}
	return &state.Snapshot{
		Claw:  audit.ClawRef{Namespace: "acme", Name: "triage", UID: "uid"},
		Grant: grant,
		Keys: map[string]map[string]secret.Value{
			"slack":     {"botToken": secret.New([]byte(slackKey))},
			"anthropic": {"apiKey": secret.New([]byte(anthropicKey))},
		},
		ProxyPassword: secret.New([]byte(password)),
	}
}

func (w *world) serveProvider(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.asked = append(w.asked, asked{r.Method, r.Host, r.RequestURI, string(body), r.Header.Clone()})
	answer := w.answer
	w.mu.Unlock()
	if answer == nil {
		_, _ = rw.Write([]byte(`{"ok":true}`))
		return
	}
	answer(rw, r)
}

// answers sets what the provider does.
func (w *world) answers(f http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

// requests returns what the provider got.
func (w *world) requests() []asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]asked(nil), w.asked...)
}

// client is an agent's HTTP client that uses the proxy.
func (w *world) client() *http.Client {
	proxy := &url.URL{Scheme: "http", Host: w.addr, User: url.UserPassword("claw", password)}
	tr := &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: w.roots}, DisableCompression: true, MaxIdleConnsPerHost: 64,
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) post(c *http.Client, target, contentType, body string) (int, http.Header, string) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return w.do(c, r)
}

func (w *world) do(c *http.Client, r *http.Request) (int, http.Header, string) {
	w.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// wait returns the first record that match accepts.
func (w *world) wait(what string, match func(audit.Record) bool) audit.Record {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := w.log.Wait(ctx, match)
	if err != nil {
		w.t.Fatalf("%s: %v; records: %+v", what, err, w.log.Records())
	}
	return r
}

func isOutcome(r audit.Record) bool { return r.Phase == audit.PhaseOutcome }
func isDenied(r audit.Record) bool  { return r.Decision == audit.Denied }

// dial opens a plain connection to the proxy.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

var basic = "Basic " + base64.StdEncoding.EncodeToString([]byte("claw:"+password))

// tunnel opens a tunnel to a host and returns the TLS connection inside.
func (w *world) tunnel(host string) *tls.Conn {
	w.t.Helper()
	conn := w.dial()
	head := "CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + ":443\r\nProxy-Authorization: " + basic + "\r\n\r\n"
	if status, _ := exchangeRaw(w.t, conn, head); status != 200 {
		w.t.Fatalf("no tunnel: %d", status)
	}
	inner := tls.Client(conn, &tls.Config{RootCAs: w.roots, ServerName: host})
	if err := inner.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	return inner
}

// exchangeRaw writes bytes and reads one answer. A connection that is closed instead has the status 0.
func exchangeRaw(t testing.TB, conn net.Conn, raw string) (int, string) {
	t.Helper()
	if _, err := io.WriteString(conn, raw); err != nil {
		return 0, ""
	}
	method := http.MethodPost
	if strings.HasPrefix(raw, "CONNECT ") {
		method = http.MethodConnect
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), &http.Request{Method: method})
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	if method == http.MethodConnect && resp.StatusCode == 200 {
		return 200, ""
	}
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func authority(t testing.TB) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func certificate(t testing.TB, ca *x509.Certificate, caKey crypto.Signer, hosts ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
