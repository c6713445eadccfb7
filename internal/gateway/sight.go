package gateway

import (
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// sight is what of an answer the agent may see, by the grant and the time of this moment: they may have changed since
// the call was allowed.
func (ex *exchange) sight() connector.Sight {
	snap, now, name := ex.s.p.cfg.Source.Current(), ex.s.p.cfg.Clock.Now(), ex.connector.Name
	covers := func(action v1alpha1.Action, r policy.Resource) bool {
		call := ex.policyCall(r)
		call.Action, call.At = action, now
		return policy.DecideCall(snap.Grant, call).Allowed
	}
	return connector.Sight{
		Author: func(actor, channel string) bool {
			return ex.own[actor] || policy.MayRead(snap.Grant, policy.Message{Connector: name, Actor: actor, Channel: channel, At: now})
		},
		Resource: func(r policy.Resource) bool { return covers(ex.call.Action, r) },
		Action:   covers,
		Note:     ex.find,
	}
}

// find notes what the agent's owner should know of.
func (ex *exchange) find(finding string) {
	const enough = 8
	if len(ex.findings) < enough && !slices.Contains(ex.findings, finding) {
		ex.findings = append(ex.findings, finding)
	}
}

// policyCall is the call as the policy judges it, about other resources than its own where there are any. What any entry
// of the connector allows says nothing about a resource: each is then for the entries that name such.
func (ex *exchange) policyCall(resources ...policy.Resource) policy.Call {
	op := ex.call.Operation
	call := policy.Call{
		Connector: ex.connector.Name, Operation: op.ID, Action: ex.call.Action, Authority: op.Authority,
		Resources: ex.call.Resources, At: ex.s.p.cfg.Clock.Now(),
	}
	if len(resources) == 0 {
		return call
	}
	call.Resources = resources
	if call.Authority == policy.AuthorityConnector {
		call.Authority = policy.AuthorityChannel // channels and tools
		if resources[0].Type == policy.ResourceModel {
			call.Authority = policy.AuthorityModel
		}
	}
	return call
}
