// This file sees to the programs that come from the machine's distribution instead of Go modules.

package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// hostTools maps what the cluster executes to the Debian package that has it.
var hostTools = map[string]string{
	"runc": "runc", "nft": "nftables", "ip": "iproute2", "conntrack": "conntrack", "iptables": "iptables",
	"mount": "mount", "umount": "mount", "modprobe": "kmod", "nsenter": "util-linux",
}

// CNIDir is where the CNI plugins are, or "".
func CNIDir() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir
		}
	}
	return ""
}

// HostPackages installs the distribution's packages that are missing.
func HostPackages(log func(format string, args ...any)) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("these programs are missing and this is not Debian or Ubuntu, so install them yourself (Debian's package names): %s",
			strings.Join(missing, " "))
	}
	log("installing Debian packages: %s", strings.Join(missing, " "))
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	if missing := missingPackages(); len(missing) > 0 {
		return fmt.Errorf("still missing after installing them: %s", strings.Join(missing, " "))
	}
	return nil
}

func missingPackages() []string {
	seen := map[string]bool{}
	var missing []string
	add := func(pkg string) {
		if !seen[pkg] {
			seen[pkg] = true
			missing = append(missing, pkg)
		}
	}
	for tool, pkg := range hostTools {
		if _, err := exec.LookPath(tool); err != nil {
			add(pkg)
		}
	}
	if CNIDir() == "" {
		add("containernetworking-plugins")
	}
	return missing
}
