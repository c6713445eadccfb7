package v1alpha1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
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
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// The one API server of this package, which asks the webhook the chart registers.
var (
	config *rest.Config
	scheme = runtime.NewScheme()
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctrl.SetLogger(logr.Discard()) // refusals are the tests' daily bread
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, err
		}
	}
	hooks := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := chart.RenderAs("templates/webhook.yaml", hooks); err != nil {
		return 1, err
	}
	var env *envtest.Environment
	var stop func()
	var err error
	config, env, stop, err = controlplane.Run(func(e *envtest.Environment) {
		e.WebhookInstallOptions.ValidatingWebhooks = []*admissionregistrationv1.ValidatingWebhookConfiguration{hooks}
	})
	if err != nil {
		return 1, err
	}
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	done, err := serve(ctx, env.WebhookInstallOptions)
	if err != nil {
		cancel()
		return 1, err
	}
	defer func() {
		cancel()
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "serving the webhook:", err)
		}
	}()
	if err := prepare(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// serve runs a manager that has nothing but the webhook.
func serve(ctx context.Context, opts envtest.WebhookInstallOptions) (done chan error, err error) {
	catalogue, err := connector.Builtin()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:        scheme,
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: opts.LocalServingHost, Port: opts.LocalServingPort, CertDir: opts.LocalServingCertDir}),
	})
	if err != nil {
		return nil, err
	}
	if err := Setup(mgr, Options{Catalogue: catalogue, Namespace: chart.Namespace}); err != nil {
		return nil, err
	}
	done = make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	address := net.JoinHostPort(opts.LocalServingHost, strconv.Itoa(opts.LocalServingPort))
	return done, until(ctx, func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// until tries f until it has no error.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
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
			return fmt.Errorf("still after 30 s: %w", err)
		case <-tick.C:
		}
	}
}

// as returns the API server as a user sees it. Every user of these tests may do everything by RBAC with
// our kinds and nothing else, so that only the webhook refuses; sarah may also write the Secret of her key.
func as(user string, groups ...string) client.Client {
	c := rest.CopyConfig(config)
	if user != admin {
		c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	}
	out, err := client.New(c, client.Options{Scheme: scheme})
	if err != nil {
		panic(err) // the configuration is ours
	}
	return out
}

// The users: a cluster administrator, two members, somebody else, and one with the right to assign owners.
const (
	admin    = ""
	sarah    = "sarah@acme.example"
	lee      = "lee@acme.example"
	stranger = "mallory"
	gitops   = "system:serviceaccount:argocd:controller"
)

func prepare(ctx context.Context) error {
	everybody := []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "system:authenticated"}}
	objects := []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "kinds"}, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"*"}, Verbs: []string{"*"}}}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "kinds"}, Subjects: everybody,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "kinds"}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "assign"}, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{assignGroup}, Resources: []string{assignResource}, Verbs: []string{assignVerb}}}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "key"}, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"triage-slack"}, Verbs: []string{"update"}}}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "key"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: sarah}},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "key"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "open"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: chart.Namespace}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "pretender", Labels: map[string]string{v1alpha1.LabelOrganization: "acme"}}},
	}
	for _, cage := range []string{"acme", "small", "empty", "directory"} {
		objects = append(objects,
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: cage, Labels: map[string]string{v1alpha1.LabelOrganization: cage}}},
			&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "assign", Namespace: cage}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: gitops}},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "assign"}})
	}
	one := int32(1)
	objects = append(objects,
		organization("acme"),
		organization("small", func(o *v1alpha1.ClawOrganization) { o.Spec.Quota.Claws = &one }),
		organization("empty"),
		clawPolicy("acme"), clawPolicy("small"),
	)
	objects = append(objects, credentials()...)
	for _, obj := range objects {
		if err := as(admin).Create(ctx, obj); err != nil {
			return fmt.Errorf("create %s: %w", obj.GetName(), err)
		}
	}
	if err := share(ctx, "shared"); err != nil {
		return err
	}
	// RBAC takes effect a moment after it is written.
	return until(ctx, func() error {
		return errors.Join(as(gitops).Create(ctx, claw(), client.DryRunAll), as(sarah).Create(ctx, credential(), client.DryRunAll))
	})
}
