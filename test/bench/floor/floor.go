// Package floor is the least an intercepting proxy can do: it opens the tunnel, shows a certificate it has made and
// kept, and passes requests on. It knows no policy, no keys and no records. What a gateway costs is measured from here.
package floor

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// Proxy intercepts. Make it with New.
type Proxy struct {
	ca        tls.Certificate
	key       *ecdsa.PrivateKey
	transport *http.Transport

	mu     sync.Mutex
	leaves map[string]*tls.Config
}

// New returns a Proxy whose certificates ca signs, and which finds every host behind dial, verified with roots.
func New(ca tls.Certificate, roots *x509.CertPool, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Proxy, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Proxy{ca: ca, key: key, leaves: map[string]*tls.Config{}, transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
		DisableCompression: true, MaxIdleConnsPerHost: 256,
	}}, nil
}

// Serve accepts connections until the listener is closed.
func (p *Proxy) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go p.serve(conn)
	}
}

func (p *Proxy) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil || request.Method != http.MethodConnect {
		return
	}
	host, _, err := net.SplitHostPort(request.Host)
	if err != nil {
		return
	}
	config, err := p.leaf(host)
	if err != nil {
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		return
	}
	inner := tls.Server(conn, config)
	reader, writer := bufio.NewReader(inner), bufio.NewWriter(inner)
	for p.pass(writer, reader, host) == nil {
	}
}

// pass passes one request on, and its answer back.
func (p *Proxy) pass(writer *bufio.Writer, reader *bufio.Reader, host string) error {
	request, err := http.ReadRequest(reader)
	if err != nil {
		return err
	}
	request.URL.Scheme, request.URL.Host, request.RequestURI = "https", host, ""
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	response.Proto, response.ProtoMajor, response.ProtoMinor = "HTTP/1.1", 1, 1
	if err := response.Write(writer); err != nil {
		return err
	}
	return writer.Flush()
}

func (p *Proxy) leaf(host string) (*tls.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if config := p.leaves[host]; config != nil {
		return config, nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca.Leaf, p.key.Public(), p.ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: p.key}}, NextProtos: []string{"http/1.1"}}
	p.leaves[host] = config
	return config, nil
}
