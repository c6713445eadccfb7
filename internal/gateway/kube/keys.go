package kube

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/clawstaff/clawstaff/internal/secret"
)

// secretType is the only type of Secret a gateway takes keys from.
const secretType = "clawstaff.dev/gateway"

// keys is what the gateway's Secret holds, parsed once.
type keys struct {
	credentials   map[string]map[string]secret.Value // by credential and slot
	proxyPassword secret.Value
	resignSecret  secret.Value
	ca            *x509.Certificate
	caKey         crypto.Signer
	roots         *x509.CertPool
	ledgerCA      []byte
}

// parseKeys reads the Secret. An error means that none of it is used.
func parseKeys(raw []byte, system *x509.CertPool) (*keys, error) {
	var s struct {
		Type string            `json:"type"`
		Data map[string][]byte `json:"data"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, errors.New("it is not a Secret") // the error could quote it
	}
	if s.Type != secretType {
		return nil, fmt.Errorf("it is of type %q, not %s", s.Type, secretType)
	}
	k := &keys{
		credentials:   map[string]map[string]secret.Value{},
		proxyPassword: secret.New(s.Data["proxy-password"]),
		resignSecret:  secret.New(s.Data["resign-secret"]),
		roots:         system.Clone(),
		ledgerCA:      s.Data["ledger-ca.crt"],
	}
	if k.proxyPassword.Empty() || k.resignSecret.Empty() {
		return nil, errors.New("proxy-password or resign-secret is missing")
	}
	var err error
	if k.ca, k.caKey, err = parseCA(s.Data["ca.crt"], s.Data["ca.key"]); err != nil {
		return nil, err
	}
	if extra := s.Data["upstream-ca.crt"]; len(extra) > 0 && !k.roots.AppendCertsFromPEM(extra) {
		return nil, errors.New("upstream-ca.crt holds no certificate in PEM")
	}
	for name, value := range s.Data {
		entry, ok := strings.CutPrefix(name, "credential.")
		credential, slot, found := strings.Cut(entry, ".")
		if !ok || !found || len(value) == 0 {
			continue
		}
		if k.credentials[credential] == nil {
			k.credentials[credential] = map[string]secret.Value{}
		}
		k.credentials[credential][slot] = secret.New(value)
		clear(value)
	}
	return k, nil
}

// parseCA reads the certificate authority of the Claw.
func parseCA(certPEM, keyPEM []byte) (*x509.Certificate, crypto.Signer, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, errors.New("ca.crt or ca.key is missing or not PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("ca.crt: %w", err)
	}
	key, err := parseKey(keyBlock)
	if err != nil {
		return nil, nil, errors.New("ca.key is not a private key in PKCS#8 or SEC 1")
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) || !cert.IsCA {
		return nil, nil, errors.New("ca.crt is not a certificate authority's with the key ca.key")
	}
	return cert, key, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "EC PRIVATE KEY" {
		return x509.ParseECPrivateKey(block.Bytes)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a signer")
	}
	return signer, nil
}

// forget overwrites the secrets. Nobody may use them any more.
func (k *keys) forget() {
	for _, slots := range k.credentials {
		for _, value := range slots {
			value.Forget()
		}
	}
	k.proxyPassword.Forget()
	k.resignSecret.Forget()
}

// sameKeys compares what a stream may depend on.
func sameKeys(a, b map[string]map[string]secret.Value) bool {
	return maps.EqualFunc(a, b, func(a, b map[string]secret.Value) bool {
		return maps.EqualFunc(a, b, func(a, b secret.Value) bool { return a.Equal(b.Reveal()) })
	})
}
