// Package operator runs the whole operator for tests: a real API server with all that the chart installs,
// and a manager with controllers and webhook, which has the rights the chart gives it and no more. Nothing
// runs pods there; Play plays those who would.
package operator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller"
	"github.com/clawstaff/clawstaff/internal/directory"
	"github.com/clawstaff/clawstaff/internal/installation"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
	webhookv1alpha1 "github.com/clawstaff/clawstaff/internal/webhook/v1alpha1"
)

// GatewayImage is the image of the gateway and of the probe.
const GatewayImage = "clawstaff.dev/gateway:test"

// Operator is a running operator.
type Operator struct {
	Config *rest.Config
	Scheme *runtime.Scheme
	// API is the API server past every cache, as its administrator; strict about unknown fields.
	API client.Client
	// Seen is a cache of what is at the API server, for tests that look often.
	Seen cache.Cache
	// Tests is what tests ask the API server, and Manager what the manager does.
	Tests, Manager *Journal
	// Log is what the manager logs as an error.
	Log *Log
}

// Run starts an operator. The caller calls stop.
func Run(ctx context.Context) (o *Operator, stop func(), err error) {
	o = &Operator{Scheme: runtime.NewScheme(), Tests: &Journal{}, Manager: &Journal{}, Log: &Log{}}
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(o.Scheme); err != nil {
			return nil, nil, err
		}
	}
	installed, err := chart.All()
	if err != nil {
		return nil, nil, err
	}
	hooks := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := pick(installed, "ValidatingWebhookConfiguration", hooks); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	config, env, stopAPI, err := controlplane.Run(func(e *envtest.Environment) {
		e.WebhookInstallOptions.ValidatingWebhooks = []*admissionregistrationv1.ValidatingWebhookConfiguration{hooks}
	})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	o.Config = config
	done, err := o.start(ctx, installed, env.WebhookInstallOptions)
	stop = func() {
		cancel()
		if done != nil {
			<-done
		}
		stopAPI()
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return o, stop, nil
}

func (o *Operator) start(ctx context.Context, installed []client.Object, hooks envtest.WebhookInstallOptions) (<-chan struct{}, error) {
	api, err := client.New(o.Tests.watch(o.Config), client.Options{Scheme: o.Scheme})
	if err != nil {
		return nil, err
	}
	o.API = client.WithFieldValidation(api, metav1.FieldValidationStrict)
	if err := install(ctx, api, installed); err != nil {
		return nil, err
	}
	mgr, err := o.manager(ctx, hooks)
	if err != nil {
		return nil, err
	}
	if o.Seen, err = cache.New(o.Config, cache.Options{Scheme: o.Scheme}); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := make(chan error, 1)
		go func() { seen <- o.Seen.Start(ctx) }()
		if err := errors.Join(mgr.Start(ctx), <-seen); err != nil {
			o.Log.add("the manager ended: " + err.Error())
		}
	}()
	address := net.JoinHostPort(hooks.LocalServingHost, strconv.Itoa(hooks.LocalServingPort))
	return done, until(ctx, func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// pick takes the one object of a kind out of what the chart installs.
func pick(installed []client.Object, kind string, into any) error {
	for _, obj := range installed {
		if u, ok := obj.(*unstructured.Unstructured); ok && u.GetKind() == kind {
			return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into)
		}
	}
	return fmt.Errorf("the chart installs no %s", kind)
}

// install creates what the chart installs, but for what runs programs, and what the API server was started with.
func install(ctx context.Context, api client.Client, installed []client.Object) error {
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: chart.Namespace}}); err != nil {
		return err
	}
	for _, obj := range installed {
		switch obj.GetObjectKind().GroupVersionKind().Kind {
		case "CustomResourceDefinition", "ValidatingWebhookConfiguration", "Deployment", "StatefulSet":
			continue
		}
		if err := api.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}

// manager wires a manager as its program does.
func (o *Operator) manager(ctx context.Context, hooks envtest.WebhookInstallOptions) (ctrl.Manager, error) {
	ctrl.SetLogger(o.Log.logger())
	catalogue, err := connector.Builtin()
	if err != nil {
		return nil, err
	}
	config := o.Manager.watch(o.As(chart.ManagerUser))
	config.QPS, config.Burst = -1, -1
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: o.Scheme, Cache: controller.CacheOptions(), Client: client.Options{Cache: &client.CacheOptions{}},
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: hooks.LocalServingHost, Port: hooks.LocalServingPort, CertDir: hooks.LocalServingCertDir}),
	})
	if err != nil {
		return nil, err
	}
	keeper := installation.Keeper{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: chart.Namespace}
	// The rights the chart gives take effect a moment after they are written.
	err = until(ctx, func() error { _, err := keeper.LedgerTLS(ctx, time.Now()); return err })
	if err != nil {
		return nil, err
	}
	hasher, err := keeper.Hasher(ctx)
	if err != nil {
		return nil, err
	}
	directories := &directory.Reader{}
	err = controller.Setup(ctx, mgr, controller.Config{
		Settings: cage.Settings{
			OperatorNamespace: chart.Namespace, GatewayImage: GatewayImage, PullPolicy: corev1.PullIfNotPresent,
			LedgerURL: "https://clawstaff-ledger." + chart.Namespace + ".svc:4318",
		},
		Catalogue: catalogue, Hasher: hasher, Clock: clock.RealClock{}, Directory: directories,
	})
	if err != nil {
		return nil, err
	}
	return mgr, webhookv1alpha1.Setup(mgr, webhookv1alpha1.Options{Catalogue: catalogue, Namespace: chart.Namespace, Directory: directories})
}

// As is the API server's configuration for a user. A service account has the groups of one.
func (o *Operator) As(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(o.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	if namespace, _, ok := serviceAccount(user); ok {
		config.Impersonate.Groups = append(config.Impersonate.Groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	return config
}

// patience is how long something is waited for. It is generous: tests of many packages share a machine.
const patience = time.Minute

func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still after %s: %w", patience, err)
		case <-tick.C:
		}
	}
}
