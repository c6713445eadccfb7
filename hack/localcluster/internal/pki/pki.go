// Package pki makes the cluster's certificates, keys and kubeconfigs. They live and die with the state directory.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

const validity = 365 * 24 * time.Hour // a test cluster that is a year old wants a new `up` anyway

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// leaf is one certificate: whom it names, and where it serves (none: a client only).
type leaf struct {
	file          string
	name          string
	organizations []string
	hosts         []string
}

// Dir is where everything is written.
func Dir() string { return layout.In("pki") }

// Ensure writes whatever is missing. It is complete or it is redone: a half-written directory is no use to anyone.
func Ensure() error {
	complete := filepath.Join(Dir(), "complete")
	if _, err := os.Stat(complete); err == nil {
		return nil
	}
	if err := os.MkdirAll(Dir(), 0o700); err != nil {
		return err
	}
	if err := issueAll(); err != nil {
		return fmt.Errorf("making certificates in %s: %w", Dir(), err)
	}
	return os.WriteFile(complete, nil, 0o600)
}

func issueAll() error {
	cluster, err := newAuthority("ca", "clawstaff-local-cluster")
	if err != nil {
		return err
	}
	etcd, err := newAuthority("etcd-ca", "clawstaff-local-etcd") // its own: a certificate for the API must not open the store
	if err != nil {
		return err
	}
	frontProxy, err := newAuthority("front-proxy-ca", "clawstaff-local-front-proxy")
	if err != nil {
		return err
	}
	issued := []struct {
		by authority
		leaf
	}{
		{cluster, leaf{file: "apiserver", name: "kube-apiserver", hosts: []string{layout.NodeIP, layout.APIServiceIP, "127.0.0.1", "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + layout.ClusterDomain}}},
		{cluster, leaf{file: "apiserver-kubelet-client", name: "kube-apiserver", organizations: []string{"system:masters"}}},
		{cluster, leaf{file: "kubelet-server", name: layout.NodeName, hosts: []string{layout.NodeIP, layout.NodeName}}},
		{etcd, leaf{file: "etcd-server", name: "etcd", hosts: []string{"127.0.0.1", "localhost"}}},
		{etcd, leaf{file: "etcd-client", name: "kube-apiserver"}},
		{frontProxy, leaf{file: "front-proxy-client", name: "front-proxy-client"}},
	}
	for _, l := range issued {
		if _, _, err := l.by.issue(l.leaf); err != nil {
			return err
		}
	}
	if err := newKey("service-account"); err != nil {
		return err
	}
	users := []leaf{
		{file: "admin", name: "clawstaff-admin", organizations: []string{"system:masters"}},
		{file: "controller-manager", name: "system:kube-controller-manager"},
		{file: "scheduler", name: "system:kube-scheduler"},
		{file: "proxy", name: "system:kube-proxy"},
		{file: "kubelet", name: "system:node:" + layout.NodeName, organizations: []string{"system:nodes"}},
		{file: "netpol", name: "clawstaff:netpol"},
		{file: "storage", name: "clawstaff:storage"},
	}
	for _, user := range users {
		if err := cluster.kubeconfig(user); err != nil {
			return err
		}
	}
	return nil
}

func newAuthority(file, name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	_, _, err = write(file, der, key)
	return authority{cert, key}, err
}

func (a authority) issue(l leaf) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: l.name, Organization: l.organizations},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(l.hosts) > 0 { // etcd's gateway is a client of itself, so servers may be clients too
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range l.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return write(l.file, der, key)
}

func newKey(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if _, _, err := write(file, nil, key); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(Dir(), file+".pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600)
}

func write(file string, certDER []byte, key *ecdsa.PrivateKey) (certPEM, keyPEM []byte, err error) {
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(filepath.Join(Dir(), file+".key"), keyPEM, 0o600); err != nil {
		return nil, nil, err
	}
	if certDER == nil {
		return nil, keyPEM, nil
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER})
	return certPEM, keyPEM, os.WriteFile(filepath.Join(Dir(), file+".crt"), certPEM, 0o600)
}

// kubeconfig writes a self-contained one, so that it can be copied into a pod or handed to a test.
func (a authority) kubeconfig(user leaf) error {
	cert, key, err := a.issue(user)
	if err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	config := clientcmdapi.NewConfig()
	config.Clusters["clawstaff"] = &clientcmdapi.Cluster{Server: layout.APIServer, CertificateAuthorityData: ca}
	config.AuthInfos[user.name] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts["clawstaff"] = &clientcmdapi.Context{Cluster: "clawstaff", AuthInfo: user.name}
	config.CurrentContext = "clawstaff"
	return clientcmd.WriteToFile(*config, layout.In(user.file+".kubeconfig"))
}
