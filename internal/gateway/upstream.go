package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync"
	"time"
)

// upstream keeps the connections to providers. There is one pool for each set of roots, and in practice one.
type upstream struct {
	guard *guard

	mu        sync.Mutex
	roots     *x509.CertPool
	transport *http.Transport
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
	if u.transport != nil && (u.roots == roots || u.roots.Equal(roots)) {
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

func (u *upstream) closeIdle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.transport != nil {
		u.transport.CloseIdleConnections()
	}
}
