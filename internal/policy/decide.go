package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/schedule"
)

// The types of resource that entries of channels and of models are about.
const (
	// ResourceChannel is a place where people and the Claw speak.
	ResourceChannel = "channel"
	// ResourceModel is a model.
	ResourceModel = "model"
)

// The rules of a verdict that no entry of the grant decided: deny.
const (
	// RuleDefault is that nothing allows it.
	RuleDefault = "default"
	// RuleSchedule is that a schedule is not open.
	RuleSchedule = "schedule"
	// RuleExpiry is that the grant's time is over.
	RuleExpiry = "expiry"
)

// DecideCall judges a call of the agent. What no entry of the grant allows is denied.
func DecideCall(grant *v1alpha1.ClawGrantSpec, call Call) Verdict {
	if v, ok := inForce(grant, call.At); !ok {
		return v
	}
	if call.Connector == "" || slices.ContainsFunc(call.Resources, func(r Resource) bool { return r.Type == "" || r.Name == "" }) {
		return deny("the call names no connector, or a resource without type or name")
	}
	switch call.Authority {
	case AuthorityTool:
		return byTool(grant, call)
	case AuthorityChannel:
		if v := byChannel(grant, call); v.Allowed {
			return v
		}
		if v := byTool(grant, call); v.Allowed || v.Rule == RuleSchedule {
			return v
		}
		return deny("no entry of channels or tools allows this in this channel")
	case AuthorityModel:
		return byModel(grant, call)
	case AuthorityConnector:
		return byConnector(grant, call)
	default:
		return deny("the operation's authority is unknown")
	}
}

// DecideMessage judges whether the Claw hears a message: the visibility must admit who wrote it, and
// one entry of channels must list both where it was written and by whom. Whom the visibility does not
// admit may still be a correspondent of an entry.
func DecideMessage(grant *v1alpha1.ClawGrantSpec, msg Message) Verdict {
	if v, ok := inForce(grant, msg.At); !ok {
		return v
	}
	admitted, listed := inAudience(grant, msg.Connector, msg.Actor), false
	outside := -1
	for i := range grant.Channels {
		c := &grant.Channels[i]
		if msg.Connector == "" || string(c.Connector) != msg.Connector || !matchesAny(c.Channels, msg.Channel) {
			continue
		}
		listed = true
		if admitted && matchesAny(c.Users, msg.Actor) {
			return allow("channels", i, c.Credential)
		}
		if outside < 0 && corresponds(&c.Correspondents, msg.Actor) {
			outside = i
		}
	}
	switch {
	case outside >= 0:
		v := allow("channels", outside, grant.Channels[outside].Credential)
		v.Rule += ".correspondents"
		return v
	case !admitted:
		return deny("the visibility does not admit who wrote this")
	case listed:
		return deny("no entry of channels lists who wrote this in this channel")
	default:
		return deny("no entry of channels lists this channel")
	}
}

// byTool looks for one entry with the connector, the action and every resource. Resources are not
// gathered from several entries: what may be done to each need not be allowed to both at once.
func byTool(grant *v1alpha1.ClawGrantSpec, call Call) Verdict {
	connector, action, closed := false, false, false
	for i, t := range grant.Tools {
		if string(t.Connector) != call.Connector {
			continue
		}
		connector = true
		if call.Action == "" || !slices.Contains(t.Actions, call.Action) {
			continue
		}
		action = true
		if !coversResources(t.Resources, call.Resources) {
			continue
		}
		if schedule.Open(t.Schedule, call.At) {
			return allow("tools", i, t.Credential)
		}
		closed = true
	}
	switch {
	case closed:
		return Verdict{Rule: RuleSchedule, Reason: "the entry of tools that allows this is outside of its schedule"}
	case action:
		return deny("no entry of tools allows this action on these resources")
	case connector:
		return deny("no entry of tools allows this action")
	default:
		return deny("no entry of tools has this connector")
	}
}

// byChannel looks for one entry that lists every resource, of which there must be one and which all
// must be channels. Speaking is reading and writing; deleting and administering are for tools.
func byChannel(grant *v1alpha1.ClawGrantSpec, call Call) Verdict {
	if !inChannels(call.Action) {
		return deny("an entry of channels allows no such action")
	}
	for i, c := range grant.Channels {
		if string(c.Connector) == call.Connector && coversAll(call.Resources, ResourceChannel, c.Channels) {
			return allow("channels", i, c.Credential)
		}
	}
	return deny("no entry of channels lists this channel")
}

// byModel looks for one entry that lists every resource, of which there must be one and which all
// must be models.
func byModel(grant *v1alpha1.ClawGrantSpec, call Call) Verdict {
	for i, m := range grant.Models {
		if string(m.Connector) == call.Connector && coversAll(call.Resources, ResourceModel, m.Models) {
			return allow("models", i, m.Credential)
		}
	}
	return deny("no entry of models lists this model")
}

// byConnector looks for any entry of the connector.
func byConnector(grant *v1alpha1.ClawGrantSpec, call Call) Verdict {
	for i, c := range grant.Channels {
		if string(c.Connector) == call.Connector {
			return allow("channels", i, c.Credential)
		}
	}
	for i, t := range grant.Tools {
		if string(t.Connector) == call.Connector && schedule.Open(t.Schedule, call.At) {
			return allow("tools", i, t.Credential)
		}
	}
	for i, m := range grant.Models {
		if string(m.Connector) == call.Connector {
			return allow("models", i, m.Credential)
		}
	}
	return deny("no entry of the grant has this connector")
}

// coversResources reports whether each of resources is of a scope's type and names.
func coversResources(scopes []v1alpha1.ResourceScope, resources []Resource) bool {
	for _, r := range resources {
		if !slices.ContainsFunc(scopes, func(s v1alpha1.ResourceScope) bool {
			return s.Type == r.Type && (matchesAny(s.Names, r.Name) || inDomains(s.Domains, r.Name))
		}) {
			return false
		}
	}
	return true
}

// coversAll reports whether there are resources, all of one type, and each matched.
func coversAll(resources []Resource, kind string, patterns []v1alpha1.Pattern) bool {
	for _, r := range resources {
		if r.Type != kind || !matchesAny(patterns, r.Name) {
			return false
		}
	}
	return len(resources) > 0
}

func inAudience(grant *v1alpha1.ClawGrantSpec, connector, actor string) bool {
	for _, a := range grant.Audience {
		if string(a.Connector) == connector && actor != "" && slices.Contains(a.Principals, actor) {
			return true
		}
	}
	return false
}

// inForce returns a denial unless the grant is there, Active, not over, and open.
func inForce(grant *v1alpha1.ClawGrantSpec, at time.Time) (Verdict, bool) {
	switch {
	case grant == nil:
		return deny("there is no grant"), false
	case grant.State != v1alpha1.GrantActive:
		return deny("the grant is not active"), false
	case grant.ExpiresAt != nil && (at.IsZero() || !at.Before(grant.ExpiresAt.Time)):
		return Verdict{Rule: RuleExpiry, Reason: "the Claw's time is over"}, false
	}
	for i := range grant.Schedules {
		if !schedule.Open(&grant.Schedules[i], at) {
			return Verdict{Rule: RuleSchedule, Reason: "a schedule of the Claw is not open"}, false
		}
	}
	return Verdict{}, true
}

func allow(list string, i int, credential v1alpha1.ObjectName) Verdict {
	return Verdict{
		Allowed:    true,
		Rule:       fmt.Sprintf("%s[%d]", list, i),
		Reason:     "allowed by the grant",
		Credential: string(credential),
	}
}

func deny(reason string) Verdict {
	return Verdict{Rule: RuleDefault, Reason: reason}
}
