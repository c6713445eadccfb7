package local

import (
	"context"
	"crypto"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/ledger"
	"github.com/clawstaff/clawstaff/internal/secret"
	"github.com/clawstaff/clawstaff/test/bench/floor"
)

const (
	password = "the-proxy-password"
	key      = "sk-ant-benchmark-key-that-opens-nothing"
	model    = "claude-sonnet-5"
)

var claw = audit.ClawRef{Namespace: "bench", Name: "claw", UID: "0b7f4c0e-0000-4000-8000-000000000001"}

func pair(dir, name string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
}

// answer is what the provider says: of the size of a short answer of a model.
var answer = []byte(`{"id":"msg_1","type":"message","role":"assistant","model":"` + model + `","content":[{"type":"text","text":"` +
	string(make1k()) + `"}],"stop_reason":"end_turn","usage":{"input_tokens":12,"output_tokens":240}}`)

func make1k() []byte {
	text := make([]byte, 1000)
	for i := range text {
		text[i] = "abcdefghijklmnopqrstuvwxyz "[i%27]
	}
	return text
}

// serveUpstream is a provider that answers at once.
func serveUpstream(dir string, _ []string, listener net.Listener) error {
	certificate, err := pair(dir, "upstream")
	if err != nil {
		return err
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // whoever breaks off gets no answer
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}
	// HTTP/1.1 to all, so that what differs is the proxies.
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	return http.Serve(tls.NewListener(listener, config), http.HandlerFunc(handler))
}

// serveFloor is what a gateway is compared with.
func serveFloor(dir string, args []string, listener net.Listener) error {
	ca, err := pair(dir, "claw-ca")
	if err != nil {
		return err
	}
	pool, err := roots(dir, "upstream")
	if err != nil {
		return err
	}
	proxy, err := floor.New(ca, pool, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, args[0])
	})
	if err != nil {
		return err
	}
	return proxy.Serve(listener)
}

// serveGateway is the gateway's way out with a grant in force. Its records are durable in a ledger, where one is named,
// and otherwise made, chained and forgotten.
func serveGateway(dir string, args []string, listener net.Listener) error {
	snapshot, err := snapshot(dir)
	if err != nil {
		return err
	}
	catalogue, err := connector.Builtin()
	if err != nil {
		return err
	}
	upstream, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	var log audit.Log = &forgetful{}
	if len(args) > 1 {
		shipper, err := ship(context.Background(), dir, args[1], claw)
		if err != nil {
			return err
		}
		log = shipper
	}
	return gateway.NewProxy(gateway.Config{
		Source: fixed{snapshot}, Log: log, Catalogue: catalogue,
		Overrides: map[string]netip.AddrPort{provider: upstream},
		Logger:    slog.Default(),
	}).Serve(listener)
}

type fixed struct{ *state.Snapshot }

// Current implements state.Source.
func (f fixed) Current() *state.Snapshot { return f.Snapshot }

// snapshot allows one model, among other things.
func snapshot(dir string) (*state.Snapshot, error) {
	ca, err := pair(dir, "claw-ca")
	if err != nil {
		return nil, err
	}
	pool, err := roots(dir, "upstream")
	if err != nil {
		return nil, err
	}
	grant := Grant()
	return &state.Snapshot{
		Claw: claw, Grant: &grant,
		Keys:          map[string]map[string]secret.Value{"anthropic": {"apiKey": secret.New([]byte(key))}},
		ProxyPassword: secret.New([]byte(password)),
		CA:            ca.Leaf, CAKey: ca.PrivateKey.(crypto.Signer),
		UpstreamRoots: pool,
		Done:          make(chan struct{}),
	}, nil
}

// Grant is one of a usual size.
func Grant() v1alpha1.ClawGrantSpec {
	channels := v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT", "C0TRIAGE"}, Users: []v1alpha1.Pattern{"*"}}
	tools := v1alpha1.ToolRule{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead},
		Resources: []v1alpha1.ResourceScope{{Type: "channel", Names: []v1alpha1.Pattern{"C0*"}}}}
	return v1alpha1.ClawGrantSpec{
		ClawUID: claw.UID, Hash: "benchmark", State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityTeam,
		AgentIPs: []string{"127.0.0.1"},
		Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T01ACME/U01LEE", "T01ACME/U01SARAH"}}},
		Channels: []v1alpha1.ChannelRequest{{ChannelRule: channels, Credential: "slack"}},
		Tools:    []v1alpha1.ToolRequest{{ToolRule: tools, Credential: "slack"}},
		Models: []v1alpha1.ModelRequest{{ModelRule: v1alpha1.ModelRule{Connector: "anthropic",
			Models: []v1alpha1.Pattern{"claude-haiku-*", "claude-sonnet-*"}}, Credential: "anthropic"}},
		Credentials: []v1alpha1.GrantCredential{{Name: "anthropic", Connector: "anthropic", Slots: []string{"apiKey"}}},
	}
}

// forgetful is a Log that makes records and keeps none.
type forgetful struct {
	mu    sync.Mutex
	chain audit.Chain
}

// Append implements audit.Log.
func (f *forgetful) Append(_ context.Context, r audit.Record) (audit.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sealed, _, err := f.chain.Seal(r, time.Now())
	return sealed, err
}

// serveLedger is the ledger as it is, but for whom it believes.
func serveLedger(dir string, _ []string, listener net.Listener) error {
	certificate, err := pair(dir, "ledger")
	if err != nil {
		return err
	}
	store, err := ledger.Open(filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	return http.Serve(tls.NewListener(listener, config), ledger.NewServer(store, byToken{}))
}
