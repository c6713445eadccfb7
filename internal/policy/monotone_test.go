package policy

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// narrower reports whether the second grant allows nothing that the first does not: by events, and by what is
// written in it.
func (w world) narrower(t *testing.T, what string, claw *v1alpha1.Claw, before, after *Result) bool {
	for range 10 {
		if call := w.call(claw); DecideCall(&after.Grant, call).Allowed && !DecideCall(&before.Grant, call).Allowed {
			t.Errorf("%s widened the grant: %+v", what, call)
			return false
		}
		if msg := w.message(claw); DecideMessage(&after.Grant, msg).Allowed && !DecideMessage(&before.Grant, msg).Allowed {
			t.Errorf("%s widened the grant: %+v", what, msg)
			return false
		}
	}
	a, b := &after.Grant, &before.Grant
	for _, c := range a.Credentials {
		if !slices.ContainsFunc(b.Credentials, func(o v1alpha1.GrantCredential) bool { return o.Name == c.Name }) {
			t.Errorf("%s lent credential %s", what, c.Name)
			return false
		}
	}
	for _, c := range a.Connectors {
		if !slices.Contains(b.Connectors, c) {
			t.Errorf("%s brought connector %s", what, c.Name)
			return false
		}
	}
	for _, one := range a.Audience {
		for _, p := range one.Principals {
			if !inAudience(b, string(one.Connector), p) {
				t.Errorf("%s admitted %s", what, p)
				return false
			}
		}
	}
	if a.State == v1alpha1.GrantRevoked {
		return true // nothing of it counts any more
	}
	if raised(a.Limits, b.Limits) || b.ExpiresAt != nil && (a.ExpiresAt == nil || a.ExpiresAt.After(b.ExpiresAt.Time)) || after.RuntimeAllowed && !before.RuntimeAllowed {
		t.Errorf("%s raised a limit, an end, or what may run", what)
		return false
	}
	return true
}

// raised reports whether a limit is above what it was.
func raised(now, was v1alpha1.Limits) bool {
	above := func(now, was int64) bool { return was != 0 && (now == 0 || now > was) }
	return above(int64(now.RequestsPerMinute), int64(was.RequestsPerMinute)) || above(now.TokensPerDay, was.TokensPerDay) ||
		above(int64(now.ConcurrentRequests), int64(was.ConcurrentRequests)) || above(int64(now.RequestKiB), int64(was.RequestKiB)) ||
		above(int64(now.ResponseKiB), int64(was.ResponseKiB))
}

// I1: taking an allow away, or adding a denial or a requirement, never widens a grant.
func TestLessPolicyNeverWidens(t *testing.T) {
	t.Parallel()
	seen := often{}
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		before := Compile(in.Input)
		in.Policies = slices.Clone(in.Policies)
		what := w.baseline(in.Organization)
		if len(in.Policies) > 0 && w.chance(85) {
			p := &in.Policies[w.Intn(len(in.Policies))]
			p = p.DeepCopy()
			what = w.tighten(p)
			for i := range in.Policies {
				if in.Policies[i].Name == p.Name {
					in.Policies[i] = *p
				}
			}
		}
		after := Compile(in.Input)
		if after.Grant.Hash != before.Grant.Hash {
			seen[what]++
		}
		return w.narrower(t, what, in.Claw, &before, &after)
	})
	least := map[string]int{}
	for _, what := range []string{"removing a visibility", "removing a channel rule", "removing a tool rule", "removing a model rule", "narrowing a tool rule", "narrowing a channel rule",
		"narrowing a model rule", "removing a store rule", "removing all that is allowed", "denying channels", "denying tools", "denying models and a visibility", "denying stores",
		"a requirement", "a denial of the baseline", "a requirement of the baseline"} {
		least[what] = 20
	}
	seen.check(t, least)
}

// baseline makes the platform's ceiling lower, in a copy.
func (w world) baseline(org *v1alpha1.ClawOrganization) string {
	b := &org.Spec.Baseline
	if w.chance(50) {
		add := w.denials()
		b.Deny = v1alpha1.PolicyRules{Visibility: append(slices.Clone(b.Deny.Visibility), add.Visibility...), Channels: append(slices.Clone(b.Deny.Channels), add.Channels...),
			Tools: append(slices.Clone(b.Deny.Tools), add.Tools...), Models: append(slices.Clone(b.Deny.Models), add.Models...), Stores: append(slices.Clone(b.Deny.Stores), add.Stores...)}
		return "a denial of the baseline"
	}
	w.require(&b.Require)
	return "a requirement of the baseline"
}

// require adds a requirement where there is none, or makes one stricter.
func (w world) require(r *v1alpha1.PolicyRequirements) {
	switch w.Intn(8) {
	case 0:
		if r.Schedule == nil {
			r.Schedule = w.schedule()
		} else {
			r.Schedule = r.Schedule.DeepCopy()
			r.Schedule.Windows = r.Schedule.Windows[:len(r.Schedule.Windows)-1]
		}
	case 1:
		r.MaxLifetimeDays = stricter(w, r.MaxLifetimeDays)
	case 2:
		if r.Runtime.Images == nil {
			r.Runtime.Images = []v1alpha1.Pattern{one(w, worldImagePatterns).pattern}
		} else if len(r.Runtime.Images) > 1 {
			r.Runtime.Images = r.Runtime.Images[1:]
		}
	case 3:
		r.Runtime.Digests = v1alpha1.DigestsRequired
	case 4:
		r.Runtime.RuntimeClassNames = []v1alpha1.ObjectName{"gvisor"}
	case 5:
		if len(r.Credentials.Sources) != 1 {
			r.Credentials.Sources = []v1alpha1.SourceKind{v1alpha1.SourceSecret}
		}
		r.Credentials.Delivery = []v1alpha1.Delivery{v1alpha1.DeliveryGateway}
	case 6:
		r.Credentials.MaxAgeDays = stricter(w, r.Credentials.MaxAgeDays)
	default:
		l := &r.Limits
		switch w.Intn(5) {
		case 0:
			l.RequestsPerMinute = stricter(w, l.RequestsPerMinute)
		case 1:
			l.TokensPerDay = int64(stricter(w, int32(l.TokensPerDay)))
		case 2:
			l.ConcurrentRequests = stricter(w, l.ConcurrentRequests)
		case 3:
			l.RequestKiB = stricter(w, l.RequestKiB)
		default:
			l.ResponseKiB = stricter(w, l.ResponseKiB)
		}
	}
}

func stricter(w world, than int32) int32 {
	if than == 0 {
		return int32(1 + w.Intn(40))
	}
	return 1 + int32(w.Intn(int(than)))
}

// tighten makes a policy allow less, and says how.
func (w world) tighten(p *v1alpha1.ClawPolicy) string {
	allow, deny := &p.Spec.Allow, &p.Spec.Deny
	switch w.Intn(14) {
	case 0:
		allow.Visibility = drop(w, allow.Visibility)
		return "removing a visibility"
	case 1:
		allow.Channels = drop(w, allow.Channels)
		return "removing a channel rule"
	case 2:
		allow.Tools = drop(w, allow.Tools)
		return "removing a tool rule"
	case 3:
		allow.Models = drop(w, allow.Models)
		return "removing a model rule"
	case 4:
		if len(allow.Tools) > 0 {
			w.lessTools(&allow.Tools[w.Intn(len(allow.Tools))])
		}
		return "narrowing a tool rule"
	case 5:
		if len(allow.Channels) > 0 {
			w.lessChannels(&allow.Channels[w.Intn(len(allow.Channels))])
		}
		return "narrowing a channel rule"
	case 6:
		if len(allow.Models) > 0 {
			rule := &allow.Models[w.Intn(len(allow.Models))]
			rule.Models = drop(w, rule.Models)
		}
		return "narrowing a model rule"
	case 7:
		if len(allow.Stores) > 0 && w.chance(50) {
			rule := &allow.Stores[w.Intn(len(allow.Stores))]
			rule.Keys = drop(w, rule.Keys)
		} else {
			allow.Stores = drop(w, allow.Stores)
		}
		return "removing a store rule"
	case 8:
		*allow = v1alpha1.PolicyRules{}
		return "removing all that is allowed"
	case 9:
		deny.Channels = append(deny.Channels, w.channelRule(false))
		return "denying channels"
	case 10:
		deny.Tools = append(deny.Tools, w.toolRule(false))
		return "denying tools"
	case 11:
		deny.Stores = append(deny.Stores, w.storeRule(false))
		return "denying stores"
	case 12:
		w.require(&p.Spec.Require)
		return "a requirement"
	default:
		deny.Models, deny.Visibility = append(deny.Models, w.modelRule(false)), append(deny.Visibility, one(w, worldVisible))
		return "denying models and a visibility"
	}
}

// lessTools takes something out of an allow, or out of a request. What a denial takes out is another matter.
func (w world) lessTools(rule *v1alpha1.ToolRule) {
	if w.chance(50) {
		rule.Actions = drop(w, rule.Actions)
		return
	}
	rule.Resources = slices.Clone(rule.Resources)
	if len(rule.Resources) > 0 && w.chance(70) {
		scope := &rule.Resources[w.Intn(len(rule.Resources))]
		if w.chance(40) {
			scope.Domains = drop(w, scope.Domains)
		} else {
			scope.Names = drop(w, scope.Names)
		}
		return
	}
	rule.Resources = drop(w, rule.Resources)
}

func (w world) lessChannels(rule *v1alpha1.ChannelRule) {
	switch w.Intn(4) {
	case 0:
		rule.Channels = drop(w, rule.Channels)
	case 1:
		rule.Users = drop(w, rule.Users)
	case 2:
		rule.Correspondents.Users = drop(w, rule.Correspondents.Users)
	default:
		rule.Correspondents.Domains = drop(w, rule.Correspondents.Domains)
	}
}

func drop[T any](w world, in []T) []T {
	if len(in) == 0 {
		return nil
	}
	i := w.Intn(len(in))
	return slices.Delete(slices.Clone(in), i, i+1)
}

// I1: asking for less never gives more.
func TestLessAskedNeverWidens(t *testing.T) {
	t.Parallel()
	seen := often{}
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		before := Compile(in.Input)
		in.Claw = in.Claw.DeepCopy()
		what := w.askLess(&in)
		after := Compile(in.Input)
		if after.Grant.Hash != before.Grant.Hash {
			seen[what]++
		}
		return w.narrower(t, what, in.Claw, &before, &after)
	})
	least := map[string]int{}
	for _, what := range []string{"an entry of channels", "an entry of tools", "an entry of models", "a part of channels", "a part of tools", "a part of models",
		"a credential", "an earlier end", "a schedule", "a schedule of tools", "revoking"} {
		least[what] = 25
	}
	seen.check(t, least)
}

func (w world) askLess(in *scene) string {
	spec := &in.Claw.Spec
	switch w.Intn(11) {
	case 0:
		spec.Channels = drop(w, spec.Channels)
		return "an entry of channels"
	case 1:
		spec.Tools = drop(w, spec.Tools)
		return "an entry of tools"
	case 2:
		spec.Models = drop(w, spec.Models)
		return "an entry of models"
	case 3:
		if len(spec.Channels) > 0 {
			w.lessChannels(&spec.Channels[w.Intn(len(spec.Channels))].ChannelRule)
		}
		return "a part of channels"
	case 4:
		if len(spec.Tools) > 0 {
			w.lessTools(&spec.Tools[w.Intn(len(spec.Tools))].ToolRule)
		}
		return "a part of tools"
	case 5:
		if len(spec.Models) > 0 {
			m := &spec.Models[w.Intn(len(spec.Models))]
			m.Models = drop(w, m.Models)
		}
		return "a part of models"
	case 6:
		in.Credentials = drop(w, in.Credentials)
		return "a credential"
	case 7:
		end := w.later()
		if spec.ExpiresAt != nil && spec.ExpiresAt.Before(end) {
			end = &metav1.Time{Time: spec.ExpiresAt.Add(-time.Duration(w.Intn(100)) * time.Hour)}
		}
		spec.ExpiresAt = end
		return "an earlier end"
	case 8:
		if spec.Schedule == nil {
			spec.Schedule = &v1alpha1.ClawSchedule{Schedule: *w.schedule()}
		} else {
			spec.Schedule.Windows = spec.Schedule.Windows[:len(spec.Schedule.Windows)-1] // the first may be what spoils it
		}
		return "a schedule"
	case 9:
		if len(spec.Tools) > 0 {
			if t := &spec.Tools[w.Intn(len(spec.Tools))]; t.Schedule == nil {
				t.Schedule = w.schedule()
			}
		}
		return "a schedule of tools"
	default:
		spec.State = v1alpha1.ClawRevoked
		return "revoking"
	}
}

// I1: who leaves, and what identity is taken away, widens nothing: where policies that deny or require do not
// select by team, and nobody else claims what is left behind.
func TestLessDirectoryNeverWidens(t *testing.T) {
	t.Parallel()
	seen := often{}
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		in.files = nil // who is named twice would count as named elsewhere
		for i := range in.Policies {
			if p := &in.Policies[i].Spec; len(p.Deny.Channels)+len(p.Deny.Tools)+len(p.Deny.Models)+len(p.Deny.Visibility)+len(p.Deny.Stores) > 0 || !cmp.Equal(p.Require, v1alpha1.PolicyRequirements{}) {
				p.Selector.Teams = nil
			}
		}
		for i := range in.Organization.Spec.Members { // each has identities of their own
			for kind, ids := range in.Organization.Spec.Members[i].Identities {
				for k := range ids {
					ids[k] = worldUsers[(i+k)%len(worldUsers)]
					if kind == "email" {
						ids[k] = worldMail[(i+k)%len(worldMail)]
					}
				}
				clear(ids[min(len(ids), 1):])
			}
		}
		in.join()
		before := Compile(in.Input)
		in.Organization = in.Organization.DeepCopy()
		what := w.leave(&in.Organization.Spec)
		in.join()
		after := Compile(in.Input)
		if after.Grant.Hash != before.Grant.Hash {
			seen[what]++
		}
		return w.narrower(t, what, in.Claw, &before, &after)
	})
	seen.check(t, map[string]int{"a member": 200, "a team": 50, "a member of a team": 25, "an identity": 50, "everybody": 200})
}

func (w world) leave(spec *v1alpha1.ClawOrganizationSpec) string {
	switch w.Intn(5) {
	case 0:
		spec.Members = drop(w, spec.Members)
		return "a member"
	case 1:
		spec.Teams = drop(w, spec.Teams)
		return "a team"
	case 2:
		t := &spec.Teams[w.Intn(len(spec.Teams))]
		t.Members = drop(w, t.Members)
		return "a member of a team"
	case 3:
		if len(spec.Members) > 0 {
			m := &spec.Members[w.Intn(len(spec.Members))]
			kind := one(w, []string{"slack", "slack", "email"})
			m.Identities[kind] = drop(w, m.Identities[kind])
		}
		return "an identity"
	default:
		spec.Members = nil
		return "everybody"
	}
}

// I2: without policies, without a request, without a directory or without a catalogue there is nothing.
func TestAbsentIsNone(t *testing.T) {
	t.Parallel()
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		what := []string{"policies", "what is allowed", "a request", "a directory", "a catalogue", "an organization", "credentials", "a Claw"}[w.Intn(8)]
		asked := in.Claw
		switch what {
		case "policies":
			in.Policies = nil
		case "what is allowed":
			for i := range in.Policies {
				in.Policies[i].Spec.Allow = v1alpha1.PolicyRules{Stores: in.Policies[i].Spec.Allow.Stores}
			}
		case "a request":
			in.Claw = in.Claw.DeepCopy()
			in.Claw.Spec.Channels, in.Claw.Spec.Tools, in.Claw.Spec.Models = nil, nil, nil
		case "a directory":
			in.Organization.Spec.Members, in.files = nil, nil
			in.join()
		case "a catalogue":
			in.Catalogue = nil
		case "an organization":
			in.Organization, in.Directory = nil, nil
		case "credentials":
			in.Credentials, in.SkipCredentials = nil, false
		case "a Claw":
			in.Claw = nil
		}
		grant := Compile(in.Input).Grant
		if len(grant.Channels)+len(grant.Tools)+len(grant.Models)+len(grant.Audience)+len(grant.Credentials) > 0 {
			t.Errorf("without %s, the grant holds %+v", what, grant)
			return false
		}
		for range 5 {
			if call, msg := w.call(asked), w.message(asked); DecideCall(&grant, call).Allowed || DecideMessage(&grant, msg).Allowed {
				t.Errorf("without %s, %+v or %+v is allowed", what, call, msg)
				return false
			}
		}
		return true
	})
}

// Two grants have the same hash if and only if they say the same.
func TestHashIsOfContent(t *testing.T) {
	t.Parallel()
	same, other := 0, 0
	content := func(g v1alpha1.ClawGrantSpec) v1alpha1.ClawGrantSpec {
		g.Withheld, g.AgentIPs, g.Hash = nil, nil, ""
		return g
	}
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		first := Compile(in.Input).Grant
		in.Claw = in.Claw.DeepCopy()
		w.askLess(&in)
		second := Compile(in.Input).Grant
		equal := cmp.Equal(content(first), content(second), cmpopts.EquateEmpty())
		if equal != (first.Hash == second.Hash) {
			t.Errorf("equal %t, hashes %s and %s:\n%s", equal, first.Hash, second.Hash, cmp.Diff(first, second))
			return false
		}
		if equal {
			same++
		} else {
			other++
		}
		return true
	})
	if *cases >= 1000 && (same < *cases/20 || other < *cases/20) {
		t.Errorf("%d were equal, %d were not: the test has lost its teeth", same, other)
	}
}
