package load_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/test/bench/floor"
	"github.com/clawstaff/clawstaff/test/bench/load"
)

// provider answers on TLS as one host; it returns its address and who vouches for it.
func provider(t *testing.T, handler http.HandlerFunc) (address string, roots *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.Listener.Addr().String(), roots
}

// proxy is a floor in front of an address; it returns its own address and the CA its certificates are of.
func proxy(t *testing.T, upstream string, roots *x509.CertPool) (address string, own *x509.CertPool) {
	t.Helper()
	pair, err := pki.NewCA("the floor", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := floor.New(ca, roots, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, upstream)
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { _ = p.Serve(listener) }()
	own = x509.NewCertPool()
	own.AppendCertsFromPEM(pair.Cert)
	return listener.Addr().String(), own
}

const host = "example.com" // httptest's certificate is for it

func TestThroughTheFloor(t *testing.T) {
	bodies := make(chan string, 1000)
	upstream, roots := provider(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case bodies <- r.Host + r.URL.Path + string(body):
		default:
		}
		_, _ = io.WriteString(w, "hello")
	})
	address, own := proxy(t, upstream, roots)
	target := load.Target{Proxy: address, Host: host, Roots: own}
	target.Request = target.Post("/path", "{}")
	for name, run := range map[string]func() (load.Result, error){
		"closed": func() (load.Result, error) { return load.Closed(t.Context(), target, 4, 50*time.Millisecond) },
		"open":   func() (load.Result, error) { return load.Open(t.Context(), target, 4, 200, 50*time.Millisecond) },
	} {
		result, err := run()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(result.Latencies) == 0 || result.PerSecond() <= 0 {
			t.Errorf("%s: nothing was measured", name)
		}
	}
	if got := <-bodies; got != host+"/path{}" {
		t.Errorf("the provider got %q", got)
	}
}

func TestOpenAsksAsOftenAsItShould(t *testing.T) {
	upstream, roots := provider(t, func(http.ResponseWriter, *http.Request) {})
	target := load.Target{Address: upstream, Host: host, Roots: roots}
	target.Request = target.Post("/", "")
	result, err := load.Open(t.Context(), target, 2, 1000, 100*time.Millisecond)
	if err != nil || len(result.Latencies) != 100 {
		t.Errorf("%d requests, want 100; error %v", len(result.Latencies), err)
	}
}

func TestABadAnswerIsAnError(t *testing.T) {
	upstream, roots := provider(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	target := load.Target{Address: upstream, Host: host, Roots: roots}
	target.Request = target.Post("/", "")
	if _, err := load.Closed(t.Context(), target, 1, 10*time.Millisecond); err == nil {
		t.Error("no error")
	}
}

// A provider that stalls once stalls one request; those that were due meanwhile must not look fast.
func TestOpenCountsTheWaitForAConnection(t *testing.T) {
	var asked atomic.Int32
	upstream, roots := provider(t, func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 2 { // the first one only warms up
			<-time.After(100 * time.Millisecond)
		}
	})
	target := load.Target{Address: upstream, Host: host, Roots: roots}
	target.Request = target.Post("/", "")
	result, err := load.Open(t.Context(), target, 1, 100, 150*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	waited := 0
	for _, latency := range result.Latencies {
		if latency > 30*time.Millisecond {
			waited++
		}
	}
	if waited < 5 {
		t.Errorf("%d requests waited: %v", waited, result.Latencies)
	}
}

// Each connection of a pool has a target of its own, and the server knows who asks.
func TestPool(t *testing.T) {
	pair, err := pki.NewCA("somebody", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	somebody, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	asked := [2]atomic.Int32{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != "somebody" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		asked[len(r.URL.Path)-2].Add(1)
		w.WriteHeader(http.StatusCreated)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	pool, err := load.Connect(t.Context(), 2, func(i int) load.Target {
		target := load.Target{Address: server.Listener.Addr().String(), Host: host, Roots: roots, Certificates: []tls.Certificate{somebody}}
		target.Request = target.Post([]string{"/a", "/ab"}[i], "{}")
		return target
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for range 2 { // it can be used again
		if _, err := pool.Closed(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	for i := range asked {
		if asked[i].Load() < 3 {
			t.Errorf("connection %d asked %d times", i, asked[i].Load())
		}
	}
}
