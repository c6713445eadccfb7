package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
)

// options are what a gateway is told when it starts. Everything else it reads from the API server.
type options struct {
	claw            audit.ClawRef
	podName, podUID string
	ledgerURL       string
	ledgerTokenFile string
	proxyListen     string
	tlsListen       string
	plainListen     string
	dnsListen       string
	inboundListen   string
	healthListen    string
	overrides       overrides
	// address of the gateway's Service, to which names lead its agent.
	address netip.Addr
}

func parseOptions(args []string) (options, error) {
	o := options{overrides: overrides{}}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.StringVar(&o.claw.Namespace, "namespace", "", "namespace of the Claw")
	flags.StringVar(&o.claw.Name, "claw", "", "name of the Claw")
	flags.StringVar(&o.claw.UID, "claw-uid", "", "UID of the Claw")
	flags.StringVar(&o.podName, "pod-name", os.Getenv("POD_NAME"), "name of this pod; $POD_NAME by default")
	flags.StringVar(&o.podUID, "pod-uid", os.Getenv("POD_UID"), "UID of this pod; $POD_UID by default")
	flags.StringVar(&o.ledgerURL, "ledger-url", "https://clawstaff-ledger.clawstaff-system.svc:4318", "URL of the ledger")
	flags.StringVar(&o.ledgerTokenFile, "ledger-token-file", "/var/run/clawstaff/ledger/token", "file of the token for the ledger")
	flags.StringVar(&o.proxyListen, "proxy-listen", ":3128", "address of the agent's proxy")
	flags.StringVar(&o.tlsListen, "tls-listen", ":8443", "address for connections of an agent that knows of no proxy, by the server name of TLS; port 443 of the Service")
	flags.StringVar(&o.plainListen, "plain-listen", ":8080", "address where requests that are not encrypted are refused; port 80 of the Service")
	flags.StringVar(&o.dnsListen, "dns-listen", ":5353", "address of the agent's resolver, UDP and TCP; port 53 of the Service")
	flags.Func("service-address", "`IP` of the gateway's Service, to which the names of the grant lead; without it no name leads anywhere", func(v string) (err error) {
		if o.address, err = netip.ParseAddr(v); err != nil || o.address.Zone() != "" {
			return errors.New("it is not an IP address")
		}
		return nil
	})
	flags.StringVar(&o.inboundListen, "inbound-listen", ":9443", "address for messages from providers")
	flags.StringVar(&o.healthListen, "health-listen", ":9090", "address of /healthz and /readyz")
	flags.Var(o.overrides, "resolve", "`HOST=IP:PORT` of a connector's host, which may be a private address; may be repeated")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.claw.Namespace == "" || o.claw.Name == "" || o.claw.UID == "" || o.podName == "" || o.podUID == "" {
		return o, errors.New("--namespace, --claw, --claw-uid, --pod-name and --pod-uid are needed")
	}
	return o, nil
}

// overrides gives hosts of connectors an exact address.
type overrides map[string]netip.AddrPort

// String implements flag.Value.
func (o overrides) String() string { return fmt.Sprint(map[string]netip.AddrPort(o)) }

// Set implements flag.Value.
func (o overrides) Set(value string) error {
	host, address, _ := strings.Cut(value, "=")
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("it is not HOST=IP:PORT")
	}
	catalogue, err := connector.Builtin()
	if err != nil {
		return err
	}
	if len(catalogue.At(host)) == 0 {
		return fmt.Errorf("%q is not the host of a connector", host)
	}
	if _, ok := o[host]; ok {
		return fmt.Errorf("%q has an address already", host)
	}
	o[host] = to
	return nil
}
