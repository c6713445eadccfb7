package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// counting counts what is dialled.
func counting(dials *atomic.Int64) option {
	return func(c *Config, _ *state.Snapshot) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}
	}
}

// over has providers speak one protocol only.
func over(w *world, protocol string) {
	w.provider.TLS.NextProtos = []string{protocol} // of connections from now on
}

// Connections to providers are kept: how many are dialled depends on how many calls there are at once, not on how many
// there were, for HTTP/1.1 and for HTTP/2.
func TestDialsDoNotGrow(t *testing.T) {
	const workers, calls = 32, 25
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			var dials, spoken atomic.Int64
			w := newWorld(t, counting(&dials))
			over(w, protocol)
			w.answers(func(rw http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 {
					spoken.Add(1)
				}
				_, _ = io.WriteString(rw, `{"ok":true}`)
			})
			c := w.client()
			round := func() {
				var all sync.WaitGroup
				for range workers {
					all.Go(func() {
						for range calls {
							resp, err := c.Post("https://slack.com/api/auth.test", formType, strings.NewReader(""))
							if err != nil {
								t.Error(err)
								return
							}
							_, _ = io.Copy(io.Discard, resp.Body)
							_ = resp.Body.Close()
						}
					})
				}
				all.Wait()
			}
			round()
			first := dials.Load()
			for range 3 {
				round()
			}
			if later := dials.Load() - first; first > 2*workers || later > 2 {
				t.Errorf("%d dials for the first %d calls, %d for thrice as many after them", first, workers*calls, later)
			}
			if got, want := spoken.Load(), int64(4*workers*calls); protocol == "h2" && got != want || protocol != "h2" && got != 0 {
				t.Errorf("%d calls over HTTP/2 of %d", got, want)
			}
			t.Logf("%d dials for %d calls", dials.Load(), 4*workers*calls)
		})
	}
}

// Streams at once share what HTTP/2 has of connections.
func TestStreamsShareConnections(t *testing.T) {
	var dials atomic.Int64
	w := newWorld(t, counting(&dials))
	over(w, "h2")
	c := w.client()
	w.post(c, askModel, jsonType, modelBody) // there is a connection now
	events := w.streams()
	const streams = 40
	var all sync.WaitGroup
	for range streams {
		_, r := w.open(c, askModel, jsonType, modelBody)
		all.Go(func() {
			if _, err := r.ReadString('\n'); err != nil {
				t.Error(err)
			}
		})
	}
	for range streams {
		events <- "data\n"
	}
	all.Wait()
	if got := dials.Load(); got > 1 {
		t.Errorf("%d dials", got)
	}
}

const ownConnector = `connector: wiki
denial: Problem
hosts: [{host: wiki.corp.example, privateCIDRs: [127.0.0.0/8, 10.20.0.0/16]}]
slots: {token: {use: Inject, header: Authorization, format: "Bearer {{value}}", env: WIKI_TOKEN, placeholder: wiki-claw-placeholder}}
operations: [{id: pages.list, methods: [GET], path: /pages, action: Read, authority: tool}]
`

// What is private stays so for every host but those an organization names, and no longer than it does.
func TestPrivateNetworks(t *testing.T) {
	own, err := connector.Load(map[string][]byte{"wiki.yaml": []byte(ownConnector)})
	if err != nil {
		t.Fatal(err)
	}
	narrowed, err := connector.Load(map[string][]byte{"wiki.yaml": []byte(strings.Replace(ownConnector, ", 10.20.0.0/16", "", 1))})
	if err != nil {
		t.Fatal(err)
	}
	current := own
	var dialled []string
	u := newUpstream(Config{
		Resolver: names{"wiki.corp.example.": {{"10.20.0.1"}}, "slack.com.": {{"10.20.0.1"}}, "other.example.": {{"10.20.0.1"}}},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return nil, io.ErrClosedPipe
		},
	}, func() *connector.Catalogue { return current })
	roots := x509.NewCertPool()
	before := u.pool(roots)
	for host, want := range map[string]string{"wiki.corp.example": "10.20.0.1:443", "slack.com": "", "other.example": ""} {
		dialled = nil
		_, err := u.guard.connect(t.Context(), "tcp", host+":443")
		if got := strings.Join(dialled, " "); got != want || err == nil {
			t.Errorf("%s: dialled %q, %v", host, got, err)
		}
	}
	if u.pool(roots) != before {
		t.Error("the connections are not kept")
	}
	current = narrowed
	if u.pool(roots) == before {
		t.Error("connections to where the host may no longer be are kept")
	}
	dialled = nil
	if _, err := u.guard.connect(t.Context(), "tcp", "wiki.corp.example:443"); len(dialled) > 0 || err == nil {
		t.Errorf("dialled %v, %v", dialled, err)
	}
}

// A host that a connector of ours is at as well is not private because another one says so.
func TestPrivateNetworksAreOfAllAtAHost(t *testing.T) {
	shared := strings.NewReplacer("connector: wiki", "connector: files", "privateCIDRs: [127.0.0.0/8, 10.20.0.0/16]", "base: /files", "wiki-claw", "files-claw", "WIKI", "FILES").Replace(ownConnector)
	both, err := connector.Load(map[string][]byte{"wiki.yaml": []byte(strings.Replace(ownConnector, "host: wiki.corp.example", "host: wiki.corp.example, base: /wiki", 1)), "files.yaml": []byte(shared)})
	if err != nil {
		t.Fatal(err)
	}
	if got := privateNetworks(both)["wiki.corp.example"]; got.have(netip.MustParseAddr("10.20.0.1")) {
		t.Errorf("networks %v", got)
	}
}

// What the provider offers besides is not for the agent: no other protocol, and no other place.
func TestThreatAltSvcAndHTTP2TowardsTheAgent(t *testing.T) {
	w := newWorld(t)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Alt-Svc", `h3=":443"; ma=86400`)
		_, _ = io.WriteString(rw, `{"ok":true}`)
	})
	address := w.also(w.proxy.ServeTLS)
	for name, offered := range map[string][]string{"both": {"h2", "http/1.1"}, "none": nil} {
		conn, err := w.steered(address, &tls.Config{RootCAs: w.roots, ServerName: "slack.com", NextProtos: offered})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != "" && got != "http/1.1" {
			t.Errorf("%s: %q is spoken", name, got)
		}
	}
	for _, offered := range [][]string{{"h2"}, {"h3"}, {"spdy/3"}} {
		if _, err := w.steered(address, &tls.Config{RootCAs: w.roots, ServerName: "slack.com", NextProtos: offered}); err == nil {
			t.Errorf("%v is spoken", offered)
		}
	}
	_, header, _ := w.post(w.steeredClient(address), slackPost, formType, inChannel)
	if header.Get("Alt-Svc") != "" {
		t.Errorf("header %v", header)
	}
}
