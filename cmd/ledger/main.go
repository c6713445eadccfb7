// Command ledger keeps the records of all Claws (serve), prints them (read) and
// checks that they are whole (verify).
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/ledger"
	"github.com/clawstaff/clawstaff/internal/memlimit"
)

const usage = `usage: ledger serve | read | verify [flags]

  serve   take records from gateways (OTLP/HTTP over TLS) and keep them
  read    print records, a JSON line each
  verify  check that histories are whole, without the cluster

'ledger COMMAND -h' lists the flags.
`

const defaultData = "/var/lib/clawstaff/ledger"

func main() {
	memlimit.Set()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context, []string) error{"serve": serve, "read": read, "verify": verify}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "ledger %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", ":4318", "address to listen on")
	data := flags.String("data", defaultData, "directory the records are kept in")
	certFile := flags.String("tls-cert", "", "certificate, PEM; read again when it changes")
	keyFile := flags.String("tls-key", "", "its key, PEM")
	_ = flags.Parse(args)

	certificate, err := ledger.LoadCertificate(*certFile, *keyFile)
	if err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	who, err := ledger.NewTokenReviews(config)
	if err != nil {
		return err
	}
	store, err := ledger.Open(*data)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	server := &http.Server{
		Handler:           ledger.NewServer(store, who),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certificate.Get},
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	slog.Info("serving", "address", listener.Addr().String(), "data", *data)
	return run(ctx, server, listener, store)
}

// run serves until ctx is done, then answers what is under way and closes the store.
func run(ctx context.Context, server *http.Server, listener net.Listener, store *ledger.Store) error {
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-failed:
		return errors.Join(err, store.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(grace), store.Close())
}

// selection declares the flags that say whose histories are meant.
func selection(flags *flag.FlagSet) (data *string, selected func() (ledger.Selection, error)) {
	data = flags.String("data", defaultData, "directory the records are kept in")
	namespace := flags.String("namespace", "", "only this namespace")
	claw := flags.String("claw", "", "only this Claw: NAME or NAMESPACE/NAME")
	return data, func() (ledger.Selection, error) { return ledger.ParseSelection(*namespace, *claw) }
}

func read(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("read", flag.ExitOnError)
	data, selected := selection(flags)
	follow := flags.Bool("follow", false, "go on with new records as they come")
	_ = flags.Parse(args)
	s, err := selected()
	if err != nil {
		return err
	}
	return ledger.Read(ctx, os.Stdout, *data, s, *follow)
}

func verify(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("verify", flag.ExitOnError)
	data, selected := selection(flags)
	head := flags.String("head", "", "SEQ:HASH that the history must contain, which shows that its end was not cut off")
	_ = flags.Parse(args)
	s, err := selected()
	if err != nil {
		return err
	}
	var expected *audit.Head
	if *head != "" {
		h, err := audit.ParseHead(*head)
		if err != nil {
			return err
		}
		expected = &h
	}
	return ledger.Verify(os.Stdout, *data, s, expected)
}
