package truth

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// grantTruths are about what is enforced of a grant, by decisions, by what runs, and by the gateway.
func grantTruths() []truth {
	cases := append(grantEntries(), grantGateway()...)
	sealed := func(with func(*v1alpha1.ClawGrantSpec)) func(*world) {
		return func(w *world) { compiled(w); with(w.grant) }
	}
	cases = append(cases, schedules("ClawGrant spec.schedules[]", sealed(func(g *v1alpha1.ClawGrantSpec) { g.Schedules = []v1alpha1.Schedule{*allDay()} }),
		func(w *world) *v1alpha1.Schedule { return &w.grant.Schedules[0] }, asks("claude-sonnet-5"), "no: schedule")...)
	return append(cases, schedules("ClawGrant spec.tools[].schedule", sealed(func(g *v1alpha1.ClawGrantSpec) { g.Tools[0].Schedule = allDay() }),
		func(w *world) *v1alpha1.Schedule { return w.grant.Tools[0].Schedule }, does(v1alpha1.ActionRead, "U01LEE"), "no: schedule")...)
}

// grantEntries are what decisions go by.
func grantEntries() []truth {
	one := func(name string, see view, after string, change func(*v1alpha1.ClawGrantSpec)) truth {
		return truth{field: "ClawGrant spec." + name, with: compiled, change: func(w *world) { change(w.grant) }, see: see, before: open, after: after}
	}
	message, tool, model := hears(leeAtSlack, "C0SUPPORT"), does(v1alpha1.ActionRead, "U01LEE"), asks("claude-sonnet-5")
	correspondents := func(w *world) {
		w.claw.Spec.Channels[0].Correspondents = v1alpha1.Correspondents{Users: patterns(annAtSlack), Domains: []v1alpha1.Domain{"customers.example"}}
		compiled(w)
	}
	return []truth{
		one("state", model, "no: the grant is not active", func(g *v1alpha1.ClawGrantSpec) { g.State = v1alpha1.GrantStopped }),
		one("expiresAt", model, "no: expiry", func(g *v1alpha1.ClawGrantSpec) { g.ExpiresAt = &metav1.Time{Time: noon} }),
		one("audience[].connector", message, outsider, func(g *v1alpha1.ClawGrantSpec) { g.Audience[0].Connector = "openai" }),
		one("audience[].principals", message, outsider, func(g *v1alpha1.ClawGrantSpec) { g.Audience[0].Principals = []string{sarahAtSlack} }),
		one("channels[].connector", message, "no: no entry of channels lists this channel", func(g *v1alpha1.ClawGrantSpec) { g.Channels[0].Connector = "openai" }),
		one("channels[].channels", message, "no: no entry of channels lists this channel", func(g *v1alpha1.ClawGrantSpec) { g.Channels[0].Channels = patterns("C0OTHER") }),
		one("channels[].users", message, "no: no entry of channels lists who wrote this in this channel", func(g *v1alpha1.ClawGrantSpec) { g.Channels[0].Users = patterns(sarahAtSlack) }),
		{field: "ClawGrant spec.channels[].correspondents.users", with: correspondents,
			change: func(w *world) { w.grant.Channels[0].Correspondents.Users = patterns("T02CUSTOMER/U02BOB") },
			see:    hears(annAtSlack, "C0SUPPORT"), before: open, after: outsider},
		{field: "ClawGrant spec.channels[].correspondents.domains", with: correspondents,
			change: func(w *world) { w.grant.Channels[0].Correspondents.Domains = []v1alpha1.Domain{"other.example"} },
			see:    hears(annsMail, "C0SUPPORT"), before: open, after: outsider},
		{field: "ClawGrant spec.channels[].credential", with: compiled, change: func(w *world) { w.grant.Channels[0].Credential = "triage-other" },
			see: uses(speaking), before: "triage-slack", after: "triage-other"},
		one("tools[].connector", tool, "no: no entry of tools has this connector", func(g *v1alpha1.ClawGrantSpec) { g.Tools[0].Connector = "openai" }),
		one("tools[].actions", tool, "no: no entry of tools allows this action", func(g *v1alpha1.ClawGrantSpec) { g.Tools[0].Actions = []v1alpha1.Action{v1alpha1.ActionWrite} }),
		one("tools[].resources[].type", tool, "no: no entry of tools allows this action on these resources",
			func(g *v1alpha1.ClawGrantSpec) { g.Tools[0].Resources[0].Type = "usergroup" }),
		one("tools[].resources[].names", tool, "no: no entry of tools allows this action on these resources",
			func(g *v1alpha1.ClawGrantSpec) { g.Tools[0].Resources[0].Names = patterns("U01SARAH") }),
		{field: "ClawGrant spec.tools[].credential", with: compiled, change: func(w *world) { w.grant.Tools[0].Credential = "triage-other" },
			see: uses(looking), before: "triage-slack", after: "triage-other"},
		one("models[].connector", model, "no: no entry of models lists this model", func(g *v1alpha1.ClawGrantSpec) { g.Models[0].Connector = "openai" }),
		one("models[].models", model, "no: no entry of models lists this model", func(g *v1alpha1.ClawGrantSpec) { g.Models[0].Models = patterns("claude-opus-5") }),
		{field: "ClawGrant spec.models[].credential", with: compiled, change: func(w *world) { w.grant.Models[0].Credential = "triage-other" },
			see: uses(asking), before: "triage-anthropic", after: "triage-other"},
	}
}

// The calls that entries are for.
var (
	speaking = policy.Call{Connector: "slack", Operation: "chat.postMessage", Action: v1alpha1.ActionWrite, Authority: policy.AuthorityChannel,
		Resources: []policy.Resource{{Type: policy.ResourceChannel, Name: "C0SUPPORT"}}}
	looking = policy.Call{Connector: "slack", Operation: "users.info", Action: v1alpha1.ActionRead, Authority: policy.AuthorityTool,
		Resources: []policy.Resource{{Type: "user", Name: "U01LEE"}}}
	asking = policy.Call{Connector: "anthropic", Operation: "messages.create", Action: v1alpha1.ActionWrite, Authority: policy.AuthorityModel,
		Resources: []policy.Resource{{Type: policy.ResourceModel, Name: "claude-sonnet-5"}}}
)

// grantGateway are what the gateway goes by.
func grantGateway() []truth {
	one := func(name string, see view, before, after string, change func(*v1alpha1.ClawGrantSpec)) truth {
		return truth{field: "ClawGrant spec." + name, with: compiled, change: func(w *world) { change(w.grant) }, see: see, before: before, after: after}
	}
	cases := []truth{
		one("clawUID", enforces, open, "no: the ClawGrant is for another Claw of this name", func(g *v1alpha1.ClawGrantSpec) { g.ClawUID = "another" }),
		one("hash", enforces, open, "no: the ClawGrant's hash is not that of its content", func(g *v1alpha1.ClawGrantSpec) { g.Hash = "forged" }),
		one("credentials[].name", enforces, open, "no: no entry of models lists this model", func(g *v1alpha1.ClawGrantSpec) { g.Credentials[0].Name = "triage-other" }),
		one("credentials[].connector", enforces, open, "no: no entry of models lists this model", func(g *v1alpha1.ClawGrantSpec) { g.Credentials[0].Connector = "openai" }),
		one("credentials[].slots", enforces, open, "no: it has no key", func(g *v1alpha1.ClawGrantSpec) { g.Credentials[0].Slots = nil }),
		one("credentials[].version", goesOn, open, "no: it is judged again", func(g *v1alpha1.ClawGrantSpec) { g.Credentials[0].Version = "2" }),
		one("agentPort", runs("NetworkPolicy triage-agent", "spec.ingress.0.ports.0.port"), "8080", "9000", func(g *v1alpha1.ClawGrantSpec) { g.AgentPort = 9000 }),
		one("agentPath", delivers, "to 127.0.0.1/messages", "to 127.0.0.1/inbound", func(g *v1alpha1.ClawGrantSpec) { g.AgentPath = "/inbound" }),
		one("limits.requestsPerMinute", delivers, "to 127.0.0.1/messages", "to 127.0.0.1/messages, and then no more: limits",
			func(g *v1alpha1.ClawGrantSpec) { g.Limits.RequestsPerMinute = 1 }),
	}
	here := func(w *world) { compiled(w); w.grant.AgentIPs = []string{"127.0.0.1"} }
	return append(cases,
		truth{field: "ClawGrant spec.agentIPs", with: here, change: func(w *world) { w.grant.AgentIPs = []string{"127.0.0.2"} },
			see: delivers, before: "to 127.0.0.1/messages", after: "to 127.0.0.2/messages"},
		truth{field: "ClawGrant spec.credentials[].delivery", with: compiled, see: agentKeys, before: "no key", after: "a key",
			also: []string{"ClawCredential spec.delivery"}, // which is where the manager has it from
			change: func(w *world) {
				w.model.Spec.Delivery, w.grant.Credentials[0].Delivery = v1alpha1.DeliveryContainer, v1alpha1.DeliveryContainer
			}})
}
