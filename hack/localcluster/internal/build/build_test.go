package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newBuilder(t *testing.T) *Builder {
	t.Helper()
	source := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":       "module test\n",
		"pods/main.go": "package main\n\nfunc main() { println(\"one\") }\n",
	} {
		file := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Builder{source: source, cache: t.TempDir(), log: t.Logf}
}

func TestBuildIsCachedByWhatGoesIn(t *testing.T) {
	b, component := newBuilder(t), Component{Name: "program", Package: "./pods"}
	first, err := b.one(component, "1 of 1")
	if err != nil {
		t.Fatal(err)
	}
	built, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.one(component, "1 of 1")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(again); err != nil || !os.SameFile(info, built) {
		t.Errorf("the same input was linked twice: %s and %s", first, again)
	}
	changes := map[string]func() Component{
		"flags": func() Component { c := component; c.LDFlags = "-X main.v=2"; return c },
		"tags":  func() Component { c := component; c.Tags = "other"; return c },
		"source": func() Component {
			if err := os.WriteFile(filepath.Join(b.source, "pods/main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return component
		},
	}
	for what, change := range changes {
		if other, err := b.one(change(), "1 of 1"); err != nil || other == first {
			t.Errorf("other %s give the same program %s, %v", what, other, err)
		}
	}
}

func TestAFailedBuildLeavesNothing(t *testing.T) {
	b := newBuilder(t)
	if err := os.WriteFile(filepath.Join(b.source, "pods/main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := b.one(Component{Name: "program", Package: "./pods"}, "1 of 1")
	if err == nil || !strings.Contains(err.Error(), "main") {
		t.Errorf("the error is %v, want the compiler's", err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.cache, "*")); len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("left behind: %v", left)
	}
}

func TestSelectComponents(t *testing.T) {
	all, err := selectComponents(nil)
	if err != nil || len(all) != len(Components()) {
		t.Errorf("no names give %d components, %v", len(all), err)
	}
	if some, err := selectComponents(Assets); err != nil || len(some) != len(Assets) {
		t.Errorf("the assets are %v, %v", some, err)
	}
	if _, err := selectComponents([]string{"kubelette"}); err == nil || !strings.Contains(err.Error(), "kubelet,") {
		t.Errorf("the error is %v, want the names that exist", err)
	}
}

func TestLinkAllReplacesLinks(t *testing.T) {
	dir := t.TempDir()
	for _, target := range []string{"/one", "/two", "/two"} {
		if err := LinkAll(dir, map[string]string{"program": target}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(filepath.Join(dir, "program")); err != nil || got != target {
			t.Errorf("the link is %q, %v; want %q", got, err, target)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the directory holds %v", entries)
	}
}
