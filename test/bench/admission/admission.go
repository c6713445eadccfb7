// Package admission measures what admission adds to the creation of a Claw, on a real API server with all that the chart
// installs, and the real manager in a process of its own.
package admission

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/test/bench/local"
	"github.com/clawstaff/clawstaff/test/bench/proc"
	"github.com/clawstaff/clawstaff/test/bench/report"
)

// Config says what is measured, and for how long.
type Config struct {
	// Manager is the manager's program.
	Manager string
	// Claws in the cage, Policies in it where there are many, and Members of the organization.
	Claws, Policies, Members int
	// Rounds through all arms, and Pace, for which 50 parallel requests are measured in each; others for about as long.
	Rounds int
	Pace   time.Duration
	// Measurements, of a second each, of the pure functions.
	Measurements int
	// Say says what goes on.
	Say func(format string, args ...any)

	levels []level
}

// Default is what the document shows.
func Default() Config {
	return Config{Claws: 5000, Policies: 1000, Members: 10000, Rounds: 3, Pace: time.Second, Measurements: 3, levels: levels}
}

// limit of one run. One that takes longer is not worth waiting for.
const limit = 15 * time.Minute

// Run measures. Where it fails it leaves nothing behind either.
func Run(ctx context.Context, machine *local.Bench, c Config) (report.Section, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	catalogue, err := connector.Builtin()
	if err != nil {
		return report.Section{}, err
	}
	compiled, err := compiled(c, catalogue)
	if err != nil {
		return report.Section{}, err
	}
	b, stop, err := prepare(ctx, machine, c)
	if err != nil {
		return report.Section{}, err
	}
	defer stop()
	measured, err := b.sizes(ctx)
	if err != nil {
		return report.Section{}, err
	}
	memory, err := proc.MemoryOf(b.processes.judging)
	if err != nil {
		return report.Section{}, err
	}
	return report.Section{
		Part: "admission", Title: "Admission", Text: admissionText,
		Machine: report.Machine("") + ", API server " + b.version,
		Figures: append(figures(c, measured, memory), compiled...), Notes: notes(measured),
	}, nil
}

// prepare starts everything, and fills the cage while nothing judges what comes.
func prepare(ctx context.Context, machine *local.Bench, c Config) (b *bench, stop func(), err error) {
	w, closeWorld, err := open(ctx, c.Say)
	if err != nil {
		return nil, nil, err
	}
	stops := []func(){closeWorld}
	stop = func() {
		for i := range stops {
			stops[len(stops)-1-i]()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	b = &bench{switching: &switching{world: w}, Config: c}
	if err = w.found(ctx, c.Members); err != nil {
		return nil, stop, err
	}
	if err = w.fill(ctx, c.Claws, c.Members); err != nil {
		return nil, stop, err
	}
	c.Say("admission: the manager is started")
	url, authority, pid, stopAgree, err := machine.Agree(ctx)
	if err != nil {
		return nil, stop, err
	}
	stops = append(stops, stopAgree)
	b.processes.agreeing = pid
	pid, stopManager, err := w.manage(ctx, c.Manager)
	if err != nil {
		return nil, stop, err
	}
	stops = append(stops, stopManager)
	b.processes.judging = pid
	b.agreeable = agreeableTo(w.hooks, url, authority)
	b.processes.server, err = proc.Child("kube-apiserver")
	return b, stop, err
}

// sizes measures all of them, from few policies to many that all matter.
func (b *bench) sizes(ctx context.Context) ([]measurement, error) {
	few := min(selecting, b.Policies)
	many := thousands(b.Policies)
	out := []measurement{
		{size: size{fmt.Sprintf("%d policies", few), few - 1, []arm{nothing, policed, agreeing, judged}, b.levels}},
		{size: size{many + " policies", few - 1, []arm{nothing, policed, judged}, b.levels}},
		{size: size{many + " policies that all select it", b.Policies - 1, []arm{nothing, judged}, at(b.levels, cost.name)}},
	}
	for i, have := range []struct{ n, selecting int }{{few, few}, {b.Policies, few}, {b.Policies, b.Policies}} {
		if err := b.policies(ctx, have.n, have.selecting); err != nil {
			return nil, err
		}
		samples, err := b.measure(ctx, out[i].size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", out[i].name, err)
		}
		out[i].samples = samples
	}
	return out, nil
}

// at is the level of a name.
func at(levels []level, name string) []level {
	return slices.DeleteFunc(slices.Clone(levels), func(l level) bool { return l.name != name })
}

// policies sees that there are so many, of which so many select the Claws that are measured.
func (b *bench) policies(ctx context.Context, n, selecting int) error {
	if err := b.to(ctx, nothing); err != nil {
		return err
	}
	if err := b.api.DeleteAllOf(ctx, &v1alpha1.ClawPolicy{}, client.InNamespace(cage)); err != nil {
		return err
	}
	made := policies(n, selecting)
	objects := make([]client.Object, n)
	for i := range made {
		objects[i] = &made[i]
	}
	return b.create(ctx, "policies", objects)
}

const admissionText = `
What is added to the creation of a Claw by everything that judges it: the chart's ValidatingAdmissionPolicies (VAPs), which
hold without us, and our webhook. Latency p50 / p99 of a creation by the Claw's owner, as a server-side dry run, which goes
the whole way but for the write: so the store stays as it is. *Nothing* is the same API server with the CRDs' own schema and
CEL alone; the webhook's configuration and the VAPs are really absent then. *A webhook that agrees* (beside the VAPs) reads
the question and says yes, in a Go program of its own: what is beyond it is ours. "Parallel" is that many connections, each
of which asks again as soon as it is answered. All arms take turns, there and back; figures are medians of the rounds.

The cage holds 5,000 Claws, the directory 10,000 members in ConfigMaps. Of 1,000 ClawPolicies ten select the Claw, as where
each team has some; in the harshest case all do. Each allows, denies, and every tenth requires a schedule, a lifetime, limits
and what keys must be; the organization has a baseline. The webhook is the manager's own program with the chart's rights,
one copy, on standby: another one has the lease, so that it only answers. It makes its certificate itself. The lines about
compiling are the pure function alone, as in the section below.

The goals are what Kyverno adds at so many parallel requests. They are of another machine: here the API server, etcd, the
webhook and the load share the cores, and all of these are busy at 50 parallel already. What more parallel requests add is
then the time on a core that an admission costs, once for each that waits. The API server's limits on parallel requests do
not apply to this owner, who would have to wait there instead. The local etcd does not wait for its disk.`

// thousands writes a number with commas.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
