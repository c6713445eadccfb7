// This file lists the programs of the cluster and how each is linked.
// Versions are not here: each upstream's go.mod and go.sum under modules/ pin them.

package build

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Component is one program.
type Component struct {
	Name    string // also the file's name
	Module  string // directory under modules/; "" for this module itself
	Package string
	LDFlags string
	Tags    string
	overlay func(moduleDir, tmp string) (overlayFile string, err error)
	variant string // part of the cache key: what the overlay depends on
}

const kubernetesVersion = "-X k8s.io/component-base/version.gitVersion=v1.37.2" + // clients refuse a server whose version they cannot parse
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"

// Components are all programs, in the order in which they are built: what others wait for comes first.
func Components() []Component {
	kubernetes := func(name string) Component {
		return Component{Name: name, Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/" + name, LDFlags: kubernetesVersion, Tags: "providerless"}
	}
	containerd := func(name string) Component {
		return Component{Name: name, Module: "containerd", Package: "github.com/containerd/containerd/v2/cmd/" + name,
			LDFlags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2"}
	}
	return []Component{
		kubernetes("kube-apiserver"),
		kubernetes("kubectl"),
		{Name: "etcd", Module: "etcd", Package: "go.etcd.io/etcd/server/v3"},
		kubernetes("kube-controller-manager"),
		kubernetes("kube-scheduler"),
		kubernetes("kubelet"),
		kubernetes("kube-proxy"),
		containerd("containerd"),
		containerd("containerd-shim-runc-v2"),
		containerd("ctr"),
		{Name: "runsc", Module: "gvisor", Package: "gvisor.dev/gvisor/runsc"},
		gvisorShim(),
		{Name: "coredns", Module: "coredns", Package: "."},
		{Name: "pause", Package: "./pods/pause"},
		{Name: "probe", Package: "./pods/probe"},
	}
}

// Assets are the programs that tests of the API server alone need.
var Assets = []string{"kube-apiserver", "etcd", "kubectl"}

// gvisorShim lowers its own oom_score_adj and gives up where it may not: containers and sandboxes often lack
// CAP_SYS_RESOURCE. There, and only there, it is built with that one call forgiven.
func gvisorShim() Component {
	c := Component{Name: "containerd-shim-runsc-v1", Module: "gvisor", Package: "gvisor.dev/gvisor/shim"}
	if !canLowerOOMScore() {
		c.Package, c.overlay, c.variant = "./forgiving", forgiveOOMScore, "forgive-oom-score 2"
	}
	return c
}

func canLowerOOMScore() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	const sysResource = 24 // CAP_SYS_RESOURCE
	for line := range strings.Lines(string(status)) {
		var capabilities uint64
		if n, _ := fmt.Sscanf(line, "CapEff: %x", &capabilities); n == 1 {
			return capabilities&(1<<sysResource) != 0
		}
	}
	return false
}

const forgivingMain = `package main

import (
	"context"

	containerd "github.com/containerd/containerd/v2/pkg/shim"
	_ "gvisor.dev/gvisor/pkg/shim/v1/plugin"

	shim "clawstaff.dev/localcluster/gvisor/forgiving/shim"
)

func main() { containerd.Run(context.Background(), shim.NewShimManager("io.containerd.runsc.v1")) }
`

// forgiveOOMScore lays a patched copy of the shim's one package beside the pins, for the time of the build. (Go refuses to
// overlay a file of the module cache itself.)
func forgiveOOMScore(moduleDir, tmp string) (string, error) {
	list := exec.Command("go", "list", "-f", "{{.Dir}}", "gvisor.dev/gvisor/pkg/shim/v1")
	list.Dir = moduleDir
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("finding gVisor's source: %w", err)
	}
	original := strings.TrimSpace(string(out))
	manager, err := patchedManager(filepath.Join(original, "manager.go"))
	if err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{"main.go": []byte(forgivingMain), "manager.go": manager} {
		if err := os.WriteFile(filepath.Join(tmp, name), content, 0o644); err != nil {
			return "", err
		}
	}
	copied := filepath.Join(moduleDir, "forgiving", "shim")
	replace := map[string]string{filepath.Join(moduleDir, "forgiving", "main.go"): filepath.Join(tmp, "main.go")}
	files, err := filepath.Glob(filepath.Join(original, "*.go"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		replace[filepath.Join(copied, filepath.Base(file))] = file
	}
	replace[filepath.Join(copied, "manager.go")] = filepath.Join(tmp, "manager.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(tmp, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o644)
}

func patchedManager(original string) ([]byte, error) {
	source, err := os.ReadFile(original)
	if err != nil {
		return nil, err
	}
	const strict = "sys.SetOOMScore(cmd.Process.Pid, oomScoreMax); err != nil {"
	const lenient = "sys.SetOOMScore(cmd.Process.Pid, oomScoreMax); err != nil && !os.IsPermission(err) {"
	if bytes.Count(source, []byte(strict)) != 1 {
		return nil, fmt.Errorf("gVisor's shim no longer sets its OOM score in %s as expected; review forgiveOOMScore for the new version", original)
	}
	return bytes.Replace(source, []byte(strict), []byte(lenient), 1), nil
}

// selectComponents keeps those named, or all.
func selectComponents(names []string) ([]Component, error) {
	all := Components()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []Component
	for _, name := range names {
		i := slices.IndexFunc(all, func(c Component) bool { return c.Name == name })
		if i < 0 {
			known := make([]string, len(all))
			for j, c := range all {
				known[j] = c.Name
			}
			return nil, fmt.Errorf("there is no component %q; the components are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
