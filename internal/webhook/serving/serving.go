// Package serving serves the webhook with a certificate that it keeps itself.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/installation"
)

// Certificates are the webhook's: cert-controller makes and rotates them in a Secret and puts the
// authority into the webhook's configuration; every manager serves what the Secret holds now. Nothing is
// mounted, because a mounted Secret lags by a minute.
type Certificates struct {
	namespace string
	current   atomic.Pointer[tls.Certificate]
	injected  chan struct{}
}

// New returns the certificates of an operator in a namespace.
func New(namespace string) *Certificates {
	return &Certificates{namespace: namespace, injected: make(chan struct{})}
}

// Server serves the webhook with them.
func (c *Certificates) Server(host string, port int) webhook.Server {
	return webhook.NewServer(webhook.Options{
		Host: host,
		Port: port,
		TLSOpts: []func(*tls.Config){func(t *tls.Config) {
			t.MinVersion = tls.VersionTLS13
			t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if cert := c.current.Load(); cert != nil {
					return cert, nil
				}
				return nil, errors.New("the webhook has no certificate yet")
			}
		}},
	})
}

// Setup adds what makes, follows and serves the certificates, and readiness, which is that they are served.
func (c *Certificates) Setup(mgr ctrl.Manager) error {
	// cert-controller looks for a file before it says that it is ready; follow writes one.
	dir, err := os.MkdirTemp("", "webhook-")
	if err != nil {
		return err
	}
	service := "clawstaff-webhook." + c.namespace + ".svc"
	err = rotator.AddRotator(mgr, &rotator.CertRotator{
		SecretKey:      client.ObjectKey{Namespace: c.namespace, Name: installation.WebhookTLS},
		CertDir:        dir,
		CAName:         "ClawStaff webhook",
		CAOrganization: "ClawStaff",
		DNSName:        service,
		ExtraDNSNames:  []string{service + ".cluster.local"},
		IsReady:        c.injected,
		Webhooks:       []rotator.WebhookInfo{{Name: "clawstaff", Type: rotator.Validating}},
		FieldOwner:     v1alpha1.ManagedBy,
		ControllerName: "webhook-certificates",
	})
	if err != nil {
		return fmt.Errorf("cert-controller: %w", err)
	}
	if err := c.follow(mgr, dir); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("webhook", func(r *http.Request) error {
		select {
		case <-c.injected:
			return mgr.GetWebhookServer().StartedChecker()(r)
		default:
			return errors.New("the webhook's certificate is not in place yet")
		}
	})
}

// follow serves what the Secret holds.
func (c *Certificates) follow(mgr ctrl.Manager, dir string) error {
	secrets, err := cluster.New(mgr.GetConfig(), func(o *cluster.Options) {
		o.Scheme = mgr.GetScheme()
		o.Cache = cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{c.namespace: {
				FieldSelector: fields.OneTermEqualSelector("metadata.name", installation.WebhookTLS),
			}},
		}}}
	})
	if err != nil {
		return err
	}
	if err := mgr.Add(secrets); err != nil {
		return err
	}
	informer, err := secrets.GetCache().GetInformer(context.Background(), &corev1.Secret{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	take := func(o any) {
		s, ok := o.(*corev1.Secret)
		if !ok || len(s.Data["tls.crt"]) == 0 {
			return
		}
		cert, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"])
		if err == nil {
			c.current.Store(&cert)
			err = os.WriteFile(filepath.Join(dir, "tls.crt"), s.Data["tls.crt"], 0o600)
		}
		if err != nil {
			ctrl.Log.WithName("webhook-certificates").Error(err, "take the webhook's certificate")
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: take, UpdateFunc: func(_, o any) { take(o) },
	})
	return err
}
