package cel

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// breach breaks one rule of one kind's schema: a base, and a change of it. Where the rule is about a change,
// the base is there already.
type breach struct {
	kind, path string
	// says stands in the message of the rule, and of no other at this place.
	says   string
	update bool
	obj    client.Object
	change func()
}

// breaches break every rule of the schemas, each at every place it stands.
func breaches() []breach {
	var out []breach
	claws := func(path, says string, update bool, change func(*v1alpha1.Claw)) {
		c := claw(named("breach"))
		if update {
			c.Name = "breached"
		}
		out = append(out, breach{"Claw", path, says, update, c, func() { change(c) }})
	}
	claws("", "at most 40 characters", false, named(strings.Repeat("a", 41)))
	claws("", "starting with a let", false, named("1a"))
	claws("spec", "name at least one team", false, func(c *v1alpha1.Claw) { c.Spec.Teams = nil })
	claws("spec", "a Revoked Claw is final", true, func(c *v1alpha1.Claw) { c.Spec.Purpose = "Another." })
	out[len(out)-1].obj.(*v1alpha1.Claw).Spec.State = v1alpha1.ClawRevoked //nolint:forcetypeassert // made above
	claws("spec.resources", "no resource claims", false, func(c *v1alpha1.Claw) {
		c.Spec.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
	})
	none := untyped(claw(named("breach")), "Claw")
	out = append(out, breach{"Claw", "spec.runtime", "exactly one of the fields", false, none, func() {
		_ = unstructured.SetNestedMap(none.Object, map[string]any{}, "spec", "runtime") // a typed one would leave it out
	}})
	claws("spec.runtime.container.env[]", "set by the operator", false, func(c *v1alpha1.Claw) {
		c.Spec.Runtime.Container.Env = []v1alpha1.EnvVar{{Name: "HTTPS_PROXY", Value: "http://elsewhere"}}
	})
	claws("spec.runtime.container.workspace.sizeGiB", "immutable", true, func(c *v1alpha1.Claw) { c.Spec.Runtime.Container.Workspace.SizeGiB = 7 })

	schedules := func(kind, path string, object func() (client.Object, func(*v1alpha1.Schedule))) {
		local, never := office(), office()
		local.TimeZone = "Local"
		never.Windows[0].End = never.Windows[0].Start
		one, setOne := object()
		other, setOther := object()
		out = append(out,
			breach{kind, path + ".timeZone", "timeZone: Local", false, one, func() { setOne(&local) }},
			breach{kind, path + ".windows[]", "a window that starts when it ends", false, other, func() { setOther(&never) }})
	}
	schedules("Claw", "spec.schedule", func() (client.Object, func(*v1alpha1.Schedule)) {
		c := claw(named("scheduled"))
		return c, func(s *v1alpha1.Schedule) { c.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: *s} }
	})
	schedules("Claw", "spec.tools[].schedule", func() (client.Object, func(*v1alpha1.Schedule)) {
		c := claw(named("scheduled"))
		return c, func(s *v1alpha1.Schedule) { c.Spec.Tools[0].Schedule = s }
	})
	schedules("ClawPolicy", "spec.require.schedule", func() (client.Object, func(*v1alpha1.Schedule)) {
		p := clawPolicy()
		return p, func(s *v1alpha1.Schedule) { p.Spec.Require.Schedule = s }
	})
	schedules("ClawOrganization", "spec.baseline.require.schedule", func() (client.Object, func(*v1alpha1.Schedule)) {
		o := organization()
		return o, func(s *v1alpha1.Schedule) { o.Spec.Baseline.Require.Schedule = s }
	})
	schedules("ClawGrant", "spec.schedules[]", func() (client.Object, func(*v1alpha1.Schedule)) {
		g := grant("scheduled")
		return g, func(s *v1alpha1.Schedule) { g.Spec.Schedules = []v1alpha1.Schedule{*s} }
	})
	schedules("ClawGrant", "spec.tools[].schedule", func() (client.Object, func(*v1alpha1.Schedule)) {
		g := grant("scheduled")
		g.Spec.Tools = claw().Spec.Tools
		return g, func(s *v1alpha1.Schedule) { g.Spec.Tools[0].Schedule = s }
	})

	credentials := func(path, says string, update bool, change func(*v1alpha1.ClawCredential)) {
		c := credential(func(c *v1alpha1.ClawCredential) { c.Name = "breach" })
		out = append(out, breach{"ClawCredential", path, says, update, c, func() { change(c) }})
	}
	credentials("spec", "spec.claw is immutable", true, func(c *v1alpha1.ClawCredential) { c.Spec.Claw.Name = "other" })
	credentials("spec", "spec.connector is immutable", true, func(c *v1alpha1.ClawCredential) { c.Spec.Connector = "openai" })
	credentials("spec", "a Revoked credential is final", true, func(c *v1alpha1.ClawCredential) { c.Spec.Source.Secret.Name = "other" })
	out[len(out)-1].obj.(*v1alpha1.ClawCredential).Spec.State = v1alpha1.CredentialRevoked //nolint:forcetypeassert // made above
	credentials("spec.source", "exactly one of the fields", false, func(c *v1alpha1.ClawCredential) {
		c.Spec.Source.ExternalSecret = &v1alpha1.ExternalSecretSource{
			SecretStoreRef: v1alpha1.StoreReference{Kind: "ClusterSecretStore", Name: "vault"},
			Data:           []v1alpha1.ExternalSecretData{{Slot: "botToken", Key: "acme/bot"}},
		}
	})

	organizations := func(path, says string, update bool, change func(*v1alpha1.ClawOrganization)) {
		o := organization(func(o *v1alpha1.ClawOrganization) { o.Name = "breach" })
		out = append(out, breach{"ClawOrganization", path, says, update, o, func() { change(o) }})
	}
	organizations("", "at most 63 characters", false, func(o *v1alpha1.ClawOrganization) { o.Name = strings.Repeat("a", 64) })
	organizations("spec", "spec.namespace is immutable", true, func(o *v1alpha1.ClawOrganization) { o.Spec.Namespace = "other" })
	organizations("spec", "spec.namespace may not be", false, func(o *v1alpha1.ClawOrganization) { o.Spec.Namespace = "kube-system" })
	organizations("spec.quota", "less than nothing", false, func(o *v1alpha1.ClawOrganization) {
		minus := resource.MustParse("-1")
		o.Spec.Quota.Memory = &minus
	})
	return out
}

func untyped(obj client.Object, kind string) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		panic(err) // the object is ours
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	return u
}

func office() v1alpha1.Schedule {
	return v1alpha1.Schedule{TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{v1alpha1.Monday}, Start: "08:00", End: "18:00"}}}
}

// A breach is refused by the rule, where it stands; without it, the object is taken.
func TestEveryRuleOfTheSchemasHolds(t *testing.T) {
	rules := schemaRules(t)
	for _, b := range breaches() {
		t.Run(b.kind+"/"+b.path+"/"+b.says, func(t *testing.T) {
			c := k8s
			if b.kind == "ClawGrant" {
				c = as(chart.ManagerUser)
			}
			var err error
			if b.update {
				if err := c.Create(t.Context(), b.obj); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := c.Delete(t.Context(), b.obj); err != nil {
						t.Error(err)
					}
				}()
				b.change()
				err = c.Update(t.Context(), b.obj, client.DryRunAll)
			} else {
				if err := c.Create(t.Context(), b.obj.DeepCopyObject().(client.Object), client.DryRunAll); err != nil { //nolint:forcetypeassert // it is one
					t.Fatal(err)
				}
				b.change()
				err = c.Create(t.Context(), b.obj, client.DryRunAll)
			}
			if !apierrors.IsInvalid(err) || !place(b.path).MatchString(err.Error()) || !strings.Contains(err.Error(), b.says) {
				t.Errorf("got %v, want a refusal at %s that says %q", err, b.path, b.says)
			}
		})
		if n := len(rules[[2]string{b.kind, b.path}].saying(b.says)); n != 1 {
			t.Errorf("%d rules of %s at %q say %q, want one", n, b.kind, b.path, b.says)
		}
	}
}

// place matches a path in an error: where the schema has [], the error has a number.
func place(path string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(path), `\[\]`, `\[\d+\]`))
}

// A rule of a schema that no test has broken may be none.
func TestEveryRuleOfTheSchemasIsTried(t *testing.T) {
	for at, rules := range schemaRules(t) {
		for _, message := range rules {
			tried := false
			for _, b := range breaches() {
				tried = tried || b.kind == at[0] && b.path == at[1] && strings.Contains(message, b.says)
			}
			if !tried {
				t.Errorf("no test breaks the rule of %s at %q: %s", at[0], at[1], message)
			}
		}
	}
}

type messages []string

func (m messages) saying(text string) []string {
	var out []string
	for _, message := range m {
		if strings.Contains(message, text) {
			out = append(out, message)
		}
	}
	return out
}

// schemaRules are the messages of all rules of all kinds, by kind and path.
func schemaRules(t *testing.T) map[[2]string]messages {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(controlplane.Root(), "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no kinds: %v", err)
	}
	out := map[[2]string]messages{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct{ OpenAPIV3Schema kindSchema }
				}
			}
		}
		if err := yaml.Unmarshal(data, &crd); err != nil {
			t.Fatal(err)
		}
		for _, version := range crd.Spec.Versions {
			version.Schema.OpenAPIV3Schema.walk("", func(path, message string) {
				at := [2]string{crd.Spec.Names.Kind, path}
				out[at] = append(out[at], message)
			})
		}
	}
	return out
}

// kindSchema is what is read of a kind's schema.
type kindSchema struct {
	Rules []struct{ Message string } `json:"x-kubernetes-validations"`
	// Properties, Items and AdditionalProperties are where there is more.
	Properties           map[string]kindSchema
	Items                *kindSchema
	AdditionalProperties *kindSchema
}

func (s kindSchema) walk(path string, found func(path, message string)) {
	for _, rule := range s.Rules {
		found(path, rule.Message)
	}
	for name, property := range s.Properties {
		property.walk(strings.TrimPrefix(path+"."+name, "."), found)
	}
	if s.Items != nil {
		s.Items.walk(path+"[]", found)
	}
	if s.AdditionalProperties != nil {
		s.AdditionalProperties.walk(path+"{}", found)
	}
}
