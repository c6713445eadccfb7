// Package pki makes the small certificate authorities of an installation: one
// for each Claw, and one for the ledger. Everything is PEM, ECDSA P-256.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Pair is a certificate and its key, PEM.
type Pair struct {
	Cert, Key []byte
}

// backdate allows for clocks that differ.
const backdate = time.Hour

// NewCA makes a certificate authority that signs leaves only.
func NewCA(name string, now time.Time, validity time.Duration) (Pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"ClawStaff"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return sign(template, nil, nil)
}

// Issue makes a server certificate for the given DNS names.
func (ca Pair) Issue(now time.Time, validity time.Duration, dnsNames ...string) (Pair, error) {
	if len(dnsNames) == 0 {
		return Pair{}, errors.New("issue a certificate: no DNS names given")
	}
	parent, err := tls.X509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		return Pair{}, fmt.Errorf("read the certificate authority: %w", err)
	}
	key, ok := parent.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return Pair{}, fmt.Errorf("read the certificate authority: its key is %T, want ECDSA", parent.PrivateKey)
	}
	return sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: dnsNames[0]},
		DNSNames:    dnsNames,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, parent.Leaf, key)
}

// sign signs with the parent's key, or with the certificate's own where there is no parent.
func sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, fmt.Errorf("make a serial number: %w", err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// Fresh reports whether the pair can be read and has more than a third of its life left.
func (ca Pair) Fresh(now time.Time) bool {
	pair, err := tls.X509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		return false
	}
	life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)
	return now.After(pair.Leaf.NotBefore) && now.Before(pair.Leaf.NotAfter.Add(-life/3))
}

// Signs reports whether a leaf was issued by this authority, for exactly these names.
func (ca Pair) Signs(leaf Pair, now time.Time, dnsNames ...string) bool {
	pair, err := tls.X509KeyPair(leaf.Cert, leaf.Key)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.Cert) {
		return false
	}
	for _, name := range dnsNames {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			return false
		}
	}
	return true
}

// Certificates returns only the certificates of a PEM text, so that nothing else travels with them.
func Certificates(text []byte) ([]byte, error) {
	var out bytes.Buffer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a PEM block of type %q is no certificate", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("a certificate cannot be read: %w", err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return out.Bytes(), nil
}

// Readable reports whether the pair can be read, and its certificate is one of an authority.
func (ca Pair) Readable() bool {
	pair, err := tls.X509KeyPair(ca.Cert, ca.Key)
	return err == nil && pair.Leaf != nil && pair.Leaf.IsCA
}
