package v1alpha1

import (
	"context"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// The right to write Claws of other owners. It is in a group of its own, so that "verbs: [*]" on ours
// does not give it.
const (
	assignGroup    = "assign.clawstaff.dev"
	assignResource = "owners"
	assignVerb     = "assign"
)

// byOwner refuses a Claw that is written by somebody else than its owner: both the one it has had and the
// one it gets, so that nobody takes a Claw over and nobody is made to answer for one.
func (j *judge) byOwner(ctx context.Context, f *findings, org *v1alpha1.ClawOrganization, old, claw *v1alpha1.Claw) error {
	req, err := admission.RequestFromContext(ctx)
	if err != nil {
		return err
	}
	var foreign []v1alpha1.MemberName
	if !isUser(org, claw.Spec.Owner, req.UserInfo.Username) {
		foreign = append(foreign, claw.Spec.Owner)
	}
	if old != nil && old.Spec.Owner != claw.Spec.Owner && !isUser(org, old.Spec.Owner, req.UserInfo.Username) {
		foreign = append(foreign, old.Spec.Owner)
	}
	if len(foreign) == 0 {
		return nil
	}
	may, err := j.may(ctx, req.UserInfo, authorizationv1.ResourceAttributes{
		Group: assignGroup, Resource: assignResource, Verb: assignVerb, Namespace: claw.Namespace,
	})
	if err != nil || may {
		return err
	}
	for _, owner := range foreign {
		f.refuse("spec.owner", "asked by user %q, who is not %q: a Claw is written by its owner, whose usernames are spec.members[].kubernetes of ClawOrganization %q, or by whoever has the verb %s on %s.%s in namespace %q",
			req.UserInfo.Username, owner, org.Name, assignVerb, assignResource, assignGroup, claw.Namespace)
	}
	return nil
}

// isUser reports whether a member of the organization has a username.
func isUser(org *v1alpha1.ClawOrganization, name v1alpha1.MemberName, username string) bool {
	return slices.ContainsFunc(org.Spec.Members, func(m v1alpha1.Member) bool {
		return m.Name == name && username != "" && slices.Contains(m.Kubernetes, username)
	})
}

// bySomebodyWithTheKey refuses a credential whose author can reach its source Secret in no other way: the
// Secret agrees to a credential by its name alone, and a name can be taken by whoever may delete and create
// credentials.
func (j *judge) bySomebodyWithTheKey(ctx context.Context, f *findings, c *v1alpha1.ClawCredential) error {
	req, err := admission.RequestFromContext(ctx)
	if err != nil {
		return err
	}
	name := string(c.Spec.Source.Secret.Name)
	for _, verb := range []string{"get", "update", "patch"} {
		may, err := j.may(ctx, req.UserInfo, authorizationv1.ResourceAttributes{
			Resource: "secrets", Verb: verb, Namespace: c.Namespace, Name: name,
		})
		if err != nil || may {
			return err
		}
	}
	f.refuse("spec.source.secret.name", "asked by user %q, who may neither read nor write Secret %q in namespace %q: a credential draws a key only for somebody who could reach it anyway. Have the key's owner write the ClawCredential, or be given the verb get, update or patch on that Secret",
		req.UserInfo.Username, name, c.Namespace)
	return nil
}

// may asks the API server what a user may do.
func (j *judge) may(ctx context.Context, user authenticationv1.UserInfo, what authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, Groups: user.Groups, UID: user.UID, ResourceAttributes: &what,
	}}
	for key, values := range user.Extra {
		if review.Spec.Extra == nil {
			review.Spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		review.Spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	if err := j.reviews.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask whether user %q may %s %s: %w", user.Username, what.Verb, what.Resource, err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
