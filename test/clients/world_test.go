// Package clients puts the providers' own clients, in JavaScript and in Go, curl and git behind a real
// gateway, before fake providers that look at what they get. What is shown is that a client works as its
// makers meant it to where the grant lets it, that it is told why where not, and that no provider ever
// sees a placeholder, and no agent a key.
package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/audit/audittest"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

const password = "correct-horse"

// ticketsYAML is an organization's own connector: the MCP server of the Go clients.
const ticketsYAML = `
connector: tickets
from: mcp
hosts: [{host: mcp.acme.example, base: /mcp}]
tools:
- {name: "list_*", action: Read}
- {name: close_ticket, action: Write}
`

// keys are the real keys, by credential and slot. Each credential is named like its connector.
var keys = map[string]map[string]string{
	"slack":           {"botToken": "xoxb-real-1234567890-abcdef"},
	"openai":          {"apiKey": "sk-real-1234567890-abcdef"},
	"anthropic":       {"apiKey": "sk-ant-real-1234567890"},
	"github":          {"token": "ghp_real1234567890abcdefghijklmnopqrstu"},
	"gmail":           {"accessToken": "ya29.real-gmail-1234567890"},
	"google-calendar": {"accessToken": "ya29.real-calendar-1234567890"},
	"google-drive":    {"accessToken": "ya29.real-drive-1234567890"},
	"tickets":         {"token": "real-tickets-1234567890"},
}

// world is a gateway between clients and providers.
type world struct {
	source    source
	log       audittest.Log
	providers *providers
	catalogue *connector.Catalogue
	proxy     string // URL, with the password
	caFile    string
}

// source is a state.Source whose schedule tests close.
type source struct {
	mu      sync.Mutex
	current *state.Snapshot
}

// Current implements state.Source.
func (s *source) Current() *state.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// close puts a schedule on everything that is not open now, or takes it away.
func (s *source) close(closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, grant := *s.current, *s.current.Grant
	grant.Schedules = nil
	if closed {
		other := v1alpha1.Day(time.Now().UTC().AddDate(0, 0, 3).Weekday().String()[:3])
		grant.Schedules = []v1alpha1.Schedule{{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{other}, Start: "09:00", End: "17:00"}}}}
	}
	next.Grant = &grant
	s.current = &next
}

func newWorld(t *testing.T) *world {
	t.Helper()
	builtin, err := connector.Builtin()
	must(t, err)
	catalogue, wrong := builtin.With(map[string][]byte{"tickets": []byte(ticketsYAML)})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	clawCA, clawKey := authority(t)
	providerCA, providerKey := authority(t)
	roots := x509.NewCertPool()
	roots.AddCert(providerCA)
	w := &world{catalogue: catalogue, caFile: filepath.Join(t.TempDir(), "ca.crt"), providers: newProviders(t, providerCA, providerKey)}
	must(t, os.WriteFile(w.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: clawCA.Raw}), 0o600))
	w.source.current = &state.Snapshot{
		Claw: audit.ClawRef{Namespace: "acme", Name: "triage", UID: "uid"}, Grant: grant(), Keys: map[string]map[string]secret.Value{}, Catalogue: catalogue,
		ProxyPassword: secret.New([]byte(password)), CA: clawCA, CAKey: clawKey, UpstreamRoots: roots,
	}
	for credential, slots := range keys {
		values := map[string]secret.Value{}
		for slot, key := range slots {
			values[slot] = secret.New([]byte(key))
		}
		w.source.current.Keys[credential] = values
	}
	overrides := map[string]netip.AddrPort{}
	for host := range w.providers.hosts {
		overrides[host] = w.providers.addr
	}
	proxy := gateway.NewProxy(gateway.Config{Source: &w.source, Log: &w.log, Catalogue: catalogue, Overrides: overrides})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = proxy.Serve(l) }()
	t.Cleanup(func() { _ = proxy.Shutdown(t.Context()) }) // its context is over: what goes on is cut
	w.proxy = "http://claw:" + password + "@" + l.Addr().String()
	return w
}

// grant is of a Claw that does a little with every service.
func grant() *v1alpha1.ClawGrantSpec {
	g := &v1alpha1.ClawGrantSpec{
		ClawUID: "uid", Hash: "hash", State: v1alpha1.GrantActive, AgentIPs: []string{"127.0.0.1"}, Visibility: v1alpha1.VisibilityTeam,
		Audience: []v1alpha1.GrantAudience{
			{Connector: "slack", Principals: []string{"T01ACME/U01SARAH"}},
			{Connector: "github", Principals: []string{"sarah"}},
			{Connector: "gmail", Principals: []string{"lee@acme.example"}},
		},
		Connectors: []v1alpha1.GrantConnector{{Name: "tickets", Definition: ticketsYAML}},
	}
	channel := func(name v1alpha1.ConnectorName, channels ...v1alpha1.Pattern) {
		c := v1alpha1.ChannelRequest{Credential: v1alpha1.ObjectName(name)}
		c.Connector, c.Channels, c.Users = name, channels, []v1alpha1.Pattern{"*"}
		g.Channels = append(g.Channels, c)
	}
	model := func(name v1alpha1.ConnectorName, models ...v1alpha1.Pattern) {
		m := v1alpha1.ModelRequest{Credential: v1alpha1.ObjectName(name)}
		m.Connector, m.Models = name, models
		g.Models = append(g.Models, m)
	}
	tool := func(name v1alpha1.ConnectorName, actions []v1alpha1.Action, scopes ...v1alpha1.ResourceScope) {
		r := v1alpha1.ToolRequest{Credential: v1alpha1.ObjectName(name)}
		r.Connector, r.Actions, r.Resources = name, actions, scopes
		g.Tools = append(g.Tools, r)
	}
	names := func(kind string, names ...v1alpha1.Pattern) v1alpha1.ResourceScope {
		return v1alpha1.ResourceScope{Type: kind, Names: names}
	}
	read, both := []v1alpha1.Action{v1alpha1.ActionRead}, []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite}
	channel("slack", "C0SUPPORT")
	channel("github", "acme/widgets")
	channel("gmail", "me")
	model("openai", "gpt-5*")
	model("anthropic", "claude-*")
	tool("slack", read, names("channel", "C0SUPPORT"), names("file", "F0REPORT"))
	tool("github", both, names("repository", "acme/widgets"))
	tool("gmail", both, names("mailbox", "me"), v1alpha1.ResourceScope{Type: "recipient", Domains: []v1alpha1.Domain{"acme.example"}})
	tool("google-calendar", both, names("calendar", "support@acme.example"))
	tool("google-drive", read, names("file", "file-1"))
	tool("tickets", both[:1], names("tool", "list_tickets", "list_slowly"))
	for name, slots := range keys {
		c := v1alpha1.GrantCredential{Name: v1alpha1.ObjectName(name), Connector: v1alpha1.ConnectorName(name)}
		for slot := range slots {
			c.Slots = append(c.Slots, slot)
		}
		g.Credentials = append(g.Credentials, c)
	}
	return g
}

// environment is what an agent finds.
func (w *world) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HTTPS_PROXY=" + w.proxy, "NODE_USE_ENV_PROXY=1", "NODE_EXTRA_CA_CERTS=" + w.caFile,
		"SSL_CERT_FILE=" + w.caFile, "CURL_CA_BUNDLE=" + w.caFile, "GIT_SSL_CAINFO=" + w.caFile, "MCP_URL=https://mcp.acme.example/mcp",
	}
	for _, name := range w.catalogue.Names() {
		for _, slot := range w.catalogue.Get(name).Slots {
			if slot.Placeholder != "" {
				env = append(env, slot.Env+"="+slot.Placeholder)
			}
		}
	}
	return env
}

func authority(t *testing.T) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert, key
}

// certificates are made for whatever name is asked for.
func certificates(ca *x509.Certificate, key crypto.Signer) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{hello.ServerName},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), key)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readOnly takes from a tool everything but reading.
func (s *source) readOnly(name v1alpha1.ConnectorName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, grant := *s.current, s.current.Grant.DeepCopy()
	for i := range grant.Tools {
		if grant.Tools[i].Connector == name {
			grant.Tools[i].Actions = []v1alpha1.Action{v1alpha1.ActionRead}
		}
	}
	next.Grant = grant
	s.current = &next
}

// noise is bytes that do not compress.
func noise(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	must(t, err)
	return b
}
