// Package controlplane starts a real API server (and etcd) for tests, with the
// project's CRDs. The binaries are those of the local cluster: nothing is downloaded.
package controlplane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Option changes how the control plane is started.
type Option func(*envtest.Environment)

// Root is the repository's root directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// Start starts a control plane for the test and stops it when the test ends.
func Start(t testing.TB, options ...Option) (*rest.Config, *envtest.Environment) {
	t.Helper()
	config, env, stop, err := Run(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return config, env
}

// Run is Start for a TestMain, which has no testing.TB. The caller calls stop.
func Run(options ...Option) (config *rest.Config, env *envtest.Environment, stop func(), err error) {
	assets, err := Assets()
	if err != nil {
		return nil, nil, nil, err
	}
	env = &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	for _, option := range options {
		option(env)
	}
	config, err = env.Start()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start the API server for tests: %w", err)
	}
	// Tests write faster than a person; the client must not slow them down.
	config.QPS, config.Burst = 500, 1000
	return config, env, func() { _ = env.Stop() }, nil
}

// Assets is the directory that holds kube-apiserver, etcd and kubectl.
func Assets() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	cmd := exec.Command(filepath.Join(Root(), "hack", "cluster"), "assets")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build kube-apiserver and etcd for tests with 'hack/cluster assets': %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
