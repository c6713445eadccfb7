// Package layout says where the local cluster lives: its addresses, its names and its places on disk.
// Everything that has to agree with something else is here, and nowhere twice.
package layout

import (
	"os"
	"path/filepath"
)

// The cluster's name on the machine: the prefix of its links, tables, cgroups and namespaces.
const (
	NodeName        = "clawstaff"
	ClusterDomain   = "cluster.local"
	Bridge          = "claw0"              // carries the node's address; no other machine is on it
	InternetLink    = "clawnet0"           // the host's end of the fake internet's veth pair
	InternetNetNS   = "clawstaff-internet" // where fake providers run
	CNINetwork      = "clawstaff"
	CgroupRoot      = "clawstaff"
	PodLinkPrefix   = "veth" // the ptp CNI plugin's naming; not configurable
	PauseImage      = "clawstaff.dev/pause:1"
	CoreDNSImage    = "clawstaff.dev/coredns:v1.15.0"
	ProbeImage      = "clawstaff.dev/probe:dev"
	StorageProvider = "clawstaff.dev/local"
)

// Addresses. All private or for documentation; none is ever routed off the machine.
const (
	NodeIP       = "10.76.0.1"
	InternetIP   = "10.76.0.2"
	BridgeCIDR   = "10.76.0.0/24"
	PodCIDR      = "10.77.0.0/20"
	ServiceCIDR  = "10.78.0.0/16"
	APIServiceIP = "10.78.0.1"
	DNSServiceIP = "10.78.0.10"
	InternetCIDR = "198.51.100.0/24" // TEST-NET-2: package mirrors were met in TEST-NET-3, and a blackhole would cut them off
	APIServer    = "https://" + NodeIP + ":6443"
	EtcdClient   = "127.0.0.1:12379"
	EtcdPeer     = "127.0.0.1:12380"
)

// InternetHost is one address of the fake internet and the names that CoreDNS answers with it.
type InternetHost struct {
	IP    string
	Names []string
}

// InternetHosts is the whole fake internet. Every other name outside the cluster does not exist.
var InternetHosts = []InternetHost{
	{"198.51.100.10", []string{"slack.com", "files.slack.com", "hooks.slack.com", "wss-primary.slack.com"}},
	{"198.51.100.11", []string{"api.anthropic.com"}},
	{"198.51.100.12", []string{"api.openai.com"}},
	{"198.51.100.13", []string{"api.github.com", "github.com"}},
	{"198.51.100.14", []string{"gmail.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com"}},
	{"198.51.100.15", []string{"api.telegram.org"}},
	{"198.51.100.66", []string{"evil.example"}},
}

// State is the directory of a running cluster; `down` removes it whole.
func State() string {
	if dir := os.Getenv("CLAWSTAFF_CLUSTER_DIR"); dir != "" {
		return dir
	}
	return "/var/lib/clawstaff-cluster"
}

// In names a file of the state directory.
func In(elem ...string) string {
	return filepath.Join(append([]string{State()}, elem...)...)
}

// Cache is the directory of built programs; it outlives clusters and checkouts.
func Cache() (string, error) {
	base, err := os.UserCacheDir() // XDG_CACHE_HOME, or ~/.cache
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "clawstaff", "cluster"), nil
}

// Kubeconfig is the administrator's.
func Kubeconfig() string { return In("admin.kubeconfig") }

// ContainerdSocket is where containerd serves.
func ContainerdSocket() string { return In("run", "containerd.sock") }
