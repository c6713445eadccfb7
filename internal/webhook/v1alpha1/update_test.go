package v1alpha1

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

var errNotYet = errors.New("not yet")

// A Claw that a policy has outgrown keeps running: what does not change its request is not judged by it.
func TestUpdateClaw(t *testing.T) {
	for _, tt := range []struct {
		name  string
		user  string
		patch string
		want  string
	}{
		{name: "its owner changes the purpose", user: sarah, patch: `{"spec":{"purpose":"Another."}}`},
		{name: "another member does", user: lee, patch: `{"spec":{"purpose":"Another."}}`, want: `Claw.clawstaff.dev "updated" is invalid: ` + notOwnerMessage(lee, sarah)},
		{name: "another member takes it over", user: lee, patch: `{"spec":{"owner":"lee@acme.example"}}`, want: `Claw.clawstaff.dev "updated" is invalid: ` + notOwnerMessage(lee, sarah)},
		{name: "its owner gives it to another", user: sarah, patch: `{"spec":{"owner":"lee@acme.example"}}`, want: `Claw.clawstaff.dev "updated" is invalid: ` + notOwnerMessage(sarah, lee)},
		{name: "whoever may assign owners moves it", user: gitops, patch: `{"spec":{"owner":"lee@acme.example"}}`},
		{name: "anybody whom RBAC lets labels it", user: lee, patch: `{"metadata":{"labels":{"team":"a"}}}`},
		{name: "anybody whom RBAC lets revokes it", user: lee, patch: `{"spec":{"state":"Revoked"}}`},
		{name: "revoking and changing at once", user: lee, patch: `{"spec":{"state":"Revoked","purpose":"Another."}}`, want: `Claw.clawstaff.dev "updated" is invalid: ` + notOwnerMessage(lee, sarah)},
		{name: "a reserved label", user: sarah, patch: `{"metadata":{"labels":{"clawstaff.dev/claw":"x"}}}`,
			want: `Claw.clawstaff.dev "updated" is invalid: metadata.labels[clawstaff.dev/claw]: Forbidden: keys under clawstaff.dev/ are the operator's: leave this one as it was`},
		{name: "beyond the policies", user: sarah, patch: `{"spec":{"models":[{"connector":"openai","credential":"k","models":["gpt-6"]}]}}`,
			want: `Claw.clawstaff.dev "updated" is invalid: spec.models[0].models[0]: Forbidden: asked for openai model "gpt-6"; the policies over this Claw (support-agents) allow no openai models: remove it, or have security allow it`},
		{name: "the manager's finalizer", user: chart.ManagerUser, patch: `{"metadata":{"finalizers":["clawstaff.dev/teardown"]}}`},
		{name: "the manager's label", user: chart.ManagerUser, patch: `{"metadata":{"labels":{"clawstaff.dev/claw":"x"}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := claw(func(c *v1alpha1.Claw) { c.Name = "updated" })
			if err := as(sarah).Create(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := as(admin).Delete(t.Context(), c); err != nil {
					t.Error(err)
				}
			}()
			err := as(tt.user).Patch(t.Context(), c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(tt.patch)), client.DryRunAll)
			refusal(t, err, tt.want)
		})
	}
}

// Nothing is refused of what is being deleted, or the manager could not let it go.
func TestNothingIsRefusedWhileDeleted(t *testing.T) {
	c := claw(func(c *v1alpha1.Claw) { c.Name, c.Finalizers = "leaving", []string{v1alpha1.Finalizer} })
	if err := as(sarah).Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := as(stranger).Delete(t.Context(), c); err != nil {
		t.Fatalf("a deletion is refused: %v", err)
	}
	for _, patch := range []string{`{"metadata":{"labels":{"clawstaff.dev/claw":"x"}}}`, `{"spec":{"owner":"nobody"}}`, `{"metadata":{"finalizers":null}}`} {
		if err := as(stranger).Patch(t.Context(), c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Errorf("%s is refused: %v", patch, err)
		}
	}
}

// A policy may change at any time; then the Claw's metadata still can, and so can its revocation.
func TestOutgrownClawCanBeLabelledAndRevoked(t *testing.T) {
	ctx := t.Context()
	own := clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
		p.Name, p.Spec.Deny = "shrinking", v1alpha1.PolicyRules{}
		p.Spec.Allow.Models = []v1alpha1.ModelRule{{Connector: "openai", Models: []v1alpha1.Pattern{"gpt-6"}}}
	})
	if err := as(admin).Create(ctx, own); err != nil {
		t.Fatal(err)
	}
	c := claw(func(c *v1alpha1.Claw) {
		c.Name = "outgrown"
		c.Spec.Models[0].Connector, c.Spec.Models[0].Models = "openai", []v1alpha1.Pattern{"gpt-6"}
	})
	if err := as(sarah).Create(ctx, c); err != nil { // at once: what the cache lacks is read again
		t.Fatal(err)
	}
	if err := as(admin).Delete(ctx, own); err != nil {
		t.Fatal(err)
	}
	change := func(user, patch string) error {
		return as(user).Patch(ctx, c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
	if err := until(ctx, func() error {
		if change(sarah, `{"spec":{"purpose":"Another."}}`) == nil {
			return errNotYet
		}
		return nil
	}); err != nil {
		t.Errorf("its request is not judged any more: %v", err)
	}
	for _, patch := range []string{`{"metadata":{"labels":{"team":"a"}}}`, `{"metadata":{"annotations":{"note":"a"}}}`, `{"spec":{"state":"Revoked"}}`} {
		refusal(t, change(lee, patch), "")
	}
}
