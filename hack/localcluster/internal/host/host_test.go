package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// TestAliveKnowsItsOwn: an id that the kernel has given to another process is not the daemon.
func TestAliveKnowsItsOwn(t *testing.T) {
	t.Setenv("CLAWSTAFF_CLUSTER_DIR", t.TempDir())
	self, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content string
		want    bool
	}{
		"running":         {fmt.Sprintf("%d %d\n", os.Getpid(), self), true},
		"another process": {fmt.Sprintf("%d %d\n", os.Getpid(), self+1), false},
		"ended":           {"4194305 1\n", false}, // above the highest id there can be
		"half written":    {fmt.Sprint(os.Getpid()), false},
		"nonsense":        {"kubelet", false},
		"empty":           {"", false},
	}
	if err := os.MkdirAll(layout.In("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(pidFile("daemon"), []byte(test.content), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := Alive("daemon"); got != test.want {
				t.Errorf("alive is %v, want %v", got, test.want)
			}
		})
	}
	if Alive("never started") {
		t.Error("what was never started is alive")
	}
	if err := os.WriteFile(pidFile("daemon"), []byte(tests["another process"].content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Stop("daemon", 0); err != nil { // would end this test if it signalled the id alone
		t.Error(err)
	}
	if left, _ := filepath.Glob(layout.In("run", "*.pid")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "default": "", "0.0.0.0/0": "", "nonsense": "",
	} {
		got, ok := parseDestination(text)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q is %v, %v; want %q", text, got, ok, want)
		}
	}
}
