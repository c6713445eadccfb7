// Package host does to the machine what the cluster needs, and undoes it: processes, links, mounts, cgroups.
// This file is about processes: each is a session of its own that survives the command that started it, and is known by
// its id together with its start time, so that an id which the kernel has given to somebody else is never signalled.
package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// Daemon is one long-running process of the cluster.
type Daemon struct {
	Name string
	Args []string // Args[0] is the program's path
	Env  []string
}

// Start runs the daemon unless it already runs.
func (d Daemon) Start() error {
	if Alive(d.Name) {
		return nil
	}
	for _, dir := range []string{layout.In("run"), layout.In("logs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(LogFile(d.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(d.Args[0], d.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, layout.State()
	cmd.Env = append([]string{"PATH=" + layout.In("bin") + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}, d.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", d.Name, err)
	}
	if err := JoinCgroup(cmd.Process.Pid); err != nil { // before anything else: `down` finds children by it
		_ = cmd.Process.Kill()
		return err
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once; its log is %s", d.Name, LogFile(d.Name))
	}
	go func() { _ = cmd.Wait() }() // while this command still runs, an early death must not look alive as a zombie
	return os.WriteFile(pidFile(d.Name), []byte(fmt.Sprintf("%d %d\n", cmd.Process.Pid, start)), 0o644)
}

// LogFile is where the daemon's output goes.
func LogFile(name string) string { return layout.In("logs", name+".log") }

func pidFile(name string) string { return layout.In("run", name+".pid") }

// Alive tells whether the daemon that was started under this name still runs.
func Alive(name string) bool {
	_, ok := daemonPID(name)
	return ok
}

func daemonPID(name string) (int, bool) {
	data, err := os.ReadFile(pidFile(name))
	if err != nil {
		return 0, false
	}
	var pid int
	var recorded uint64
	if _, err := fmt.Sscan(string(data), &pid, &recorded); err != nil {
		return 0, false
	}
	actual, err := startTime(pid)
	return pid, err == nil && actual == recorded
}

// startTime is in clock ticks since boot. Zombies have ended and count as gone.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(data), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, fmt.Errorf("unexpected /proc/%d/stat", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Stop ends the daemon: politely, then not.
func Stop(name string, patience time.Duration) error {
	pid, alive := daemonPID(name)
	if alive {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		if !eventually(patience, func() bool { return !Alive(name) }) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			if !eventually(5*time.Second, func() bool { return !Alive(name) }) {
				return fmt.Errorf("%s (process %d) does not end, not even by SIGKILL", name, pid)
			}
		}
	}
	if err := os.Remove(pidFile(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Daemons are the names of all that were started, running or not.
func Daemons() []string {
	files, _ := filepath.Glob(layout.In("run", "*.pid"))
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(filepath.Base(file), ".pid")
	}
	return names
}

func eventually(patience time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// Run executes a short command and reports what it said if it fails.
func Run(name string, args ...string) error {
	_, err := Output(name, args...)
	return err
}

// Output is Run with the command's standard output.
func Output(name string, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()+stdout.String()))
	}
	return stdout.String(), nil
}
