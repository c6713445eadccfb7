// Package installation keeps what an installation of ClawStaff needs once: the
// ledger's certificate, and the key that fingerprints are made with. All of it is
// in Secrets of the operator's own namespace.
package installation

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/platform"
	"github.com/clawstaff/clawstaff/internal/credential"
	"github.com/clawstaff/clawstaff/internal/pki"
)

// The Secrets.
const (
	// LedgerCA holds the authority of the ledger's certificate, which only the manager reads.
	LedgerCA = "clawstaff-ledger-ca"
	// Fingerprints holds the key of fingerprints. Who has it can guess keys, but not read them.
	Fingerprints = "clawstaff-fingerprints"
	// WebhookTLS holds the webhook's certificate; cert-controller keeps it.
	WebhookTLS = "clawstaff-webhook-tls"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	// fingerprintKey is the key of the Secret Fingerprints.
	fingerprintKey = "key"
	owner          = client.FieldOwner(v1alpha1.ManagedBy)
)

// Keeper keeps them. Live reads past caches, for there is nothing here worth one.
type Keeper struct {
	Client    client.Writer
	Live      client.Reader
	Namespace string
}

// Hasher returns the hasher of this installation; its key is made when there is none.
func (k Keeper) Hasher(ctx context.Context) (credential.Hasher, error) {
	key := make([]byte, credential.KeySize)
	_, _ = rand.Read(key) // never fails
	s, err := k.ensure(ctx, Fingerprints, corev1.SecretTypeOpaque, map[string][]byte{fingerprintKey: key})
	if err != nil {
		return credential.Hasher{}, err
	}
	if got := s.Data[fingerprintKey]; len(got) == credential.KeySize {
		return credential.NewHasher(got), nil
	}
	return credential.Hasher{}, fmt.Errorf(
		"secret %s/%s has no %q of %d bytes: delete it, and it is made anew; credentials are then judged anew, and gateways get their keys again",
		k.Namespace, Fingerprints, fingerprintKey, credential.KeySize)
}

// WebhookSecret makes sure that there is a Secret for cert-controller to fill.
func (k Keeper) WebhookSecret(ctx context.Context) error {
	_, err := k.ensure(ctx, WebhookTLS, corev1.SecretTypeOpaque, nil)
	return err
}

// LedgerTLS makes the ledger's certificate, or renews it when a third of its life is left. It reports
// whether anything was written.
func (k Keeper) LedgerTLS(ctx context.Context, now time.Time) (bool, error) {
	authority, err := k.ledgerCA(ctx, now)
	if err != nil {
		return false, err
	}
	names := ledgerNames(k.Namespace)
	_, wrote, err := k.pair(ctx, platform.LedgerTLS,
		func(have pki.Pair) bool { return have.Fresh(now) && authority.Signs(have, now, names...) },
		func() (pki.Pair, error) { return authority.Issue(now, leafLife, names...) },
		map[string][]byte{"ca.crt": authority.Cert})
	return wrote, err
}

func (k Keeper) ledgerCA(ctx context.Context, now time.Time) (pki.Pair, error) {
	authority, _, err := k.pair(ctx, LedgerCA,
		func(have pki.Pair) bool { return have.Readable() && have.Fresh(now) },
		func() (pki.Pair, error) { return pki.NewCA("ClawStaff ledger", now, caLife) },
		nil)
	return authority, err
}

// pair keeps a certificate in a Secret for as long as it is good, and makes another one then.
func (k Keeper) pair(ctx context.Context, name string, good func(pki.Pair) bool, make func() (pki.Pair, error), more map[string][]byte) (pki.Pair, bool, error) {
	s, err := k.read(ctx, name)
	if err != nil {
		return pki.Pair{}, false, err
	}
	if s != nil {
		if have := (pki.Pair{Cert: s.Data[corev1.TLSCertKey], Key: s.Data[corev1.TLSPrivateKeyKey]}); good(have) {
			return have, false, nil
		}
	}
	made, err := make()
	if err != nil {
		return pki.Pair{}, false, fmt.Errorf("secret %s: %w", name, err)
	}
	data := map[string][]byte{corev1.TLSCertKey: made.Cert, corev1.TLSPrivateKeyKey: made.Key}
	maps.Copy(data, more)
	if s == nil {
		_, err = k.create(ctx, name, corev1.SecretTypeTLS, data)
	} else {
		s.Data = data
		err = k.Client.Update(ctx, s, owner)
	}
	if err != nil {
		return pki.Pair{}, false, fmt.Errorf("write Secret %s: %w", name, err)
	}
	return made, true, nil
}

func ledgerNames(namespace string) []string {
	service := cage.LedgerName + "." + namespace
	return []string{service + ".svc", service + ".svc.cluster.local", service, "localhost"}
}

// ensure reads a Secret, and creates it where there is none. Of two managers that create it, one does.
func (k Keeper) ensure(ctx context.Context, name string, kind corev1.SecretType, data map[string][]byte) (*corev1.Secret, error) {
	s, err := k.read(ctx, name)
	if err != nil || s != nil {
		return s, err
	}
	s, err = k.create(ctx, name, kind, data)
	if apierrors.IsAlreadyExists(err) {
		return k.read(ctx, name)
	}
	return s, err
}

// read returns nil where there is no such Secret.
func (k Keeper) read(ctx context.Context, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: k.Namespace, Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", k.Namespace, name, err)
	}
	return &s, nil
}

func (k Keeper) create(ctx context.Context, name string, kind corev1.SecretType, data map[string][]byte) (*corev1.Secret, error) {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
		Type:       kind, Data: data,
	}
	return s, k.Client.Create(ctx, s, owner)
}
