// Command manager makes cages and everything of a Claw, compiles grants, and
// answers the API server's admission questions.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller"
	"github.com/clawstaff/clawstaff/internal/directory"
	"github.com/clawstaff/clawstaff/internal/installation"
	"github.com/clawstaff/clawstaff/internal/webhook/serving"
	webhookv1alpha1 "github.com/clawstaff/clawstaff/internal/webhook/v1alpha1"
)

func main() {
	if err := run(ctrl.SetupSignalHandler(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	catalogue, err := connector.Builtin()
	if err != nil {
		return fmt.Errorf("the catalogue: %w", err)
	}
	o, err := parseOptions(args, catalogue)
	if err != nil {
		return err
	}
	if err := setLogger(o.verbosity); err != nil {
		return err
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	keeper := installation.Keeper{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: o.settings.OperatorNamespace}
	hasher, err := keeper.Hasher(ctx)
	if err != nil {
		return err
	}
	if err := mgr.Add(ledgerCertificate{keeper}); err != nil {
		return err
	}
	directories := &directory.Reader{}
	err = controller.Setup(ctx, mgr, controller.Config{
		Settings: o.settings, Outside: o.outside, Catalogue: catalogue, Hasher: hasher, Clock: clock.RealClock{}, Directory: directories,
	})
	if err != nil {
		return err
	}
	if o.webhook {
		if err := keeper.WebhookSecret(ctx); err != nil {
			return err
		}
		err := webhookv1alpha1.Setup(mgr, webhookv1alpha1.Options{
			Catalogue: catalogue, Namespace: o.settings.OperatorNamespace, Directory: directories,
		})
		if err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

func newManager(o options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	// Priority and fairness at the API server is what limits us; a client-side limit would only add delay.
	config.QPS, config.Burst = -1, -1
	options := ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controller.CacheOptions(),
		Client:                        client.Options{Cache: &client.CacheOptions{}},
		LeaderElection:                o.leaderElection,
		LeaderElectionID:              "clawstaff-manager",
		LeaderElectionNamespace:       o.settings.OperatorNamespace,
		LeaderElectionReleaseOnCancel: true,
		HealthProbeBindAddress:        o.health,
		Metrics:                       metricsserver.Options{BindAddress: o.metrics},
	}
	var certificates *serving.Certificates
	if o.webhook {
		certificates = serving.New(o.settings.OperatorNamespace)
		options.WebhookServer = certificates.Server("", o.webhookPort)
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return nil, err
	}
	if certificates == nil {
		return mgr, mgr.AddReadyzCheck("alive", healthz.Ping)
	}
	return mgr, certificates.Setup(mgr)
}

func setLogger(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: l})))
	return nil
}

// ledgerCertificate keeps the ledger's certificate while this manager leads.
type ledgerCertificate struct{ keeper installation.Keeper }

// Start implements manager.Runnable.
func (l ledgerCertificate) Start(ctx context.Context) error {
	log := ctrl.Log.WithName("ledger-certificate")
	for {
		wait := time.Hour
		if wrote, err := l.keeper.LedgerTLS(ctx, time.Now()); err != nil {
			log.Error(err, "the ledger's certificate cannot be kept")
			wait = 10 * time.Second
		} else if wrote {
			log.Info("the ledger's certificate was made anew")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

var _ manager.Runnable = ledgerCertificate{}
