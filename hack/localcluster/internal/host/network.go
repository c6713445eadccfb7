// This file lays the cluster's network on the machine: a bridge for the node's address, a network namespace for the fake
// internet, and routes that keep both on this machine. It never touches a link that it did not make.

package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// sysctls are what the cluster, or its kubelet, changes. `down` puts the old values back.
var sysctls = map[string]string{
	"net/ipv4/ip_forward":       "1", // pods are routed, not bridged
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// SetUpNetwork makes whatever is missing.
func SetUpNetwork() error {
	if err := checkAddressesFree(); err != nil {
		return err
	}
	if err := changeSysctls(); err != nil {
		return err
	}
	if err := setUpBridge(); err != nil {
		return err
	}
	return setUpInternet()
}

// checkAddressesFree refuses to shadow a network that the machine really uses.
func checkAddressesFree() error {
	out, err := Output("ip", "-4", "-json", "route", "show", "table", "all")
	if err != nil {
		return err
	}
	var routes []struct{ Dst, Dev, Type string }
	if err := json.Unmarshal([]byte(out), &routes); err != nil {
		return fmt.Errorf("reading the machine's routes: %w", err)
	}
	for _, ours := range []string{layout.BridgeCIDR, layout.PodCIDR, layout.ServiceCIDR, layout.InternetCIDR} {
		cluster := netip.MustParsePrefix(ours)
		for _, route := range routes {
			theirs, ok := parseDestination(route.Dst)
			ourLink := route.Dev == layout.Bridge || strings.HasPrefix(route.Dev, layout.PodLinkPrefix) || route.Type == "blackhole"
			if ok && !ourLink && theirs.Overlaps(cluster) {
				return fmt.Errorf("the cluster needs the addresses %s, but this machine routes %s to %s; take that network down first",
					ours, route.Dst, route.Dev)
			}
		}
	}
	return nil
}

func parseDestination(dst string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(dst); err == nil {
		return prefix, prefix.Bits() > 0
	}
	addr, err := netip.ParseAddr(dst)
	if err != nil { // "default"
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, 32), true
}

// sysctlRecord holds the values from before; it is not in the state directory, to outlive one that somebody deletes.
func sysctlRecord() (string, error) {
	cache, err := layout.Cache()
	return filepath.Join(cache, "sysctls.json"), err
}

func changeSysctls() error {
	record, err := sysctlRecord()
	if err != nil {
		return err
	}
	old, err := readSysctls(record)
	if err != nil {
		return err
	}
	for name := range sysctls {
		data, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			continue // this kernel does not have it
		}
		if _, known := old[name]; !known {
			old[name] = strings.TrimSpace(string(data))
		}
	}
	data, err := json.Marshal(old)
	if err != nil {
		return err
	}
	if err := os.WriteFile(record, data, 0o600); err != nil { // before anything is changed
		return err
	}
	for name, want := range sysctls {
		if err := os.WriteFile("/proc/sys/"+name, []byte(want), 0o644); err != nil && name == "net/ipv4/ip_forward" {
			return fmt.Errorf("turning on IP forwarding: %w", err) // the others are the kubelet's wishes
		}
	}
	return nil
}

func readSysctls(record string) (map[string]string, error) {
	values := map[string]string{}
	data, err := os.ReadFile(record)
	if errors.Is(err, os.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("reading %s: %w", record, err)
	}
	return values, nil
}

func restoreSysctls() error {
	record, err := sysctlRecord()
	if err != nil {
		return err
	}
	old, err := readSysctls(record)
	if err != nil {
		return err
	}
	for name, value := range old {
		_ = os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) // what could not be changed needs no change back
	}
	return os.RemoveAll(record)
}

func linkExists(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name))
	return err == nil
}

func setUpBridge() error {
	if !linkExists(layout.Bridge) {
		if err := Run("ip", "link", "add", layout.Bridge, "type", "bridge"); err != nil {
			return fmt.Errorf("making the cluster's bridge (does this kernel have bridges?): %w", err)
		}
	}
	// IPv6 off: an address of the host that nobody planned is a way round the policies.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+layout.Bridge+"/disable_ipv6", []byte("1"), 0o644)
	prefix := netip.MustParsePrefix(layout.BridgeCIDR)
	if err := Run("ip", "address", "replace", fmt.Sprintf("%s/%d", layout.NodeIP, prefix.Bits()), "dev", layout.Bridge); err != nil {
		return err
	}
	if err := Run("ip", "link", "set", layout.Bridge, "up"); err != nil {
		return err
	}
	// Service addresses are translated before they travel; this only decides what the node calls itself when it uses one, and
	// keeps those that are nobody's on this machine.
	return Run("ip", "route", "replace", layout.ServiceCIDR, "dev", layout.Bridge, "src", layout.NodeIP)
}

// setUpInternet makes the namespace, joins it to the bridge and routes the fake addresses there. The rest of the range is a
// black hole on both sides: nothing addressed to it leaves the machine, whoever sends it.
func setUpInternet() error {
	netns := layout.InternetNetNS
	if !netnsUsable(netns) {
		removeNetNS(netns)
		if err := Run("ip", "netns", "add", netns); err != nil {
			return err
		}
	}
	if !linkExists(layout.InternetLink) {
		if err := Run("ip", "link", "add", layout.InternetLink, "type", "veth", "peer", "name", "eth0", "netns", netns); err != nil {
			return err
		}
	}
	inside := func(args ...string) []string { return append([]string{"-n", netns}, args...) }
	commands := [][]string{
		{"link", "set", layout.InternetLink, "master", layout.Bridge, "up"},
		{"route", "replace", "blackhole", layout.InternetCIDR},
		inside("link", "set", "lo", "up"),
		inside("link", "set", "eth0", "up"),
		inside("address", "replace", layout.InternetIP+"/24", "dev", "eth0"),
		inside("route", "replace", "blackhole", layout.InternetCIDR),
	}
	for _, host := range layout.InternetHosts {
		commands = append(commands,
			inside("address", "replace", host.IP+"/32", "dev", "eth0"),
			[]string{"route", "replace", host.IP + "/32", "via", layout.InternetIP, "dev", layout.Bridge})
	}
	// What the internet sends to the cluster comes from a public-looking address, as it would.
	stranger := layout.InternetHosts[len(layout.InternetHosts)-1].IP
	commands = append(commands, inside("route", "replace", "default", "via", layout.NodeIP, "src", stranger))
	for _, args := range commands {
		if err := Run("ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// netnsUsable is false for a name whose mount is gone, as after a reboot or a careless clean-up.
func netnsUsable(name string) bool { return Run("ip", "-n", name, "link", "show", "lo") == nil }

func removeNetNS(name string) {
	_ = Run("ip", "netns", "delete", name)
	_ = os.Remove("/run/netns/" + name)
	if names, err := os.ReadDir("/run/netns"); err == nil && len(names) == 0 {
		_ = unix.Unmount("/run/netns", unix.MNT_DETACH) // `ip netns add` mounts the directory on itself
		_ = os.Remove("/run/netns")
	}
}

// TearDownNetwork removes what SetUpNetwork and the pods' network made.
func TearDownNetwork() error {
	var problems []error
	removeNetNS(layout.InternetNetNS)
	for _, link := range append(podLinks(), layout.InternetLink, layout.Bridge) {
		if linkExists(link) {
			if err := Run("ip", "link", "delete", link); err != nil && linkExists(link) {
				problems = append(problems, err)
			}
		}
	}
	_ = Run("ip", "route", "delete", "blackhole", layout.InternetCIDR)
	for _, table := range [][]string{{"inet", "clawstaff"}, {"ip", "kube-proxy"}, {"ip6", "kube-proxy"}} {
		_ = Run("nft", append([]string{"delete", "table"}, table...)...) // gone is what we want
	}
	flushConntrack()
	return errors.Join(append(problems, restoreSysctls())...)
}

// podLinks are the host's ends of pods' veth pairs: the links that carry a route into the pods' range.
func podLinks() []string {
	out, err := Output("ip", "-4", "-json", "route", "show", "root", layout.PodCIDR)
	if err != nil {
		return nil
	}
	var routes []struct{ Dev string }
	_ = json.Unmarshal([]byte(out), &routes)
	var links []string
	for _, route := range routes {
		if strings.HasPrefix(route.Dev, layout.PodLinkPrefix) {
			links = append(links, route.Dev)
		}
	}
	return links
}

// flushConntrack forgets the cluster's connections, so that the next cluster's Services do not inherit their translations.
func flushConntrack() {
	for _, cidr := range []string{layout.PodCIDR, layout.ServiceCIDR, layout.BridgeCIDR, layout.InternetCIDR} {
		_ = Run("conntrack", "-D", "-s", cidr)
		_ = Run("conntrack", "-D", "-d", cidr)
	}
}
