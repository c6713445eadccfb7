package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/internal/connector"
)

// upstream keeps the connections to providers. There is one pool for each set of roots and of private networks, and in
// practice one.
type upstream struct {
	guard     *guard
	catalogue func() *connector.Catalogue // in force

	mu        sync.Mutex
	roots     *x509.CertPool
	transport *http.Transport
	private   map[string]networks // by host
	of        *connector.Catalogue
}

func newUpstream(cfg Config, catalogue func() *connector.Catalogue) *upstream {
	u := &upstream{catalogue: catalogue}
	u.guard = &guard{resolver: cfg.Resolver, dial: cfg.Dial, overrides: cfg.Overrides, networks: u.networks}
	return u
}

const (
	idleUpstream    = 90 * time.Second
	maxIdleUpstream = 256
	maxAnswerHead   = 64 << 10
)

// pool returns the transport that trusts roots.
func (u *upstream) pool(roots *x509.CertPool) *http.Transport {
	u.mu.Lock()
	defer u.mu.Unlock()
	moved := u.lookAround()
	if u.transport != nil && !moved && (u.roots == roots || u.roots.Equal(roots)) {
		u.roots = roots // comparing these next time is quick
		return u.transport
	}
	if u.transport != nil {
		u.transport.CloseIdleConnections()
	}
	u.roots = roots
	u.transport = &http.Transport{
		Proxy:                  nil, // whatever the environment says
		DialContext:            u.guard.connect,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(16)},
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // secrets are looked for in what passes
		MaxIdleConns:           maxIdleUpstream,
		MaxIdleConnsPerHost:    maxIdleUpstream,
		IdleConnTimeout:        idleUpstream,
		MaxResponseHeaderBytes: maxAnswerHead,
		// A connection that is silently gone must not hold a stream until the agent loses patience.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	return u.transport
}

// networks returns the private networks a host may be in.
func (u *upstream) networks(host string) networks {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lookAround() && u.transport != nil {
		u.transport.CloseIdleConnections()
		u.transport = nil
	}
	return u.private[host]
}

// lookAround finds the private networks of the catalogue in force, and reports whether they are others than before:
// a connection to where a host may no longer be is not used again.
func (u *upstream) lookAround() (changed bool) {
	now := u.catalogue()
	if now == u.of {
		return false
	}
	found := privateNetworks(now)
	changed = u.of != nil && !reflect.DeepEqual(found, u.private)
	u.private, u.of = found, now
	return changed
}

// privateNetworks returns, by host, the private networks of the connectors there. Where one of them has none, there are none.
func privateNetworks(catalogue *connector.Catalogue) map[string]networks {
	out := map[string]networks{}
	public := map[string]bool{}
	for _, name := range catalogue.Names() {
		for _, host := range catalogue.Get(name).Hosts {
			var list []netip.Prefix
			for _, text := range host.PrivateCIDRs {
				if p, err := netip.ParsePrefix(text); err == nil { // it was validated when it was read
					list = append(list, p.Masked())
				}
			}
			public[host.Name] = public[host.Name] || len(list) == 0
			out[host.Name] = append(out[host.Name], list)
		}
	}
	maps.DeleteFunc(out, func(host string, _ networks) bool { return public[host] })
	return out
}

func (u *upstream) closeIdle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.transport != nil {
		u.transport.CloseIdleConnections()
	}
}
