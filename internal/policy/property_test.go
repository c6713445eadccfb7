package policy

import (
	"flag"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

var (
	seed  = flag.Int64("seed", 0, "seed of the property tests; 0 takes the same every time")
	cases = flag.Int("cases", 20000, "random cases of each property test")
)

// forAll calls f with a world for each case; f returns false to stop.
func forAll(t *testing.T, f func(w world, i int) bool) {
	t.Helper()
	for i := range *cases {
		if s := *seed + int64(i); !f(world{Rand: rand.New(rand.NewSource(s))}, i) {
			t.Fatalf("run again with -seed %d -cases 1", s)
		}
	}
}

// I1: what is granted was asked for, is allowed, and is not denied. Where the Claw asks for exact
// values, it gets all of that too.
func TestGrantIsWithinRequestAndPolicies(t *testing.T) {
	granted := 0
	forAll(t, func(w world, i int) bool {
		w.exact = i%2 == 0
		in := w.input()
		grant, o := Compile(in).Grant, oracle{in}
		for range 12 {
			call, msg := w.call(in.Claw), w.message(in.Claw)
			got, want := DecideCall(&grant, call).Allowed, o.tool(call)
			exact := w.exact
			switch call.Authority {
			case AuthorityChannel:
				// Several channels at once are allowed where each is, by an entry that has the same
				// users for all; the oracle predicts one.
				want = want || o.speech(call) || len(call.Resources) > 1 && got && o.everySpeech(call)
				exact = exact && len(call.Resources) == 1
			case AuthorityModel:
				want = o.model(call)
			case AuthorityConnector:
				want, exact = o.open() && o.KnownConnector(call.Connector), false
			case "bogus":
				want = false
			}
			if got && !want || exact && got != want {
				t.Errorf("call %+v: allowed %t, want %t\n%s", call, got, want, cmp.Diff(nil, in.Claw.Spec))
				return false
			}
			heard, mayHear := DecideMessage(&grant, msg).Allowed, o.message(msg)
			if heard && !mayHear || w.exact && heard != mayHear {
				t.Errorf("message %+v: heard %t, want %t", msg, heard, mayHear)
				return false
			}
			if got || heard {
				granted++
			}
		}
		return true
	})
	if *cases >= 1000 && granted < *cases/4 {
		t.Errorf("only %d events were allowed in %d cases: the test has lost its teeth", granted, *cases)
	}
}

func (o oracle) everySpeech(call Call) bool {
	return !slices.ContainsFunc(call.Resources, func(r Resource) bool {
		single := call
		single.Resources = []Resource{r}
		return !o.speech(single)
	})
}

// I1: taking an allow away, or adding a denial, never widens a grant.
func TestLessPolicyNeverWidens(t *testing.T) {
	forAll(t, func(w world, _ int) bool {
		in := w.input()
		if len(in.Policies) == 0 {
			return true
		}
		before := Compile(in).Grant
		in.Policies = slices.Clone(in.Policies)
		p := in.Policies[w.Intn(len(in.Policies))].DeepCopy()
		what := w.tighten(p)
		for i := range in.Policies {
			if in.Policies[i].Name == p.Name {
				in.Policies[i] = *p
			}
		}
		after := Compile(in).Grant
		for range 12 {
			if call := w.call(in.Claw); DecideCall(&after, call).Allowed && !DecideCall(&before, call).Allowed {
				t.Errorf("%s widened the grant: %+v", what, call)
				return false
			}
			if msg := w.message(in.Claw); DecideMessage(&after, msg).Allowed && !DecideMessage(&before, msg).Allowed {
				t.Errorf("%s widened the grant: %+v", what, msg)
				return false
			}
		}
		return true
	})
}

// tighten makes a policy allow less, and says how.
func (w world) tighten(p *v1alpha1.ClawPolicy) string {
	allow, deny := &p.Spec.Allow, &p.Spec.Deny
	switch w.Intn(9) {
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
			rule := &allow.Tools[w.Intn(len(allow.Tools))]
			rule.Actions, rule.Resources = drop(w, rule.Actions), drop(w, rule.Resources)
		}
		return "narrowing a tool rule"
	case 5:
		if len(allow.Channels) > 0 {
			rule := &allow.Channels[w.Intn(len(allow.Channels))]
			rule.Channels, rule.Users = drop(w, rule.Channels), drop(w, rule.Users)
		}
		return "narrowing a channel rule"
	case 6:
		deny.Channels = append(deny.Channels, w.channelRule(false))
		return "denying channels"
	case 7:
		deny.Tools = append(deny.Tools, w.toolRule(false))
		return "denying tools"
	default:
		deny.Models, deny.Visibility = append(deny.Models, w.modelRule(false)), append(deny.Visibility, one(w, worldVisible))
		return "denying models and a visibility"
	}
}

func drop[T any](w world, in []T) []T {
	if len(in) == 0 {
		return nil
	}
	i := w.Intn(len(in))
	return slices.Delete(slices.Clone(in), i, i+1)
}

// The same facts in another order are the same grant, with the same hash and the same words.
func TestGrantDependsOnNoOrder(t *testing.T) {
	forAll(t, func(w world, _ int) bool {
		in := w.input()
		first := Compile(in)
		again := in
		again.Policies = shuffled(w, in.Policies)
		again.Credentials = shuffled(w, in.Credentials)
		again.Organization = in.Organization.DeepCopy()
		again.Organization.Spec.Members = shuffled(w, in.Organization.Spec.Members)
		again.Organization.Spec.Teams = shuffled(w, in.Organization.Spec.Teams)
		if diff := cmp.Diff(first, Compile(again)); diff != "" {
			t.Errorf("order changed the grant (-first +again):\n%s", diff)
			return false
		}
		return true
	})
}

// Compile reads its input and leaves it as it was: the webhook and the controllers give it objects of a cache.
func TestCompileChangesNothing(t *testing.T) {
	forAll(t, func(w world, i int) bool {
		if i > 2000 {
			return true
		}
		in := w.input()
		claw, org := in.Claw.DeepCopy(), in.Organization.DeepCopy()
		policies := (&v1alpha1.ClawPolicyList{Items: in.Policies}).DeepCopy()
		Compile(in)
		if diff := cmp.Diff([]any{claw, org, policies.Items}, []any{in.Claw, in.Organization, in.Policies}); diff != "" {
			t.Errorf("Compile changed its input:\n%s", diff)
			return false
		}
		return true
	})
}
