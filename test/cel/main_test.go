// Package cel tests what the API server refuses by itself, with the manager and its webhook away: the
// schema and CEL rules of every kind, and the admission policies that close a cage. It is a real API server.
package cel

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// The one API server of this package, as its administrator sees it.
var (
	config *rest.Config
	k8s    client.Client
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
	var stop func()
	var err error
	if config, _, stop, err = controlplane.Run(); err != nil {
		return 1, err
	}
	defer stop()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, err
		}
	}
	if k8s, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 1, err
	}
	if err := prepare(context.Background()); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// prepare installs the closed cage, makes the cage acme, and waits until it is closed.
func prepare(ctx context.Context) error {
	policies, err := chart.Render("templates/closed-cage.yaml")
	if err != nil {
		return err
	}
	for _, obj := range append(policies, cageObjects()...) {
		if err := k8s.Create(ctx, obj); err != nil {
			return fmt.Errorf("create %s: %w", obj.GetName(), err)
		}
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		probe := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: cage}}
		probe.Spec.Ports = []corev1.ServicePort{{Port: 1}}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: cage}}
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"clawstaff.dev/organization":"other"}}}`))
		return refusedBy(as("mallory").Create(ctx, probe, client.DryRunAll), closedCage) &&
			refusedBy(as("mallory").Patch(ctx, ns, patch, client.DryRunAll), cageLabels), nil
	})
}
