package policy

import (
	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// MayRead reports whether the Claw may read what somebody wrote: whether it would hear it, were its schedules
// open. A message without a channel is heard where any entry of channels at its connector would hear it.
func MayRead(grant *v1alpha1.ClawGrantSpec, msg Message) bool {
	if grant == nil || grant.State != v1alpha1.GrantActive || msg.Connector == "" || msg.Actor == "" {
		return false
	}
	admitted := inAudience(grant, msg.Connector, msg.Actor)
	for i := range grant.Channels {
		c := &grant.Channels[i]
		if string(c.Connector) != msg.Connector || msg.Channel != "" && !matchesAny(c.Channels, msg.Channel) {
			continue
		}
		if admitted && matchesAny(c.Users, msg.Actor) || corresponds(&c.Correspondents, msg.Actor) {
			return true
		}
	}
	return false
}
