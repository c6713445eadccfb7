package controller_test

import (
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestClawBecomesReady(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	if claw.Status.State != v1alpha1.PhaseActive || claw.Status.GrantRef != "triage" {
		t.Errorf("state %s, grant %q", claw.Status.State, claw.Status.GrantRef)
	}
}
