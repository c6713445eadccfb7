// Package cluster starts the cluster, stops it, and says how it is.
package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/build"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/host"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/image"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/pki"
)

// Log reports progress.
type Log = func(format string, args ...any)

// patience is how long each part may take to become ready. A machine that needs longer is not waiting, it is stuck.
const patience = time.Minute

// Up makes the cluster run, whatever state it finds: nothing, a running cluster, a damaged one, or the remains of one.
func Up(ctx context.Context, log Log) error {
	if err := checkMachine(); err != nil {
		return err
	}
	builder, err := build.New(log)
	if err != nil {
		return err
	}
	programs, err := builder.Build()
	if err != nil {
		return err
	}
	if err := build.HostPackages(log); err != nil {
		return err
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	running := runningDaemons()
	if running == len(allDaemons()) && host.SetUpNetwork() == nil && healthy(ctx) == nil {
		return refresh(ctx, log, programs)
	}
	if running > 0 {
		log("%d of the cluster's %d daemons run; mending it", running, len(allDaemons()))
		err := start(ctx, log, programs)
		if err == nil {
			return nil
		}
		log("it cannot be mended, so it is started afresh: %v", err)
	}
	if err := tearDown(log); err != nil {
		return fmt.Errorf("cleaning up after an earlier cluster: %w", err)
	}
	return start(ctx, log, programs)
}

// refresh brings the images of a running cluster up to date. Its daemons are left alone: people work with it.
func refresh(ctx context.Context, log Log, programs map[string]string) error {
	var outdated []string
	for name, file := range programs {
		if current, err := os.Readlink(program(name)); err != nil || current != file {
			outdated = append(outdated, name)
		}
	}
	if len(outdated) > 0 {
		slices.Sort(outdated)
		log("it runs older versions of %s; loading new images, but new daemons need a `down` first", strings.Join(outdated, ", "))
		if err := build.LinkAll(layout.In("bin"), programs); err != nil {
			return err
		}
		if err := loadImages(ctx, programs); err != nil {
			return err
		}
	}
	log("the cluster is up")
	return nil
}

// start starts what does not run and waits until all of it works. It can be repeated.
func start(ctx context.Context, log Log, programs map[string]string) error {
	if err := prepare(programs); err != nil {
		return err
	}
	log("starting etcd, containerd and the API server")
	if err := startAll(firstDaemons()); err != nil {
		return err
	}
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return loadImages(both, programs) })
	group.Go(func() error { return startControlPlane(both, log) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := startAll([]host.Daemon{kubelet()}); err != nil {
		return err
	}
	if err := waitFor(ctx, allDaemons(), nodeReady); err != nil {
		return err
	}
	log("the node is ready; waiting for DNS")
	if err := waitFor(ctx, allDaemons(), healthy); err != nil {
		return err
	}
	log(`the cluster is up; eval "$(hack/cluster env)" makes kubectl use it`)
	return nil
}

// startControlPlane starts what needs the API server.
func startControlPlane(ctx context.Context, log Log) error {
	if err := waitFor(ctx, firstDaemons(), apiReady); err != nil {
		return err
	}
	log("the API server is ready; starting the other daemons")
	if err := applyAddons(); err != nil {
		return err
	}
	if err := startAll(secondDaemons()); err != nil {
		return err
	}
	return waitFor(ctx, append(firstDaemons(), secondDaemons()...), netpolReady)
}

// prepare lays out everything that is not a process.
func prepare(programs map[string]string) error {
	for _, dir := range []string{"run", "run/s", "logs", "cni", "volumes", "etcd", "kubelet", "images"} {
		if err := os.MkdirAll(layout.In(dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(layout.In("etcd"), 0o700); err != nil { // etcd insists
		return err
	}
	if err := installPrograms(programs); err != nil {
		return err
	}
	if err := pki.Ensure(); err != nil {
		return err
	}
	if err := writeConfigs(); err != nil {
		return err
	}
	if err := host.EnsureCgroups(); err != nil {
		return err
	}
	return host.SetUpNetwork()
}

// installPrograms links the built programs and copies this one: it is rebuilt under its name while the cluster runs.
func installPrograms(programs map[string]string) error {
	if err := build.LinkAll(layout.In("bin"), programs); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fresh := layout.In("bin", ".localcluster")
	if err := copyFile(self, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, program("localcluster")); err != nil {
		return err
	}
	return build.LinkAll(layout.In("bin"), map[string]string{newPlace().NetpolPlugin: program("localcluster")})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func startAll(daemons []host.Daemon) error {
	for _, daemon := range daemons {
		if err := daemon.Start(); err != nil {
			return err
		}
	}
	return nil
}

// loadImages imports the images that the cluster itself needs.
func loadImages(ctx context.Context, programs map[string]string) error {
	if err := waitFor(ctx, firstDaemons(), containerdReady); err != nil {
		return err
	}
	for name, spec := range map[string]image.Spec{
		"pause": {Name: layout.PauseImage, Entrypoint: []string{"/pause"}, User: "65535:65535",
			Add: []image.Addition{{Source: programs["pause"], Target: "/pause"}}},
		"coredns": {Name: layout.CoreDNSImage, Entrypoint: []string{"/coredns"}, User: "65532:65532",
			Add: []image.Addition{{Source: programs["coredns"], Target: "/coredns"}}},
		"probe": {Name: layout.ProbeImage, Entrypoint: []string{"/probe"}, User: "65532:65532",
			Add: []image.Addition{{Source: programs["probe"], Target: "/probe"}}},
	} {
		archive := layout.In("images", name+".tar")
		if _, err := image.Write(spec, archive); err != nil {
			return err
		}
		if err := image.Load(archive); err != nil {
			return err
		}
	}
	return nil
}

func checkMachine() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the local cluster needs Linux; on %s use a virtual machine, or `make demo` on an existing cluster", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("the local cluster needs root: it makes network links, mounts and cgroups")
	}
	return nil
}

// lock keeps `up` and `down` from running into each other. It is not in the state directory, which `down` removes.
func lock() (unlock func(), err error) {
	cache, err := layout.Cache()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	return build.Lock(filepath.Join(cache, "cluster.lock"))
}
