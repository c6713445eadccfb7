package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

const maxInbound = 128 // connections of providers at once

// inbound serves what providers send.
type inbound struct {
	server *http.Server
}

func inboundServer(o options, source state.Source, log audit.Log, leaves *gateway.Leaves) *inbound {
	host := o.claw.Name + "-gateway." + o.claw.Namespace + ".svc"
	return &inbound{server: &http.Server{
		Handler:           http.NotFoundHandler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return leaves.Certificate(source.Current(), host)
			},
		},
	}}
}

func (i *inbound) serve(l net.Listener) error {
	return i.server.ServeTLS(netutil.LimitListener(l, maxInbound), "", "")
}

func (i *inbound) shutdown(ctx context.Context) {
	if err := i.server.Shutdown(ctx); err != nil {
		_ = i.server.Close()
	}
}
