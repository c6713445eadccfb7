package mutation

import (
	"fmt"
	"sync/atomic"
)

// counts says how much was tried.
type counts struct{ accepted, refused, steps atomic.Int64 }

var tally counts

func (c *counts) count(answer error) {
	if answer == nil {
		c.accepted.Add(1)
	} else {
		c.refused.Add(1)
	}
}

func (c *counts) String() string {
	return fmt.Sprintf("%d changes were accepted and %d refused, %d of them in walks", c.accepted.Load(), c.refused.Load(), c.steps.Load())
}
