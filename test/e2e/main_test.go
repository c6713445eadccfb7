// Package e2e runs the journey of one Claw on a real cluster, where ClawStaff is installed already
// (hack/e2e sees to that), and then breaks what can be broken. The tests run in the order of the files' names.
package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/clawstaff/clawstaff/test/journey"
)

// j is the one world all tests share.
var j *journey.Journey

// narrator gives the journey's words to the test that runs.
type narrator struct{ t *testing.T }

func (n *narrator) Say(format string, args ...any) { n.log(fmt.Sprintf(format, args...)) }
func (n *narrator) Show(what, output string)       { n.log(what + "\n" + output) }

func (n *narrator) log(text string) {
	if n.t != nil {
		n.t.Log(text)
	}
}

var words = &narrator{}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	root, err := journey.Root()
	if err != nil {
		return 1, err
	}
	if j, err = journey.New(ctx, root, words); err != nil {
		return 1, err
	}
	stop, err := j.StartFakes(ctx)
	if err != nil {
		return 1, err
	}
	defer stop()
	if err := j.Prepare(ctx); err != nil {
		return 1, err
	}
	code := m.Run()
	return code, j.Clean(ctx)
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
