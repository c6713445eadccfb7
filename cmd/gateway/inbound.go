package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/clawstaff/clawstaff/internal/gateway"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// maxInbound is how many connections of providers are served at once; the others wait.
const maxInbound = 128

// inboundServer serves what providers send, as the gateway's Service.
type inboundServer struct{ *http.Server }

func newInboundServer(o options, source state.Source, handler http.Handler, leaves *gateway.Leaves) inboundServer {
	host := o.claw.Name + "-gateway." + o.claw.Namespace + ".svc"
	var protocols http.Protocols
	protocols.SetHTTP1(true) // with HTTP/2 one connection could take every place there is
	return inboundServer{&http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		Protocols:         &protocols,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return leaves.Certificate(source.Current(), host)
			},
		},
	}}
}

func (i inboundServer) serve(l net.Listener) error {
	return i.ServeTLS(netutil.LimitListener(l, maxInbound), "", "")
}

func (i inboundServer) shutdown(ctx context.Context) {
	if err := i.Shutdown(ctx); err != nil {
		_ = i.Close()
	}
}
