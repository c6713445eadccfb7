package admission

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
	"github.com/clawstaff/clawstaff/test/bench/local"
	"github.com/clawstaff/clawstaff/test/bench/proc"
	"github.com/clawstaff/clawstaff/test/bench/report"
)

// TestMain lets the benchmark start this program in another role, as its own program does.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		if err := local.Serve(os.Args[2:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The directory that is kept is the one that is measured, and fits where it is kept.
func TestDirectory(t *testing.T) {
	files, maps, err := directory(perFile + 150)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || len(maps) != 2 || len(files[0].Teams) != 27 || len(files[1].Members) != 150 {
		t.Fatalf("%d files with %d teams", len(files), len(files[0].Teams))
	}
	for i, m := range maps {
		text := m.Data["directory.yaml"]
		read, problems := policy.ParseDirectoryFile(files[i].Name, text)
		if len(problems) > 0 {
			t.Error(problems)
		}
		if diff := cmp.Diff(files[i], read); diff != "" {
			t.Error(diff)
		}
		if len(text) > 1<<20 {
			t.Errorf("%s has %d bytes", m.Name, len(text))
		}
	}
}

// What is asked for is allowed, whole, in every size: otherwise it would be something else that is measured.
func TestAllIsGranted(t *testing.T) {
	catalogue, err := connector.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	files, _, err := directory(250)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []struct{ n, selecting int }{{1, 1}, {10, 10}, {40, 10}, {40, 40}} {
		in := input(files, size.n, size.selecting, catalogue)
		result := policy.Compile(in)
		if len(result.Withheld) > 0 || len(result.Grant.Credentials) != 2 {
			t.Errorf("%+v: withheld is %+v", size, result.Withheld)
		}
		in.Policies = in.Policies[:size.selecting-1]
		if len(policy.Compile(in).Withheld) == 0 {
			t.Errorf("%+v: the last policy that selects the Claw does not matter to it", size)
		}
	}
}

func TestFigures(t *testing.T) {
	l := level{name: "2 parallel", parallel: 2, goal: 8 * time.Millisecond}
	of := func(p99 time.Duration, failed error) []sample {
		return []sample{{p50: time.Millisecond, p99: p99, failed: failed}}
	}
	for _, tt := range []struct {
		name           string
		bare, whole    []sample
		met            bool
		value, compare string
	}{
		{"little", of(2*time.Millisecond, nil), of(9*time.Millisecond, nil), true, "1ms / 9ms", "+0s / +7ms"},
		{"less", of(2*time.Millisecond, nil), of(time.Millisecond, nil), true, "1ms / 1ms", "+0s / −1ms"},
		{"too much", of(2*time.Millisecond, nil), of(10*time.Millisecond, nil), false, "1ms / 10ms", "+0s / +8ms"},
		{"failed", of(2*time.Millisecond, nil), of(0, errors.New("timeout")), false, "requests failed", ""},
	} {
		m := measurement{size: size{name: "10 policies"}, samples: samples{nothing: {l.name: tt.bare}, judged: {l.name: tt.whole}}}
		f := m.figures(l)[0]
		if f.Met != tt.met || f.Value != tt.value || f.Compared != tt.compare {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

// All of it, in small, on a real API server with the real manager.
func TestRun(t *testing.T) {
	manager := filepath.Join(t.TempDir(), "manager")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", manager, "./cmd/manager")
	build.Dir = controlplane.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	machine, err := local.New(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Manager: manager, Claws: 30, Policies: 20, Members: 300, Rounds: 1, Pace: 50 * time.Millisecond, Measurements: 1, Say: t.Logf}
	c.levels = []level{{name: "1 at a time", parallel: 1, paces: 1}, {name: "100 a second", parallel: 2, perSecond: 100, paces: 2},
		{name: cost.name, parallel: 4, paces: 1, goal: time.Minute}}
	section, err := Run(t.Context(), machine, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := section.Print(t.Output()); err != nil {
		t.Error(err)
	}
	figure := func(name string) report.Figure {
		for _, f := range section.Figures {
			if strings.HasPrefix(f.Name, name) {
				return f
			}
		}
		t.Errorf("there is no figure %q", name)
		return report.Figure{}
	}
	for _, name := range []string{"1 at a time, 10 policies", "100 a second, 20 policies", "the same with a webhook that agrees"} {
		if f := figure(name); f.Compared == "" {
			t.Errorf("%s was not measured: %+v", name, f)
		}
	}
	if f := figure(cost.name + ", 20 policies that all select it"); !f.Met {
		t.Errorf("%+v", f)
	}
	figure("manager on standby")
	figure("compile a grant: 20 policies, of which 10 select the Claw")
	if pid, err := proc.Child("kube-apiserver"); err == nil {
		t.Errorf("the API server still runs, as process %d", pid)
	}
}
