package cel

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// rule is a case of a schema or CEL rule: an object, and what the refusal must say; nothing where it is taken.
type rule struct {
	name string
	obj  client.Object
	want []string
}

func checkCreate(t *testing.T, rules []rule) {
	t.Helper()
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			checkRefusal(t, k8s.Create(t.Context(), tt.obj, client.DryRunAll), tt.want)
		})
	}
}

// checkUpdate creates a base, changes it, and looks at what the change is answered with.
func checkUpdate[T client.Object](t *testing.T, base T, mutate func(T), want ...string) {
	t.Helper()
	if err := k8s.Create(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k8s.Delete(t.Context(), base); err != nil {
			t.Error(err)
		}
	}()
	changed := base.DeepCopyObject().(T)
	mutate(changed)
	checkRefusal(t, k8s.Update(t.Context(), changed, client.DryRunAll), want)
}

func checkRefusal(t *testing.T, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if !apierrors.IsInvalid(err) {
		t.Fatalf("got %v, want it refused as invalid", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
}

func TestClawRules(t *testing.T) {
	private := func(c *v1alpha1.Claw) { c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityPrivate, nil }
	container := func(f func(*v1alpha1.ContainerRuntime)) *v1alpha1.Claw {
		return claw(func(c *v1alpha1.Claw) { f(c.Spec.Runtime.Container) })
	}
	env := func(name, value string) *v1alpha1.Claw {
		return container(func(c *v1alpha1.ContainerRuntime) { c.Env = []v1alpha1.EnvVar{{Name: name, Value: value}} })
	}
	checkCreate(t, []rule{
		{"valid", claw(), nil},
		{"a name of 40 characters", claw(named(strings.Repeat("a", 40))), nil},
		{"a longer name", claw(named(strings.Repeat("a", 41))), []string{"metadata.name: at most 40 characters"}},
		{"a name with a dot", claw(named("a.b")), []string{"starting with a letter, because Services are named after it"}},
		{"a name that starts with a digit", claw(named("1a")), []string{"starting with a letter, because Services are named after it"}},
		{"private", claw(private), nil},
		{"resources", claw(func(c *v1alpha1.Claw) {
			c.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
		}), nil},
		{"resources of claims", claw(func(c *v1alpha1.Claw) { c.Spec.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}} }), []string{"spec.resources.claims: an agent has no resource claims"}},
		{"Team without a team", claw(func(c *v1alpha1.Claw) { c.Spec.Teams = nil }), []string{"name at least one team with visibility Team, and none otherwise"}},
		{"Private with a team", claw(func(c *v1alpha1.Claw) { c.Spec.Visibility = v1alpha1.VisibilityPrivate }), []string{"name at least one team with visibility Team, and none otherwise"}},
		{"an unknown visibility", claw(func(c *v1alpha1.Claw) { c.Spec.Visibility = "World" }), []string{`supported values: "Private", "Team", "Organization"`}},
		{"an unknown state", claw(func(c *v1alpha1.Claw) { c.Spec.State = "Paused" }), []string{`supported values: "Active", "Revoked"`}},
		{"no owner", claw(func(c *v1alpha1.Claw) { c.Spec.Owner = "" }), []string{"spec.owner"}},
		{"no purpose", claw(func(c *v1alpha1.Claw) { c.Spec.Purpose = "" }), []string{"spec.purpose"}},
		{"no runtime", claw(func(c *v1alpha1.Claw) { c.Spec.Runtime.Container = nil }), []string{"spec.runtime"}},
		{"no image", container(func(c *v1alpha1.ContainerRuntime) { c.Image = "" }), []string{"spec.runtime.container.image"}},
		{"empty lists", claw(func(c *v1alpha1.Claw) {
			c.Spec.Channels[0].Users, c.Spec.Tools[0].Actions, c.Spec.Models[0].Models = nil, nil, nil
		}), nil},
		{"a pattern with a star inside", claw(func(c *v1alpha1.Claw) { c.Spec.Models[0].Models = []v1alpha1.Pattern{"a*b"} }), []string{"spec.models[0].models[0]"}},
		{"an empty pattern", claw(func(c *v1alpha1.Claw) { c.Spec.Models[0].Models = []v1alpha1.Pattern{""} }), []string{"spec.models[0].models[0]"}},
		{"a user twice", claw(func(c *v1alpha1.Claw) { c.Spec.Channels[0].Users = []v1alpha1.Pattern{"a", "a"} }), []string{"spec.channels[0].users[1]: Duplicate value"}},
		{"a type of resource twice", claw(func(c *v1alpha1.Claw) {
			c.Spec.Tools[0].Resources = append(c.Spec.Tools[0].Resources, c.Spec.Tools[0].Resources[0])
		}), []string{"spec.tools[0].resources[1]: Duplicate value"}},
		{"an unknown action", claw(func(c *v1alpha1.Claw) { c.Spec.Tools[0].Actions = []v1alpha1.Action{"Own"} }), []string{`supported values: "Read", "Write", "Delete", "Admin"`}},
		{"a connector that is no name", claw(func(c *v1alpha1.Claw) { c.Spec.Tools[0].Connector = "Slack" }), []string{"spec.tools[0].connector"}},
		{"no credential", claw(func(c *v1alpha1.Claw) { c.Spec.Tools[0].Credential = "" }), []string{"spec.tools[0].credential"}},
		{"a variable", env("MODE", "fast"), nil},
		{"the proxy's variable", env("HTTPS_PROXY", "http://elsewhere"), []string{"this variable is set by the operator"}},
		{"the proxy's variable in lower case", env("no_proxy", "*"), []string{"this variable is set by the operator"}},
		{"a trust store of one's own", env("NODE_EXTRA_CA_CERTS", "/x"), []string{"this variable is set by the operator"}},
		{"a variable that is no name", env("A-B", "x"), []string{"spec.runtime.container.env[0].name"}},
		{"a privileged port", container(func(c *v1alpha1.ContainerRuntime) { c.Port = 80 }), []string{"spec.runtime.container.port"}},
		{"a path that is none", container(func(c *v1alpha1.ContainerRuntime) { c.InboundPath = "messages" }), []string{"spec.runtime.container.inboundPath"}},
		{"a path with a query", container(func(c *v1alpha1.ContainerRuntime) { c.InboundPath = "/a?b" }), []string{"spec.runtime.container.inboundPath"}},
		{"a workspace too large", container(func(c *v1alpha1.ContainerRuntime) { c.Workspace.SizeGiB = 2000 }), []string{"spec.runtime.container.workspace.sizeGiB"}},
	})
}

func TestClawChanges(t *testing.T) {
	revoked := func(c *v1alpha1.Claw) { c.Name, c.Spec.State = "changing", v1alpha1.ClawRevoked }
	t.Run("revoke", func(t *testing.T) {
		checkUpdate(t, claw(named("changing")), revoked)
	})
	t.Run("revive", func(t *testing.T) {
		checkUpdate(t, claw(revoked), func(c *v1alpha1.Claw) { c.Spec.State = v1alpha1.ClawActive },
			"a Revoked Claw is final and can only be deleted: create another Claw")
	})
	t.Run("change what is revoked", func(t *testing.T) {
		checkUpdate(t, claw(revoked), func(c *v1alpha1.Claw) { c.Spec.Purpose = "Another." },
			"a Revoked Claw is final and can only be deleted: create another Claw")
	})
	t.Run("label what is revoked", func(t *testing.T) {
		checkUpdate(t, claw(revoked), func(c *v1alpha1.Claw) { c.Labels = map[string]string{"team": "a"} })
	})
}

func TestWorkspaceSizeIsImmutable(t *testing.T) {
	resize := func(c *v1alpha1.Claw) { c.Spec.Runtime.Container.Workspace.SizeGiB = 5 }
	checkUpdate(t, claw(named("sized")), resize, "the size of a workspace is immutable")
	checkUpdate(t, claw(named("sized"), resize), func(c *v1alpha1.Claw) { c.Spec.Runtime.Container.Workspace.SizeGiB = 0 }, "the size of a workspace is immutable")
}

func TestCredentialRules(t *testing.T) {
	type cred = v1alpha1.ClawCredential
	checkCreate(t, []rule{
		{"valid", credential(), nil},
		{"no source", credential(func(c *cred) { c.Spec.Source.Secret = nil }), []string{"spec.source"}},
		{"no keys", credential(func(c *cred) { c.Spec.Source.Secret.Keys = map[string]string{} }), []string{"spec.source.secret.keys"}},
		{"no Claw", credential(func(c *cred) { c.Spec.Claw.Name = "" }), []string{"spec.claw.name"}},
		{"no owner", credential(func(c *cred) { c.Spec.Claw.Owner = "" }), []string{"spec.claw.owner"}},
		{"delivery to the container", credential(func(c *cred) { c.Spec.Delivery = v1alpha1.DeliveryContainer }), nil},
		{"an unknown delivery", credential(func(c *cred) { c.Spec.Delivery = "Mail" }), []string{`supported values: "Gateway", "Container"`}},
	})
	revoked := func(c *cred) { c.Spec.State = v1alpha1.CredentialRevoked }
	for _, tt := range []struct {
		name   string
		base   *cred
		mutate func(*cred)
		want   []string
	}{
		{"another Claw", credential(), func(c *cred) { c.Spec.Claw.Name = "other" }, []string{"spec.claw is immutable"}},
		{"another owner", credential(), func(c *cred) { c.Spec.Claw.Owner = "lee@acme.example" }, []string{"spec.claw is immutable"}},
		{"another connector", credential(), func(c *cred) { c.Spec.Connector = "openai" }, []string{"spec.connector is immutable"}},
		{"another Secret", credential(), func(c *cred) { c.Spec.Source.Secret.Name = "other" }, nil},
		{"revoke", credential(), revoked, nil},
		{"revive", credential(revoked), func(c *cred) { c.Spec.State = v1alpha1.CredentialActive }, []string{"a Revoked credential is final"}},
		{"change what is revoked", credential(revoked), func(c *cred) { c.Spec.Source.Secret.Name = "other" }, []string{"a Revoked credential is final"}},
	} {
		t.Run(tt.name, func(t *testing.T) { checkUpdate(t, tt.base, tt.mutate, tt.want...) })
	}
}

func TestPolicyRules(t *testing.T) {
	checkCreate(t, []rule{
		{"valid", clawPolicy(), nil},
		{"an empty selector", clawPolicy(func(p *v1alpha1.ClawPolicy) {
			p.Spec.Selector = v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"a"}}
		}), nil},
		{"an unknown visibility", clawPolicy(func(p *v1alpha1.ClawPolicy) { p.Spec.Allow.Visibility = []v1alpha1.Visibility{"World"} }), []string{"spec.allow.visibility[0]"}},
		{"a pattern with a star inside", clawPolicy(func(p *v1alpha1.ClawPolicy) {
			p.Spec.Deny.Models = []v1alpha1.ModelRule{{Connector: "openai", Models: []v1alpha1.Pattern{"*a"}}}
		}), []string{"spec.deny.models[0].models[0]"}},
		{"a rule without connector", clawPolicy(func(p *v1alpha1.ClawPolicy) { p.Spec.Deny.Tools = []v1alpha1.ToolRule{{}} }), []string{"spec.deny.tools[0].connector"}},
	})
}

func TestOrganizationRules(t *testing.T) {
	type org = v1alpha1.ClawOrganization
	namespace := func(name v1alpha1.ObjectName) func(*org) { return func(o *org) { o.Spec.Namespace = name } }
	minus := int32(-1)
	checkCreate(t, []rule{
		{"valid", organization(), nil},
		{"a namespace of its own", organization(namespace("acme-cage")), nil},
		{"the namespace default", organization(namespace("default")), []string{"spec.namespace may not be default"}},
		{"a namespace of Kubernetes", organization(namespace("kube-system")), []string{"spec.namespace may not be default"}},
		{"the operator's namespace", organization(namespace("clawstaff-system")), []string{"spec.namespace may not be default"}},
		{"a member twice", organization(func(o *org) { o.Spec.Members = append(o.Spec.Members, o.Spec.Members[0]) }), []string{"spec.members[1]: Duplicate value"}},
		{"a team twice", organization(func(o *org) { o.Spec.Teams = append(o.Spec.Teams, o.Spec.Teams[0]) }), []string{"spec.teams[1]: Duplicate value"}},
		{"an unknown state", organization(func(o *org) { o.Spec.State = "Off" }), []string{`supported values: "Active", "Stopped"`}},
		{"a negative quota", organization(func(o *org) { o.Spec.Quota.Claws = &minus }), []string{"spec.quota.claws"}},
		{"a long name", organization(func(o *org) { o.Name = strings.Repeat("a", 64) }), []string{"metadata.name: at most 63 characters"}},
	})
	for _, tt := range []struct {
		name   string
		base   *org
		mutate func(*org)
		want   []string
	}{
		{"stop", organization(), func(o *org) { o.Spec.State = v1alpha1.OrganizationStopped }, nil},
		{"set the namespace", organization(), namespace("other"), []string{"spec.namespace is immutable"}},
		{"another namespace", organization(namespace("a")), namespace("b"), []string{"spec.namespace is immutable"}},
		{"no namespace", organization(namespace("a")), namespace(""), []string{"spec.namespace is immutable"}},
	} {
		t.Run(tt.name, func(t *testing.T) { checkUpdate(t, tt.base, tt.mutate, tt.want...) })
	}
}

// Defaults are in the schema, so that whoever reads an object sees what holds.
func TestDefaults(t *testing.T) {
	c, cred, org := claw(named("defaults")), credential(), organization()
	c.Spec.Resources = corev1.ResourceRequirements{}
	for _, obj := range []client.Object{c, cred, org} {
		if err := k8s.Create(t.Context(), obj, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
	}
	got := []any{c.Spec.State, c.Spec.Runtime.Container.Port, c.Spec.Runtime.Container.InboundPath, c.Spec.Runtime.Container.Workspace.SizeGiB, cred.Spec.State, cred.Spec.Delivery, org.Spec.State}
	want := []any{v1alpha1.ClawActive, int32(8080), "/messages", int32(1), v1alpha1.CredentialActive, v1alpha1.DeliveryGateway, v1alpha1.OrganizationActive}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("default %d: got %v, want %v", i, got[i], want[i])
		}
	}
}
