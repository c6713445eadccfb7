package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/test/journey"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestQuickstart runs what docs/quickstart.md tells people to type, block by block. The cluster is there
// already, and is not started again.
func TestQuickstart(t *testing.T) {
	must(t, j.Clean(t.Context()))
	text, err := os.ReadFile(filepath.Join(j.Root, "docs", "quickstart.md"))
	must(t, err)
	blocks := shellBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 8 {
		t.Fatalf("docs/quickstart.md has %d blocks of commands only", len(blocks))
	}
	for _, block := range blocks {
		commands := block[1]
		if strings.Contains(commands, "hack/cluster up") || strings.Contains(commands, "hack/install") {
			continue
		}
		name, _, _ := strings.Cut(commands, "\n")
		t.Run(name, func(t *testing.T) {
			shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
			shell.Dir = j.Root
			out, err := shell.CombinedOutput()
			t.Log(string(out))
			must(t, err)
		})
		if t.Failed() {
			return
		}
	}
	if j.Running(t.Context()) {
		t.Errorf("Claw %s still runs", journey.Claw)
	}
}
