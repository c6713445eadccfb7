// Package mutation changes every property of every kind in every way a person or a machine might, valid and
// not, alone and one after the other, while the whole operator runs: and wants no crash, nothing stuck, no
// drift between what is asked and what is granted, and the former state when the change is taken back.
package mutation

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/internal/testing/operator"
)

var (
	seed  = flag.Int64("seed", 1, "where random walks begin")
	walks = flag.Int("walks", 12, "how many random walks are made")
	steps = flag.Int("steps", 12, "how many changes a walk makes")
	all   = flag.Bool("all", false, "try every odd value with every property, which takes a quarter of an hour")
	cages = flag.Int("cages", 6, "in how many cages changes are made at once")
)

var op *operator.Operator

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if err := flag.Set("test.parallel", fmt.Sprint(*cages)); err != nil {
		return 1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stop func()
	var err error
	if op, stop, err = operator.Run(ctx); err != nil {
		return 1, err
	}
	defer stop()
	if err := op.Play(ctx); err != nil {
		return 1, err
	}
	if err := op.API.Create(ctx, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "sandboxed"}, Handler: "sandboxed"}); err != nil {
		return 1, err
	}
	code := m.Run()
	fmt.Println(&tally)
	return code, nil
}
