package v1alpha1

import (
	"context"
	"fmt"

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
func (j *judge) byOwner(ctx context.Context, f *findings, s *surroundings, old, claw *v1alpha1.Claw) error {
	owners := []v1alpha1.MemberName{claw.Spec.Owner}
	if old != nil && old.Spec.Owner != claw.Spec.Owner {
		owners = append(owners, old.Spec.Owner)
	}
	return j.byMembers(ctx, f, s, "spec.owner", "a Claw is written by its owner", claw.Namespace, owners...)
}

// byMembers refuses what is written by somebody who is not each of some members, and may not act for them.
func (j *judge) byMembers(ctx context.Context, f *findings, s *surroundings, path, rule, namespace string, members ...v1alpha1.MemberName) error {
	req, err := admission.RequestFromContext(ctx)
	if err != nil {
		return err
	}
	var foreign []v1alpha1.MemberName
	for _, m := range members {
		if !s.directory.HasUsername(m, req.UserInfo.Username) {
			foreign = append(foreign, m)
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	may, err := j.may(ctx, req.UserInfo, authorizationv1.ResourceAttributes{
		Group: assignGroup, Resource: assignResource, Verb: assignVerb, Namespace: namespace,
	})
	if err != nil || may {
		return err
	}
	who := fmt.Sprintf("no member of ClawOrganization %q has this username: have the platform add it to kubernetes of one in its directory", s.organization.Name)
	if you, ok := s.directory.MemberOf(req.UserInfo.Username); ok {
		who = fmt.Sprintf("you are %q: set %s to that", you, path)
	}
	for _, m := range foreign {
		f.refuse(path, "asked by user %q, who is not %q: %s; %s, or have it written by somebody who may %s %s.%s in namespace %q",
			req.UserInfo.Username, m, rule, who, assignVerb, assignResource, assignGroup, namespace)
	}
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
