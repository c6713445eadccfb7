package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

const (
	// atOnce is how many Claws are prepared together; each is revoked alone.
	atOnce = 5
	// promise is the longest anything may still pass after a revocation was accepted.
	promise = time.Second
	// goal for the 99th percentile.
	goal = 250 * time.Millisecond
)

// cut is what one revocation did. Times are since the request for it was sent.
type cut struct {
	accepted   time.Duration // until the API server had answered
	shown      time.Duration // until a watch showed it
	toAgent    time.Duration // until the last byte of an answer that the agent got
	toProvider time.Duration // until the last event that the provider could send
	attempts   int           // of the agent, after it was cut
	late       int           // requests that reached the provider more than promise after the revocation was accepted
	way        time.Duration // how far the clocks of the agent and the provider may differ, at most
}

// Revoke measures how soon a revocation ends a stream, and what still gets through, with the manager there and without.
func (b *Bench) Revoke(ctx context.Context, runs int) (report.Section, error) {
	neighbours, err := b.hire(ctx, 1, "neighbour", true)
	if err != nil {
		return report.Section{}, err
	}
	neighbour, err := b.follow(ctx, neighbours[0])
	if err != nil {
		return report.Section{}, err
	}
	if err := b.watchRevocations(ctx); err != nil {
		return report.Section{}, err
	}
	with, err := b.cuts(ctx, "with the manager", runs, func(_ context.Context, revoke func() error) error { return revoke() })
	if err != nil {
		return report.Section{}, err
	}
	without, err := b.cuts(ctx, "without the manager", max(runs/10, 1), b.withoutManager)
	if err != nil {
		return report.Section{}, err
	}
	beside := neighbour.now()
	figures := append(cutFigures("", with), cutFigures(", no manager", without)...)
	unharmed := beside.Connections == 1 && beside.Refusals == 0
	figures = append(figures, report.Figure{Name: "a neighbour's stream, all the while",
		Value: fmt.Sprintf("%d events, broken off %d times", beside.Events, beside.Refusals), Goal: "never broken off", Met: unharmed})
	return report.Section{
		Part: "revoke", Title: "Revocation", Machine: b.machine(), Text: revokeText, Figures: figures,
		Notes: []string{
			fmt.Sprintf("the agents tried %d times to go on, the most eager one %d times; the neighbour's longest pause between two events was %s",
				sum(stats.Each(append(with, without...), func(c cut) int { return c.attempts })),
				stats.Percentile(stats.Each(append(with, without...), func(c cut) int { return c.attempts }), 100),
				stats.Round(time.Duration(beside.Pause)*time.Microsecond)),
			fmt.Sprintf("an event took at least %s from provider to agent, by the clocks of both: these agree",
				stats.Round(stats.Median(stats.Each(with, func(c cut) time.Duration { return c.way })))),
		},
	}, b.remove(ctx, neighbours...)
}

const revokeText = `
One field of a Claw is set, ` + "`state: Revoked`" + `, while an answer of the model streams through its gateway, an event each
5 ms. The agent is hostile: the moment its stream breaks off it asks again, as fast as it can, and it ignores being told to
end. Measured is the time from *sending* that request until the last byte of an answer that the agent got, and until the last
event that the provider managed to send: both therefore include the request itself, and the goal is held against that.
When the revocation was accepted lies within the request; a watch shows it a moment later, and what is left from there is
in a line of its own ("before" means that the last byte had passed by then). Everything runs on one machine and reads the same
clock; the agent reads it in its sandbox. Requests count as late when they reach the provider more than one second after
the API server has answered. With "no manager" the manager is scaled to zero first: the gateway acts alone. Each revocation
is a Claw of its own, because it is final; four others, and a neighbour that must not notice, stream beside it. The local
cluster's etcd does not wait for its disk, so that a sync of etcd is not in these figures.`

func cutFigures(suffix string, cuts []cut) []report.Figure {
	agent := stats.Each(cuts, func(c cut) time.Duration { return c.toAgent })
	sender := stats.Each(cuts, func(c cut) time.Duration { return c.toProvider })
	accepted := stats.Each(cuts, func(c cut) time.Duration { return c.accepted })
	shown := stats.Each(cuts, func(c cut) time.Duration { return c.toAgent - c.shown })
	late := sum(stats.Each(cuts, func(c cut) int { return c.late }))
	p99 := stats.Percentile(agent, 99)
	line := func(times []time.Duration, p float64) string { return stats.Round(stats.Percentile(times, p)).String() }
	return []report.Figure{
		{Name: fmt.Sprintf("revoke → last byte at the agent, p50 of %d%s", len(cuts), suffix), Value: line(agent, 50), Baseline: "the request alone " + line(accepted, 50)},
		{Name: "revoke → last byte at the agent, p99" + suffix, Value: line(agent, 99), Baseline: "the request alone " + line(accepted, 99),
			Goal: "≤ " + goal.String(), Met: p99 <= goal},
		{Name: "revoke → last byte at the agent, slowest" + suffix, Value: line(agent, 100), Baseline: "the request alone " + line(accepted, 100)},
		{Name: "shown by a watch → last byte at the agent, p50 / p99" + suffix, Value: beforeOr(shown, 50) + " / " + beforeOr(shown, 99)},
		{Name: "revoke → last event of the provider, p50 / p99" + suffix, Value: line(sender, 50) + " / " + line(sender, 99)},
		{Name: "requests that got through later than 1s" + suffix, Value: fmt.Sprint(late), Goal: "0", Met: late == 0},
	}
}

// beforeOr is a percentile of times of which some may be negative.
func beforeOr(times []time.Duration, p float64) string {
	value := stats.Percentile(times, p)
	if value < 0 {
		return "before"
	}
	return stats.Round(value).String()
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// cuts revokes n Claws, a few of which are prepared at a time. around is called around the revocations of each few.
func (b *Bench) cuts(ctx context.Context, what string, n int, around func(context.Context, func() error) error) ([]cut, error) {
	var all []cut
	gone := func() error { return nil }
	for len(all) < n {
		names, err := b.hire(ctx, min(atOnce, n-len(all)), "revoked", true)
		if err := errors.Join(err, gone()); err != nil { // the last ones leave while these come, but not while these are measured
			return nil, err
		}
		logs := map[string]*tail{}
		for _, name := range names {
			if logs[name], err = b.follow(ctx, name); err != nil {
				return nil, err
			}
		}
		err = around(ctx, func() error {
			for _, name := range names {
				c, err := b.cut(ctx, name, logs[name])
				if err != nil {
					return err
				}
				all = append(all, c)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		b.say("revoke %s: %d of %d, so far p50 %s, slowest %s", what, len(all), n,
			stats.Round(stats.Percentile(stats.Each(all, func(c cut) time.Duration { return c.toAgent }), 50)),
			stats.Round(stats.Percentile(stats.Each(all, func(c cut) time.Duration { return c.toAgent }), 100)))
		gone = b.leave(ctx, names)
	}
	return all, gone()
}

// leave removes Claws in the background; gone waits until they are.
func (b *Bench) leave(ctx context.Context, names []string) (gone func() error) {
	result := make(chan error, 1)
	go func() { result <- b.remove(ctx, names...) }()
	return func() error { return <-result }
}

// cut revokes one Claw that streams.
func (b *Bench) cut(ctx context.Context, name string, log *tail) (cut, error) {
	err := b.Eventually(ctx, 30*time.Second, "the stream of "+name, func(context.Context) error {
		if line := log.now(); line.Events < 100 || line.Over {
			return fmt.Errorf("%d events came, the latest error is %q", line.Events, line.Error)
		}
		return nil
	})
	if err != nil {
		return cut{}, err
	}
	// At any moment between two events, not always just after the log was looked at.
	select {
	case <-time.After(rand.N(100 * time.Millisecond)):
	case <-ctx.Done():
		return cut{}, ctx.Err()
	}
	before := log.now()
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	sent := time.Now()
	if err := b.Client.Patch(ctx, claw, ctrlclient.RawPatch("application/merge-patch+json", []byte(`{"spec":{"state":"Revoked"}}`))); err != nil {
		return cut{}, fmt.Errorf("revoking %s: %w", name, err)
	}
	accepted := time.Now()
	line, err := log.wait(ctx, 30*time.Second)
	if err != nil {
		return cut{}, fmt.Errorf("%s after its revocation: %w", name, err)
	}
	shown := b.revocations.shown(name)
	if shown.IsZero() {
		return cut{}, fmt.Errorf("no watch shows that %s is revoked", name)
	}
	c := cut{accepted: accepted.Sub(sent), shown: shown.Sub(sent), toAgent: time.UnixMicro(line.LastByte).Sub(sent),
		attempts: line.Refusals - before.Refusals, way: time.Duration(line.Way) * time.Microsecond}
	return c, b.atProvider(ctx, name, sent, accepted, &c)
}

// atProvider adds what the provider saw of a Claw.
func (b *Bench) atProvider(ctx context.Context, name string, sent, accepted time.Time, c *cut) error {
	calls, err := b.Fakes.Calls(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, call := range calls {
		var body struct{ System string }
		if call.Host != provider.AnthropicHost || json.Unmarshal(call.Body, &body) != nil || body.System != name {
			continue
		}
		found = true
		if !call.Done {
			return fmt.Errorf("the provider still streams to %s", name)
		}
		c.toProvider = max(c.toProvider, call.LastEvent.Sub(sent))
		if call.Time.After(accepted.Add(promise)) {
			c.late++
		}
	}
	if !found {
		return errors.New("the provider knows no call of " + name)
	}
	return nil
}
