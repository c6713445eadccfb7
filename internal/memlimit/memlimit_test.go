package memlimit

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestSet(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for content, want := range map[string]int64{"134217728\n": 100663296, "max\n": before, "0\n": before, "": before} {
		debug.SetMemoryLimit(before)
		file := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		set(file)
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("%q: got %d, want %d", content, got, want)
		}
	}
	set(filepath.Join(t.TempDir(), "none")) // outside of a container there is no such file
}
