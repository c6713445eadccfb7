package journey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/clawstaff/clawstaff/test/fakes/control"
)

// StartFakes runs the fake providers where the cluster's gateways find them: on the local cluster in the
// fake internet, elsewhere as a pod. stop ends them.
func (j *Journey) StartFakes(ctx context.Context) (stop func(), err error) {
	if j.Local {
		return j.startLocalFakes(ctx)
	}
	return j.startFakesPod(ctx)
}

// localControl is where the control API of local fakes listens: the fake internet's own address.
const localControl = "10.76.0.2:8089"

func (j *Journey) startLocalFakes(ctx context.Context) (func(), error) {
	lock, err := j.alone(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(j.Root, "hack", "cluster"), "internet", filepath.Join(j.Root, "bin", "fakes"),
		"--control-listen", localControl, "--ca-dir", filepath.Join(j.Root, "bin", "fakes-ca"), "--with-stdin")
	cmd.Stderr = os.Stderr
	lifeline, err := cmd.StdinPipe() // they end when this does, however this program ends
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the fake providers: %w", err), lock.Close())
	}
	stop := func() {
		_ = lifeline.Close() // the other end may be gone already
		_ = cmd.Wait()       // how it ended does not matter any more
		_ = lock.Close()
	}
	j.Fakes = &control.Client{URL: "http://" + localControl, HTTP: &http.Client{Timeout: time.Minute}}
	ready, cancel := context.WithTimeout(ctx, 3*time.Minute) // hack/cluster may have to be built first
	defer cancel()
	if err := j.Fakes.Ready(ready); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// fakesNamespace is where the fakes run on a cluster that has no fake internet.
const fakesNamespace = "clawstaff-demo"

func (j *Journey) startFakesPod(ctx context.Context) (func(), error) {
	objects, err := j.Sample("fakes.yaml")
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if err := j.Apply(ctx, object); err != nil {
			return nil, err
		}
	}
	transport, err := rest.TransportFor(j.Config)
	if err != nil {
		return nil, err
	}
	j.Fakes = &control.Client{
		URL:  j.Config.Host + "/api/v1/namespaces/" + fakesNamespace + "/services/fakes:control/proxy",
		HTTP: &http.Client{Transport: transport, Timeout: time.Minute},
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return func() {}, j.Fakes.Ready(ready) // the pod stays, for the next run
}
