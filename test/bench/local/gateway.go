package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/clawstaff/clawstaff/test/bench/load"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// The sizes of the gateway's benchmark.
const (
	gatewayRounds = 5
	gatewayTime   = 3 * time.Second
	connections   = 32
	perSecond     = 500
)

// arm is one way to the provider.
type arm struct {
	name     string
	target   load.Target
	rate     []float64       // closed loop
	p50, p99 []time.Duration // open loop
}

// Gateway measures what the gateway adds to a request, and how many it takes, beside a proxy that only intercepts.
func (b *Bench) Gateway(ctx context.Context) (report.Section, error) {
	arms, stop, err := b.arms(ctx)
	defer stop()
	if err != nil {
		return report.Section{}, err
	}
	for round := range gatewayRounds {
		b.Say("gateway: round %d of %d", round+1, gatewayRounds)
		for _, a := range arms {
			if err := a.measure(ctx); err != nil {
				return report.Section{}, fmt.Errorf("%s: %w", a.name, err)
			}
		}
	}
	return report.Section{
		Part: "gateway", Title: "What the gateway costs a request", Machine: report.Machine(""), Text: gatewayText,
		Figures: gatewayFigures(arms),
	}, nil
}

const gatewayText = `
One request for a model (a POST of 120 bytes, an answer of 1.2 kB), on connections that are kept, through a tunnel with
TLS at both ends; the provider answers at once and everything runs on this one machine, the load included. *Floor* is
the least an interceptor can do (test/bench/floor): tunnel, a certificate that it made and kept, net/http, no policy,
no key, no record. *Gateway* judges every request by a grant and makes and chains two records for it, kept in memory;
*gateway and ledger* has both records durable on disk, the first before the provider hears anything; it has no goal of
its own, because what a sync costs is the disk's to say. "Added" is the latency at 500 requests a second (open loop,
measured from when a request was due, so that waiting counts) minus that of the same load without any proxy; the 99th
percentile is that of the whole request, provider and load included. Requests per second are those of 32 connections
that ask again as soon as they are answered. All arms take turns; figures are medians of the rounds.`

// arms starts a provider, and the ways to it. stop is never nil.
func (b *Bench) arms(ctx context.Context) (arms []*arm, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
		_ = os.RemoveAll(filepath.Join(b.dir, "data"))
	}
	start := func(role string, args ...string) string {
		if err != nil {
			return ""
		}
		var p *process
		if p, err = b.start(ctx, role, args...); err != nil {
			return ""
		}
		stops = append(stops, p.stop)
		return p.address
	}
	upstream := start("upstream")
	ledger := start("ledger")
	for _, a := range []struct{ name, proxy string }{
		{"direct", ""},
		{"floor", start("floor", upstream)},
		{"gateway", start("gateway", upstream)},
		{"gateway and ledger", start("gateway", upstream, ledger)},
	} {
		target := load.Target{Proxy: a.proxy, Password: password, Address: upstream, Host: provider}
		target.Request = target.Post("/v1/messages",
			`{"model":"`+model+`","max_tokens":512,"messages":[{"role":"user","content":"How many tickets are open?"}]}`,
			"anthropic-version: 2023-06-01", "x-api-key: sk-ant-claw-placeholder", "User-Agent: bench")
		authority := "claw"
		if a.proxy == "" {
			authority = "upstream"
		}
		if err == nil {
			target.Roots, err = roots(b.dir, authority)
		}
		arms = append(arms, &arm{name: a.name, target: target})
	}
	return arms, stop, err
}

// Floor starts a floor that nobody uses, to compare memory with.
func (b *Bench) Floor(ctx context.Context) (pid int, stop func(), err error) {
	p, err := b.start(ctx, "floor", "127.0.0.1:1")
	if err != nil {
		return 0, nil, err
	}
	return p.pid, p.stop, nil
}

func (a *arm) measure(ctx context.Context) error {
	open, err := load.Open(ctx, a.target, connections, perSecond, gatewayTime)
	if err != nil {
		return err
	}
	a.p50 = append(a.p50, stats.Percentile(open.Latencies, 50))
	a.p99 = append(a.p99, stats.Percentile(open.Latencies, 99))
	if a.target.Proxy == "" {
		return nil // nobody asks how fast nothing is
	}
	closed, err := load.Closed(ctx, a.target, connections, gatewayTime)
	if err != nil {
		return err
	}
	a.rate = append(a.rate, closed.PerSecond())
	return nil
}

func gatewayFigures(arms []*arm) []report.Figure {
	direct, floor := arms[0], arms[1]
	added := func(a *arm) time.Duration { return stats.Median(a.p50) - stats.Median(direct.p50) }
	var latency, rate []report.Figure
	for i, a := range arms[2:] {
		own, base := added(a), added(floor)
		allowed := time.Duration(1.2*float64(base)) + 100*time.Microsecond
		latency = append(latency,
			report.Figure{Name: "added p50, " + a.name, Value: stats.Round(own).String(), Baseline: "floor " + stats.Round(base).String(),
				Compared: fmt.Sprintf("%.2f×", stats.Ratio(own, base)), Goal: goal(i, "≤ 1.2 × floor + 0.1ms = "+stats.Round(allowed).String()), Met: own <= allowed},
			report.Figure{Name: "whole p99, " + a.name, Value: stats.Round(stats.Median(a.p99)).String(),
				Baseline: "floor " + stats.Round(stats.Median(floor.p99)).String(),
				Compared: fmt.Sprintf("%.2f×", stats.Ratio(stats.Median(a.p99), stats.Median(floor.p99)))})
		// Round by round, because the two were measured in turn: what slowed a round slowed both.
		var ratios []float64
		for round, rate := range a.rate {
			ratios = append(ratios, stats.Ratio(rate, floor.rate[round]))
		}
		ratio := stats.Median(ratios)
		rate = append(rate, report.Figure{Name: fmt.Sprintf("requests per second at %d connections, %s", connections, a.name),
			Value: fmt.Sprintf("%.0f/s", stats.Median(a.rate)), Baseline: fmt.Sprintf("floor %.0f/s", stats.Median(floor.rate)),
			Compared: fmt.Sprintf("%.2f×", ratio), Goal: goal(i, "≥ 0.95 × floor"), Met: ratio >= 0.95})
	}
	return append(latency, rate...)
}

// goal is one for the gateway without a disk: what a sync costs is the disk's to say.
func goal(arm int, text string) string {
	if arm > 0 {
		return ""
	}
	return text
}
