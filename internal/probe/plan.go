// Package probe is the proof that a cage is closed: from inside the agent's pod
// it tries everything the agent must not reach.
package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// Plan is what a probe must and must not reach.
type Plan struct {
	// Gateway is the one address that must be reachable: the gateway's proxy port.
	Gateway netip.AddrPort `json:"gateway"`
	// Forbidden is what must not be.
	Forbidden []Target `json:"forbidden,omitempty"`
	// NodePorts are tried on every IPv6 link-local router of the pod: a way around IPv4-only enforcers.
	NodePorts []uint16 `json:"nodePorts,omitempty"`
}

// Network is how a target is tried.
type Network string

// The networks.
const (
	TCP Network = "tcp"
	// DNS is a question over UDP: anything that comes back is an answer.
	DNS Network = "dns"
)

// Target is one address.
type Target struct {
	// Name for people: the API server.
	Name    string         `json:"name"`
	Network Network        `json:"network"`
	Address netip.AddrPort `json:"address"`
}

// String names the target in one line.
func (t Target) String() string { return fmt.Sprintf("%s (%s %s)", t.Name, t.Network, t.Address) }

// maxTargets bounds a plan, so that a round stays short.
const maxTargets = 256

// ParsePlan reads a plan as the manager wrote it. Anything unexpected is an error: a proof of something
// else is no proof.
func ParsePlan(text string) (Plan, error) {
	var p Plan
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Plan{}, fmt.Errorf("read the plan: %w", err)
	}
	if d.More() {
		return Plan{}, errors.New("read the plan: something follows it")
	}
	if !p.Gateway.IsValid() {
		return Plan{}, errors.New("read the plan: it names no gateway")
	}
	if len(p.Forbidden) == 0 || len(p.Forbidden) > maxTargets || len(p.NodePorts) > maxTargets {
		return Plan{}, fmt.Errorf("read the plan: it has %d targets, want 1 to %d", len(p.Forbidden), maxTargets)
	}
	for _, t := range p.Forbidden {
		if !t.Address.IsValid() || (t.Network != TCP && t.Network != DNS) {
			return Plan{}, fmt.Errorf("read the plan: target %q cannot be tried", t.Name)
		}
	}
	return p, nil
}

// EnvPlan is the environment variable a plan is read from.
const EnvPlan = "CLAWSTAFF_PROBE"

// Always is tried whatever a plan says: cloud metadata, the resolvers that clouds and nodes have for everybody, and the
// internet over IPv6.
func Always() []Target {
	return []Target{
		{Name: "the cloud's metadata", Network: TCP, Address: netip.MustParseAddrPort("169.254.169.254:80")},
		{Name: "the cloud's metadata over IPv6", Network: TCP, Address: netip.MustParseAddrPort("[fd00:ec2::254]:80")},
		{Name: "the cloud's resolver", Network: DNS, Address: netip.MustParseAddrPort("169.254.169.254:53")},
		{Name: "the cloud's resolver", Network: DNS, Address: netip.MustParseAddrPort("169.254.169.253:53")},
		{Name: "the node's resolver", Network: DNS, Address: netip.MustParseAddrPort("169.254.20.10:53")}, // NodeLocal DNSCache
		{Name: "a public resolver", Network: DNS, Address: netip.MustParseAddrPort("1.1.1.1:53")},
		{Name: "a public resolver", Network: DNS, Address: netip.MustParseAddrPort("8.8.8.8:53")},
		{Name: "the internet over IPv6", Network: TCP, Address: netip.MustParseAddrPort("[2606:4700:4700::1111]:443")},
	}
}

// Checks is everything that must not be reachable: the plan's targets, what is always tried, the resolvers the pod was
// given that are not its gateway, and the plan's node ports on the link-local routers that this pod sees.
func Checks(p Plan, always []Target, resolvers, routers []netip.Addr) []Target {
	out := append(append([]Target{}, p.Forbidden...), always...)
	for _, resolver := range resolvers {
		if resolver.Unmap() != p.Gateway.Addr().Unmap() {
			out = append(out, Target{Name: "a resolver the pod was given", Network: DNS, Address: netip.AddrPortFrom(resolver, 53)})
		}
	}
	for _, router := range routers {
		for _, port := range p.NodePorts {
			out = append(out, Target{
				Name: "the node over IPv6 link-local", Network: TCP, Address: netip.AddrPortFrom(router, port),
			})
		}
	}
	return out
}
