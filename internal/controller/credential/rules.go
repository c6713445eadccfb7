package credential

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/credential"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// rules are what policies say about a credential.
type rules struct{ input policy.Input }

// rulesFor gathers the policies over the Claw that a credential is for. It may not exist yet.
func (r *Reconciler) rulesFor(ctx context.Context, cred *v1alpha1.ClawCredential, claw *v1alpha1.Claw) (rules, error) {
	org, err := index.OrganizationOf(ctx, r.Client, cred.Namespace)
	if err != nil || org == nil {
		return rules{}, err
	}
	policies, err := index.PoliciesOf(ctx, r.Client, cred.Namespace)
	if err != nil {
		return rules{}, err
	}
	dir, _, err := r.Directory.Of(ctx, org)
	if err != nil {
		return rules{}, fmt.Errorf("read the directory: %w", err)
	}
	if claw == nil {
		claw = awaited(cred)
	}
	return rules{policy.Input{
		Organization: org, Claw: claw, Policies: policies, Directory: dir, Catalogue: r.Catalogue, Now: r.Clock.Now(),
	}}, nil
}

// awaited is the Claw a credential is for, as far as the credential tells: enough to be selected by.
func awaited(cred *v1alpha1.ClawCredential) *v1alpha1.Claw {
	claw := &v1alpha1.Claw{}
	claw.Namespace, claw.Name, claw.Spec.Owner = cred.Namespace, string(cred.Spec.Claw.Name), cred.Spec.Claw.Owner
	return claw
}

// store says why a store may not be read at all.
func (r rules) store(cred *v1alpha1.ClawCredential) *credential.Refusal {
	if r.input.Organization == nil {
		return &credential.Refusal{Reason: v1alpha1.ReasonNotACage, Message: fmt.Sprintf(
			"namespace %q is no organization's cage: create the ClawCredential in spec.namespace of its ClawOrganization", cred.Namespace)}
	}
	for _, w := range policy.CheckCredential(r.input, cred, time.Time{}) {
		if strings.HasPrefix(w.Path, "spec.source") {
			return refusal(w)
		}
	}
	return nil
}

// use says why what was read may not be used.
func (r rules) use(cred *v1alpha1.ClawCredential, rotated time.Time) *credential.Refusal {
	if r.input.Organization == nil {
		return nil // there is no Claw that could
	}
	for _, w := range policy.CheckCredential(r.input, cred, rotated) {
		return refusal(w)
	}
	return nil
}

// refusal puts what policies say into a condition's words.
func refusal(w v1alpha1.Withheld) *credential.Refusal {
	reason := v1alpha1.ReasonKeyTooOld
	switch {
	case strings.HasPrefix(w.Path, "spec.source.externalSecret"):
		reason = v1alpha1.ReasonStoreNotAllowed
	case strings.HasPrefix(w.Path, "spec.source"):
		reason = v1alpha1.ReasonSourceNotAllowed
	case strings.HasPrefix(w.Path, "spec.delivery"):
		reason = v1alpha1.ReasonDeliveryNotAllowed
	}
	return &credential.Refusal{Reason: reason, Message: w.Path + ": " + w.Message}
}

// tooOldAt is when the key will be too old; zero if that does not come by itself.
func (r rules) tooOldAt(cred *v1alpha1.ClawCredential, rotated time.Time) time.Time {
	if r.input.Organization == nil {
		return time.Time{}
	}
	return policy.CredentialOutlives(r.input, cred, rotated)
}
