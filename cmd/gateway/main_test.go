package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/ledger"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

const (
	namespace = "acme"
	name      = "triage"
	slackKey  = "xoxb-real-1234567890"
	modelKey  = "sk-ant-real-0987654321"
	password  = "correct-horse"
	signing   = "slack's signing secret"
	limit     = 3 // calls and messages in a minute
)

// TestGateway runs a whole gateway between a real API server, a real ledger, a provider and an agent.
func TestGateway(t *testing.T) {
	config, _ := controlplane.Start(t)
	p := newPlace(t, config)
	p.startLedger()
	p.startProvider()
	claw := p.createClaw()
	stop := p.startGateway(claw)

	agent := p.agent()
	if status, body := p.ask(agent, "https://slack.com/api/chat.postMessage", "application/x-www-form-urlencoded", "channel=C0SUPPORT&text=hello"); status != 200 || body != `{"ok":true}` {
		t.Fatalf("an allowed message: got %d %s", status, body)
	}
	if _, body := p.ask(agent, "https://slack.com/api/chat.postMessage", "application/x-www-form-urlencoded", "channel=C0GENERAL&text=hello"); !strings.Contains(body, "claw_policy_denied") {
		t.Errorf("a message elsewhere: got %s", body)
	}

	p.askWithoutProxy()

	resp, err := agent.Post("https://api.anthropic.com/v1/messages", "application/json", strings.NewReader(`{"model":"claude-sonnet-5"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stream := bufio.NewReader(resp.Body)
	if line, err := stream.ReadString('\n'); err != nil || line != "data: hello\n" {
		t.Fatalf("the stream: got %q, %v", line, err)
	}

	// One limit is about calls and messages together, and this was the third.
	if status := p.mention(); status != 200 {
		t.Errorf("a message: got %d", status)
	}
	if status, body := p.ask(agent, "https://slack.com/api/chat.postMessage", "application/x-www-form-urlencoded", "channel=C0SUPPORT&text=hello"); status != 429 || !strings.Contains(body, "the limit of 3") {
		t.Errorf("the fourth: got %d %s", status, body)
	}

	// Revoked is over, though nobody but the gateway has heard of it.
	var current v1alpha1.Claw
	if err := p.client.Get(t.Context(), client.ObjectKeyFromObject(claw), &current); err != nil {
		t.Fatal(err)
	}
	current.Spec.State = v1alpha1.ClawRevoked
	if err := p.client.Update(t.Context(), &current); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	if rest, err := io.ReadAll(stream); err == nil || len(rest) > 0 {
		t.Errorf("after revocation: got %q, %v", rest, err)
	}
	t.Logf("revocation accepted to the last byte: %s", time.Since(revoked))
	late := p.agent()
	late.Timeout = time.Second // it would be held longer
	if _, err := late.Post("https://slack.com/api/auth.test", "", nil); err == nil {
		t.Error("a revoked Claw is served")
	}
	stop()

	lines := p.records()
	head, err := audit.Verify(bytes.NewReader(lines), nil)
	if err != nil {
		t.Errorf("the history is not whole: %v", err)
	}
	t.Logf("%d records", head.Seq)
	for what, want := range map[string]string{
		"the decision":    `"operation":"chat.postMessage","action":"Write","resources":["channel:C0SUPPORT"]`,
		"the denial":      `"decision":"denied"`,
		"the cut":         `"reason":"cut: the Claw is revoked"`,
		"the grant":       `"kind":"control"`,
		"the credential":  `"credential":"triage-slack"`,
		"the way outside": `"upstream":{"host":"slack.com"`,
		"the message":     `"actor":"T1ACME/U1SARAH","resources":["channel:C0SUPPORT"]`,
		"the name":        `"operation":"resolve","resources":["name:evil.example"`,
		"the limit":       `"decision":"denied","rule":"limits"`,
	} {
		if !bytes.Contains(lines, []byte(want)) {
			t.Errorf("%s is not recorded: no %s", what, want)
		}
	}
	for _, key := range []string{slackKey, modelKey, password} {
		if bytes.Contains(lines, []byte(key)) {
			t.Error("a secret is in the records")
		}
	}
}

// place is where a gateway runs.
type place struct {
	t      *testing.T
	config *rest.Config
	client client.Client
	dir    string

	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	ledger  *httptest.Server
	outside *httptest.Server
	proxy   string
	inbound string
	tls     string
	plain   string
	names   map[string]string // by network
}

func newPlace(t *testing.T, config *rest.Config) *place {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, config: config, client: c, dir: t.TempDir()}
	p.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.caKey.Public(), p.caKey)
	if err != nil {
		t.Fatal(err)
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

// server starts a TLS server of the place's CA.
func (p *place) server(h http.Handler, hosts ...string) *httptest.Server {
	p.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, p.caKey.Public(), p.caKey)
	if err != nil {
		p.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: p.caKey}}}
	s.EnableHTTP2 = true
	s.StartTLS()
	p.t.Cleanup(s.Close)
	return s
}

func (p *place) startLedger() {
	p.t.Helper()
	who, err := ledger.NewTokenReviews(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	store, err := ledger.Open(filepath.Join(p.dir, "ledger"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = store.Close() })
	p.ledger = p.server(ledger.NewServer(store, who))
}

func (p *place) records() []byte {
	p.t.Helper()
	selected, err := ledger.ParseSelection(namespace, name)
	if err != nil {
		p.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := ledger.Read(p.t.Context(), &out, filepath.Join(p.dir, "ledger"), selected, false); err != nil {
		p.t.Fatal(err)
	}
	return out.Bytes()
}

// startProvider starts Slack and Anthropic, which streams a line and then is silent.
func (p *place) startProvider() {
	p.outside = p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "slack.com" {
			if r.Header.Get("Authorization") != "Bearer "+slackKey {
				p.t.Errorf("slack got %v", r.Header)
			}
			_, _ = io.WriteString(w, `{"ok":true}`)
			return
		}
		if r.Header.Get("X-Api-Key") != modelKey {
			p.t.Errorf("anthropic got %v", r.Header)
		}
		_, _ = io.WriteString(w, "data: hello\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}), "slack.com", "api.anthropic.com")
}

func (p *place) create(o client.Object) {
	p.t.Helper()
	if err := p.client.Create(p.t.Context(), o); err != nil {
		p.t.Fatal(err)
	}
}

// createClaw creates what the manager would have.
func (p *place) createClaw() *v1alpha1.Claw {
	p.t.Helper()
	p.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	p.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-gateway"}})
	claw := &v1alpha1.Claw{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ClawSpec{
			Owner: "sarah@acme.example", Purpose: "test", Visibility: v1alpha1.VisibilityPrivate,
			Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "none"}},
		},
	}
	p.create(claw)
	grant := &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	grant.Spec = v1alpha1.ClawGrantSpec{
		ClawUID: string(claw.UID), State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityPrivate, AgentIPs: []string{"127.0.0.1"},
		Channels: []v1alpha1.ChannelRequest{{Credential: "triage-slack"}},
		Models:   []v1alpha1.ModelRequest{{Credential: "triage-anthropic"}},
		Credentials: []v1alpha1.GrantCredential{
			{Name: "triage-anthropic", Connector: "anthropic", Slots: []string{"apiKey"}},
			{Name: "triage-slack", Connector: "slack", Slots: []string{"botToken", "signingSecret"}, Delivery: v1alpha1.DeliveryContainer},
		},
		Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T1ACME/U1SARAH"}}},
		Limits:   v1alpha1.Limits{RequestsPerMinute: limit},
	}
	grant.Spec.Channels[0].Users = []v1alpha1.Pattern{"*"}
	grant.Spec.Channels[0].Connector, grant.Spec.Channels[0].Channels = "slack", []v1alpha1.Pattern{"C0SUPPORT"}
	grant.Spec.Models[0].Connector, grant.Spec.Models[0].Models = "anthropic", []v1alpha1.Pattern{"claude-*"}
	grant.Spec.Hash = policy.Hash(&grant.Spec)
	for _, c := range grant.Spec.Credentials {
		credential := &v1alpha1.ClawCredential{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: string(c.Name)},
			Spec: v1alpha1.ClawCredentialSpec{
				Claw: v1alpha1.CredentialClaw{Name: name, Owner: claw.Spec.Owner}, Connector: c.Connector,
				Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: "source", Keys: map[string]string{c.Slots[0]: "key"}}},
			},
		}
		p.create(credential)
		credential.Status.ClawUID = string(claw.UID)
		if err := p.client.Status().Update(p.t.Context(), credential); err != nil {
			p.t.Fatal(err)
		}
	}
	key, err := x509.MarshalPKCS8PrivateKey(p.caKey)
	if err != nil {
		p.t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.Raw})
	p.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-gateway"}, Type: "clawstaff.dev/gateway",
		Data: map[string][]byte{
			"ca.crt": ca, "ca.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), "upstream-ca.crt": ca, "ledger-ca.crt": ca,
			"proxy-password": []byte(password), "resign-secret": []byte("resign"),
			"credential.triage-slack.botToken": []byte(slackKey), "credential.triage-slack.signingSecret": []byte(signing), "credential.triage-anthropic.apiKey": []byte(modelKey),
		},
	})
	p.create(grant)
	return claw
}

// startGateway runs a gateway until the returned function is called, and waits until it is ready.
func (p *place) startGateway(claw *v1alpha1.Claw) (stop func()) {
	p.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-gateway"}}
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{ledger.Audience}}}
	if err := p.client.SubResource("token").Create(p.t.Context(), account, token); err != nil {
		p.t.Fatal(err)
	}
	tokenFile := filepath.Join(p.dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token.Status.Token), 0o600); err != nil {
		p.t.Fatal(err)
	}
	outside := netip.MustParseAddrPort(p.outside.Listener.Addr().String())
	o := options{
		claw:    audit.ClawRef{Namespace: namespace, Name: name, UID: string(claw.UID)},
		podName: "pod", podUID: "pod-uid", ledgerURL: p.ledger.URL, ledgerTokenFile: tokenFile,
		overrides: overrides{"slack.com": outside, "api.anthropic.com": outside},
	}
	const anywhere = "127.0.0.1:0"
	o.proxyListen, o.tlsListen, o.plainListen, o.inboundListen, o.healthListen, o.dnsListen = anywhere, anywhere, anywhere, anywhere, anywhere, anywhere
	o.address = netip.MustParseAddr("127.0.0.1")
	ls, err := listen(o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.proxy, p.inbound = ls.proxy.Addr().String(), ls.inbound.Addr().String()
	p.tls, p.plain, p.names = ls.tls.Addr().String(), ls.plain.Addr().String(), map[string]string{"udp": ls.questions.LocalAddr().String(), "tcp": ls.names.Addr().String()}
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, p.config, ls, slog.New(slog.NewJSONHandler(p.t.Output(), nil))) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("the gateway ended: %v", err)
		}
		ended <- nil
	}
	p.t.Cleanup(stop)
	p.waitReady("http://" + ls.health.Addr().String() + "/readyz")
	return stop
}

func (p *place) waitReady(url string) {
	p.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	for {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
		select {
		case <-deadline.C:
			p.t.Fatal("the gateway does not become ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// agent is an HTTP client as an agent has it.
func (p *place) agent() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(p.ca)
	tr := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: p.proxy, User: url.UserPassword("claw", password)}),
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// askWithoutProxy is what a client does that knows of no proxy: it asks the resolver it was given, and connects to where
// the name leads.
func (p *place) askWithoutProxy() {
	p.t.Helper()
	for network, address := range p.names {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}}
		if found, err := resolver.LookupHost(p.t.Context(), "evil.example."); err == nil {
			p.t.Errorf("%s: evil.example is at %v", network, found)
		}
		roots := x509.NewCertPool()
		roots.AddCert(p.ca)
		ports := map[string]string{"443": p.tls, "80": p.plain}
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			found, err := resolver.LookupHost(ctx, host+".")
			if err != nil || len(found) != 1 {
				return nil, fmt.Errorf("%s is at %v: %w", host, found, err)
			}
			_, mapped, _ := net.SplitHostPort(ports[port]) // as the Service does
			var d net.Dialer
			return d.DialContext(ctx, "tcp", net.JoinHostPort(found[0], mapped))
		}}
		bare := &http.Client{Transport: tr}
		if _, body := p.ask(bare, "https://slack.com/api/chat.postMessage", "application/x-www-form-urlencoded", "channel=C0GENERAL&text=hello"); !strings.Contains(body, "claw_policy_denied") {
			p.t.Errorf("%s: a message elsewhere, without a proxy: got %s", network, body)
		}
		if _, body := p.ask(bare, "http://slack.com/api/auth.test", "", ""); !strings.Contains(body, "ask for the same with https") {
			p.t.Errorf("%s: without encryption: got %s", network, body)
		}
		tr.CloseIdleConnections()
	}
}

// mention sends what a member wrote where the Claw listens, as Slack does.
func (p *place) mention() int {
	p.t.Helper()
	body := `{"type":"event_callback","team_id":"T1ACME","event_id":"Ev1","event":{"type":"app_mention","user":"U1SARAH","team":"T1ACME","channel":"C0SUPPORT","text":"hello"}}`
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(signing))
	mac.Write([]byte("v0:" + timestamp + ":" + body))
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "https://"+p.inbound+"/hooks/slack", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Slack-Request-Timestamp", timestamp)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	roots := x509.NewCertPool()
	roots.AddCert(p.ca)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name + "-gateway." + namespace + ".svc"}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (p *place) ask(c *http.Client, url, contentType, body string) (int, string) {
	p.t.Helper()
	resp, err := c.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
