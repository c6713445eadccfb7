// Command gateway is the only network peer of one Claw's agent. It tells the agent's
// calls and the messages for it apart into what its grant allows and what not.
package main

import (
	"context"
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

	// The authorities that providers' certificates are verified with: the image holds nothing but the program.
	_ "golang.org/x/crypto/x509roots/fallback"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway"
	"github.com/clawstaff/clawstaff/internal/gateway/dns"
	"github.com/clawstaff/clawstaff/internal/gateway/inbound"
	"github.com/clawstaff/clawstaff/internal/gateway/kube"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/memlimit"
)

// drain is how long calls under way may take to end when the gateway is told to.
const drain = 15 * time.Second

func main() {
	memlimit.Set()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	slog.SetDefault(logger)
	klog.SetSlogLogger(logger)
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "gateway: %v; 'gateway -h' lists the flags\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = start(ctx, o, logger)
	stop()
	if err != nil {
		logger.Error("the gateway ends", "error", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, o options, logger *slog.Logger) error {
	api, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	ls, err := listen(o)
	if err != nil {
		return err
	}
	return run(ctx, o, api, ls, logger)
}

// listeners are the gateway's ports.
type listeners struct {
	proxy, tls, plain, inbound, health net.Listener
	names                              net.Listener // DNS over TCP
	questions                          *net.UDPConn // and over UDP
}

func listen(o options) (ls listeners, err error) {
	for _, on := range []struct {
		address string
		l       *net.Listener
	}{
		{o.proxyListen, &ls.proxy}, {o.tlsListen, &ls.tls}, {o.plainListen, &ls.plain},
		{o.inboundListen, &ls.inbound}, {o.healthListen, &ls.health}, {o.dnsListen, &ls.names},
	} {
		if *on.l, err = net.Listen("tcp", on.address); err != nil {
			return ls, err
		}
	}
	address, err := net.ResolveUDPAddr("udp", o.dnsListen)
	if err != nil {
		return ls, err
	}
	ls.questions, err = net.ListenUDP("udp", address)
	return ls, err
}

// run serves until ctx is done, or until a part of the gateway cannot go on.
func run(ctx context.Context, o options, api *rest.Config, ls listeners, logger *slog.Logger) error {
	catalogue, err := connector.Builtin()
	if err != nil {
		return err
	}
	usage := &meter.Meter{} // one limit is about calls and messages together
	shipper := audit.NewShipper(audit.ShipperConfig{
		Claw: o.claw, URL: o.ledgerURL, TokenFile: o.ledgerTokenFile, Stdout: os.Stdout,
		Restore: func(u audit.Usage) { usage.Restore(u, time.Now()) },
	})
	watcher, err := kube.New(kube.Config{
		REST: api, Claw: o.claw, PodName: o.podName, PodUID: o.podUID, Log: shipper,
		LedgerCA: func(pem []byte) {
			if err := shipper.SetRoots(pem); err != nil {
				logger.Error("the ledger's certificate authority is not usable", "error", err)
			}
		},
	})
	if err != nil {
		return err
	}
	leaves := gateway.NewLeaves(nil)
	proxy := gateway.NewProxy(gateway.Config{
		Source: watcher, Log: shipper, Catalogue: catalogue, Overrides: o.overrides, Leaves: leaves, Logger: logger, Meter: usage,
	})
	messages := inbound.New(inbound.Config{Source: watcher, Log: shipper, Meter: usage})
	server := newInboundServer(o, watcher, messages, leaves)
	health := healthServer(watcher, shipper)
	resolver := dns.New(dns.Config{Zone: proxy.Names(), Address: o.address, Logger: logger})

	// What keeps and what tells must outlive what serves: the outcome of the last call is recorded too.
	base, end := context.WithCancel(context.Background())
	defer end()
	group, base := errgroup.WithContext(base)
	group.Go(func() error { return shipper.Run(base) })
	group.Go(func() error { return watcher.Run(base) })
	delivering, stopDelivering := context.WithCancel(base)
	defer stopDelivering()
	delivered := make(chan struct{})
	group.Go(func() error {
		defer close(delivered)
		return messages.Run(delivering)
	})
	serve(group, ls.proxy, after(base, shipper.Began(), proxy.Serve))
	serve(group, ls.tls, after(base, shipper.Began(), proxy.ServeTLS))
	serve(group, ls.plain, after(base, shipper.Began(), proxy.ServePlain))
	serve(group, ls.names, resolver.Serve)
	serve(group, nil, func(net.Listener) error { return resolver.ServePacket(ls.questions) })
	serve(group, ls.inbound, after(base, shipper.Began(), server.serve))
	serve(group, ls.health, health.Serve)
	logger.Info("the gateway serves", "claw", o.claw.Namespace+"/"+o.claw.Name, "proxy", ls.proxy.Addr().String(), "inbound", ls.inbound.Addr().String())
	select {
	case <-ctx.Done():
	case <-base.Done():
	}
	// Once a part of the gateway has failed nothing is waited for: a revocation might not be heard of any more.
	stopping, cancel := context.WithTimeout(base, drain)
	defer cancel()
	resolver.Close()
	server.shutdown(stopping)
	_ = proxy.Shutdown(stopping)
	stopDelivering()
	<-delivered // what was not is recorded
	end()
	_ = health.Close()
	return group.Wait()
}

// serve adds a server to the group.
func serve(group *errgroup.Group, l net.Listener, serve func(net.Listener) error) {
	group.Go(func() error {
		if err := serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
}

// after has a server wait: nothing may be counted before it is known what was before this gateway.
func after(ctx context.Context, began <-chan struct{}, serve func(net.Listener) error) func(net.Listener) error {
	return func(l net.Listener) error {
		select {
		case <-began:
			return serve(l)
		case <-ctx.Done():
			return l.Close()
		}
	}
}

type readiness interface{ Ready() bool }

// healthServer answers the kubelet.
func healthServer(parts ...readiness) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, p := range parts {
			if !p.Ready() {
				http.Error(w, "the grant has not been read, or the ledger takes no records", http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
}
