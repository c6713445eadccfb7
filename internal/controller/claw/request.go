package claw

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/schedule"
)

// directoryOf is who is who in an organization, or nobody where there is none.
func (r *Reconciler) directoryOf(ctx context.Context, org *v1alpha1.ClawOrganization) (*policy.Directory, error) {
	if org == nil {
		return policy.NewDirectory(nil), nil
	}
	d, _, err := r.Directory.Of(ctx, org)
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	return d, nil
}

// observeRequest compiles what is asked and what is allowed into the grant.
func (r *Reconciler) observeRequest(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	policies, err := index.PoliciesOf(ctx, r.Client, claw.Namespace)
	if err != nil {
		return err
	}
	if err := r.observeCredentials(ctx, claw, f); err != nil {
		return err
	}
	in := policy.Input{
		Organization: f.organization, Claw: claw, Policies: policies, Catalogue: r.Catalogue,
		Directory: f.directory, RuntimeClassName: f.wantedClass, Now: r.Clock.Now(),
	}
	in.Credentials = f.usable(true)
	f.result = policy.Compile(in)
	if f.grantsBarred() {
		// A policy has just let go of a credential, whose own controller has not said so yet.
		in.Credentials = f.usable(false)
		f.result = policy.Compile(in)
	}
	f.observeTime(claw, in.Now)
	if f.result.Grant.State == v1alpha1.GrantActive && !f.result.RuntimeAllowed && f.hold == nil {
		f.hold = &obstacle{reason: v1alpha1.ReasonRuntimeNotAllowed, message: withheldText(*f, aboutRuntime)}
	}
	return nil
}

// observeTime looks whether the schedules are open: the Claw's own, and those that policies require.
func (f *facts) observeTime(claw *v1alpha1.Claw, now time.Time) {
	all := f.result.Grant.Schedules
	if f.result.Grant.State != v1alpha1.GrantActive {
		return
	}
	f.turns = schedule.AnyChange(all, now)
	if f.closed = !schedule.AllOpen(all, now); f.closed {
		f.opens = schedule.NextOpen(all, now)
		f.suspended = claw.Spec.Schedule != nil && claw.Spec.Schedule.Outside == v1alpha1.OutsideSuspend
	}
}

// observePeople finds whom the Claw belongs to: the usernames of its owner, and the credentials that are for
// this Claw and this owner.
func (r *Reconciler) observePeople(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	var list v1alpha1.ClawCredentialList
	err := r.Client.List(ctx, &list, client.InNamespace(claw.Namespace), client.MatchingFields{index.CredentialClaw: claw.Name})
	if err != nil {
		return fmt.Errorf("list the credentials of the Claw: %w", err)
	}
	f.people.Credentials = owned(claw, list.Items)
	for _, username := range f.directory.Usernames(claw.Spec.Owner) {
		if f.directory.HasUsername(claw.Spec.Owner, username) {
			f.people.Usernames = append(f.people.Usernames, username)
		}
	}
	slices.Sort(f.people.Usernames)
	f.people.Usernames = slices.Compact(f.people.Usernames)
	return nil
}

// maxOwned bounds how many credentials an owner is given rights on, by name: a Role must fit into an object, and
// one that does not would keep the Claw from being taken down. Nobody needs so many.
const maxOwned = 1024

// owned are the credentials that are for a Claw and its owner, in order; of too many, those that the Claw names.
func owned(claw *v1alpha1.Claw, credentials []v1alpha1.ClawCredential) []string {
	named := cage.CredentialNames(claw)
	var out, others []string
	for i := range credentials {
		switch c := &credentials[i]; {
		case c.Spec.Claw.Owner != claw.Spec.Owner:
		case slices.Contains(named, c.Name):
			out = append(out, c.Name)
		default:
			others = append(others, c.Name)
		}
	}
	slices.Sort(others)
	out = append(out, others[:max(0, min(len(others), maxOwned-len(out)))]...)
	slices.Sort(out)
	return out
}
