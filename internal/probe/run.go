package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config is how a probe runs.
type Config struct {
	Plan Plan
	// Always is tried beside the plan.
	Always []Target
	// Resolvers finds the resolvers the pod was given; none where nil.
	Resolvers func() []netip.Addr
	// Routers finds link-local routers; looked up again each round, because neighbours become known.
	Routers func() []netip.Addr
	// Timeout of one attempt. What drops packets costs all of it, so it is also how long a proof takes.
	Timeout time.Duration
	// Interval between rounds.
	Interval time.Duration
	// Open is how many rounds may find something reachable before the probe gives up, so that the
	// kubelet reports what it found. A network that enforces its policies late is given that long.
	Open int
	// Waiting is how many rounds may fail to reach the gateway.
	Waiting int
	// Out gets a line per finding.
	Out io.Writer
}

// Run probes until one round shows that the gateway can be reached and nothing else can, and returns
// nil; or gives up and says what is wrong in one line.
func Run(ctx context.Context, c Config) error {
	var open, waiting int
	last := ""
	for {
		found := round(ctx, c)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("the probe was stopped: %w", err)
		}
		if text := found.String(); text != last {
			_, _ = io.WriteString(c.Out, text)
			last = text
		}
		switch {
		case len(found.reached) > 0:
			if open++; open >= c.Open {
				return errors.New(found.summary())
			}
		case !found.gateway:
			if waiting++; waiting >= c.Waiting {
				return errors.New(found.summary())
			}
		default:
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.Interval):
		}
	}
}

// findings of one round.
type findings struct {
	plan    Plan
	gateway bool
	tried   int
	reached []string
}

// String is one line per finding.
func (f findings) String() string {
	var b strings.Builder
	for _, r := range f.reached {
		fmt.Fprintf(&b, "open: the agent reaches %s\n", r)
	}
	if !f.gateway {
		fmt.Fprintf(&b, "waiting: the gateway does not answer on %s yet\n", f.plan.Gateway)
	}
	if f.gateway && len(f.reached) == 0 {
		fmt.Fprintf(&b, "closed: the gateway answers, and none of %d forbidden targets does\n", f.tried)
	}
	return b.String()
}

// summary is what the kubelet reports.
func (f findings) summary() string {
	if len(f.reached) > 0 {
		return "the agent reaches " + strings.Join(f.reached, ", ")
	}
	return fmt.Sprintf("the gateway does not answer on %s", f.plan.Gateway)
}

// round tries everything at the same time.
func round(ctx context.Context, c Config) findings {
	var resolvers []netip.Addr
	if c.Resolvers != nil {
		resolvers = c.Resolvers()
	}
	checks := Checks(c.Plan, c.Always, resolvers, c.Routers())
	found := findings{plan: c.Plan, tried: len(checks)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Go(func() {
		ok := reach(ctx, Target{Network: TCP, Address: c.Plan.Gateway}, c.Timeout)
		mu.Lock()
		defer mu.Unlock()
		found.gateway = ok
	})
	for _, t := range checks {
		wg.Go(func() {
			if reach(ctx, t, c.Timeout) {
				mu.Lock()
				defer mu.Unlock()
				found.reached = append(found.reached, t.String())
			}
		})
	}
	wg.Wait()
	slices.Sort(found.reached)
	return found
}

// question asks for the A record of the root: any resolver has something to say to that.
var question = []byte{0x63, 0x6c, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}

// reach tells whether a target answers. It is tried twice, because the first packet may be lost, and the
// kernel would send another one only after a second. A refusal is no answer: some networks close a door
// that way.
func reach(ctx context.Context, t Target, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := make(chan bool, attempts)
	for i := range attempts {
		go func() {
			select {
			case <-ctx.Done():
			case <-time.After(timeout * time.Duration(i) / attempts):
			}
			answers <- try(ctx, t)
		}()
	}
	for range attempts {
		if <-answers {
			return true
		}
	}
	return false
}

// attempts at one target, spread over the timeout.
const attempts = 2

func try(ctx context.Context, t Target) bool {
	network := "tcp"
	if t.Network == DNS {
		network = "udp"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, t.Address.String())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if t.Network == TCP {
		return true
	}
	// The context ends a wait for an answer, too.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := conn.Write(question); err != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 512))
	return err == nil && n > 0
}
