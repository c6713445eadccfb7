// This file ends the cluster.

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/host"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// Down ends the cluster and removes everything that it left on the machine.
func Down(log Log) error {
	if err := checkMachine(); err != nil {
		return err
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := tearDown(log); err != nil {
		return err
	}
	log("the cluster is down")
	return nil
}

// tearDown asks nobody: it works as well on a cluster whose daemons are dead. It goes on after a failure, to undo what it can.
func tearDown(log Log) error {
	if _, err := os.Stat(layout.State()); err == nil {
		log("removing the cluster that is here")
	}
	var problems []error
	try := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	// The kubelet and containerd first, or they would start again what is being ended.
	for _, daemon := range []string{"kubelet", "containerd"} {
		try("stopping "+daemon, host.Stop(daemon, 2*time.Second))
	}
	try("ending processes", host.KillAll())
	for _, daemon := range host.Daemons() { // normally in the cluster's cgroup and so already ended
		try("stopping "+daemon, host.Stop(daemon, 0))
	}
	try("unmounting", host.UnmountBelow(layout.State()))
	try("removing cgroups", host.RemoveCgroups())
	try("removing the network", host.TearDownNetwork())
	try("removing leftovers", removeLeftovers())
	if len(problems) == 0 { // or the mounts that are still there would lose their contents
		try("removing "+layout.State(), os.RemoveAll(layout.State()))
	}
	return errors.Join(problems...)
}

const kubeletPlugins = "/var/lib/kubelet/device-plugins" // whatever its --root-dir

// removeLeftovers removes what parts of the cluster insist on putting elsewhere.
func removeLeftovers() error {
	var problems []error
	remove := func(path string) { problems = append(problems, os.RemoveAll(path)) }
	// The CNI library's notes on our network.
	notes, _ := filepath.Glob("/var/lib/cni/results/" + layout.CNINetwork + "-*")
	for _, note := range notes {
		remove(note)
	}
	// The kubelet's links to containers' logs.
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, layout.State()+"/") {
			remove(link)
		}
	}
	problems = append(problems, removeDeadSockets("/run/containerd/s"), removeDeadSockets(kubeletPlugins))
	for _, dir := range []string{ // only if nobody else uses them
		"/var/lib/cni/results", "/var/lib/cni", "/var/log/containers", "/run/containerd/s", "/run/containerd",
		kubeletPlugins, filepath.Dir(kubeletPlugins),
	} {
		_ = os.Remove(dir)
	}
	return errors.Join(problems...)
}

// removeDeadSockets removes sockets on which nobody listens: gVisor's shim puts its own there, beside those of any other containerd.
func removeDeadSockets(dir string) error {
	sockets, _ := filepath.Glob(dir + "/*")
	if len(sockets) == 0 {
		return nil
	}
	open, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return err
	}
	var problems []error
	for _, socket := range sockets {
		if info, err := os.Lstat(socket); err == nil && info.Mode()&os.ModeSocket != 0 && !strings.Contains(string(open), socket) {
			problems = append(problems, os.Remove(socket))
		}
	}
	return errors.Join(problems...)
}
