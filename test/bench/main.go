// Command bench measures what ClawStaff promises, prints it, and writes docs/benchmarks.md. Without arguments it runs
// all parts; with arguments those that are named.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/test/bench/admission"
	"github.com/clawstaff/clawstaff/test/bench/cluster"
	"github.com/clawstaff/clawstaff/test/bench/local"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/journey"
)

// order is that of the document. What needs a cluster comes first.
var order = []string{"start", "revoke", "memory", "admission", "gateway", "ledger", "policy"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return local.Serve(args[1:])
	}
	root, err := journey.Root()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	document := flags.String("document", filepath.Join(root, "docs", "benchmarks.md"), "`file` that the sections are written to; none if empty")
	runs := flags.Int("runs", 100, "how often a Claw is revoked; a tenth as often with the manager away")
	starts := flags.Int("starts", 12, "how often a Claw and a bare pod are started")
	judged := admission.Default()
	judged.Manager = filepath.Join(root, "bin", "bench-manager")
	flags.IntVar(&judged.Claws, "claws", judged.Claws, "how many Claws are in the cage when admission is measured")
	flags.IntVar(&judged.Policies, "policies", judged.Policies, "how many ClawPolicies are many there")
	flags.IntVar(&judged.Members, "members", judged.Members, "how many members the directory has there")
	flags.IntVar(&judged.Rounds, "rounds", judged.Rounds, "how often all arms take turns there")
	flags.DurationVar(&judged.Pace, "pace", judged.Pace, "how long 50 parallel creations are measured in each turn there")
	_ = flags.Parse(args)
	parts := flags.Args()
	if len(parts) == 0 {
		parts = order
	}
	for _, part := range parts {
		if !slices.Contains(order, part) {
			return fmt.Errorf("there is no part %q: name some of %s, or none for all", part, strings.Join(order, ", "))
		}
	}
	b := &bench{root: root, runs: *runs, starts: *starts, judged: judged, begun: time.Now()}
	b.judged.Say = b.say
	defer b.close()
	return b.parts(ctx, parts, *document, os.Stdout)
}

// bench is one run.
type bench struct {
	root         string
	runs, starts int
	judged       admission.Config
	begun        time.Time
	stops        []func()
	cluster      *cluster.Bench
	busy         []string
	looked       bool
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(b.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) close() {
	for _, stop := range slices.Backward(b.stops) {
		stop()
	}
}

// parts runs parts in the order of the document. A part that fails does not keep the others from running.
func (b *bench) parts(ctx context.Context, parts []string, document string, out io.Writer) error {
	var failures []error
	for _, part := range order {
		if !slices.Contains(parts, part) || ctx.Err() != nil {
			continue
		}
		section, err := b.part(ctx, part)
		if err != nil {
			b.say("%s failed: %v", part, err)
			failures = append(failures, fmt.Errorf("%s: %w", part, err))
			continue
		}
		if err := section.Print(out); err != nil {
			return err
		}
		if document != "" {
			if err := report.Update(document, order, section); err != nil {
				return err
			}
		}
	}
	return errors.Join(append(failures, ctx.Err())...)
}

// part runs one part.
func (b *bench) part(ctx context.Context, part string) (report.Section, error) {
	machine, err := local.New(filepath.Join(b.root, "bin", "bench"), b.say)
	if err != nil {
		return report.Section{}, err
	}
	run, alone := map[string]func(context.Context) (report.Section, error){
		"admission": func(ctx context.Context) (report.Section, error) { return admission.Run(ctx, machine, b.judged) },
		"gateway":   machine.Gateway, "ledger": machine.Ledger, "policy": machine.Policy,
	}[part]
	if !alone {
		if err := b.open(ctx); err != nil {
			return report.Section{}, err
		}
		run = map[string]func(context.Context) (report.Section, error){
			"start":  func(ctx context.Context) (report.Section, error) { return b.cluster.Start(ctx, b.starts) },
			"revoke": func(ctx context.Context) (report.Section, error) { return b.cluster.Revoke(ctx, b.runs) },
			"memory": func(ctx context.Context) (report.Section, error) { return b.memory(ctx, machine) },
		}[part]
	}
	if !b.looked { // later on, it is us who keep the machine busy
		b.busy, b.looked = report.Busy(), true
	}
	section, err := run(ctx)
	section.Notes = append(section.Notes, b.busy...)
	return section, err
}

// memory measures beside a floor that nobody uses.
func (b *bench) memory(ctx context.Context, machine *local.Bench) (report.Section, error) {
	pid, stop, err := machine.Floor(ctx)
	if err != nil {
		return report.Section{}, err
	}
	defer stop()
	return b.cluster.Memory(ctx, pid)
}

// open sees to the cluster, once.
func (b *bench) open(ctx context.Context) error {
	if b.cluster != nil {
		return nil
	}
	opened, stop, err := cluster.Open(ctx, b.root, b.say)
	if err != nil {
		return err
	}
	b.cluster, b.stops = opened, append(b.stops, stop)
	return nil
}
