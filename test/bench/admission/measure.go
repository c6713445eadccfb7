package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clawstaff/clawstaff/test/bench/load"
	"github.com/clawstaff/clawstaff/test/bench/proc"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// level is how creations are asked for.
type level struct {
	name string
	// parallel connections, each of which asks again as soon as it is answered; or, where there is a rate, when it is
	// its turn.
	parallel, perSecond int
	// paces is how many times the pace it is measured for: the more wait, the fewer answers each of them gets.
	paces float64
	// goal is the most that the 99th percentile may grow by; zero for none.
	goal time.Duration
}

// cost is where it is measured what a creation takes of the processor: all cores are busy, and nobody waits for long.
var cost = level{name: "50 parallel", parallel: 50, paces: 1, goal: 8 * time.Millisecond}

// levels are those of the goal, which is what Kyverno adds, and two at which no core is short.
var levels = []level{
	{name: "1 at a time", parallel: 1, paces: 1},
	{name: "100 a second", parallel: 50, perSecond: 100, paces: 2},
	cost,
	{name: "200 parallel", parallel: 200, paces: 1.2, goal: 68 * time.Millisecond},
	{name: "500 parallel", parallel: 500, paces: 1.8, goal: 124 * time.Millisecond},
}

// sample is what one visit to an arm measured at one level.
type sample struct {
	p50, p99 time.Duration
	count    int
	// failed is the first answer that was none, and a creation that was none.
	failed error
	// server and webhook are the time on a core that the API server and the webhook took for one creation.
	server, webhook time.Duration
}

// size is what differs between one measurement and another.
type size struct {
	name   string
	last   int // of the policies that select the Claws
	arms   []arm
	levels []level
}

// samples by arm and, within, by name of the level: one for each round.
type samples map[arm]map[string][]sample

// processes whose time on a core is looked at.
type processes struct{ server, agreeing, judging int }

func (p processes) webhook(a arm) int {
	return map[arm]int{agreeing: p.agreeing, judged: p.judging}[a]
}

// bench is one run.
type bench struct {
	*switching
	Config
	processes processes
}

// measure goes through all arms of a size, there and back again, so that what drifts falls on all of them.
func (b *bench) measure(ctx context.Context, s size) (samples, error) {
	if err := b.to(ctx, nothing); err != nil { // what failed before does not keep anybody from connecting
		return nil, err
	}
	c := &connections{b: b, last: s.last}
	defer c.close()
	for _, l := range s.levels {
		if _, err := c.of(ctx, l.parallel); err != nil {
			return nil, err
		}
	}
	out := samples{}
	for round := range b.Rounds {
		order := slices.Clone(s.arms)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		b.Say("admission: %s, round %d of %d", s.name, round+1, b.Rounds)
		for _, a := range order {
			if err := b.to(ctx, a); err != nil {
				return nil, err
			}
			if out[a] == nil {
				out[a] = map[string][]sample{}
			}
			for _, l := range s.levels {
				one, err := b.level(ctx, a, l, c)
				if err != nil {
					return nil, err
				}
				out[a][l.name] = append(out[a][l.name], one)
			}
		}
	}
	return out, ctx.Err()
}

// connections are kept from level to level: to make them takes longer than to use them.
type connections struct {
	b    *bench
	last int
	pool load.Pool
}

// of n, made where there are fewer.
func (c *connections) of(ctx context.Context, n int) (load.Pool, error) {
	if len(c.pool) < n {
		targets, err := c.b.targets(c.last)
		if err != nil {
			return nil, err
		}
		more, err := load.Connect(ctx, n-len(c.pool), func(i int) load.Target { return targets[i%len(targets)] })
		if err != nil {
			return nil, fmt.Errorf("a Claw that policies allow: %w", err)
		}
		c.pool = append(c.pool, more...)
	}
	return c.pool[:n], nil
}

func (c *connections) close() {
	c.pool.Close()
	c.pool = nil
}

// level measures one level in one arm. A request that fails is the level's result, not the benchmark's end.
func (b *bench) level(ctx context.Context, a arm, l level, c *connections) (sample, error) {
	pool, err := c.of(ctx, l.parallel)
	if err != nil {
		return sample{}, err
	}
	if _, err := pool.Closed(ctx, b.Pace/5); err != nil {
		return c.failed(ctx, l, err)
	}
	before, err := b.spent(a)
	if err != nil {
		return sample{}, err
	}
	howLong := time.Duration(float64(b.Pace) * l.paces)
	run := func() (load.Result, error) { return pool.Closed(ctx, howLong) }
	if l.perSecond > 0 {
		run = func() (load.Result, error) { return pool.Open(ctx, l.perSecond, howLong) }
	}
	result, err := run()
	if err != nil {
		return c.failed(ctx, l, err)
	}
	after, err := b.spent(a)
	n := time.Duration(max(1, len(result.Latencies)))
	return sample{
		p50: stats.Percentile(result.Latencies, 50), p99: stats.Percentile(result.Latencies, 99), count: len(result.Latencies),
		server: (after.server - before.server) / n, webhook: (after.webhook - before.webhook) / n,
	}, err
}

// failed is a level at which a request failed. Connections that ended with it are made anew.
func (c *connections) failed(ctx context.Context, l level, err error) (sample, error) {
	c.close()
	err = failure(err)
	c.b.Say("admission: %s: %v", l.name, err)
	return sample{failed: err}, ctx.Err()
}

// failure is the first of many errors, which say much the same.
func failure(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the outermost is meant
		return many.Unwrap()[0]
	}
	return err
}

type spent struct{ server, webhook time.Duration }

// spent is how long the API server and the webhook of an arm have had a core so far.
func (b *bench) spent(a arm) (spent, error) {
	server, err := proc.CPUOf(b.processes.server)
	if err != nil {
		return spent{}, err
	}
	pid := b.processes.webhook(a)
	if pid == 0 {
		return spent{server: server}, nil
	}
	webhook, err := proc.CPUOf(pid)
	return spent{server, webhook}, err
}

// median of the rounds. One that failed fails all.
func median(of []sample) sample {
	var failures []error
	for _, s := range of {
		failures = append(failures, s.failed)
	}
	middle := func(f func(sample) time.Duration) time.Duration { return stats.Median(stats.Each(of, f)) }
	return sample{
		failed: errors.Join(failures...),
		count:  stats.Median(stats.Each(of, func(s sample) int { return s.count })),
		p50:    middle(func(s sample) time.Duration { return s.p50 }),
		p99:    middle(func(s sample) time.Duration { return s.p99 }),
		server: middle(func(s sample) time.Duration { return s.server }), webhook: middle(func(s sample) time.Duration { return s.webhook }),
	}
}
