package v1alpha1

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// policySelects indexes policies by whom they may select, so that of a thousand in a cage only those are
// looked at that can be over a Claw.
const policySelects = "admissionSelects"

// anybody is the index of a policy that may select any Claw.
const anybody = "*"

// selectorKeys are the index of a policy. It may promise too much, and never too little.
func selectorKeys(p *v1alpha1.ClawPolicy) []string {
	s := &p.Spec.Selector
	if s.All {
		return []string{anybody}
	}
	var out []string
	for _, name := range s.Claws {
		if strings.Contains(string(name), string(v1alpha1.Wildcard)) {
			return []string{anybody}
		}
		out = append(out, "claw/"+string(name))
	}
	for _, name := range s.Owners {
		out = append(out, "owner/"+string(name))
	}
	for _, name := range s.Teams {
		out = append(out, "team/"+string(name))
	}
	return out
}

// keysFor are the indexes under which the policies over a Claw are.
func keysFor(dir *policy.Directory, claw *v1alpha1.Claw) []string {
	out := []string{anybody, "claw/" + claw.Name, "owner/" + string(claw.Spec.Owner)}
	for _, team := range dir.TeamsOf(claw.Spec.Owner) {
		out = append(out, "team/"+string(team))
	}
	return out
}

// policiesOver lists the policies that may select a Claw, and perhaps others. The API server has no index.
func (j *judge) policiesOver(ctx context.Context, s *surroundings, claw *v1alpha1.Claw) ([]v1alpha1.ClawPolicy, error) {
	var list v1alpha1.ClawPolicyList
	if s.reader != j.cached || !s.directory.TeamsKnown() { // then any that selects by team may be over it
		if err := s.reader.List(ctx, &list, client.InNamespace(claw.Namespace)); err != nil {
			return nil, fmt.Errorf("list ClawPolicies: %w", err)
		}
		for i := range list.Items {
			list.Items[i] = inForce(&list.Items[i])
		}
		return list.Items, nil
	}
	var out []v1alpha1.ClawPolicy
	seen := map[string]bool{}
	for _, key := range keysFor(s.directory, claw) {
		if err := s.reader.List(ctx, &list, client.InNamespace(claw.Namespace), client.MatchingFields{policySelects: key}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list ClawPolicies: %w", err)
		}
		out = slices.Grow(out, len(list.Items))
		for i := range list.Items {
			if p := &list.Items[i]; !seen[p.Name] {
				seen[p.Name] = true
				out = append(out, inForce(p))
			}
		}
	}
	return out, nil
}

// inForce is what a policy says now, as the controllers take it: one that is being deleted allows nothing any
// more, and denies and requires until it is gone.
func inForce(p *v1alpha1.ClawPolicy) v1alpha1.ClawPolicy {
	out := *p
	if p.DeletionTimestamp != nil {
		out.Spec.Allow = v1alpha1.PolicyRules{}
	}
	return out
}
