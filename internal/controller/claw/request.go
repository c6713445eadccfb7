package claw

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
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
		Organization: f.organization, Claw: claw, Policies: policies, KnownConnector: r.Catalogue.Known,
		Directory: f.directory, RuntimeClassName: f.wantedClass, Now: r.Clock.Now(),
	}
	in.Credentials = f.usable(true)
	f.result = policy.Compile(in)
	if f.grantsBarred() {
		// A policy has just let go of a credential, whose own controller has not said so yet.
		in.Credentials = f.usable(false)
		f.result = policy.Compile(in)
	}
	f.observeTime(in.Now)
	if f.result.Grant.State == v1alpha1.GrantActive && !f.result.RuntimeAllowed && f.hold == nil {
		f.hold = &obstacle{reason: v1alpha1.ReasonRuntimeNotAllowed, message: withheldText(*f, aboutRuntime)}
	}
	return nil
}

// observeTime looks whether the schedules are open.
func (f *facts) observeTime(now time.Time) {
	if f.result.Grant.State != v1alpha1.GrantActive {
		return
	}
	for i := range f.result.Grant.Schedules {
		s := &f.result.Grant.Schedules[i]
		f.closed = f.closed || !schedule.Open(s, now)
		if next := schedule.NextChange(s, now); !next.IsZero() && (f.turns.IsZero() || next.Before(f.turns)) {
			f.turns = next
		}
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
	for i := range list.Items {
		if list.Items[i].Spec.Claw.Owner == claw.Spec.Owner {
			f.people.Credentials = append(f.people.Credentials, list.Items[i].Name)
		}
	}
	slices.Sort(f.people.Credentials)
	for _, username := range f.directory.Usernames(claw.Spec.Owner) {
		if f.directory.HasUsername(claw.Spec.Owner, username) {
			f.people.Usernames = append(f.people.Usernames, username)
		}
	}
	slices.Sort(f.people.Usernames)
	f.people.Usernames = slices.Compact(f.people.Usernames)
	return nil
}
