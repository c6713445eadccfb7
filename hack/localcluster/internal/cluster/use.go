// This file is what people do with a cluster that runs.

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"text/tabwriter"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/host"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

var errNotUp = errors.New("the cluster is not up; start it with `hack/cluster up`")

// Status prints each daemon's state; it is an error if the cluster does not work.
func Status(ctx context.Context, out io.Writer) error {
	if _, err := os.Stat(layout.Kubeconfig()); err != nil {
		return errNotUp
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, daemon := range allDaemons() {
		state := "has ended"
		if host.Alive(daemon.Name) {
			state = "runs"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", daemon.Name, state, host.LogFile(daemon.Name))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := healthy(ctx); err != nil {
		return fmt.Errorf("the cluster does not work; `hack/cluster up` mends it: %w", err)
	}
	fmt.Fprintln(out, "the cluster works")
	return nil
}

// Env prints what a shell needs to use the cluster.
func Env(out io.Writer) error {
	if _, err := os.Stat(layout.Kubeconfig()); err != nil {
		return errNotUp
	}
	_, err := fmt.Fprintf(out, "export KUBECONFIG=%q\nexport PATH=%q:\"$PATH\"\n", layout.Kubeconfig(), layout.In("bin"))
	return err
}

// Internet runs a command in the fake internet. It belongs to the cluster: `down` ends it.
func Internet(args []string) error {
	if len(args) == 0 {
		return errors.New("name the command to run")
	}
	if _, err := os.Stat(layout.Kubeconfig()); err != nil {
		return errNotUp
	}
	if err := host.JoinCgroup(os.Getpid()); err != nil {
		return err
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		return err
	}
	// Become the command, so that a signal meant for it reaches it.
	return syscall.Exec(ip, append([]string{"ip", "netns", "exec", layout.InternetNetNS}, args...), os.Environ())
}
