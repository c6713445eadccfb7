// Command probe runs before an agent, in its pod, and lets it start only once it
// has shown that the agent can reach its gateway and nothing else.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/internal/probe"
)

// terminationLog is what the kubelet shows of a container that ended.
const terminationLog = "/dev/termination-log"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = os.WriteFile(terminationLog, []byte(err.Error()), 0o644)
		os.Exit(1)
	}
}

func run() error {
	plan, err := probe.ParsePlan(os.Getenv(probe.EnvPlan))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return probe.Run(ctx, probe.Config{
		Plan:      plan,
		Always:    probe.Always(),
		Resolvers: probe.Resolvers,
		Routers:   probe.Routers,
		// What is up answers within milliseconds, or a continent's width; what drops packets costs all of
		// it, before every start of an agent.
		Timeout:  600 * time.Millisecond,
		Interval: time.Second,
		Open:     20,
		Waiting:  150,
		Out:      os.Stdout,
	})
}
