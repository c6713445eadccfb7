package v1alpha1

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// heard collects the warnings of the API server.
type heard []string

// HandleWarningHeader keeps a warning.
func (h *heard) HandleWarningHeader(_ int, _, text string) { *h = append(*h, text) }

// warned returns what is said when somebody asks, and does not, to create an object.
func warned(t *testing.T, user string, obj client.Object) ([]string, error) {
	t.Helper()
	k8s, got := listening(t, user)
	err := k8s.Create(t.Context(), obj, client.DryRunAll)
	return *got, err
}

// warnedOfUpdate is warned for an object that there is.
func warnedOfUpdate(t *testing.T, obj client.Object) ([]string, error) {
	t.Helper()
	k8s, got := listening(t, admin)
	err := k8s.Update(t.Context(), obj, client.DryRunAll)
	return *got, err
}

// listening is as, with what is warned of.
func listening(t *testing.T, user string) (client.Client, *heard) {
	t.Helper()
	var got heard
	c := rest.CopyConfig(config)
	c.WarningHandler = &got
	if user != admin {
		c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	}
	k8s, err := client.New(c, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return k8s, &got
}

func warnings(t *testing.T, obj client.Object, want []string) {
	t.Helper()
	got, err := warned(t, admin, obj)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// What is legal and unwise is said, and nothing else is: a warning that comes always is read never.
func TestClawWarnings(t *testing.T) {
	// This policy lets be what is warned of.
	wide := clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
		p.Name, p.Spec.Selector, p.Spec.Deny = "wide", v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"wise"}}, v1alpha1.PolicyRules{}
		all := []v1alpha1.Pattern{"*"}
		p.Spec.Allow = v1alpha1.PolicyRules{
			Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam, v1alpha1.VisibilityOrganization},
			Channels: []v1alpha1.ChannelRule{{Connector: "slack", Channels: all, Users: all,
				Correspondents: v1alpha1.Correspondents{Users: all}}},
			Tools: []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{"Read", "Write", "Admin"},
				Resources: []v1alpha1.ResourceScope{{Type: "user", Names: all}, {Type: "channel", Names: all}}}},
			Models: []v1alpha1.ModelRule{{Connector: "anthropic", Models: all}},
		}
	})
	if err := as(admin).Create(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(t.Context(), wide); err != nil {
			t.Error(err)
		}
	}()
	star := []v1alpha1.Pattern{"*"}
	for _, tt := range []struct {
		name   string
		mutate func(*v1alpha1.Claw)
		want   []string
	}{
		{"a wise one", func(*v1alpha1.Claw) {}, nil},
		{"a Claw of empty lists", func(c *v1alpha1.Claw) {
			c.Spec.Channels[0].Channels, c.Spec.Channels[0].Users = nil, nil
			c.Spec.Tools[0].Actions, c.Spec.Tools[0].Resources[0].Names = nil, nil
			c.Spec.Models[0].Models = nil
		}, []string{
			"spec.channels[0].channels is empty, which means none: the Claw is reached nowhere through this entry",
			"spec.channels[0].users is empty, which means none: the Claw hears nobody through this entry",
			"spec.tools[0].actions is empty, which means none: the Claw may do nothing through this entry",
			"spec.tools[0].resources[0].names is empty, which means none: it stands for no user",
			"spec.models[0].models is empty, which means none: the Claw may ask no model through this entry",
		}},
		{"customers alone are heard", func(c *v1alpha1.Claw) {
			c.Spec.Channels[0].Users, c.Spec.Channels[0].Correspondents.Users = nil, []v1alpha1.Pattern{"T0CUSTOMER/U1"}
		}, nil},
		{"Organization with more than Read", func(c *v1alpha1.Claw) {
			c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityOrganization, nil
			c.Spec.Tools[0].Actions = []v1alpha1.Action{"Read", "Write", "Admin"}
		}, []string{"spec.tools[0].actions: with visibility Organization, everybody in the organization can have this Claw Write and Admin through slack: think of visibility Team, or of Read alone"}},
		{"Organization with Read", func(c *v1alpha1.Claw) { c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityOrganization, nil }, nil},
		{"no end", func(c *v1alpha1.Claw) { c.Spec.ExpiresAt = nil },
			[]string{"spec.expiresAt is not set: the Claw has no end of its own, and somebody must remember it"}},
		{"a tag", func(c *v1alpha1.Claw) { c.Spec.Runtime.Container.Image = "example.com/agent:1" },
			[]string{`spec.runtime.container.image: "example.com/agent:1" is named without a digest, so whoever may push to it changes what runs: name it as image@sha256:...`}},
		{"all of everything", func(c *v1alpha1.Claw) {
			c.Spec.Channels[0].Channels, c.Spec.Channels[0].Users, c.Spec.Channels[0].Correspondents.Users = star, star, star
			c.Spec.Tools[0].Resources[0].Names = star
			c.Spec.Models[0].Models = star
		}, []string{
			`spec.channels[0].channels: "*" stands for every channel of slack, those to come too: name what the Claw needs`,
			`spec.channels[0].users: "*" stands for everybody whom visibility Team admits: name what the Claw needs`,
			`spec.channels[0].correspondents.users: "*" stands for everybody who can write in these channels of slack, whoever they are: name what the Claw needs`,
			`spec.tools[0].resources[0].names: "*" stands for every user of slack, those to come too: name what the Claw needs`,
			`spec.models[0].models: "*" stands for every model of anthropic, however dear: name what the Claw needs`,
		}},
		{"a Private Claw for all of one", func(c *v1alpha1.Claw) {
			c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityPrivate, nil
			c.Spec.Channels[0].Channels, c.Spec.Channels[0].Users = []v1alpha1.Pattern{"D0SARAH"}, star
		}, nil},
		{"a credential to come", func(c *v1alpha1.Claw) { c.Spec.Channels[0].Credential, c.Spec.Tools[0].Credential = "later", "later" },
			[]string{`spec.channels[0].credential: there is no ClawCredential "later" yet: until there is one with spec.claw.name "wise", spec.claw.owner "sarah@acme.example" and spec.connector slack, the Claw is granted nothing that needs it`}},
		{"windows that overlap", func(c *v1alpha1.Claw) {
			c.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: v1alpha1.Schedule{TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{
				{Days: []v1alpha1.Day{"Sat"}, Start: "08:00", End: "12:00"},
				{Days: []v1alpha1.Day{"Sat"}, Start: "22:00", End: "06:00"},
				{Days: []v1alpha1.Day{"Sun"}, Start: "05:59", End: "07:00"}}}}
		}, []string{"spec.schedule.windows[2] overlaps windows[1]: it is open in either, so one of them may be more than is meant"}},
		{"windows that touch", func(c *v1alpha1.Claw) {
			c.Spec.Tools[0].Schedule = &v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{
				{Days: []v1alpha1.Day{"Sat", "Sun"}, Start: "00:00", End: "24:00"}, {Days: []v1alpha1.Day{"Mon"}, Start: "00:00", End: "06:00"}}}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) { warnings(t, wise(tt.mutate), tt.want) })
	}
}

func TestPolicyWarnings(t *testing.T) {
	type pol = v1alpha1.ClawPolicy
	const dead = ": spec.deny of this policy denies all of it, and a denial wins: it allows nothing"
	if err := as(admin).Create(t.Context(), claw(func(c *v1alpha1.Claw) { c.Name = "selected" })); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(t.Context(), claw(func(c *v1alpha1.Claw) { c.Name = "selected" })); err != nil {
			t.Error(err)
		}
	}()
	if err := until(t.Context(), func() error {
		if got, err := warned(t, admin, clawPolicy("acme", func(p *pol) { p.Name = "new" })); err != nil || len(got) > 0 {
			return fmt.Errorf("the cache has not the Claw yet: %q, %w", got, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		mutate func(*pol)
		want   []string
	}{
		{"empty lists", func(p *pol) {
			p.Spec.Allow.Channels[0].Users, p.Spec.Allow.Tools[0].Actions = nil, nil
			p.Spec.Allow.Stores = []v1alpha1.StoreRule{{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreInCage, Name: "vault"}}}
		}, []string{
			"spec.allow.channels[0].users is empty, which means none: this rule allows nothing",
			"spec.allow.tools[0].actions is empty, which means none: this rule allows nothing",
			"spec.allow.stores[0].keys is empty, which means none: this rule allows nothing",
		}},
		{"nobody there", func(p *pol) {
			p.Spec.Selector = v1alpha1.PolicySelector{Owners: []v1alpha1.MemberName{"eve"}, Teams: []v1alpha1.TeamName{"helpdesk"}, Claws: []v1alpha1.Pattern{"gone", "gone-*"}}
		}, []string{
			`spec.selector.claws[1]: "gone-*" selects by a name that whoever creates a Claw chooses, so everybody who may create one can have what is allowed here: allow by owners or teams, and keep names for deny and require`,
			`spec.selector.owners[0]: "eve" is no member of ClawOrganization "acme"`,
			`spec.selector.teams[0]: "helpdesk" is no team of ClawOrganization "acme", or one of nobody`,
			`spec.selector.claws[0]: there is no Claw "gone" yet`,
		}},
		{"names for deny and require", func(p *pol) {
			p.Spec.Selector, p.Spec.Allow = v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"*"}}, v1alpha1.PolicyRules{}
		}, nil},
		{"no Claw there", func(p *pol) { p.Spec.Selector = v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"sales"}} },
			[]string{"spec.selector selects none of the Claws there are"}},
		{"all, of whom there may be none", func(p *pol) { p.Spec.Selector = v1alpha1.PolicySelector{All: true} }, nil},
		{"allowed and denied", func(p *pol) {
			p.Spec.Allow.Stores = []v1alpha1.StoreRule{{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreInCage, Name: "vault"}, Keys: []v1alpha1.Pattern{"acme/*"}}}
			p.Spec.Deny = v1alpha1.PolicyRules{
				Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityTeam},
				Channels:   []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"C0*"}}},
				Tools:      []v1alpha1.ToolRule{{Connector: "slack"}},
				Models:     []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"*"}}},
				Stores:     p.Spec.Allow.Stores,
			}
		}, []string{"spec.allow.visibility[0]" + dead, "spec.allow.channels[0]" + dead, "spec.allow.tools[0]" + dead, "spec.allow.models[0]" + dead, "spec.allow.stores[0]" + dead}},
		{"stores that are allowed where none may be used", func(p *pol) {
			p.Spec.Allow.Stores = []v1alpha1.StoreRule{{StoreReference: v1alpha1.StoreReference{Kind: v1alpha1.StoreInCage, Name: "vault"}, Keys: []v1alpha1.Pattern{"acme/*"}}}
			p.Spec.Require.Credentials.Sources = []v1alpha1.SourceKind{v1alpha1.SourceSecret}
		}, []string{"spec.allow.stores: spec.require.credentials.sources of this policy is without ExternalSecret, and a requirement holds whatever is allowed: these allow nothing"}},
		{"denied in part", func(p *pol) {
			p.Spec.Deny = v1alpha1.PolicyRules{
				Channels: []v1alpha1.ChannelRule{{Connector: "slack", Correspondents: v1alpha1.Correspondents{Users: []v1alpha1.Pattern{"*"}}}, {Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT"}}},
				Tools:    []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{"Write"}}, {Connector: "slack", Resources: []v1alpha1.ResourceScope{{Type: "user", Names: []v1alpha1.Pattern{"*"}}}}},
				Models:   []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-opus-*"}}, {Connector: "openai"}},
			}
		}, nil},
		{"requirements nothing fulfils", func(p *pol) {
			p.Spec.Require.Runtime = v1alpha1.RuntimeRequirements{Images: []v1alpha1.Pattern{"example.com/agent:1"}, Digests: v1alpha1.DigestsRequired, RuntimeClassNames: []v1alpha1.ObjectName{"gvisor"}}
		}, []string{
			"spec.require.runtime: digests are Required and none of images can have one: Claws this is over would be granted nothing and held. Name images by digest, or as repository:*",
			`spec.require.runtime.runtimeClassNames: agents of ClawOrganization "acme" run in the cluster's default runtime, which is none of these: Claws this is over would be granted nothing and held. Add it, or have the platform change spec.sandbox.runtimeClassName`,
		}},
		{"windows that overlap", func(p *pol) {
			p.Spec.Require.Schedule = &v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{
				{Days: []v1alpha1.Day{"Mon"}, Start: "08:00", End: "12:00"}, {Days: []v1alpha1.Day{"Mon"}, Start: "11:00", End: "18:00"}}}
		}, []string{"spec.require.schedule.windows[1] overlaps windows[0]: it is open in either, so one of them may be more than is meant"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			warnings(t, clawPolicy("acme", func(p *pol) { p.Name = "new" }, tt.mutate), tt.want)
		})
	}
	warnings(t, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "clawstaff.dev/v1alpha1", "kind": "ClawPolicy", "metadata": map[string]any{"name": "new", "namespace": "acme"},
		"spec": map[string]any{"selector": map[string]any{}},
	}}, []string{"spec.selector is empty, which selects no Claw: name claws, owners or teams, or set all: true"})
}

func TestCredentialWarnings(t *testing.T) {
	type cred = v1alpha1.ClawCredential
	secret := func(name string, annotations map[string]string) {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "acme", Annotations: annotations}, Type: v1alpha1.SecretTypeCredential}
		if err := as(admin).Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = as(admin).Delete(context.Background(), s) })
	}
	secret("named", map[string]string{v1alpha1.AnnotationCredential: "new"})
	secret("nameless", nil)
	of := func(name v1alpha1.ObjectName) func(*cred) {
		return func(c *cred) { c.Spec.Source.Secret.Name = name }
	}
	for _, tt := range []struct {
		name   string
		mutate func(*cred)
		want   []string
	}{
		{"its Secret is there", of("named"), nil},
		{"no Secret yet", of("later"), []string{`spec.source.secret.name: there is no Secret "later" yet, of type clawstaff.dev/credential and with the annotation clawstaff.dev/credential: new`}},
		{"a Secret that names none", of("nameless"), []string{`spec.source.secret.name: Secret "nameless" names no credential, and is not read before its annotation clawstaff.dev/credential is new`}},
		{"into the container", func(c *cred) { of("named")(c); c.Spec.Delivery = v1alpha1.DeliveryContainer },
			[]string{"spec.delivery is Container: the key is in the agent's memory too, and whoever talks the agent round can have it; with Gateway it never is"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			warnings(t, credential(func(c *cred) { c.Name = "new" }, tt.mutate), tt.want)
		})
	}
}

func TestOrganizationWarnings(t *testing.T) {
	type org = v1alpha1.ClawOrganization
	for _, tt := range []struct {
		name   string
		mutate func(*org)
		want   []string
	}{
		{"nothing", func(*org) {}, nil},
		{"a team of nobody there", func(o *org) { o.Spec.Teams[1].Members = []v1alpha1.MemberName{"eve"} },
			[]string{`spec.teams[1].members[0]: "eve" is no member and counts for nobody`}},
		{"a directory that is not there", func(o *org) { o.Spec.DirectoryRefs = []v1alpha1.ConfigMapReference{{ConfigMap: "later"}} },
			[]string{`spec.directoryRefs: ConfigMap "later", which spec.directoryRefs names, is not in namespace "clawstaff-system": whom it would name counts for nobody. Create it there, or take it out of spec.directoryRefs`}},
		{"a sandbox that is not there", func(o *org) { o.Spec.Sandbox.RuntimeClassName = "kata" },
			[]string{`spec.sandbox.runtimeClassName: this cluster has no RuntimeClass "kata", and no agent runs until there is`}},
		{"one that need not be", func(o *org) {
			o.Spec.Sandbox = v1alpha1.Sandbox{RuntimeClassName: "kata", RuntimeClass: v1alpha1.RuntimeClassPreferred}
		}, []string{`spec.sandbox.runtimeClassName: this cluster has no RuntimeClass "kata", and agents run in the cluster's default runtime until there is`}},
		{"a baseline nothing fulfils", func(o *org) { o.Spec.Baseline.Require.Runtime.RuntimeClassNames = []v1alpha1.ObjectName{"gvisor"} },
			[]string{`spec.baseline.require.runtime.runtimeClassNames: agents of ClawOrganization "new" run in the cluster's default runtime, which is none of these: Claws this is over would be granted nothing and held. Add it, or have the platform change spec.sandbox.runtimeClassName`}},
	} {
		t.Run(tt.name, func(t *testing.T) { warnings(t, organization("new", tt.mutate), tt.want) })
	}
}
