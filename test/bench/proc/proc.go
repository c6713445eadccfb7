// Package proc reads what the kernel says of processes of this machine.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Mebibyte in bytes.
const Mebibyte = 1 << 20

// MiB writes bytes for a table.
func MiB(bytes int) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/Mebibyte) }

// Memory a process uses, in bytes. The anonymous part is nobody else's and cannot be given back.
type Memory struct{ Resident, Anonymous int }

// MemoryOf is that of a process.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, err
	}
	return parseMemory(string(text))
}

// parseMemory reads smaps_rollup.
func parseMemory(text string) (Memory, error) {
	found := map[string]int{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kib, err := strconv.Atoi(fields[1])
		if err != nil {
			return Memory{}, fmt.Errorf("smaps_rollup: %q is no number", fields[1])
		}
		found[strings.TrimSuffix(fields[0], ":")] = kib * 1024
	}
	m := Memory{Resident: found["Rss"], Anonymous: found["Anonymous"]}
	if m.Resident == 0 {
		return Memory{}, fmt.Errorf("smaps_rollup says nothing of resident memory")
	}
	return m, nil
}

// CPUOf is how long a process has had a core so far, all threads together.
func CPUOf(pid int) (time.Duration, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	s, err := parseStat(string(text))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return s.cpu, nil
}

// Child finds the one child of this process that runs a program.
func Child(program string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if s, err := parseStat(string(text)); err == nil && s.parent == os.Getpid() && s.name == program {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("no child of this process runs %s", program)
}

type stat struct {
	name   string
	parent int
	cpu    time.Duration
}

// tick of the clock that /proc counts in: it is the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads a process's stat. Its name may hold anything, spaces and brackets too.
func parseStat(text string) (stat, error) {
	before, after, _ := cutLast(text, ")")
	_, name, _ := strings.Cut(before, "(")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("%d fields after the name are too few", len(fields))
	}
	s := stat{name: name}
	var user, system int64
	for _, f := range []struct {
		text string
		into func(int64)
	}{
		{fields[1], func(v int64) { s.parent = int(v) }},
		{fields[11], func(v int64) { user = v }},
		{fields[12], func(v int64) { system = v }},
	} {
		v, err := strconv.ParseInt(f.text, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("%q is no number", f.text)
		}
		f.into(v)
	}
	s.cpu = time.Duration(user+system) * tick
	return s, nil
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}
