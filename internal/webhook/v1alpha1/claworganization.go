package v1alpha1

import (
	"context"
	"fmt"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

type organizationValidator struct{ *judge }

// ValidateCreate judges all of a new organization.
func (v *organizationValidator) ValidateCreate(ctx context.Context, org *v1alpha1.ClawOrganization) (admission.Warnings, error) {
	return v.decide(ctx, org, "ClawOrganization", func(r client.Reader, f *findings) error {
		reservedKeys(f, nil, org)
		return v.look(ctx, r, f, org)
	})
}

// ValidateUpdate judges what an update changes; to stop an organization, or to let it run again, is always possible.
func (v *organizationValidator) ValidateUpdate(ctx context.Context, old, org *v1alpha1.ClawOrganization) (admission.Warnings, error) {
	what := changed(old, org, &old.Spec, &org.Spec)
	if what == changeNothing || what == changeMetadata && v.byManager(ctx) {
		return nil, nil
	}
	moved := old.Spec.DeepCopy()
	moved.State = org.Spec.State
	return v.decide(ctx, org, "ClawOrganization", func(r client.Reader, f *findings) error {
		reservedKeys(f, old, org)
		if what == changeMetadata || apiequality.Semantic.DeepEqual(moved, &org.Spec) {
			return nil
		}
		return v.look(ctx, r, f, org)
	})
}

// ValidateDelete refuses to delete an organization that has Claws. It asks the API server and not the
// cache, because a Claw made a moment ago counts.
func (v *organizationValidator) ValidateDelete(ctx context.Context, org *v1alpha1.ClawOrganization) (admission.Warnings, error) {
	if org.DeletionTimestamp != nil {
		return nil, nil
	}
	var claws v1alpha1.ClawList
	if err := v.live.List(ctx, &claws, client.InNamespace(org.Cage()), client.Limit(1)); err != nil {
		return nil, fmt.Errorf("list Claws of namespace %q: %w", org.Cage(), err)
	}
	if len(claws.Items) == 0 {
		return nil, nil
	}
	cage, err := cageOf(ctx, v.live, org.Cage())
	if err != nil {
		return nil, err
	}
	if cage == nil || cage.Name != org.Name { // somebody else's Claws
		return nil, nil
	}
	return nil, forbidden("claworganizations", org, "it still has Claws in namespace %q, among them %q: delete them first, or set spec.state to Stopped",
		org.Cage(), claws.Items[0].Name)
}

func (v *organizationValidator) look(ctx context.Context, r client.Reader, f *findings, org *v1alpha1.ClawOrganization) error {
	pastedKeys(f, v.Catalogue, org.Spec)
	if err := v.namespace(ctx, r, f, org); err != nil {
		return err
	}
	contested(f, org)
	for i, team := range org.Spec.Teams {
		for k, name := range team.Members {
			if !isMember(org, name) {
				f.warn("spec.teams[%d].members[%d]: %q is none of spec.members and counts for nobody", i, k, name)
			}
		}
	}
	return nil
}

// namespace refuses a cage that cannot be this organization's.
func (v *organizationValidator) namespace(ctx context.Context, r client.Reader, f *findings, org *v1alpha1.ClawOrganization) error {
	cage, path := org.Cage(), "spec.namespace"
	if org.Spec.Namespace == "" {
		path = "metadata.name"
	}
	if cage == "default" || cage == v.Namespace || strings.HasPrefix(cage, "kube-") {
		f.refuse(path, "namespace %q is Kubernetes' or the operator's own and cannot be a cage: set spec.namespace to another one", cage)
		return nil
	}
	var others v1alpha1.ClawOrganizationList
	if err := r.List(ctx, &others); err != nil {
		return fmt.Errorf("list ClawOrganizations: %w", err)
	}
	for i := range others.Items {
		if other := &others.Items[i]; other.Name != org.Name && other.Cage() == cage {
			f.refuse(path, "namespace %q is the cage of ClawOrganization %q: set spec.namespace to another one", cage, other.Name)
			return nil
		}
	}
	label, err := organizationLabel(ctx, r, cage)
	if err == nil && label != "" && label != org.Name {
		f.refuse(path, "namespace %q carries the label %s=%s and so is another organization's: set spec.namespace to another one", cage, v1alpha1.LabelOrganization, label)
	}
	return err
}

// contested refuses an identity, or a username of the API server, that two members claim: it could not be
// told who speaks.
func contested(f *findings, org *v1alpha1.ClawOrganization) {
	type claim struct{ connector, id string }
	first := map[claim]int{}
	check := func(i int, path string, c claim) {
		by, ok := first[c]
		switch {
		case !ok:
			first[c] = i
		case by != i:
			f.refuse(path, "%q is claimed by %q already (spec.members[%d]): an identity is one person's, leave it with one of them",
				c.id, org.Spec.Members[by].Name, by)
		}
	}
	for i, m := range org.Spec.Members {
		for _, connector := range keysOf(m.Identities) {
			for k, id := range m.Identities[connector] {
				check(i, fmt.Sprintf("spec.members[%d].identities.%s[%d]", i, connector, k), claim{connector, id})
			}
		}
		for k, username := range m.Kubernetes {
			check(i, fmt.Sprintf("spec.members[%d].kubernetes[%d]", i, k), claim{id: username})
		}
	}
}

func isMember(org *v1alpha1.ClawOrganization, name v1alpha1.MemberName) bool {
	for _, m := range org.Spec.Members {
		if m.Name == name {
			return true
		}
	}
	return false
}
