package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

func TestEnsure(t *testing.T) {
	t.Setenv("CLAWSTAFF_CLUSTER_DIR", t.TempDir())
	if err := Ensure(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]struct {
		authority, host string
	}{
		"apiserver":      {"ca", layout.NodeIP},
		"kubelet-server": {"ca", layout.NodeIP},
		"etcd-server":    {"etcd-ca", "127.0.0.1"},
	} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(Dir(), file+".crt"), filepath.Join(Dir(), file+".key"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: want.host, Roots: pool(t, want.authority)})
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	client, err := tls.LoadX509KeyPair(filepath.Join(Dir(), "apiserver-kubelet-client.crt"), filepath.Join(Dir(), "apiserver-kubelet-client.key"))
	if err != nil {
		t.Fatal(err)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: pool(t, "etcd-ca"), KeyUsages: usages}); err == nil {
		t.Error("a certificate for the API opens etcd")
	}
	before, err := os.ReadFile(layout.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientcmd.RESTConfigFromKubeConfig(before); err != nil {
		t.Error(err)
	}
	if err := Ensure(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(layout.Kubeconfig()); string(after) != string(before) {
		t.Error("what is complete is made anew")
	}
}

func TestSecretsAreTheOwnersOnly(t *testing.T) {
	t.Setenv("CLAWSTAFF_CLUSTER_DIR", t.TempDir())
	if err := Ensure(); err != nil {
		t.Fatal(err)
	}
	keys, _ := filepath.Glob(filepath.Join(Dir(), "*.key"))
	kubeconfigs, _ := filepath.Glob(layout.In("*.kubeconfig"))
	for _, file := range append(keys, kubeconfigs...) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v", file, info.Mode())
		}
	}
}

func pool(t *testing.T, authority string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Dir(), authority+".crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return roots
}
