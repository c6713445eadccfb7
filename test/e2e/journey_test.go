package e2e

import (
	"testing"

	"github.com/clawstaff/clawstaff/test/journey"
)

// TestJourney is the story the demo tells: each act checks what it says. Its last act but one revokes the Claw.
func TestJourney(t *testing.T) {
	must(t, fresh(t))
	for _, act := range journey.Acts {
		passed := t.Run(act.Name, func(t *testing.T) {
			words.t = t
			defer func() { words.t = nil }()
			must(t, act.Run(j, t.Context()))
		})
		if !passed && act.Name == "teammate" {
			t.Fatal("nothing of the rest can hold")
		}
	}
}
