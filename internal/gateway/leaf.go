package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

const (
	leafLife   = 24 * time.Hour
	leafBefore = time.Hour      // clocks of sandboxes are not always right
	leafRenew  = 12 * time.Hour // before it ends
)

// Leaves makes and keeps the certificates a gateway shows, of hosts for which its Claw's CA speaks.
type Leaves struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	ca     *x509.Certificate
	key    crypto.Signer // of all leaves
	byHost map[string]*leaf
}

type leaf struct {
	config *tls.Config
	cert   *tls.Certificate
	renew  time.Time
}

// NewLeaves returns an empty cache. The clock is the real one where nil.
func NewLeaves(c clock.PassiveClock) *Leaves {
	if c == nil {
		c = clock.RealClock{}
	}
	return &Leaves{clock: c}
}

// Certificate returns a certificate for a host, signed by a snapshot's CA.
func (l *Leaves) Certificate(snap *state.Snapshot, host string) (*tls.Certificate, error) {
	found, err := l.leaf(snap, host)
	if err != nil {
		return nil, err
	}
	return found.cert, nil
}

// errServerName means that TLS asks for another host than the tunnel was opened for.
var errServerName = errors.New("the TLS server name is not the host of the tunnel")

// config returns the TLS configuration of tunnels to a host. It is shared by them, so that sessions are resumed.
func (l *Leaves) config(snap *state.Snapshot, host string) (*tls.Config, error) {
	found, err := l.leaf(snap, host)
	if err != nil {
		return nil, err
	}
	return found.config, nil
}

func (l *Leaves) leaf(snap *state.Snapshot, host string) (*leaf, error) {
	if snap.CA == nil || snap.CAKey == nil {
		return nil, errors.New("the Claw's certificate authority is not there yet")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ca == nil || !l.ca.Equal(snap.CA) {
		l.ca, l.key, l.byHost = snap.CA, nil, map[string]*leaf{}
	}
	now := l.clock.Now()
	if found := l.byHost[host]; found != nil && now.Before(found.renew) {
		return found, nil
	}
	made, err := l.mint(snap, host, now)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", host, err)
	}
	l.byHost[host] = made
	return made, nil
}

func (l *Leaves) mint(snap *state.Snapshot, host string, now time.Time) (*leaf, error) {
	if l.key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		l.key = key
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "ClawStaff gateway"},
		DNSNames:     []string{host},
		NotBefore:    now.Add(-leafBefore),
		NotAfter:     now.Add(leafLife - leafBefore),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, snap.CA, l.key.Public(), snap.CAKey)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: l.key, Leaf: parsed}
	return &leaf{cert: cert, config: tlsConfig(cert, host), renew: template.NotAfter.Add(-leafRenew)}, nil
}

func tlsConfig(cert *tls.Certificate, host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if asciiLower(hello.ServerName) != host {
				return nil, errServerName
			}
			return cert, nil
		},
		DynamicRecordSizingDisabled: true,
	}
}
