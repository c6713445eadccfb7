package truth

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

func organizationTruths() []truth {
	const baseline = `baseline of ClawOrganization "acme"`
	cases := append(directoryTruths(), cageTruths()...)
	cases = append(cases, denyTruths("ClawOrganization spec.baseline.deny", baseline, func(w *world) *v1alpha1.PolicyRules {
		return &w.organization.Spec.Baseline.Deny
	})...)
	return append(cases, requireTruths("ClawOrganization spec.baseline.require", baseline, func(w *world) *v1alpha1.PolicyRequirements {
		return &w.organization.Spec.Baseline.Require
	})...)
}

func directoryTruths() []truth {
	spec := func(w *world) *v1alpha1.ClawOrganizationSpec { return &w.organization.Spec }
	return []truth{
		{field: "ClawOrganization spec.members[].name", change: func(w *world) { spec(w).Members[1].Name = "lee@other.example" },
			see: hears(leeAtSlack, "C0SUPPORT"), before: open, after: outsider},
		{field: "ClawOrganization spec.members[].identities",
			change: func(w *world) { spec(w).Members[1].Identities = map[string][]string{"slack": {"T01ACME/U02LEE"}} },
			see:    hears(leeAtSlack, "C0SUPPORT"), before: open, after: outsider},
		{field: "ClawOrganization spec.members[].kubernetes", change: func(w *world) { spec(w).Members[0].Kubernetes = []string{"sarah-2"} },
			see: ownersBinding, before: "sarah", after: "sarah-2"},
		{field: "ClawOrganization spec.teams[].name", change: func(w *world) { spec(w).Teams[0].Name = "helpdesk" },
			see: withheld("spec.teams[0]"), before: given, after: "NotAMember"},
		{field: "ClawOrganization spec.teams[].members", change: func(w *world) { spec(w).Teams[0].Members = []v1alpha1.MemberName{sarah} },
			see: hears(leeAtSlack, "C0SUPPORT"), before: open, after: outsider},
		{field: "ClawOrganization spec.directoryRefs[].configMap",
			with:   func(w *world) { spec(w).DirectoryRefs = []v1alpha1.ConfigMapReference{{ConfigMap: "nobody"}} },
			change: func(w *world) { spec(w).DirectoryRefs[0].ConfigMap = kimsDirectory },
			see:    principals, before: "[T01ACME/U01LEE T01ACME/U01SARAH]", after: "[T01ACME/U01KIM T01ACME/U01LEE T01ACME/U01SARAH]"},
	}
}

func cageTruths() []truth {
	spec := func(w *world) *v1alpha1.ClawOrganizationSpec { return &w.organization.Spec }
	const hard = "spec.hard."
	quota := func(name, limit, before, after string, with, change func(*v1alpha1.Quota)) truth {
		return truth{field: "ClawOrganization spec.quota." + name, with: func(w *world) { with(&spec(w).Quota) }, change: func(w *world) { change(&spec(w).Quota) },
			see: cages("ResourceQuota "+cage.QuotaName, hard+limit), before: before, after: after}
	}
	quantity := func(text string) *resource.Quantity { q := resource.MustParse(text); return &q }
	number := func(n int32) *int32 { return &n }
	return []truth{
		{field: "ClawOrganization spec.namespace", change: func(w *world) { spec(w).Namespace = "acme-agents" },
			see:    view{what: "the namespace that is the cage", pure: func(w *world) string { return *cage.ForOrganization(w.organization)[0].GetName() }},
			before: "acme", after: "acme-agents"},
		{field: "ClawOrganization spec.state", change: func(w *world) { spec(w).State = v1alpha1.OrganizationStopped },
			see: asks("claude-sonnet-5"), before: open, after: "no: the grant is not active"},
		{field: "ClawOrganization spec.sandbox.runtimeClassName", change: func(w *world) { spec(w).Sandbox.RuntimeClassName = presentClass },
			see: agentRuntime, before: fmt.Sprint(nil), after: presentClass},
		{field: "ClawOrganization spec.sandbox.runtimeClass",
			with: func(w *world) {
				spec(w).Sandbox = v1alpha1.Sandbox{RuntimeClassName: "missing", RuntimeClass: v1alpha1.RuntimeClassRequired}
			},
			change: func(w *world) { spec(w).Sandbox.RuntimeClass = v1alpha1.RuntimeClassPreferred },
			see:    agentRuntime, before: "held: " + v1alpha1.ReasonRuntimeClassMissing, after: fmt.Sprint(nil)},
		{field: "ClawOrganization spec.upstreamCAs.configMap",
			with:   func(w *world) { spec(w).UpstreamCAs = &v1alpha1.ConfigMapReference{ConfigMap: "nobody"} },
			change: func(w *world) { spec(w).UpstreamCAs.ConfigMap = ownRoots },
			see:    upstreamRoots, before: "the system's only", after: "the organization's too"},
		quota("claws", `count/claws\.clawstaff\.dev`, "2", "3",
			func(q *v1alpha1.Quota) { q.Claws = number(2) }, func(q *v1alpha1.Quota) { q.Claws = number(3) }),
		quota("cpu", `limits\.cpu`, "2", "3", func(q *v1alpha1.Quota) { q.CPU = quantity("2") }, func(q *v1alpha1.Quota) { q.CPU = quantity("3") }),
		quota("memory", `limits\.memory`, "2Gi", "3Gi", func(q *v1alpha1.Quota) { q.Memory = quantity("2Gi") }, func(q *v1alpha1.Quota) { q.Memory = quantity("3Gi") }),
		quota("storage", `requests\.storage`, "2Gi", "3Gi", func(q *v1alpha1.Quota) { q.Storage = quantity("2Gi") }, func(q *v1alpha1.Quota) { q.Storage = quantity("3Gi") }),
	}
}
