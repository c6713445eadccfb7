package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

var noon = time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)

// runningExample is the example with an image, a creation, and a time.
func runningExample() Input {
	in := example()
	in.Now, in.RuntimeClassName = noon, "gvisor"
	in.Claw.CreationTimestamp = metav1.NewTime(noon.Add(-24 * time.Hour))
	in.Claw.Spec.Runtime.Container = &v1alpha1.ContainerRuntime{Image: "registry.example/acme/app:1"}
	for i := range in.Credentials {
		in.Credentials[i].Source.Secret = &v1alpha1.SecretSource{Name: "s"}
		in.Credentials[i].RotatedAt = noon.Add(-48 * time.Hour)
	}
	return in
}

func hours(zone, start, end string) *v1alpha1.Schedule {
	return &v1alpha1.Schedule{TimeZone: zone, Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Mon", "Tue", "Wed", "Thu", "Fri"}, Start: start, End: end}}}
}

func endIn(d time.Duration) *metav1.Time { return &metav1.Time{Time: noon.Add(d)} }

const day = 24 * time.Hour

// What is not as required: where it is said, by whom, and that the message has what was asked, what is required and what to do.
func TestRequirements(t *testing.T) {
	for _, c := range []struct {
		name   string
		mutate func(in *Input, spec *v1alpha1.ClawSpec, require *v1alpha1.PolicyRequirements)
		want   []string
		left   string
		words  []string // of the first message
	}{
		{"all as required", func(_ *Input, s *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			s.Schedule, s.ExpiresAt = &v1alpha1.ClawSchedule{Schedule: *hours("Europe/Berlin", "09:00", "17:00")}, endIn(30*day)
			*r = v1alpha1.PolicyRequirements{Schedule: hours("Europe/Berlin", "08:00", "18:00"), MaxLifetimeDays: 90,
				Runtime:     v1alpha1.RuntimeRequirements{Images: []v1alpha1.Pattern{"registry.example/acme/*"}, RuntimeClassNames: []v1alpha1.ObjectName{"gvisor"}},
				Credentials: v1alpha1.CredentialRequirements{Sources: []v1alpha1.SourceKind{v1alpha1.SourceSecret}, Delivery: []v1alpha1.Delivery{v1alpha1.DeliveryGateway}, MaxAgeDays: 90}}
		}, nil, "1 1 1", nil},
		{"always open", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			r.Schedule = hours("Europe/Berlin", "08:00", "18:00")
		}, []string{"spec.schedule RequiredByPolicy support-agents"}, "1 1 1",
			[]string{"asked to be open always", `ClawPolicy "support-agents" requires that it be open only Mon Tue Wed Thu Fri 08:00-18:00 (Europe/Berlin)`, "set spec.schedule to that"}},
		{"open for longer", func(_ *Input, s *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			s.Schedule, r.Schedule = &v1alpha1.ClawSchedule{Schedule: *hours("Europe/London", "08:00", "17:01")}, hours("Europe/Berlin", "09:00", "18:00")
		}, []string{"spec.schedule RequiredByPolicy support-agents"}, "1 1 1", []string{"asked to be open Mon Tue Wed Thu Fri 08:00-17:01 (Europe/London)"}},
		{"a zone nobody knows", func(_ *Input, s *v1alpha1.ClawSpec, _ *v1alpha1.PolicyRequirements) {
			s.Schedule = &v1alpha1.ClawSchedule{Schedule: *hours("Europe/Atlantis", "08:00", "18:00")}
		}, []string{"spec.schedule NotAllowed"}, "1 1 1", []string{`spec.schedule.timeZone: "Europe/Atlantis" is no zone`, "Europe/Berlin or UTC", "never open"}},
		{"an empty window of tools", func(_ *Input, s *v1alpha1.ClawSpec, _ *v1alpha1.PolicyRequirements) {
			s.Tools[0].Schedule = hours("UTC", "08:00", "08:00")
		}, []string{"spec.tools[0].schedule NotAllowed"}, "1 1 1", []string{"spec.tools[0].schedule.windows[0].end: a window from 08:00 to 08:00 is empty"}},
		{"a required zone nobody knows", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			r.Schedule = hours("Europe/Atlantis", "08:00", "18:00")
		}, []string{"spec.schedule RequiredByPolicy support-agents"}, "1 1 1", []string{"never open", "have security change that policy"}},
		{"no end", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) { r.MaxLifetimeDays = 90 },
			[]string{"spec.expiresAt RequiredByPolicy support-agents"}, "1 1 1", []string{"asked for no end", "within 90 days", "set spec.expiresAt to 2026-06-24T12:00:00Z or earlier"}},
		{"a later end", func(_ *Input, s *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			s.ExpiresAt, r.MaxLifetimeDays = endIn(90*day), 90
		}, []string{"spec.expiresAt RequiredByPolicy support-agents"}, "1 1 1", []string{"asked to end at 2026-06-25T12:00:00Z"}},
		{"another image", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			r.Runtime.Images = []v1alpha1.Pattern{"registry.example/openclaw/openclaw:*"}
		}, []string{"spec.runtime.container.image RequiredByPolicy support-agents"}, "0 0 0", []string{`asked to run image "registry.example/acme/app:1"`, "registry.example/openclaw/openclaw:*", "run one of them"}},
		{"no digest", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			r.Runtime.Digests = v1alpha1.DigestsRequired
		}, []string{"spec.runtime.container.image RequiredByPolicy support-agents"}, "0 0 0", []string{"named by its digest", "write registry.example/acme/app@sha256:..."}},
		{"a digest mode nobody knows is the strict one", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) { r.Runtime.Digests = "Maybe" },
			[]string{"spec.runtime.container.image RequiredByPolicy support-agents"}, "0 0 0", nil},
		{"an image that is none", func(_ *Input, s *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			s.Runtime.Container.Image, r.Runtime.Images = "deadbeef", []v1alpha1.Pattern{"*"}
		}, []string{"spec.runtime.container.image RequiredByPolicy support-agents"}, "0 0 0", []string{"cannot be read as the name of one"}},
		{"nothing that runs", func(_ *Input, s *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			s.Runtime.Container, r.Runtime.Images = nil, []v1alpha1.Pattern{"*"}
		}, []string{"spec.runtime RequiredByPolicy support-agents"}, "0 0 0", nil},
		{"another runtime class", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			r.Runtime.RuntimeClassNames = []v1alpha1.ObjectName{"kata"}
		}, []string{"spec.runtime RequiredByPolicy support-agents"}, "0 0 0", []string{`runtime class "gvisor"`, "one of the runtime classes kata", "have the platform set"}},
		{"another source", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			r.Credentials.Sources = []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}
		}, []string{"spec.channels[0].credential RequiredByPolicy support-agents", "spec.tools[0].credential RequiredByPolicy support-agents", "spec.models[0].credential RequiredByPolicy support-agents"}, "0 0 0",
			[]string{`ClawCredential "slack-key"`, "from source Secret", "one of the sources ExternalSecret"}},
		{"another delivery", func(in *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			in.Credentials[0].Delivery, r.Credentials.Delivery = v1alpha1.DeliveryContainer, []v1alpha1.Delivery{v1alpha1.DeliveryGateway}
		}, []string{"spec.models[0].credential RequiredByPolicy support-agents"}, "1 1 0", []string{"asked for delivery Container"}},
		{"too old a key", func(_ *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) { r.Credentials.MaxAgeDays = 2 },
			[]string{"spec.channels[0].credential RequiredByPolicy support-agents", "spec.tools[0].credential RequiredByPolicy support-agents", "spec.models[0].credential RequiredByPolicy support-agents"}, "0 0 0",
			[]string{"last changed at 2026-03-25T12:00:00Z", "a change every 2 days", "replace the key's value"}},
		{"a key of unknown age", func(in *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			in.Credentials[0].RotatedAt, r.Credentials.MaxAgeDays = time.Time{}, 90
		}, []string{"spec.models[0].credential RequiredByPolicy support-agents"}, "1 1 0", []string{"age is not known"}},
		{"a store nobody allows", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.PolicyRequirements) {
			in.Credentials[0].Source = vault("acme/a")
		}, []string{"spec.models[0].credential NotAllowed"}, "1 1 0", []string{"asked for store ClusterSecretStore/vault", "allow no stores and keys"}},
		{"the baseline is named as what it is", func(in *Input, _ *v1alpha1.ClawSpec, _ *v1alpha1.PolicyRequirements) {
			in.Organization.Spec.Baseline.Require.MaxLifetimeDays = 10
			in.Organization.Spec.Baseline.Deny.Models = []v1alpha1.ModelRule{{Connector: "anthropic"}}
			in.Policies[0].Name = "acme" // as the organization
		}, []string{`spec.expiresAt RequiredByPolicy baseline of ClawOrganization "acme"`, `spec.models[0].models[0] DeniedByPolicy baseline of ClawOrganization "acme"`}, "1 1 0",
			[]string{`the baseline of ClawOrganization "acme" requires`, "have the platform change that baseline"}},
		{"the shortest lifetime is named", func(in *Input, _ *v1alpha1.ClawSpec, r *v1alpha1.PolicyRequirements) {
			in.Organization.Spec.Baseline.Require.MaxLifetimeDays, r.MaxLifetimeDays = 10, 9
		}, []string{"spec.expiresAt RequiredByPolicy support-agents"}, "1 1 1", []string{"within 9 days"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := runningExample()
			c.mutate(&in, &in.Claw.Spec, &in.Policies[0].Spec.Require)
			got := Compile(in)
			if diff := cmp.Diff(c.want, withheldOf(got)); diff != "" {
				t.Errorf("withheld (-want +got):\n%s", diff)
			}
			if left := countsOf(got.Grant); left != c.left || got.RuntimeAllowed != !strings.HasPrefix(strings.Join(c.want, " "), "spec.runtime") {
				t.Errorf("left: %s, want %s; runtime allowed: %t", left, c.left, got.RuntimeAllowed)
			}
			for _, word := range c.words {
				if !strings.Contains(got.Withheld[0].Message, word) {
					t.Errorf("the message lacks %q: %s", word, got.Withheld[0].Message)
				}
			}
		})
	}
}

func vault(keys ...string) v1alpha1.CredentialSource {
	e := &v1alpha1.ExternalSecretSource{SecretStoreRef: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}}
	for _, k := range keys {
		e.Data = append(e.Data, v1alpha1.ExternalSecretData{Slot: "token", Key: k})
	}
	return v1alpha1.CredentialSource{ExternalSecret: e}
}

// What a grant holds of requirements, when it is over, and when it changes by itself.
func TestGrantInTime(t *testing.T) {
	in := runningExample()
	in.Claw.Spec.Schedule, in.Claw.Spec.ExpiresAt = &v1alpha1.ClawSchedule{Schedule: *hours("UTC", "09:00", "17:00")}, endIn(30*day)
	require := &in.Policies[0].Spec.Require
	require.Schedule, require.MaxLifetimeDays, require.Limits.RequestsPerMinute, require.Credentials.MaxAgeDays = hours("UTC", "08:00", "18:00"), 10, 60, 5
	in.Organization.Spec.Baseline.Require = v1alpha1.PolicyRequirements{Schedule: hours("UTC", "08:00", "18:00"), MaxLifetimeDays: 20, Limits: v1alpha1.Limits{RequestsPerMinute: 90}}
	got := Compile(in)
	if diff := cmp.Diff([]v1alpha1.Schedule{*hours("UTC", "08:00", "18:00"), *hours("UTC", "09:00", "17:00")}, got.Grant.Schedules); diff != "" {
		t.Errorf("schedules (-want +got):\n%s", diff)
	}
	if !got.Grant.ExpiresAt.Time.Equal(noon.Add(9*day)) || got.Grant.Limits.RequestsPerMinute != 60 || got.Expired {
		t.Errorf("ends %s, limit %d, expired %t", got.Grant.ExpiresAt, got.Grant.Limits.RequestsPerMinute, got.Expired)
	}
	if want := noon.Add(3 * day); !got.Next.Equal(want) {
		t.Errorf("changes at %s, want %s, when the keys are too old", got.Next, want)
	}
	in.Now = got.Next
	old := Compile(in)
	if countsOf(old.Grant) != "0 0 0" || !old.Next.Equal(noon.Add(9*day)) {
		t.Errorf("with keys that are too old: %s, changes at %s", countsOf(old.Grant), old.Next)
	}
	in.Now = old.Next
	over := Compile(in)
	if !over.Expired || over.Grant.State != v1alpha1.GrantStopped || !over.Next.IsZero() {
		t.Errorf("at its end: expired %t, state %s, changes at %s", over.Expired, over.Grant.State, over.Next)
	}
	in.Now = time.Time{}
	if at := Compile(in); !at.Expired || countsOf(at.Grant) != "0 0 0" {
		t.Errorf("at no time: expired %t, %s", at.Expired, countsOf(at.Grant))
	}
	for _, days := range []int32{-1, -2147483648, 2147483647} {
		in.Now, require.MaxLifetimeDays, require.Credentials.MaxAgeDays = noon, days, days
		if got := Compile(in); got.Expired != (days < 0) {
			t.Errorf("%d days: expired %t", days, got.Expired)
		}
	}
}

// A new Claw is created now.
func TestLifetimeOfANewClaw(t *testing.T) {
	in := runningExample()
	in.Claw.CreationTimestamp, in.Policies[0].Spec.Require.MaxLifetimeDays = metav1.Time{}, 90
	in.Claw.Spec.ExpiresAt = endIn(90 * day)
	if got := Compile(in); len(got.Withheld) > 0 || !got.Grant.ExpiresAt.Time.Equal(noon.Add(90*day)) {
		t.Errorf("%+v", got.Withheld)
	}
}

func TestCheckCredential(t *testing.T) {
	const store, key = "spec.source.externalSecret.secretStoreRef", "spec.source.externalSecret.data[0].key"
	allow := func(keys ...v1alpha1.Pattern) v1alpha1.StoreRule {
		return v1alpha1.StoreRule{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, Keys: keys}
	}
	for _, c := range []struct {
		name   string
		mutate func(in *Input, cred *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec)
		at     time.Time
		want   []string
	}{
		{"a Secret", func(*Input, *v1alpha1.ClawCredentialSpec, *v1alpha1.ClawPolicySpec) {}, noon, nil},
		{"an allowed key", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores = vault("acme/a"), []v1alpha1.StoreRule{allow("acme/*")}
		}, noon, nil},
		{"another store of that name", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores = vault("acme/a"), []v1alpha1.StoreRule{{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreInCage, Name: "vault"}, Keys: []v1alpha1.Pattern{"*"}}}
		}, noon, []string{store + " NotAllowed"}},
		{"a store without keys", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores = vault("acme/a"), []v1alpha1.StoreRule{allow()}
		}, noon, []string{store + " NotAllowed"}},
		{"another key", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores = vault("other/a", "acme/a"), []v1alpha1.StoreRule{allow("acme/*")}
		}, noon, []string{key + " NotAllowed"}},
		{"a key that climbs", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores = vault("acme/%2E./other"), []v1alpha1.StoreRule{allow("acme/*")}
		}, noon, []string{key + " NotAllowed"}},
		{"a denied key", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("acme/a"), []v1alpha1.StoreRule{allow("acme/*")}, []v1alpha1.StoreRule{allow("acme/a")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"a denied key with two slashes", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("acme//prod/a"), []v1alpha1.StoreRule{allow("*")}, []v1alpha1.StoreRule{allow("acme/prod/*")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"a denied key with a slash before it", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("/acme/prod/a"), []v1alpha1.StoreRule{allow("*")}, []v1alpha1.StoreRule{allow("acme/prod/*")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"a denied key with a slash after it", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("acme/a/"), []v1alpha1.StoreRule{allow("*")}, []v1alpha1.StoreRule{allow("acme/a")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"a denied key in capitals", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("ACME/a"), []v1alpha1.StoreRule{allow("*")}, []v1alpha1.StoreRule{allow("acme/a")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"a denied key that is written with a code", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("acme%2Fprod/a"), []v1alpha1.StoreRule{allow("*")}, []v1alpha1.StoreRule{allow("/acme/prod/*")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"a key beside a denied one", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("acme/production"), []v1alpha1.StoreRule{allow("acme/*")}, []v1alpha1.StoreRule{allow("acme/prod/*", "acme/prod")}
		}, noon, nil},
		{"a denied store", func(in *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores = vault("acme/a"), []v1alpha1.StoreRule{allow("acme/*")}
			in.Organization.Spec.Baseline.Deny.Stores = []v1alpha1.StoreRule{allow()}
		}, noon, []string{store + ` DeniedByPolicy baseline of ClawOrganization "acme"`}},
		{"a denial that is no pattern denies all", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Allow.Stores, p.Deny.Stores = vault("acme/a"), []v1alpha1.StoreRule{allow("acme/*")}, []v1alpha1.StoreRule{allow("x*y")}
		}, noon, []string{key + " DeniedByPolicy support-agents"}},
		{"all that is required", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Delivery = v1alpha1.DeliveryContainer
			p.Require.Credentials = v1alpha1.CredentialRequirements{Sources: []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}, Delivery: []v1alpha1.Delivery{v1alpha1.DeliveryGateway}, MaxAgeDays: 1}
		}, noon.Add(-day), []string{"spec.source RequiredByPolicy support-agents", "spec.delivery RequiredByPolicy support-agents", "status.lastRotatedAt RequiredByPolicy support-agents"}},
		{"not read yet", func(_ *Input, _ *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			p.Require.Credentials.MaxAgeDays = 1
		}, time.Time{}, nil},
		{"no source", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Source, p.Require.Credentials.Sources = v1alpha1.CredentialSource{}, []v1alpha1.SourceKind{v1alpha1.SourceSecret}
		}, noon, []string{"spec.source RequiredByPolicy support-agents"}},
		{"a policy over another owner's team", func(_ *Input, c *v1alpha1.ClawCredentialSpec, p *v1alpha1.ClawPolicySpec) {
			c.Claw.Owner, p.Require.Credentials.Sources = kim, []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}
		}, noon, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := runningExample()
			in.Claw = nil // it may come later
			cred := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Name: "key", Namespace: "acme"}}
			cred.Spec.Claw = v1alpha1.CredentialClaw{Name: "triage", Owner: sarah}
			cred.Spec.Source.Secret = &v1alpha1.SecretSource{Name: "s"}
			c.mutate(&in, &cred.Spec, &in.Policies[0].Spec)
			got := CheckCredential(in, cred, c.at)
			if diff := cmp.Diff(c.want, withheldOf(Result{Withheld: got})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := CheckCredential(Input{}, nil, noon); got != nil {
		t.Errorf("no credential: %v", got)
	}
	in, cred := runningExample(), &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: "acme"}}
	cred.Spec.Claw = v1alpha1.CredentialClaw{Name: "triage", Owner: sarah}
	in.Policies[0].Spec.Require.Credentials.MaxAgeDays = 3
	if got := CredentialOutlives(in, cred, noon); !got.Equal(noon.Add(3 * day)) {
		t.Errorf("it is too old at %s", got)
	}
	if got := CredentialOutlives(in, cred, noon.Add(-4*day)); !got.IsZero() {
		t.Errorf("it is too old already, and again at %s", got)
	}
}
