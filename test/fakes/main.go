// Command fakes runs fake Slack, Anthropic and OpenAI APIs behind one TLS port, for the demo and the
// end-to-end test. On the local cluster it runs in the fake internet; elsewhere as a pod.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/test/fakes/ca"
	"github.com/clawstaff/clawstaff/test/fakes/control"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

func main() {
	tlsListen := flag.String("tls-listen", ":443", "address the providers listen on, for all hosts")
	controlListen := flag.String("control-listen", "127.0.0.1:8089", "address the control API listens on")
	caDir := flag.String("ca-dir", "/tmp/clawstaff-fakes", "directory the certificate authority is kept in")
	withStdin := flag.Bool("with-stdin", false, "end when standard input does, so as not to outlive who started this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *withStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // the end is what matters
			stop()
		}()
	}
	if err := run(ctx, *tlsListen, *controlListen, *caDir); err != nil {
		slog.Error("the fake providers ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tlsListen, controlListen, caDir string) error {
	authority, err := ca.Open(caDir)
	if err != nil {
		return err
	}
	providers := provider.New()
	secure, err := tls.Listen("tcp", tlsListen, &tls.Config{
		GetCertificate: authority.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
	})
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", controlListen)
	if err != nil {
		return err
	}
	slog.Info("the fake providers are up", "tls", secure.Addr().String(), "control", plain.Addr().String(), "ca", caDir)
	servers := []*http.Server{
		// Who connects and goes, as an agent that must not get here does, is no error of the fakes.
		{Handler: providers, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)},
		{Handler: control.Handler(providers, authority.PEM()), ReadHeaderTimeout: 10 * time.Second},
	}
	ended := make(chan error, len(servers))
	for i, listener := range []net.Listener{secure, plain} {
		go func() { ended <- servers[i].Serve(listener) }()
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	for _, server := range servers {
		err = errors.Join(err, server.Close())
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
