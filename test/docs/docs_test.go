// Package docs checks that the documents speak of what is there.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	link     = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	folder   = regexp.MustCompile("(?m)^\\| (`[^|]+) \\|")
	code     = regexp.MustCompile("`([^`]+)`")
)

// walk calls f with every file of the project that ends in suffix.
func walk(t *testing.T, suffix string, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || name == "bin" || name == ".git") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f(path, string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPagesNameTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	walk(t, "_test.go", func(_, text string) {
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
	})
	for page, least := range map[string]int{"invariants.md": 40, "threats.md": 40} {
		text, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		named := testName.FindAllStringSubmatch(string(text), -1)
		if len(named) < least {
			t.Errorf("docs/%s: only %d tests are named", page, len(named))
		}
		for _, m := range named {
			if !tests[m[1]] {
				t.Errorf("docs/%s names %s, which does not exist", page, m[1])
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	walk(t, ".md", func(path, text string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	})
}

// The folders of the architecture page are there, and every package of internal/ has its line.
func TestArchitectureMatchesTheFolders(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, page, found := strings.Cut(string(text), "## Where things live")
	if !found {
		t.Fatal("docs/architecture.md does not say where things live")
	}
	said := map[string]bool{}
	for _, row := range folder.FindAllStringSubmatch(page, -1) {
		for _, m := range code.FindAllStringSubmatch(row[1], -1) {
			path, _, _ := strings.Cut(m[1], "/<")
			said[strings.TrimSuffix(path, "/")] = true
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("docs/architecture.md speaks of %s, which does not exist", path)
			}
		}
	}
	rooms, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		if path := "internal/" + room.Name(); !said[path] && !said[path+"/v1alpha1"] {
			t.Errorf("docs/architecture.md does not say what %s is for", path)
		}
	}
}
