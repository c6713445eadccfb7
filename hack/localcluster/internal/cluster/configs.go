// This file writes the daemons' configuration files.

package cluster

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/build"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/pki"
	"github.com/clawstaff/clawstaff/hack/localcluster/netpol"
)

//go:embed files
var files embed.FS

// place is what the templates in files/ may use.
type place struct {
	NodeName, NodeIP, ClusterDomain, PodCIDR, DNSServiceIP, APIServer string
	CNINetwork, CgroupRoot, PauseImage, CoreDNSImage, StorageProvider string
	State, PKI, CNIPlugins, NetpolPlugin, NetpolSocket                string
	ContainerdSocket                                                  string
	Internet                                                          []internetName
}

// internetName is a host of the fake internet as a DNS answer: a pattern of names, and their address.
type internetName struct{ Pattern, IP string }

func newPlace() place {
	p := place{
		NodeName: layout.NodeName, NodeIP: layout.NodeIP, ClusterDomain: layout.ClusterDomain, PodCIDR: layout.PodCIDR,
		DNSServiceIP: layout.DNSServiceIP, APIServer: layout.APIServer,
		CNINetwork: layout.CNINetwork, CgroupRoot: layout.CgroupRoot, PauseImage: layout.PauseImage,
		CoreDNSImage: layout.CoreDNSImage, StorageProvider: layout.StorageProvider,
		State: layout.State(), PKI: pki.Dir(), CNIPlugins: build.CNIDir(), NetpolPlugin: netpol.PluginName,
		NetpolSocket: NetworkPolicies().Socket, ContainerdSocket: layout.ContainerdSocket(),
	}
	for _, host := range layout.InternetHosts {
		names := strings.ReplaceAll(strings.Join(host.Names, "|"), ".", `\.`)
		p.Internet = append(p.Internet, internetName{Pattern: `(?i)^(` + names + `)\.$`, IP: host.IP})
	}
	return p
}

// render fills in the template of that name.
func render(name string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, newPlace()); err != nil {
		return nil, fmt.Errorf("filling in %s: %w", name, err)
	}
	return out.Bytes(), nil
}

func writeConfigs() error {
	for name, target := range map[string]string{
		"containerd.toml": layout.In("containerd.toml"),
		"runsc.toml":      layout.In("runsc.toml"),
		"kubelet.yaml":    layout.In("kubelet.yaml"),
		"kube-proxy.yaml": layout.In("kube-proxy.yaml"),
		"cni.conflist":    layout.In("cni", "10-clawstaff.conflist"), // the only file there: a second one could win
		"resolv.conf":     layout.In("resolv.conf"),
	} {
		content, err := render(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
