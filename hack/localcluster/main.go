// Command localcluster runs a real Kubernetes cluster on this one machine. It is started through hack/cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/build"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/cluster"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/image"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/storage"
	"github.com/clawstaff/clawstaff/hack/localcluster/netpol"
)

const usage = `hack/cluster: a real Kubernetes cluster on this machine, without Docker and without a registry. Needs Linux and root.

  hack/cluster up                  build what is not built yet, start the cluster, wait until it works; starts from any state
  hack/cluster down                stop it and leave nothing behind
  hack/cluster status              say what runs
  hack/cluster env                 print the shell's settings: eval "$(hack/cluster env)"
  hack/cluster load FILE...        import image archives (OCI or Docker)
  hack/cluster image ...           build an image archive from local files; -h tells the flags
  hack/cluster internet CMD...     run a command in the fake internet's network namespace
  hack/cluster build [NAME...]     build the programs, or some of them, and do no more
  hack/cluster assets              print a directory with kube-apiserver, etcd and kubectl, for KUBEBUILDER_ASSETS

Programs are built once and kept in the user's cache directory. Everything else is below /var/lib/clawstaff-cluster;
the daemons' logs are in its directory logs. CLAWSTAFF_CLUSTER_DIR changes the place.

Its own tests, in hack/localcluster:
  go -C hack/localcluster test ./...                                             the parts
  go -C hack/localcluster test -tags cluster -count=1 ./test/conformance         NetworkPolicies, on the running cluster
  go -C hack/localcluster test -tags recovery -count=1 ./test/recovery           up from any state, down to nothing; ends the cluster
`

// commands are the subcommands; those that usage does not name are the cluster's own daemons.
var commands = map[string]func(ctx context.Context, args []string) error{
	"up":       func(ctx context.Context, _ []string) error { return cluster.Up(ctx, progress()) },
	"down":     func(context.Context, []string) error { return cluster.Down(progress()) },
	"status":   func(ctx context.Context, _ []string) error { return cluster.Status(ctx, os.Stdout) },
	"env":      func(context.Context, []string) error { return cluster.Env(os.Stdout) },
	"internet": func(_ context.Context, args []string) error { return cluster.Internet(args) },
	"build":    buildPrograms,
	"assets":   assets,
	"load":     load,
	"image":    makeImage,
	"netpol":   func(ctx context.Context, _ []string) error { return netpol.Run(ctx, cluster.NetworkPolicies()) },
	"storage":  func(ctx context.Context, _ []string) error { return storage.Run(ctx, cluster.StorageConfig()) },
}

func main() {
	if filepath.Base(os.Args[0]) == netpol.PluginName { // containerd calls the CNI plugin by this name
		netpol.PluginMain()
		return
	}
	if len(os.Args) < 2 || strings.TrimLeft(os.Args[1], "-") == "help" || os.Args[1] == "-h" {
		fmt.Print(usage)
		return
	}
	command, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "hack/cluster: there is no command %q\n\n%s", os.Args[1], usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[2:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "hack/cluster "+os.Args[1]+":", err)
		os.Exit(1)
	}
}

// progress prints what goes on, with the time since the command was started.
func progress() func(format string, args ...any) {
	start := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
}

func buildPrograms(_ context.Context, names []string) error {
	builder, err := build.New(progress())
	if err != nil {
		return err
	}
	_, err = builder.Build(names...)
	return err
}

func assets(context.Context, []string) error {
	builder, err := build.New(progress())
	if err != nil {
		return err
	}
	dir, err := builder.AssetsDir()
	if err == nil {
		fmt.Println(dir)
	}
	return err
}

func load(_ context.Context, files []string) error {
	if len(files) == 0 {
		return errors.New("name the image archives to load")
	}
	for _, file := range files {
		if err := image.Load(file); err != nil {
			return err
		}
	}
	return nil
}

func makeImage(_ context.Context, args []string) error {
	var spec image.Spec
	var out string
	flags := flag.NewFlagSet("hack/cluster image", flag.ContinueOnError)
	flags.StringVar(&spec.Name, "name", "", "the image's full `reference`, for example clawstaff.dev/gateway:dev")
	flags.StringVar(&spec.User, "user", "65532:65532", "`uid:gid` that it runs as")
	flags.StringVar(&spec.WorkingDir, "workdir", "/", "working `directory`")
	flags.StringVar(&out, "o", "", "archive `file` to write")
	flags.Func("entrypoint", "`program` in the image; repeat it for its arguments", func(s string) error {
		spec.Entrypoint = append(spec.Entrypoint, s)
		return nil
	})
	flags.Func("env", "`NAME=value` of the environment; may be repeated", func(s string) error {
		if !strings.Contains(s, "=") {
			return fmt.Errorf("%q: want NAME=value", s)
		}
		spec.Env = append(spec.Env, s)
		return nil
	})
	flags.Func("add", "`SOURCE:TARGET`: copy a file or directory into the image; may be repeated", func(s string) error {
		addition, err := image.ParseAddition(s)
		spec.Add = append(spec.Add, addition)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if out == "" || flags.NArg() > 0 {
		return errors.New("want -o FILE and no further arguments; -h tells the flags")
	}
	digest, err := image.Write(spec, out)
	if err == nil {
		fmt.Println(digest)
	}
	return err
}
