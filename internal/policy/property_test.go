package policy

import (
	"encoding/json"
	"flag"
	"math"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

var (
	seed  = flag.Int64("seed", 0, "seed of the property tests; 0 takes the same every time")
	cases = flag.Int("cases", 26000, "random cases of each property test")
)

// forAll calls f with a world for each case, beside the other property tests; f returns false to stop.
func forAll(t *testing.T, f func(w world, i int) bool) {
	t.Helper()
	for i := range *cases {
		if s := *seed + int64(i); !f(world{Rand: rand.New(rand.NewSource(s))}, i) {
			t.Fatalf("run again with -seed %d -cases 1", s)
		}
	}
}

// often counts what a test has seen, and fails where that was too seldom to prove anything.
type often map[string]int

func (o often) check(t *testing.T, least map[string]int) {
	t.Helper()
	if *cases < 20000 {
		return
	}
	for what, n := range least {
		if o[what] < n {
			t.Errorf("%s: only %d times, want %d: the test has lost its teeth", what, o[what], n)
		}
	}
}

// I1: what is granted was asked for, is allowed, is not denied, and is as is required. Where the Claw asks for
// exact values, it gets all of that too.
func TestGrantIsWithinRequestAndPolicies(t *testing.T) {
	t.Parallel()
	seen := often{}
	forAll(t, func(w world, i int) bool {
		w.exact = i%2 == 0
		in := w.scene()
		result, o := Compile(in.Input), newOracle(in)
		for _, held := range result.Withheld {
			seen["withheld "+kindOfPath(held.Path)+" "+string(held.Reason)]++
		}
		if !o.carries(t, seen, &result.Grant) {
			return false
		}
		for range 10 {
			if !w.judge(t, seen, o, &result.Grant) {
				return false
			}
		}
		return true
	})
	seen.check(t, map[string]int{
		"allowed tool": 2500, "allowed channel": 1000, "allowed model": 200, "allowed connector": 2000,
		"heard a member": 400, "heard a correspondent": 400, "denied by schedule": 1000, "denied by expiry": 500,
		"withheld owner NotAMember": 500, "withheld teams NotAMember": 500, "withheld visibility NotAllowed": 500, "withheld visibility DeniedByPolicy": 500,
		"withheld visibility IdentityContested": 200, "withheld schedule RequiredByPolicy": 500, "withheld schedule NotAllowed": 100,
		"withheld expiresAt RequiredByPolicy": 500, "withheld image RequiredByPolicy": 500, "withheld runtime RequiredByPolicy": 300,
		"withheld credential RequiredByPolicy": 500, "withheld credential NotAllowed": 500, "withheld credential DeniedByPolicy": 20, "withheld credential CredentialNotUsable": 500,
		"withheld connector UnknownConnector": 500, "withheld channels NotAllowed": 500, "withheld channels DeniedByPolicy": 500, "withheld channels BeyondVisibility": 500,
		"withheld users NotAllowed": 500, "withheld users DeniedByPolicy": 200, "withheld correspondents BeyondVisibility": 500,
		"withheld domains NotAllowed": 500, "withheld domains DeniedByPolicy": 50, "withheld actions NotAllowed": 500, "withheld actions DeniedByPolicy": 100,
		"withheld names NotAllowed": 500, "withheld names DeniedByPolicy": 200, "withheld names BeyondVisibility": 500,
		"withheld type UnknownResourceType": 200, "withheld domains UnknownResourceType": 20, "withheld domains BeyondVisibility": 100,
		"reached recipient": 300, "reached recipient by its domain": 100, "reached mailbox": 300, "reached repository": 300, "reached its owner": 50,
		"carried a connector": 500, "limited": 500,
		"withheld models NotAllowed": 500, "withheld models DeniedByPolicy": 200,
	})
}

// kindOfPath is the last word of a path.
func kindOfPath(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	before, _, _ := strings.Cut(path, "[")
	return before
}

// judge compares one call and one message with the oracle.
func (w world) judge(t *testing.T, seen often, o oracle, grant *v1alpha1.ClawGrantSpec) bool {
	call, msg := w.call(o.Claw), w.message(o.Claw)
	verdict := DecideCall(grant, call)
	want, exact := o.tool(call), w.exact
	switch call.Authority {
	case AuthorityChannel:
		// Several channels at once are allowed where each is, by an entry that has the same
		// users for all; the oracle predicts one.
		want = want || o.speech(call) || len(call.Resources) > 1 && verdict.Allowed && o.everySpeech(call)
		exact = exact && len(call.Resources) == 1
	case AuthorityModel:
		want = o.model(call)
	case AuthorityConnector:
		want, exact = o.anything(call), false
	case "bogus":
		want = false
	}
	if verdict.Allowed && !want || exact && verdict.Allowed != want {
		t.Errorf("call %+v: %+v, want %t\n%s", call, verdict, want, cmp.Diff(nil, o.Claw.Spec))
		return false
	}
	heard, mayHear := DecideMessage(grant, msg), o.message(msg)
	if heard.Allowed && !mayHear || w.exact && heard.Allowed != mayHear {
		t.Errorf("message %+v: %+v, want %t", msg, heard, mayHear)
		return false
	}
	switch {
	case verdict.Allowed:
		seen["allowed "+string(call.Authority)]++
		o.reached(seen, grant, call)
	default:
		seen["denied by "+verdict.Rule]++
	}
	switch {
	case heard.Allowed && strings.HasSuffix(heard.Rule, ".correspondents"):
		seen["heard a correspondent"]++
	case heard.Allowed:
		seen["heard a member"]++
	}
	return true
}

// reached counts what a call that is allowed is about.
func (o oracle) reached(seen often, grant *v1alpha1.ClawGrantSpec, call Call) {
	for _, r := range call.Resources {
		seen["reached "+r.Type]++
		if r.Type == "recipient" && o.Claw.Spec.Visibility == v1alpha1.VisibilityPrivate {
			seen["reached its owner"]++
		}
		byName := slices.ContainsFunc(grant.Tools, func(e v1alpha1.ToolRequest) bool {
			return slices.ContainsFunc(e.Resources, func(s v1alpha1.ResourceScope) bool { return s.Type == r.Type && matchesAny(s.Names, r.Name) })
		})
		if !byName {
			seen["reached "+r.Type+" by its domain"]++
		}
	}
}

// carries compares what comes with a grant: the least of each limit, and the organization's own connectors that its
// entries use.
func (o oracle) carries(t *testing.T, seen often, grant *v1alpha1.ClawGrantSpec) bool {
	t.Helper()
	var want v1alpha1.Limits
	if grant.State != v1alpha1.GrantRevoked {
		want = o.limits()
	}
	if grant.Limits != want {
		t.Errorf("limits %+v, want %+v", grant.Limits, want)
		return false
	}
	if want != (v1alpha1.Limits{}) {
		seen["limited"]++
	}
	data, err := json.Marshal([]any{grant.Channels, grant.Tools, grant.Models})
	used := err == nil && strings.Contains(string(data), `"connector":"github"`)
	if used {
		seen["carried a connector"]++
	}
	if used != (len(grant.Connectors) == 1) || used && grant.Connectors[0] != (v1alpha1.GrantConnector{Name: "github", Definition: "connector: github"}) {
		t.Errorf("connectors %+v of a grant that uses one: %t", grant.Connectors, used)
		return false
	}
	return true
}

// limits are the least of all that the policies over the Claw require.
func (o oracle) limits() v1alpha1.Limits {
	none := int64(math.MaxInt64)
	found := [5]int64{none, none, none, none, none}
	for _, p := range o.over {
		l := p.Spec.Require.Limits
		for i, v := range []int64{int64(l.RequestsPerMinute), l.TokensPerDay, int64(l.ConcurrentRequests), int64(l.RequestKiB), int64(l.ResponseKiB)} {
			if v > 0 {
				found[i] = min(found[i], v)
			}
		}
	}
	for i := range found {
		if found[i] == none {
			found[i] = 0
		}
	}
	return v1alpha1.Limits{RequestsPerMinute: int32(found[0]), TokensPerDay: found[1], ConcurrentRequests: int32(found[2]), RequestKiB: int32(found[3]), ResponseKiB: int32(found[4])}
}

func (o oracle) everySpeech(call Call) bool {
	return !slices.ContainsFunc(call.Resources, func(r Resource) bool {
		single := call
		single.Resources = []Resource{r}
		return !o.speech(single)
	})
}

// The same facts in another order are the same grant, with the same hash and the same words; and the same
// facts twice are the same.
func TestGrantDependsOnNoOrder(t *testing.T) {
	t.Parallel()
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		first := Compile(in.Input)
		again := in
		again.Policies = shuffled(w, in.Policies)
		again.Credentials = shuffled(w, in.Credentials)
		again.Organization = in.Organization.DeepCopy()
		again.Organization.Spec.Members = shuffled(w, in.Organization.Spec.Members)
		again.Organization.Spec.Teams = shuffled(w, in.Organization.Spec.Teams)
		again.files = shuffled(w, in.files)
		again.join()
		if diff := cmp.Diff(first, Compile(again.Input)); diff != "" {
			t.Errorf("order changed the grant (-first +again):\n%s", diff)
			return false
		}
		return true
	})
}

// Compile reads its input and leaves it as it was: the webhook and the controllers give it objects of a cache.
func TestCompileChangesNothing(t *testing.T) {
	t.Parallel()
	forAll(t, func(w world, _ int) bool {
		in := w.scene()
		claw, org := in.Claw.DeepCopy(), in.Organization.DeepCopy()
		policies := (&v1alpha1.ClawPolicyList{Items: in.Policies}).DeepCopy()
		credentials := slices.Clone(in.Credentials)
		result := Compile(in.Input)
		scribble(&result.Grant) // nor does the grant share anything with it
		if !reflect.DeepEqual([]any{claw, org, policies.Items, credentials}, []any{in.Claw, in.Organization, in.Policies, in.Credentials}) {
			t.Errorf("Compile changed its input:\n%s", cmp.Diff([]any{claw, org, policies.Items}, []any{in.Claw, in.Organization, in.Policies}))
			return false
		}
		if again := Compile(in.Input).Grant; again.Hash != result.Grant.Hash {
			t.Error("changing a grant changed the next one")
			return false
		}
		return true
	})
}

// scribble writes over all that a grant refers to.
func scribble(g *v1alpha1.ClawGrantSpec) {
	for _, a := range g.Audience {
		wipe(a.Principals)
	}
	for _, c := range g.Channels {
		wipe(c.Channels)
		wipe(c.Users)
		wipe(c.Correspondents.Users)
		wipe(c.Correspondents.Domains)
	}
	for _, t := range g.Tools {
		wipe(t.Actions)
		for _, r := range t.Resources {
			wipe(r.Names)
			wipe(r.Domains)
		}
		if t.Schedule != nil {
			t.Schedule.TimeZone = "x"
			clear(t.Schedule.Windows)
		}
	}
	for _, m := range g.Models {
		wipe(m.Models)
	}
	for _, c := range g.Credentials {
		wipe(c.Slots)
	}
	clear(g.Connectors)
	for _, s := range g.Schedules {
		clear(s.Windows)
	}
}

func wipe[T ~string](texts []T) {
	for i := range texts {
		texts[i] = "x"
	}
}
