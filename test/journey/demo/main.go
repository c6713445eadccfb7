// Command demo tells the story of one Claw on the cluster of the current KUBECONFIG, where ClawStaff is
// installed already; hack/demo sees to that. It ends with an error when an act does not hold.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clawstaff/clawstaff/test/journey"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	terminal := journey.NewTerminal(os.Stdout)
	if err := tell(ctx, terminal); err != nil {
		terminal.Fail(err)
		os.Exit(1)
	}
}

func tell(ctx context.Context, terminal *journey.Terminal) error {
	begun := time.Now()
	root, err := journey.Root()
	if err != nil {
		return err
	}
	j, err := journey.New(ctx, root, terminal)
	if err != nil {
		return err
	}
	terminal.Heading("One organization, its ceiling, two keys and one Claw",
		"config/samples/quickstart.yaml is applied, with keys made at random a moment ago. Slack and Anthropic are fakes outside the cluster, under their real names.")
	stop, err := j.StartFakes(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := j.Prepare(ctx); err != nil {
		return err
	}
	if err := j.Introduce(ctx); err != nil {
		return err
	}
	for i, act := range journey.Acts {
		terminal.Heading(fmt.Sprintf("%d/%d %s", i+1, len(journey.Acts), act.Title), act.Story)
		if err := act.Run(j, ctx); err != nil {
			return fmt.Errorf("act %q does not hold: %w", act.Name, err)
		}
	}
	terminal.Heading("That was it", fmt.Sprintf("Everything above was checked, not only printed. It took %.0f seconds. "+
		"The cluster still runs: look around with kubectl, and see docs/quickstart.md.", time.Since(begun).Seconds()))
	return nil
}
