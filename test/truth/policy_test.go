package truth

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func policyTruths() []truth {
	cases := append(selectorTruths(), allowTruths()...)
	cases = append(cases, denyTruths("ClawPolicy spec.deny", "ceiling", func(w *world) *v1alpha1.PolicyRules { return &w.policy.Spec.Deny })...)
	return append(cases, requireTruths("ClawPolicy spec.require", "ceiling", func(w *world) *v1alpha1.PolicyRequirements { return &w.policy.Spec.Require })...)
}

// selectorTruths begin with a policy that selects nothing, and so allows nothing.
func selectorTruths() []truth {
	one := func(name string, change func(*v1alpha1.PolicySelector)) truth {
		return truth{field: "ClawPolicy spec.selector." + name,
			with:   func(w *world) { w.policy.Spec.Selector = v1alpha1.PolicySelector{} },
			change: func(w *world) { change(&w.policy.Spec.Selector) },
			see:    withheld("spec.visibility"), before: "NotAllowed", after: given}
	}
	return []truth{
		one("all", func(s *v1alpha1.PolicySelector) { s.All = true }),
		one("claws", func(s *v1alpha1.PolicySelector) { s.Claws = patterns("tri*") }),
		one("owners", func(s *v1alpha1.PolicySelector) { s.Owners = []v1alpha1.MemberName{sarah} }),
		one("teams", func(s *v1alpha1.PolicySelector) { s.Teams = []v1alpha1.TeamName{"sales"} }),
	}
}

func allowTruths() []truth {
	allow := func(w *world) *v1alpha1.PolicyRules { return &w.policy.Spec.Allow }
	correspondents := func(w *world) {
		w.claw.Spec.Channels[0].Correspondents = v1alpha1.Correspondents{Users: patterns(annAtSlack), Domains: []v1alpha1.Domain{"customers.example"}}
	}
	one := func(name string, with, change func(*world), path string) truth {
		return truth{field: "ClawPolicy spec.allow." + name, with: with, change: change, see: withheld(path), before: given, after: "NotAllowed"}
	}
	store := func(name string, change func(*v1alpha1.StoreRule)) truth {
		return truth{field: "ClawPolicy spec.allow.stores[]." + name, with: fromVault, change: func(w *world) { change(&allow(w).Stores[0]) },
			see: withheld("spec.models[0].credential"), before: given, after: "NotAllowed"}
	}
	return []truth{
		one("visibility", nil, func(w *world) { allow(w).Visibility = []v1alpha1.Visibility{v1alpha1.VisibilityPrivate} }, "spec.visibility"),
		one("channels[].connector", nil, func(w *world) { allow(w).Channels[0].Connector = "openai" }, "spec.channels[0].channels[0]"),
		one("channels[].channels", nil, func(w *world) { allow(w).Channels[0].Channels = patterns("C9*") }, "spec.channels[0].channels[0]"),
		one("channels[].users", nil, func(w *world) { allow(w).Channels[0].Users = patterns(sarahAtSlack) }, "spec.channels[0].users[0]"),
		one("channels[].correspondents.users", correspondents, func(w *world) { allow(w).Channels[0].Correspondents.Users = patterns("T03/*") },
			"spec.channels[0].correspondents.users[0]"),
		one("channels[].correspondents.domains", correspondents, func(w *world) { allow(w).Channels[0].Correspondents.Domains = []v1alpha1.Domain{"other.example"} },
			"spec.channels[0].correspondents.domains[0]"),
		one("tools[].connector", nil, func(w *world) { allow(w).Tools[0].Connector = "openai" }, "spec.tools[0].actions[0]"),
		one("tools[].actions", nil, func(w *world) { allow(w).Tools[0].Actions = []v1alpha1.Action{v1alpha1.ActionWrite} }, "spec.tools[0].actions[0]"),
		one("tools[].resources[].type", nil, func(w *world) { allow(w).Tools[0].Resources[0].Type = "channel" }, "spec.tools[0].resources[0].names[0]"),
		one("tools[].resources[].names", nil, func(w *world) { allow(w).Tools[0].Resources[0].Names = patterns("U09*") }, "spec.tools[0].resources[0].names[0]"),
		one("models[].connector", nil, func(w *world) { allow(w).Models[0].Connector = "openai" }, "spec.models[0].models[0]"),
		one("models[].models", nil, func(w *world) { allow(w).Models[0].Models = patterns("gpt-*") }, "spec.models[0].models[0]"),
		store("kind", func(s *v1alpha1.StoreRule) { s.Kind = v1alpha1.StoreInCage }),
		store("name", func(s *v1alpha1.StoreRule) { s.Name = "safe" }),
		store("keys", func(s *v1alpha1.StoreRule) { s.Keys = patterns("other/*") }),
	}
}

// denyTruths are the cases of a deny, of a policy or of a baseline: a denial of something else, which becomes one of
// what the Claw asks for.
func denyTruths(field, by string, deny func(*world) *v1alpha1.PolicyRules) []truth {
	by = "DeniedByPolicy by " + by
	one := func(name string, with, change func(*world), path string) truth {
		return truth{field: field + "." + name, with: with, change: change, see: withheld(path), before: given, after: by}
	}
	channel := func(rule v1alpha1.ChannelRule) func(*world) {
		return func(w *world) { deny(w).Channels = []v1alpha1.ChannelRule{*rule.DeepCopy()} }
	}
	tool := func(rule v1alpha1.ToolRule) func(*world) {
		return func(w *world) { deny(w).Tools = []v1alpha1.ToolRule{*rule.DeepCopy()} }
	}
	model := func(rule v1alpha1.ModelRule) func(*world) {
		return func(w *world) { deny(w).Models = []v1alpha1.ModelRule{*rule.DeepCopy()} }
	}
	cases := []truth{
		one("visibility", nil, func(w *world) { deny(w).Visibility = []v1alpha1.Visibility{v1alpha1.VisibilityTeam} }, "spec.visibility"),
		one("channels[].connector", channel(v1alpha1.ChannelRule{Connector: "openai"}), func(w *world) { deny(w).Channels[0].Connector = "slack" }, "spec.channels[0]"),
		one("channels[].channels", channel(v1alpha1.ChannelRule{Connector: "slack", Channels: patterns("C0OTHER")}),
			func(w *world) { deny(w).Channels[0].Channels = patterns("C0SUPPORT") }, "spec.channels[0].channels[0]"),
		one("tools[].connector", tool(v1alpha1.ToolRule{Connector: "openai"}), func(w *world) { deny(w).Tools[0].Connector = "slack" }, "spec.tools[0].actions[0]"),
		one("tools[].actions", tool(v1alpha1.ToolRule{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionAdmin}}),
			func(w *world) { deny(w).Tools[0].Actions = []v1alpha1.Action{v1alpha1.ActionRead} }, "spec.tools[0].actions[0]"),
		one("tools[].resources[].type", tool(v1alpha1.ToolRule{Connector: "slack", Resources: []v1alpha1.ResourceScope{{Type: "file", Names: patterns("U01*")}}}),
			func(w *world) { deny(w).Tools[0].Resources[0].Type = "user" }, "spec.tools[0].resources[0].names[0]"),
		one("tools[].resources[].names", tool(v1alpha1.ToolRule{Connector: "slack", Resources: []v1alpha1.ResourceScope{{Type: "user", Names: patterns("U09*")}}}),
			func(w *world) { deny(w).Tools[0].Resources[0].Names = patterns("U01*") }, "spec.tools[0].resources[0].names[0]"),
		one("models[].connector", model(v1alpha1.ModelRule{Connector: "openai"}), func(w *world) { deny(w).Models[0].Connector = "anthropic" }, "spec.models[0].models[0]"),
		one("models[].models", model(v1alpha1.ModelRule{Connector: "anthropic", Models: patterns("claude-1*")}),
			func(w *world) { deny(w).Models[0].Models = patterns("claude-s*") }, "spec.models[0].models[0]"),
	}
	return append(append(cases, denyPeople(field, by, deny)...), denyStores(field, by, deny)...)
}

// denyPeople are the cases of whom a channel is denied to.
func denyPeople(field, by string, deny func(*world) *v1alpha1.PolicyRules) []truth {
	asked := func(deny func(*world) *v1alpha1.PolicyRules, rule v1alpha1.ChannelRule) func(*world) {
		return func(w *world) {
			c := &w.claw.Spec.Channels[0]
			c.Users = patterns(leeAtSlack)
			c.Correspondents = v1alpha1.Correspondents{Users: patterns(annAtSlack), Domains: []v1alpha1.Domain{"customers.example"}}
			deny(w).Channels = []v1alpha1.ChannelRule{*rule.DeepCopy()}
		}
	}
	rule := func(w *world) *v1alpha1.ChannelRule { return &deny(w).Channels[0] }
	return []truth{
		{field: field + ".channels[].users", with: asked(deny, v1alpha1.ChannelRule{Connector: "slack", Users: patterns("T09/*")}),
			change: func(w *world) { rule(w).Users = patterns(leeAtSlack) },
			see:    withheld("spec.channels[0].users[0]"), before: given, after: by},
		{field: field + ".channels[].correspondents.users",
			with:   asked(deny, v1alpha1.ChannelRule{Connector: "slack", Correspondents: v1alpha1.Correspondents{Users: patterns("T09/*")}}),
			change: func(w *world) { rule(w).Correspondents.Users = patterns("T02CUSTOMER/*") },
			see:    withheld("spec.channels[0].correspondents.users[0]"), before: given, after: by},
		{field: field + ".channels[].correspondents.domains",
			with:   asked(deny, v1alpha1.ChannelRule{Connector: "slack", Correspondents: v1alpha1.Correspondents{Domains: []v1alpha1.Domain{"spam.example"}}}),
			change: func(w *world) { rule(w).Correspondents.Domains = []v1alpha1.Domain{"customers.example"} },
			see:    withheld("spec.channels[0].correspondents.domains[0]"), before: given, after: by},
	}
}

func denyStores(field, by string, deny func(*world) *v1alpha1.PolicyRules) []truth {
	one := func(name string, rule v1alpha1.StoreRule, change func(*v1alpha1.StoreRule)) truth {
		return truth{field: field + ".stores[]." + name,
			with:   func(w *world) { fromVault(w); deny(w).Stores = []v1alpha1.StoreRule{*rule.DeepCopy()} },
			change: func(w *world) { change(&deny(w).Stores[0]) },
			see:    withheld("spec.models[0].credential"), before: given, after: by}
	}
	store := func(kind v1alpha1.StoreKind, name v1alpha1.ObjectName) v1alpha1.StoreReference {
		return v1alpha1.StoreReference{Kind: kind, Name: name}
	}
	return []truth{
		one("kind", v1alpha1.StoreRule{StoreReference: store(v1alpha1.StoreInCage, "vault")}, func(s *v1alpha1.StoreRule) { s.Kind = v1alpha1.StoreOfCluster }),
		one("name", v1alpha1.StoreRule{StoreReference: store(v1alpha1.StoreOfCluster, "safe")}, func(s *v1alpha1.StoreRule) { s.Name = "vault" }),
		one("keys", v1alpha1.StoreRule{StoreReference: store(v1alpha1.StoreOfCluster, "vault"), Keys: patterns("other/*")},
			func(s *v1alpha1.StoreRule) { s.Keys = patterns("acme/*") }),
	}
}

// requireTruths are the cases of what is required, by a policy or by a baseline.
func requireTruths(field, by string, require func(*world) *v1alpha1.PolicyRequirements) []truth {
	by = "RequiredByPolicy by " + by
	cases := []truth{
		{field: field + ".maxLifetimeDays", change: func(w *world) { require(w).MaxLifetimeDays = 30 },
			see:    grants("when it ends", func(g *v1alpha1.ClawGrantSpec) any { return day(g.ExpiresAt) }),
			before: "never", after: noon.AddDate(0, 0, 10).Format("2006-01-02")},
		{field: field + ".limits.requestsPerMinute", change: func(w *world) { require(w).Limits.RequestsPerMinute = 60 },
			see:    grants("the limit of requests", func(g *v1alpha1.ClawGrantSpec) any { return g.Limits.RequestsPerMinute }),
			before: "0", after: "60"},
		{field: field + ".runtime.images", change: func(w *world) { require(w).Runtime.Images = patterns("registry.example/*") },
			see: withheld("spec.runtime.container.image"), before: given, after: by},
		{field: field + ".runtime.digests", change: func(w *world) { require(w).Runtime.Digests = v1alpha1.DigestsRequired },
			see: withheld("spec.runtime.container.image"), before: given, after: by},
		{field: field + ".runtime.runtimeClassNames", change: func(w *world) { require(w).Runtime.RuntimeClassNames = []v1alpha1.ObjectName{"gvisor"} },
			see: withheld("spec.runtime"), before: given, after: by},
		{field: field + ".credentials.sources", change: func(w *world) {
			require(w).Credentials.Sources = []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}
		}, see: withheld("spec.models[0].credential"), before: given, after: by},
		{field: field + ".credentials.delivery", with: func(w *world) { w.model.Spec.Delivery = v1alpha1.DeliveryContainer },
			change: func(w *world) { require(w).Credentials.Delivery = []v1alpha1.Delivery{v1alpha1.DeliveryGateway} },
			see:    withheld("spec.models[0].credential"), before: given, after: by},
		{field: field + ".credentials.maxAgeDays", change: func(w *world) { require(w).Credentials.MaxAgeDays = 5 },
			see: withheld("spec.models[0].credential"), before: given, after: by},
	}
	return append(cases, schedules(field+".schedule", func(w *world) { require(w).Schedule = allDay() },
		func(w *world) *v1alpha1.Schedule { return require(w).Schedule }, asks("claude-sonnet-5"), "no: schedule")...)
}

func day(t *metav1.Time) string {
	if t == nil {
		return "never"
	}
	return fmt.Sprint(t.UTC().Format("2006-01-02"))
}
