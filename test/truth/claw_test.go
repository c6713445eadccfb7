package truth

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// allDay is a schedule that is open at noon.
func allDay() *v1alpha1.Schedule {
	return &v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{v1alpha1.Wednesday}, Start: "08:00", End: "18:00"}}}
}

// schedules are the cases of a schedule that is open before each change and closed after it.
func schedules(field string, with func(*world), of func(*world) *v1alpha1.Schedule, see view, after string) []truth {
	one := func(name string, change func(*v1alpha1.Schedule)) truth {
		return truth{field: field + "." + name, with: with, change: func(w *world) { change(of(w)) }, see: see, before: open, after: after}
	}
	return []truth{
		one("timeZone", func(s *v1alpha1.Schedule) { s.TimeZone = "Asia/Tokyo" }), // where it is nine in the evening
		one("windows[].days", func(s *v1alpha1.Schedule) { s.Windows[0].Days = []v1alpha1.Day{v1alpha1.Thursday} }),
		one("windows[].start", func(s *v1alpha1.Schedule) { s.Windows[0].Start = "12:01" }),
		one("windows[].end", func(s *v1alpha1.Schedule) { s.Windows[0].End = "12:00" }),
	}
}

func clawTruths() []truth {
	cases := []truth{
		{field: "Claw spec.owner", change: func(w *world) { w.claw.Spec.Owner = "mallory@elsewhere.example" },
			see: withheld("spec.owner"), before: given, after: "NotAMember"},
		{field: "Claw spec.visibility", change: func(w *world) { w.claw.Spec.Visibility, w.claw.Spec.Teams = v1alpha1.VisibilityPrivate, nil },
			also: []string{"Claw spec.teams"},
			see:  hears(leeAtSlack, "C0SUPPORT"), before: open, after: "no: the visibility does not admit who wrote this"},
		{field: "Claw spec.teams", change: func(w *world) { w.claw.Spec.Teams = []v1alpha1.TeamName{"sales"} },
			see: hears(leeAtSlack, "C0SUPPORT"), before: open, after: "no: the visibility does not admit who wrote this"},
		{field: "Claw spec.state", change: func(w *world) { w.claw.Spec.State = v1alpha1.ClawRevoked },
			see: asks("claude-sonnet-5"), before: open, after: "no: the grant is not active"},
		{field: "Claw spec.expiresAt", change: func(w *world) { w.claw.Spec.ExpiresAt = &metav1.Time{Time: noon.AddDate(0, 0, -1)} },
			see: grants("the state", func(g *v1alpha1.ClawGrantSpec) any { return g.State }), before: "Active", after: "Stopped"},
	}
	cases = append(cases, clawChannels()...)
	cases = append(cases, clawTools()...)
	cases = append(cases, clawModels()...)
	cases = append(cases, clawRuntime()...)
	cases = append(cases, schedules("Claw spec.schedule", func(w *world) { w.claw.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: *allDay()} },
		func(w *world) *v1alpha1.Schedule { return w.claw.Spec.Schedule.Times() }, asks("claude-sonnet-5"), "no: schedule")...)
	return append(cases, schedules("Claw spec.tools[].schedule", func(w *world) { w.claw.Spec.Tools[0].Schedule = allDay() },
		func(w *world) *v1alpha1.Schedule { return w.claw.Spec.Tools[0].Schedule }, does(v1alpha1.ActionRead, "U01LEE"), "no: schedule")...)
}

func clawChannels() []truth {
	channel := func(w *world) *v1alpha1.ChannelRequest { return &w.claw.Spec.Channels[0] }
	return []truth{
		{field: "Claw spec.channels[].connector", change: func(w *world) { channel(w).Connector = "carrier-pigeon" },
			see: withheld("spec.channels[0].connector"), before: given, after: "UnknownConnector"},
		{field: "Claw spec.channels[].credential", change: func(w *world) { channel(w).Credential = "triage-other" },
			see: withheld("spec.channels[0].credential"), before: given, after: "CredentialNotUsable"},
		{field: "Claw spec.channels[].channels", change: func(w *world) { channel(w).Channels = patterns("C0OTHER") },
			see: speaks("C0SUPPORT"), before: open, after: "no: no entry of channels or tools allows this in this channel"},
		{field: "Claw spec.channels[].users", change: func(w *world) { channel(w).Users = patterns(sarahAtSlack) },
			see: hears(leeAtSlack, "C0SUPPORT"), before: open, after: "no: no entry of channels lists who wrote this in this channel"},
		{field: "Claw spec.channels[].correspondents.users", with: func(w *world) { channel(w).Correspondents.Users = patterns(annAtSlack) },
			change: func(w *world) { channel(w).Correspondents.Users = patterns("T02CUSTOMER/U02BOB") },
			see:    hears(annAtSlack, "C0SUPPORT"), before: open, after: outsider},
		{field: "Claw spec.channels[].correspondents.domains",
			with:   func(w *world) { channel(w).Correspondents.Domains = []v1alpha1.Domain{"customers.example"} },
			change: func(w *world) { channel(w).Correspondents.Domains = []v1alpha1.Domain{"other.example"} },
			see:    hears(annsMail, "C0SUPPORT"), before: open, after: outsider},
	}
}

// outsider is what the gateway says of somebody who is in no directory and in no list of correspondents.
const outsider = "no: the visibility does not admit who wrote this"

func clawTools() []truth {
	tool := func(w *world) *v1alpha1.ToolRequest { return &w.claw.Spec.Tools[0] }
	return []truth{
		{field: "Claw spec.tools[].connector", change: func(w *world) { tool(w).Connector = "carrier-pigeon" },
			see: withheld("spec.tools[0].connector"), before: given, after: "UnknownConnector"},
		{field: "Claw spec.tools[].credential", change: func(w *world) { tool(w).Credential = "triage-other" },
			see: withheld("spec.tools[0].credential"), before: given, after: "CredentialNotUsable"},
		{field: "Claw spec.tools[].actions", change: func(w *world) { tool(w).Actions = []v1alpha1.Action{v1alpha1.ActionWrite} },
			see: does(v1alpha1.ActionRead, "U01LEE"), before: open, after: "no: no entry of tools allows this action"},
		{field: "Claw spec.tools[].resources[].type", change: func(w *world) { tool(w).Resources[0].Type = "usergroup" },
			see: does(v1alpha1.ActionRead, "U01LEE"), before: open, after: "no: no entry of tools allows this action on these resources"},
		{field: "Claw spec.tools[].resources[].names", change: func(w *world) { tool(w).Resources[0].Names = patterns("U01SARAH") },
			see: does(v1alpha1.ActionRead, "U01LEE"), before: open, after: "no: no entry of tools allows this action on these resources"},
	}
}

func clawModels() []truth {
	model := func(w *world) *v1alpha1.ModelRequest { return &w.claw.Spec.Models[0] }
	return []truth{
		{field: "Claw spec.models[].connector", change: func(w *world) { model(w).Connector = "carrier-pigeon" },
			see: withheld("spec.models[0].connector"), before: given, after: "UnknownConnector"},
		{field: "Claw spec.models[].credential", change: func(w *world) { model(w).Credential = "triage-other" },
			see: withheld("spec.models[0].credential"), before: given, after: "CredentialNotUsable"},
		{field: "Claw spec.models[].models", change: func(w *world) { model(w).Models = patterns("claude-opus-5") },
			see: asks("claude-sonnet-5"), before: open, after: "no: no entry of models lists this model"},
	}
}

func clawRuntime() []truth {
	const agent, first = "StatefulSet triage-agent", "spec.template.spec.containers.agent."
	container := func(w *world) *v1alpha1.ContainerRuntime { return w.claw.Spec.Runtime.Container }
	greeting := func(w *world) { container(w).Env = []v1alpha1.EnvVar{{Name: "GREETING", Value: "hello"}} }
	list := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	return []truth{
		{field: "Claw spec.runtime.container.image", change: func(w *world) { container(w).Image = "example.com/agent:2" },
			see: runs(agent, first+"image"), before: "example.com/agent:1", after: "example.com/agent:2"},
		{field: "Claw spec.runtime.container.command", change: func(w *world) { container(w).Command = []string{"/bin/agent", "serve"} },
			see: runs(agent, first+"command"), before: fmt.Sprint(nil), after: "[/bin/agent serve]"},
		{field: "Claw spec.runtime.container.env[].name", with: greeting, change: func(w *world) { container(w).Env[0].Name = "SALUTE" },
			see: runs(agent, first+"env.SALUTE.value"), before: fmt.Sprint(nil), after: "hello"},
		{field: "Claw spec.runtime.container.env[].value", with: greeting, change: func(w *world) { container(w).Env[0].Value = "good day" },
			see: runs(agent, first+"env.GREETING.value"), before: "hello", after: "good day"},
		{field: "Claw spec.runtime.container.port", change: func(w *world) { container(w).Port = 9000 },
			see: runs("NetworkPolicy triage-agent", "spec.ingress.0.ports.0.port"), before: "8080", after: "9000"},
		{field: "Claw spec.runtime.container.inboundPath", change: func(w *world) { container(w).InboundPath = "/inbound" },
			see: grants("the path messages are posted to", func(g *v1alpha1.ClawGrantSpec) any { return g.AgentPath }), before: "/messages", after: "/inbound"},
		{field: "Claw spec.runtime.container.workspace.sizeGiB", change: func(w *world) { container(w).Workspace.SizeGiB = 5 },
			see: runs(agent, "spec.volumeClaimTemplates.0.spec.resources.requests.storage"), before: "1Gi", after: "5Gi"},
		{field: "Claw spec.resources.claims[].name", change: func(w *world) { w.claw.Spec.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}} },
			see: admitted, before: open, after: "refused: spec.resources"},
		{field: "Claw spec.resources.claims[].request", also: []string{"Claw spec.resources.claims[].name"},
			change: func(w *world) { w.claw.Spec.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu", Request: "one"}} },
			see:    admitted, before: open, after: "refused: spec.resources"},
		{field: "Claw spec.resources.limits", change: func(w *world) { w.claw.Spec.Resources.Limits = list("2") },
			see: runs(agent, first+"resources.limits.cpu"), before: "1", after: "2"},
		{field: "Claw spec.resources.requests", change: func(w *world) { w.claw.Spec.Resources.Requests = list("300m") },
			see: runs(agent, first+"resources.requests.cpu"), before: "100m", after: "300m"},
	}
}
