package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseMemory(t *testing.T) {
	text := `00400000-7ffd1000 ---p 00000000 00:00 0                                  [rollup]
Rss:               21000 kB
Pss:               20000 kB
Anonymous:          4096 kB
`
	got, err := parseMemory(text)
	if err != nil || got != (Memory{Resident: 21000 << 10, Anonymous: 4096 << 10}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "Rss: many kB\n"} {
		if _, err := parseMemory(bad); err == nil {
			t.Errorf("%q is taken for memory", bad)
		}
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (a (b) c) S 7 42 42 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 1 0 100 1 1")
	if want := (stat{name: "a (b) c", parent: 7, cpu: 1750 * time.Millisecond}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42 (a) S 7", "42 (a) S x 42 42 0 -1 4194560 1 0 0 0 150 25 0"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is taken for a process", bad)
		}
	}
}

func TestOfThisProcess(t *testing.T) {
	if m, err := MemoryOf(os.Getpid()); err != nil || m.Anonymous == 0 {
		t.Errorf("memory of this process: %+v, %v", m, err)
	}
	if _, err := CPUOf(os.Getpid()); err != nil {
		t.Error(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if pid, err := Child("sleep"); err != nil || pid != cmd.Process.Pid {
		t.Errorf("got process %d, %v, want %d", pid, err, cmd.Process.Pid)
	}
	if _, err := Child("no such program"); err == nil {
		t.Error("a program that does not run was found")
	}
}
