// Package memlimit has a program collect its garbage before its container runs out of memory.
package memlimit

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitFile is where the kernel says how much memory the container may have.
const limitFile = "/sys/fs/cgroup/memory.max"

// Set sets the soft limit of the Go runtime to a little less than what the container may have, unless GOMEMLIMIT does.
// Without one the collector lets garbage grow to as much as is in use, and the kernel ends the program instead.
func Set() {
	if os.Getenv("GOMEMLIMIT") == "" {
		set(limitFile)
	}
}

func set(file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return // not in a container
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil || limit <= 0 {
		return // "max": there is none
	}
	debug.SetMemoryLimit(limit / 4 * 3) // the rest is for what the runtime does not count, and for haste
}
