package v1alpha1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// heard collects the warnings of the API server.
type heard []string

// HandleWarningHeader keeps a warning.
func (h *heard) HandleWarningHeader(_ int, _, text string) { *h = append(*h, text) }

// An empty list is no mistake by itself, and rarely meant: whoever writes one is told what it stands for.
func TestEmptyListsAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name string
		obj  client.Object
		want []string
	}{
		{"a Claw without them", claw(), nil},
		{"a Claw", claw(func(c *v1alpha1.Claw) {
			c.Spec.Channels[0].Channels, c.Spec.Channels[0].Users = nil, nil
			c.Spec.Tools[0].Actions, c.Spec.Tools[0].Resources[0].Names = nil, nil
			c.Spec.Models[0].Models = nil
		}), []string{
			"spec.channels[0].channels is empty, which means none: the Claw is reached nowhere through this entry",
			"spec.channels[0].users is empty, which means none: the Claw hears nobody through this entry",
			"spec.tools[0].actions is empty, which means none: the Claw may do nothing through this entry",
			"spec.tools[0].resources[0].names is empty, which means none: it stands for no user",
			"spec.models[0].models is empty, which means none: the Claw may ask no model through this entry",
		}},
		{"a policy", clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
			p.Name = "new"
			p.Spec.Allow.Channels[0].Users, p.Spec.Allow.Tools[0].Actions = nil, nil
			p.Spec.Deny.Channels = []v1alpha1.ChannelRule{{Connector: "slack"}} // here it means all
		}), []string{
			"spec.allow.channels[0].users is empty, which means none: this rule allows nothing",
			"spec.allow.tools[0].actions is empty, which means none: this rule allows nothing",
		}},
		{"a policy for no Claw", &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "clawstaff.dev/v1alpha1", "kind": "ClawPolicy", "metadata": map[string]any{"name": "new", "namespace": "acme"},
			"spec": map[string]any{"selector": map[string]any{}},
		}}, []string{"spec.selector is empty, which selects no Claw: name claws, owners or teams, or set all: true"}},
		{"a policy for nobody there", clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
			p.Name = "new"
			p.Spec.Selector = v1alpha1.PolicySelector{Owners: []v1alpha1.MemberName{"eve"}, Teams: []v1alpha1.TeamName{"helpdesk"}}
		}), []string{
			`spec.selector.owners[0]: "eve" is no member of ClawOrganization "acme"`,
			`spec.selector.teams[0]: "helpdesk" is no team of ClawOrganization "acme"`,
		}},
		{"a team of nobody there", organization("new", func(o *v1alpha1.ClawOrganization) {
			o.Spec.Teams[1].Members = []v1alpha1.MemberName{"eve"}
		}), []string{`spec.teams[1].members[0]: "eve" is none of spec.members and counts for nobody`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got heard
			c := rest.CopyConfig(config)
			c.WarningHandler = &got
			k8s, err := client.New(c, client.Options{Scheme: scheme})
			if err != nil {
				t.Fatal(err)
			}
			if err := k8s.Create(t.Context(), tt.obj, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, []string(got)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
