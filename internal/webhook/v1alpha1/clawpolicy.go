package v1alpha1

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
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
	org, err := inCage(ctx, r, f, p, "ClawPolicy")
	if err != nil || org == nil {
		return err
	}
	// A denial of a connector that does not exist would deny nothing, and its author would not know.
	v.connectors(f, "spec.allow", &p.Spec.Allow)
	v.connectors(f, "spec.deny", &p.Spec.Deny)
	warnSelector(f, org, &p.Spec.Selector)
	warnEmptyAllows(f, &p.Spec.Allow)
	return nil
}

func (v *policyValidator) connectors(f *findings, path string, rules *v1alpha1.PolicyRules) {
	for i, rule := range rules.Channels {
		v.unknownConnector(f, fmt.Sprintf("%s.channels[%d].connector", path, i), rule.Connector)
	}
	for i, rule := range rules.Tools {
		v.unknownConnector(f, fmt.Sprintf("%s.tools[%d].connector", path, i), rule.Connector)
	}
	for i, rule := range rules.Models {
		v.unknownConnector(f, fmt.Sprintf("%s.models[%d].connector", path, i), rule.Connector)
	}
}

// warnSelector says what a selector does not select, which may come later and may be a slip.
func warnSelector(f *findings, org *v1alpha1.ClawOrganization, s *v1alpha1.PolicySelector) {
	if !s.All && len(s.Claws)+len(s.Owners)+len(s.Teams) == 0 {
		f.warn("spec.selector is empty, which selects no Claw: name claws, owners or teams, or set all: true")
	}
	for i, owner := range s.Owners {
		if !slices.ContainsFunc(org.Spec.Members, func(m v1alpha1.Member) bool { return m.Name == owner }) {
			f.warn("spec.selector.owners[%d]: %q is no member of ClawOrganization %q", i, owner, org.Name)
		}
	}
	for i, team := range s.Teams {
		if !slices.ContainsFunc(org.Spec.Teams, func(t v1alpha1.Team) bool { return t.Name == team }) {
			f.warn("spec.selector.teams[%d]: %q is no team of ClawOrganization %q", i, team, org.Name)
		}
	}
}

// warnEmptyAllows says where an allow allows nothing.
func warnEmptyAllows(f *findings, allow *v1alpha1.PolicyRules) {
	for i, rule := range allow.Channels {
		warnEmpty(f, fmt.Sprintf("spec.allow.channels[%d].channels", i), len(rule.Channels), "this rule allows nothing")
		warnEmpty(f, fmt.Sprintf("spec.allow.channels[%d].users", i), len(rule.Users), "this rule allows nothing")
	}
	for i, rule := range allow.Tools {
		warnEmpty(f, fmt.Sprintf("spec.allow.tools[%d].actions", i), len(rule.Actions), "this rule allows nothing")
	}
	for i, rule := range allow.Models {
		warnEmpty(f, fmt.Sprintf("spec.allow.models[%d].models", i), len(rule.Models), "this rule allows nothing")
	}
}
