package v1alpha1

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

type policyValidator struct{ *judge }

// ValidateCreate judges all of a new policy.
func (v *policyValidator) ValidateCreate(ctx context.Context, p *v1alpha1.ClawPolicy) (admission.Warnings, error) {
	return v.decide(ctx, p, "ClawPolicy", func(r client.Reader, f *findings) error {
		reservedKeys(f, nil, p)
		return v.look(ctx, r, f, p)
	})
}

// ValidateUpdate judges what an update changes.
func (v *policyValidator) ValidateUpdate(ctx context.Context, old, p *v1alpha1.ClawPolicy) (admission.Warnings, error) {
	what := changed(old, p, &old.Spec, &p.Spec)
	if what == changeNothing || what == changeMetadata && v.byManager(ctx) {
		return nil, nil
	}
	return v.decide(ctx, p, "ClawPolicy", func(r client.Reader, f *findings) error {
		reservedKeys(f, old, p)
		if what == changeMetadata {
			return nil
		}
		return v.look(ctx, r, f, p)
	})
}

// ValidateDelete refuses nothing: Claws go on with what the other policies allow.
func (v *policyValidator) ValidateDelete(context.Context, *v1alpha1.ClawPolicy) (admission.Warnings, error) {
	return nil, nil
}

func (v *policyValidator) look(ctx context.Context, r client.Reader, f *findings, p *v1alpha1.ClawPolicy) error {
	pastedKeys(f, v.Catalogue, p.Spec)
	s, err := v.surround(ctx, r, f, p, "ClawPolicy")
	if err != nil || s == nil {
		return err
	}
	v.connectors(f, "spec.allow", &p.Spec.Allow)
	v.connectors(f, "spec.deny", &p.Spec.Deny)
	checkRequirements(f, "spec.require", &p.Spec.Require, s.organization)
	warnContradictions(f, &p.Spec)
	warnEmptyAllows(f, &p.Spec.Allow)
	return v.selector(ctx, f, s, p)
}

// connectors refuses rules about connectors that do not exist: a denial of one would deny nothing, and its
// author would not know.
func (j *judge) connectors(f *findings, path string, rules *v1alpha1.PolicyRules) {
	for i, rule := range rules.Channels {
		j.unknownConnector(f, fmt.Sprintf("%s.channels[%d].connector", path, i), rule.Connector)
	}
	for i, rule := range rules.Tools {
		j.unknownConnector(f, fmt.Sprintf("%s.tools[%d].connector", path, i), rule.Connector)
	}
	for i, rule := range rules.Models {
		j.unknownConnector(f, fmt.Sprintf("%s.models[%d].connector", path, i), rule.Connector)
	}
}

// selector says what a selector does not select, which may come later and may be a slip.
func (v *policyValidator) selector(ctx context.Context, f *findings, s *surroundings, p *v1alpha1.ClawPolicy) error {
	sel := &p.Spec.Selector
	if !sel.All && len(sel.Claws)+len(sel.Owners)+len(sel.Teams) == 0 {
		f.warn("spec.selector is empty, which selects no Claw: name claws, owners or teams, or set all: true")
		return nil
	}
	warnNames(f, p)
	before := len(f.warnings)
	for i, owner := range sel.Owners {
		if !s.directory.IsMember(owner) {
			f.warn("spec.selector.owners[%d]: %q is no member of ClawOrganization %q", i, owner, s.organization.Name)
		}
	}
	for i, team := range sel.Teams {
		if !s.directory.HasTeam(team) {
			f.warn("spec.selector.teams[%d]: %q is no team of ClawOrganization %q, or one of nobody", i, team, s.organization.Name)
		}
	}
	for i, name := range sel.Claws {
		if strings.HasSuffix(string(name), string(v1alpha1.Wildcard)) {
			continue
		}
		err := v.cached.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: string(name)}, &v1alpha1.Claw{}, client.UnsafeDisableDeepCopy)
		switch {
		case apierrors.IsNotFound(err):
			f.warn("spec.selector.claws[%d]: there is no Claw %q yet", i, name)
		case err != nil:
			return fmt.Errorf("read Claw %s: %w", name, err)
		}
	}
	if len(f.warnings) > before || sel.All {
		return nil
	}
	return v.selectsNone(ctx, f, s, p)
}

// warnNames says where what is allowed is allowed to whoever takes a name: the name of a Claw is its author's
// to choose.
func warnNames(f *findings, p *v1alpha1.ClawPolicy) {
	sel, allow := &p.Spec.Selector, &p.Spec.Allow
	if sel.All || len(allow.Visibility)+len(allow.Channels)+len(allow.Tools)+len(allow.Models)+len(allow.Stores) == 0 {
		return
	}
	for i, name := range sel.Claws {
		if strings.HasSuffix(string(name), string(v1alpha1.Wildcard)) {
			f.warn("spec.selector.claws[%d]: %q selects by a name that whoever creates a Claw chooses, so everybody who may create one can have what is allowed here: allow by owners or teams, and keep names for deny and require", i, name)
		}
	}
}

// selectsNone warns where a selector, whose parts all exist, selects no Claw. It looks in the cache alone:
// a warning is not worth asking the API server for every Claw.
func (v *policyValidator) selectsNone(ctx context.Context, f *findings, s *surroundings, p *v1alpha1.ClawPolicy) error {
	var claws v1alpha1.ClawList
	if err := v.cached.List(ctx, &claws, client.InNamespace(p.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Claws: %w", err)
	}
	for i := range claws.Items {
		if policy.Selects(p, s.directory, &claws.Items[i]) {
			return nil
		}
	}
	f.warn("spec.selector selects none of the Claws there are")
	return nil
}

// warnEmptyAllows says where an allow allows nothing.
func warnEmptyAllows(f *findings, allow *v1alpha1.PolicyRules) {
	for i, rule := range allow.Channels {
		warnEmpty(f, fmt.Sprintf("spec.allow.channels[%d].channels", i), len(rule.Channels), "this rule allows nothing")
		heard := len(rule.Users) + len(rule.Correspondents.Users) + len(rule.Correspondents.Domains)
		warnEmpty(f, fmt.Sprintf("spec.allow.channels[%d].users", i), heard, "this rule allows nothing")
	}
	for i, rule := range allow.Tools {
		warnEmpty(f, fmt.Sprintf("spec.allow.tools[%d].actions", i), len(rule.Actions), "this rule allows nothing")
	}
	for i, rule := range allow.Models {
		warnEmpty(f, fmt.Sprintf("spec.allow.models[%d].models", i), len(rule.Models), "this rule allows nothing")
	}
	for i, rule := range allow.Stores {
		warnEmpty(f, fmt.Sprintf("spec.allow.stores[%d].keys", i), len(rule.Keys), "this rule allows nothing")
	}
}
