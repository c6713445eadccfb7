package probe

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strings"
)

// Resolvers finds the resolvers this pod was given. What changes pods on their way into the cluster may have added some.
func Resolvers() []netip.Addr {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	return nameservers(f)
}

// nameservers reads resolv.conf(5).
func nameservers(r io.Reader) []netip.Addr {
	var out []netip.Addr
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			out = append(out, a)
		}
	}
	return out
}
