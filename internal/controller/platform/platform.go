// Package platform gathers what the cluster itself looks like: where the API
// server, the resolver and the ledger are.
package platform

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/probe"
)

// LedgerTLS is the Secret that holds the ledger's certificate and that of its authority.
const LedgerTLS = "clawstaff-ledger-tls"

// Facts are what was seen.
type Facts struct {
	cage.Platform
	// Forbidden is what no agent may reach.
	Forbidden []probe.Target
	// NodePorts are ports of the API server, tried on nodes too.
	NodePorts []uint16
	// LedgerCA is the certificate of the ledger's authority, PEM; empty until the ledger has one.
	LedgerCA []byte
}

// Reader reads the facts, live, and keeps them for a while: they are the same for every Claw, and hardly change.
type Reader struct {
	Live              client.Reader
	OperatorNamespace string
	Clock             clock.PassiveClock
	// Keep is how long facts are kept.
	Keep time.Duration

	mu    sync.Mutex
	facts Facts
	read  time.Time
}

// Facts returns what the cluster looks like.
func (r *Reader) Facts(ctx context.Context) (Facts, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Clock.Now()
	// A clock that was set back would make them last until it is there again.
	if age := now.Sub(r.read); !r.read.IsZero() && age >= 0 && age < r.Keep && len(r.facts.LedgerCA) > 0 {
		return r.facts, nil
	}
	facts, err := r.gather(ctx)
	if err != nil {
		return Facts{}, fmt.Errorf("look at the cluster: %w", err)
	}
	r.facts, r.read = facts, now
	return facts, nil
}

func (r *Reader) gather(ctx context.Context) (Facts, error) {
	var f Facts
	for _, s := range []struct {
		namespace, service, name string
		networks                 []probe.Network
	}{
		{"default", "kubernetes", "the API server", []probe.Network{probe.TCP}},
		{"kube-system", "kube-dns", "cluster DNS", []probe.Network{probe.TCP, probe.DNS}},
		{r.OperatorNamespace, cage.LedgerName, "the ledger", []probe.Network{probe.TCP}},
		{r.OperatorNamespace, "clawstaff-webhook", "the manager", []probe.Network{probe.TCP}},
	} {
		addresses, err := r.service(ctx, s.namespace, s.service)
		if err != nil {
			return Facts{}, err
		}
		for _, network := range s.networks {
			for _, a := range addresses.all(network) {
				f.Forbidden = append(f.Forbidden, probe.Target{Name: s.name, Network: network, Address: a})
			}
		}
		switch s.service {
		case "kubernetes":
			f.APIServerPorts, f.NodePorts = addresses.ports()
		case "kube-dns":
			f.DNSHosts = addresses.hosts
		}
	}
	var tls corev1.Secret
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.OperatorNamespace, Name: LedgerTLS}, &tls)
	if client.IgnoreNotFound(err) != nil {
		return Facts{}, err
	}
	f.LedgerCA = tls.Data["ca.crt"]
	return f, nil
}

// addresses of a Service: its own, and those behind it.
type addresses struct {
	front, behind []netip.AddrPort
	// hosts are the addresses of those behind it that are no pods.
	hosts []netip.Addr
}

func (a addresses) all(network probe.Network) []netip.AddrPort {
	out := slices.Concat(a.front, a.behind)
	if network == probe.DNS {
		// The same addresses and ports: resolvers listen on both.
		out = slices.DeleteFunc(out, func(p netip.AddrPort) bool { return p.Port() != 53 })
	}
	return out
}

// ports behind the Service.
func (a addresses) ports() (signed []int32, unsigned []uint16) {
	for _, p := range a.behind {
		signed = append(signed, int32(p.Port()))
		unsigned = append(unsigned, p.Port())
	}
	slices.Sort(signed)
	slices.Sort(unsigned)
	return slices.Compact(signed), slices.Compact(unsigned)
}

func (r *Reader) service(ctx context.Context, namespace, name string) (addresses, error) {
	var out addresses
	var service corev1.Service
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service)
	if apierrors.IsNotFound(err) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for _, ip := range service.Spec.ClusterIPs {
		for _, port := range service.Spec.Ports {
			if a, err := netip.ParseAddr(ip); err == nil && port.Protocol != corev1.ProtocolUDP {
				out.front = append(out.front, netip.AddrPortFrom(a, uint16(port.Port)))
			}
		}
	}
	var slicesOf discoveryv1.EndpointSliceList
	if err := r.Live.List(ctx, &slicesOf, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name}); err != nil {
		return out, err
	}
	for _, s := range slicesOf.Items {
		out.add(s)
	}
	slices.SortFunc(out.behind, netip.AddrPort.Compare)
	slices.SortFunc(out.hosts, netip.Addr.Compare)
	out.behind, out.hosts = slices.Compact(out.behind), slices.Compact(out.hosts)
	return out, nil
}

func (a *addresses) add(s discoveryv1.EndpointSlice) {
	for _, endpoint := range s.Endpoints {
		for _, text := range endpoint.Addresses {
			ip, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			// Pods come and go, and with them every Claw's plan would be written anew; policies are about
			// pods anyhow, whether they are reached through the Service or not.
			pod := endpoint.TargetRef != nil && endpoint.TargetRef.Kind == "Pod"
			if pod && len(a.front) > 0 {
				continue
			}
			if !pod {
				a.hosts = append(a.hosts, ip)
			}
			for _, port := range s.Ports {
				if port.Port != nil && (port.Protocol == nil || *port.Protocol != corev1.ProtocolUDP) {
					a.behind = append(a.behind, netip.AddrPortFrom(ip, uint16(*port.Port)))
				}
			}
		}
	}
}
