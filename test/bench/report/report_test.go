package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var parts = []string{"start", "revoke"}

func TestUpdateReplacesOneSection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	for _, s := range []Section{
		{Part: "revoke", Title: "Revocation", Figures: []Figure{{Name: "p99", Value: "9ms", Goal: "≤ 250ms", Met: true}}},
		{Part: "start", Title: "Start", Figures: []Figure{{Name: "ready", Value: "5s", Goal: "≤ 3s"}}},
		{Part: "revoke", Title: "Revocation", Figures: []Figure{{Name: "p99", Value: "8ms", Goal: "≤ 250ms", Met: true}}},
	} {
		if err := Update(file, parts, s); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if strings.Count(text, "## Revocation") != 1 || strings.Contains(text, "9ms") || !strings.Contains(text, "| p99 | 8ms |  |  | ≤ 250ms | met |") {
		t.Errorf("the section was not replaced:\n%s", text)
	}
	if !strings.Contains(text, "| ready | 5s |  |  | ≤ 3s | **missed** |") || strings.Index(text, "## Start") > strings.Index(text, "## Revocation") {
		t.Errorf("the sections are not in order, or the verdict is not there:\n%s", text)
	}
	if again := merge(text, parts, Section{}); again != text {
		t.Errorf("what is kept changes:\n%s", again)
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	s := Section{Title: "Start", Machine: "a machine", Figures: []Figure{{Name: "ready", Value: "5s", Goal: "≤ 3s"}}, Notes: []string{"odd"}}
	if err := s.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Start (a machine)", "ready", "missed", "- odd"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "**") {
		t.Errorf("Markdown on a terminal:\n%s", out.String())
	}
}

func TestMachine(t *testing.T) {
	text := Machine("v1.37.2")
	for _, want := range []string{"cores", "GiB", "go1", "Kubernetes v1.37.2"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}
