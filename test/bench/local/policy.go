package local

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// Policy measures the pure parts of a decision.
func (b *Bench) Policy(context.Context) (report.Section, error) {
	catalogue, err := connector.Builtin()
	if err != nil {
		return report.Section{}, err
	}
	anthropic := catalogue.Get("anthropic")
	request := connector.Request{Method: "POST", Path: "/v1/messages", ContentType: "application/json",
		Body: []byte(`{"model":"` + model + `","max_tokens":512,"messages":[{"role":"user","content":"How many tickets are open?"}]}`)}
	call, err := anthropic.Match(request)
	if err != nil {
		return report.Section{}, err
	}
	judged := policy.Call{Connector: "anthropic", Operation: call.Operation.ID, Action: call.Operation.Action,
		Authority: call.Operation.Authority, Resources: call.Resources}
	grant := Grant()
	if verdict := policy.DecideCall(&grant, judged); !verdict.Allowed {
		return report.Section{}, fmt.Errorf("the benchmark's call is denied: %s", verdict.Reason)
	}
	input := input(100, 20, catalogue)
	if result := policy.Compile(input); len(result.Grant.Channels) == 0 || len(result.Grant.Models) == 0 {
		return report.Section{}, fmt.Errorf("the benchmark's Claw is given nothing: %v", result.Withheld)
	}
	b.Say("policy: deciding and compiling")
	return report.Section{
		Part: "policy", Title: "Deciding and compiling", Machine: report.Machine(""), Text: policyText,
		Figures: []report.Figure{
			Measure("match a request to an operation and its resources", 5, func() { _, _ = anthropic.Match(request) }),
			Measure("decide a call", 5, func() { policy.DecideCall(&grant, judged) }),
			Measure("decide a message", 5, func() {
				policy.DecideMessage(&grant, policy.Message{Connector: "slack", Actor: "T01ACME/U01LEE", Channel: "C0SUPPORT"})
			}),
			Measure("compile a grant: 100 members, 20 policies", 5, func() { policy.Compile(input) }),
		},
	}, nil
}

const policyText = `
The pure functions that the gateway calls for every request and every message, and the one that the manager and the webhook
call for every change of a Claw. Time of one call, the median of five measurements of a second. There is nothing to compare
them with; they are here so that a change for the worse is seen.`

// Measure tells how long one call of f takes, the median of some measurements of a second, and how often it allocates.
func Measure(what string, measurements int, f func()) report.Figure {
	var times []time.Duration
	var last testing.BenchmarkResult
	for range measurements {
		last = testing.Benchmark(func(t *testing.B) {
			for t.Loop() {
				f()
			}
		})
		times = append(times, last.T/time.Duration(last.N))
	}
	return report.Figure{Name: what, Value: fmt.Sprintf("%s, %d allocations", stats.Round(stats.Median(times)), last.AllocsPerOp())}
}

// input is a Claw of an organization with so many members, under so many policies.
func input(members, policies int, catalogue policy.Catalogue) policy.Input {
	member := func(i int) v1alpha1.MemberName {
		return v1alpha1.MemberName(fmt.Sprintf("member-%d@acme.example", i))
	}
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	team := v1alpha1.Team{Name: "support"}
	for i := range members {
		org.Spec.Members = append(org.Spec.Members, v1alpha1.Member{Name: member(i), Identities: map[string][]string{"slack": {fmt.Sprintf("T01ACME/U%d", i)}}})
		if i%10 == 0 {
			team.Members = append(team.Members, member(i))
		}
	}
	org.Spec.Teams = []v1alpha1.Team{team}
	grant := Grant()
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "claw", UID: "1"}, Spec: v1alpha1.ClawSpec{
		Owner: member(0), Purpose: "Is measured.", Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"},
		Channels: grant.Channels, Tools: grant.Tools, Models: grant.Models, State: v1alpha1.ClawActive,
	}}
	in := policy.Input{Organization: org, Claw: claw, Catalogue: catalogue, Credentials: []policy.UsableCredential{
		{GrantCredential: v1alpha1.GrantCredential{Name: "anthropic", Connector: "anthropic", Slots: []string{"apiKey"}}},
		{GrantCredential: v1alpha1.GrantCredential{Name: "slack", Connector: "slack", Slots: []string{"botToken"}}}}}
	for i := range policies {
		p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: fmt.Sprintf("policy-%d", i)}}
		p.Spec.Selector.Teams = []v1alpha1.TeamName{"support"}
		p.Spec.Allow = v1alpha1.PolicyRules{Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityTeam},
			Channels: []v1alpha1.ChannelRule{grant.Channels[0].ChannelRule}, Tools: []v1alpha1.ToolRule{grant.Tools[0].ToolRule},
			Models: []v1alpha1.ModelRule{grant.Models[0].ModelRule}}
		in.Policies = append(in.Policies, p)
	}
	return in
}
