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
	revoked := old.Spec
	revoked.State = v1alpha1.ClawRevoked
	return apiequality.Semantic.DeepEqual(&revoked, &claw.Spec)
}

// look judges a Claw's request; old is nil for a new Claw.
func (v *clawValidator) look(ctx context.Context, r client.Reader, f *findings, old, claw *v1alpha1.Claw) error {
	pastedKeys(f, v.Catalogue, claw.Spec)
	v.times(f, old, claw)
	s, err := v.surround(ctx, r, f, claw, "Claw")
	if err != nil || s == nil {
		return err
	}
	if old == nil {
		if s.organization.DeletionTimestamp != nil {
			f.refuse("metadata.namespace", "ClawOrganization %q is being deleted and takes no new Claws: create the Claw in another organization, or when this one is there again", s.organization.Name)
		}
		if err := v.withinQuota(ctx, f, s, claw); err != nil {
			return err
		}
	}
	if err := v.byOwner(ctx, f, s, old, claw); err != nil {
		return err
	}
	in, err := v.input(ctx, s, claw)
	if err != nil {
		return err
	}
	for _, w := range policy.Compile(in).Withheld {
		switch {
		case w.Reason == v1alpha1.WithheldContested:
			f.warn("%s", w.Message) // the directory's mistake, not this Claw's
		case !f.told[w.Path]: // a schedule nobody can follow is one refusal
			f.refuse(w.Path, "%s", w.Message)
		}
	}
	if err := credentialsOf(ctx, f, s, in); err != nil {
		return err
	}
	warnUnwise(f, &claw.Spec)
	return nil
}

// times refuses a Claw whose time is over before it begins, and schedules nobody can follow.
func (v *clawValidator) times(f *findings, old, claw *v1alpha1.Claw) {
	end := claw.Spec.ExpiresAt
	if end != nil && (old == nil || !apiequality.Semantic.DeepEqual(old.Spec.ExpiresAt, end)) && !end.After(v.Clock.Now()) {
		f.refuse("spec.expiresAt", "asked for %s, which is past: name a time to come, or revoke the Claw by setting spec.state to Revoked", end.UTC().Format(timeFormat))
	}
	checkSchedule(f, "spec.schedule", claw.Spec.Schedule.Times())
	for i := range claw.Spec.Tools {
		checkSchedule(f, fmt.Sprintf("spec.tools[%d].schedule", i), claw.Spec.Tools[i].Schedule)
	}
}
