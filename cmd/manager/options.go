package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/probe"
)

// options are what a manager is told when it starts.
type options struct {
	settings       cage.Settings
	outside        []probe.Target
	webhook        bool
	leaderElection bool
	webhookPort    int
	health         string
	metrics        string
	verbosity      string
}

func parseOptions(args []string, catalogue *connector.Catalogue) (options, error) {
	o := options{}
	var pullPolicy string
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.StringVar(&o.settings.OperatorNamespace, "operator-namespace", "", "namespace the operator runs in")
	flags.StringVar(&o.settings.GatewayImage, "gateway-image", "", "image of the gateway and of the probe")
	flags.StringVar(&pullPolicy, "image-pull-policy", string(corev1.PullIfNotPresent), "pull policy of the gateway's image")
	flags.StringVar(&o.settings.LedgerURL, "ledger-url", "", "URL of the ledger")
	flags.StringVar(&o.settings.GatewayPriorityClass, "gateway-priority-class", "", "PriorityClass of gateway pods")
	flags.Func("gateway-resources", "`JSON` of the gateway container's resources", jsonInto(&o.settings.GatewayResources))
	flags.Func("inbound-from", "`JSON` list of NetworkPolicy peers that may reach the gateways' inbound port; anybody if empty", jsonInto(&o.settings.InboundFrom))
	flags.Func("resolve", "`HOST=IP:PORT` of a connector's host, passed on to gateways; may be repeated", func(v string) error {
		if err := checkResolve(v, catalogue); err != nil {
			return err
		}
		o.settings.Resolve = append(o.settings.Resolve, v)
		return nil
	})
	flags.Func("probe-outside", "`IP:PORT` outside of the cluster that is up and that no agent may reach; may be repeated", func(v string) error {
		a, err := netip.ParseAddrPort(v)
		if err != nil {
			return errors.New("it is not IP:PORT")
		}
		o.outside = append(o.outside, probe.Target{Name: "the internet", Network: probe.TCP, Address: a})
		return nil
	})
	flags.BoolVar(&o.webhook, "webhook", true, "serve the validating webhook")
	flags.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the webhook")
	flags.BoolVar(&o.leaderElection, "leader-elect", true, "let one of several managers reconcile")
	flags.StringVar(&o.health, "health-listen", ":8081", "address of /healthz and /readyz")
	flags.StringVar(&o.metrics, "metrics-listen", ":8080", "address of /metrics; 0 for none")
	flags.StringVar(&o.verbosity, "log-level", "info", "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.settings.PullPolicy = corev1.PullPolicy(pullPolicy)
	return o, o.check(flags.Args())
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.settings.OperatorNamespace == "" || o.settings.GatewayImage == "" || !strings.HasPrefix(o.settings.LedgerURL, "https://"):
		return errors.New("--operator-namespace, --gateway-image and --ledger-url (https) are needed")
	}
	switch o.settings.PullPolicy {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return fmt.Errorf("--image-pull-policy is %q, want Always, IfNotPresent or Never", o.settings.PullPolicy)
	}
	for _, p := range o.settings.InboundFrom {
		if (p == networkingv1.NetworkPolicyPeer{}) {
			return errors.New("--inbound-from has an empty peer, which no NetworkPolicy may have")
		}
	}
	return nil
}

// checkResolve refuses here what every gateway would refuse when it starts.
func checkResolve(value string, catalogue *connector.Catalogue) error {
	host, address, _ := strings.Cut(value, "=")
	if _, err := netip.ParseAddrPort(address); err != nil {
		return errors.New("it is not HOST=IP:PORT")
	}
	if len(catalogue.At(host)) == 0 {
		return fmt.Errorf("%q is not the host of a connector", host)
	}
	return nil
}

func jsonInto(target any) func(string) error {
	return func(v string) error {
		if v == "" {
			return nil
		}
		d := json.NewDecoder(strings.NewReader(v))
		d.DisallowUnknownFields()
		return d.Decode(target)
	}
}
