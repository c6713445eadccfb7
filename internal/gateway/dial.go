package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Resolver finds the addresses of a name. net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// errForbiddenAddress means that a provider's name leads to where no provider is.
var errForbiddenAddress = errors.New("the provider's name resolves to no public address")

// guard connects to providers. A name is resolved once, and what was judged is what is dialled: a second look-up
// might answer something else.
type guard struct {
	resolver  Resolver
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	overrides map[string]netip.AddrPort // by host: the platform's word, which may name a private address
	networks  func(host string) networks
}

// networks are private ones in which a host may be, one list for each connector that is there: an address has to be in
// each of them, as connectors share the connections to their host.
type networks [][]netip.Prefix

func (n networks) have(a netip.Addr) bool {
	return len(n) > 0 && mayBePrivate(a) && !slices.ContainsFunc(n, func(list []netip.Prefix) bool {
		return !slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

const (
	dialTimeout  = 10 * time.Second
	dialAttempts = 3
)

// connect dials host:443.
func (g *guard) connect(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "443" {
		return nil, fmt.Errorf("%q is not a host with port 443", address)
	}
	if to, ok := g.overrides[host]; ok {
		return g.dialOne(ctx, to)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	// The dot keeps the resolver from trying the cluster's own domains first, where somebody may own that name.
	found, err := g.resolver.LookupNetIP(ctx, "ip", host+".")
	if err != nil {
		return nil, fmt.Errorf("the provider's name cannot be resolved: %w", err)
	}
	var allowed []netip.Addr
	private := g.networks(host)
	for _, a := range found {
		// The resolver may give an IPv4 address as one in IPv6 clothes. Without them is how it is judged and dialled.
		if a = a.Unmap(); isPublic(a) || private.have(a) {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		return nil, errForbiddenAddress
	}
	// Clusters without IPv6 still resolve it: try it last.
	slices.SortStableFunc(allowed, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	for i, a := range allowed {
		var conn net.Conn
		if conn, err = g.dialOne(ctx, netip.AddrPortFrom(a, 443)); err == nil || i+1 == dialAttempts {
			return conn, err
		}
	}
	return nil, err
}

func (g *guard) dialOne(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := g.dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("the provider at %s does not answer: %w", to, err)
	}
	return conn, nil
}

// forbidden are networks where no provider is, though net/netip does not say so. The documentation networks are
// not among them: nobody routes them, and a fake internet lives there.
var forbidden = func() (out []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8",        // this network
		"100.64.0.0/10",    // carrier NAT, and what clouds hide in it
		"192.0.0.0/24",     // protocol assignments
		"192.88.99.0/24",   // 6to4 relays
		"198.18.0.0/15",    // benchmarks
		"240.0.0.0/4",      // reserved, broadcast
		"::/96",            // IPv4-compatible
		"64:ff9b::/96",     // NAT64
		"64:ff9b:1::/48",   // NAT64, local
		"100::/64",         // discard
		"2001::/23",        // protocol assignments, Teredo
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4
		"3fff::/20",        // documentation
		"5f00::/16",        // segment routing
		"fec0::/10",        // site-local
		"fd00:ec2::/32",    // metadata
		"168.63.129.16/32", // a cloud's own services behind a public address
	} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

// metadata is where clouds tell machines their secrets, though the address is one of a private network.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("fd20:ce::254/128"),
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// mayBePrivate reports whether an organization may say of an address that a service of its own is there. It may not of
// this machine, of what is linked to it, and of what clouds have for it.
func mayBePrivate(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && (a.IsPrivate() || carrierNAT.Contains(a)) &&
		!slices.ContainsFunc(metadata, func(p netip.Prefix) bool { return p.Contains(a) })
}

// isPublic reports whether a provider may be at an address. An IPv4 address in IPv6 clothes is refused, as what
// else it might lead to depends on who reads it; so is an address with a zone.
func isPublic(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" || a.Is4In6() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() ||
		a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	return !slices.ContainsFunc(forbidden, func(p netip.Prefix) bool { return p.Contains(a) })
}
