package report

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes where this runs: what somebody needs to know who compares. kubernetes is the version of the
// cluster, or empty.
func Machine(kubernetes string) string {
	text := fmt.Sprintf("%d cores (%s), %d GiB of memory, %s %s, %s",
		runtime.NumCPU(), field("/proc/cpuinfo", "model name"), memory(), runtime.GOOS, kernel(), runtime.Version())
	if kubernetes != "" {
		text += ", Kubernetes " + kubernetes + " on one node"
	}
	return text
}

// Busy is a note for the reader if the machine has other things to do than to be measured.
func Busy() []string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(text), " ")
	if load, err := strconv.ParseFloat(first, 64); err != nil || load < float64(runtime.NumCPU()) {
		return nil
	}
	return []string{fmt.Sprintf("the machine was busy with other things: when this began, %s programs on average wanted its %d cores", first, runtime.NumCPU())}
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of an unknown kernel"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
	return version
}

// memory in GiB, as it was bought.
func memory() int {
	kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		return 0
	}
	return (kib + 1<<20 - 1) >> 20
}

// field is the first value of a name in a file of lines "name : value".
func field(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
