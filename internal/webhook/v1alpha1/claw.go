package v1alpha1

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

type clawValidator struct{ *judge }

// ValidateCreate judges all of a new Claw.
func (v *clawValidator) ValidateCreate(ctx context.Context, claw *v1alpha1.Claw) (admission.Warnings, error) {
	return v.decide(ctx, claw, "Claw", func(r client.Reader, f *findings) error {
		reservedKeys(f, nil, claw)
		return v.look(ctx, r, f, nil, claw)
	})
}

// ValidateUpdate judges what an update changes. A Claw that policies have outgrown keeps running on what
// is left, so its metadata can still be changed; and to revoke it is always possible.
func (v *clawValidator) ValidateUpdate(ctx context.Context, old, claw *v1alpha1.Claw) (admission.Warnings, error) {
	what := changed(old, claw, &old.Spec, &claw.Spec)
	if what == changeNothing || what == changeMetadata && v.byManager(ctx) {
		return nil, nil
	}
	return v.decide(ctx, claw, "Claw", func(r client.Reader, f *findings) error {
		reservedKeys(f, old, claw)
		if what == changeMetadata || onlyRevoked(old, claw) {
			return nil
		}
		return v.look(ctx, r, f, old, claw)
	})
}

// ValidateDelete refuses nothing.
func (v *clawValidator) ValidateDelete(context.Context, *v1alpha1.Claw) (admission.Warnings, error) {
	return nil, nil
}

// onlyRevoked reports whether nothing but the state changed, to Revoked.
func onlyRevoked(old, claw *v1alpha1.Claw) bool {
	revoked := old.Spec.DeepCopy()
	revoked.State = v1alpha1.ClawRevoked
	return apiequality.Semantic.DeepEqual(revoked, &claw.Spec)
}

// look judges a Claw's request; old is nil for a new Claw.
func (v *clawValidator) look(ctx context.Context, r client.Reader, f *findings, old, claw *v1alpha1.Claw) error {
	pastedKeys(f, v.Catalogue, claw.Spec)
	org, err := inCage(ctx, r, f, claw, "Claw")
	if err != nil || org == nil {
		return err
	}
	if old == nil {
		if err := withinQuota(ctx, r, f, org, claw); err != nil {
			return err
		}
	}
	if err := v.byOwner(ctx, f, org, old, claw); err != nil {
		return err
	}
	var policies v1alpha1.ClawPolicyList
	if err := r.List(ctx, &policies, client.InNamespace(claw.Namespace)); err != nil {
		return fmt.Errorf("list ClawPolicies: %w", err)
	}
	result := policy.Compile(policy.Input{
		Organization: org, Claw: claw, Policies: policies.Items,
		KnownConnector: v.Catalogue.Known, SkipCredentials: true,
	})
	for _, w := range result.Withheld {
		if w.Reason == v1alpha1.WithheldContested {
			f.warn("%s", w.Message) // the directory's mistake, not this Claw's
			continue
		}
		f.refuse(w.Path, "%s", w.Message)
	}
	warnEmptyAsks(f, &claw.Spec)
	return nil
}

// withinQuota refuses a Claw more than the organization may have. The namespace's ResourceQuota holds the
// line against creations at the same moment; this one explains.
func withinQuota(ctx context.Context, r client.Reader, f *findings, org *v1alpha1.ClawOrganization, claw *v1alpha1.Claw) error {
	quota := org.Spec.Quota.Claws
	if quota == nil {
		return nil
	}
	var claws v1alpha1.ClawList
	if err := r.List(ctx, &claws, client.InNamespace(claw.Namespace)); err != nil {
		return fmt.Errorf("list Claws: %w", err)
	}
	if n := len(claws.Items); n >= int(*quota) {
		f.refuse("metadata.name", "ClawOrganization %q has %d Claws and its spec.quota.claws is %d: delete a Claw, revoked ones included, or have the platform raise the quota",
			org.Name, n, *quota)
	}
	return nil
}

// warnEmptyAsks says where an entry asks for nothing, which is allowed and rarely meant.
func warnEmptyAsks(f *findings, spec *v1alpha1.ClawSpec) {
	for i, e := range spec.Channels {
		warnEmpty(f, fmt.Sprintf("spec.channels[%d].channels", i), len(e.Channels), "the Claw is reached nowhere through this entry")
		warnEmpty(f, fmt.Sprintf("spec.channels[%d].users", i), len(e.Users), "the Claw hears nobody through this entry")
	}
	for i, e := range spec.Tools {
		warnEmpty(f, fmt.Sprintf("spec.tools[%d].actions", i), len(e.Actions), "the Claw may do nothing through this entry")
		for k, s := range e.Resources {
			warnEmpty(f, fmt.Sprintf("spec.tools[%d].resources[%d].names", i, k), len(s.Names), "it stands for no "+s.Type)
		}
	}
	for i, e := range spec.Models {
		warnEmpty(f, fmt.Sprintf("spec.models[%d].models", i), len(e.Models), "the Claw may ask no model through this entry")
	}
}

func warnEmpty(f *findings, path string, n int, means string) {
	if n == 0 {
		f.warn("%s is empty, which means none: %s", path, means)
	}
}
