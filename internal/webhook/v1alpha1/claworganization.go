package v1alpha1

import (
	"context"
	"fmt"
	"maps"
	"slices"

	nodev1 "k8s.io/api/node/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

type organizationValidator struct{ *judge }

// ValidateCreate judges all of a new organization.
func (v *organizationValidator) ValidateCreate(ctx context.Context, org *v1alpha1.ClawOrganization) (admission.Warnings, error) {
	return v.decide(ctx, org, "ClawOrganization", func(r client.Reader, f *findings) error {
		reservedKeys(f, nil, org)
		return v.look(ctx, r, f, nil, org)
	})
}

// ValidateUpdate judges what an update changes; to stop an organization, or to let it run again, is always possible.
func (v *organizationValidator) ValidateUpdate(ctx context.Context, old, org *v1alpha1.ClawOrganization) (admission.Warnings, error) {
	what := changed(old, org, &old.Spec, &org.Spec)
	if what == changeNothing || what == changeMetadata && v.byManager(ctx) {
		return nil, nil
	}
	moved := old.Spec
	moved.State = org.Spec.State
	return v.decide(ctx, org, "ClawOrganization", func(r client.Reader, f *findings) error {
		reservedKeys(f, old, org)
		if what == changeMetadata || apiequality.Semantic.DeepEqual(&moved, &org.Spec) {
			return nil
		}
		return v.look(ctx, r, f, old, org)
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

// look judges an organization; old is nil for a new one.
func (v *organizationValidator) look(ctx context.Context, r client.Reader, f *findings, old, org *v1alpha1.ClawOrganization) error {
	pastedKeys(f, v.Catalogue, org.Spec)
	if err := v.namespace(ctx, r, f, org); err != nil {
		return err
	}
	contested(f, org)
	v.connectors(f, "spec.baseline.deny", &org.Spec.Baseline.Deny)
	checkRequirements(f, "spec.baseline.require", &org.Spec.Baseline.Require, org)
	if len(f.errs) > 0 {
		return nil // warnings about what is refused are noise
	}
	s, err := v.pending(ctx, r, f, org)
	if err != nil {
		return err
	}
	warnTeams(f, s)
	if err := s.warnSandbox(ctx, f); err != nil {
		return err
	}
	if old == nil {
		return nil
	}
	if err := v.warnQuota(ctx, f, s); err != nil {
		return err
	}
	return v.warnLeavers(ctx, f, s, old)
}

// pending are the surroundings an organization would be itself, and warns of what is left aside of its directory.
func (v *organizationValidator) pending(ctx context.Context, r client.Reader, f *findings, org *v1alpha1.ClawOrganization) (*surroundings, error) {
	dir, problems, err := v.Directory.OfPending(ctx, v.configMaps(r), org)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		f.warn("spec.directoryRefs: %s", p.Message)
	}
	return &surroundings{reader: r, organization: org, directory: dir, now: v.Clock.Now()}, nil
}

// warnTeams says who in a team counts for nobody.
func warnTeams(f *findings, s *surroundings) {
	for i, team := range s.organization.Spec.Teams {
		for k, name := range team.Members {
			if !s.directory.IsMember(name) {
				f.warn("spec.teams[%d].members[%d]: %q is no member and counts for nobody", i, k, name)
			}
		}
	}
}

// warnSandbox says where agents would not run, because the cluster has not what they are to run in.
func (s *surroundings) warnSandbox(ctx context.Context, f *findings) error {
	sandbox := s.organization.Spec.Sandbox
	if sandbox.RuntimeClassName == "" {
		return nil
	}
	var class nodev1.RuntimeClass
	err := s.reader.Get(ctx, client.ObjectKey{Name: string(sandbox.RuntimeClassName)}, &class, client.UnsafeDisableDeepCopy)
	if err == nil || !apierrors.IsNotFound(err) {
		return err
	}
	means := "no agent runs until there is"
	if sandbox.RuntimeClass == v1alpha1.RuntimeClassPreferred {
		means = "agents run in the cluster's default runtime until there is"
	}
	f.warn("spec.sandbox.runtimeClassName: this cluster has no RuntimeClass %q, and %s", sandbox.RuntimeClassName, means)
	return nil
}

// warnQuota says where there are more Claws than the quota lets be. They stay.
func (v *organizationValidator) warnQuota(ctx context.Context, f *findings, s *surroundings) error {
	quota := s.organization.Spec.Quota.Claws
	if quota == nil {
		return nil
	}
	n, err := v.clawsIn(ctx, v.cached, s.organization.Cage())
	if err == nil && n > int(*quota) {
		f.warn("spec.quota.claws is %d and there are %d Claws: they go on, and no other can be created until there are fewer", *quota, n)
	}
	return err
}

// warnLeavers says which Claws lose their owner: who was a member, and is none any more. It looks in the
// cache alone, as a warning is not worth asking the API server for every Claw.
func (v *organizationValidator) warnLeavers(ctx context.Context, f *findings, s *surroundings, old *v1alpha1.ClawOrganization) error {
	gone := map[v1alpha1.MemberName][]string{}
	for _, m := range old.Spec.Members {
		if !s.directory.IsMember(m.Name) {
			gone[m.Name] = nil
		}
	}
	if len(gone) == 0 {
		return nil
	}
	var claws v1alpha1.ClawList
	if err := v.cached.List(ctx, &claws, client.InNamespace(s.organization.Cage()), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Claws: %w", err)
	}
	for i := range claws.Items {
		c := &claws.Items[i]
		if _, ok := gone[c.Spec.Owner]; ok && c.Spec.State != v1alpha1.ClawRevoked {
			gone[c.Spec.Owner] = append(gone[c.Spec.Owner], c.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		if n := len(gone[name]); n > 0 {
			f.warn("spec.members: %q is no member any more and owns %d Claws, among them %q: these are granted nothing until they have another owner, or the member is back", name, n, slices.Min(gone[name]))
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
	if v.neverACage(cage) {
		f.refuse(path, "namespace %q is Kubernetes' or the operator's own and cannot be a cage: set spec.namespace to another one", cage)
		return nil
	}
	var others v1alpha1.ClawOrganizationList
	if err := r.List(ctx, &others, client.UnsafeDisableDeepCopy); err != nil {
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
