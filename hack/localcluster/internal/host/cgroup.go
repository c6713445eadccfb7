// This file is about cgroups. Everything of the cluster, its daemons, their shims and all pods, is in a cgroup tree of the
// cluster's own: that is how `down` finds what a daemon killed long ago has left running, without ever guessing by name.

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

const cgroupMount = "/sys/fs/cgroup"

// Unified tells whether the machine has cgroup v2 only; otherwise it has v1, with one tree per controller.
func Unified() bool {
	var stat unix.Statfs_t
	return unix.Statfs(cgroupMount, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// cgroupRoots are the cluster's directory in each hierarchy.
func cgroupRoots() ([]string, error) {
	if Unified() {
		return []string{filepath.Join(cgroupMount, layout.CgroupRoot)}, nil
	}
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range mounts {
		if (m.kind == "cgroup" || m.kind == "cgroup2") && strings.HasPrefix(m.point, cgroupMount+"/") {
			roots = append(roots, filepath.Join(m.point, layout.CgroupRoot))
		}
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted under %s; the kubelet needs them", cgroupMount)
	}
	return roots, nil
}

// EnsureCgroups makes the cluster's root in every hierarchy; the kubelet refuses a root that is missing in one.
func EnsureCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.MkdirAll(root, 0o755); err != nil {
			return fmt.Errorf("making cgroup %s: %w (is this a container without its own cgroup namespace?)", root, err)
		}
		if err := inheritCPUSet(root); err != nil {
			return err
		}
		if Unified() {
			if err := delegateControllers(root); err != nil {
				return err
			}
		}
	}
	return os.MkdirAll(daemonCgroup(), 0o755)
}

// inheritCPUSet fills a v1 cpuset group, which is born empty and takes no process so.
func inheritCPUSet(root string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(root), file))
		if errors.Is(err, os.ErrNotExist) {
			return nil // not that hierarchy, or v2
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, file), parent, 0o644); err != nil && !Unified() {
			return fmt.Errorf("preparing cgroup %s: %w", root, err)
		}
	}
	return nil
}

// delegateControllers hands every v2 controller down to the cluster's group and from there to the pods.
func delegateControllers(root string) error {
	available, err := os.ReadFile(filepath.Join(cgroupMount, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, dir := range []string{cgroupMount, root} {
		for _, controller := range strings.Fields(string(available)) {
			// One that cannot be delegated (rt tasks, for example) matters only if the kubelet needs it, and then it says so.
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		}
	}
	return nil
}

func daemonCgroup() string {
	if Unified() {
		return filepath.Join(cgroupMount, layout.CgroupRoot, "daemons")
	}
	return filepath.Join(cgroupMount, "pids", layout.CgroupRoot, "daemons") // counts, but limits nothing
}

// JoinCgroup makes the process one of the cluster.
func JoinCgroup(pid int) error {
	file := filepath.Join(daemonCgroup(), "cgroup.procs")
	if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("moving process %d to the cluster's cgroup: %w", pid, err)
	}
	return nil
}

// KillAll ends every process of the cluster, wherever it came from.
func KillAll() error {
	left := -1
	ok := eventually(15*time.Second, func() bool {
		pids := clusterProcesses()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
		left = len(pids)
		return left == 0
	})
	if !ok {
		return fmt.Errorf("%d processes of the cluster do not end; see `cat %s/*/%s/**/cgroup.procs`", left, cgroupMount, layout.CgroupRoot)
	}
	return nil
}

func clusterProcesses() []int {
	roots, err := cgroupRoots()
	if err != nil {
		return nil
	}
	seen := map[int]bool{}
	var pids []int
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil //nolint:nilerr // groups come and go while we look
			}
			data, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 1 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// RemoveCgroups removes the cluster's trees, deepest group first.
func RemoveCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return nil //nolint:nilerr // no cgroups, nothing of ours in them
	}
	for _, root := range roots {
		ok := eventually(5*time.Second, func() bool { // the kernel lets go of a group a moment after its last process
			removeTree(root)
			_, err := os.Stat(root)
			return errors.Is(err, os.ErrNotExist)
		})
		if !ok {
			return fmt.Errorf("cgroup %s cannot be removed; are processes in it?", root)
		}
	}
	return nil
}

func removeTree(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			removeTree(filepath.Join(dir, entry.Name()))
		}
	}
	_ = os.Remove(dir)
}
