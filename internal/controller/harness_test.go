package controller_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller"
	"github.com/clawstaff/clawstaff/internal/installation"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
	"github.com/clawstaff/clawstaff/internal/webhook/serving"
	webhookv1alpha1 "github.com/clawstaff/clawstaff/internal/webhook/v1alpha1"
)

const (
	operatorNamespace = "clawstaff-system"
	gatewayImage      = "clawstaff.dev/gateway:test"
)

// api is the API server past every cache, as an administrator, asManager as a test that tries what the manager
// may not, and own as the manager itself; a manager with all controllers runs beside.
var api, asManager, own client.Client

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Verbose() {
		ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil)))
	} else {
		ctrl.SetLogger(logr.Discard())
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "controllers-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	record, err := newRecord(dir)
	if err != nil {
		return 1, err
	}
	config, env, stop, err := controlplane.Run(record.keep)
	if err != nil {
		return 1, err
	}
	defer stop()
	user, err := env.AddUser(managerUser, nil)
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done, err := startManager(ctx, config, user.Config())
	if err != nil {
		return 1, err
	}
	code := m.Run()
	cancel()
	<-done
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		// All that the manager does was done: what was never used is not needed.
		return code, record.compare()
	}
	return code, nil
}

// managersClock is the one that the manager goes by. Tests of time set it; it runs on by itself.
var managersClock shiftedClock

type shiftedClock struct{ by atomic.Int64 }

func (c *shiftedClock) Now() time.Time                  { return time.Now().Add(time.Duration(c.by.Load())) }
func (c *shiftedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// setClock sets the manager's clock until the test ends.
func setClock(t *testing.T, to time.Time) {
	t.Helper()
	managersClock.by.Store(int64(time.Until(to)))
	t.Cleanup(func() { managersClock.by.Store(0) })
}

// managerUser is whom the manager is, as the chart installs it.
var managerUser = envtest.User{
	Name:   "system:serviceaccount:" + operatorNamespace + ":" + v1alpha1.ManagedBy,
	Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace},
}

func startManager(ctx context.Context, config, user *rest.Config) (<-chan struct{}, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	var err error
	adminConfig = config
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return nil, err
	}
	catalogue, err := connector.Builtin()
	if err != nil {
		return nil, err
	}
	if err := install(ctx); err != nil {
		return nil, err
	}
	// As the chart installs it, with the rights the chart gives and no more.
	user.QPS, user.Burst = -1, -1
	tests := rest.CopyConfig(user)
	tests.UserAgent = agentOfTests
	if asManager, err = client.New(tests, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if own, err = client.New(user, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	keeper := installation.Keeper{Client: own, Live: own, Namespace: operatorNamespace}
	if _, err := keeper.LedgerTLS(ctx, time.Now()); err != nil {
		return nil, err
	}
	if err := keeper.WebhookSecret(ctx); err != nil {
		return nil, err
	}
	hasher, err := keeper.Hasher(ctx)
	if err != nil {
		return nil, err
	}
	certificates := serving.New(operatorNamespace)
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	webhooks = certificates.Server("127.0.0.1", port)
	mgr, err := ctrl.NewManager(counted(user), ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "clawstaff-manager", LeaderElectionNamespace: operatorNamespace, LeaderElectionReleaseOnCancel: true,
		WebhookServer: webhooks,
	})
	if err != nil {
		return nil, err
	}
	if err := certificates.Setup(mgr); err != nil {
		return nil, err
	}
	err = controller.Setup(ctx, mgr, controller.Config{
		Settings: cage.Settings{
			OperatorNamespace: operatorNamespace, GatewayImage: gatewayImage, PullPolicy: corev1.PullIfNotPresent,
			LedgerURL: "https://clawstaff-ledger.clawstaff-system.svc:4318",
		},
		Catalogue: catalogue, Hasher: hasher, Clock: &managersClock,
	})
	if err != nil {
		return nil, err
	}
	if err := webhookv1alpha1.Setup(mgr, webhookv1alpha1.Options{Catalogue: catalogue, Namespace: operatorNamespace}); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := mgr.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "the manager ended:", err)
		}
	}()
	return done, nil
}

// webhooks is the manager's webhook. The API server does not ask it, so that what it would refuse can be tried.
var webhooks webhook.Server

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// install creates the chart's rights, the policy that keeps the manager to where they are for, and its webhook's
// configuration with nothing to ask about.
func install(ctx context.Context) error {
	rights, err := chart.Render("templates/manager-rbac.yaml")
	if err != nil {
		return err
	}
	home, err := chart.Render("templates/manager-at-home.yaml")
	if err != nil {
		return err
	}
	hooks := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := chart.RenderAs("templates/webhook.yaml", hooks); err != nil {
		return err
	}
	for i := range hooks.Webhooks {
		hooks.Webhooks[i].ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"nothing": "has-this"}}
	}
	for _, o := range append(append(rights, home...), hooks) {
		if err := api.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

func kindOf(o client.Object) string {
	name := fmt.Sprintf("%T", o)
	return name[strings.LastIndex(name, ".")+1:]
}

// patience is how long a condition is waited for. It is generous: tests of many packages share a machine.
const patience = 60 * time.Second

// eventually waits until check returns "", and fails with what it said last.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("gave up after %s: %s", patience, problem)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
