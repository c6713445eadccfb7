package policy

import (
	"fmt"
	"math/rand"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// world makes random inputs out of few enough names that everything often meets everything.
type world struct {
	*rand.Rand
	// exact makes the Claw ask for exact values only; then what is granted can be predicted fully.
	exact bool
}

var (
	worldConnectors = []v1alpha1.ConnectorName{"slack", "slack", "slack", "github", "nope"} // the catalogue has no "nope"
	worldMembers    = []v1alpha1.MemberName{"sarah", "lee", "kim", "ghost"}
	worldTeams      = []v1alpha1.TeamName{"support", "sales"}
	worldActions    = []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite, v1alpha1.ActionDelete, v1alpha1.ActionAdmin}
	worldChannels   = []string{"C1", "C12", "C2", "D1", "D12"}
	worldUsers      = []string{"T/U1", "T/U12", "T/U2", "X/U3"}
	worldModels     = []string{"claude-a", "claude-ab", "gpt-a"}
	worldTypes      = []string{ResourceChannel, "repository"}
	worldVisible    = []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam, v1alpha1.VisibilityOrganization}
)

func one[T any](w world, of []T) T { return of[w.Intn(len(of))] }

// some picks each with an even chance; often nothing.
func some[T any](w world, of []T) []T {
	var out []T
	for _, v := range of {
		if w.Intn(2) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func (w world) chance(percent int) bool { return w.Intn(100) < percent }

func (w world) pattern(of []string, exact bool) v1alpha1.Pattern {
	v := one(w, of)
	if exact || w.chance(40) {
		return v1alpha1.Pattern(v)
	}
	return v1alpha1.Pattern(v[:w.Intn(len(v)+1)] + "*")
}

func (w world) patterns(of []string, exact bool) []v1alpha1.Pattern {
	var out []v1alpha1.Pattern
	for range w.Intn(4) {
		out = append(out, w.pattern(of, exact))
	}
	return out
}

func (w world) channelRule(exact bool) v1alpha1.ChannelRule {
	return v1alpha1.ChannelRule{Connector: one(w, worldConnectors), Channels: w.patterns(worldChannels, exact), Users: w.patterns(worldUsers, exact)}
}

func (w world) toolRule(exact bool) v1alpha1.ToolRule {
	rule := v1alpha1.ToolRule{Connector: one(w, worldConnectors), Actions: some(w, worldActions)}
	for _, kind := range some(w, worldTypes) {
		rule.Resources = append(rule.Resources, v1alpha1.ResourceScope{Type: kind, Names: w.patterns(worldChannels, exact)})
	}
	return rule
}

func (w world) modelRule(exact bool) v1alpha1.ModelRule {
	return v1alpha1.ModelRule{Connector: one(w, worldConnectors), Models: w.patterns(worldModels, exact)}
}

func many[T any](w world, most int, make func(exact bool) T, exact bool) []T {
	var out []T
	for range w.Intn(most + 1) {
		out = append(out, make(exact))
	}
	return out
}

func (w world) rules(most int) v1alpha1.PolicyRules {
	return v1alpha1.PolicyRules{
		Visibility: some(w, worldVisible),
		Channels:   many(w, most, w.channelRule, false),
		Tools:      many(w, most, w.toolRule, false),
		Models:     many(w, most, w.modelRule, false),
	}
}

func (w world) policy(i int) v1alpha1.ClawPolicy {
	p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: "acme"}}
	p.Spec.Selector = v1alpha1.PolicySelector{All: w.chance(50), Owners: some(w, worldMembers), Teams: some(w, worldTeams)}
	if w.chance(10) {
		p.Namespace = "other"
	}
	p.Spec.Allow = w.rules(4)
	if w.chance(50) {
		p.Spec.Deny = w.rules(1)
		if w.chance(70) {
			p.Spec.Deny.Visibility = nil
		}
	}
	return p
}

func (w world) organization() *v1alpha1.ClawOrganization {
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	for _, name := range worldMembers[:3] {
		if w.chance(90) {
			org.Spec.Members = append(org.Spec.Members, v1alpha1.Member{Name: name, Identities: map[string][]string{"slack": some(w, worldUsers), "github": some(w, worldUsers)}})
		}
	}
	for _, name := range worldTeams {
		org.Spec.Teams = append(org.Spec.Teams, v1alpha1.Team{Name: name, Members: some(w, worldMembers)})
	}
	if w.chance(3) {
		org.Spec.State = v1alpha1.OrganizationStopped
	}
	return org
}

func (w world) claw() *v1alpha1.Claw {
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme", UID: "uid"}}
	claw.Spec.Owner, claw.Spec.Visibility, claw.Spec.State = one(w, worldMembers), one(w, worldVisible), v1alpha1.ClawActive
	if claw.Spec.Visibility == v1alpha1.VisibilityTeam {
		claw.Spec.Teams = []v1alpha1.TeamName{one(w, worldTeams)}
	}
	if w.chance(3) {
		claw.Spec.State = v1alpha1.ClawRevoked
	}
	credential := func() v1alpha1.ObjectName {
		return one(w, []v1alpha1.ObjectName{"slack-key", "github-key", "slack-key"})
	}
	for _, rule := range many(w, 3, w.channelRule, w.exact) {
		claw.Spec.Channels = append(claw.Spec.Channels, v1alpha1.ChannelRequest{ChannelRule: rule, Credential: credential()})
	}
	for _, rule := range many(w, 3, w.toolRule, w.exact) {
		claw.Spec.Tools = append(claw.Spec.Tools, v1alpha1.ToolRequest{ToolRule: rule, Credential: credential()})
	}
	for _, rule := range many(w, 3, w.modelRule, w.exact) {
		claw.Spec.Models = append(claw.Spec.Models, v1alpha1.ModelRequest{ModelRule: rule, Credential: credential()})
	}
	return claw
}

func (w world) input() Input {
	in := Input{Organization: w.organization(), Claw: w.claw(), KnownConnector: func(name string) bool { return name != "nope" }}
	for i := range w.Intn(4) {
		in.Policies = append(in.Policies, w.policy(i))
	}
	in.Credentials = some(w, []UsableCredential{
		{GrantCredential: v1alpha1.GrantCredential{Name: "slack-key", Connector: "slack", Slots: []string{"botToken"}, Version: "v1"}},
		{GrantCredential: v1alpha1.GrantCredential{Name: "slack-key", Connector: "slack", Slots: []string{"botToken"}, Version: "v1"}},
		{GrantCredential: v1alpha1.GrantCredential{Name: "github-key", Connector: "github", Slots: []string{"token"}, Version: "v1"}},
	})
	in.SkipCredentials = w.chance(30)
	return in
}

// call is one the Claw may have asked for: most often close to an entry of it.
func (w world) call(claw *v1alpha1.Claw) Call {
	call := Call{Connector: string(one(w, worldConnectors)), Operation: "op", Action: one(w, worldActions),
		Authority: one(w, []Authority{AuthorityTool, AuthorityTool, AuthorityChannel, AuthorityModel, AuthorityConnector, "bogus"})}
	add := func(kind string, names []v1alpha1.Pattern, all []string) {
		if len(names) > 0 && w.chance(70) {
			call.Resources = append(call.Resources, Resource{Type: kind, Name: w.value(one(w, names), all)})
		}
	}
	for range w.Intn(3) {
		switch spec := claw.Spec; {
		case call.Authority == AuthorityModel && len(spec.Models) > 0:
			ask := one(w, spec.Models)
			call.Connector = string(ask.Connector)
			add(ResourceModel, ask.Models, worldModels)
		case call.Authority == AuthorityChannel && len(spec.Channels) > 0:
			ask := one(w, spec.Channels)
			call.Connector = string(ask.Connector)
			add(ResourceChannel, ask.Channels, worldChannels)
		case len(spec.Tools) > 0:
			ask := one(w, spec.Tools)
			call.Connector = string(ask.Connector)
			if len(ask.Actions) > 0 {
				call.Action = one(w, ask.Actions)
			}
			for _, scope := range ask.Resources {
				add(scope.Type, scope.Names, worldChannels)
			}
		}
	}
	return call
}

// value is one that a pattern matches, where the world has one; else any.
func (w world) value(p v1alpha1.Pattern, all []string) string {
	for range 10 {
		if v := one(w, all); Matches(p, v) {
			return v
		}
	}
	return one(w, all)
}

// message is one the Claw may have asked to hear.
func (w world) message(claw *v1alpha1.Claw) Message {
	m := Message{Connector: string(one(w, worldConnectors)), Actor: one(w, worldUsers), Channel: one(w, worldChannels)}
	if len(claw.Spec.Channels) > 0 {
		ask := one(w, claw.Spec.Channels)
		m.Connector = string(ask.Connector)
		if len(ask.Channels) > 0 {
			m.Channel = w.value(one(w, ask.Channels), worldChannels)
		}
	}
	return m
}

func shuffled[T any](w world, in []T) []T {
	out := append([]T(nil), in...)
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
