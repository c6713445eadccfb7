// Package cel tests what the API server refuses by itself, with the manager and its webhook away: the
// schema and CEL rules of every kind, and the admission policies that close a cage. It is a real API server.
package cel

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
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
	ctrl.SetLogger(logr.Discard())
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

// prepare installs the floor, makes the cages, and waits until they are closed.
func prepare(ctx context.Context) error {
	for _, template := range floorTemplates {
		objects, err := chart.Render(template)
		if err != nil {
			return err
		}
		renderedOnce = append(renderedOnce, objects...)
	}
	for _, obj := range append(slices.Clone(renderedOnce), cageObjects()...) {
		if err := k8s.Create(ctx, obj.DeepCopyObject().(client.Object)); err != nil {
			return fmt.Errorf("create %s: %w", obj.GetName(), err)
		}
	}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := inForce(ctx)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}
