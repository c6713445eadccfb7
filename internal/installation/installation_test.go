package installation

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/controller/platform"
	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/internal/secret"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

func TestKeeper(t *testing.T) {
	ctx := context.Background()
	config, _ := controlplane.Start(t)
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "operator"}}); err != nil {
		t.Fatal(err)
	}
	k := Keeper{Client: c, Live: c, Namespace: "operator"}
	read := func(name string) *corev1.Secret {
		t.Helper()
		var s corev1.Secret
		if err := c.Get(ctx, client.ObjectKey{Namespace: "operator", Name: name}, &s); err != nil {
			t.Fatal(err)
		}
		return &s
	}

	t.Run("ledger", func(t *testing.T) {
		now := time.Now()
		for i, want := range []bool{true, false} {
			if wrote, err := k.LedgerTLS(ctx, now); err != nil || wrote != want {
				t.Fatalf("time %d: wrote %v, %v", i, wrote, err)
			}
		}
		first := read(platform.LedgerTLS)
		authority := pki.Pair{Cert: first.Data["ca.crt"]}
		leaf := pki.Pair{Cert: first.Data[corev1.TLSCertKey], Key: first.Data[corev1.TLSPrivateKeyKey]}
		if !authority.Signs(leaf, now, "clawstaff-ledger.operator.svc") {
			t.Error("the certificate is not for the ledger's Service")
		}
		if _, err := tls.X509KeyPair(first.Data["ca.crt"], first.Data[corev1.TLSPrivateKeyKey]); err == nil {
			t.Error("the ledger has the authority's key")
		}
		// Renewed in time, by the same authority, so that gateways believe both.
		if wrote, err := k.LedgerTLS(ctx, now.Add(leafLife*3/4)); err != nil || !wrote {
			t.Fatalf("not renewed: %v", err)
		}
		renewed := read(platform.LedgerTLS)
		if string(renewed.Data["ca.crt"]) != string(first.Data["ca.crt"]) || string(renewed.Data["tls.crt"]) == string(first.Data["tls.crt"]) {
			t.Error("the authority changed, or the certificate did not")
		}
		// What cannot be read is made anew.
		renewed.Data["tls.key"] = []byte("broken")
		if err := c.Update(ctx, renewed); err != nil {
			t.Fatal(err)
		}
		if wrote, err := k.LedgerTLS(ctx, now); err != nil || !wrote {
			t.Errorf("a broken certificate is kept: %v", err)
		}
	})
	t.Run("fingerprints", func(t *testing.T) {
		a, err := k.Hasher(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b, err := k.Hasher(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if v := secret.New([]byte("key")); a.Fingerprint(v) != b.Fingerprint(v) {
			t.Error("every manager has another key")
		}
		s := read(Fingerprints)
		s.Data = nil
		if err := c.Update(ctx, s); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Hasher(ctx); err == nil {
			t.Error("an empty key is used")
		}
	})
	t.Run("webhook", func(t *testing.T) {
		for range 2 {
			if err := k.WebhookSecret(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}
