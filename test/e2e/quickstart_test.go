package e2e

import (
	"context"
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
	typeAll(t, "quickstart.md", 8)
	if j.Running(t.Context()) {
		t.Errorf("Claw %s still runs", journey.Claw)
	}
}

// TestRolesPage runs what docs/roles.md tells people to type, in the cage of its examples.
func TestRolesPage(t *testing.T) {
	must(t, fresh(t))
	t.Cleanup(func() {
		for _, what := range [][]string{{"rolebinding", "members", "-n", journey.Namespace}, {"rolebinding", "security", "-n", journey.Namespace}, {"clusterrolebinding", "platform"}} {
			if _, err := j.Kubectl(context.WithoutCancel(t.Context()), append([]string{"delete", "--ignore-not-found"}, what...)...); err != nil {
				t.Error(err)
			}
		}
	})
	typeAll(t, "roles.md", 2)
	for group, may := range map[string]string{"support": "create claws -n " + journey.Namespace, "security": "create clawpolicies -n " + journey.Namespace, "platform": "create claworganizations"} {
		out, err := j.Kubectl(t.Context(), append(strings.Fields("auth can-i "+may), "--as", "somebody", "--as-group", group)...)
		if err != nil || strings.TrimSpace(out) != "yes" {
			t.Errorf("group %s may %s: %s %v", group, may, out, err)
		}
	}
}

// typeAll runs a page's blocks of commands, of which there are so many at least.
func typeAll(t *testing.T, page string, least int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(j.Root, "docs", page))
	must(t, err)
	blocks := shellBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < least {
		t.Fatalf("docs/%s has %d blocks of commands only", page, len(blocks))
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
}
