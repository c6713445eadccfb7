// This file lists the cluster's daemons with their arguments.

package cluster

import (
	"path/filepath"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/host"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/pki"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/storage"
	"github.com/clawstaff/clawstaff/hack/localcluster/netpol"
)

func program(name string) string     { return layout.In("bin", name) }
func certificate(file string) string { return filepath.Join(pki.Dir(), file) }
func kubeconfig(user string) string  { return layout.In(user + ".kubeconfig") }

// firstDaemons are the store and the runtime, which nothing else, and the API server, which waits for the store by itself.
func firstDaemons() []host.Daemon {
	return []host.Daemon{
		{Name: "etcd", Args: []string{program("etcd"),
			"--name=" + layout.NodeName,
			"--data-dir=" + layout.In("etcd"),
			"--listen-client-urls=https://" + layout.EtcdClient,
			"--advertise-client-urls=https://" + layout.EtcdClient,
			"--listen-peer-urls=http://" + layout.EtcdPeer,
			"--initial-advertise-peer-urls=http://" + layout.EtcdPeer,
			"--initial-cluster=" + layout.NodeName + "=http://" + layout.EtcdPeer,
			"--cert-file=" + certificate("etcd-server.crt"),
			"--key-file=" + certificate("etcd-server.key"),
			"--client-cert-auth",
			"--trusted-ca-file=" + certificate("etcd-ca.crt"),
			"--unsafe-no-fsync", // survives every crash but the machine's; nothing here is worth a disk's pace
			"--log-level=warn",
		}},
		{Name: "containerd", Args: []string{program("containerd"), "--config", layout.In("containerd.toml")}},
		{Name: "kube-apiserver", Args: apiServer()},
	}
}

func apiServer() []string {
	return []string{program("kube-apiserver"),
		"--advertise-address=" + layout.NodeIP,
		"--bind-address=" + layout.NodeIP, // an address of no real network
		"--secure-port=6443",
		"--service-cluster-ip-range=" + layout.ServiceCIDR,
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", // added to the default ones
		"--client-ca-file=" + certificate("ca.crt"),
		"--tls-cert-file=" + certificate("apiserver.crt"),
		"--tls-private-key-file=" + certificate("apiserver.key"),
		"--etcd-servers=https://" + layout.EtcdClient,
		"--etcd-cafile=" + certificate("etcd-ca.crt"),
		"--etcd-certfile=" + certificate("etcd-client.crt"),
		"--etcd-keyfile=" + certificate("etcd-client.key"),
		"--kubelet-certificate-authority=" + certificate("ca.crt"),
		"--kubelet-client-certificate=" + certificate("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + certificate("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP", // so that no host name has to resolve
		"--service-account-issuer=https://kubernetes.default.svc." + layout.ClusterDomain,
		"--service-account-key-file=" + certificate("service-account.pub"),
		"--service-account-signing-key-file=" + certificate("service-account.key"),
		"--requestheader-client-ca-file=" + certificate("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + certificate("front-proxy-client.crt"),
		"--proxy-client-key-file=" + certificate("front-proxy-client.key"),
		"--profiling=false",
	}
}

// secondDaemons need the API server.
func secondDaemons() []host.Daemon {
	return []host.Daemon{
		{Name: "netpol", Args: []string{program("localcluster"), "netpol"}, Env: ownEnvironment()},
		{Name: "storage", Args: []string{program("localcluster"), "storage"}, Env: ownEnvironment()},
		{Name: "kube-controller-manager", Args: []string{program("kube-controller-manager"),
			"--kubeconfig=" + kubeconfig("controller-manager"),
			"--authentication-kubeconfig=" + kubeconfig("controller-manager"),
			"--authorization-kubeconfig=" + kubeconfig("controller-manager"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + certificate("service-account.key"),
			"--root-ca-file=" + certificate("ca.crt"),
			"--cluster-signing-cert-file=" + certificate("ca.crt"),
			"--cluster-signing-key-file=" + certificate("ca.key"),
			"--flex-volume-plugin-dir=" + layout.In("kubelet", "volume-plugins"),
			"--allocate-node-cidrs=false", // there is one node, and its CNI file names the range
			"--profiling=false",
		}},
		{Name: "kube-scheduler", Args: []string{program("kube-scheduler"),
			"--kubeconfig=" + kubeconfig("scheduler"),
			"--authentication-kubeconfig=" + kubeconfig("scheduler"),
			"--authorization-kubeconfig=" + kubeconfig("scheduler"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
		}},
		{Name: "kube-proxy", Args: []string{program("kube-proxy"), "--config=" + layout.In("kube-proxy.yaml")}},
	}
}

// kubelet starts pods, so it comes last: their rules must have somebody to write them.
func kubelet() host.Daemon {
	return host.Daemon{Name: "kubelet", Args: []string{program("kubelet"),
		"--config=" + layout.In("kubelet.yaml"),
		"--kubeconfig=" + kubeconfig("kubelet"),
		"--root-dir=" + layout.In("kubelet"),
		"--cert-dir=" + layout.In("kubelet", "pki"),
		"--hostname-override=" + layout.NodeName,
		"--node-ip=" + layout.NodeIP,
		"--node-labels=clawstaff.dev/local-cluster=true",
	}}
}

func allDaemons() []host.Daemon {
	return append(append(firstDaemons(), secondDaemons()...), kubelet())
}

// ownEnvironment hands the daemons that are this program the place of the cluster.
func ownEnvironment() []string { return []string{"CLAWSTAFF_CLUSTER_DIR=" + layout.State()} }

// NetworkPolicies is the enforcer's configuration.
func NetworkPolicies() netpol.Config {
	return netpol.Config{
		Kubeconfig: kubeconfig("netpol"),
		Socket:     layout.In("run", "netpol.sock"),
		State:      layout.In("netpol.json"),
		Network: netpol.Network{
			Table:       "clawstaff",
			PodCIDR:     layout.PodCIDR,
			PodLinks:    layout.PodLinkPrefix,
			OtherLinks:  []string{layout.Bridge, layout.InternetLink},
			ClusterNets: []string{layout.PodCIDR, layout.ServiceCIDR, layout.BridgeCIDR, layout.InternetCIDR},
		},
	}
}

// StorageConfig is the provisioner's configuration.
func StorageConfig() storage.Config {
	return storage.Config{
		Kubeconfig:  kubeconfig("storage"),
		Provisioner: layout.StorageProvider,
		Directory:   layout.In("volumes"),
		Node:        layout.NodeName,
	}
}
