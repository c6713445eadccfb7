package probe

import (
	"bufio"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Routers finds the link-local IPv6 addresses of what this pod is attached to: next hops of its routes,
// and the addresses that follow from its IPv4 neighbours' hardware addresses, for a node answers on
// those even where no route shows it.
func Routers() []netip.Addr {
	var out []netip.Addr
	if f, err := os.Open("/proc/net/ipv6_route"); err == nil {
		out = append(out, nextHops(f)...)
		_ = f.Close()
	}
	if f, err := os.Open("/proc/net/arp"); err == nil {
		out = append(out, neighbours(f)...)
		_ = f.Close()
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// nextHops reads /proc/net/ipv6_route: the fifth field is the next hop, the last the interface.
func nextHops(r io.Reader) []netip.Addr {
	var out []netip.Addr
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		raw, err := hex.DecodeString(fields[4])
		if err != nil {
			continue
		}
		if a, ok := netip.AddrFromSlice(raw); ok && a.Is6() && a.IsLinkLocalUnicast() {
			out = append(out, a.WithZone(fields[len(fields)-1]))
		}
	}
	return out
}

// neighbours reads /proc/net/arp: address, type, flags, hardware address, mask, device.
func neighbours(r io.Reader) []netip.Addr {
	var out []netip.Addr
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 6 {
			continue
		}
		if mac, err := net.ParseMAC(fields[3]); err == nil && len(mac) == 6 {
			out = append(out, eui64(mac).WithZone(fields[5]))
		}
	}
	return out
}

// eui64 is the link-local address a Linux interface takes from its hardware address.
func eui64(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5],
	})
}
